"""What this node remembers of each peer while they exchange the embedded chain.

Answers for: how much one peer may ask and hand over in a second, what it owes us and
until when, and the branch it offered. Everything in here has a limit, and all of it
goes when the peer does. What is done about it is left to `sync`.
Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.units import Hash32, OperatorKey
from zenp2p.chain.embedded.records import HeaderRecord
from zenp2p.chain.embedded.remembered import Remembered

REPLY_MILLISECONDS = 10_000
"""Time in which a request is answered; three that are not cost the peer its connection."""
STRIKES_MAX = 3
PATIENCE_MILLISECONDS = 1_000
"""Time after which another peer is asked for the same block as well."""
REQUESTS_PER_SECOND = 32
"""Requests of one peer that are served; more are left unanswered."""
SERVED_BYTES_PER_SECOND = 4_000_000
"""Bytes of replies that one peer gets; it could not check more."""
HEADERS_ASKED_PER_SECOND = 4
"""Requests for headers that one peer gets: checking 1,000 takes about 20 ms, and it can make more."""
PUSHES_PER_SECOND = 256
"""Announced blocks and transactions of one peer that are looked at; more are dropped."""
KNOWN_MAX = 512
"""Blocks and transactions of which we remember that a peer has them."""
BRANCH_MAX = 20_000
"""Headers of one offered branch; a reorganisation deeper than this is not followed by itself."""


class Allowance:
    """So many of something in each second."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, per_second: int) -> None:
        self._limit = per_second
        self._second = 0
        self._count = 0

    def take(self, now_ms: int, amount: int = 1) -> bool:
        """Use some up; False when so many are not left in this second."""
        second = now_ms // 1_000
        if second != self._second:
            self._second, self._count = second, 0
        self._count += amount
        return self._count <= self._limit


class Debt:
    """A reply that is owed to us until some moment, or nothing."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: int | None = None

    def __bool__(self) -> bool:
        """Whether something is owed."""
        return self._since is not None

    def begin(self, now_ms: int) -> None:
        """Something was asked for now."""
        self._since = now_ms

    def clear(self) -> None:
        """It came, or is no longer waited for."""
        self._since = None

    def fresh(self, now_ms: int) -> bool:
        """Whether it was asked for so recently that nobody else needs to be asked."""
        return self._since is not None and 0 <= now_ms - self._since < PATIENCE_MILLISECONDS

    def overdue(self, now_ms: int) -> bool:
        """Whether the time is up; a clock that was set back counts as up too, or it would never be."""
        return self._since is not None and not 0 <= now_ms - self._since < REPLY_MILLISECONDS


class Offer:
    """A branch of headers that a peer has and we may want: checked, and not all of it stored."""

    __slots__ = ("_hashes", "_position", "complete", "last", "since")

    def __init__(self, now_ms: int) -> None:
        self._hashes: list[Hash32] = []
        self._position = 0
        self.since = now_ms
        self.last: HeaderRecord | None = None
        self.complete = False
        """Whether the peer has no header after the last one."""

    @property
    def full(self) -> bool:
        """Whether the branch is as long as it may get."""
        return len(self._hashes) >= BRANCH_MAX

    def append(self, record: HeaderRecord, *, stored: bool) -> None:
        """Add the next header of the branch, unless it is full; a stored one needs no fetching."""
        if not self.full:
            self.last = record
            if not stored:
                self._hashes.append(record.block_hash)

    def wanted(self, is_stored: Callable[[bytes], bool], limit: int) -> list[Hash32]:
        """Return the next blocks that are not stored, in order, at most `limit`."""
        while self._position < len(self._hashes) and is_stored(self._hashes[self._position]):
            self._position += 1
        return self._hashes[self._position : self._position + limit]


@dataclass(slots=True)
class Peer:
    """One connected peer."""

    key: OperatorKey
    known: Remembered = field(default_factory=lambda: Remembered(KNOWN_MAX))
    requests: Allowance = field(default_factory=lambda: Allowance(REQUESTS_PER_SECOND))
    served: Allowance = field(default_factory=lambda: Allowance(SERVED_BYTES_PER_SECOND))
    asked: Allowance = field(default_factory=lambda: Allowance(HEADERS_ASKED_PER_SECOND))
    pushes: Allowance = field(default_factory=lambda: Allowance(PUSHES_PER_SECOND))
    headers: Debt = field(default_factory=Debt)
    blocks: Debt = field(default_factory=Debt)
    expected: tuple[Hash32, ...] = ()
    """Blocks that were asked of this peer, in this order."""
    offer: Offer | None = None
    strikes: int = 0
    banned: bool = False
