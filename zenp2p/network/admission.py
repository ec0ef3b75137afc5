"""Who may connect, decided before a byte is read.

Answers for: how many sockets one address may have open towards us, how many of
them may be unauthenticated, and which half-open one gives way when there are too
many: the oldest, since an honest handshake is over in milliseconds. Pure counting;
the sockets are left to `listener`. IPv6 counts by /64, which one customer has.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from zenp2p.network.limits import Limits


def origin(ip: bytes) -> bytes:
    """Return what an address is counted under: the address, or the /64 of IPv6."""
    return ip if len(ip) == 4 else ip[:8]


@dataclass(eq=False, slots=True)
class Guest:
    """One inbound socket; `give_way` closes it."""

    ip: bytes
    give_way: Callable[[], None] = field(repr=False)


class Admission:
    """Counts inbound sockets; `enter`, then perhaps `authenticated`, then `leave`."""

    def __init__(self, limits: Limits) -> None:
        """Start with nobody inside."""
        self._limits = limits
        self._sockets: Counter[bytes] = Counter()
        self._half_open: OrderedDict[Guest, None] = OrderedDict()
        self._half_open_by_origin: Counter[bytes] = Counter()
        self.refused = 0

    def enter(self, ip: bytes, give_way: Callable[[], None]) -> Guest | None:
        """Let a new socket in, or return None; `give_way` is called if it must make room."""
        where, limits = origin(ip), self._limits
        if (
            self.inside >= limits.sockets_max
            or self._sockets[where] >= limits.connections_per_ip_max
            or self._half_open_by_origin[where] >= limits.handshakes_per_ip_max
        ):
            self.refused += 1
            return None
        if len(self._half_open) >= limits.handshakes_max:
            self.refused += 1
            oldest = next(iter(self._half_open))
            self.authenticated(oldest)  # no longer counted here; its end gives the socket's place back
            oldest.give_way()
        guest = Guest(ip, give_way)
        self._sockets[where] += 1
        self._half_open[guest] = None
        self._half_open_by_origin[where] += 1
        return guest

    def authenticated(self, guest: Guest) -> None:
        """Note that the peer behind a socket has proved who it is."""
        if guest in self._half_open:
            del self._half_open[guest]
            _decrease(self._half_open_by_origin, origin(guest.ip))

    def leave(self, guest: Guest) -> None:
        """Give the socket's places back."""
        self.authenticated(guest)
        _decrease(self._sockets, origin(guest.ip))

    @property
    def inside(self) -> int:
        """The sockets that are in."""
        return self._sockets.total()

    @property
    def half_open(self) -> int:
        """The sockets that have not authenticated themselves."""
        return len(self._half_open)


def _decrease(counter: Counter[bytes], key: bytes) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
