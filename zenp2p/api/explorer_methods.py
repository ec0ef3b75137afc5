"""RPC methods about the chain: blocks, transactions, outputs and addresses, from this node's own index.

Answers for: every answer is a lookup or a page of them, whatever the chain's length; a further
page is asked for with the last entry of the one before. What they mean for challenges and
payments, and what paymasters' tools send, is left to others. Amounts are integers of zatoshi, chain hashes
are in display order. Spec: `spec/rpc.md`.
"""

from typing import Annotated

from msgspec import Meta

from protocol.chain.address import decode_address
from protocol.chain.transaction import OutPoint, TxOutput, decode_transaction
from protocol.units import Hash32
from zenp2p.api.context import Context, computed, display
from zenp2p.api.errors import InvalidParams, NotFound
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.chain.index import ANSWERS_MAX

BlockHeight = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
OutputIndex = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
Limit = Annotated[int, Meta(ge=1, le=ANSWERS_MAX)]
"""Entries in one answer."""


class HeightParams(Params, frozen=True):
    """A height of the active chain."""

    height: BlockHeight


class OutputParams(Params, frozen=True):
    """One output of a transaction."""

    txid: str
    index: OutputIndex


class UnspentParams(Params, frozen=True):
    """An address in text, and a page: what stands behind the output `after` ("txid:index")."""

    address: str
    after: str = ""
    limit: Limit = ANSWERS_MAX


class TransactionParams(Params, frozen=True):
    """A transaction's id."""

    txid: str


class ExplorerMethods:
    """The handlers, over one daemon's index."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node
        self._index = context.chain.index

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("chain.tip", NoParams, self.tip, "Height and hash of the chain's last block.")
        methods.add("chain.block_hash", HeightParams, self.block_hash, "The hash of the block at a height.")
        methods.add("chain.output", OutputParams, self.output, "An output, and what spent it.")
        methods.add("chain.unspent", UnspentParams, self.unspent, "Unspent outputs of an address, in pages.")
        methods.add("chain.transaction", TransactionParams, self.transaction, "A mined transaction.")

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
        outpoint = OutPoint(_hash(params.txid), params.index)
        found = self._index.output(outpoint)
        if found is None:
            raise NotFound(f"no mined output {params.txid}:{params.index}")
        spending = self._index.spender(outpoint)
        return {
            "txid": params.txid,
            "index": params.index,
            "amount": found.amount,
            "script": self._outputs(outpoint.txid)[params.index].script.hex(),
            "height": found.height,
            "coinbase": found.coinbase,
            "spent_by": display(spending.txid) if spending else None,
        }

    async def unspent(self, params: UnspentParams) -> object:
        """A page of unspent outputs, in the order of their ids as the chain computes them."""
        address = decode_address(params.address, self._node.genesis.chain.prefixes)
        after = _outpoint(params.after) if params.after else None
        found: list[object] = []
        txid, outputs = b"", tuple[TxOutput, ...]()
        for coin in self._index.unspent(address, params.limit, after):
            if coin.outpoint.txid != txid:
                txid = coin.outpoint.txid
                outputs = self._outputs(txid)
            found.append(
                {
                    "txid": display(txid),
                    "index": coin.outpoint.index,
                    "amount": coin.output.amount,
                    "script": outputs[coin.outpoint.index].script.hex(),
                    "height": coin.output.height,
                    "coinbase": coin.output.coinbase,
                }
            )
        return found

    async def transaction(self, params: TransactionParams) -> object:
        """A mined transaction and how deep it is buried."""
        found = self._index.transaction_by_id(_hash(params.txid))
        if found is None:
            raise NotFound(f"transaction {params.txid} is not mined here")
        return {
            "txid": params.txid,
            "transaction": found.raw.hex(),
            "height": found.height,
            "confirmations": self._index.tip()[0] - found.height + 1,
        }

    def _outputs(self, txid: bytes) -> tuple[TxOutput, ...]:
        """Return the outputs of a transaction of which the index knows one."""
        mined = self._index.transaction_by_id(txid)
        if mined is None:
            raise AssertionError(f"transaction {display(txid)} has outputs and no record")
        return decode_transaction(mined.raw, self._index.family).outputs


def _hash(text: str, name: str = "txid") -> Hash32:
    try:
        return Hash32(computed(text))
    except ValueError as error:
        raise InvalidParams(f"{name}: {error}") from None


def _outpoint(text: str) -> OutPoint:
    """Read "txid:index"."""
    txid, _, index = text.partition(":")
    if not (index.isascii() and index.isdigit()) or int(index) >= 1 << 32:
        raise InvalidParams(f"after: not txid:index: {text:.80}")
    return OutPoint(_hash(txid, "after"), int(index))
