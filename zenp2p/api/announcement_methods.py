"""RPC methods about announcements: what the chain holds, and which of it counts.

Answers for: every announcement of the active chain that is tied to an address, in pages, with
the reason why it counts or not, from this node's own index. Who is dialled because of it is
`zenp2p.announced`'s business. Amounts are integers of zatoshi, chain hashes are in display order. Spec:
`spec/rpc.md`.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated

from msgspec import Meta

from protocol.chain.address import decode_address
from protocol.tracking.announced import Claim, Sighting, claims_of, is_usable
from zenp2p.api.context import Context, display
from zenp2p.api.errors import InvalidParams
from zenp2p.api.methods import Methods, Params
from zenp2p.chain.announcements import ANSWERS_MAX

PAGE = 100
"""Announcements in one answer, when nobody says how many."""


class AnnouncementsParams(Params, frozen=True):
    """A page of all announcements, from the transaction with the number `first` on, or of one operator's.

    Of a stake address what counts most comes first, and there is one page.
    """

    first: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=ANSWERS_MAX)] = PAGE
    stake_address: str = ""
    operator: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class AnnouncementMethods:
    """The handlers, over one daemon's index."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("chain.announcements", AnnouncementsParams, self.announcements, "What nodes announced.")

    async def announcements(self, params: AnnouncementsParams) -> object:
        """A page of announcements; the next one begins above the last one's number."""
        return [self._describe(sighting) for sighting in self._page(params)]

    def _page(self, params: AnnouncementsParams) -> Sequence[Sighting]:
        kept = self._index.announcements
        if params.stake_address and (params.first or params.operator):
            raise InvalidParams("stake_address: goes with neither first nor operator")
        if params.stake_address:
            stake = decode_address(params.stake_address, self._node.genesis.chain.prefixes)
            return [claim.sighting for claim in kept.of_stake(stake, params.limit)]
        if params.operator:
            return kept.of_operator(bytes.fromhex(params.operator), params.first, params.limit)
        return kept.page(params.first, params.limit)

    def _describe(self, sighting: Sighting) -> dict[str, object]:
        announcement = sighting.announcement
        return {
            "number": sighting.ordinal,
            "height": sighting.height,
            "txid": display(self._index.transaction_id(sighting.ordinal)),
            "operator": announcement.operator_key.hex(),
            "ip": str(ip_address(announcement.ip)) if announcement.ip else None,
            "fqdn": announcement.fqdn or None,
            "port": announcement.port,
            "usable": is_usable(announcement, self._node.genesis.parameters),
            "stakes": [self._describe_tie(claim) for claim in claims_of(sighting)],
        }

    def _describe_tie(self, claim: Claim) -> dict[str, object]:
        parameters = self._node.genesis.parameters
        account = self._index.account(claim.stake_address)
        balance = account.balance if account is not None else 0
        counting = self._index.announcements.counting(claim.stake_address, parameters)
        return {
            "address": self._context.address(claim.stake_address),
            "tie": "signed" if claim.signed else "paid",
            "balance": balance,
            "counts": counting == claim and balance >= parameters.stake,
        }
