"""Which announcement counts for a stake, and whom a node may dial because of it.

Answers for: the order among announcements, so that spam, replays and the order in which
blocks were seen change nothing; and that nobody who is known already is led elsewhere
by somebody else's word. Both are functions of the set of mined announcements. Balances are
left to whoever asks, dialling and its pace to the daemon. Spec: `spec/announcement.md`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from protocol.errors import MalformedMessage
from protocol.parameters import Parameters
from protocol.tracking.announcement import Announcement, Ties
from protocol.tracking.diversity import check_routable
from protocol.tracking.registration import Registration
from protocol.units import Height, OperatorKey


@dataclass(frozen=True, slots=True)
class Sighting:
    """An announcement on the active chain. `ordinal` is its transaction's number by (height, position)."""

    announcement: Announcement
    ordinal: int
    height: Height
    ties: Ties


@dataclass(frozen=True, slots=True)
class Claim:
    """A sighting as it speaks for one stake address."""

    stake_address: bytes
    signed: bool
    """Whether the stake's owner made it; else somebody paid the address."""
    sighting: Sighting

    @property
    def rank(self) -> tuple[bool, int]:
        """What the owner signed beats what others paid, the later the earlier."""
        return self.signed, self.sighting.ordinal

    @property
    def operator_key(self) -> OperatorKey:
        """The operator that is announced."""
        return self.sighting.announcement.operator_key


def claims_of(sighting: Sighting) -> tuple[Claim, ...]:
    """Return what a sighting says of each stake address that it is tied to."""
    signed = (Claim(stake, True, sighting) for stake in sighting.ties.signed)
    paid = (Claim(stake, False, sighting) for stake in sighting.ties.paid)
    return (*signed, *paid)


def is_usable(announcement: Announcement, parameters: Parameters) -> bool:
    """Whether operators of the network may listen there; what a name leads to is seen when it is dialled."""
    try:
        if announcement.ip:
            check_routable(announcement.ip, parameters)
    except MalformedMessage:
        return False
    return True


def counting_claims(sightings: Iterable[Sighting], parameters: Parameters) -> dict[bytes, Claim]:
    """Return the one claim that counts for each stake address, sorted by address."""
    best: dict[bytes, Claim] = {}
    for sighting in sightings:
        if not is_usable(sighting.announcement, parameters):
            continue
        for claim in claims_of(sighting):
            known = best.get(claim.stake_address)
            if known is None or claim.rank > known.rank:
                best[claim.stake_address] = claim
    return dict(sorted(best.items()))


def dial_order(
    claims: Iterable[Claim],
    registrations: Mapping[OperatorKey, Registration],
    known: Collection[OperatorKey],
) -> tuple[Claim, ...]:
    """Return the claims that may lead to a dial, the best first.

    `known` are ourselves and those whose endpoint our own user configured: nothing on the chain moves
    them. Who is registered is moved by a claim alone that the owner of its registered stake signed,
    and only elsewhere. Registered operators come last: they are known otherwise too.
    """
    usable = [
        claim
        for claim in claims
        if claim.operator_key not in known and _may_move(claim, registrations.get(claim.operator_key))
    ]

    def order(claim: Claim) -> tuple[bool, bool, int, bytes]:
        registered = claim.operator_key in registrations
        return registered, not claim.signed, -claim.sighting.ordinal, claim.stake_address

    return tuple(sorted(usable, key=order))


def _may_move(claim: Claim, registration: Registration | None) -> bool:
    if registration is None:
        return True
    announcement = claim.sighting.announcement
    elsewhere = (announcement.ip, announcement.port) != (registration.ip, registration.port)
    return claim.signed and claim.stake_address == registration.stake_address and elsewhere
