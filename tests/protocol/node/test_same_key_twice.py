"""Two nodes with one key: the second one notices what the first one said, and only listens there."""

from protocol.group.vote import Phase, Slot, vote_body
from protocol.node.messages import pack_signed
from tests.protocol.node.test_machine import FIRST, FOUNDERS, judged_at
from tests.support.node_cluster import Cluster


def test_a_statement_of_our_key_that_we_never_made_silences_us_at_its_height() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    me = FOUNDERS[0]
    node = cluster[me].node
    slot = Slot(node.network, node.group.state.electorate_name, 1, 0, Phase.PREVOTE)
    elsewhere = me.signer.sign(vote_body(slot, bytes(32), me.key))
    cluster.deliver(me, FOUNDERS[1], pack_signed(elsewhere), topic=node.topics[0])
    assert cluster[me].events("key.elsewhere")
    cluster.mine_to(judged_at(2) + 1)
    assert not any(vote.height == 1 for vote, _ in cluster[me].votes)
    assert node.group.state.height >= 1  # the others are enough
    cluster.mine_to(judged_at(3) + 2)
    assert any(vote.height > 1 for vote, _ in cluster[me].votes)  # later heights are free again


def test_our_own_echo_is_no_alarm() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(judged_at(2))
    me = FOUNDERS[0]
    for data in cluster[me].sent:
        cluster.deliver(me, FOUNDERS[1], data, topic=cluster[me].node.topics[0])
    assert not cluster[me].events("key.elsewhere")
