"""Deliberate faults in the rules of many groups, to show that each law sees what it is for.

Answers for: within the context one rule of `protocol` is broken, at all nodes or at some, and afterwards it
is whole again; which law has to see it, and in what small network. Spec: `spec/simulation.md`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from protocol.chain.mark import Mark
from protocol.errors import InvalidBlock, ProtocolError
from protocol.group import absorbmaker, data_chain, movemaker, relocation, standoff, succession
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    LinkPayload,
    Refusal,
    RelocatePayload,
    decode_block,
)
from protocol.group.data_chain import RULES, Rule
from protocol.group.kinds import absorption, arrivals, moves, slots
from protocol.group.kinds.links import after_link, with_members
from protocol.group.membership import Member, Membership
from protocol.group.quorum import Electorate, JointWeight, Quorum
from protocol.group.state import Away, GroupState
from protocol.node import admissions, mover, routing
from protocol.node.effects import Effect, Incoming, Punish
from protocol.node.group import GroupMachine
from protocol.node.groups import Groups
from protocol.tracking.verdict import Registrations
from protocol.units import Hash32, OperatorKey
from simulations import group_laws, seats, watch
from simulations.group_options import GroupOptions, GroupPlant
from simulations.options import Fault
from simulations.patching import replaced
from simulations.seats_judged import JUDGED

Patch = tuple[type | ModuleType, str, object]
"""Where a rule stands, under which name, and what stands there instead."""
NO_ENTROPY = bytes(32)


@dataclass(frozen=True, slots=True)
class Planted:
    """A broken rule."""

    law: str
    """That has to see it."""
    patches: tuple[Patch, ...]
    scenario: Mapping[str, Any] = field(default_factory=dict)
    """What is different in the network in which it shows."""
    seed: int = 0
    """The first one at which it does."""


@contextmanager
def planted_in_groups(plant: GroupPlant | None) -> Iterator[None]:
    """Break one rule for a while."""
    with ExitStack() as stack:
        for owner, name, other in () if plant is None else PLANTS[plant].patches:
            stack.enter_context(replaced(owner, name, other))
        yield


def scenario_of(plant: GroupPlant) -> GroupOptions:
    """Return the small network in which a plant shows."""
    return replace(SMALL, plant_in_groups=plant, **PLANTS[plant].scenario)


# What stands in the place of a rule.


def _always(*_: object) -> bool:
    return True


def _never(*_: object) -> bool:
    return False


def _nothing(*_: object) -> None:
    """Find no fault."""


def _nobody(*_: object) -> list[Mark]:
    """Hear nobody."""
    return []


def _no_slot(state: GroupState, key: bytes, stamp_height: int) -> bytes | None:
    """See no address."""
    return None


def _half_of_the_time(age: int, counted_events: int) -> bool:
    """Let a member move after half of its time."""
    return 2 * counted_events >= 1 << age


def _same_age(age: int) -> int:
    """Let who returns have all of its age."""
    return age


def _after_any_link(state: GroupState, block: DataBlock, payload: LinkPayload, around: Any) -> GroupState:
    """Count every link, with a verdict before it or not."""
    return after_link(replace(state, gate_open=True, link_counts=True), block, payload, around)


def _no_entropy(*_: object) -> bytes:
    """Make names of nothing but age and key."""
    return NO_ENTROPY


_really_reaches = Electorate.reaches


def _half_is_final(self: Electorate, quorum: Quorum, heads: int, age: int) -> bool:
    """Take half of the heads and of the age for a final decision."""
    return _really_reaches(self, Quorum.SEED if quorum is Quorum.FINAL else quorum, heads, age)


def _third_is_final(self: Electorate, quorum: Quorum, heads: int, age: int) -> bool:
    """Take a third of the heads and of the age for a final decision."""
    return 3 * heads >= len(self.voters) and 3 * age >= self.age_total


def _one_half_is_both(self: JointWeight, quorum: Quorum) -> bool:
    """Let one half of a union speak for the other."""
    return any(half.reaches(quorum) for half in self._halves)


def _stay_and_go(state: GroupState, member: Member, payload: RelocatePayload) -> GroupState:
    """Give a member its ticket, and keep it."""
    key, name = OperatorKey(member.operator_key), Hash32(member.name)
    away = Away(state.head, payload.why, member.age, name, state.stamp_height)
    return with_members(replace(state, away={**state.away, key: away}), state.membership)


_really_standing = succession._standing_in


def _lose_one(prefix: str, members: Iterable[Member]) -> Membership:
    """Forget a member."""
    there = _really_standing(prefix, members)
    return Membership(there.members[1:])


def _halves_stay(self: Groups, union: GroupMachine) -> list[GroupMachine]:
    """Let a union begin beside its halves."""
    if union.state.link_due:
        return []
    del self._unions[union.state.prefix]
    return self._replace((), [union])


def _judge_again(self: GroupState, seq: int) -> tuple[str, ...]:
    """Take every challenge for one that nobody has judged."""
    return (self.prefix,)


_really_ours = GroupState.ours


def _leave_some_out(
    self: GroupState, registrations: Registrations, seq: int, anchor_hash: Hash32
) -> Registrations:
    """Judge only some of those that fall to a group."""
    found = _really_ours(self, registrations, seq, anchor_hash)
    return {key: entry for key, entry in found.items() if key[0] % 4}


_really_apply = GroupMachine._apply


def _some_see_another_chain(
    self: GroupMachine, certified: CertifiedBlock, *, live: bool = False, followed: bool = False
) -> list[Effect]:
    """Let one node in four contradict certified verdicts."""
    if self._signer.operator_key[0] % 4 == 0 and decode_block(certified.block).kind is Kind.VERDICT:
        self._held.hold(certified, None)
        return self._alarm(certified, InvalidBlock("planted"))
    return _really_apply(self, certified, live=live, followed=followed)


def _blame_everybody(incoming: Incoming, error: ProtocolError) -> list[Effect]:
    """Blame whoever brings what is stale, or was told by somebody else."""
    return [Punish(incoming.peer, str(error))]


SMALL = GroupOptions(nodes=16, group_size=3, events=40, faults=frozenset(), leave_every_ms=1_000_000_000)
"""Founders enough to split, and some that come; nobody fails."""
LOSSES = {"nodes": 14, "group_size": 4, "leave_every_ms": 4_000, "events": 40, "longest_ms": 120_000}
"""Members leave, so that groups come together."""
STOPPED = {"nodes": 20, "events": 60, "abandon_probability": 1.0, "longest_ms": 180_000}
"""A group stops, and is absorbed."""
PLANTS: dict[GroupPlant, Planted] = {
    GroupPlant.SHARE_ADDRESS: Planted(
        seats.IPS,
        ((arrivals, "slot_of", _no_slot), (slots, "slot_of", _no_slot)),
        {"lodgers_share": 1.0, "join_every_ms": 300},
    ),
    GroupPlant.SECOND_NEWCOMER: Planted(
        seats.NEWCOMERS,
        (
            (arrivals, "OBSTACLES", {**arrivals.OBSTACLES, Refusal.AGE0_FULL: _never}),
            (admissions, "is_large", _never),
        ),
        {"join_every_ms": 300},
    ),
    GroupPlant.AGE_EARLY: Planted(seats.AGES, ((relocation, "may_move", _half_of_the_time),)),
    GroupPlant.RETURN_WHOLE: Planted(
        seats.AGES,
        ((relocation, "age_after_return", _same_age),),
        {"faults": frozenset({Fault.CRASHES}), "late_probability": 1.0},
    ),
    GroupPlant.COUNT_ALL: Planted(
        seats.AGES,
        ((data_chain, "RULES", {**RULES, LinkPayload: Rule(RULES[LinkPayload].check, _after_any_link)}),),
    ),
    GroupPlant.NO_ENTROPY: Planted(
        seats.NAMES, tuple((owner, "move_entropy", _no_entropy) for owner in (moves, movemaker, admissions))
    ),
    GroupPlant.KNOWN_NAME: Planted(
        seats.NAMES,
        tuple((owner, "is_name_open", _always) for owner in (arrivals, mover, admissions)),
        {"faults": frozenset({Fault.CRASHES}), "late_probability": 1.0},
        seed=1,
    ),
    GroupPlant.THIRD_IS_FINAL: Planted(
        seats.PLACES,
        ((Electorate, "reaches", _third_is_final),),
        {"faults": frozenset({Fault.BYZANTINE}), "byzantine_share": 0.3},
        seed=3,
    ),
    GroupPlant.HALF_IS_FINAL: Planted(group_laws.CERTIFICATES, ((Electorate, "reaches", _half_is_final),)),
    GroupPlant.ONE_HALF_IS_BOTH: Planted(
        group_laws.CERTIFICATES, ((JointWeight, "reaches", _one_half_is_both),), LOSSES, seed=1
    ),
    GroupPlant.STAY_AND_GO: Planted(seats.SEATS, ((moves, "_sent_away", _stay_and_go),)),
    GroupPlant.LOSE_ONE: Planted(group_laws.NETWORK, ((succession, "_standing_in", _lose_one),)),
    GroupPlant.HALVES_STAY: Planted(
        group_laws.NETWORK, ((Groups, "_make_last", _halves_stay),), LOSSES, seed=1
    ),
    GroupPlant.JUDGE_AGAIN: Planted(JUDGED, ((GroupState, "unjudged", _judge_again),)),
    GroupPlant.JUDGE_SOME: Planted(JUDGED, ((GroupState, "ours", _leave_some_out),)),
    GroupPlant.TAKE_AT_ONCE: Planted(
        seats.ABSORBED,
        tuple((owner, "check_unanswered", _nothing) for owner in (absorption, absorbmaker)),
        STOPPED,
        seed=4,
    ),
    GroupPlant.DEAF: Planted(
        seats.ABSORBED,
        tuple((owner, "signs_of_life", _nobody) for owner in (absorption, standoff)),
        {**STOPPED, "answer_probability": 1.0, "longest_ms": 90_000, "patience_ms": 6_000},
        seed=4,
    ),
    GroupPlant.ANOTHER_CHAIN: Planted(watch.AGREEMENT, ((GroupMachine, "_apply", _some_see_another_chain),)),
    GroupPlant.BLAME: Planted(watch.TRUST, ((routing, "blame", _blame_everybody),)),
}
"""By name."""
