"""How the groups' data chains hang together: which block stands where, and what came before it.

Answers for: a prefix has a group again and again (it splits, and its halves go on together), and each
time its chain is one *life*: it begins with what ended the lives before it, and heights go on from there,
so that (prefix, height) is one place for ever. Blocks themselves are kept by `archive`. Spec: `spec/node.md`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.codec import encode
from protocol.crypto import sha3_256
from protocol.errors import InvalidBlock
from protocol.group.data_block import DataBlock
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member, Membership
from protocol.payout.list_header import Head
from protocol.units import Hash32, OperatorKey


@dataclass(slots=True, eq=False)
class Life:
    """One stretch of a prefix's data chain."""

    prefix: str
    start: int
    """The height with which it began; its own blocks stand above."""
    parents: tuple["Life", ...]
    hashes: list[Hash32]
    """What it began with, then its blocks."""
    memberships: list[tuple[int, Membership]]
    """From which height on; the first is the one that it began with."""
    orders: list[int] = field(default_factory=list)
    """Of each block: the number under which it is stored."""

    @property
    def end(self) -> int:
        """The height of its last block so far."""
        return self.start + len(self.orders)

    @property
    def head(self) -> Head:
        """Where it stands."""
        return Head(prefix=self.prefix, height=self.end, block_hash=self.hashes[-1])

    def membership(self, height: int) -> Membership:
        """Return the members after the block at a height."""
        return next(after for since, after in reversed(self.memberships) if since <= height)

    def orders_from(self, first: int, count: int) -> Sequence[int]:
        """Return the numbers of at most `count` of its own blocks from a height on."""
        skipped = first - self.start - 1
        return self.orders[skipped : skipped + count] if skipped >= 0 else ()


class Lives:
    """All lives of all prefixes."""

    def __init__(self) -> None:
        self._lives: dict[str, list[Life]] = {}
        self._live: dict[str, Life] = {}
        self._heads: tuple[Head, ...] = ()
        self._digest: Hash32 | None = None

    def begin(self, state: DataChain, after: Iterable[str] = ()) -> None:
        """Let a chain begin with this state, in the place of the live chains that it comes `after`."""
        parents = tuple(self._live[prefix] for prefix in after)
        life = Life(state.prefix, state.height, parents, [state.head], [(state.height, state.membership)])
        self._lives.setdefault(state.prefix, []).append(life)
        self._live[state.prefix] = life
        self._digest = None

    def end(self, prefix: str) -> None:
        """Let a chain go on no more: others have begun in its place."""
        del self._live[prefix]
        self._digest = None

    def extend(self, state: DataChain, order: int) -> None:
        """Let a live chain's next block be that which has led to `state`."""
        life = self._live[state.prefix]
        life.hashes.append(state.head)
        life.orders.append(order)
        if state.membership is not life.memberships[-1][1]:
            life.memberships.append((state.height, state.membership))
        self._digest = None

    def at(self, prefix: str, height: int) -> Life | None:
        """Return the life in which a place lies, that in which it is the beginning included."""
        for life in reversed(self._lives.get(prefix, ())):
            if life.start <= height:
                return life if height <= life.end else None
        return None

    def members_before(self, block: DataBlock) -> Membership:
        """Return the members of a block's group before it, whose voters certified it; it must be held."""
        life = self.at(block.prefix, block.height)
        assert life is not None
        return life.membership(block.height - 1)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of the block at a place, or of what began there; None where there is none."""
        life = self.at(prefix, height)
        return None if life is None else life.hashes[height - life.start]

    def head(self, prefix: str) -> Hash32 | None:
        """Return the hash at which a live chain stands, or None when there is none."""
        life = self._live.get(prefix)
        return None if life is None else life.hashes[-1]

    def heads(self) -> tuple[Head, ...]:
        """Return where the live chains stand, sorted by prefix."""
        self._note()
        return self._heads

    def digest(self) -> Hash32:
        """Return SHA3-256 over the live chains' heads."""
        return self._note()

    def _note(self) -> Hash32:
        if self._digest is None:
            self._heads = tuple(life.head for _, life in sorted(self._live.items()))
            self._digest = sha3_256(*map(encode, self._heads))
        return self._digest

    def reach(self, heads: Iterable[Head]) -> dict[str, int]:
        """Return by prefix the height up to which blocks count as of these heads, with all that led there."""
        reach: dict[str, int] = {}
        for life, height in self._up_to(heads):
            reach[life.prefix] = max(height, reach.get(life.prefix, 0))
        return dict(sorted(reach.items()))

    def first_beyond(self, reach: Mapping[str, int]) -> Iterator[int]:
        """Yield of each life the number of the first block above its prefix's height in `reach`."""
        for lives in self._lives.values():
            for life in lives:
                height = max(reach.get(life.prefix, 0), life.start)
                yield from life.orders_from(height + 1, 1)

    def _up_to(self, heads: Iterable[Head]) -> Iterator[tuple[Life, int]]:
        """Yield each life that led to these heads, with the height up to which it did."""
        waiting = [(life, head.height) for life, head in self._lives_of(heads)]
        seen: set[tuple[str, int]] = set()
        while waiting:
            life, height = waiting.pop()
            yield life, height
            for parent in life.parents:
                if (parent.prefix, parent.start) not in seen:
                    seen.add((parent.prefix, parent.start))
                    waiting.append((parent, parent.end))

    def members(self, heads: Iterable[Head]) -> tuple[Member, ...]:
        """Return the members of all groups as of these heads, sorted by operator key.

        Raises `InvalidBlock` when somebody is in two of them: then they are of no one moment.
        """
        found: dict[OperatorKey, Member] = {}
        for life, head in self._lives_of(heads):
            for member in life.membership(head.height).members:
                if found.setdefault(OperatorKey(member.operator_key), member) is not member:
                    raise InvalidBlock(f"{member.operator_key.hex()[:16]} is a member in two groups")
        return tuple(found[key] for key in sorted(found))

    def _lives_of(self, heads: Iterable[Head]) -> Iterator[tuple[Life, Head]]:
        for head in heads:
            life = self.at(head.prefix, head.height)
            if life is None:
                raise InvalidBlock(f"there is no block {head.height} of group {head.prefix!r}")
            yield life, head
