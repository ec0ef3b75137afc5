"""What a node's active chain is now, and its blocks, fetched in order.

Answers for: where the node's chain leaves our index, whatever the depth, and one branch
of whole blocks above that, a bounded part at a time. A node that merely lacks blocks which
we hold (it lost them, or reads its files anew) is behind, not on another chain, and so is one
on a branch with less work: nothing is taken back for it. What is done with the blocks is left
to `service`, what the calls are called to `dialect`. Spec: `spec/external_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio

from protocol.chain.block import block_work
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.errors import ProtocolError, RequestError
from protocol.units import Hash32, Height
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.dialect import Dialect
from zenp2p.chain.rpc.errors import BadAnswer, NodeError, NodeRefusal

BLOCKS_AT_ONCE_MAX = 64
"""Blocks in one request; where they are too large together the client asks in halves."""
PART_BYTES_MAX = 8 << 20
"""Bytes of the blocks in one request, as far as the last ones tell the size of the next."""
HEADERS_AT_ONCE_MAX = 1_000
"""Of our headers read before others have their turn."""
HEIGHT_MAX = 0xFFFF_FFFF
"""The index keeps heights in 4 bytes."""
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
        self._block_bytes = 1
        """Of the largest block in the last part."""

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

    async def has_less_work(self, fork: int, tip: NodeTip) -> bool:
        """Whether the node is on a branch above `fork` with less work behind it than ours.

        No node leaves a heavier branch that it has: this one lost ours, or reads its files anew.
        """
        head = self._index.tip()[0]
        if not fork < min(head, tip.height):
            return False
        left = await self._branch_work(fork, tip)
        if left is None:
            return tip.height < head
        for height in range(fork + 1, head + 1):
            left -= block_work(self._index.header(height)[1].bits)
            if left < 0:
                return True
            if height % HEADERS_AT_ONCE_MAX == 0:
                await trio.lowlevel.checkpoint()
        return False

    async def fetch(self, first: int, tip: NodeTip, dialect: Dialect) -> Part:
        """Return the node's blocks from height `first` to its tip, as many as are read at once.

        They are fewer, or none, when its chain changed meanwhile. Raises `PrunedNode`, and the
        `NodeRefusal` of a node that cannot give a block of its chain.
        """
        at_once = min(max(PART_BYTES_MAX // self._block_bytes, 1), BLOCKS_AT_ONCE_MAX)
        heights = range(first, min(first + at_once, tip.height + 1))
        if not heights:
            return Part((), ())
        answers = await self._client.batch([("getblockhash", (height,)) for height in heights])
        hashes = tuple(_hash(each) for each in _until_refused(answers))
        calls = [dialect.block_call(display_hash(each)) for each in hashes]
        answers = await self._client.batch(calls)
        blocks = tuple(_raw(each) for each in _until_refused(answers))
        if hashes and not blocks and await self._is_there(first, hashes[0]):
            raise answers[0]
        self._block_bytes = max(map(len, blocks), default=1) or 1
        return Part(hashes[: len(blocks)], blocks)

    async def _branch_work(self, fork: int, tip: NodeTip) -> int | None:
        """Return the work behind the node's blocks above `fork`, None where it does not say."""
        ends = [self._index.block_hash(fork) or b"", tip.block_hash]
        answers = await self._client.batch([("getblockheader", (display_hash(end),)) for end in ends])
        try:
            below, whole = (int(answer["chainwork"], 16) for answer in answers)
        except (KeyError, TypeError, ValueError):
            return None
        return whole - below

    async def _is_shared(self, height: int) -> bool:
        """Whether the node has our block at `height`; our first one it has, `look` made sure of that."""
        if height == 0:
            return True
        ours = self._index.block_hash(height)
        return ours is not None and await self._is_there(height, ours)

    async def _is_there(self, height: int, block_hash: Hash32) -> bool:
        """Whether a block stands at `height` of the node's chain now."""
        try:
            return _hash(await self._client.call("getblockhash", height)) == block_hash
        except NodeRefusal:
            return False  # its chain became shorter just now


def _tip(info: Any) -> NodeTip:
    """Read the answer to `getblockchaininfo`, in which zend and old nodes lack some fields."""
    try:
        height, headers = _height(info["blocks"]), _height(info.get("headers", info["blocks"]))
        lacking = headers - height > SYNCED_BEHIND_MAX
        return NodeTip(
            chain=str(info["chain"]),
            height=height,
            block_hash=_hash(info["bestblockhash"]),
            headers=headers,
            is_syncing=bool(info.get("initialblockdownload", False)) or lacking,
            is_pruned=bool(info.get("pruned", False)),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BadAnswer("the node's getblockchaininfo lacks chain, blocks or bestblockhash") from None


def _height(number: Any) -> Height:
    """Read a height; nothing is computed with a number before it is known to be a small one."""
    if type(number) is not int or not 0 <= number <= HEIGHT_MAX:
        raise ValueError("no height")
    return Height(number)


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
