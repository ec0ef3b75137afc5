"""Counting different values without keeping them all in memory.

Answers for: an exact count; what does not fit into memory waits in files of a temporary
folder, sorted into by the values' own bytes, so that each file can be counted alone.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

IN_MEMORY_MAX = 400_000
"""Values kept in memory: some 50 MB of addresses."""


class DistinctCounter:
    """Counts different byte strings of one length. A context: its folder goes with it."""

    def __init__(self, size: int, in_memory_max: int = IN_MEMORY_MAX) -> None:
        """`size` is the length of each value in bytes."""
        self._size = size
        self._limit = in_memory_max
        self._values: set[bytes] = set()
        self._folder: Path | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, values: Iterable[bytes]) -> None:
        """Take values, old and new; raises `OSError` when they cannot be written."""
        self._values.update(values)
        if len(self._values) > self._limit:
            self._put_away()

    def count(self) -> int:
        """Return how many different values were taken; raises `OSError`."""
        if self._folder is None:
            return len(self._values)
        self._put_away()
        return sum(len(self._different(path)) for path in sorted(self._folder.iterdir()))

    def _put_away(self) -> None:
        """Move the values in memory to their files."""
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="zenp2p-")))
        shelves: dict[int, list[bytes]] = {}
        for value in self._values:
            shelves.setdefault(hashlib.blake2b(value, digest_size=1).digest()[0], []).append(value)
        for number, values in shelves.items():
            with (self._folder / f"{number:03}").open("ab") as file:
                file.write(b"".join(values))
        self._values.clear()

    def _different(self, path: Path) -> set[bytes]:
        data = path.read_bytes()
        return {data[at : at + self._size] for at in range(0, len(data), self._size)}
