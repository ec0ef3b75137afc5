"""What a simulated disk keeps."""

from protocol.group.vote import Phase, Slot
from protocol.units import Hash32
from simulations.disk import Disk

SLOT = Slot(bytes(32), "list", 1, 0, Phase.PREVOTE)


def test_a_power_cut_loses_unsynced_writes_from_the_end_only() -> None:
    for kept in range(4):
        disk = Disk()
        disk.write([(b"a", b"1"), (b"b", b"1")], sync=True)
        for number in range(3):
            disk.write([(b"n", bytes([number])), (b"b", None)], sync=False)
        assert disk.unsynced == 3 and disk.get(b"n") == b"\x02"
        disk.cut_power(kept)
        assert disk.get(b"a") == b"1"
        assert disk.get(b"n") == (bytes([kept - 1]) if kept else None)
        assert disk.get(b"b") == (None if kept else b"1")
        assert disk.unsynced == 0


def test_a_synced_write_makes_everything_before_it_safe() -> None:
    disk = Disk()
    disk.write([(b"a", b"1")], sync=False)
    assert b"a" not in disk.ever_synced
    disk.write([(b"b", b"2")], sync=True)
    disk.cut_power(0)
    assert (disk.get(b"a"), disk.get(b"b")) == (b"1", b"2") and disk.ever_synced == {b"a", b"b"}


def test_iteration_is_by_key_and_below_the_prefix() -> None:
    disk = Disk()
    disk.write([(b"x/2", b"2"), (b"x/1", b"1"), (b"y", b"3")], sync=False)
    assert list(disk.iterate(b"x/")) == [(b"x/1", b"1"), (b"x/2", b"2")]


def test_the_vote_file_survives_and_keeps_the_first_content() -> None:
    disk = Disk()
    disk.record_vote(SLOT, Hash32(b"\x01" * 32))
    disk.record_vote(SLOT, Hash32(b"\x01" * 32))
    disk.cut_power(0)
    assert disk.recorded == {SLOT: b"\x01" * 32} and len(disk.votes) == 2
