"""Whom a node's network keeps: its group, where its ticket leads, its judges, and whom it judges."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest

from protocol.codec import replace
from protocol.group.data_chain import DataChain
from protocol.group.name import matches
from protocol.node import kept_peers
from protocol.node.effects import Effect, Keep, Learn
from protocol.node.mover import Seat
from protocol.tracking.challenge import challenge_draw
from protocol.units import OperatorKey
from tests.protocol.node.test_joining import FOUNDERS, PARAMETERS, mine_until
from tests.support.founding import founded_by
from tests.support.halves import Halves
from tests.support.moves_world import founding
from tests.support.node_cluster import Cluster, Peer
from tests.support.operators import Operator, operator

JOINERS = tuple(operator(number) for number in range(5_000, 5_004))


class Reaching(Cluster):
    """A network in which a direct message needs that one of the two knows where the other listens."""

    def __init__(self, halves: bool = False) -> None:
        """One group of four founders or, with `halves`, one of six that splits; and who joins."""
        self.lost: set[tuple[OperatorKey, OperatorKey]] = set()
        genesis, self.founders = founded_by(FOUNDERS, parameters=PARAMETERS), FOUNDERS
        if halves:
            genesis, self.founders = founding((3, 3), replace(PARAMETERS, group_size=2), 1, ())
        super().__init__(self.founders, others=JOINERS, genesis=genesis, joins=True)
        for one in JOINERS:
            self.submit(self.founders[0], one.envelope(network=self[one].node.network))

    def _send(self, peer: Peer, to: OperatorKey, topic: str, data: bytes) -> None:
        me = peer.operator.key
        if not topic and to not in peer.places and me not in self.peers[to].places:
            self.lost.add((me, to))
        else:
            super()._send(peer, to, topic, data)


def members(state: DataChain) -> set[OperatorKey]:
    return {OperatorKey(one.operator_key) for one in state.membership.members}


def keys(operators: Iterable[Operator]) -> set[OperatorKey]:
    return {one.key for one in operators}


def others(group: Iterable[Operator], one: Operator) -> set[OperatorKey]:
    return keys(group) - {one.key}


def prefix_of(network: Halves, one: Operator, seq: int) -> str:
    """The group that judges an operator in a challenge."""
    anchor = network.chain.block_hash(seq * network.genesis.parameters.challenge_every) or b""
    return next(prefix for prefix in "01" if matches(prefix, challenge_draw(anchor, one.key)))


def test_a_group_that_splits_lets_the_other_half_go() -> None:
    network = Halves()
    for one in network.founders:
        assert network[one].kept and set(network[one].kept) == others(network.founders, one)
    network.mine_to(7)
    for prefix in "01":
        for one in network.of(prefix):
            assert set(network[one].kept) == others(network.of(prefix), one)
            assert set(network[one].places) == others(network.founders, one)


def test_until_a_challenge_is_judged_its_judges_and_those_who_fall_to_us_are_kept_after_our_group() -> None:
    network = Halves()
    network.mine_to(8)
    crossed = 0
    for prefix in "01":
        for one in network.of(prefix):
            group = others(network.of(prefix), one)
            judges = others(network.of(prefix_of(network, one, 2)), one)
            judged = {other.key for other in network.founders if prefix_of(network, other, 2) == prefix}
            kept = network[one].kept
            assert set(kept) == (group | judges | judged) - {one.key}
            assert set(kept[: len(group)]) == group
            assert set(kept[: len(group | judges)]) == group | judges
            crossed += len(kept) > len(group)
    assert crossed
    network.mine_to(11)
    for prefix in "01":
        for one in network.of(prefix):
            assert set(network[one].kept) == others(network.of(prefix), one)


def test_who_judges_whom_keeps_whom_both_ways() -> None:
    network = Halves()
    network.mine_to(9)
    for one in network.founders:
        for other in network[one].kept:
            assert one.key in network.peers[other].kept


def test_of_too_many_the_most_important_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_peers, "KEPT_MAX", 2)
    network = Halves()
    network.mine_to(7)
    for peer in network.peers.values():
        peer.places.clear()
    network.mine_to(8)
    for prefix in "01":
        for one in network.of(prefix):
            assert set(network[one].kept) == others(network.of(prefix), one)
            judges = network.of(prefix_of(network, one, 2))
            assert one in judges or keys(judges) <= set(network[one].places), (
                "they are told something all the same"
            )


def test_the_shell_is_told_of_changes_only_and_of_all_after_a_restart() -> None:
    network = Halves()
    told: dict[OperatorKey, list[Effect]] = {}
    carry = network.carry

    def counting(peer: Peer, effects: Iterable[Effect]) -> None:
        effects = list(effects)
        seen = [effect for effect in effects if isinstance(effect, Keep | Learn)]
        told.setdefault(peer.operator.key, []).extend(seen)
        carry(peer, effects)

    network.carry = counting  # type: ignore[method-assign]
    network.mine_to(14)
    one = network.founders[0]
    words = [effect for effect in told[one.key] if isinstance(effect, Keep)]
    assert 3 <= len(words) <= 6, "the split, and each challenge twice"
    assert all(before != after for before, after in pairwise(words))
    since: set[Effect] = set()
    for effect in told[one.key]:
        assert effect not in since
        since = set() if isinstance(effect, Keep) else since | {effect}
    before, places = network[one].kept, network[one].places
    restarted = network.restart(one)
    assert set(restarted.kept) == set(before)
    assert all(restarted.places[key] == places[key] for key in before)


def test_an_operator_under_way_keeps_the_group_that_takes_it_in_which_keeps_it_too() -> None:
    network = Reaching()
    one = JOINERS[0]
    here = network[one].node.seating.mover.whereabouts
    assert here().seat is Seat.HOME and network[one].kept == ()
    assert set(network[one].places) == keys(FOUNDERS), "whom it asks for a place"
    mine_until(network, lambda: here().seat is Seat.UNDER_WAY)
    assert keys(FOUNDERS) <= set(network[one].kept)
    assert all(one.key in network[founder].kept for founder in FOUNDERS)
    mine_until(network, lambda: here().seat is Seat.MEMBER)
    assert keys(FOUNDERS) <= set(network[one].kept)


def test_whoever_is_told_something_can_be_reached() -> None:
    network = Reaching()
    voters = network[FOUNDERS[0]].node.groups
    mine_until(network, lambda: all(one.key in voters.own.state.electorate for one in JOINERS))
    assert not network.lost


def test_who_moves_to_another_address_is_learnt_there() -> None:
    network = Reaching()
    one = JOINERS[0]
    mine_until(network, lambda: one.key in network[FOUNDERS[0]].kept)
    place = network[FOUNDERS[0]].places[one.key]
    moved = one.envelope(2, network=network[one].node.network, port=place[1] + 1)
    network.submit(one, moved)
    mine_until(network, lambda: network[FOUNDERS[0]].places[one.key] == (place[0], place[1] + 1))


def test_who_moves_keeps_the_group_that_sends_it_and_the_one_to_which_its_ticket_leads() -> None:
    network = Reaching(halves=True)
    seen: list[tuple[set[OperatorKey], set[OperatorKey]]] = []
    carry = network.carry

    def watching(peer: Peer, effects: Sequence[Effect]) -> None:
        carry(peer, effects)
        groups, here = peer.node.groups, peer.node.seating.mover.whereabouts()
        if here.ticket is not None and here.ticket.source != here.prefix:
            both = {key for prefix in "01" for key in members(groups[prefix].state)}
            seen.append((both, set(peer.kept)))

    network.carry = watching  # type: ignore[method-assign]
    mine_until(network, lambda: bool(seen))
    for both, kept in seen:
        assert both <= kept
    assert not network.lost
