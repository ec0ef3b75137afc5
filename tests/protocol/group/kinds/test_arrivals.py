"""ADMIT, REFUSE and EXPIRE: a ticket ends once, and nobody comes in for whom there is no place."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage
from protocol.group.data_block import Move, Refusal, RefusePayload, decode_block, decode_payload
from protocol.group.elsewhere import Nowhere
from protocol.group.entropy import entropy_height, move_entropy
from protocol.group.kinds.arrivals import obstacles
from protocol.group.movemaker import (
    build_admit,
    build_expire,
    build_readmit,
    build_refuse,
    build_relocate,
    build_return,
)
from protocol.group.name import assign_name, matches
from protocol.units import Hash32
from tests.support.group_world import changed, repacked
from tests.support.moves_world import JOINERS, PARAMETERS, Moves
from tests.support.operators import Operator

NEW, OTHER = JOINERS[:2]


def joining(*joiners: Operator) -> tuple[Moves, list[Hash32]]:
    """A network in which these operators have tickets after challenge 2."""
    world = Moves()
    for one in joiners:
        world.enrol(one)
    world.hold(2)
    tickets = [world.join(one, 2) for one in joiners]
    world.chain.mine()
    return world, tickets


def target(world: Moves, ticket: Hash32) -> str:
    return world.fitting(world.moved(ticket).name)


def admit_block(world: Moves, ticket: Hash32) -> bytes:
    return build_admit(world.at(target(world, ticket)), world.chain, world, ticket, world.nonce(ticket))


def check(world: Moves, body: bytes) -> None:
    world.at(decode_block(body).prefix).check_block(body, world.chain, world)


def refused(
    world: Moves, body: bytes, match: str, error: type[ProtocolError] = InvalidBlock, **change: Any
) -> None:
    with pytest.raises(error, match=match):
        check(world, repacked(body, **change) if change else body)


# With a ticket.


def test_nothing_that_a_ticket_says_can_be_changed() -> None:
    world, (ticket,) = joining(NEW)
    body = admit_block(world, ticket)
    check(world, body)
    for change in ({"age": 1}, {"name": bytes(32)}, {"operator_key": OTHER.key}):
        refused(world, body, "another age or name", **change)
    wrong = next(n for n in range(100) if n != world.nonce(ticket))
    while not_proven(world, ticket, wrong):
        wrong += 1
    refused(world, body, "gives no 2 zero bits", nonce=wrong)


def not_proven(world: Moves, ticket: Hash32, nonce: int) -> bool:
    """Whether a nonce happens to prove the ticket too."""
    try:
        build_admit(world.at(target(world, ticket)), world.chain, world, ticket, nonce)
    except InvalidBlock:
        return False
    return True


def test_a_ticket_ends_once() -> None:
    world, (ticket,) = joining(NEW)
    body = admit_block(world, ticket)
    world.settle(body)
    state = world.states[target(world, ticket)]
    again = changed(body, height=state.height + 1, previous=state.head)
    refused(world, again, "is a member already", StaleMessage)
    for build in (build_refuse, build_expire):
        with pytest.raises(StaleMessage, match="has ended"):
            build(state, world.chain, world, ticket)
    world.remove(NEW)
    with pytest.raises(StaleMessage, match="has ended"):
        build_admit(world.at(state.prefix), world.chain, world, ticket, world.nonce(ticket))


def test_a_ticket_is_good_where_its_name_falls_and_nowhere_else() -> None:
    world, (ticket,) = joining(NEW)
    other = world.at("1" if target(world, ticket) == "0" else "0")
    for build in (build_refuse, build_expire):
        with pytest.raises(InvalidBlock, match="for another group"):
            build(other, world.chain, world, ticket)
    with pytest.raises(InvalidBlock, match="for another group"):
        build_admit(other, world.chain, world, ticket, world.nonce(ticket))


def test_a_ticket_is_good_for_its_time_and_expires_then() -> None:
    world = Moves()
    world.enrol(NEW)
    world.hold(2)
    ticket = world.join(NEW, 2)
    with pytest.raises(NotYetKnown, match="good from chain height 25 on"):
        admit_block(world, ticket)
    world.chain.mine()
    body = admit_block(world, ticket)
    early = {"stamp_height": 24, "stamp_hash": world.chain.block_hash(24)}
    with pytest.raises(InvalidBlock, match="good from chain height 25 on"):
        check(world, changed(body, **early))
    last = world.standings[ticket].block.stamp_height + PARAMETERS.relocation_pending
    world.chain.mine_to(last + PARAMETERS.burial)
    admit_block(world, ticket)
    state = world.at(target(world, ticket))
    with pytest.raises(InvalidBlock, match=f"good up to chain height {last}"):
        build_expire(state, world.chain, world, ticket)
    world.chain.mine()
    with pytest.raises(StaleMessage, match="was good up to"):
        admit_block(world, ticket)
    with pytest.raises(StaleMessage, match="nothing keeps"):
        build_refuse(state, world.chain, world, ticket)
    world.expire(ticket)
    with pytest.raises(StaleMessage, match="has ended"):
        build_expire(world.at(state.prefix), world.chain, world, ticket)


def test_a_ticket_is_a_relocate_block_that_is_held() -> None:
    world, (ticket,) = joining(NEW)
    body = admit_block(world, ticket)
    refused(world, body, "not held here", NotYetKnown, ticket=bytes(32))
    refused(world, body, "is no ticket", ticket=world.verdict_on(NEW, 2))
    with pytest.raises(NotYetKnown, match="not held here"):
        build_admit(world.at(target(world, ticket)), world.chain, Nowhere(), ticket, 0)


def test_who_aged_where_it_was_has_no_ticket() -> None:
    world = Moves()
    world.reduce("0", 3)
    one = world.voters("0")[0]
    world.give_events(one, 2)
    world.hold(1)
    in_place = world.relocate("0")
    world.remove(one)
    with pytest.raises(InvalidBlock, match="is no ticket"):
        build_admit(world.at("0"), world.chain, world, in_place, 0)


def test_a_ticket_into_its_own_group_is_one_too() -> None:
    world = Moves(is_split=False)
    world.enrol(NEW)
    world.hold(2)
    ticket = world.join(NEW, 2)
    assert NEW.key in world.states[""].away
    world.admit(ticket)
    assert NEW.key in world.states[""].membership and NEW.key not in world.states[""].away


# Obstacles.


def test_who_has_a_members_place_is_refused_in_its_group_only() -> None:
    seen = set()
    for salt in range(9):
        world = Moves()
        world.chain.mine(salt=bytes([salt]))
        rival = world.voters("0")[0]
        world.enrol(NEW, ip=rival.ip)
        world.hold(2, silent=world.founders)
        ticket = world.join(NEW, 2)
        world.chain.mine()
        state = world.at(target(world, ticket))
        shares = rival.key in state.membership
        assert obstacles(state, NEW.key, 0, state.stamp_height) == ((Refusal.SAME_IP,) if shares else ())
        seen.add(shares)
        if not shares:
            world.admit(ticket)
            continue
        with pytest.raises(InvalidBlock, match="cannot come in: SAME_IP"):
            admit_block(world, ticket)
        world.refuse(ticket)
        assert ticket in world.states[state.prefix].ended
    assert seen == {True, False}


def test_a_large_group_takes_one_newcomer_at_a_time() -> None:
    world, tickets = joining(*JOINERS[:4])
    by_group: dict[str, list[Hash32]] = {}
    for ticket in tickets:
        by_group.setdefault(target(world, ticket), []).append(ticket)
    first, second = next(pair for pair in by_group.values() if len(pair) > 1)[:2]
    world.admit(first)
    with pytest.raises(InvalidBlock, match="cannot come in: AGE0_FULL"):
        admit_block(world, second)
    body = build_refuse(world.at(target(world, second)), world.chain, world, second)
    assert decode_payload(decode_block(body)) == RefusePayload(ticket=second, reason=Refusal.AGE0_FULL)
    for reason in (Refusal.SAME_IP, Refusal.NOT_REGISTERED):
        refused(world, body, "no reason to refuse", reason=reason)
    world.settle(body)
    with pytest.raises(StaleMessage, match="has ended"):
        admit_block(world, second)


def test_a_small_group_refuses_no_newcomer() -> None:
    for small in "01":
        world = Moves()
        world.reduce(small, 3)
        for one in JOINERS:
            world.enrol(one)
        world.hold(2)
        tickets = [world.join(one, 2) for one in JOINERS]
        world.chain.mine()
        fitting = [ticket for ticket in tickets if target(world, ticket) == small]
        assert len(fitting) > 2
        world.admit(fitting[0])
        assert len(world.states[small].membership) == 4, "above G from here on"
        with pytest.raises(InvalidBlock, match="AGE0_FULL"):
            admit_block(world, fitting[1])
        world.remove(world.voters(small)[0])
        world.admit(fitting[1])
        ages = [member.age for member in world.states[small].membership.members]
        assert ages.count(0) == 2


def test_who_is_not_registered_any_more_is_refused() -> None:
    world, (ticket,) = joining(NEW)
    world.strike_off(NEW)
    world.chain.mine_to(world.chain.tip()[0] + 3)
    state = world.at(target(world, ticket))
    if state.book.of(NEW.key, state.stamp_height):  # registered at home in the other group: take it up
        world.chain.mine_to(24)
        world.judge(state.prefix, 3)
    with pytest.raises(InvalidBlock, match="cannot come in: NOT_REGISTERED"):
        admit_block(world, ticket)
    world.refuse(ticket)


# After its end.


def sent_away(age: int = 1) -> tuple[Moves, Operator, Hash32]:
    """A network in which a founder of group 0 has a ticket to group 1."""
    for salt in range(20):
        world = Moves(age=age)
        world.chain.mine(salt=bytes([salt]))
        one = world.voters("0")[0]
        world.give_events(one, 1 << age)
        world.hold(2)
        name = assign_name(age + 1, one.key, move_entropy(2, world.chain, world.parameters))
        if matches("1", name):
            return world, one, world.relocate("0")
    raise AssertionError("it never falls to the other group")


def test_who_was_not_taken_in_comes_back_as_it_was() -> None:
    world, one, ticket = sent_away()
    before = world.states["0"].away[one.key]
    with pytest.raises(InvalidBlock, match="neither refuses"):
        build_readmit(world.at("0"), world.chain, world, one.key, ticket)
    end = world.expire(ticket)
    world.settle(build_readmit(world.at("0"), world.chain, world, one.key, end))
    member = world.member(one)
    assert (member.age, member.name, member.prefix) == (1, before.name, "0")
    assert one.key not in world.states["0"].away and one.key in world.states["0"].electorate
    with pytest.raises(StaleMessage, match="not sent away from here"):
        build_readmit(world.at("0"), world.chain, world, one.key, end)


def test_who_was_taken_in_does_not_come_back() -> None:
    world, one, ticket = sent_away()
    world.admit(ticket)
    assert world.member(one).age == 2 and world.seated(one.key) == "1"
    with pytest.raises(InvalidBlock, match="neither refuses"):
        build_readmit(world.at("0"), world.chain, world, one.key, world.states["1"].head)


def test_the_end_of_anothers_ticket_brings_nobody_back() -> None:
    world, one, ticket = sent_away()
    world.expire(ticket)
    world.enrol(NEW)
    world.hold(5)
    others = world.expire(world.join(NEW, 5))
    with pytest.raises(InvalidBlock, match="another ticket"):
        build_readmit(world.at("0"), world.chain, world, one.key, others)


def test_who_comes_back_finds_its_place_taken_or_not() -> None:
    world, one, ticket = sent_away()
    end = world.expire(ticket)
    body = build_readmit(world.at("0"), world.chain, world, one.key, end)
    refused(world, body, "another age or name", age=2)
    refused(world, body, "another age or name", name=bytes(32))
    rival = world.voters("0")[0]
    registered = world.states["0"].book.apply(
        world.registered(rival, sequence=2, ip=one.ip), world.chain.tip()[0] - PARAMETERS.period_blocks
    )
    world.states["0"] = replace(world.states["0"], book=registered)
    world.chain.mine_to(world.chain.tip()[0] + PARAMETERS.period_blocks)
    with pytest.raises(InvalidBlock, match="SAME_IP"):
        build_readmit(world.at("0"), world.chain, world, one.key, end)


def test_who_joined_does_not_come_back_without_another_ticket() -> None:
    world, (ticket,) = joining(NEW)
    end = world.expire(ticket)
    with pytest.raises(InvalidBlock, match="joins with a new ticket"):
        build_readmit(world.at(world.home(NEW)), world.chain, world, NEW.key, end)


# After a removal.


def removed(*, silent: bool = False) -> tuple[Moves, Operator, Hash32]:
    """A network in which a founder was removed, and the verdict on it after that."""
    world = Moves(age=4)
    one = world.voters("0")[0]
    world.hold(1)
    world.remove(one)
    world.hold(2, silent=[one] if silent else [])
    return world, one, world.verdict_on(one, 2)


def test_who_was_removed_comes_back_without_a_vote() -> None:
    world, one, verdict = removed()
    left = world.states["0"].left[one.key]
    assert left.age == 4
    body = build_return(world.at("0"), world.chain, world, one.key, verdict)
    refused(world, body, "another age or name", age=4)
    refused(world, body, "another age or name", name=bytes(32))
    world.settle(body)
    state = world.states["0"]
    assert (world.member(one).age, world.member(one).name) == (0, left.name)
    assert one.key not in state.electorate and one.key not in state.left
    returning = state.returning[one.key]
    assert (returning.age, returning.seq, returning.stamp_height) == (4, 3, state.stamp_height)
    with pytest.raises(StaleMessage, match="not removed here"):
        build_return(state, world.chain, world, one.key, verdict)


def test_who_returns_cannot_wait_for_a_name_that_it_likes() -> None:
    """Whoever knew the name that a return would give it chose the group in which it votes."""
    world, one, verdict = removed()
    last = entropy_height(3, PARAMETERS) - 1
    world.chain.mine_to(last)
    assert build_return(world.at("0"), world.chain, world, one.key, verdict)
    world.chain.mine_to(last + 1)
    with pytest.raises(InvalidBlock, match="the entropy of challenge 3 is there"):
        build_return(world.at("0"), world.chain, world, one.key, verdict)


def test_who_is_removed_again_while_it_returns_has_half_the_age_left() -> None:
    world, one, verdict = removed()
    world.settle(build_return(world.at("0"), world.chain, world, one.key, verdict))
    world.remove(one)
    assert world.states["0"].left[one.key].age == 2 and not world.states["0"].returning


def test_a_return_that_lapsed_leaves_a_newcomer() -> None:
    world, one, verdict = removed()
    world.settle(build_return(world.at("0"), world.chain, world, one.key, verdict))
    world.hold(3)
    with pytest.raises(StaleMessage, match="nobody may move"):
        build_relocate(world.at("0"), world.chain)
    world.bury(entropy_height(3, PARAMETERS) + PARAMETERS.silence + 1)
    moved = world.moved(world.relocate("0"))
    assert (moved.operator_key, moved.why, moved.age) == (one.key, Move.FIRST, 1)
    assert one.key not in world.states["0"].returning


def test_a_lapsed_return_that_is_removed_has_lost_its_age() -> None:
    world, one, verdict = removed()
    world.settle(build_return(world.at("0"), world.chain, world, one.key, verdict))
    world.bury(entropy_height(3, PARAMETERS) + PARAMETERS.silence + 1)
    world.remove(one)
    assert world.states["0"].left[one.key].age == 0


def test_only_who_is_found_valid_again_comes_back() -> None:
    world, one, verdict = removed(silent=True)
    with pytest.raises(InvalidBlock, match="is NO_RESPONSE in challenge 2"):
        build_return(world.at("0"), world.chain, world, one.key, verdict)
    world, one, verdict = removed()
    world.chain.mine_to(world.chain.tip()[0] + 2 * PARAMETERS.challenge_every)
    with pytest.raises(InvalidBlock, match="not the basis of a move"):
        build_return(world.at("0"), world.chain, world, one.key, verdict)


def test_a_returning_member_is_the_one_newcomer_of_a_large_group() -> None:
    world = Moves(halves=(6, 6), age=4)
    one, other = world.voters("0")[:2]
    world.hold(1)
    world.remove(one)
    world.remove(other)
    world.hold(2)
    state = world.at("0")
    world.settle(build_return(state, world.chain, world, one.key, world.verdict_on(one, 2)))
    with pytest.raises(InvalidBlock, match="AGE0_FULL"):
        build_return(world.at("0"), world.chain, world, other.key, world.verdict_on(other, 2))


def test_a_state_without_tickets_says_who_is_missing() -> None:
    world = Moves()
    key = NEW.key
    for build in (build_readmit, build_return):
        with pytest.raises(StaleMessage, match="was not"):
            build(world.state, world.chain, world, key, bytes(32))
    assert isinstance(world.state.away, MappingProxyType)
