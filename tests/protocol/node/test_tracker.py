"""Challenges at one node whose chain is reorganised again and again."""

from protocol.node.tracker import OPEN_MAX
from tests.support.node_cluster import Cluster
from tests.support.operators import operator

FOUNDERS = tuple(operator(number) for number in range(4))


def test_challenges_of_lost_branches_do_not_push_out_one_that_still_waits() -> None:
    cluster = Cluster(FOUNDERS)
    cluster.cut = {one.key for one in FOUNDERS[1:]}  # so nothing is decided
    cluster.mine_to(12)
    for number in range(OPEN_MAX + 1):
        cluster.reorganise(number + 1, salt=bytes([number]))  # the anchor at 12 is another one each time
    alone = cluster[FOUNDERS[0]].node
    waiting = [opened.challenge.seq for opened in alone.tracker.open_challenges()]
    assert waiting == [2, 3, 4, 5]
    assert len(alone.tracker._open) <= OPEN_MAX
