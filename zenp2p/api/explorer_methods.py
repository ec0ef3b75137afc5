"""RPC methods about the chain: blocks, transactions, outputs and addresses, from this node's own index.

Answers for: every answer is a lookup or a page of them, whatever the chain's length; a further
page is asked for with the last entry of the one before. What they mean for challenges and
payments, and what paymasters' tools send, is left to others. Amounts are integers of zatoshi, chain hashes
are in display order. Spec: `spec/rpc.md`.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, structs

from protocol.chain.address import decode_address
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, TxOutput, decode_transaction
from protocol.units import Hash32, Zatoshi
from zenp2p.api.chain_links import ChainLinks
from zenp2p.api.context import Context, computed, display
from zenp2p.api.errors import InvalidParams, NotFound
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.api.transaction_view import TransactionView
from zenp2p.chain.index import ANSWERS_MAX, Unspent

BlockHeight = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
OutputIndex = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
Limit = Annotated[int, Meta(ge=1, le=ANSWERS_MAX)]
"""Entries in one answer."""
Number = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
"""Position in a list, from 0."""
_INDEX = re.compile("[0-9]{1,10}")
PAGE = 100
"""Entries in one answer, when nobody says how many."""


class HeightParams(Params, frozen=True):
    """A height of the active chain."""

    height: BlockHeight


class BlockParams(Params, frozen=True):
    """A block by its height or by its hash, and a page of its transactions."""

    height: BlockHeight | None = None
    hash: str | None = None
    first: Number = 0
    limit: Limit = PAGE


class AddressParams(Params, frozen=True):
    """An address in text; with a height, also what it held at its end."""

    address: str
    height: BlockHeight | None = None


class HistoryParams(Params, frozen=True):
    """An address in text, and a page of its changes: from `first` on, or backwards below `before`."""

    address: str
    first: Number | None = None
    before: Number | None = None
    limit: Limit = PAGE


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
    """A transaction's id; with `decode` also its inputs and outputs."""

    txid: str
    decode: bool = False


class ExplorerMethods:
    """The handlers, over one daemon's index."""

    def __init__(self, context: Context, links: ChainLinks | None = None) -> None:
        """Without `links` nothing is said of what things mean for the network."""
        self._links = links
        self._context = context
        self._node = context.node
        self._index = context.chain.index
        self._view = TransactionView(self._index, self._text)

    def register(self, methods: Methods) -> None:
        """Add them to the register."""
        methods.add("chain.tip", NoParams, self.tip, "Height and hash of the chain's last block.")
        methods.add("chain.block_hash", HeightParams, self.block_hash, "The hash of the block at a height.")
        methods.add("chain.block", BlockParams, self.block, "A block, and a page of its transactions.")
        methods.add("chain.address", AddressParams, self.address, "What an address holds, now or earlier.")
        methods.add("chain.history", HistoryParams, self.history, "What touched an address, in pages.")
        methods.add("chain.output", OutputParams, self.output, "An output, and what spent it.")
        methods.add("chain.unspent", UnspentParams, self.unspent, "Unspent outputs of an address, in pages.")
        methods.add("chain.transaction", TransactionParams, self.transaction, "A mined transaction.")

    async def tip(self, params: NoParams) -> object:
        """The active chain's end."""
        height, block_hash = self._index.tip()
        return {"height": height, "hash": display(block_hash)}

    async def block_hash(self, params: HeightParams) -> object:
        """The active chain's block at one height."""
        return {"height": params.height, "hash": display(self._block_hash(params.height))}

    async def block(self, params: BlockParams) -> object:
        """A block's header and a page of its transactions."""
        await self._ready()
        height = self._height(params)
        size, header = self._index.header(height)
        ordinals = self._index.block_ordinals(height)
        page = ordinals[params.first : params.first + params.limit]
        following = self._index.block_hash(height + 1)
        answer: dict[str, object] = {
            "height": height,
            "hash": display(self._block_hash(height)),
            "confirmations": self._confirmations(height),
            "previous": display(header.previous) if any(header.previous) else None,
            "next": display(following) if following is not None else None,
            "version": header.version,
            "merkle_root": display(header.merkle_root),
            "time": header.time,
            "bits": f"{header.bits:08x}",
            "nonce": str(header.nonce),
            "size": size,
            "transactions": len(ordinals),
            "first_ordinal": ordinals.start,
            "first": params.first,
            "txids": [display(self._index.transaction_id(ordinal)) for ordinal in page],
        }
        return answer | (self._links.of_block(height) if self._links else {})

    async def address(self, params: AddressParams) -> object:
        """What an address holds and held; one that the chain does not know holds nothing."""
        await self._ready()
        address = self._address(params.address)
        tip = self._index.tip()[0]
        account, first = self._index.account(address), self._index.first_change(address)
        balance, received = (account.balance, account.received) if account else (0, 0)
        answer: dict[str, object] = {
            "address": params.address,
            "height": tip,
            "balance": balance,
            "received": received,
            "spent": received - balance,
            "unspent": account.unspent if account else 0,
            "changes": account.changes if account else 0,
            "first_height": first.height if first else None,
            "last_height": account.last_height if account else None,
        }
        if params.height is not None:
            try:
                at = self._index.balance(address, params.height)
            except IndexError:
                raise NotFound(f"no block at height {params.height}") from None
            answer["at"] = {"height": params.height, "balance": at}
        return answer | (self._links.of_address(address) if self._links else {})

    async def history(self, params: HistoryParams) -> object:
        """A page of changes: oldest first from `first` on, else newest first below `before` or the end."""
        await self._ready()
        if params.first is not None and params.before is not None:
            raise InvalidParams("first or before, not both")
        address = self._address(params.address)
        account = self._index.account(address)
        total = account.changes if account else 0
        end = total if params.before is None else min(params.before, total)
        start = max(0, end - params.limit)
        if params.first is not None:
            start, end = params.first, min(total, params.first + params.limit)
        entries = list(self._changes(address, start, end))
        if params.first is None:
            entries.reverse()
        return {"address": params.address, "changes": total, "entries": entries}

    def _changes(self, address: bytes, start: int, end: int) -> Iterator[dict[str, object]]:
        """Yield the changes from number `start` to before `end`, oldest first."""
        if start >= end:
            return
        before = self._index.history(address, start - 1, 1)[0].balance if start else Zatoshi(0)
        for number, change in enumerate(self._index.history(address, start, end - start), start):
            txid = self._index.transaction_id(change.ordinal)
            entry: dict[str, object] = {
                "number": number,
                "height": change.height,
                "txid": display(txid),
                "amount": change.balance - before,
                "balance": change.balance,
            }
            if self._links:
                entry["payment"] = self._links.of_change(txid)
            yield entry
            before = change.balance

    async def output(self, params: OutputParams) -> object:
        """One output of a mined transaction."""
        outpoint = OutPoint(_hash(params.txid), params.index)
        found = self._index.output(outpoint)
        if found is None:
            raise NotFound(f"no mined output {params.txid}:{params.index}")
        spending = self._index.spender(outpoint)
        return {
            "txid": display(outpoint.txid),
            "index": params.index,
            "amount": found.amount,
            "script": self._outputs(outpoint.txid)[params.index].script.hex(),
            "height": found.height,
            "coinbase": found.coinbase,
            "spent_by": display(spending.txid) if spending else None,
        }

    async def unspent(self, params: UnspentParams) -> object:
        """A page of unspent outputs, in the order of their ids as the chain computes them."""
        address = self._address(params.address)
        after = _outpoint(params.after) if params.after else None
        outputs = lru_cache(1)(self._outputs)  # a transaction's outputs come one after the other
        return [
            {
                "txid": display(coin.outpoint.txid),
                "index": coin.outpoint.index,
                "amount": coin.output.amount,
                "script": _script(coin, address, outputs).hex(),
                "height": coin.output.height,
                "coinbase": coin.output.coinbase,
            }
            for coin in self._index.unspent(address, params.limit, after)
        ]

    async def transaction(self, params: TransactionParams) -> object:
        """A mined transaction and how deep it is buried."""
        if params.decode:
            await self._ready()
        txid = _hash(params.txid)
        found = self._index.transaction_by_id(txid)
        if found is None:
            raise NotFound(f"transaction {params.txid} is not mined here")
        answer: dict[str, object] = {
            "txid": display(txid),
            "transaction": found.raw.hex(),
            "height": found.height,
            "confirmations": self._confirmations(found.height),
            "block": display(self._block_hash(found.height)),
            "position": found.ordinal - self._index.transaction_count(found.height - 1),
            "ordinal": found.ordinal,
        }
        if params.decode:
            tx = decode_transaction(found.raw, self._index.family)
            answer |= structs.asdict(self._view.describe(tx))
            if self._links:
                answer |= self._links.of_transaction(tx, txid, found.ordinal)
        return answer

    async def _ready(self) -> None:
        """Wait for what the links need; from here on a handler must not, so that it tells of one moment."""
        if self._links:
            await self._links.ready()

    def _text(self, address: bytes) -> str:
        return self._context.address(address)

    def _address(self, text: str) -> bytes:
        return decode_address(text, self._node.genesis.chain.prefixes)

    def _confirmations(self, height: int) -> int:
        return self._index.tip()[0] - height + 1

    def _block_hash(self, height: int) -> Hash32:
        """Return the hash of a block that is there."""
        found = self._index.block_hash(height)
        if found is None:
            raise NotFound(f"no block at height {height}")
        return found

    def _height(self, params: BlockParams) -> int:
        """Return which block is asked for."""
        if (params.height is None) == (params.hash is None):
            raise InvalidParams("a block is named by its height or by its hash")
        if params.height is not None:
            self._block_hash(params.height)
            return params.height
        found = self._index.height_of(_hash(params.hash or "", "hash"))
        if found is None:
            raise NotFound(f"block {params.hash} is not on the active chain")
        return found

    def _outputs(self, txid: bytes) -> tuple[TxOutput, ...]:
        """Return the outputs of a transaction of which the index knows one."""
        mined = self._index.transaction_by_id(txid)
        if mined is None:
            raise AssertionError(f"transaction {display(txid)} has outputs and no record")
        return decode_transaction(mined.raw, self._index.family).outputs


def _script(coin: Unspent, address: bytes, outputs: Callable[[bytes], tuple[TxOutput, ...]]) -> bytes:
    """Return the script of an address's output; `outputs` are a transaction's."""
    if coin.output.is_plain:
        return address_script(address)
    return outputs(coin.outpoint.txid)[coin.outpoint.index].script


def _hash(text: str, name: str = "txid") -> Hash32:
    try:
        return Hash32(computed(text))
    except ValueError as error:
        raise InvalidParams(f"{name}: {error}") from None


def _outpoint(text: str) -> OutPoint:
    """Read "txid:index"."""
    txid, _, index = text.partition(":")
    if not _INDEX.fullmatch(index) or int(index) >= 1 << 32:
        raise InvalidParams(f"after: not txid:index: {text:.80}")
    return OutPoint(_hash(txid, "after"), int(index))
