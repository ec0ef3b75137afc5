"""What a run leaves behind: a hash of everything that happened, and how often each fault struck.

Answers for: two runs with one trace hash did the same things at the same times, to the byte.
Spec: `spec/simulation.md`.
"""

import hashlib
import struct
from dataclasses import asdict, dataclass, fields

DEEP = "deep_reorganisations"
"""The count of what strikes only when it is named; else its name is not printed either."""


LARGE_BYTES = 4_096
"""A message of so many bytes is hashed once, though it goes to many."""
MARKS_MAX = 64
"""Large messages whose hash is remembered."""
HEARD_BYTES = 1 << 16
"""Of the trace: so much is gathered before it is hashed."""
_HEARD = struct.Struct("<QHH")
"""Time, sender, receiver."""


@dataclass(slots=True)
class FaultCounts:
    """How often each fault struck."""

    lost: int = 0
    """Messages that did not arrive: dropped, across a partition, or at a node that was down."""
    delayed: int = 0
    """Messages that took far longer than usual."""
    reordered: int = 0
    """Messages that overtook an earlier one of the same link."""
    partitions: int = 0
    crashes: int = 0
    restarts: int = 0
    reorganisations: int = 0
    deep_reorganisations: int = 0
    byzantine_votes: int = 0
    """Votes and proposals that a dishonest member changed, doubled or made up."""

    def add(self, other: "FaultCounts") -> None:
        """Count another run's faults too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name; deep reorganisations only where there were any."""
        counts = asdict(self)
        return counts if self.deep_reorganisations else {k: counts[k] for k in counts if k != DEEP}


class Trace:
    """A running hash over everything that happens."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._heard = bytearray()
        """What was heard and is not in the hash yet."""
        self._marks: dict[bytes, bytes] = {}

    def note(self, time_ms: int, kind: str, who: int, *data: bytes) -> None:
        """Take one happening: its time, its kind, the actor's number, and what it was about."""
        self._flush()
        self._hash.update(f"{time_ms} {kind} {who} {' '.join(str(len(part)) for part in data)}\n".encode())
        for part in data:
            self._hash.update(part)

    def mark(self, data: bytes) -> bytes:
        """Return what stands for a message in the trace; a large one that comes again is not hashed again."""
        if len(data) < LARGE_BYTES:
            return hashlib.sha256(data).digest()
        mark = self._marks.get(data)
        if mark is None:
            while len(self._marks) >= MARKS_MAX:
                del self._marks[next(iter(self._marks))]
            mark = self._marks[data] = hashlib.sha256(data).digest()
        return mark

    def heard(self, time_ms: int, sender: int, receiver: int, mark: bytes) -> None:
        """Take one message that arrived."""
        self._heard += _HEARD.pack(time_ms, sender, receiver) + mark
        if len(self._heard) >= HEARD_BYTES:
            self._flush()

    def digest(self) -> bytes:
        """Return the hash so far."""
        self._flush()
        return self._hash.digest()

    def _flush(self) -> None:
        if self._heard:
            self._hash.update(self._heard)
            self._heard.clear()
