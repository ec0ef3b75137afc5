"""The operators whose endpoint we know, and when each is to be dialled next.

Answers for: remembering endpoints across connections and rebuilt hosts, and the waits
between dials: doubled at each failure, with jitter. Two nodes that learn of each other,
or lose each other, would both dial at once: so the higher key waits a little longer.
A connection that breaks within seconds is a failure too. Dialling is left to `dialer`;
libp2p's peer store is not used for this: it forgets after minutes.
"""

import random
from dataclasses import dataclass

from protocol.units import OperatorKey
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

    def _patience(self, key: OperatorKey) -> float:
        return self._limits.dial_patience if self._me > key else 0.0

    def _forget_one(self, connected: frozenset[OperatorKey]) -> None:
        victim = next((key for key in self.known if key not in connected), next(iter(self.known)))
        del self.known[victim]

    def forget(self, key: OperatorKey) -> None:
        """Forget an operator."""
        self.known.pop(key, None)

    def endpoint(self, key: OperatorKey) -> Endpoint | None:
        """Return where an operator listens, if known."""
        entry = self.known.get(key)
        return entry.endpoint if entry else None

    def failed(self, key: OperatorKey, now: float) -> None:
        """Note that a dial failed, or that a connection broke at once."""
        entry = self.known.get(key)
        if entry is None:
            return
        limits = self._limits
        wait = min(limits.redial_most, limits.redial_first * 2 ** min(entry.failures, 30))
        entry.failures += 1
        entry.not_before = now + wait * self._jitter.uniform(0.5, 1.0) + self._patience(key)

    def ended(self, key: OperatorKey, lasted: float, now: float) -> None:
        """Note that a connection of `lasted` seconds is over."""
        entry = self.known.get(key)
        if entry is not None and lasted >= SHORT_LIFE:
            entry.failures = 0
        self.failed(key, now)

    def due(self, connected: frozenset[OperatorKey], now: float) -> list[OperatorKey]:
        """Return whom to dial now, in random order."""
        keys = [key for key, one in self.known.items() if key not in connected and one.not_before <= now]
        self._jitter.shuffle(keys)
        return keys

    def next_due(self, connected: frozenset[OperatorKey]) -> float | None:
        """Return when the next operator becomes due, if any is not connected."""
        return min((one.not_before for key, one in self.known.items() if key not in connected), default=None)
