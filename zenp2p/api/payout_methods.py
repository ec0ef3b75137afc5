"""RPC methods about payout lists and their payment.

Answers for: certified lists as they stand in this node's store, and sending what
paymasters signed. Nothing here holds or sees a treasury key. What the chain holds is
`explorer_methods`, what it says of the treasury `treasury_methods`. Amounts are integers of
zatoshi, chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from protocol.genesis import first_period
from protocol.group.membership import genesis_membership, voters_of
from protocol.group.quorum import Electorate
from protocol.payout.list_certificate import expand_certificate
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import list_hash
from zenp2p.api.chain_links import ChainLinks
from zenp2p.api.context import Context, display
from zenp2p.api.errors import InvalidParams, NotFound
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.chain.broadcast import BroadcastState


class PeriodParams(Params, frozen=True):
    """A period's number."""

    period: int


class RawTransactionParams(Params, frozen=True):
    """A signed transaction in hex."""

    transaction: str


class PayoutMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context, links: ChainLinks | None = None) -> None:
        self._links = links
        self._context = context
        self._node = context.node
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("payout.list", NoParams, self.lists, "All certified payout lists.")
        methods.add("payout.show", PeriodParams, self.show, "One payout list with its entries.")
        methods.add("payout.export", PeriodParams, self.export, "One list file, in hex.")
        methods.add("chain.broadcast", RawTransactionParams, self.broadcast, "Relay a signed transaction.")

    async def lists(self, params: NoParams) -> object:
        """A line for each list, oldest first; the newest as soon as it is on disk."""
        lister = self._node.lister
        found = map(lister.file, range(first_period(self._node.genesis), lister.period))
        return [self._summary(decode_list_file(data)) for data in found if data is not None]

    async def show(self, params: PeriodParams) -> object:
        """A list with everything in it."""
        if self._links:
            await self._links.ready()
        file = self._file(params.period)
        entries = [
            {
                "address": self._context.address(entry.address),
                "responses": entry.responses,
                "amount": entry.amount,
            }
            for entry in file.entries
        ]
        certificate = file.certificate
        expanded = expand_certificate(
            certificate, self._voters(params.period), params.period, list_hash(file.header)
        )
        signers = [key.hex() for key in expanded.signers()]
        return {
            **self._summary(file),
            "entries": entries,
            "heads": [
                {"prefix": head.prefix, "height": head.height, "hash": head.block_hash.hex()}
                for head in file.header.heads
            ],
            "blocks": [block.hex() for block in file.header.blocks],
            "certificate": {"round": certificate.round, "signers": signers},
            "transactions": self._links.of_list(file) if self._links else [],
        }

    async def export(self, params: PeriodParams) -> object:
        """The canonical file that wallets verify."""
        self._file(params.period)
        data = self._node.lister.file(params.period) or b""
        return {"period": params.period, "file": data.hex()}

    async def broadcast(self, params: RawTransactionParams) -> object:
        """Take a signed transaction into the pool and relay it; the same one again is no error."""
        try:
            raw = bytes.fromhex(params.transaction)
        except ValueError:
            raise InvalidParams("transaction: not hexadecimal") from None
        sent = await self._context.chain.broadcast(raw)
        result: dict[str, object] = {"txid": display(sent.txid), "state": sent.state}
        mined = self._index.transaction_by_id(sent.txid)
        if sent.state is BroadcastState.MINED and mined is not None:
            result["height"] = mined.height
        return result

    def _file(self, period: int) -> ListFile:
        data = self._node.lister.file(period)
        if data is None:
            raise NotFound(f"no certified list of period {period}")
        return decode_list_file(data)

    def _voters(self, period: int) -> Electorate:
        """Return the voters who had to sign the list of a period."""
        genesis = self._node.genesis
        if period == first_period(genesis):
            return genesis_membership(genesis).voters()
        return voters_of(self._file(period - 1).members)

    def _summary(self, file: ListFile) -> dict[str, object]:
        header = file.header
        return {
            "period": header.period,
            "list_hash": list_hash(header).hex(),
            "first_height": header.first_height,
            "last_height": header.last_height,
            "pool": header.rewards + header.carried_in,
            "responses": header.responses,
            "per_response": header.per_response,
            "paid_total": header.paid_total,
            "carried": header.carried_out,
            "addresses": header.entries_count,
            "members": header.members_count,
            "signers": file.certificate.count(),
        }
