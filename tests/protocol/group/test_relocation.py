"""Who moves, and as what: the candidates of a group, closed forms, what is a ticket."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import replace as replace_fields
from protocol.crypto import sha3_256
from protocol.group.age import AGE_MAX
from protocol.group.data_block import DataBlock, Kind, LinkPayload, Move
from protocol.group.data_chain import NOWHERE, DataChain
from protocol.group.elsewhere import Around
from protocol.group.entropy import entropy_height
from protocol.group.kinds.links import after_link, with_members
from protocol.group.membership import Member, Membership
from protocol.group.name import assign_name, distance, matches
from protocol.group.relocation import (
    candidate,
    contenders,
    due_move,
    is_large,
    is_returning,
    is_ticket,
    joining_move,
    return_move,
)
from protocol.group.state import GroupState, Returning
from protocol.units import Hash32, OperatorKey
from tests.support.founding import founded_by
from tests.support.moves_world import PARAMETERS
from tests.support.operators import operators

GENESIS = founded_by(operators(4), parameters=PARAMETERS)
WHOLE = DataChain.from_genesis(GENESIS)
G = PARAMETERS.group_size
ENTROPY = sha3_256(b"entropy")
SEQ = 12
STAMP = 100


def group(*ages: int, events: dict[int, int] | None = None) -> GroupState:
    """A group whose members 0, 1, … have these ages, and these events."""
    members = [
        Member(operator_key=key(n), age=age, name=assign_name(age, key(n), b"seed"), prefix="", joined=0)
        for n, age in enumerate(ages)
    ]
    counted = {key(n): count for n, count in (events or {}).items()}
    state = with_members(WHOLE, Membership.of(members))
    return replace(state, link_due=False, events=MappingProxyType(counted))


def key(number: int) -> OperatorKey:
    return OperatorKey(bytes([number + 1]) * 32)


def numbers(members: tuple[Member, ...]) -> list[int]:
    return [member.operator_key[0] - 1 for member in members]


def returning(state: GroupState, number: int, age: int = 6) -> GroupState:
    return replace(state, returning=MappingProxyType({key(number): Returning(age, SEQ, STAMP)}))


# Who.


@pytest.mark.parametrize(
    ("ages", "events", "chosen"),
    [
        ((1, 1, 1, 1), {}, []),
        ((1, 1, 1, 1), {2: 1}, []),
        ((1, 1, 1, 1), {2: 2}, [2]),
        ((1, 1, 1, 1), {1: 2, 2: 3, 3: 3}, [2, 3]),
        ((1, 2, 1, 2), {0: 9, 1: 4, 2: 9, 3: 3}, [1]),
        ((1, 2, 1, 2), {0: 9, 1: 3, 2: 8, 3: 3}, [0]),
        ((0, 2, 0, 2), {1: 4, 3: 9}, [0, 2]),
        ((0, 1), {1: 9}, [0]),
        ((1, 1), {1: 9}, [1]),
    ],
)
def test_newcomers_come_first_then_the_eldest_with_the_most_events(
    ages: tuple[int, ...], events: dict[int, int], chosen: list[int]
) -> None:
    assert numbers(contenders(group(*ages, events=events), STAMP)) == chosen


def test_of_equals_the_name_nearest_to_the_entropy_moves() -> None:
    state = group(0, 0, 0, 1, 1)
    for entropy in (sha3_256(bytes([n])) for n in range(9)):
        chosen = candidate(state, entropy, STAMP)
        assert chosen is not None
        nearest = min(state.membership.members[:3], key=lambda one: distance(one.name, entropy))
        assert chosen == nearest
    assert candidate(group(1, 1), ENTROPY, STAMP) is None


def test_who_is_returning_is_no_candidate_until_that_lapses() -> None:
    state = returning(group(0, 1, 1, 1, events={1: 1}), 0)
    last = entropy_height(SEQ, PARAMETERS) + PARAMETERS.silence
    assert is_returning(state, key(0), last) and contenders(state, last) == ()
    assert not is_returning(state, key(0), last + 1) and numbers(contenders(state, last + 1)) == [0]
    assert not is_returning(state, key(1), STAMP)


def test_the_last_voter_of_a_large_group_stays() -> None:
    crowd = group(*[1] + [0] * G, events={0: 9})
    crowd = replace(crowd, returning=MappingProxyType(dict.fromkeys(map(key, range(1, G + 1)), RETURN)))
    assert is_large(crowd) and contenders(crowd, STAMP) == ()
    assert numbers(contenders(group(*[1] * (G + 1), events={0: 9}), STAMP)) == [0]
    assert numbers(contenders(group(1, events={0: 9}), STAMP)) == [0], "it ages where it is"


RETURN = Returning(0, SEQ, STAMP)


@pytest.mark.parametrize("age", range(1, 11))
def test_who_is_uncontended_moves_after_exactly_two_to_the_age_events(age: int) -> None:
    state, around = group(age, *[AGE_MAX] * G), Around(None, NOWHERE)  # type: ignore[arg-type]
    counted = 0
    while not contenders(state, STAMP):
        state = replace(state, gate_open=True, link_due=True)
        payload = LinkPayload(
            number=state.link + 1, members_count=G + 1, members_root=state.membership.root()
        )
        state = after_link(state, BLOCK, payload, around)
        counted += 1
    assert counted == 2**age and numbers(contenders(state, STAMP)) == [0]


BLOCK = DataBlock(
    network=WHOLE.network,
    prefix="",
    height=1,
    previous=WHOLE.head,
    stamp_height=STAMP,
    stamp_hash=ENTROPY,
    kind=Kind.RELOCATE,
    payload=b"",
)

# As what.


@given(age=st.integers(0, AGE_MAX), others=st.integers(0, 2 * G))
def test_a_large_group_renames_who_moves_a_small_one_lets_it_keep_its_name(age: int, others: int) -> None:
    state = group(age, *[1] * others)
    member = state.membership.members[0]
    moved = due_move(state, member, SEQ, ENTROPY)
    assert moved.age == min(age + 1, AGE_MAX) and moved.seq == SEQ
    assert moved.why is (Move.AGED if age else Move.FIRST)
    renamed = assign_name(moved.age, key(0), ENTROPY)
    assert moved.name == (renamed if others >= G else member.name)


@given(age=st.integers(0, AGE_MAX))
def test_who_returns_goes_on_with_half_its_age(age: int) -> None:
    moved = return_move(returning(group(0, 1), 0, age), key(0), ENTROPY)
    assert (moved.why, moved.age, moved.seq) == (Move.REJOIN, age // 2, SEQ)
    assert moved.name == assign_name(age // 2, key(0), ENTROPY)


@settings(max_examples=50)
@given(prefix=st.text("01", max_size=4), entropy=st.binary(min_size=32, max_size=32))
def test_a_ticket_is_a_join_or_a_move_out_of_the_group(prefix: str, entropy: bytes) -> None:
    block = replace_fields(BLOCK, prefix=prefix)
    joining = joining_move(key(0), SEQ, bytes(32), b"", entropy)
    assert is_ticket(block, joining)
    moved = due_move(group(*[1] * (G + 1)), group(1).membership.members[0], SEQ, Hash32(entropy))
    assert is_ticket(block, moved) == (not matches(prefix, moved.name))
