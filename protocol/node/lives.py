"""How the groups' data chains hang together: which block stands where, and what came before it.

Answers for: a prefix has a group again and again (it splits, and its halves go on together), and each
time its chain is one *life*: it begins with what ended the lives before it, and heights go on from there,
so that (prefix, height) is one place for ever. Blocks themselves are kept by `archive`. Spec: `spec/node.md`.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocol.codec import encode
from protocol.crypto import sha3_256
from protocol.errors import InvalidBlock
from protocol.group.data_block import DataBlock
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member, Membership
from protocol.group.void import Void
from protocol.payout.list_header import Head
from protocol.units import Hash32, OperatorKey


@dataclass(slots=True, eq=False)
class Life:
    """One stretch of a prefix's data chain."""

    prefix: str
    start: int
    """The height with which it began; its own blocks stand above."""
    parents: tuple[tuple["Life", int], ...]
    """From which lives it comes, and up to what height of each."""
    first: DataChain
    """With what it began,"""
    state: DataChain
    """and where it stands."""
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
        self._voids: dict[Void, None] = {}
        self.void_blocks = 0
        """How many blocks are here that do not count."""

    def begin(self, state: DataChain, after: Iterable[tuple[str, int]] = ()) -> None:
        """Let a chain begin with this state, after these places; it is not live yet."""
        lives = [(self.at(*place), place[1]) for place in after]
        life = Life(
            prefix=state.prefix,
            start=state.height,
            parents=tuple((parent, height) for parent, height in lives if parent is not None),
            first=state,
            state=state,
            hashes=[state.head],
            memberships=[(state.height, state.membership)],
        )
        insort(self._lives.setdefault(state.prefix, []), life, key=lambda one: one.start)

    def change(self, ended: Iterable[str], begun: Iterable[DataChain]) -> None:
        """Let live chains go on no more, and others that have begun be live in their place."""
        for prefix in ended:
            del self._live[prefix]
        for state in begun:
            life = self.at(state.prefix, state.height)
            assert life is not None
            self._live[state.prefix] = life
            for void in state.voids:
                if void not in self._voids:
                    self._voids[void] = None
                    self.void_blocks = sum(map(self._count_void, self._lives))
        self._digest = None

    def _count_void(self, prefix: str) -> int:
        heights = (height for life in self._lives[prefix] for height in range(life.start + 1, life.end + 1))
        return sum(self.is_void(prefix, height) for height in heights)

    def is_void(self, prefix: str, height: int) -> bool:
        """Whether a place does not count: its group was absorbed at a lower one."""
        return any(void.covers(prefix, height) for void in self._voids)

    def extend(self, state: DataChain, order: int) -> None:
        """Let a chain's next block be that which has led to `state`."""
        life = self.at(state.prefix, state.height - 1)
        assert life is not None
        life.state = state
        life.hashes.append(state.head)
        life.orders.append(order)
        self.void_blocks += self.is_void(state.prefix, state.height)
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

    def live(self, prefix: str) -> DataChain | None:
        """Return the state of a live chain, or None when there is none."""
        life = self._live.get(prefix)
        return None if life is None else life.state

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

    def reach(self, heads: Iterable[Head]) -> dict[str, tuple[tuple[int, int], ...]]:
        """Return by prefix which blocks count as of these heads, with all that led there.

        Each time those above one height, and up to another.
        """
        found: dict[tuple[str, int], int] = {}
        for life, height in self._up_to(heads):
            place = life.prefix, life.start
            found[place] = max(height, found.get(place, 0))
        reach: dict[str, tuple[tuple[int, int], ...]] = {}
        for (prefix, above), until in sorted(found.items()):
            reach[prefix] = (*reach.get(prefix, ()), (above, until))
        return reach

    def first_beyond(self, reach: Mapping[str, Sequence[tuple[int, int]]]) -> Iterator[int]:
        """Yield of each life the number of the first block that is out of reach, and not void."""
        for life in (life for lives in self._lives.values() for life in lives):
            within = (until for above, until in reach.get(life.prefix, ()) if above == life.start)
            height = max(life.start, next(within, 0)) + 1
            if not self.is_void(life.prefix, height):
                yield from life.orders_from(height, 1)

    def _up_to(self, heads: Iterable[Head]) -> Iterator[tuple[Life, int]]:
        """Yield each life that led to these heads, with the height up to which it did."""
        waiting = [(life, head.height) for life, head in self._lives_of(heads)]
        seen: set[tuple[str, int]] = set()
        while waiting:
            life, height = waiting.pop()
            yield life, height
            for parent, until in life.parents:
                if (parent.prefix, parent.start) not in seen:
                    seen.add((parent.prefix, parent.start))
                    waiting.append((parent, until))

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

    def voids(self, heads: Iterable[Head]) -> tuple[Void, ...]:
        """Return what does not count as of these heads."""
        found = (void for life, _ in self._up_to(heads) for void in life.first.voids)
        return tuple(dict.fromkeys(found))

    def behind(self, prefix: str, height: int) -> dict[str, int]:
        """Return by prefix the height up to which blocks are behind a place, its own included."""
        return {line: spans[-1][1] for line, spans in self._reach_of(prefix, height).items()}

    def spans(self, prefix: str, height: int) -> tuple[tuple[int, int], ...]:
        """Return which blocks of the same prefix are behind a place, as `reach` does."""
        return self._reach_of(prefix, height).get(prefix, ())

    def _reach_of(self, prefix: str, height: int) -> dict[str, tuple[tuple[int, int], ...]]:
        life = self.at(prefix, height)
        if life is None:
            return {}
        return self.reach([Head(prefix=prefix, height=height, block_hash=life.hashes[0])])

    def _lives_of(self, heads: Iterable[Head]) -> Iterator[tuple[Life, Head]]:
        for head in heads:
            life = self.at(head.prefix, head.height)
            if life is None:
                raise InvalidBlock(f"there is no block {head.height} of group {head.prefix!r}")
            yield life, head
