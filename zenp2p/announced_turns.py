"""Whose turn it is: which announced operators are dialled now, and for how long.

Answers for: few are dialled at once, everybody comes to his turn, and who is connected
keeps his place. Times are handed in. Which claims may lead to a dial at all is
`protocol.tracking.announced`'s rule, dialling itself the network's. Spec:
`spec/announcement.md`.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from protocol.tracking.announced import Claim
from protocol.tracking.announcement import Announcement
from protocol.units import OperatorKey
from zenp2p.ports import Endpoint

PLACES_MAX = 24
"""Announced operators that are cared for at once: dialled, or connected because of it."""
PAID_PLACES_MAX = 2
"""Of them those for which nobody signed but who paid an address that holds a stake."""
TURN_SECONDS = 30.0
"""For which an operator is dialled; who is not connected by then makes room."""
REST_SECONDS = 60.0
"""After a turn, at least, until a claim has its next one."""

Identity = tuple[bytes, Announcement]
"""Stake address and what is announced: saying it again is nothing new."""


@dataclass(slots=True)
class Place:
    """One operator that is cared for. Its turn begins when its endpoint is known."""

    claim: Claim
    endpoint: Endpoint | None = None
    until: float = math.inf


def identity(claim: Claim) -> Identity:
    """Return what tells claims apart."""
    return claim.stake_address, claim.sighting.announcement


class Turns:
    """The places, by operator, and the claims that rest."""

    def __init__(self, slot_of: Callable[[bytes], bytes]) -> None:
        """`slot_of` says which addresses are one place (`protocol.tracking.diversity.ip_slot`)."""
        self._slot_of = slot_of
        self.places: dict[OperatorKey, Place] = {}
        self._ended: dict[Identity, float] = {}

    def leave(
        self, order: Sequence[Claim], connected: Collection[OperatorKey], now: float
    ) -> list[OperatorKey]:
        """End the places of those whose turn is over, or whose claim is none any more; return them.

        Who is connected keeps its place as long as its claim stands, and has a whole turn when it is lost.
        """
        standing = {identity(claim) for claim in order}
        self._ended = {one: at for one, at in self._ended.items() if one in standing}
        left = []
        for operator, place in list(self.places.items()):
            if identity(place.claim) not in standing:
                left.append(operator)
            elif operator in connected:
                place.until = now + TURN_SECONDS
            elif now >= place.until:
                left.append(operator)
        for operator in left:
            self.give_up(operator, now)
        return left

    def give_up(self, operator: OperatorKey, now: float) -> None:
        """End a place; its claim rests."""
        self._ended[identity(self.places.pop(operator).claim)] = now

    def enter(self, order: Sequence[Claim], connected: Collection[OperatorKey], now: float) -> list[Place]:
        """Give free places to whom had no turn for longest, else in the given order; return the new ones."""
        entered = []
        for claim in sorted(order, key=lambda one: self._ended.get(identity(one), -math.inf)):
            operator = claim.operator_key
            if operator in self.places or operator in connected or not self._is_free(claim, now):
                continue
            ip, port = claim.sighting.announcement.ip, claim.sighting.announcement.port
            if ip and not self.has_room_at(ip, connected):
                continue
            self.places[operator] = place = Place(claim)
            if ip:
                self.begin(place, Endpoint(ip, port), now)
            entered.append(place)
        return entered

    def begin(self, place: Place, endpoint: Endpoint, now: float) -> None:
        """Let a place's turn begin: its endpoint is known."""
        place.endpoint, place.until = endpoint, now + TURN_SECONDS

    def has_room_at(self, ip: bytes, connected: Collection[OperatorKey]) -> bool:
        """Whether nobody else is being dialled behind the same IP slot."""
        dialled = (
            place.endpoint.ip
            for operator, place in self.places.items()
            if place.endpoint is not None and operator not in connected
        )
        return self._slot_of(ip) not in map(self._slot_of, dialled)

    def _is_free(self, claim: Claim, now: float) -> bool:
        """Whether there is a place for the claim, and it has rested."""
        paid = sum(not place.claim.signed for place in self.places.values())
        room = len(self.places) < PLACES_MAX and (claim.signed or paid < PAID_PLACES_MAX)
        return room and now >= self._ended.get(identity(claim), -math.inf) + REST_SECONDS
