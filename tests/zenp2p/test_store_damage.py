"""Whatever happens to its files, the store either holds all that it acknowledged or refuses to open."""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zenp2p.ports import StoreError
from zenp2p.store import LevelStore
from zenp2p.store_head import RING_SIZE

ROOT = Path(__file__).resolve().parents[2]
ACKNOWLEDGED = 120
TRIALS = 25

Damage = Callable[[random.Random, bytearray], bytearray | None]


def _value(number: int) -> bytes:
    return random.Random(number).randbytes(120)


def _truncate(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(1, len(data))]


def _flip_in_tail(rng: random.Random, data: bytearray) -> bytearray:
    data[-rng.randrange(1, 200)] ^= 1 << rng.randrange(8)
    return data


def _flip_in_first_half(rng: random.Random, data: bytearray) -> bytearray:
    data[rng.randrange(len(data) // 2)] ^= 1 << rng.randrange(8)
    return data


def _zero_tail(rng: random.Random, data: bytearray) -> bytearray:
    size = rng.randrange(100, 4_000)
    data[-size:] = bytes(size)
    return data


def _zero_middle(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data) // 2)
    size = rng.randrange(100, len(data) // 2)
    data[start : start + size] = bytes(size)
    return data


def _remove(rng: random.Random, data: bytearray) -> None:
    return None


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's files as `kill -9` leaves them: everything synced, nothing closed."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "live").mkdir()
    store = LevelStore(folder / "live" / "db")
    for number in range(ACKNOWLEDGED):
        name = number.to_bytes(4, "big")
        store.write([(b"a" + name, _value(number)), (b"b" + name, _value(number))], sync=True)
    shutil.copytree(folder / "live", folder / "dead", ignore=shutil.ignore_patterns("LOCK"))
    store.close()
    return folder / "dead"


def _holds_everything(path: Path) -> bool:
    """Open the store: True when all is there, False when it refuses; anything else fails the test."""
    try:
        store = LevelStore(path)
    except StoreError as error:
        assert "damaged" in str(error) and "\n" not in str(error)
        return False
    expected = [(b"a" + number.to_bytes(4, "big"), _value(number)) for number in range(ACKNOWLEDGED)]
    try:
        assert list(store.iterate(b"a")) == expected, "opened with records missing or changed"
        assert [value for _, value in store.iterate(b"b")] == [value for _, value in expected]
    finally:
        store.close()
    return True


def test_killed_store_opens_with_everything(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    assert _holds_everything(tmp_path / "db")
    assert _holds_everything(tmp_path / "db"), "and again, after LevelDB has moved its log into a table"


@pytest.mark.parametrize(
    ("damage", "refused_min"),
    [
        (_truncate, TRIALS),
        (_flip_in_tail, TRIALS),
        # LevelDB does not read the few padding bytes at the end of a 32 KiB block.
        (_flip_in_first_half, TRIALS - 1),
        (_zero_tail, TRIALS),
        (_zero_middle, TRIALS),
        (_remove, TRIALS),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_damaged_log_is_refused(killed: Path, tmp_path: Path, damage: Damage, refused_min: int) -> None:
    rng = random.Random(11)
    refused = 0
    for trial in range(TRIALS):
        folder = tmp_path / str(trial)
        shutil.copytree(killed, folder)
        [log] = (folder / "db").glob("*.log")
        left = damage(rng, bytearray(log.read_bytes()))
        log.unlink() if left is None else log.write_bytes(left)
        refused += not _holds_everything(folder / "db")
    assert refused >= refused_min


def test_flips_in_the_head_file_never_lose_the_newest_head_silently(killed: Path, tmp_path: Path) -> None:
    rng = random.Random(12)
    for trial in range(TRIALS):
        folder = tmp_path / str(trial)
        shutil.copytree(killed, folder)
        head = folder / "db.head"
        data = bytearray(head.read_bytes())
        for slot in (0, 4_096) if trial % 2 else (rng.choice((0, 4_096)),):
            data[slot + rng.randrange(44)] ^= 1 << rng.randrange(8)
        head.write_bytes(data)
        assert _holds_everything(folder / "db") is (trial % 2 == 0)


@pytest.mark.parametrize("name", ["db.head", "db"])
def test_half_a_store_is_refused(killed: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / name) if name == "db" else (tmp_path / name).unlink()
    assert not _holds_everything(tmp_path / "db")


def test_another_history_of_the_same_length_is_refused(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "other").mkdir()
    other = LevelStore(tmp_path / "other" / "db")
    for number in range(ACKNOWLEDGED):
        other.write([(b"a" + number.to_bytes(4, "big"), b"another")], sync=True)
    other.close()
    shutil.copy(tmp_path / "other" / "db.head", tmp_path / "db.head")
    assert not _holds_everything(tmp_path / "db")


def test_flipped_table_is_noticed_when_it_is_read(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    LevelStore(tmp_path / "db").close()  # moves the log into a table
    [table] = (tmp_path / "db").glob("*.ldb")
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 4
    table.write_bytes(data)
    store = LevelStore(tmp_path / "db")
    with pytest.raises(StoreError, match="damaged"):
        store.check()
    with pytest.raises(StoreError, match="damaged"):
        for number in range(ACKNOWLEDGED):
            store.get(b"a" + number.to_bytes(4, "big"))
    with pytest.raises(StoreError, match="damaged"):
        for prefix in (b"a", b"b"):
            list(store.iterate(prefix))
    store.close()


def test_flip_that_lies_behind_the_ring_of_links_is_refused_by_the_logs_own_checksums(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    for number in range(RING_SIZE + 1_000):
        store.write([(number.to_bytes(4, "big"), b"")], sync=False)
    shutil.copytree(tmp_path / "db", tmp_path / "flipped", ignore=shutil.ignore_patterns("LOCK"))
    shutil.copy(tmp_path / "db.head", tmp_path / "flipped.head")
    store.close()
    [log] = (tmp_path / "flipped").glob("*.log")
    data = bytearray(log.read_bytes())
    data[5_000] ^= 1
    log.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        LevelStore(tmp_path / "flipped")


WRITER = """
import sys
from pathlib import Path
from zenp2p.store import LevelStore
store = LevelStore(Path(sys.argv[1]))
number = sum(1 for _ in store.iterate(b"a"))
while True:
    name = number.to_bytes(4, "big")
    store.write([(b"a" + name, name * 9), (b"b" + name, name)], sync=number % 3 == 0)
    number += 1
    print(number, flush=True)
"""


def test_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(13)
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "db")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(rng.randrange(1, 60))]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        child.wait()
        store = LevelStore(tmp_path / "db")
        written = [key[1:] for key, _ in store.iterate(b"a")]
        assert len(written) >= acknowledged[-1]
        assert written == [key[1:] for key, _ in store.iterate(b"b")], (
            "a batch is applied whole or not at all"
        )
        store.close()
