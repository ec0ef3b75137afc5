"""What this node holds of all groups, as RPC methods ask for it.

Answers for: every question about groups, seats and verdicts is put to the node machine here, once, so
that what the methods show agrees. Nothing is decided here. Spec: `spec/rpc.md`.
"""

from dataclasses import dataclass

from protocol.group.data_block import (
    Refusal,
    RefusePayload,
    VerdictPayload,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.quorum import Electorate
from protocol.group.regions import falls
from protocol.node.departures import Cause, Departed
from protocol.node.group_condition import Condition, GroupCondition, NextMove, group_condition, next_move
from protocol.node.last_verdicts import Found
from protocol.node.machine import Node
from protocol.node.mover import Whereabouts
from protocol.node.proofs import ProofSender
from protocol.node.tickets import Moved, Ticket
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_blocks import listable_challenges
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.registration import Registration
from protocol.tracking.verdict import Reason
from protocol.units import OperatorKey


@dataclass(frozen=True, slots=True)
class Missed:
    """What others may have missed of us."""

    blocks: int
    """Certified in our group since the last one about which we said anything."""
    heights: int
    """Of the chain since then."""


class NetworkView:
    """All groups as one node has them now."""

    def __init__(self, node: Node) -> None:
        self._node = node

    # Groups.

    def states(self) -> tuple[DataChain, ...]:
        """Return the states of the live groups, sorted by prefix."""
        return tuple(machine.state for machine in self._node.groups)

    def covering(self, name: bytes) -> DataChain:
        """Return the state of the live group to which a 32-byte name falls."""
        return self._node.groups.covering(name).state

    def live(self, prefix: str) -> DataChain:
        """Return the state of a live group; `KeyError` for a prefix that is none's."""
        return self._node.groups[prefix].state

    def condition(self, state: DataChain) -> GroupCondition:
        """Return how a group stands."""
        node = self._node
        tip, genesis = node.chain.tip()[0], node.genesis
        newest = tip // genesis.parameters.challenge_every
        first = listable_challenges(genesis, node.lister.period).start
        return group_condition(state, tip, range(first, newest + 1), self._is_void)

    def stopped(self) -> list[str]:
        """Return the prefixes of the groups that have stopped, sorted."""
        found = ((state.prefix, self.condition(state).condition) for state in self.states())
        return [prefix for prefix, condition in found if condition is Condition.STOPPED]

    def _is_void(self, seq: int) -> bool:
        anchor = self._node.chain.block_hash(seq * self._node.genesis.parameters.challenge_every)
        return anchor is not None and anchor in self._node.tracker.voids.of(seq)

    def next_move(self, state: DataChain) -> NextMove:
        """Return who of a group moves next."""
        return next_move(state, self._node.chain)

    def registration(self, key: OperatorKey) -> Registration | None:
        """Return the registration of an operator that is in force, by the blocks of all groups, or None."""
        return self._node.groups.book.of(key, self._node.chain.tip()[0])

    # Verdicts.

    def records(self, seq: int) -> tuple[VerdictRecord, ...]:
        """Return the VERDICT blocks of a challenge, over all groups, by (prefix, data height)."""
        found = self._node.groups.archive.verdict_records(seq, seq)
        return tuple(sorted(found, key=lambda record: (record.prefix, record.height)))

    def judges_us(self, record: VerdictRecord) -> bool:
        """Whether our own draw falls to the regions that a block judges."""
        return falls(record.parts, challenge_draw(record.anchor_hash, self._node.operator_key))

    def judges(self, record: VerdictRecord) -> Electorate:
        """Return who judged: the voters that certified a VERDICT block."""
        standing = self._node.groups.archive.standing(record.block_hash)
        assert standing is not None
        return standing.electorate

    def evidence(self, record: VerdictRecord) -> VerdictPayload | None:
        """Return all that a VERDICT block follows from; None where it was pruned, or is not written yet."""
        data = self._node.groups.archive.certified(record.prefix, record.height)
        if data is None:
            return None
        payload = decode_payload(decode_block(decode_certified(data).block))
        assert isinstance(payload, VerdictPayload)
        return payload

    def verdicts_on(self, key: OperatorKey) -> tuple[Found, ...]:
        """Return the newest verdicts on an operator, oldest first: as many as cost a place."""
        return self._node.groups.archive.last_verdicts.of(key)

    def failures(self, key: OperatorKey) -> int:
        """Return how many challenges in a row an operator has failed up to its newest verdict."""
        count, after = 0, None
        for found in reversed(self.verdicts_on(key)):
            if found.reason is Reason.VALID or after not in (None, found.seq + 1):
                break
            count, after = count + 1, found.seq
        return count

    # Seats.

    def whereabouts(self) -> Whereabouts:
        """Return where our own seat is."""
        return self._node.seating.mover.whereabouts()

    def joins(self) -> bool:
        """Whether our own node asks for a place."""
        return self._node.seating.mover.joins

    def proof(self) -> ProofSender | None:
        """Return what hands our join proof over, while we are under way."""
        return self._node.seating.mover.proof

    def moves(self) -> tuple[Moved, ...]:
        """Return the last moves of the whole network, oldest first."""
        return self._node.groups.archive.tickets.moves()

    def tickets_to(self, state: DataChain) -> tuple[Ticket, ...]:
        """Return the tickets that lead to a group, oldest first."""
        return tuple(self._node.groups.archive.tickets.leading_to(state.prefix))

    def expires(self, ticket: Ticket) -> int:
        """Return the last stamp under which a ticket's holder can be taken in."""
        return ticket.stamp_height + self._node.genesis.parameters.relocation_pending

    def refusal(self, key: OperatorKey) -> Refusal | None:
        """Return why an operator's last ticket was refused; None when it expired, or did not end so."""
        ending = self._node.groups.archive.tickets.ending_of(key)
        standing = ending and self._node.groups.archive.standing(ending.block_hash)
        return standing.payload.reason if standing and isinstance(standing.payload, RefusePayload) else None

    def cause(self, key: OperatorKey, stamp_height: int) -> Cause | None:
        """Return why an operator lost its place under a stamp; None when that is forgotten."""
        return self._node.groups.archive.departures.cause(key, stamp_height)

    def departures(self) -> tuple[Departed, ...]:
        """Return who lost its place last, oldest first."""
        return self._node.groups.archive.departures.all()

    def unheard(self) -> Missed:
        """Return what the other voters of our group may have missed of us since this node began."""
        return Missed(*self._node.group.unheard)

    def votes_missed(self, state: DataChain, key: OperatorKey) -> int | None:
        """Return how many blocks of our group were certified in a row without a voter, as we heard it."""
        if self._node.group.state is not state or key not in state.electorate:
            return None
        if key == self._node.operator_key:
            return self.unheard().blocks
        return self._node.seating.admissions.attendance.missed(key, state)
