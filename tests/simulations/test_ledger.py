"""The ledger of seats follows the rules by itself: where a group is absorbed, and what is void then."""

from collections.abc import Iterable

import pytest

from protocol.codec import encode, replace
from protocol.group.blockmaker import build_block
from protocol.group.data_block import (
    AbsorbPayload,
    Kind,
    Step,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from simulations.ledger import Ledger
from simulations.seats import ABSORBED, Kept, Summoned
from simulations.seats_judged import Breach
from tests.support.many_groups import stored
from tests.support.parted import TERM, Parted


def blocks(parted: Parted, *, far: bool = False) -> list[bytes]:
    """What a node of one side has applied, in its order."""
    return [decode_certified(data).block for _, data in stored(parted.peer(far=far))]


def told(ledger: Ledger, bodies: Iterable[bytes]) -> list[Breach]:
    """Hand blocks to a ledger."""
    found: list[Breach] = []
    for body in bodies:
        block = decode_block(body)
        found += ledger.take(block, decode_payload(block), block_hash(body))
    return found


def ledger_of(parted: Parted) -> Ledger:
    return Ledger(parted.cluster.genesis, {}, parted.cluster.chain)


def agrees(ledger: Ledger, parted: Parted) -> bool:
    """Whether the ledger has every group and every seat where the nodes have it."""
    for machine in parted.peer().node.groups:
        state, group = machine.state, ledger.groups[machine.state.prefix]
        there: dict[bytes, int] = {one.operator_key: one.age for one in state.membership.members}
        left: dict[bytes, int] = {key: one.age for key, one in state.left.items()}
        kept = {key: ledger.seats[key] for key in dict.fromkeys((*there, *left))}
        if (group.height, group.head) != (state.height, state.head) or set(group.members) != set(there):
            return False
        if any(kept[key].age != age for key, age in {**there, **left}.items()):
            return False
        if {key for key, seat in kept.items() if seat.kept is Kept.LEFT} != set(left):
            return False
    return len(ledger.groups) == len(parted.live())


@pytest.fixture(scope="module")
def silent() -> Parted:
    """Of two groups one heard nothing, was absorbed, and its members have come back."""
    parted = Parted(joins=True)
    parted.cluster.cut = {one.key for one in parted.far}
    parted.cluster.mine_to(parted.summon() + TERM + 3)
    parted.heal()
    parted.cluster.mine(30)
    return parted


@pytest.fixture(scope="module")
def divided() -> Parted:
    """Of two groups that did not hear each other one was absorbed, and went on for a while."""
    parted = Parted()
    parted.part()
    parted.cluster.mine_to(parted.summon() + TERM + 3)
    parted.heal()
    return parted


def test_members_of_an_absorbed_group_come_back_without_a_vote(silent: Parted) -> None:
    ledger = ledger_of(silent)
    assert told(ledger, blocks(silent)) == [] and ledger.absorbed == 1
    assert agrees(ledger, silent)
    assert all(ledger.seats[one.key].kept is Kept.MEMBER for one in silent.far)


def test_what_the_absorbed_group_had_not_judged_lapses(silent: Parted) -> None:
    ledger = ledger_of(silent)
    told(ledger, blocks(silent))
    assert ledger.judged.is_whole(8) and "1" in ledger.judged.regions(8)


@pytest.mark.parametrize("before", [False, True])
def test_what_is_void_has_changed_nothing_whether_it_came_before_or_after(
    divided: Parted, before: bool
) -> None:
    ledger, theirs = ledger_of(divided), blocks(divided, far=True)
    bodies = theirs if before else list(dict.fromkeys((*blocks(divided), *theirs)))
    assert told(ledger, bodies) == []
    assert ledger.absorbed == 1 and agrees(ledger, divided)
    assert any(ledger.is_void(one.prefix, one.height) for one in map(decode_block, bodies))


def taking(parted: Parted, **change: object) -> list[Breach]:
    """What a ledger says of the block with which a group is absorbed, with something changed in it."""
    ledger = ledger_of(parted)
    for body in blocks(parted):
        block = decode_block(body)
        payload = decode_payload(block)
        if isinstance(payload, AbsorbPayload) and payload.step is Step.TAKE:
            stamp = change.pop("stamp_height", block.stamp_height)
            assert isinstance(stamp, int)
            hashed = parted.cluster.chain.block_hash(stamp)
            bent = replace(
                block, stamp_height=stamp, stamp_hash=hashed, payload=encode(replace(payload, **change))
            )
            return told(ledger, [encode(bent)])
        told(ledger, [body])
    raise AssertionError("nobody was absorbed")


def test_a_group_is_taken_over_only_after_a_term_at_the_head_and_by_the_summons_that_are_named(
    divided: Parted,
) -> None:
    assert taking(divided) == []
    for change in ({"height": 1}, {"head": bytes(32)}, {"summons": bytes(32)}, {"prefix": "0"}):
        assert [law for law, _ in taking(divided, **change)] == [ABSORBED]
    mined = divided.cluster.chain.tip()[0]
    early = [law for law, _ in taking(divided, stamp_height=mined - TERM)]
    assert ABSORBED in early


def test_a_group_that_has_shown_itself_is_not_taken_over() -> None:
    parted = Parted()
    parted.part()
    parted.summon()
    ledger, before, state = ledger_of(parted), blocks(parted), parted.state("0")
    told(ledger, before)
    opened = ledger.groups["0"].summons
    assert opened is not None
    parted.show_life()
    parted.cluster.mine(TERM + 4)
    assert [law for law, _ in told(ledger, [taken(parted, state, opened)])] == [ABSORBED]


def taken(parted: Parted, state: DataChain, opened: Summoned) -> bytes:
    """The block with which a group would take over the one that it has summoned."""
    payload = AbsorbPayload(
        step=Step.TAKE, prefix=opened.prefix, height=opened.height, head=opened.head, summons=opened.by
    )
    return build_block(state, parted.cluster.chain, Kind.ABSORB, payload)
