"""What goes on after a split and after a merge: nothing is lost, and nothing is doubled."""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import replace as replace_fields
from protocol.crypto import sha3_256
from protocol.group.blockmaker import build_link, build_split
from protocol.group.data_block import Kind, Move, block_hash, decode_block, decode_certified
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member, Membership
from protocol.group.name import distance, home_draw, matches
from protocol.group.quorum import JointElectorate
from protocol.group.regions import uncovered
from protocol.group.state import Away, GroupState, Judged, Left, Returning
from protocol.group.succession import HEIGHTS_LEFT_OUT, children, united
from protocol.tracking.challenge import challenge_draw
from protocol.units import Hash32, OperatorKey
from tests.support.groups_world import Groups
from tests.support.operators import Operator, operator

FOUNDED = Groups(depth=1)
"""Nothing in it is changed here."""
SEATS = ("left", "away", "returning", "granted", "ended")
KNOWN_TO_BOTH = ("judged", "holders", "ended", "book", "network", "genesis", "stamp_height", "link")


def hash_of(*numbers: object) -> Hash32:
    return sha3_256(repr(numbers).encode())


def key_of(number: int) -> OperatorKey:
    return OperatorKey(hash_of("key", number))


# States as no story makes them: seats, ages and what was judged at random.

ONCE = st.sets(st.integers(0, 40), max_size=6)
AGES = st.integers(0, 9)
REGION = st.text("01", max_size=3)


@st.composite
def grown(draw: st.DrawFn, prefix: str = "") -> DataChain:
    """A group with that prefix somewhere in its life."""
    numbers = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=16)))
    keys = [key_of(number) for number in numbers if matches(prefix, hash_of("name", number))]
    names = {key_of(number): hash_of("name", number) for number in numbers}
    kinds = {key: draw(st.sampled_from(("member", "member", "left", "away", "joins"))) for key in keys}

    def those(kind: str) -> list[OperatorKey]:
        return [key for key in keys if kinds[key] == kind]

    members = Membership.of(
        Member(operator_key=key, age=draw(AGES), name=names[key], prefix=prefix, joined=draw(AGES))
        for key in those("member")
    )
    away = {key: Away(hash_of(key), Move.AGED, draw(AGES), names[key], 20) for key in those("away")}
    joining = [key for key in those("joins") if matches(prefix, home_draw(key))]
    away |= {key: Away(hash_of(key), Move.JOIN, 0, home_draw(key), 20) for key in joining}
    return replace(
        FOUNDED.state,
        prefix=prefix,
        splits=tuple(range(len(prefix))),
        height=draw(st.integers(10, 99)),
        head=hash_of("head", prefix),
        stamp_height=draw(st.integers(10, 99)),
        stamp_hash=hash_of("stamp", prefix),
        membership=members,
        electorate=members.voters(),
        link=draw(AGES),
        gate_open=draw(st.booleans()),
        move_due=draw(st.none() | AGES),
        events=MappingProxyType({key: draw(AGES) for key in those("member")}),
        returning=MappingProxyType(
            {OperatorKey(m.operator_key): Returning(draw(AGES), 3, 20) for m in members.members if m.age == 0}
        ),
        left=MappingProxyType({key: Left(draw(AGES), names[key], 20) for key in those("left")}),
        away=MappingProxyType(dict(sorted(away.items()))),
        granted=frozenset(key for key in map(key_of, range(24)) if matches(prefix, home_draw(key))),
        ended=MappingProxyType({hash_of("ticket", n): n for n in draw(ONCE)}),
        holders=MappingProxyType({hash_of("slot", n)[:5]: key_of(n) for n in sorted(draw(ONCE))}),
        judged=draw(judgments(prefix)),
        read=MappingProxyType({prefix[:end]: end for end in range(len(prefix))} | {"000": draw(AGES)}),
    )


@st.composite
def judgments(draw: st.DrawFn, prefix: str) -> MappingProxyType[int, tuple[Judged, ...]]:
    """Where challenges were judged, in parts that never overlap."""
    judged: dict[int, tuple[Judged, ...]] = {}
    for seq in sorted(draw(st.sets(st.integers(1, 6)))):
        found: list[Judged] = []
        for height, region in enumerate(draw(st.lists(REGION, max_size=3)), start=1):
            parts = uncovered(prefix + region, [part for one in found for part in one.parts])
            if parts:
                found.append(Judged(prefix, height, hash_of(seq, height), hash_of(seq), parts))
        if found:
            judged[seq] = tuple(found)
    return MappingProxyType(judged)


def split(state: DataChain) -> tuple[DataChain, DataChain]:
    return children(replace(state, closed_by=Kind.SPLIT))


def merged(zero: DataChain, one: DataChain) -> DataChain:
    closed = replace(zero, closed_by=Kind.MERGE), replace(one, closed_by=Kind.MERGE)
    return united(*closed)


def same(one: GroupState, other: GroupState, fields: Iterable[str]) -> None:
    for name in fields:
        assert getattr(one, name) == getattr(other, name), name


@given(grown())
def test_split_and_merge_give_back_what_was_there(state: DataChain) -> None:
    whole = merged(*split(state))
    same(whole, state, (*SEATS, *KNOWN_TO_BOTH, "prefix", "membership", "events", "splits"))
    assert whole.electorate.voters == state.electorate.voters
    assert {prefix: whole.read[prefix] for prefix in state.read} == state.read
    assert "" not in whole.read, "its own blocks"
    assert whole.link_due and not whole.link_counts and not whole.is_closed


@given(grown("01"))
def test_of_a_group_further_down_too(state: DataChain) -> None:
    zero, one = split(state)
    assert (zero.prefix, one.prefix, zero.splits) == ("010", "011", (*state.splits, state.height))
    same(merged(zero, one), state, (*SEATS, *KNOWN_TO_BOTH, "prefix", "membership", "events", "splits"))


@given(grown("0"), grown("1"), st.integers(0, 40), st.booleans())
def test_of_an_operators_two_tickets_the_later_one_is_that_of_its_seat(
    zero: DataChain, one: DataChain, number: int, is_later: bool
) -> None:
    key = key_of(number)
    early, late = (Away(hash_of(stamp), Move.AGED, 1, hash_of("name"), stamp) for stamp in (30, 31))
    zero = replace(zero, away=MappingProxyType({**zero.away, key: late if is_later else early}))
    one = replace(one, away=MappingProxyType({**one.away, key: early if is_later else late}))
    whole = merged(zero, one)
    assert whole.away[key] == late and set(whole.away) == {*zero.away, *one.away}


@given(grown())
def test_every_seat_is_in_one_half(state: DataChain) -> None:
    zero, one = split(state)
    for half in (zero, one):
        members = half.membership.members
        assert all(member.prefix == half.prefix and half.covers(member.name) for member in members)
        assert half.electorate == half.membership.voters()
        assert set(half.events) <= {member.operator_key for member in members}
        assert set(half.returning) <= {member.operator_key for member in members}
        assert all(half.covers(seat.name) for seat in half.left.values())
        assert all(half.covers(home_draw(key)) for key in half.granted)
        assert all(half.covers(seat.name) for seat in half.away.values())
    assert len(zero.membership) + len(one.membership) == len(state.membership)
    for name in ("left", "away", "returning", "granted", "events"):
        assert len(getattr(zero, name)) + len(getattr(one, name)) == len(getattr(state, name)), name


@given(grown(), st.integers(1, 6))
def test_what_is_not_judged_is_divided(state: DataChain, seq: int) -> None:
    zero, one = (half.unjudged(seq) for half in split(state))
    assert not any(a.startswith(b) or b.startswith(a) for a in zero for b in one)
    assert uncovered("", uncovered("", (*zero, *one))) == uncovered("", uncovered("", state.unjudged(seq)))
    assert all(part.startswith("0") for part in zero) and all(part.startswith("1") for part in one)


@given(grown("0"), grown("1"), st.integers(1, 6))
def test_what_either_has_judged_is_judged(zero: DataChain, one: DataChain, seq: int) -> None:
    whole = merged(zero, one)
    left = (*zero.unjudged(seq), *one.unjudged(seq))
    assert whole.unjudged(seq) == uncovered("", uncovered("", left))
    places = [(judged.height, judged.prefix) for judged in whole.judged.get(seq, ())]
    assert places == sorted(set(places))


@given(grown("0"), grown("1"))
def test_a_union_has_everything_of_both(zero: DataChain, one: DataChain) -> None:
    whole = merged(zero, one)
    assert len(whole.membership) == len(zero.membership) + len(one.membership)
    assert {member.prefix for member in whole.membership.members} <= {""}
    for name in ("left", "away", "returning", "granted", "events"):
        assert len(getattr(whole, name)) == len(getattr(zero, name)) + len(getattr(one, name)), name
    assert whole.ended == {**zero.ended, **one.ended}
    assert whole.height == max(zero.height, one.height) + HEIGHTS_LEFT_OUT
    assert whole.link == max(zero.link, one.link)
    assert whole.head == sha3_256(zero.head, one.head)
    read = {"0": zero.height, "1": one.height, "000": max(zero.read["000"], one.read["000"])}
    assert whole.read == read


@given(grown("0"), grown("1"))
def test_after_a_union_nobody_holds_two_places_and_no_place_is_free_that_was_held(
    zero: DataChain, one: DataChain
) -> None:
    holders = merged(zero, one).holders
    assert len(set(holders.values())) == len(holders)
    pairs = {*zero.holders.items(), *one.holders.items()}
    assert set(holders.items()) <= pairs
    for slot, key in pairs:
        assert slot in holders or key in holders.values()
    assert list(holders) == sorted(holders)


def test_a_place_that_both_say_of_different_operators_goes_to_the_lower_draw() -> None:
    zero, one = split(FOUNDED.state)
    slot, keys = b"\x04slot", [key_of(1), key_of(2)]
    whole = merged(
        replace(zero, holders=MappingProxyType({slot: keys[0]})),
        replace(one, holders=MappingProxyType({slot: keys[1]})),
    )
    winner = min(keys, key=lambda key: challenge_draw(whole.head, key))
    assert whole.holders == {slot: winner}


def test_the_stamp_is_the_higher_one() -> None:
    zero, one = split(FOUNDED.state)
    low, high = replace(zero, stamp_height=4), replace(one, stamp_height=5, stamp_hash=hash_of("higher"))
    assert (merged(low, high).stamp_height, merged(low, high).stamp_hash) == (5, hash_of("higher"))
    high = replace(zero, stamp_height=6, stamp_hash=hash_of("highest"))
    assert (merged(high, one).stamp_height, merged(high, one).stamp_hash) == (6, hash_of("highest"))


def test_only_siblings_that_both_merged_are_united() -> None:
    zero, one = split(FOUNDED.state)
    closed = replace(zero, closed_by=Kind.MERGE), replace(one, closed_by=Kind.MERGE)
    united(*closed)
    later = replace(closed[1], splits=(7,))
    for pair in (
        (zero, closed[1]),
        (closed[0], one),
        closed[::-1],
        (closed[0], later),
        (closed[0], replace(closed[1], closed_by=Kind.SPLIT)),
        (replace(FOUNDED.state, closed_by=Kind.MERGE), closed[1]),
    ):
        with pytest.raises(ValueError):
            united(*pair)


def test_only_a_group_that_split_has_children() -> None:
    for ending in (None, Kind.MERGE):
        with pytest.raises(ValueError):
            children(replace(FOUNDED.state, closed_by=ending))


# One member at each IP slot.


def neighbours(world: Groups) -> tuple[Operator, Operator]:
    """Let an operator of each half register at one address; return the one of 0 and the one of 1."""
    first, second = world.voters("0")[0], world.voters("1")[0]
    for one in (first, second):
        prefix = "0" if world.states["0"].covers(home(one)) else "1"
        world.register(prefix, one.envelope(2, network=world.network, ip=operator(77).ip))
    return first, second


def home(one: Operator) -> bytes:
    return sha3_256(one.stake_address)


def crowded() -> tuple[DataChain, DataChain, DataChain, tuple[Operator, Operator]]:
    """Two groups with an operator each at one address, and what they unite to."""
    world = Groups()
    world.split()
    pair = neighbours(world)
    zero, one = (replace(world.states[prefix], stamp_height=48) for prefix in "01")
    return zero, one, merged(zero, one), pair


def aged(state: DataChain, one: Operator, age: int) -> DataChain:
    members = Membership.of(
        replace_fields(member, age=age) if member.operator_key == one.key else member
        for member in state.membership.members
    )
    return replace(state, membership=members, electorate=members.voters())


def test_two_members_of_one_address_do_not_stand_in_one_group() -> None:
    """The one that goes keeps its age for a return."""
    zero, one, whole, pair = crowded()
    members = {member.operator_key: member for member in (*zero.membership.members, *one.membership.members)}
    before = [members[operator.key] for operator in pair]
    gone = max(before, key=lambda member: distance(member.name, whole.head))
    assert [operator.key in whole.membership for operator in pair] == [member != gone for member in before]
    assert whole.left == {gone.operator_key: Left(gone.age, Hash32(gone.name), whole.stamp_height)}
    assert (
        gone.operator_key not in whole.membership.voters()
        and len(whole.membership) == len(zero.membership) + len(one.membership) - 1
    )
    assert whole.link_due and not whole.link_counts


@pytest.mark.parametrize("stays", [0, 1])
def test_the_elder_stays_but_the_holder_before_him(stays: int) -> None:
    zero, one, _, pair = crowded()
    halves, slot = [zero, one], b"\x04" + operator(77).ip
    halves[stays] = aged(halves[stays], pair[stays], 9)
    assert pair[stays].key in merged(*halves).membership
    halves[1 - stays] = replace(halves[1 - stays], holders=MappingProxyType({slot: pair[1 - stays].key}))
    assert pair[1 - stays].key in merged(*halves).membership


def test_a_union_is_counted_by_both_halves_though_its_first_link_parts_two_at_one_address() -> None:
    """Their registrations come into force with the stamp of that link."""
    world = Groups()
    world.split()
    pair = neighbours(world)
    whole = merged(world.states["0"], world.states["1"])
    assert all(one.key in whole.membership for one in pair)
    while world.chain.tip()[0] < 48 + whole.genesis.parameters.burial:
        world.chain.mine()
    link = build_link(whole, world.chain)
    first = whole.resume(decode_block(link), block_hash(link), world.chain)
    assert len(first.membership) == len(whole.membership) - 1 and first.link_due
    assert isinstance(first.electorate, JointElectorate) and first.electorate.blocks == 1
    link = build_link(first, world.chain)
    bound = first.resume(decode_block(link), block_hash(link), world.chain)
    assert not bound.link_due and bound.electorate == bound.membership.voters()
    assert not any(bound.events.values())


# Over real blocks.


def test_children_begin_with_the_split_and_whoever_replays_finds_the_same() -> None:
    world = Groups()
    body = build_split(world.state, world.chain)
    world.advance(body)
    whole, zero, one = world.past["", 1], world.past["0", 1], world.past["1", 1]
    assert zero.head == one.head == whole.head and (zero.height, one.height) == (1, 1)
    assert children(
        DataChain.from_genesis(world.genesis).apply(decode_certified(world.blocks[0]), world.chain)
    ) == (zero, one)
    link = build_link(world.at("0"), world.chain)
    world.advance(link)
    assert world.state.height == 2 and world.state.link == 1 and not world.state.link_due
    assert not any(world.state.events.values()), "a split ages nobody"
