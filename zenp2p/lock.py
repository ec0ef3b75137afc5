"""One daemon for each data directory: a lock that names its holder.

Answers for: a second daemon is refused and told who holds the directory, and a
holder that was killed leaves nothing to clean up, because the kernel drops the lock
with the process. The text in the file is for people; the lock itself decides. Spec:
`spec/config.md`.
"""

import fcntl
import json
import os
import shlex
import sys
import time
from pathlib import Path
from types import TracebackType

from protocol.errors import ZenError
from zenp2p.data_directory import FILE_MODE, CannotCreate

HOLDER_SIZE_MAX = 4_096
"""Bytes read of what the holder wrote about itself."""
ATTEMPTS_MAX = 5
"""How often the file may be replaced under our hands before we give up."""


class DirectoryInUse(ZenError):
    """Another process holds the data directory."""


class DirectoryLock:
    """The held lock; released by `release`, at the end of a `with`, or with the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock file at `path`; raises `DirectoryInUse` (naming the holder), `CannotCreate`."""
        self.path = path
        self._descriptor = _lock(path)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, _describe_us(), 0)

    def release(self) -> None:
        """Let the next one in; may be called twice. The file stays, since removing it would race."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(path: Path) -> int:
    """Return the descriptor of the locked file that `path` names now."""
    for _ in range(ATTEMPTS_MAX):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise CannotCreate(f"the lock {path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise DirectoryInUse(f"{path.parent} is in use by {holder}") from None
        if _is_the_file_at(path, descriptor):
            return descriptor
        os.close(descriptor)
    raise CannotCreate(f"the lock {path} is replaced again and again")


def _is_the_file_at(path: Path, descriptor: int) -> bool:
    """Whether nobody removed or replaced the file between opening and locking it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _describe_us() -> bytes:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    command = shlex.join(sys.argv)[: HOLDER_SIZE_MAX // 8]
    return json.dumps({"pid": os.getpid(), "command": command, "started": started}).encode() + b"\n"


def _read_holder(descriptor: int) -> str:
    """Describe the holder in one line; it may not have written about itself yet."""
    try:
        holder = json.loads(os.pread(descriptor, HOLDER_SIZE_MAX, 0))
        # repr keeps control characters of a strange command line off the terminal.
        return f"process {int(holder['pid'])} ({holder['command']!r}, since {holder['started']!s:.40})"
    except (ValueError, KeyError, TypeError):
        return "another process, which has not written its name yet"
