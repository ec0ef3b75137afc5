"""Small files are replaced whole, for the owner alone, and never by accident."""

import os
import stat
from pathlib import Path

import pytest

from zenp2p.durable_file import read_slot, write_durably, write_slot


def test_replaces_the_whole_content_and_narrows_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    path.chmod(0o644)
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_leaves_an_existing_file_alone_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"first", overwrite=False)
    with pytest.raises(FileExistsError):
        write_durably(path, b"second", overwrite=False)
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def failing(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zenp2p.durable_file.os.fsync", failing)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("turn", [0, 1])
def test_slot_is_read_whole_or_not_at_all(tmp_path: Path, turn: int) -> None:
    descriptor = os.open(tmp_path / "slots", os.O_RDWR | os.O_CREAT, 0o600)
    assert read_slot(descriptor, turn, 7) is None
    write_slot(descriptor, turn, b"payload")
    assert read_slot(descriptor, turn, 7) == b"payload"
    assert read_slot(descriptor, turn ^ 1, 7) is None and read_slot(descriptor, turn, 6) is None
    os.pwrite(descriptor, b"P", turn * 4_096)
    assert read_slot(descriptor, turn, 7) is None
    os.close(descriptor)
