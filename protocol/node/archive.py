"""The certified data blocks of all groups, as far as this node has applied them.

Answers for: a block is found by its hash and by its place, with what others may read of it (what it says,
who certified it); they are stored in the order in which they were applied, so that a start is one pass.
Memory holds hashes and places only, and what was read last. Which block comes next is left to `group` and
`groups`, what a list makes of verdicts to `protocol.payout.payout_list`. Spec: `spec/node.md`.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from protocol.chain.view import ChainView
from protocol.codec import encode, replace
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    EvidencePayload,
    Payload,
    RegisterPayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Standing
from protocol.group.membership import Member
from protocol.group.void import Void
from protocol.node.departures import Departures
from protocol.node.effects import Persist
from protocol.node.last_verdicts import LastVerdicts
from protocol.node.lives import Life, Lives
from protocol.node.records import BLOCK, Records, block_key, block_order
from protocol.node.stored_block import PrunedBlock, StoredBlock, decode_stored, pruned, without_evidence
from protocol.node.tickets import Tickets
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_blocks import Reach
from protocol.payout.list_header import Head
from protocol.units import ChallengeSeq, Hash32

PAST_MAX = 8
"""Old states that are kept once they were asked for."""
STANDINGS_MAX = 4_096
"""Blocks of which is kept in memory what others read of them; the record has all."""
PRUNED_AT_ONCE = 32
"""Blocks that are pruned in one step, at most."""
PRUNED_BYTES = 1 << 20
"""Bytes of blocks from which on no further one is pruned in that step."""

Place = tuple[str, int]
"""(prefix, height)"""


class Archive:
    """What is decided in all groups; fulfils `Elsewhere` and `ListSource`."""

    def __init__(self, records: Records, chain: ChainView, verdicts_kept: int) -> None:
        """Hold nothing yet; of each operator the verdicts of so many challenges are kept at hand."""
        self._records = records
        self._chain = chain
        self._past: dict[Place, DataChain] = {}
        self.lives = Lives()
        self._places: dict[Hash32, Place] = {}
        self._standings: dict[Hash32, Standing] = {}
        self._fresh: dict[Hash32, Standing] = {}
        """What may not be in the record yet."""
        self._registers: dict[str, list[tuple[int, int, Hash32]]] = {}
        """By prefix: (height, stamp, hash) of its REGISTER blocks."""
        self.registers_count = 0
        """Of all groups."""
        self._verdicts: dict[int, list[Hash32]] = {}
        """By challenge: its VERDICT blocks in the order in which they were applied."""
        self._left_over: dict[Place, int] = {}
        """Stored blocks that could not be applied at the start, with their numbers."""
        self._left_hashes: dict[Hash32, Place] = {}
        self._next = 0
        self.pruned = 0
        """How many of the blocks that were applied first are held without what proves them to others."""
        self.pruned_below = 0
        """Those whose numbers lie below."""
        self._new: list[tuple[Hash32, DataBlock]] = []
        self.tickets = Tickets()
        """Who is under way between groups."""
        self.last_verdicts = LastVerdicts(verdicts_kept)
        self.departures = Departures()

    # What is applied.

    def stored(self) -> Iterator[tuple[int, StoredBlock]]:
        """Yield the blocks of the record with their numbers, as they were applied before the last stop."""
        for key, data in self._records.iterate(BLOCK):
            self._next = block_order(key) + 1
            yield block_order(key), decode_stored(data)

    def leave(self, order: int, certified: CertifiedBlock) -> None:
        """Note that a stored block cannot be applied again yet."""
        block = decode_block(certified.block)
        place = (block.prefix, block.height)
        self._left_over[place] = order
        self._left_hashes[block_hash(certified.block)] = place

    def left_over(self, prefix: str, height: int) -> CertifiedBlock | None:
        """Return the stored block of a place, if it was not applied again yet."""
        order = self._left_over.get((prefix, height))
        data = None if order is None else self._records.get(block_key(order))
        return None if data is None else decode_certified(data)

    def was_stored(self, hashed: Hash32) -> bool:
        """Whether we had applied this block before the last stop, though not since."""
        return hashed in self._left_hashes

    def add(self, certified: CertifiedBlock, after: DataChain, order: int | None = None) -> list[Persist]:
        """Take a block that has led its chain to `after`; return what must be written.

        `order` is its number in the record, if it stands there already.
        """
        writes: list[Persist] = []
        left = self._left_hashes.pop(after.head, None)
        if left is not None:
            writes.append(Persist(block_key(self._left_over.pop(left)), None))
        if order is None:
            order, self._next = self._next, self._next + 1
            writes.append(Persist(block_key(order), encode(certified), durable=True))
        self._enter(decode_block(certified.block), after, order)
        return writes

    def add_pruned(self, block: PrunedBlock, after: DataChain, order: int) -> None:
        """Take a block of the record that has led its chain to `after`, and was pruned."""
        self._enter(decode_block(block.block), after, order)
        self.pruned, self.pruned_below = self.pruned + 1, order + 1

    def _enter(self, block: DataBlock, after: DataChain, order: int) -> None:
        self.lives.extend(after, order)
        self._places[after.head] = (block.prefix, block.height)
        self._remember(after.head, block, decode_payload(block))
        self._new.append((after.head, block))

    def take_new(self) -> list[tuple[Hash32, DataBlock]]:
        """Hand out the blocks applied since the last call with their hashes, oldest first."""
        new, self._new = self._new, []
        return new

    def _remember(self, hashed: Hash32, block: DataBlock, payload: Payload) -> None:
        if isinstance(payload, RegisterPayload):
            self.registers_count += 1
            entry = block.height, block.stamp_height, hashed
            insort(self._registers.setdefault(block.prefix, []), entry)
        if isinstance(payload, VerdictPayload):
            self._verdicts.setdefault(payload.seq, []).append(hashed)
        self._fresh[hashed] = standing = self._stand(hashed, block, payload)
        self.tickets.note(standing)
        self.last_verdicts.note(standing)
        self.departures.note(standing)

    def written(self) -> None:
        """Note that all blocks that were taken before this input of the machine are in the record now."""
        for standing in self._fresh.values():
            self._keep(standing)
        self._fresh.clear()

    def _stand(self, hashed: Hash32, block: DataBlock, payload: Payload) -> Standing:
        """Return what is read of a block: not what its verdicts follow from, which is in the record."""
        members = self.lives.members_before(block)
        return Standing(hashed, replace(block, payload=b""), without_evidence(payload), members)

    def _keep(self, standing: Standing) -> None:
        if isinstance(standing.payload, EvidencePayload):
            return  # large, and read by nobody
        self._standings[standing.block_hash] = standing
        while len(self._standings) > STANDINGS_MAX:
            del self._standings[next(iter(self._standings))]

    # What others ask.

    def __len__(self) -> int:
        """How many blocks count."""
        return len(self._places) - self.lives.void_blocks

    def __contains__(self, hashed: object) -> bool:
        return hashed in self._places

    def order(self, hashed: bytes) -> int:
        """Return the number under which an applied block is stored; -1 when it is not held."""
        place = self._places.get(Hash32(hashed))
        life = None if place is None else self.lives.at(*place)
        return -1 if place is None or life is None else life.orders_from(place[1], 1)[0]

    def standing(self, block_hash: bytes) -> Standing | None:
        """Return a block with what is read of it, or None when it is not held.

        Its own payload bytes are left out, and so are a verdict's observations, receipts and responses.
        """
        hashed = Hash32(block_hash)
        place = self._places.get(hashed)
        if place is None:
            return None
        found = self._fresh.get(hashed)
        if found is None:
            found = self._standings.pop(hashed, None) or self._read(hashed, place)
            self._keep(found)
        return found

    def _read(self, hashed: Hash32, place: Place) -> Standing:
        data = self._records.get(block_key(self.order(hashed)))
        if data is None:
            raise ValueError(f"the record lacks block {place[1]} of group {place[0]!r}")
        block = decode_block(decode_stored(data).block)
        return self._stand(hashed, block, decode_payload(block))

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        """Return the REGISTER blocks of a prefix above a height, in their order.

        With `until` those up to a place, and behind it; else all that count.
        """
        if until is None:
            return [self._certain(hashed) for _, _, hashed in self._registers_after(prefix, after)]
        spans = self.lives.spans(prefix, until)
        found = self._registers_above(prefix, after)
        return [self._certain(hashed) for height, _, hashed in found if _is_within(spans, height)]

    def registers_until(self, prefix: str, after: int, stamp: int | None) -> tuple[Hash32, ...]:
        """Return the hashes of a prefix's REGISTER blocks above a height, up to a stamp if one is given."""
        found = self._registers_after(prefix, after)
        return tuple(hashed for _, at, hashed in found if stamp is None or at <= stamp)

    def _registers_after(self, prefix: str, after: int) -> list[tuple[int, int, Hash32]]:
        """Return (height, stamp, hash) of a prefix's REGISTER blocks above a height that are not void."""
        return [one for one in self._registers_above(prefix, after) if not self.lives.is_void(prefix, one[0])]

    def _registers_above(self, prefix: str, after: int) -> list[tuple[int, int, Hash32]]:
        found = self._registers.get(prefix, [])
        return found[bisect_right(found, after, key=lambda one: one[0]) :]

    def registering(self) -> tuple[str, ...]:
        """Return the prefixes that have REGISTER blocks, sorted."""
        return tuple(sorted(self._registers))

    def _certain(self, hashed: Hash32) -> Standing:
        found = self.standing(hashed)
        assert found is not None
        return found

    def state_at(self, prefix: str, height: int) -> DataChain | None:
        """Return a group's state at a height, made again where it is an old one; None when it is not held."""
        life = self.lives.at(prefix, height)
        if life is None:
            return None
        if height in (life.start, life.end):
            return life.first if height == life.start else life.state
        found = self._past.pop((prefix, height), None) or self._replay(life, height)
        if found is not None:
            self._past[prefix, height] = found
        while len(self._past) > PAST_MAX:
            del self._past[next(iter(self._past))]
        return found

    def _replay(self, life: Life, height: int) -> DataChain | None:
        state = life.first
        for order, hashed in zip(life.orders[: height - life.start], life.hashes[1:], strict=False):
            data = self._records.get(block_key(order))
            if data is None:
                return None  # applied a moment ago, and not written yet
            state = state.resume(decode_block(decode_stored(data).block), hashed, self._chain, self)
        return state

    def heads(self) -> tuple[Head, ...]:
        """Return the last block of each live group's data chain, sorted by prefix."""
        return self.lives.heads()

    def reach(self, heads: tuple[Head, ...]) -> Reach:
        """Return by prefix the height up to which blocks count as of these heads, which are held."""
        return self.lives.reach(heads)

    def voids(self, heads: tuple[Head, ...]) -> tuple[Void, ...]:
        """Return what does not count as of these heads, which are held."""
        return self.lives.voids(heads)

    def last(self, prefix: str) -> Standing | None:
        """Return the last block of a live chain, or what it began with if that is a block; else None.

        Of one that ended with a MERGE block that block, whatever has followed it.
        """
        state = self.lives.live(prefix)
        return None if state is None else self.standing((state.ending or state).head)

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return the members of all groups as of these heads; `InvalidBlock` for one in two of them."""
        return self.lives.members(heads)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of one data block, or of what its chain began with; None where nothing is held."""
        return self.lives.block_hash(prefix, height)

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the VERDICT blocks of these challenges, both inclusive."""
        seqs = range(first_seq, last_seq + 1)
        hashes = [hashed for seq in seqs for hashed in self._verdicts.get(seq, ())]
        return tuple(_record(self._certain(hashed)) for hashed in hashes)

    def verdict_record(self, hashed: bytes) -> VerdictRecord | None:
        """Return one VERDICT block's verdicts, or None when it is not held."""
        found = self.standing(hashed)
        return None if found is None else _record(found)

    # The whole blocks.

    def certified(self, prefix: str, height: int) -> bytes | None:
        """Return a certified block as it is stored, or None where there is none, or it was pruned."""
        return next(self.following([(prefix, height)], 1), None)

    def following(self, wants: Iterable[Place], count: int) -> Iterator[bytes]:
        """Yield stored blocks from each of these places on, as they were applied here.

        At most `count` of each, and none of those where the first was pruned; so nothing comes before what it
        names, where both are asked for.
        """
        ranges: list[Sequence[int]] = []
        for prefix, first in wants:
            life = self.lives.at(prefix, first)
            orders = () if life is None else life.orders_from(first, count)
            ranges.append(orders if orders and orders[0] >= self.pruned_below else ())
        for order in merge(*ranges):
            data = self._records.get(block_key(order))
            if data is not None:
                yield data

    # Pruning.

    def prunable_below(self, reach: Reach) -> int:
        """Return below which number all blocks are applied, and stand within reach by their heights."""
        return min((self._next, *self.lives.first_beyond(reach), *self._left_over.values()))

    def prune(self, below: int) -> list[Persist]:
        """Drop the proofs of some blocks, the first that have them, with numbers below this one.

        Return what must be written. Blocks of the same step are in no record yet: none may be among these.
        """
        writes: list[Persist] = []
        last, size = min(below, self.pruned_below + PRUNED_AT_ONCE), 0
        while self.pruned_below < last and size < PRUNED_BYTES:
            key = block_key(self.pruned_below)
            self.pruned_below += 1
            data = self._records.get(key)
            if data is None:
                continue  # it was left over at a start, and applied under another number
            size += len(data)
            writes.append(Persist(key, encode(pruned(decode_certified(data)))))
        self.pruned += len(writes)
        return writes


def _is_within(spans: Iterable[tuple[int, int]], height: int) -> bool:
    return any(above < height <= until for above, until in spans)


def _record(standing: Standing) -> VerdictRecord:
    payload = standing.payload
    assert isinstance(payload, VerdictPayload)
    return VerdictRecord(
        prefix=standing.block.prefix,
        height=standing.block.height,
        block_hash=standing.block_hash,
        seq=ChallengeSeq(payload.seq),
        anchor_hash=Hash32(payload.anchor_hash),
        verdicts=payload.verdicts,
        parts=payload.parts,
    )
