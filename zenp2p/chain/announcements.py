"""What the active chain announces, looked up in the index.

Answers for: pages of announcements in the chain's order, by stake address and by operator,
and the one that counts for a stake, found without looking at those that do not. Which
one that is, is `protocol.tracking.announced`'s rule. Spec: `spec/announcement.md`.
"""

from collections.abc import Iterator
from itertools import islice

from protocol.parameters import Parameters
from protocol.tracking.announced import Claim, Sighting, is_usable
from zenp2p.chain.announcement_records import (
    OPERATOR_KEY,
    SIGHTING_KEY,
    STAKE_KEY,
    decode_sighting,
    first_paid_key,
    operator_key,
    read_ordinal,
    read_stake_key,
    sighting_key,
)
from zenp2p.ports import Store

ANSWERS_MAX = 1_000
"""Announcements in one answer."""
LOOKED_AT_MAX = 8
"""Announcements of a stake that are looked at by kind of tie: more unusable ones hide what lies below."""


class Announcements:
    """Reads the announcements in one index."""

    def __init__(self, store: Store) -> None:
        """`store` holds the index."""
        self._store = store

    def page(self, first: int = 0, limit: int = ANSWERS_MAX) -> tuple[Sighting, ...]:
        """Return announcements in the chain's order, from the transaction with the ordinal `first` on."""
        return self._page(SIGHTING_KEY, sighting_key(first - 1) if first > 0 else b"", limit)

    def of_operator(self, operator: bytes, first: int = 0, limit: int = ANSWERS_MAX) -> tuple[Sighting, ...]:
        """Return the announcements of an operator as `page` does; anybody can make one."""
        cursor = operator_key(operator, first - 1) if first > 0 else b""
        return self._page(OPERATOR_KEY + operator, cursor, limit)

    def of_stake(self, stake_address: bytes, limit: int = ANSWERS_MAX) -> tuple[Claim, ...]:
        """Return what speaks for a stake address, what counts most first."""
        return tuple(islice(self._claims(stake_address), min(limit, ANSWERS_MAX)))

    def counting(self, stake_address: bytes, parameters: Parameters) -> Claim | None:
        """Return the claim that counts for a stake address on a network with these parameters."""
        for cursor in (b"", first_paid_key(stake_address)):
            for claim in islice(self._claims(stake_address, cursor), LOOKED_AT_MAX):
                if is_usable(claim.sighting.announcement, parameters):
                    return claim
        return None

    def stakes(self, after: bytes = b"", limit: int = ANSWERS_MAX) -> tuple[bytes, ...]:
        """Return the stake addresses that something speaks for, sorted, behind the address `after`.

        Costs one seek each, however many announcements a stake has.
        """
        found: list[bytes] = []
        cursor = STAKE_KEY + after + b"\xff" if after else b""
        while len(found) < min(limit, ANSWERS_MAX):
            entry = next(iter(self._store.iterate(STAKE_KEY, cursor)), None)
            if entry is None:
                break
            stake_address, _, _ = read_stake_key(entry[0])
            found.append(stake_address)
            cursor = STAKE_KEY + stake_address + b"\xff"
        return tuple(found)

    def _page(self, prefix: bytes, cursor: bytes, limit: int) -> tuple[Sighting, ...]:
        entries = islice(self._store.iterate(prefix, cursor), min(limit, ANSWERS_MAX))
        return tuple(self._sighting(read_ordinal(key)) for key, _ in entries)

    def _claims(self, stake_address: bytes, cursor: bytes = b"") -> Iterator[Claim]:
        for key, _ in self._store.iterate(STAKE_KEY + stake_address, cursor):
            _, signed, ordinal = read_stake_key(key)
            yield Claim(stake_address, signed, self._sighting(ordinal))

    def _sighting(self, ordinal: int) -> Sighting:
        data = self._store.get(sighting_key(ordinal))
        if data is None:
            raise AssertionError(f"announcement {ordinal} has no record")
        return decode_sighting(ordinal, data)
