"""The group's data chain at one node: what it decides next, and what it has decided.

Answers for: a block is proposed when there is something to decide, voted on only after
it was checked against our own state and chain, kept with its certificate, and never
applied without one. What a block may say is `protocol.group.data_chain`, how it is
agreed on `ballot`; where its contents come from is left to `tracker` and `registrar`.
Spec: `spec/data_chain.md`, `spec/node.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.codec import decode, encode
from protocol.crypto import Signer, sha3_256
from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage, Stranded
from protocol.genesis import Genesis
from protocol.group.blockmaker import build_evidence, build_link, build_register, build_verdict
from protocol.group.consensus import Consensus
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    block_hash,
    decode_block,
    decode_certified,
)
from protocol.group.data_chain import DataChain
from protocol.group.vote import EquivocationProof, Statement, check_equivocation
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.court import Judged
from protocol.node.data_history import DataHistory
from protocol.node.effects import Announce, Effect, Learn, News, Persist
from protocol.node.held_back import HeldBack, is_settled
from protocol.node.records import BLOCK, PROOF, Records, ballot_prefix, block_key
from protocol.tracking.response import response_hash
from protocol.units import Hash32, OperatorKey

PROOFS_MAX = 64
"""Equivocation proofs that wait for their block."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could be decided next, besides links and evidence."""

    judged: Judged | None
    registrations: tuple[bytes, ...]
    deregistrations: tuple[bytes, ...]


class GroupMachine(DataHistory):
    """The machine of one group's data chain."""

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        topic: str,
    ) -> None:
        super().__init__(genesis, chain, records)
        self._genesis = genesis
        self._signer = signer
        self._guard = guard
        self._topic = topic
        self._proofs: dict[OperatorKey, tuple[bytes, EquivocationProof]] = {}
        """One proof of each guilty member, with its key in the record."""
        self._offered: bytes | None = None
        self._tried_at = -1
        """When a block was last looked for: what time alone may bring is looked for once a tick."""
        self._moved = self._unjudged = True
        self._held = HeldBack()
        self._alarmed: Hash32 | None = None
        """The block that was last announced as a contradiction."""
        self.stranded = False
        """Whether our chain has left the chain block that the last block stamps, as far as was announced."""
        self._began_at = chain.tip()[0]
        self._load()
        self._ballot = self._open()

    @property
    def contradicted(self) -> bool:
        """Whether a block is certified that our own chain contradicts: then nothing is voted on."""
        return len(self._held) > 0

    @property
    def refuted(self) -> bool:
        """Whether that is for more than standing on another chain: then no further block is asked for."""
        return self._held.is_refuted

    @property
    def held_height(self) -> int:
        """The height up to which certified blocks are here, those that are held back included."""
        return self.state.height + len(self._held)

    def learn_all(self) -> list[Effect]:
        """Return where the members listen: everybody keeps a way to its judges."""
        registrations = self.registrations(self._chain.tip()[0])
        members = {member.operator_key for member in self.state.membership.members}
        members.discard(self._signer.operator_key)
        return [Learn(key, entry.ip, entry.port) for key, entry in registrations.items() if key in members]

    # What happens.

    def restore(self, now: int) -> list[Effect]:
        """Take back what was said and heard about the block that is not decided yet."""
        if self.contradicted:
            news: News = {"height": self.state.height + 1, "reason": "the chain is another one than before"}
            return [Announce("data_chain.contradiction", news)]
        prefix = ballot_prefix(self.state.electorate_name, self.state.height + 1)
        effects = self._compare_stamp("stored")
        return effects + self._ballot.restore(self._records.iterate(prefix), now) + self._settle(now)

    def moved(self) -> None:
        """The chain, or what could be decided, moved: there may be more to propose, and to accept."""
        self._moved = self._unjudged = True

    def connected(self, height: int) -> list[Effect]:
        """A block joined our chain; at the height of the last stamp it shows whether that still holds."""
        self.moved()
        return self._compare_stamp("reorganised") if height == self.state.stamp_height else []

    def disconnected(self) -> None:
        """A block left our chain: what was found good because of it is looked at again."""
        self.state.forget_checks()
        self.moved()

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement about the next block; its signature is checked if it is wanted."""
        if self.contradicted:
            return []
        return self._ballot.receive(envelope, statement, now) + self._settle(now)

    def tick(self, now: int, *, votes: bool = True) -> list[Effect]:
        """Judge again what could not be judged before, let timeouts pass."""
        height, effects = self.state.height, self._agree()
        if self.contradicted or not votes:
            return effects
        if self._unjudged:
            self._unjudged = False
            effects += self._take_up()
            if self.state.height != height:
                effects += self.restore(now)  # what was said before the stop about the block after those
            effects += self._ballot.revalidate(now)
        return effects + self._ballot.tick(now) + self._settle(now)

    def accuse(self, proof: EquivocationProof) -> list[Effect]:
        """Keep a proof that a member contradicted himself until it stands in a block."""
        guilty = check_equivocation(proof, self.state.network)
        if guilty in self._proofs or guilty not in self.state.membership or len(self._proofs) >= PROOFS_MAX:
            return []
        data = encode(proof)
        key = PROOF + sha3_256(data)
        self._proofs[guilty] = key, proof
        self._moved = True
        return [Persist(key, data, durable=True), Announce("equivocation", {"proof": key[-32:].hex()})]

    def offer(self, candidates: Callable[[], Candidates], now: int) -> list[Effect]:
        """Propose what comes next, if anything does and nothing as good was offered already."""
        is_due = self._moved or (self._offered is None and now != self._tried_at)
        if self.contradicted or not is_due:
            return []
        self._moved, self._tried_at = False, now
        body = self._next_block(candidates())
        if body is None or body == self._offered:
            return []
        self._offered = body
        return self._ballot.offer(body, now) + self._settle(now)

    def take_block(self, data: bytes, now: int) -> list[Effect]:
        """Take a certified block from a peer; raises `ProtocolError` when it is none."""
        certified = decode_certified(data)
        if self.refuted or decode_block(certified.block).height <= self.held_height:
            return []
        return self._take(certified)

    # Inside.

    def _load(self) -> None:
        """Take up after the last certified block, checking every one again.

        What our chain has left since, or is too short for while it is reorganised, was checked by ourselves
        before it was written: to forget it would be to judge once more what is judged.
        """
        for _, data in self._records.iterate(BLOCK):
            certified = decode_certified(data)
            try:
                self._advance(certified, self.state.apply(certified, self._chain, on_its_word=True))
            except InvalidBlock:
                self._held.hold(certified, None)
                break
        for key, data in self._records.iterate(PROOF):
            proof = decode(data, EquivocationProof)
            self._proofs[check_equivocation(proof, self.state.network)] = key, proof
        self._decided.clear()

    def _take_up(self) -> list[Effect]:
        """Apply what the record holds above our head, as far as the chain reaches."""
        effects: list[Effect] = []
        for data in iter(lambda: self._records.get(block_key(self.state.height + 1)), None):
            height = self.state.height
            effects += self._apply(decode_certified(data))
            if self.state.height == height:
                break
        return effects

    def _open(self) -> Ballot:
        """Begin the ballot on the next block."""
        self._offered = None
        self._moved = True
        height = self.state.height + 1
        consensus = Consensus(
            self.state.network,
            self.state.electorate_name,
            self.state.electorate,
            height,
            self._signer.operator_key,
            self._genesis.parameters.round_milliseconds,
            self._is_valid,
            self._guard.records(),
            self._is_stranded,
        )
        prefix = ballot_prefix(self.state.electorate_name, height)
        return Ballot(consensus, self._signer, self._guard, self._topic, prefix)

    def _is_valid(self, value: bytes) -> bool:
        try:
            self.state.check_block(value, self._chain)
        except ProtocolError:
            return False
        return True

    def _is_stranded(self, value: bytes) -> bool:
        """Whether a block could follow but for its stamp, which is not on our chain."""
        try:
            self.state.check_block(value, self._chain)
        except Stranded:
            return True
        except ProtocolError:
            return False
        return False

    def _next_block(self, candidates: Candidates) -> bytes | None:
        """Return the block that we would propose: a due link, then evidence, verdicts, registrations."""
        state, chain = self.state, self._chain
        makers: list[Callable[[], bytes]] = [
            lambda: build_link(state, chain),
            lambda: build_evidence(state, chain, [proof for _, proof in self._proofs.values()]),
            lambda: build_register(state, chain, candidates.registrations, candidates.deregistrations),
        ]
        judged = candidates.judged
        if judged is not None:
            responses = {response_hash(envelope): envelope for envelope in judged.responses}
            seq, observations = judged.challenge.seq, judged.observations
            makers.insert(
                2, lambda: build_verdict(state, chain, seq, observations, responses, judged.receipts)
            )
        for make in makers:
            try:
                return make()
            except (StaleMessage, NotYetKnown):
                continue
        return None

    def _settle(self, now: int) -> list[Effect]:
        """Take up what the ballot has decided, and the proofs that it found."""
        effects: list[Effect] = []
        while self._ballot.accusations:
            effects += self.accuse(self._ballot.accusations.pop())
        if self._ballot.decided is not None and not self.contradicted:
            value, certificate = self._ballot.decided
            effects += self._apply(CertifiedBlock(block=value, certificate=certificate), live=True)
        return effects

    def _agree(self) -> list[Effect]:
        """Try the blocks again that our chain contradicted: the chain may have come round, or settled."""
        if not self.contradicted or not self._unjudged:
            return []
        effects: list[Effect] = []
        for certified in self._held.release():
            if decode_block(certified.block).height == self.held_height + 1:
                effects += self._take(certified)  # what does not follow on is asked for again
        self._unjudged = not self.contradicted
        return effects

    def _take(self, certified: CertifiedBlock) -> list[Effect]:
        """Apply a certified block, or hold it against those that are held back."""
        if not self.contradicted:
            return self._apply(certified)
        try:
            agrees = self._held.follow(certified, self._chain)
        except NotYetKnown:
            return []
        except (InvalidBlock, StaleMessage) as error:
            self._held.refute()
            return self._alarm(certified, error)
        if not agrees:
            return []
        effects: list[Effect] = []
        for held in self._held.release():
            effects += self._apply(held, followed=True)
        return effects + self._apply(certified)

    def _apply(
        self, certified: CertifiedBlock, *, live: bool = False, followed: bool = False
    ) -> list[Effect]:
        """Apply a certified block and begin the next one.

        `live` says that we saw it being decided, `followed` that a later one stamps our chain. A block
        that FINAL certified though our own chain says otherwise is never silently taken or dropped: it is
        announced, and this node votes on nothing until its chain agrees, the block turns out to be
        stranded for everybody, or somebody has looked.
        """
        why = ""
        try:
            state = self.state.apply(certified, self._chain)
        except NotYetKnown:
            return []
        except Stranded as error:
            state = self.state.apply(certified, self._chain, on_its_word=True)
            why = "followed" if followed else self._reason_to_take(certified, state)
            if not why:
                self._held.hold(certified, state)
                return self._alarm(certified, error)
        except (InvalidBlock, StaleMessage) as error:
            self._held.hold(certified, None)
            return self._alarm(certified, error)
        effects: list[Effect] = [*self._ballot.forget()]
        block = self._advance(certified, state)
        effects.append(Persist(block_key(state.height), encode(certified), durable=True))
        effects += self._forget_proofs(block)
        news: News = {"height": state.height, "kind": block.kind.name, "stamp": block.stamp_height}
        effects += [*self._compare_stamp(why), Announce("data_chain.block", news)]
        self._free_votes(block, live=live)
        self._ballot = self._open()
        if block.kind is Kind.REGISTER:
            effects += self.learn_all()
        return effects

    def _reason_to_take(self, certified: CertifiedBlock, after: DataChain) -> str:
        """Return why a stranded block is taken on its certificate's word, empty when it is not."""
        if self._ballot.consensus.affirms(after.head):
            return "affirmed"
        if self._records.get(block_key(after.height)) == encode(certified):
            return "stored"
        parameters = self._genesis.parameters
        return "settled" if is_settled(after.stamp_height, self._chain, parameters) else ""

    def _alarm(self, certified: CertifiedBlock, error: ProtocolError) -> list[Effect]:
        """Announce a contradiction, once."""
        hashed = block_hash(certified.block)
        if hashed == self._alarmed:
            return []
        self._alarmed = hashed
        height = decode_block(certified.block).height
        news: News = {
            "height": height,
            "reason": str(error),
            "stranded": isinstance(error, Stranded),
        }
        return [Announce("data_chain.contradiction", news)]

    def _compare_stamp(self, why: str) -> list[Effect]:
        """Announce that our chain has left what the last block stamps, or stands on it again."""
        state = self.state
        if self._chain.block_hash(state.stamp_height) is None:
            return []
        was = self.stranded or state.head == self._alarmed
        if state.head == self._alarmed:
            self._alarmed = None
        self.stranded = state.is_stranded(self._chain)
        if self.stranded and (not was or why not in ("reorganised", "stored")):
            news: News = {"height": state.height, "stamp": state.stamp_height, "why": why}
            return [Announce("data_chain.stranded", news)]
        if was and not self.stranded:
            return [Announce("data_chain.agreed", {"height": state.height})]
        return []

    def _forget_proofs(self, block: DataBlock) -> list[Effect]:
        """Drop the proofs that stand in a block or convict nobody who is still a member."""
        if block.kind is not Kind.EVIDENCE:
            return []
        gone = [guilty for guilty in self._proofs if guilty not in self.state.membership]
        return [Persist(self._proofs.pop(guilty)[0], None) for guilty in gone]

    def _free_votes(self, block: DataBlock, *, live: bool) -> None:
        """Forget votes on decided heights; end the silence of a node whose vote file was damaged.

        A block stamped after this node began was decided after it, so nothing said before can
        concern a later height. A node that lost its chain with its votes began at height 0 and cannot
        tell old blocks by their stamps: so it must also have seen the block being decided.
        """
        network, name = self.state.network, self.state.electorate_name
        if live and block.stamp_height > self._began_at:
            self._guard.listen_through(network, name, block.height)
        self._guard.forget_below(network, name, block.height)
