"""One undecided height of one electorate: consensus joined to its durable record.

Answers for: a statement is recorded in the vote file before it exists as an envelope
outside this node, and is never made in a slot that the guard does not free; what was
said and heard at this height is kept until it is decided, so that a restart keeps its
lock. How votes become decisions is `protocol.group.consensus`; what is proposed and
what a decision means is left to the machines that open ballots. Spec: `spec/node.md`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.crypto import Signer, envelope_body, sha3_256, verify_envelope
from protocol.errors import StaleMessage
from protocol.group.actions import Accuse, Action, Decide, Resend, Sign
from protocol.group.certificate import Certificate
from protocol.group.consensus import Consensus
from protocol.group.vote import EquivocationProof, Statement, Vote, content_hash, decode_statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Announce, Effect, News, Persist, Publish, RecordVote
from protocol.node.messages import pack_signed
from protocol.units import Hash32, OperatorKey

ENVELOPES_PER_VOTER_MAX = 256
"""Statements of one voter kept at one time; a further one is dropped. The rounds that matter need a third."""
_ORDER_SIZE = 4
"""Bytes of the number that orders the record of one height."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where an envelope stands in the record, and whose it is."""

    key: bytes
    signer: OperatorKey
    round: int


class Ballot:
    """Runs one `Consensus` and turns its actions into effects."""

    def __init__(
        self, consensus: Consensus, signer: Signer, guard: VoteGuard, topic: str, prefix: bytes
    ) -> None:
        self.consensus = consensus
        self.decided: tuple[bytes, Certificate] | None = None
        self.accusations: list[EquivocationProof] = []
        self._signer = signer
        self._guard = guard
        self._topic = topic
        self._prefix = prefix
        self._kept: dict[Hash32, _Kept] = {}
        """By the hash of the envelope; keys in the record are in the order of arrival."""
        self._next = 0
        self._pruned_at = 0
        self._count: dict[bytes, int] = {}

    def restore(self, records: Iterable[tuple[bytes, bytes]], now: int) -> list[Effect]:
        """Take back this height's record, (key, envelope) in the order of keys, before anything new is said.

        In another order the proof of our own lock might not come together again where a voter contradicts
        itself, and we would hold to a value that we cannot show.
        """
        envelopes: list[bytes] = []
        effects: list[Effect] = []
        for key, envelope in records:
            statement = decode_statement(envelope_body(envelope))
            self._next = int.from_bytes(key[len(self._prefix) :], "big")
            self._remember(envelope, statement)
            effects += self._record_own(envelope, statement)
            envelopes.append(envelope)
        return effects + self._carry_out(self.consensus.start(now, envelopes=envelopes))

    def offer(self, choices: Sequence[bytes], now: int) -> list[Effect]:
        """Something to propose arrived, or changed; of several each has its round."""
        return [] if self.decided else self._carry_out(self.consensus.offer(choices, now))

    def wake(self, now: int) -> list[Effect]:
        """There is something to propose, and its turn will come."""
        return [] if self.decided else self._carry_out(self.consensus.wake(now))

    def is_our_turn(self) -> bool:
        """Whether this round is ours to propose in."""
        return self.consensus.is_our_turn

    def may_propose(self) -> bool:
        """Whether it is our turn; if not, what was offered before is proposed no more: it grows old."""
        if self.decided or self.consensus.may_propose:
            return not self.decided
        self.consensus.withdraw()
        return False

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement of this height whose signature is not checked yet; raises `ProtocolError`."""
        if self.decided or not self.consensus.wants(statement):
            return []
        verify_envelope(envelope, statement.signer)
        if statement.signer == self._signer.operator_key:
            content = content_hash(statement, envelope_body(envelope))
            if not self._guard.witness(statement.slot, content):
                place: News = {"height": statement.height, "round": statement.round}
                return [Announce("key.elsewhere", place)]
        if not self.consensus.keeps(statement.round):
            return self._hear(envelope, statement, now)  # it says how far the voter is, and may come again
        fresh = self._remember(envelope, statement)
        return [] if fresh is None else [fresh, *self._hear(envelope, statement, now)]

    def tick(self, now: int) -> list[Effect]:
        """Let timeouts pass and repeat what others may have missed."""
        return [] if self.decided else self._carry_out(self.consensus.tick(now)) + self._prune()

    def revalidate(self, now: int) -> list[Effect]:
        """The chain or the pool moved: a value that could not be judged may be judged now."""
        return [] if self.decided else self._carry_out(self.consensus.revalidate(now))

    @property
    def has_spoken(self) -> bool:
        """Whether we said anything at this height that is still kept."""
        return self._count.get(self._signer.operator_key, 0) > 0

    def forget(self) -> list[Effect]:
        """Drop the record of this height; it is decided."""
        return [Persist(kept.key, None) for kept in self._kept.values()]

    def _prune(self) -> list[Effect]:
        """Drop the record of rounds that no longer matter: a height may go on for days."""
        if self.consensus.round == self._pruned_at:
            return []
        self._pruned_at = self.consensus.round
        gone = {name: kept for name, kept in self._kept.items() if not self.consensus.keeps(kept.round)}
        for name, kept in gone.items():
            del self._kept[name]
            self._count[kept.signer] -= 1
        return [Persist(kept.key, None) for kept in gone.values()]

    def _remember(self, envelope: bytes, statement: Statement) -> Persist | None:
        """Keep the envelope once, within the limit of its signer."""
        name = sha3_256(envelope)
        if name in self._kept:
            return None
        count = self._count.get(statement.signer, 0)
        if count >= ENVELOPES_PER_VOTER_MAX:
            raise StaleMessage(f"{count} statements of one voter at one height are enough")
        self._count[statement.signer] = count + 1
        key = self._prefix + self._next.to_bytes(_ORDER_SIZE, "big")
        self._kept[name] = _Kept(key, statement.signer, statement.round)
        self._next += 1
        return Persist(key, envelope)

    def _record_own(self, envelope: bytes, statement: Statement) -> list[Effect]:
        """Record an own statement that a crash kept from the vote file: it will be repeated."""
        slot, content = statement.slot, content_hash(statement, envelope_body(envelope))
        if statement.signer != self._signer.operator_key or slot in self._guard.records():
            return []
        if not self._guard.may_sign(slot, content):
            return []
        self._guard.record(slot, content)
        return [RecordVote(slot, content)]

    def _hear(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        if isinstance(statement, Vote):
            return self._carry_out(self.consensus.receive_vote(envelope, statement, now))
        return self._carry_out(self.consensus.receive_proposal(envelope, statement, now))

    def _carry_out(self, actions: Sequence[Action]) -> list[Effect]:
        effects: list[Effect] = []
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            match action:
                case Sign():
                    effects += self._sign(action, waiting)
                case Resend():
                    effects.append(Publish(self._topic, pack_signed(action.envelope)))
                case Decide():
                    self.decided = (action.value, action.certificate)
                case Accuse():
                    self.accusations.append(action.proof)
        return effects

    def _sign(self, action: Sign, waiting: deque[Action]) -> list[Effect]:
        """Record, then sign, then let the machine count its own statement."""
        if not self._guard.may_sign(action.slot, action.content_hash):
            place = {"height": action.slot.height, "round": action.slot.round}
            return [Announce("vote.withheld", place)]
        self._guard.record(action.slot, action.content_hash)
        envelope = self._signer.sign(action.body)
        effects: list[Effect] = [RecordVote(action.slot, action.content_hash)]
        kept = self._remember(envelope, decode_statement(action.body))
        if kept is not None:
            effects.append(Persist(kept.key, kept.value, durable=True))
        waiting.extend(self.consensus.signed(envelope))
        return [*effects, Publish(self._topic, pack_signed(envelope))]
