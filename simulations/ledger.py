"""Somebody who sees every certified block of every group, and holds it against the rules as they are written.

Answers for: each block has its place, and what it says is allowed by arithmetic of its own, so that a rule of
`protocol` which is broken shows as a difference. What is found wrong in a block is told, and it goes on. The
laws over the whole are `group_laws`'. Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.crypto import envelope_body
from protocol.group.data_block import (
    AbsorbPayload,
    AdmitPayload,
    DataBlock,
    EvidencePayload,
    ExpirePayload,
    LinkPayload,
    MergePayload,
    Payload,
    RefusePayload,
    RelocatePayload,
    RemovePayload,
    SplitPayload,
    VerdictPayload,
)
from protocol.group.vote import decode_statement
from simulations.seats import PLACES, SEATS, Group, Kept, Seats
from simulations.seats_judged import Breach
from simulations.seats_moves import admit, end, relocate
from simulations.seats_partition import absorb, bind, merge, split


@dataclass
class Ledger(Seats):
    """All seats of one network, and what moves them."""

    links: int = 0
    """LINK blocks certified anywhere: events."""

    def take(self, block: DataBlock, payload: Payload, hashed: bytes) -> Iterator[Breach]:
        """Go on by one certified block, in an order in which each comes after what it rests on."""
        place = block.prefix, block.height
        self.enter(place, hashed)
        before = self.stood.setdefault(place, (hashed, block.stamp_height))
        if before[0] != hashed:
            yield PLACES, f"two blocks {block.height} of group {block.prefix!r}"
            return
        if self.is_void(*place):
            return  # it counts for nobody
        group = self.at(block.prefix)
        ends = group is not None and group.ending is not None and not isinstance(payload, AbsorbPayload)
        if group is None or ends or block.height != group.height + 1:
            yield PLACES, f"block {block.height} of group {block.prefix!r} follows nothing"
            return
        yield from self._follow(group, block, payload)
        group.height, group.head, group.stamp = block.height, hashed, block.stamp_height
        yield from self._change_by(group, block, payload, hashed)

    def _follow(self, group: Group, block: DataBlock, payload: Payload) -> Iterator[Breach]:
        what = f"block {block.height} of group {block.prefix!r}"
        if block.previous != group.head:
            yield PLACES, f"{what} follows another one"
        if block.stamp_height < group.stamp:
            yield PLACES, f"{what} has stamp {block.stamp_height} after {group.stamp}"
        if bool(group.links_due) != isinstance(payload, LinkPayload):
            yield PLACES, f"{what} is a LINK when none is due, or none"
        if self.chain.block_hash(block.stamp_height) != block.stamp_hash:
            yield PLACES, f"{what} stamps another chain"

    def _change_by(self, group: Group, block: DataBlock, payload: Payload, hashed: bytes) -> Iterator[Breach]:
        match payload:
            case LinkPayload():
                yield from self._link(group, payload)
            case VerdictPayload():
                group.gate_open, group.move_due = True, payload.seq
                yield from self.judged.take(group.prefix, payload, hashed)
            case RelocatePayload():
                yield from relocate(self, group, block, payload, hashed)
            case AdmitPayload():
                yield from admit(self, group, block, payload)
            case RefusePayload() | ExpirePayload():
                yield from end(self, group, block, payload, hashed)
            case RemovePayload():
                yield from self._leave(group, payload.operator_key, keeps_age=True)
            case EvidencePayload():
                for proof in payload.proofs:
                    guilty = decode_statement(envelope_body(proof.first)).signer
                    yield from self._leave(group, guilty, keeps_age=False)
            case SplitPayload():
                yield from split(self, group)
            case MergePayload():
                yield from merge(self, group)
            case AbsorbPayload():
                yield from absorb(self, group, block, payload, hashed)
            case _:
                self.judged.register(payload, block.stamp_height)

    def _link(self, group: Group, payload: LinkPayload) -> Iterator[Breach]:
        self.links += 1
        if payload.members_count != len(group.members):
            yield (
                SEATS,
                f"group {group.prefix!r} says {payload.members_count} members, not {len(group.members)}",
            )
        if group.gate_open and group.counts:
            for key in group.members:
                self.touch(key).events += 1
        group.links_due = max(0, group.links_due - 1)
        group.gate_open = False
        if not group.links_due:
            group.counts = True
            if group.halves:
                group.halves = ()
                bind(self, group)

    def _leave(self, group: Group, key: bytes, *, keeps_age: bool) -> Iterator[Breach]:
        if self.seat(key).kept is not Kept.MEMBER or key not in group.members:
            yield SEATS, f"{key.hex()[:8]} leaves group {group.prefix!r} and is no member"
            return
        self.dismiss(group, key, keeps_age=keeps_age)
        self.change(group)
