"""RPC methods about payout lists and the chain that pays them.

Answers for: certified lists as they stand in this node's store, and what paymasters'
tools need of the chain. Nothing here holds or sees a treasury key. Amounts are integers of
zatoshi, chain hashes are in display order. Spec: `spec/rpc.md`.
"""

from protocol.chain.address import decode_address
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import list_hash
from protocol.payout.treasury import BatonTrail, follow_baton
from protocol.units import Hash32
from zenp2p.api.context import Context, computed, display
from zenp2p.api.errors import InvalidParams, NotFound
from zenp2p.api.methods import Methods, NoParams, Params

UNSPENT_MAX = 1_000
"""Outputs in one answer."""


class PeriodParams(Params, frozen=True):
    """A period's number."""

    period: int


class HeightParams(Params, frozen=True):
    """A height of the active chain."""

    height: int


class OutputParams(Params, frozen=True):
    """One output of a transaction."""

    txid: str
    index: int


class AddressParams(Params, frozen=True):
    """An address in text."""

    address: str


class TransactionParams(Params, frozen=True):
    """A transaction's id."""

    txid: str


class RawTransactionParams(Params, frozen=True):
    """A signed transaction in hex."""

    transaction: str


class PayoutMethods:
    """The handlers, over one daemon's parts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("payout.list", NoParams, self.lists, "All certified payout lists.")
        methods.add("payout.show", PeriodParams, self.show, "One payout list with its entries.")
        methods.add("payout.export", PeriodParams, self.export, "One list file, in hex.")
        methods.add("chain.tip", NoParams, self.tip, "Height and hash of the chain's last block.")
        methods.add("chain.block_hash", HeightParams, self.block_hash, "The hash of the block at a height.")
        methods.add("chain.output", OutputParams, self.output, "An output, and what spent it.")
        methods.add("chain.unspent", AddressParams, self.unspent, "The unspent outputs of an address.")
        methods.add("chain.transaction", TransactionParams, self.transaction, "A mined transaction.")
        methods.add("chain.broadcast", RawTransactionParams, self.broadcast, "Relay a signed transaction.")
        methods.add("treasury.baton", NoParams, self.baton, "Where the baton lies, and what was paid.")

    async def lists(self, params: NoParams) -> object:
        """A line for each list, oldest first."""
        first = self._node.genesis.first_challenge_height // self._node.genesis.parameters.period_blocks
        files = (self._file(period) for period in range(first, self._node.lister.period))
        return [self._summary(file) for file in files]

    async def show(self, params: PeriodParams) -> object:
        """A list with everything in it."""
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
        signers = [key.hex() for key in certificate.signers()]
        return {
            **self._summary(file),
            "entries": entries,
            "blocks": [block.hex() for block in file.header.blocks],
            "certificate": {"round": certificate.round, "signers": signers},
        }

    async def export(self, params: PeriodParams) -> object:
        """The canonical file that wallets verify."""
        self._file(params.period)
        data = self._node.lister.file(params.period) or b""
        return {"period": params.period, "file": data.hex()}

    async def tip(self, params: NoParams) -> object:
        """The active chain's end."""
        height, block_hash = self._index.tip()
        return {"height": height, "hash": display(block_hash)}

    async def block_hash(self, params: HeightParams) -> object:
        """The active chain's block at one height."""
        found = self._index.block_hash(params.height)
        if found is None:
            raise NotFound(f"no block at height {params.height}")
        return {"height": params.height, "hash": display(found)}

    async def output(self, params: OutputParams) -> object:
        """One output of a mined transaction."""
        outpoint = OutPoint(self._hash(params.txid), params.index)
        found = self._index.output(outpoint)
        mined = self._index.transaction_by_id(outpoint.txid)
        if found is None or mined is None:
            raise NotFound(f"no mined output {params.txid}:{params.index}")
        spending = self._index.spender(outpoint)
        script = decode_transaction(mined.raw, self._index.family).outputs[params.index].script
        return {
            "txid": params.txid,
            "index": params.index,
            "amount": found.amount,
            "script": script.hex(),
            "height": found.height,
            "coinbase": found.coinbase,
            "spent_by": display(spending.txid) if spending else None,
        }

    async def unspent(self, params: AddressParams) -> object:
        """Unspent outputs, at most `UNSPENT_MAX`."""
        address = decode_address(params.address, self._node.genesis.chain.prefixes)
        return [
            {
                "txid": display(coin.outpoint.txid),
                "index": coin.outpoint.index,
                "amount": coin.output.amount,
                "script": address_script(address).hex(),
                "height": coin.output.height,
                "coinbase": coin.output.coinbase,
            }
            for coin in self._index.unspent(address, UNSPENT_MAX)
        ]

    async def transaction(self, params: TransactionParams) -> object:
        """A mined transaction and how deep it is buried."""
        found = self._index.transaction_by_id(self._hash(params.txid))
        if found is None:
            raise NotFound(f"transaction {params.txid} is not mined here")
        return {
            "txid": params.txid,
            "transaction": found.raw.hex(),
            "height": found.height,
            "confirmations": self._index.tip()[0] - found.height + 1,
        }

    async def broadcast(self, params: RawTransactionParams) -> object:
        """Take a signed transaction into the pool and relay it."""
        try:
            raw = bytes.fromhex(params.transaction)
        except ValueError:
            raise InvalidParams("transaction: not hexadecimal") from None
        return {"txid": display(await self._context.chain.broadcast(raw))}

    async def baton(self, params: NoParams) -> object:
        """The chain's own record of what was paid."""
        trail = self._trail()
        return {
            "txid": display(trail.baton.txid),
            "index": trail.baton.index,
            "paid": [
                {
                    "list_hash": chunk.mark.list_hash.hex(),
                    "chunk": chunk.mark.chunk,
                    "txid": display(chunk.transaction.txid),
                    "transaction": chunk.transaction.raw.hex(),
                }
                for chunk in trail.paid
            ],
        }

    def _trail(self) -> BatonTrail:
        return follow_baton(self._node.genesis, self._spender)

    def _spender(self, outpoint: OutPoint) -> Transaction | None:
        spending = self._index.spender(outpoint)
        found = self._index.transaction_by_id(spending.txid) if spending else None
        return decode_transaction(found.raw, self._index.family) if found else None

    def _file(self, period: int) -> ListFile:
        data = self._node.lister.file(period)
        if data is None:
            raise NotFound(f"no certified list of period {period}")
        return decode_list_file(data)

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
            "signers": len(file.certificate.signatures),
        }

    def _hash(self, text: str) -> Hash32:
        try:
            return Hash32(computed(text))
        except ValueError as error:
            raise InvalidParams(f"txid: {error}") from None
