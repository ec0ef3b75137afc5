"""Who comes into a group and who leaves it, as its voters see it: whole nodes, stepped by hand."""

from collections.abc import Callable

from protocol.codec import replace
from protocol.group.data_chain import DataChain
from protocol.parameters import MINIMAL
from protocol.units import OperatorKey
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(7))
NEWCOMER = operator(20)
PARAMETERS = replace(MINIMAL, preset="admissions", burial=1, silence=10)
BLOCKS_MAX = 60


def network(*others: Operator, joins: bool = True) -> Cluster:
    return Cluster(FOUNDERS, others=others, genesis=founded_by(FOUNDERS, parameters=PARAMETERS), joins=joins)


def mine_until(cluster: Cluster, holds: Callable[[], bool], blocks: int = BLOCKS_MAX) -> None:
    for _ in range(blocks):
        if holds():
            return
        cluster.mine()
    raise AssertionError(f"it did not come to that in {blocks} blocks")


def state_at(cluster: Cluster, one: Operator) -> DataChain:
    return cluster[one].node.group.state


class TestVotersThatSawDifferentThings:
    """What only a voter itself can say may differ for ever: nothing else waits for it."""

    def test_two_that_are_heard_by_different_halves_hold_nothing_up(self) -> None:
        """Each half would remove another of them, and proposed nothing else until it was done."""
        cluster = network(NEWCOMER, joins=False)
        first, second, *honest = FOUNDERS
        hears = {first.key: {one.key for one in honest[:2]}, second.key: {one.key for one in honest[2:]}}

        def drops(sender: OperatorKey, to: OperatorKey, data: bytes) -> bool:
            return sender in hears and (to not in hears[sender] or b"proposal" in data[:128])

        cluster.drops = drops
        ear, other = honest[0], honest[-1]
        mine_until(
            cluster,
            lambda: all(list(cluster[one].node.seating.admissions.removals()) for one in honest),
        )
        cluster.submit(ear, NEWCOMER.envelope(network=cluster[ear].node.network))
        mine_until(cluster, lambda: NEWCOMER.key in registered(cluster, other), 4)
        assert {first.key, second.key} <= {
            one.operator_key for one in state_at(cluster, ear).membership.members
        }


def registered(cluster: Cluster, one: Operator) -> set[bytes]:
    state = state_at(cluster, one)
    return {key for key in cluster.peers if state.book.of(key, 10_000) is not None}
