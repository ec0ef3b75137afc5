"""Challenges at one node whose chain is reorganised again and again."""

from protocol.node.tracker import OPEN_MAX
from tests.support.node_cluster import Cluster
from tests.support.operators import operator

FOUNDERS = tuple(operator(number) for number in range(4))


def test_challenges_of_lost_branches_do_not_push_out_one_that_still_waits() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.cut = {one.key for one in FOUNDERS[1:]}  # so nothing is decided
    for anchor in (12, 16, 20):
        cluster.mine_to(anchor)
        for depth in (1, 2):
            cluster.reorganise(depth, salt=bytes([depth]))  # the anchor is another one each time
    assert len(cluster[FOUNDERS[0]].events("challenge.void")) + 3 > OPEN_MAX
    alone = cluster[FOUNDERS[0]].node
    waiting = [opened.challenge.seq for opened in alone.tracker.open_challenges()]
    assert waiting == [2, 3, 4, 5]
    assert len(alone.tracker._open) <= OPEN_MAX


def test_what_an_observation_names_is_not_exchanged_for_what_comes_after_it() -> None:
    judge, late = FOUNDERS[:2]
    elsewhere = Cluster(FOUNDERS)  # the same network on the same chain
    elsewhere.mine_to(8)
    (response,) = {data for data in elsewhere[late].sent if b"\xa8response" in data}
    cluster = Cluster(FOUNDERS)
    cluster.cut = {one.key for one in FOUNDERS[1:]}
    node = cluster[judge].node
    cluster.mine_to(11)
    (opened,) = node.tracker.open_challenges()
    before = opened.builder.build(judge.key)
    assert judge.key in opened.observations
    top = cluster.chain.tip()
    cluster.chain.disconnect(1)
    node.disconnect(*top)
    cluster.deliver(judge, late, response)
    assert opened.builder.build(judge.key) == before


def test_a_response_of_a_branch_that_we_are_not_on_yet_gets_its_receipt_when_we_are() -> None:
    """Nodes change over at different moments: who was quick must not lose what it sent meanwhile."""
    judge, quick = FOUNDERS[:2]
    elsewhere = Cluster(FOUNDERS)  # the same network, which has changed over already
    elsewhere.mine_to(9)
    before = set(elsewhere[quick].sent)
    elsewhere.reorganise(2, salt=b"other")  # the anchor, 8, is another one
    (response,) = {data for data in elsewhere[quick].sent if b"\xa8response" in data} - before
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(9)
    cluster.cut = {one.key for one in FOUNDERS[1:]}  # so that nobody says it again
    cluster.deliver(judge, quick, response)
    told = len(receipts(cluster[judge].sent))
    cluster.reorganise(2, salt=b"other")
    assert cluster.chain.tip() == elsewhere.chain.tip()
    opened = max(cluster[judge].node.tracker.open_challenges(), key=lambda one: one.challenge.seq)
    held = opened.builder.held(quick.key)
    assert held is not None and held.right
    assert len(receipts(cluster[judge].sent)) == told + 1


def receipts(sent: list[bytes]) -> list[bytes]:
    """Return the receipts among what a node sent."""
    return [data for data in sent if b"\xa7receipt" in data]
