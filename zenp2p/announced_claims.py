"""The claims that count now, gathered from the index a bounded piece at a time.

Answers for: however many announcements spam has put on the chain, a look costs the same; all
stake addresses come in turn, what is new comes at once, and what is asked about is looked up
anew. A claim is remembered while its stake address holds enough. Which claim counts for an address
is `protocol.tracking.announced`'s rule. Spec: `spec/announcement.md`.
"""

from collections.abc import Iterable

from protocol.parameters import Parameters
from protocol.tracking.announced import Claim, claims_of
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import ChainEvent, Disconnected

STAKES_AT_ONCE = 256
"""Stake addresses looked at after a block, in turn."""
NEW_AT_ONCE = 64
"""New announcements looked at after a block, before their stake's turn."""
CLAIMS_MAX = 4_096
"""Claims remembered; beyond it one that is signed pushes out one that is not, and others wait for room."""


class RememberedClaims:
    """One claim for each stake address that counts, as far as they were looked at."""

    def __init__(self, index: ChainIndex, parameters: Parameters) -> None:
        """Remember nothing yet; the announcements so far come in turn."""
        self._index = index
        self._parameters = parameters
        self._claims: dict[bytes, Claim] = {}
        self._cursor = b""
        self._next_new = index.head.transactions if index.head is not None else 0

    def moved(self, event: ChainEvent) -> None:
        """A block joined or left the chain; transactions above what is left are new when they come."""
        head = self._index.head
        if isinstance(event, Disconnected) and head is not None:
            self._next_new = min(self._next_new, head.transactions)

    def all(self) -> tuple[Claim, ...]:
        """Return what is remembered."""
        return tuple(self._claims.values())

    def refresh(self, asked: Iterable[bytes] = ()) -> None:
        """Look at the next piece of all stake addresses, at what is new, and at those asked about."""
        for stake_address in {*asked, *self._take_new(), *self._take_turn()}:
            self._look_up(stake_address)

    def _take_new(self) -> set[bytes]:
        """Return the stake addresses of announcements that came since the last look."""
        head = self._index.head
        found = self._index.announcements.page(self._next_new, NEW_AT_ONCE)
        if len(found) == NEW_AT_ONCE:
            self._next_new = found[-1].ordinal + 1
        elif head is not None:
            self._next_new = head.transactions
        return {claim.stake_address for sighting in found for claim in claims_of(sighting)}

    def _take_turn(self) -> set[bytes]:
        """Return the stake addresses whose turn it is: of the index, and those remembered between them."""
        after = self._cursor
        page = self._index.announcements.stakes(after, STAKES_AT_ONCE)
        self._cursor = page[-1] if len(page) == STAKES_AT_ONCE else b""
        remembered = {
            stake for stake in self._claims if after < stake and (not self._cursor or stake <= self._cursor)
        }
        return remembered.union(page)

    def _look_up(self, stake_address: bytes) -> None:
        """Remember what counts for an address, or forget it."""
        claim = self._index.announcements.counting(stake_address, self._parameters)
        account = self._index.account(stake_address)
        if claim is None or account is None or account.balance < self._parameters.stake:
            self._claims.pop(stake_address, None)
        elif stake_address in self._claims or self._makes_room(claim):
            self._claims[stake_address] = claim

    def _makes_room(self, claim: Claim) -> bool:
        if len(self._claims) < CLAIMS_MAX:
            return True
        weak = next((one for one in self._claims.values() if not one.signed), None) if claim.signed else None
        if weak is not None:
            del self._claims[weak.stake_address]
        return weak is not None
