"""The archive against the plain record of everything: blocks by hash and place, heads, members, verdicts."""

from functools import cache

import pytest

from protocol.codec import replace
from protocol.errors import InvalidBlock
from protocol.group.data_block import (
    RegisterPayload,
    VerdictPayload,
    decode_block,
    decode_certified,
)
from protocol.group.elsewhere import Standing
from protocol.node import archive as module
from protocol.node.archive import Archive
from protocol.node.effects import Effect
from protocol.node.records import BLOCK
from protocol.payout.list_header import Head
from tests.support.groups_world import Groups as World
from tests.support.held_groups import HeldGroups


@cache
def world() -> World:
    """Return groups that split twice, register, judge, and merge again in part."""
    story = World()
    story.split()
    story.register("0", *(story.registration(one) for one in story.strangers("0", 2)))
    story.split("0")
    story.register("1", *(story.registration(one) for one in story.strangers("1", 1)))
    story.register("00", *(story.registration(one) for one in story.strangers("00", 1)))
    story.judge("00", registers=[one.block_hash for one in story.registers("1", 0)])
    story.judge("01")
    story.judge("1")
    story.shrink("00")
    story.merge("00")
    story.merge("01", "00")
    story.link("0")
    story.register("0", *(story.registration(one) for one in story.strangers("0", 4)[2:]))
    return story


def taken() -> HeldGroups:
    held = HeldGroups(world())
    held.take(world().blocks)
    return held


def stripped(standing: Standing) -> Standing:
    """Return what an archive says of a block: without what its verdicts follow from."""
    payload = standing.payload
    if isinstance(payload, VerdictPayload):
        payload = replace(payload, observations=(), receipts=(), responses=())
    block = replace(standing.block, payload=b"")
    return Standing(standing.block_hash, block, payload, standing.members)


def check(archive: Archive) -> None:
    """Everything that the world knows is what the archive says."""
    story = world()
    assert len(archive) == len(story.standings) == len(story.blocks)
    for hashed, standing in story.standings.items():
        assert archive.standing(hashed) == stripped(standing) and hashed in archive
    for data in story.blocks:
        block = decode_block(decode_certified(data).block)
        assert archive.certified(block.prefix, block.height) == data
    for prefix in ("", "0", "1", "00", "01"):
        for after in range(6):
            assert list(archive.registers(prefix, after)) == [
                stripped(one) for one in story.registers(prefix, after)
            ]
    for (prefix, height), state in story.past.items():
        assert archive.block_hash(prefix, height) == state.head
    assert list(archive.verdict_records(0, 9)) == story.verdict_records(0, 9)
    check_heads(archive)


def check_heads(archive: Archive) -> None:
    story = world()
    heads = story.heads()
    assert archive.heads() == heads
    for cut in (heads, *cuts()):
        assert archive.reach(cut) == dict(sorted(story.reach(cut).items()))
        assert archive.members(cut) == story.members(cut)


def cuts() -> list[tuple[Head, ...]]:
    """Return heads of before: of the whole network, of its halves, and of three groups."""
    past = world().past
    chosen = [
        [("", 0)],
        [("", 1)],
        [("0", 1), ("1", 1)],
        [("0", 2), ("1", 4)],
        [("00", 4), ("01", 5), ("1", 3)],
    ]
    places = [[place for place in cut if place in past] for cut in chosen]
    return [
        tuple(Head(prefix=p, height=h, block_hash=past[p, h].head) for p, h in cut) for cut in places if cut
    ]


def test_it_holds_what_was_certified_over_splits_and_merges() -> None:
    held = taken()
    check(held.archive)
    assert not list(held.archive.verdict_records(10, 99))


def test_after_a_start_it_is_the_same_and_writes_nothing() -> None:
    first = taken()
    before = list(first.store.iterate(BLOCK))
    again = HeldGroups(world(), first.store)
    check(again.archive)
    assert [machine.state for machine in again.groups] == [machine.state for machine in first.groups]
    assert list(first.store.iterate(BLOCK)) == before and not again.groups.take_decided()
    assert again.archive.lives.digest() == first.archive.lives.digest()


def test_blocks_stand_in_the_record_in_the_order_in_which_they_were_applied() -> None:
    held = taken()
    assert [data for _, data in held.store.iterate(BLOCK)] == world().blocks
    assert [key for key, _ in held.store.iterate(BLOCK)] == [
        BLOCK + number.to_bytes(8, "big") for number in range(len(world().blocks))
    ]
    assert [held.archive.order(hashed) for hashed in world().standings] == [*range(len(world().blocks))]
    assert held.archive.order(bytes(32)) == -1


def test_what_memory_has_dropped_is_read_from_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDINGS_MAX", 2)
    held = taken()
    check(held.archive)
    assert len(held.archive._standings) <= 2


def test_what_is_not_written_yet_is_there_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDINGS_MAX", 0)
    held = HeldGroups(world())
    effects: list[Effect] = []
    for data in world().blocks:
        effects += held.groups.take_block(data, 0)
    assert len(held.archive._fresh) == len(world().blocks) == len(held.archive)
    held.write(effects)
    held.groups.tick(0)
    assert not held.archive._fresh
    check(held.archive)


def test_a_record_that_lost_a_block_is_not_mistaken_for_one_that_never_had_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STANDINGS_MAX", 0)
    held = taken()
    held.store.write([(BLOCK + bytes(8), None)], sync=True)
    with pytest.raises(ValueError, match="the record lacks block 1 of group ''"):
        held.archive.standing(world().past["", 1].head)


def test_ranges_are_handed_out_in_the_order_of_application() -> None:
    held, story = taken(), world()
    (again,) = [start for prefix, start in story.births if prefix == "0" and start > 1]
    wants = [(prefix, start + 1) for prefix, start in story.births if (prefix, start) != ("0", again)]
    handed = list(held.archive.following([*wants, ("nowhere", 1), ("0", 99), ("1", 0)], 64))
    assert handed == [data for data in story.blocks if data in handed]
    assert {*places(story.blocks)} - {*places(handed)} == {  # what begins anew is asked for anew
        (prefix, height) for prefix, height in places(story.blocks) if prefix == "0" and height > again
    }
    assert places(list(held.archive.following([("0", again + 1)], 64)))[0] == ("0", again + 1)
    assert len(list(held.archive.following(wants, 1))) == len(wants)


def places(blocks: list[bytes]) -> list[tuple[str, int]]:
    decoded = (decode_block(decode_certified(data).block) for data in blocks)
    return [(block.prefix, block.height) for block in decoded]


def test_somebody_in_two_groups_is_of_no_one_moment() -> None:
    held = taken()
    head = world().past["", 1]
    twice = (
        Head(prefix="", height=1, block_hash=head.head),
        Head(prefix="0", height=1, block_hash=head.head),
    )
    with pytest.raises(InvalidBlock, match="two groups"):
        held.archive.members(twice)
    with pytest.raises(InvalidBlock, match="there is no block"):
        held.archive.reach((Head(prefix="0", height=99, block_hash=bytes(32)),))


def test_the_registers_of_others_up_to_a_stamp() -> None:
    held, story = taken(), world()
    (one,) = story.registers("1", 0)
    assert isinstance(one.payload, RegisterPayload)
    stamp = one.block.stamp_height
    assert held.archive.registers_until("1", 0, stamp) == (one.block_hash,)
    assert held.archive.registers_until("1", 0, None) == (one.block_hash,)
    assert held.archive.registers_until("1", 0, stamp - 1) == ()
    assert held.archive.registers_until("1", one.block.height, None) == ()
    assert held.archive.registering() == ("0", "00", "1")
