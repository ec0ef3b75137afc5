"""Who may connect, decided before a byte is read.

Answers for: how many sockets one address may have open towards us, how many of
them may be unauthenticated, and which half-open one gives way when there are too
many: the oldest, since an honest handshake is over in milliseconds. An address where a kept
peer listens has a few places of its own, which no other can take. Pure counting;
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
    reserved: bool = False
    """Whether its place is one that no other can take."""


class Admission:
    """Counts inbound sockets; `enter`, then perhaps `authenticated`, then `leave`."""

    def __init__(self, limits: Limits) -> None:
        """Start with nobody inside."""
        self._limits = limits
        self._sockets: Counter[bytes] = Counter()
        self._half_open: OrderedDict[Guest, None] = OrderedDict()
        self._half_open_by_origin: Counter[bytes] = Counter()
        self.refused = 0

    def enter(self, ip: bytes, give_way: Callable[[], None], *, kept: bool = False) -> Guest | None:
        """Let a new socket in, or return None; `give_way` is called if it must make room.

        With `kept` a peer that is kept listens at the address: its first sockets come in however many
        there are, and their handshakes give way to nobody else's.
        """
        where, limits = origin(ip), self._limits
        reserved = kept and self._sockets[where] < limits.sockets_kept_per_ip
        if (
            (self.inside >= limits.sockets_max and not reserved)
            or self._sockets[where] >= limits.connections_per_ip_max
            or self._half_open_by_origin[where] >= limits.handshakes_per_ip_max
            or not self._has_room_for_handshake(reserved)
        ):
            self.refused += 1
            return None
        guest = Guest(ip, give_way, reserved)
        self._sockets[where] += 1
        self._half_open[guest] = None
        self._half_open_by_origin[where] += 1
        return guest

    def _has_room_for_handshake(self, reserved: bool) -> bool:
        """Whether there is room, once the oldest one without a place of its own has given way."""
        if len(self._half_open) < self._limits.handshakes_max:
            return True
        oldest = next((guest for guest in self._half_open if not guest.reserved), None)
        if oldest is None:
            return reserved
        self.refused += 1
        self.authenticated(oldest)  # no longer counted here; its end gives the socket's place back
        oldest.give_way()
        return True

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
