"""What one node holds of all groups' data chains while siblings part: in any order, void blocks included.

It is `Held` for the rules, and the plainest model that a node's own bookkeeping can be compared with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown
from protocol.genesis import Genesis
from protocol.group.absorption import absorbed
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    RegisterPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Standing
from protocol.group.name import sibling
from protocol.group.succession import UNION_BLOCKS, children, united
from protocol.group.void import Void
from protocol.units import Hash32

Place = tuple[str, int]


@dataclass
class Stretch:
    """A prefix's data chain from one beginning to its end."""

    last: DataChain
    start: int
    parents: tuple[Place, ...]


@dataclass
class Side:
    """Everything that one node has applied."""

    genesis: Genesis
    chain: ChainView
    live: dict[str, DataChain] = field(default_factory=dict)
    past: dict[Place, DataChain] = field(default_factory=dict)
    """The state at each place, void or not."""
    blocks: dict[Hash32, CertifiedBlock] = field(default_factory=dict)
    """In the order in which they were applied."""
    _standings: dict[Hash32, Standing] = field(default_factory=dict)
    _tips: dict[tuple[str, Hash32], Stretch] = field(default_factory=dict)
    _stretches: dict[str, list[Stretch]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begin(DataChain.from_genesis(self.genesis), (), live=True)

    def take(self, certified: CertifiedBlock) -> None:
        """Apply a block; raises `NotYetKnown` while what it follows or names is missing."""
        block, hashed = decode_block(certified.block), block_hash(certified.block)
        if hashed in self.blocks:
            return
        stretch = self._tips.get((block.prefix, Hash32(block.previous)))
        if stretch is None:
            raise NotYetKnown(f"block {block.height} of {block.prefix!r} follows nothing here")
        before = stretch.last
        after = before.apply(certified, self.chain, self)
        del self._tips[block.prefix, before.head]
        stretch.last = self.past[block.prefix, after.height] = after
        self._tips[block.prefix, after.head] = stretch
        is_live = self.live.get(block.prefix) == before
        if is_live:
            self.live[block.prefix] = after
        self.blocks[hashed] = certified
        self._standings[hashed] = Standing(hashed, block, decode_payload(block), before.membership)
        self._go_on(block, after, is_live=is_live)

    def take_all(self, blocks: Iterable[CertifiedBlock]) -> list[CertifiedBlock]:
        """Apply what can be applied, in any order; return the rest."""
        rest = list(blocks)
        while True:
            waiting = []
            for one in rest:
                try:
                    self.take(one)
                except NotYetKnown:
                    waiting.append(one)
            if len(waiting) == len(rest):
                return rest
            rest = waiting

    @property
    def voids(self) -> tuple[Void, ...]:
        found = (void for state in self.live.values() for void in state.voids)
        return tuple(dict.fromkeys(found))

    def is_void(self, block: DataBlock) -> bool:
        return any(void.covers(block.prefix, block.height) for void in self.voids)

    def copy(self) -> "Side":
        """Return a node of its own that holds the same."""
        other = Side(self.genesis, self.chain)
        assert not other.take_all(self.blocks.values())
        return other

    # `Held`, but for what one voter alone can say.

    def groups(self) -> Mapping[str, DataChain]:
        return self.live

    def state_at(self, prefix: str, height: int) -> DataChain | None:
        return self.past.get((prefix, height))

    def last(self, prefix: str, height: int) -> DataChain | None:
        stretch = self._stretch(prefix, height)
        return None if stretch is None else stretch.last

    def behind(self, prefix: str, height: int) -> Mapping[str, int]:
        found: dict[str, int] = {}
        waiting = [(prefix, height)]
        while waiting:
            place = waiting.pop()
            stretch = self._stretch(*place)
            assert stretch is not None
            found[place[0]] = max(place[1], found.get(place[0], 0))
            waiting += stretch.parents
        return found

    def standing(self, block_hash: bytes) -> Standing | None:
        return self._standings.get(Hash32(block_hash))

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        mine = (one for one in self._standings.values() if one.block.prefix == prefix)
        found = [one for one in mine if isinstance(one.payload, RegisterPayload) and one.block.height > after]
        found = [one for one in found if until is None or one.block.height <= until]
        return sorted(found, key=lambda one: one.block.height)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        state = self.past.get((prefix, height))
        return state.head if state else None

    # Inside.

    def _stretch(self, prefix: str, height: int) -> Stretch | None:
        found = [one for one in self._stretches.get(prefix, ()) if one.start <= height]
        return max(found, key=lambda one: one.start) if found else None

    def _begin(self, state: DataChain, parents: tuple[Place, ...], *, live: bool) -> None:
        stretch = Stretch(state, state.height, parents)
        self._stretches.setdefault(state.prefix, []).append(stretch)
        self._tips[state.prefix, state.head] = stretch
        self.past.setdefault((state.prefix, state.height), state)
        if live:
            self.live[state.prefix] = state

    def _go_on(self, block: DataBlock, after: DataChain, *, is_live: bool) -> None:
        """Let groups begin, and others end, after a block that ends a data chain or makes a union last."""
        place = block.prefix, block.height
        if block.kind is Kind.SPLIT:
            for child in children(after):
                self._begin(child, (place,), live=is_live)
            self._end(is_live, block.prefix)
        elif block.kind is Kind.MERGE:
            self._unite(after)
        elif after.closed_by is Kind.ABSORB:
            self._absorb(after, is_live=is_live)
        elif self.is_bound(block.prefix, block.height) and all(
            half in self.live for half in self._halves(block)
        ):
            self._end(True, *self._halves(block))
            self.live[block.prefix] = after

    def is_bound(self, prefix: str, height: int) -> bool:
        """Whether the block at a place is the one that makes a union last."""
        stretch = self._stretch(prefix, height)
        return stretch is not None and len(stretch.parents) == 2 and height == stretch.start + UNION_BLOCKS

    @property
    def unions(self) -> dict[str, DataChain]:
        """The unions whose halves are still there."""
        waiting = {}
        for prefix, stretches in self._stretches.items():
            last = max(stretches, key=lambda one: one.start)
            halves = (prefix + "0", prefix + "1")
            if (
                len(last.parents) == 2
                and last.last.height < last.start + UNION_BLOCKS
                and set(halves) <= set(self.live)
            ):
                waiting[prefix] = last.last
        return waiting

    @staticmethod
    def _halves(block: DataBlock) -> tuple[str, str]:
        return block.prefix + "0", block.prefix + "1"

    def _unite(self, after: DataChain) -> None:
        """Begin the union with the sibling that has ended after the same split; it is not there yet."""
        beside = sibling(after.prefix)
        others = [one.last for one in self._stretches.get(beside, ()) if one.last.splits == after.splits]
        for other in others:
            ends = sorted((after, other), key=lambda state: state.prefix)
            if all((one.ending or one).closed_by is Kind.MERGE for one in ends):
                places = tuple((one.prefix, one.ended_at) for one in ends)
                self._begin(united(*ends), places, live=False)

    def _absorb(self, after: DataChain, *, is_live: bool) -> None:
        assert after.summons is not None
        stopped = self.past[after.summons.prefix, after.summons.height]
        whole = absorbed(after, stopped)
        self._begin(whole, ((after.prefix, after.height), (stopped.prefix, stopped.height)), live=False)
        if is_live:
            for prefix in [one for one in self.live if one.startswith(whole.prefix)]:
                del self.live[prefix]
            self.live[whole.prefix] = whole

    def _end(self, is_live: bool, *prefixes: str) -> None:
        for prefix in prefixes if is_live else ():
            del self.live[prefix]
