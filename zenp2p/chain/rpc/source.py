"""What a node's active chain is now, and its blocks, fetched in order.

Answers for: where the node's chain leaves our index, whatever the depth, and one branch
of whole blocks above that, a bounded part at a time. A node that merely lacks blocks which
we hold (it lost them, or reads its files anew) is behind, not on another chain: nothing
is taken back for it. What is done with the blocks is left to `service`, what the calls are
called to `dialect`. Spec: `spec/external_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.errors import ProtocolError, RequestError
from protocol.units import Hash32, Height
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.dialect import Dialect
from zenp2p.chain.rpc.errors import BadAnswer, NodeError, NodeRefusal

BLOCKS_AT_ONCE_MAX = 64
"""Blocks in one request; where they are too large together the client asks in halves."""
SYNCED_BEHIND_MAX = 2
"""Blocks that a node may lack of the headers it knows, and still count as synced."""


class ForeignChain(NodeError):
    """The node follows another chain than the genesis file names."""


class PrunedNode(NodeError):
    """The node has thrown away blocks that we need."""


@dataclass(frozen=True, slots=True)
class NodeTip:
    """The end of the node's active chain, and what it says of itself."""

    chain: str
    height: Height
    block_hash: Hash32
    headers: int
    """The highest header that it knows."""
    is_syncing: bool
    is_pruned: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The next blocks of the node's chain, from one height on: hashes in computed order, raw blocks."""

    hashes: tuple[Hash32, ...]
    blocks: tuple[bytes, ...]


class NodeChain:
    """One node's active chain, beside our index of it."""

    def __init__(self, client: NodeClient, index: ChainIndex, first_block: bytes) -> None:
        self._client = client
        self._index = index
        self._first_block = first_block

    async def look(self) -> NodeTip:
        """Return where the node's chain ends; raises `ForeignChain` and every other `NodeError`."""
        calls = [("getblockchaininfo", ()), ("getblockhash", (0,))]
        info, first = _all_answered(await self._client.batch(calls))
        if _hash(first) != self._first_block:
            raise ForeignChain(
                f"the node's first block is {first}, this network's chain begins with"
                f" {display_hash(self._first_block)}"
            )
        return _tip(info)

    async def fork(self, tip: NodeTip) -> Height:
        """Return the height of our last block that is on the node's chain, searching as deep as it takes.

        A node that is behind us on the same chain yields our own head.
        """
        head = self._index.tip()[0]
        high = int(min(head, tip.height))
        low, step = high, 1
        while not await self._is_shared(low):
            high, low, step = low - 1, max(low - step, 0), step * 2
        while low < high:
            middle = (low + high + 1) // 2
            if await self._is_shared(middle):
                low = middle
            else:
                high = middle - 1
        return Height(head if low == tip.height else low)

    async def fetch(self, first: int, tip: NodeTip, dialect: Dialect) -> Part:
        """Return the node's blocks from height `first` to its tip; fewer when it changed meanwhile."""
        heights = range(first, min(first + BLOCKS_AT_ONCE_MAX, tip.height + 1))
        if not heights:
            return Part((), ())
        answers = await self._client.batch([("getblockhash", (height,)) for height in heights])
        hashes = tuple(_hash(each) for each in _until_refused(answers))
        calls = [dialect.block_call(display_hash(each)) for each in hashes]
        blocks = tuple(_raw(each) for each in _until_refused(await self._client.batch(calls)))
        return Part(hashes[: len(blocks)], blocks)

    async def _is_shared(self, height: int) -> bool:
        """Whether the node has our block at `height`; our first one it has, `look` made sure of that."""
        if height == 0:
            return True
        try:
            theirs = _hash(await self._client.call("getblockhash", height))
        except NodeRefusal:
            return False  # its chain became shorter just now
        return theirs == self._index.block_hash(height)


def _tip(info: Any) -> NodeTip:
    """Read the answer to `getblockchaininfo`, in which zend and old nodes lack some fields."""
    try:
        height, headers = int(info["blocks"]), int(info.get("headers", info["blocks"]))
        lacking = headers - height > SYNCED_BEHIND_MAX
        return NodeTip(
            chain=str(info["chain"]),
            height=Height(height),
            block_hash=_hash(info["bestblockhash"]),
            headers=headers,
            is_syncing=bool(info.get("initialblockdownload", False)) or lacking,
            is_pruned=bool(info.get("pruned", False)),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BadAnswer("the node's getblockchaininfo lacks chain, blocks or bestblockhash") from None


def _all_answered(answers: Sequence[Any]) -> Sequence[Any]:
    """Return the answers; raises the first refusal among them."""
    for answer in answers:
        if isinstance(answer, NodeRefusal):
            raise answer
    return answers


def _until_refused(answers: Sequence[Any]) -> list[Any]:
    """Return the answers before the first refusal; raises `PrunedNode` when that says so.

    Any other refusal means that the node's chain has changed since we looked.
    """
    found: list[Any] = []
    for answer in answers:
        if isinstance(answer, NodeRefusal):
            if "prune" in answer.message.lower():
                raise PrunedNode(f"the node has thrown away blocks that we need: {answer.message}")
            break
        found.append(answer)
    return found


def _hash(text: Any) -> Hash32:
    try:
        return Hash32(parse_display_hash(text))
    except (ProtocolError, RequestError, TypeError, ValueError, AttributeError):
        raise BadAnswer(f"the node names a block {str(text)[:80]!r}") from None


def _raw(text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError):
        raise BadAnswer("the node's block is not hexadecimal") from None
