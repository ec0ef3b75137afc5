"""Challenges at one node whose chain is reorganised again and again."""

import pytest

from protocol.node.docket import HELD_MAX
from protocol.parameters import MINIMAL
from tests.support.deep import Deep
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
    assert len(cluster[FOUNDERS[0]].events("challenge.void")) + 3 > HELD_MAX
    alone = cluster[FOUNDERS[0]].node
    waiting = [opened.challenge.seq for opened in alone.tracker.open_challenges()]
    assert waiting == [2, 3, 4, 5]
    assert len(alone.tracker._docket) <= HELD_MAX


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


@pytest.mark.parametrize("when", ["while away", "on the way back"])
def test_what_comes_after_the_close_is_not_in_time_because_the_anchor_comes_back(when: str) -> None:
    """Blocks are connected anew one by one, but the time to answer does not begin anew with them."""
    judge, late = FOUNDERS[:2]
    elsewhere = Deep(MINIMAL)  # the same network on the same chain
    elsewhere.mine_to(8)
    (response,) = {data for data in elsewhere[late].sent if b"\xa8response" in data}
    network = Deep(MINIMAL)
    network.cut |= {one.key for one in FOUNDERS[1:]}  # so that nothing comes and nothing is decided
    network.mine_to(9)
    lost = network.replace(2)
    network.mine_to(11)  # the challenge that was opened at 8 closes at 10, is judged at 11
    if when == "while away":
        network.deliver(judge, late, response)
    lost.mine_to(13)
    told = len(receipts(network[judge].sent))
    connect = network._connect

    def connect_and_hear(height: int) -> None:
        connect(height)
        if when == "on the way back" and height == 8:
            network.deliver(judge, late, response)

    network._connect = connect_and_hear  # type: ignore[method-assign]
    network.switch(lost)
    opened = network[judge].node.tracker._docket.get(2, network.anchor(2))
    assert opened is not None
    held = opened.builder.held(late.key)
    assert held is None or held.height >= opened.challenge.closes
    assert len(receipts(network[judge].sent)) == told


def receipts(sent: list[bytes]) -> list[bytes]:
    """Return the receipts among what a node sent."""
    return [data for data in sent if b"\xa7receipt" in data]
