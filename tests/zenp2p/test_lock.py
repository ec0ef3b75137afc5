"""Exactly one holder, named to the others, and nothing to clean up after a kill."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zenp2p.data_directory import CannotCreate
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.lock import DirectoryInUse, DirectoryLock

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from zenp2p.lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_second_process_is_refused_naming_the_holder_and_a_killed_one_is_succeeded(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = _holder(path)
    with pytest.raises(DirectoryInUse) as caught:
        DirectoryLock(path)
    message = str(caught.value)
    assert str(tmp_path) in message and f"process {child.pid} " in message
    assert "-c" in message and "since 20" in message and "\n" not in message
    assert exit_code(caught.value) is ExitCode.TRY_LATER
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with DirectoryLock(path):
        assert str(os.getpid()).encode() in path.read_bytes()
        assert str(child.pid).encode() not in path.read_bytes()


def test_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "lock"), pytest.raises(DirectoryInUse, match=f"process {os.getpid()} "):
        DirectoryLock(tmp_path / "lock")


def test_released_lock_is_free_and_names_nobody(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "lock")
    lock.release()
    lock.release()
    assert (tmp_path / "lock").read_bytes() == b""
    DirectoryLock(tmp_path / "lock").release()


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "lock")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    lock.release()
    DirectoryLock(tmp_path / "lock").release()
    child.kill()
    child.wait()


def test_file_is_the_owners_alone(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", [b"", b"garbage", b"[]", b'{"pid": "x"}', b"\xff" * 10_000])
def test_holder_that_wrote_nothing_readable_is_refused_all_the_same(tmp_path: Path, text: bytes) -> None:
    with DirectoryLock(tmp_path / "lock"):
        (tmp_path / "lock").write_bytes(text)
        with pytest.raises(DirectoryInUse, match="another process"):
            DirectoryLock(tmp_path / "lock")


def test_strange_command_line_cannot_drive_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["zenp2pd", "\x1b]0;title\x07\n"])
    with DirectoryLock(tmp_path / "lock"), pytest.raises(DirectoryInUse) as caught:
        DirectoryLock(tmp_path / "lock")
    assert str(caught.value).isprintable()


def test_lock_in_a_missing_folder_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="No such file"):
        DirectoryLock(tmp_path / "none" / "lock")


def test_lock_file_removed_while_held_does_not_admit_two_at_once_unnoticed(tmp_path: Path) -> None:
    """flock is on the file, not on its name: who locks a file that is no longer the named one tries again."""
    path = tmp_path / "lock"
    opened = os.open

    def replaced_once(name: str | Path, *rest: int) -> int:
        descriptor = opened(name, *rest)
        os.open = opened
        path.unlink()
        return descriptor

    os.open = replaced_once  # type: ignore[assignment]
    try:
        lock = DirectoryLock(path)
    finally:
        os.open = opened
    with pytest.raises(DirectoryInUse):
        DirectoryLock(path)
    lock.release()
