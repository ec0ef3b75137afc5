"""Finding nodes by what they announced on the chain, with nobody's help.

Answers for: the network learns of announced operators in their turns and forgets them when
nothing speaks for them any more; host names are resolved under a deadline, and only to where
operators may listen. Nothing here waits for the disk or for a peer. Which claims count is
`announced_claims`'s business, whom they may move `protocol.tracking.announced`'s, whose turn it is
`announced_turns`'s. Spec: `spec/announcement.md`.
"""

import logging
import math
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address

import trio

from protocol.errors import MalformedMessage
from protocol.parameters import Parameters
from protocol.tracking.announced import Claim, dial_order
from protocol.tracking.diversity import check_routable, fold_mapped, ip_slot
from protocol.tracking.registration import Registration
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import OperatorKey
from zenp2p.announced_claims import RememberedClaims
from zenp2p.announced_turns import Place, Turns
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import ChainEvent
from zenp2p.ports import Endpoint, Network

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks when the chain stands still: turns end then."""
PAUSE_SECONDS = 0.25
"""Between two looks while blocks come fast."""
PATIENCE_SECONDS = 20.0
"""For which a registered operator must be gone before it is dialled elsewhere than it registered."""
RESOLVE_SECONDS = 5.0
"""For one host name. They are resolved one by one: where the system's resolver hangs on longer, it keeps a
thread, and the daemon has 40."""
ADDRESSES_MAX = 8
"""Addresses of one host name that are looked at."""

Registrations = Mapping[OperatorKey, Registration]


class Announced:
    """Keeps the network told of the announced operators whose turn it is."""

    def __init__(
        self, parameters: Parameters, index: ChainIndex, network: Network, configured: Collection[OperatorKey]
    ) -> None:
        """`configured` are the operators whose endpoint our own user named: they stay where they are."""
        self._parameters = parameters
        self._index = index
        self._network = network
        self._known = frozenset({network.operator_key, *configured})
        self._claims = RememberedClaims(index, parameters)
        self._turns = Turns(lambda ip: ip_slot(ip, parameters))
        self._taught: set[OperatorKey] = set()
        """Operators of whom the network knows what we told it."""
        self._gone_since: dict[OperatorKey, float] = {}
        self._moved = trio.Event()
        self._resolver = trio.CapacityLimiter(1)
        self._registrations: tuple[RegistrationBook, int, Registrations] | None = None

    def moved(self, event: ChainEvent) -> None:
        """A block joined or left the chain, and the index holds the outcome."""
        self._claims.moved(event)
        self._moved.set()

    async def run(self, book: Callable[[], RegistrationBook]) -> None:
        """Look whenever the chain moved, and now and then, for ever; `book` returns the present book."""
        async with trio.open_nursery() as nursery:
            while True:
                self._moved = trio.Event()
                for place in self.look(book(), trio.current_time()):
                    nursery.start_soon(self._resolve, place)
                await trio.sleep(PAUSE_SECONDS)
                with trio.move_on_after(LOOK_SECONDS):
                    await self._moved.wait()

    def look(self, book: RegistrationBook, now: float) -> list[Place]:
        """Take one look; returns the places whose host name must be resolved before they are dialled."""
        self._claims.refresh([place.claim.stake_address for place in self._turns.places.values()])
        registrations = self._in_force(book)
        connected = {key for key, _ in self._network.peers()}
        order = dial_order(self._claims.all(), registrations, self._known)
        self._turns.leave(order, connected, now)
        self._clean_up(registrations, connected)
        patient = self._patient(order, registrations, connected, now)
        entered = self._turns.enter(patient, connected, now)
        for place in entered:
            self._dial(place)
        return [place for place in entered if place.endpoint is None]

    def _dial(self, place: Place) -> None:
        if place.endpoint is None:
            return
        operator = place.claim.operator_key
        self._taught.add(operator)
        self._network.learn(operator, place.endpoint)
        fields = {"operator": operator.hex(), "height": place.claim.sighting.height}
        log.info("announced operator dialled", extra={**fields, "signed": place.claim.signed})

    def _clean_up(self, registrations: Registrations, connected: Collection[OperatorKey]) -> None:
        """Take back what we told of operators without a place: the data chain knows better, or nobody."""
        for operator in sorted(self._taught - self._turns.places.keys()):
            registration = registrations.get(operator)
            if registration is not None:
                self._network.learn(operator, Endpoint(registration.ip, registration.port))
            elif operator not in connected:
                self._network.forget(operator)
            else:
                continue
            self._taught.discard(operator)

    def _patient(
        self,
        order: Sequence[Claim],
        registrations: Registrations,
        connected: Collection[OperatorKey],
        now: float,
    ) -> list[Claim]:
        """Leave out registered operators that went a moment ago: what they registered comes first."""
        gone = {
            claim.operator_key: self._gone_since.get(claim.operator_key, now)
            for claim in order
            if claim.operator_key in registrations and claim.operator_key not in connected
        }
        self._gone_since = gone
        return [c for c in order if now >= gone.get(c.operator_key, -math.inf) + PATIENCE_SECONDS]

    def _in_force(self, book: RegistrationBook) -> Registrations:
        """Return who is registered now; computed anew when the book changed or a period began."""
        height = self._index.tip()[0]
        period = height // self._parameters.period_blocks
        known = self._registrations
        if known is None or known[0] is not book or known[1] != period:
            known = self._registrations = (book, period, book.judged(height))
        return known[2]

    async def _resolve(self, place: Place) -> None:
        """Look a place's host name up, and dial it if it leads somewhere."""
        operator, announcement = place.claim.operator_key, place.claim.sighting.announcement
        async with self._resolver:
            if self._turns.places.get(operator) is not place:
                return
            ip = await resolve(announcement.fqdn, self._parameters)
        if self._turns.places.get(operator) is not place:
            return
        connected = {key for key, _ in self._network.peers()}
        if ip is None or not self._turns.has_room_at(ip, connected):
            self._turns.give_up(operator, trio.current_time())
            return
        self._turns.begin(place, Endpoint(ip, announcement.port), trio.current_time())
        self._dial(place)


async def resolve(fqdn: str, parameters: Parameters) -> bytes | None:
    """Return the first packed address of a host name where operators may listen, None when there is none."""
    try:
        with trio.fail_after(RESOLVE_SECONDS):
            found = await trio.socket.getaddrinfo(f"{fqdn}.", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, trio.TooSlowError) as error:
        log.debug("announced host not resolved", extra={"fqdn": fqdn, "error": str(error)})
        return None
    for *_, address in found[:ADDRESSES_MAX]:
        ip = fold_mapped(ip_address(address[0]).packed)
        if _is_routable(ip, parameters):
            return ip
    return None


def _is_routable(ip: bytes, parameters: Parameters) -> bool:
    try:
        check_routable(ip, parameters)
    except MalformedMessage:
        return False
    return True
