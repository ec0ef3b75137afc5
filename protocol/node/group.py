"""The group's data chain at one node: what it decides next, and what it has decided.

Answers for: a block is proposed when there is something to decide, voted on only after
it was checked against our own state and chain, kept with its certificate, and never
applied without one. What a block may say is `protocol.group.data_chain`, how it is
agreed on `ballot`; where its contents come from is left to `tracker` and `registrar`.
Spec: `spec/data_chain.md`, `spec/node.md`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.codec import decode, encode
from protocol.crypto import Signer, sha3_256
from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage
from protocol.genesis import Genesis
from protocol.group.blockmaker import build_evidence, build_link, build_register, build_verdict
from protocol.group.consensus import Consensus
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.membership import Member, Membership
from protocol.group.quorum import Electorate
from protocol.group.vote import EquivocationProof, Statement, check_equivocation
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.effects import Announce, Effect, Learn, News, Persist
from protocol.node.records import BLOCK, PROOF, Records, ballot_prefix, block_key
from protocol.node.tracker import Judged
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.tracking.registration import Registration
from protocol.tracking.response import response_hash
from protocol.units import ChallengeSeq, Hash32, OperatorKey

PROOFS_MAX = 64
"""Equivocation proofs that wait for their block."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could be decided next, besides links and evidence."""

    judged: Judged | None
    registrations: tuple[bytes, ...]
    deregistrations: tuple[bytes, ...]


class GroupMachine:
    """The machine of one group's data chain; fulfils `ListSource` and `GroupView`."""

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        topic: str,
    ) -> None:
        self._genesis = genesis
        self._signer = signer
        self._chain = chain
        self._records = records
        self._guard = guard
        self._topic = topic
        self.state = DataChain.from_genesis(genesis)
        self._hashes: list[Hash32] = [self.state.head]
        self._memberships: list[tuple[int, Membership]] = [(0, self.state.membership)]
        self._verdicts: dict[int, VerdictRecord] = {}
        self._proofs: dict[OperatorKey, tuple[bytes, EquivocationProof]] = {}
        """One proof of each guilty member, with its key in the record."""
        self._decided: list[DataBlock] = []
        self._offered: bytes | None = None
        self._tried_at = -1
        """When a block was last looked for: what time alone may bring is looked for once a tick."""
        self._moved = self._unjudged = True
        self._contradiction: CertifiedBlock | None = None
        self._began_at = chain.tip()[0]
        self._load()
        self._ballot = self._open()

    # What the data chain says.

    @property
    def contradicted(self) -> bool:
        """Whether a block is certified that our own chain contradicts: then nothing is voted on."""
        return self._contradiction is not None

    @property
    def electorate(self) -> Electorate:
        """The voters that certify the next block."""
        return self.state.electorate

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """The registrations of everybody who is judged at an anchor, sorted by operator."""
        return self.state.book.judged(anchor_height)

    def is_judged(self, seq: int) -> bool:
        """Whether a challenge has its verdict block."""
        return seq in self.state.judged

    def certified(self, height: int) -> bytes | None:
        """Return a certified block as it is stored, or None above the head."""
        return self._records.get(block_key(height)) if 0 < height <= self.state.height else None

    def verdicts(self, seq: int) -> VerdictRecord | None:
        """Return a challenge's verdicts, or None before they are certified."""
        return self._verdicts.get(seq)

    def heads(self) -> tuple[Head, ...]:
        """Return the last block of each group's data chain."""
        return (Head(prefix=self.state.prefix, height=self.state.height, block_hash=self.state.head),)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash of one data block, the network id at 0, None above the head."""
        known = prefix == self.state.prefix and 0 <= height < len(self._hashes)
        return self._hashes[height] if known else None

    def verdict_records(self, first_seq: int, last_seq: int) -> Iterable[VerdictRecord]:
        """Return the VERDICT blocks of these challenges, both inclusive."""
        return tuple(self._verdicts[seq] for seq in range(first_seq, last_seq + 1) if seq in self._verdicts)

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        """Return the members as of these heads, sorted by operator key."""
        (head,) = heads
        return next(after.members for height, after in reversed(self._memberships) if height <= head.height)

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
        return self._ballot.restore(self._records.iterate(prefix), now) + self._settle(now)

    def moved(self) -> None:
        """The chain, or what could be decided, moved: there may be more to propose, and to accept."""
        self._moved = self._unjudged = True

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
        if self.contradicted or decode_block(certified.block).height <= self.state.height:
            return []
        return self._apply(certified)

    def take_decided(self) -> list[DataBlock]:
        """Hand out the blocks decided since the last call, oldest first."""
        decided, self._decided = self._decided, []
        return decided

    # Inside.

    def _load(self) -> None:
        """Take up after the last certified block, checking every one again.

        A node that stopped while its chain was reorganised may hold blocks that its chain is
        too short for, or that it contradicts; `_take_up` goes on with them when it has come round.
        """
        for _, data in self._records.iterate(BLOCK):
            certified = decode_certified(data)
            try:
                self._advance(certified, self.state.apply(certified, self._chain))
            except NotYetKnown:
                break
            except (InvalidBlock, StaleMessage):
                self._contradiction = certified
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
        )
        prefix = ballot_prefix(self.state.electorate_name, height)
        return Ballot(consensus, self._signer, self._guard, self._topic, prefix)

    def _is_valid(self, value: bytes) -> bool:
        try:
            self.state.check_block(value, self._chain)
        except ProtocolError:
            return False
        return True

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
        """Try the block again that our chain contradicted: the chain may have come round."""
        if self._contradiction is None or not self._unjudged:
            return []
        self._unjudged = False
        certified, self._contradiction = self._contradiction, None
        effects = self._apply(certified)
        if self.contradicted:
            return []
        self._unjudged = True
        return [Announce("data_chain.agreed", {"height": self.state.height}), *effects]

    def _apply(self, certified: CertifiedBlock, *, live: bool = False) -> list[Effect]:
        """Apply a certified block and begin the next one; `live` says that we saw it being decided.

        A block that FINAL certified though our own chain says otherwise is never silently taken or
        dropped: it is announced, and this node votes on nothing until its chain agrees or somebody
        has looked.
        """
        try:
            state = self.state.apply(certified, self._chain)
        except NotYetKnown:
            return []
        except (InvalidBlock, StaleMessage) as error:
            self._contradiction = certified
            news: News = {"height": self.state.height + 1, "reason": str(error)}
            return [Announce("data_chain.contradiction", news)]
        effects: list[Effect] = [*self._ballot.forget()]
        block = self._advance(certified, state)
        effects.append(Persist(block_key(state.height), encode(certified), durable=True))
        effects += self._forget_proofs(block)
        news = {"height": state.height, "kind": block.kind.name, "stamp": block.stamp_height}
        effects.append(Announce("data_chain.block", news))
        self._free_votes(block, live=live)
        self._ballot = self._open()
        if block.kind is Kind.REGISTER:
            effects += self.learn_all()
        return effects

    def _advance(self, certified: CertifiedBlock, state: DataChain) -> DataBlock:
        """Make `state` the present one, and remember what lists read of its last block."""
        block = decode_block(certified.block)
        if state.membership is not self.state.membership:
            self._memberships.append((state.height, state.membership))
        self.state = state
        self._hashes.append(state.head)
        self._decided.append(block)
        payload = decode_payload(block)
        if isinstance(payload, VerdictPayload):
            self._verdicts[payload.seq] = VerdictRecord(
                prefix=state.prefix,
                height=state.height,
                block_hash=block_hash(certified.block),
                seq=ChallengeSeq(payload.seq),
                anchor_hash=Hash32(payload.anchor_hash),
                verdicts=payload.verdicts,
            )
        return block

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
