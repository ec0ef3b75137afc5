"""Small files that must survive a crash: whole replacement, and slots written in turn.

Answers for: after a crash a reader finds the old content or the new, never a mixture,
and a file that holds secrets is never readable by others, not even while it is
written. What the bytes mean is left to the callers. Spec: `spec/store.md`.
"""

import hashlib
import os
from pathlib import Path

CHECKSUM_SIZE = 16
SLOT_SPACING = 4_096
"""The two slots lie in different disk blocks, so that a torn write harms one of them only."""


def checksum(*parts: bytes) -> bytes:
    """Return 16 bytes of SHA-256 over the parts: against accidents, not against people."""
    return hashlib.sha256(b"".join(parts)).digest()[:CHECKSUM_SIZE]


def write_durably(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Put `data` at `path` (mode 0600), on disk on return; raises `OSError`.

    Without `overwrite` an existing file is left as it is and `FileExistsError` raised,
    also when two callers race.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if overwrite:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk; raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_slot(descriptor: int, turn: int, payload: bytes) -> None:
    """Write slot 0 or 1 with its checksum; the caller syncs. Raises `OSError`."""
    os.pwrite(descriptor, payload + checksum(payload), turn * SLOT_SPACING)


def read_slot(descriptor: int, turn: int, size: int) -> bytes | None:
    """Return the payload of `size` bytes in slot 0 or 1, or None when it is torn or was never written."""
    data = os.pread(descriptor, size + CHECKSUM_SIZE, turn * SLOT_SPACING)
    payload = data[:size]
    return payload if len(payload) == size and data[size:] == checksum(payload) else None
