"""Blocks that wait: for what, and how many."""

import pytest

from protocol.codec import encode
from protocol.group.certificate import Certificate
from protocol.group.data_block import CertifiedBlock, DataBlock, Kind, block_hash, decode_block
from protocol.node import waiting as module
from protocol.node.waiting import Waiting
from protocol.units import Hash32

NEEDED, OTHER = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)


def block(height: int, *, prefix: str = "0", size: int = 10, signatures: int = 0) -> CertifiedBlock:
    body = encode(
        DataBlock(
            network=bytes(32),
            prefix=prefix,
            height=height,
            previous=bytes(32),
            stamp_height=1,
            stamp_hash=bytes(32),
            kind=Kind.LINK,
            payload=bytes(size),
        )
    )
    certificate = Certificate(
        electorate=f"group:{prefix}",
        height=height,
        round=0,
        block_hash=block_hash(body),
        signatures=tuple((number.to_bytes(32, "big"), bytes(64)) for number in range(signatures)),
    )
    return CertifiedBlock(block=body, certificate=certificate)


def test_a_block_is_handed_out_once_when_what_it_needs_is_there() -> None:
    waiting = Waiting()
    one, two = block(5), block(6)
    waiting.hold(one, NEEDED, is_proven=True)
    waiting.hold(two, NEEDED, is_proven=False)
    waiting.hold(block(7), OTHER, is_proven=True)
    assert waiting.freed_by(NEEDED) == [one, two] and len(waiting) == 1
    assert not waiting.freed_by(NEEDED) and not waiting.freed_by(block_hash(one.block))


def test_a_block_waits_for_a_height_of_the_chain() -> None:
    waiting = Waiting()
    waiting.hold(block(5), 20, is_proven=True)
    waiting.hold(block(6), 22, is_proven=True)
    assert not waiting.freed_at(19)
    assert waiting.freed_at(21) == [block(5)]
    assert waiting.freed_at(22) == [block(6)] and not len(waiting)


def test_a_block_that_comes_again_waits_once_for_what_it_lacks_now() -> None:
    waiting = Waiting()
    waiting.hold(block(5), NEEDED, is_proven=False)
    waiting.hold(block(5), OTHER, is_proven=True)
    assert len(waiting) == 1 and not waiting.freed_by(NEEDED)
    assert waiting.freed_by(OTHER) == [block(5)]


def test_only_what_is_proven_need_not_be_asked_for() -> None:
    waiting = Waiting()
    waiting.hold(block(5), NEEDED, is_proven=True)
    waiting.hold(block(6), NEEDED, is_proven=False)
    assert waiting.proven() == {("0", 5)}


def test_the_oldest_are_dropped_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    waiting = Waiting()
    for height in range(1, 9):
        waiting.hold(block(height), NEEDED, is_proven=False)
    assert waiting.freed_by(NEEDED) == [block(6), block(7), block(8)]


def test_the_oldest_are_dropped_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(block(1, size=1_000).block)
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 2 * size)
    waiting = Waiting()
    for height in range(1, 9):
        waiting.hold(block(height, size=1_000), height, is_proven=True)
    assert len(waiting) == 2 and waiting._bytes == 2 * size
    assert waiting.freed_at(99) == [block(7, size=1_000), block(8, size=1_000)] and waiting._bytes == 0


def test_certificates_that_nobody_has_checked_fill_the_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hundred small blocks with a megabyte of signatures each would have filled the memory."""
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 100_000)
    waiting = Waiting()
    for height in range(1, 11):
        waiting.hold(block(height, signatures=100), NEEDED, is_proven=False)
    assert len(waiting) == 3
    assert [decode_block(one.block).height for one in waiting.freed_by(NEEDED)] == [8, 9, 10]
