"""One undecided height of one electorate: consensus joined to its durable record.

Answers for: a statement is recorded in the vote file before it exists as an envelope
outside this node, and is never made in a slot that the guard does not free; what was
said and heard at this height is kept until it is decided, so that a restart keeps its
lock. How votes become decisions is `protocol.group.consensus`; what is proposed and
what a decision means is left to the machines that open ballots. Spec: `spec/node.md`.
"""

from collections.abc import Iterable

from protocol.crypto import Signer, sha3_256
from protocol.errors import StaleMessage
from protocol.group.certificate import Certificate
from protocol.group.consensus import Accuse, Action, Consensus, Decide, Resend, Sign
from protocol.group.vote import EquivocationProof, Statement, Vote, check_signed, decode_statement, statement_hash
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Announce, Effect, Persist, Publish, RecordVote
from protocol.node.messages import pack_signed

ENVELOPES_PER_VOTER_MAX = 256
"""Statements of one voter kept at one height; a further one is dropped."""


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
        self._kept: dict[bytes, bytes] = {}
        self._count: dict[bytes, int] = {}

    def restore(self, envelopes: Iterable[bytes], now: int) -> list[Effect]:
        """Take back what this height's record holds, before anything new is said."""
        kept = [(envelope, check_signed(envelope, self.consensus.network)) for envelope in envelopes]
        for envelope, statement in kept:
            self._remember(envelope, statement)
        return self._carry_out(self.consensus.restore([pair[0] for pair in kept], now), now)

    def start(self, now: int, value: bytes | None) -> list[Effect]:
        """Begin, with something to propose or to hear what others propose."""
        return self._carry_out(self.consensus.start(now, value), now)

    def offer(self, value: bytes, now: int) -> list[Effect]:
        """Something to propose arrived, or changed."""
        return self._carry_out(self.consensus.offer(value, now), now)

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement whose signature holds."""
        if self.decided is not None:
            return []
        fresh = self._remember(envelope, statement)
        if fresh is None:
            return []
        effects: list[Effect] = [fresh]
        if isinstance(statement, Vote):
            actions = self.consensus.receive_vote(envelope, statement, now)
        else:
            actions = self.consensus.receive_proposal(envelope, statement, now)
        return effects + self._carry_out(actions, now)

    def tick(self, now: int) -> list[Effect]:
        """Let timeouts pass and repeat what others may have missed."""
        return [] if self.decided else self._carry_out(self.consensus.tick(now), now)

    def revalidate(self, now: int) -> list[Effect]:
        """The chain or the pool moved: a value that could not be judged may be judged now."""
        return [] if self.decided else self._carry_out(self.consensus.revalidate(now), now)

    def forget(self) -> list[Effect]:
        """Drop the record of this height; it is decided."""
        return [Persist(key, None) for key in self._kept]

    def _remember(self, envelope: bytes, statement: Statement) -> Persist | None:
        """Keep the envelope once, within the limit of its signer."""
        key = self._prefix + sha3_256(envelope)
        if key in self._kept:
            return None
        count = self._count.get(statement.signer, 0)
        if count >= ENVELOPES_PER_VOTER_MAX:
            raise StaleMessage(f"{count} statements of one voter at one height are enough")
        self._count[statement.signer] = count + 1
        self._kept[key] = envelope
        return Persist(key, envelope)

    def _carry_out(self, actions: Iterable[Action], now: int) -> list[Effect]:
        effects: list[Effect] = []
        waiting = list(actions)
        while waiting:
            action = waiting.pop(0)
            match action:
                case Sign():
                    more, further = self._sign(action, now)
                    effects += more
                    waiting += further
                case Resend():
                    effects.append(Publish(self._topic, pack_signed(action.envelope)))
                case Decide():
                    self.decided = (action.value, action.certificate)
                case Accuse():
                    self.accusations.append(action.proof)
        return effects

    def _sign(self, action: Sign, now: int) -> tuple[list[Effect], list[Action]]:
        """Record, then sign, then let the machine count its own statement."""
        content = statement_hash(action.body)
        if not self._guard.may_sign(action.slot, content):
            return [Announce("vote.withheld", {"height": action.slot.height, "round": action.slot.round})], []
        self._guard.record(action.slot, content)
        envelope = self._signer.sign(action.body)
        statement = decode_statement(action.body)
        kept = self._remember(envelope, statement)
        effects: list[Effect] = [RecordVote(action.slot, content)]
        if kept is not None:
            effects.append(Persist(kept.key, kept.value, durable=True))
        effects.append(Publish(self._topic, pack_signed(envelope)))
        return effects, list(self.consensus.signed(envelope, now))
