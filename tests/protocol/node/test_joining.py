"""Nodes that ask for a place get it, are aged or moved on, fall silent, are let go, and come back."""

from collections.abc import Callable

from protocol.codec import replace
from protocol.group.data_chain import DataChain
from protocol.node.mover import Seat
from protocol.parameters import MINIMAL
from tests.support.founding import founded_by
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator

FOUNDERS = tuple(operator(number) for number in range(4))
NEWCOMERS = (operator(20), operator(21))
PARAMETERS = replace(MINIMAL, preset="joining", burial=1, silence=10)
BLOCKS_MAX = 120


def network() -> Cluster:
    """Return four founders and two that have registered."""
    cluster = Cluster(
        FOUNDERS,
        others=NEWCOMERS,
        genesis=founded_by(FOUNDERS, parameters=PARAMETERS),
        joins=True,
    )
    for one in NEWCOMERS:
        cluster.submit(FOUNDERS[0], one.envelope(network=cluster[one].node.network))
    return cluster


def mine_until(cluster: Cluster, holds: Callable[[], bool]) -> None:
    for _ in range(BLOCKS_MAX):
        if holds():
            return
        cluster.mine()
    raise AssertionError(f"it did not come to that in {BLOCKS_MAX} blocks")


def state_at(cluster: Cluster, one: Operator) -> DataChain:
    return cluster[one].node.group.state


def ages(cluster: Cluster) -> dict[bytes, int]:
    members = state_at(cluster, FOUNDERS[0]).membership.members
    return {member.operator_key: member.age for member in members}


def test_who_is_valid_and_asks_becomes_a_member_and_then_a_voter() -> None:
    cluster = network()
    node = cluster[NEWCOMERS[0]].node
    assert node.seating.mover.whereabouts().seat is Seat.HOME
    mine_until(cluster, lambda: all(one.key in ages(cluster) for one in NEWCOMERS))
    assert node.seating.mover.whereabouts().seat is Seat.MEMBER
    mine_until(cluster, lambda: all(one.key in node.group.state.electorate for one in NEWCOMERS))
    assert all(peer.node.group.state.head == node.group.state.head for peer in cluster.peers.values())
    assert not any(
        peer.punished or peer.events("data_chain.contradiction") for peer in cluster.peers.values()
    )


def test_who_does_not_want_a_place_is_paid_all_the_same() -> None:
    cluster = Cluster(FOUNDERS, others=NEWCOMERS[:1], genesis=founded_by(FOUNDERS, parameters=PARAMETERS))
    cluster.submit(FOUNDERS[0], NEWCOMERS[0].envelope(network=cluster[FOUNDERS[0]].node.network))
    cluster.mine(40)
    assert set(ages(cluster)) == {one.key for one in FOUNDERS}
    found = cluster[FOUNDERS[0]].node.groups.archive.last_verdicts.last(NEWCOMERS[0].key)
    assert found is not None and not found.reason


def test_a_silent_member_is_let_go_and_comes_back_with_half_its_age() -> None:
    cluster = network()
    lost = FOUNDERS[3]
    mine_until(
        cluster, lambda: all(one.key in state_at(cluster, FOUNDERS[0]).electorate for one in NEWCOMERS)
    )
    age = ages(cluster)[lost.key]
    cluster.cut = {lost.key}
    mine_until(cluster, lambda: lost.key in state_at(cluster, FOUNDERS[0]).left)
    assert state_at(cluster, FOUNDERS[0]).left[lost.key].age == age
    cluster.heal()
    assert cluster[lost].node.seating.mover.whereabouts().seat in (Seat.LEFT, Seat.MEMBER)
    mine_until(cluster, lambda: ages(cluster).get(lost.key) == 0)
    assert lost.key not in state_at(cluster, FOUNDERS[0]).electorate
    mine_until(cluster, lambda: ages(cluster).get(lost.key) == age // 2)
    assert lost.key in state_at(cluster, FOUNDERS[0]).electorate
    kinds = {moved.why.name for moved in cluster[FOUNDERS[0]].node.groups.archive.tickets.moves()}
    assert kinds >= {"JOIN", "FIRST", "REJOIN"}
    restarted = cluster.restart(FOUNDERS[1]).node
    assert restarted.group.state.head == state_at(cluster, FOUNDERS[0]).head
    assert (
        restarted.groups.archive.tickets.moves() == cluster[FOUNDERS[0]].node.groups.archive.tickets.moves()
    )
