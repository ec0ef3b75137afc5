"""The operators whose endpoint we know, which of them are kept, and when each is to be dialled next.

Answers for: remembering endpoints across connections and rebuilt hosts, and the waits
between dials: doubled at each failure, with jitter. Two nodes that learn of each other,
or lose each other, would both dial at once: so the higher key waits a little longer.
A connection that breaks within seconds is a failure too. Kept peers are those that the
daemon cannot do without for now: they are never forgotten, and wait less. Dialling is left to
`dialer`; libp2p's peer store is not used for this: it forgets after minutes.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.units import OperatorKey
from zenp2p.network.admission import origin
from zenp2p.network.limits import Limits
from zenp2p.ports import Endpoint

SHORT_LIFE = 10.0
"""Seconds that a connection must last for the waits to start over."""


@dataclass(slots=True)
class Known:
    """What is known of one operator."""

    endpoint: Endpoint
    failures: int = 0
    not_before: float = 0.0


class PeerTable:
    """Endpoints and waits by operator; times are the caller's clock in seconds."""

    def __init__(self, me: OperatorKey, limits: Limits, jitter: random.Random) -> None:
        """Know nobody yet; `me` is our own key."""
        self._me = me
        self._limits = limits
        self._jitter = jitter
        self.known: dict[OperatorKey, Known] = {}
        self.kept: frozenset[OperatorKey] = frozenset()
        """Whose place is theirs, whether we know where they listen or not."""
        self._kept_origins: frozenset[bytes] | None = None

    def keep(self, keys: Sequence[OperatorKey], now: float) -> None:
        """Let these be the kept peers, the first `kept_max` of them; the new ones' waits start over."""
        before = self.kept
        self.kept = frozenset([key for key in keys if key != self._me][: self._limits.kept_max])
        self._kept_origins = None
        for key in self.kept - before:
            entry = self.known.get(key)
            if entry is not None:
                self.known[key] = Known(entry.endpoint, not_before=now + self._patience(key))

    def is_kept_at(self, ip: bytes) -> bool:
        """Whether a kept peer listens at this address, as `origin` counts addresses."""
        if self._kept_origins is None:
            there = (self.known.get(key) for key in self.kept)
            self._kept_origins = frozenset(origin(one.endpoint.ip) for one in there if one is not None)
        return origin(ip) in self._kept_origins

    def learn(
        self, key: OperatorKey, endpoint: Endpoint, connected: frozenset[OperatorKey], now: float
    ) -> None:
        """Remember an endpoint; a new one is dialled at once, the one we had keeps its waits."""
        entry = self.known.get(key)
        if entry is not None and entry.endpoint == endpoint:
            return
        if entry is None and len(self.known) >= self._limits.known_peers_max:
            self._forget_one(connected)
        self.known[key] = Known(endpoint, not_before=now + self._patience(key))
        self._kept_origins = None

    def _patience(self, key: OperatorKey) -> float:
        return self._limits.dial_patience if self._me > key else 0.0

    def _forget_one(self, connected: frozenset[OperatorKey]) -> None:
        others = [key for key in self.known if key not in self.kept]
        victim = next((key for key in others if key not in connected), next(iter(others or self.known)))
        self.forget(victim)

    def forget(self, key: OperatorKey) -> None:
        """Forget an operator."""
        self.known.pop(key, None)
        self._kept_origins = None

    def endpoint(self, key: OperatorKey) -> Endpoint | None:
        """Return where an operator listens, if known."""
        entry = self.known.get(key)
        return entry.endpoint if entry else None

    def failed(self, key: OperatorKey, now: float, *, refused: bool = False) -> None:
        """Note that a dial failed, or, with `refused`, that a connection broke at once."""
        entry = self.known.get(key)
        if entry is None:
            return
        limits = self._limits
        most = limits.redial_kept_most if key in self.kept and not refused else limits.redial_most
        wait = min(most, limits.redial_first * 2 ** min(entry.failures, 30))
        entry.failures += 1
        entry.not_before = now + wait * self._jitter.uniform(0.5, 1.0) + self._patience(key)

    def ended(self, key: OperatorKey, lasted: float, now: float) -> None:
        """Note that a connection of `lasted` seconds is over."""
        entry = self.known.get(key)
        if entry is not None and lasted >= SHORT_LIFE:
            entry.failures = 0
        self.failed(key, now, refused=True)

    def due(self, connected: frozenset[OperatorKey], now: float, *, kept: bool = False) -> list[OperatorKey]:
        """Return whom to dial now, in random order: of the kept peers or of the others."""
        keys = [key for key, one in self._absent(connected, kept) if one.not_before <= now]
        self._jitter.shuffle(keys)
        return keys

    def next_due(self, connected: frozenset[OperatorKey], *, kept: bool = False) -> float | None:
        """Return when the next one of the kept peers, or of the others, becomes due, if any is absent."""
        return min((one.not_before for _, one in self._absent(connected, kept)), default=None)

    def _absent(self, connected: frozenset[OperatorKey], kept: bool) -> Iterable[tuple[OperatorKey, Known]]:
        """Yield whose endpoint we know and who is not connected, of the kept peers or of the others."""
        if kept:
            return ((key, self.known[key]) for key in sorted(self.kept - connected) if key in self.known)
        apart = connected | self.kept
        return ((key, one) for key, one in self.known.items() if key not in apart)
