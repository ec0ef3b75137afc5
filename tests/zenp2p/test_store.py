"""The contract of the stores, held by LevelDB, by memory and by the faulty store alike."""

import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.faulty_store import Fault, FaultyStore, SimulatedCrash, every_fault
from zenp2p.ports import Store, StoreError
from zenp2p.store import UNSYNCED_BATCHES_MAX, LevelStore, MemoryStore, StoreReadOnly

Make = Callable[[], Store]

keys = st.binary(max_size=3).filter(lambda key: key < b"\xff")
batches = st.lists(
    st.tuples(st.lists(st.tuples(keys, st.none() | st.binary(max_size=5)), max_size=6), st.booleans()),
    max_size=8,
)


@pytest.fixture(params=["level", "memory", "faulty"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: dict[str, Make] = {
        "level": lambda: LevelStore(tmp_path / "db"),
        "memory": MemoryStore,
        "faulty": FaultyStore,
    }
    store = made[request.param]()
    yield store
    store.close()


def test_batch_puts_and_deletes_in_order(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"c", None)], sync=True)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (b"3", None, None)


def test_iterates_a_prefix_in_key_order_as_it_stood_at_the_call(store: Store) -> None:
    store.write([(b"p\xfe", b"3"), (b"p", b"1"), (b"q", b"4"), (b"o", b"0"), (b"p\x00", b"2")], sync=False)
    pairs = store.iterate(b"p")
    store.write([(b"p\x01", b"new"), (b"p", None)], sync=False)
    assert list(pairs) == [(b"p", b"1"), (b"p\x00", b"2"), (b"p\xfe", b"3")]
    assert [key for key, _ in store.iterate(b"")] == [b"o", b"p\x00", b"p\x01", b"p\xfe", b"q"]


def test_snapshot_does_not_move_and_takes_no_writes(store: Store) -> None:
    store.write([(b"a", b"1")], sync=False)
    view = store.snapshot()
    store.write([(b"a", b"2"), (b"b", b"2")], sync=False)
    assert view.get(b"a") == b"1" and list(view.iterate(b"")) == [(b"a", b"1")]
    with pytest.raises(StoreReadOnly):
        view.write([(b"a", b"3")], sync=False)
    view.close()
    assert store.get(b"a") == b"2"


def test_the_stores_own_keys_are_out_of_reach(store: Store) -> None:
    store.write([(b"\xfe\xff", b"1")], sync=False)
    for act in (
        lambda: store.write([(b"a", b"1"), (b"\xffx", b"1")], sync=False),
        lambda: store.get(b"\xff"),
        lambda: store.iterate(b"\xff"),
    ):
        with pytest.raises(ValueError, match="belongs to the store"):
            act()
    assert list(store.iterate(b"")) == [(b"\xfe\xff", b"1")], "nothing of the refused batch is there"


@pytest.mark.parametrize("bounds", [(), (b"b", b"b\xff"), (b"b\x00", b"b\x7f")])
def test_compacting_gives_the_space_of_overwritten_records_back(
    tmp_path: Path, bounds: tuple[bytes, ...]
) -> None:
    store = LevelStore(tmp_path / "db")
    places = [b"b" + bytes([number]) for number in range(100)]
    for value in (bytes(200_000), b"kept"):
        for place in places:
            store.write([(place, value)], sync=False)
    store.write([(b"a", b"below"), (b"c", b"above")], sync=False)

    def size() -> int:
        total = 0
        for file in (tmp_path / "db").iterdir():
            with suppress(FileNotFoundError):  # the store drops old files by itself
                total += file.stat().st_size
        return total

    assert size() > 12_000_000
    store.compact(*bounds)
    assert size() < 6_000_000
    assert [store.get(place) for place in places] == [b"kept"] * 100
    assert (store.get(b"a"), store.get(b"c")) == (b"below", b"above")
    store.close()


def test_a_closed_store_cannot_be_compacted(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    store.close()
    with pytest.raises(StoreError):
        store.compact()


def test_closed_store_refuses_writes(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError):
        store.write([(b"a", b"1")], sync=True)


@settings(max_examples=40, deadline=None)
@given(history=batches, prefix=keys, after=st.binary(max_size=3))
def test_memory_and_level_are_the_same_map(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[list[tuple[bytes, bytes | None]], bool]],
    prefix: bytes,
    after: bytes,
) -> None:
    path = tmp_path_factory.mktemp("store") / "db"
    level, memory = LevelStore(path), MemoryStore()
    model: dict[bytes, bytes] = {}
    for batch, sync in history:
        level.write(batch, sync=sync)
        memory.write(batch, sync=sync)
        for key, value in batch:
            model.pop(key, None)
            if value is not None:
                model[key] = value
    level.close()
    level = LevelStore(path)
    expected = [(key, model[key]) for key in sorted(model) if key.startswith(prefix)]
    assert list(level.iterate(prefix)) == list(memory.iterate(prefix)) == expected
    behind = [pair for pair in expected if pair[0] > after or not after]
    assert list(level.iterate(prefix, after)) == list(memory.iterate(prefix, after)) == behind
    level.close()


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    LevelStore(tmp_path / "db").close()
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "db.head").stat().st_mode) == 0o600


def test_second_opener_is_refused(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    with pytest.raises(StoreError, match="cannot be opened"):
        LevelStore(tmp_path / "db")
    store.close()
    LevelStore(tmp_path / "db").close()


def test_below_the_disk_floor_it_reads_and_does_not_write(tmp_path: Path) -> None:
    free = [1 << 30]
    store = LevelStore(tmp_path / "db", free_bytes_min=1 << 20, free_bytes=lambda: free[0])
    store.write([(b"a", b"1")], sync=True)
    free[0] = (1 << 20) - 1
    with pytest.raises(StoreReadOnly, match="0 MiB free"):
        store.write([(b"a", b"2")], sync=True)
    assert store.get(b"a") == b"1" and "wanted" in store.read_only_reason
    free[0] = 1 << 20
    store.write([(b"a", b"3")], sync=True)
    assert store.get(b"a") == b"3" and not store.read_only_reason
    store.close()


def test_after_a_failed_write_nothing_more_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LevelStore(tmp_path / "db")
    store.write([(b"a", b"1")], sync=True)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zenp2p.durable_file.os.pwrite", no_space)
    with pytest.raises(StoreError, match="No space left"):
        store.write([(b"b", b"1")], sync=True)
    monkeypatch.undo()
    with pytest.raises(StoreReadOnly, match="No space left"):
        store.write([(b"c", b"1")], sync=True)
    store.close()
    reopened = LevelStore(tmp_path / "db")
    assert list(reopened.iterate(b"")) == [(b"a", b"1"), (b"b", b"1")], "the log may be ahead of its head"
    reopened.close()


def test_long_unsynced_runs_are_synced_in_between(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    before = (tmp_path / "db.head").read_bytes()
    for number in range(UNSYNCED_BATCHES_MAX):
        store.write([(number.to_bytes(4, "big"), b"")], sync=False)
    assert (tmp_path / "db.head").read_bytes() == before
    store.write([(b"last", b"")], sync=False)
    assert (tmp_path / "db.head").read_bytes() != before
    assert store.check() == UNSYNCED_BATCHES_MAX + 1
    store.close()


def test_newer_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zenp2p.store.SCHEMA_VERSION", 2)
    LevelStore(tmp_path / "db").close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="has schema 2, this program reads schema 1"):
        LevelStore(tmp_path / "db")


def _three_writes(store: FaultyStore) -> None:
    store.write([(b"a", b"1")], sync=True)
    store.write([(b"b", b"2"), (b"a", None)], sync=False)
    store.write([(b"c", b"3")], sync=True)


def test_faulty_store_leaves_what_each_fault_leaves() -> None:
    left = {
        (at, fault): sorted(dict(store.survivor().iterate(b"")))
        for at, fault, store in every_fault(_three_writes)
    }
    assert len(left) == 3 * len(Fault)
    assert [left[at, Fault.CRASH_BEFORE] for at in (1, 2, 3)] == [[], [b"a"], [b"b"]]
    assert [left[at, Fault.FAIL] for at in (1, 2, 3)] == [[], [b"a"], [b"b"]]
    assert [left[at, Fault.CRASH_AFTER] for at in (1, 2, 3)] == [[b"a"], [b"b"], [b"b", b"c"]]
    assert [left[at, Fault.POWER_LOSS] for at in (1, 2, 3)] == [[b"a"], [b"a"], [b"b", b"c"]]


def test_faulty_store_stays_dead() -> None:
    store = FaultyStore(1, Fault.CRASH_BEFORE)
    for _ in range(2):
        with pytest.raises(SimulatedCrash):
            store.write([(b"a", b"1")], sync=True)
    with pytest.raises(SimulatedCrash):
        store.get(b"a")
