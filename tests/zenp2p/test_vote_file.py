"""No vote that was acknowledged is ever missing without the file saying so."""

import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenp2p.ports import StoreError
from zenp2p.vote_file import Record, VoteFile

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 60

records_lists = st.lists(
    st.lists(st.tuples(st.binary(max_size=40), st.binary(min_size=32, max_size=32)), max_size=4), max_size=6
)


def _votes(count: int) -> list[Record]:
    return [(b"slot %d" % number, random.Random(number).randbytes(32)) for number in range(count)]


def _written(path: Path, votes: list[Record]) -> bytes:
    """Append the votes one by one and return the file as a kill leaves it."""
    file = VoteFile.create(path)
    for vote in votes:
        file.append([vote])
    file.close()
    return path.read_bytes()


@settings(deadline=None, max_examples=50)
@given(records_lists)
def test_what_was_appended_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[Record]]
) -> None:
    path = tmp_path_factory.mktemp("votes") / "votes"
    file = VoteFile.create(path)
    expected: list[Record] = []
    for records in history:
        file.append(records)
        expected += records
        assert file.load() == expected
        file.close()
        file = VoteFile(path)
        assert file.load() == expected and file.complete
    file.close()


def test_one_fsync_for_each_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = VoteFile.create(tmp_path / "votes")
    synced: list[int] = []
    monkeypatch.setattr("zenp2p.vote_file.os.fdatasync", synced.append)
    file.append(_votes(5))
    assert len(synced) == 1
    file.close()


def test_file_is_the_owners_alone(tmp_path: Path) -> None:
    VoteFile.create(tmp_path / "votes").close()
    assert stat.S_IMODE((tmp_path / "votes").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["votes"]


def test_created_once_only(tmp_path: Path) -> None:
    before = _written(tmp_path / "votes", _votes(2))
    with pytest.raises(StoreError, match="cannot be created: File exists"):
        VoteFile.create(tmp_path / "votes")
    assert (tmp_path / "votes").read_bytes() == before


def test_missing_file_is_incomplete_and_stays_so(tmp_path: Path) -> None:
    for _ in range(2):
        file = VoteFile(tmp_path / "votes")
        assert not file.complete and file.load() == []
        file.append([])
        file.close()
    file = VoteFile(tmp_path / "votes")
    file.append(_votes(1))
    assert not file.complete
    file.rewrite(file.load(), complete=True)
    file.close()
    file = VoteFile(tmp_path / "votes")
    assert file.complete and file.load() == _votes(1)
    file.close()


def test_cut_tail_is_noticed_and_the_rest_kept(tmp_path: Path) -> None:
    votes = _votes(9)
    whole = _written(tmp_path / "whole", votes)
    rng = random.Random(1)
    for _ in range(TRIALS):
        path = tmp_path / "cut"
        path.write_bytes(whole[: rng.randrange(2 * 4_096 - 40, len(whole))])
        for _ in range(2):  # the second opening must not forget it
            file = VoteFile(path)
            assert not file.complete
            kept = file.load()
            assert kept == votes[: len(kept)] and len(kept) < len(votes)
            file.close()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_flipped_bit_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    votes = _votes(5)
    folder = tmp_path_factory.mktemp("votes")
    whole = bytearray(_written(folder / "votes", votes))
    heads = [place + offset for place in (0, 4_096) for offset in range(45)]
    position = data.draw(st.sampled_from(heads) | st.integers(2 * 4_096, len(whole) - 1))
    whole[position] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "votes").write_bytes(whole)
    file = VoteFile(folder / "votes")
    assert file.load() == votes or not file.complete
    file.close()


def test_both_heads_gone_is_noticed(tmp_path: Path) -> None:
    whole = bytearray(_written(tmp_path / "votes", _votes(3)))
    whole[: 2 * 4_096] = bytes(2 * 4_096)
    (tmp_path / "votes").write_bytes(whole)
    file = VoteFile(tmp_path / "votes")
    assert file.load() == _votes(3) and not file.complete
    file.close()


def test_append_whose_head_was_torn_counts(tmp_path: Path) -> None:
    votes = _votes(3)
    whole = bytearray(_written(tmp_path / "votes", votes))
    newest = 0 if whole[5:13] > whole[4_096 + 5 : 4_096 + 13] else 4_096
    whole[newest + 20 : newest + 40] = bytes(20)
    (tmp_path / "votes").write_bytes(whole)
    file = VoteFile(tmp_path / "votes")
    assert file.load() == votes and file.complete
    file.append([(b"next", bytes(32))])
    file.close()
    file = VoteFile(tmp_path / "votes")
    assert file.load() == [*votes, (b"next", bytes(32))] and file.complete
    file.close()


def test_append_cut_by_a_crash_is_overwritten(tmp_path: Path) -> None:
    votes = _votes(4)
    whole = _written(tmp_path / "votes", votes[:3])
    (tmp_path / "votes").write_bytes(whole + b"\x00\x06slot 3 and then nothing")
    file = VoteFile(tmp_path / "votes")
    assert file.load() == votes[:3] and file.complete
    file.append([votes[3]])
    file.close()
    file = VoteFile(tmp_path / "votes")
    assert file.load() == votes and file.complete
    file.close()


def test_after_a_failed_sync_nothing_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = VoteFile.create(tmp_path / "votes")

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("zenp2p.vote_file.os.fdatasync", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        file.append(_votes(1))
    monkeypatch.undo()
    with pytest.raises(StoreError, match="Input/output error"):
        file.append(_votes(1))
    file.close()


def test_pruned_file_keeps_what_it_was_told_to(tmp_path: Path) -> None:
    file = VoteFile.create(tmp_path / "votes")
    file.append(_votes(100))
    before = file.size
    file.rewrite(_votes(100)[90:], complete=file.complete)
    assert file.size < before and file.load() == _votes(100)[90:]
    file.append(_votes(1))
    file.close()
    file = VoteFile(tmp_path / "votes")
    assert file.load() == [*_votes(100)[90:], *_votes(1)] and file.complete
    file.close()


WRITER = """
import sys
from pathlib import Path
from zenp2p.vote_file import VoteFile
path = Path(sys.argv[1])
file = VoteFile(path) if path.exists() else VoteFile.create(path)
number = len(file.load())
while True:
    file.append([(b"slot", number.to_bytes(32, "big")), (b"slot", (number + 1).to_bytes(32, "big"))])
    number += 2
    print(number, flush=True)
"""


def test_killed_writer_loses_no_vote(tmp_path: Path) -> None:
    rng = random.Random(3)
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "votes")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(rng.randrange(1, 40))]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        child.wait()
        file = VoteFile(tmp_path / "votes")
        kept = [int.from_bytes(content, "big") for _, content in file.load()]
        assert kept == list(range(len(kept))) and len(kept) >= acknowledged[-1] and file.complete
        file.close()
