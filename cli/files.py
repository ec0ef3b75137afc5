"""Reading and writing the files that a command names.

Answers for: no file is read further than the largest that could be meant, none is
written over, and what cannot be read or written is an error that names the file.
"""

from pathlib import Path


def read_file(path: Path, size_max: int) -> bytes:
    """Return a file's bytes, at most one more than `size_max`, so that its reader refuses it.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        return file.read(size_max + 1)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file (mode 0600), on disk on return; raises `OSError`, also if it is there already."""
    from zenp2p.durable_file import write_durably

    try:
        write_durably(path, data, overwrite=False)
    except FileExistsError:
        raise FileExistsError(17, "is there already and is not written over", str(path)) from None
