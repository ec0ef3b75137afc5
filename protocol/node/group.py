"""The machine of one live group: it follows the group's data chain, and votes in it where we have a vote.

Answers for: a block is proposed when there is something to decide, voted on only after it was checked
against our own state and chain, and never applied without a certificate. What a block may say is
`protocol.group.data_chain`, how it is agreed on `ballot`, what comes next `proposals`; where contents
come from is left to `tracker` and `registrar`. Spec: `spec/data_chain.md`, `spec/node.md`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.errors import NotYetKnown, ProtocolError, Stranded
from protocol.group.consensus import Consensus
from protocol.group.data_block import (
    CertifiedBlock,
    DataBlock,
    Kind,
    Payload,
    VerdictPayload,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.vote import EquivocationProof, Statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.accusations import Accusations
from protocol.node.archive import Archive
from protocol.node.ballot import Ballot
from protocol.node.effects import Effect
from protocol.node.followed import FollowedChain
from protocol.node.forwarding import Forwarding
from protocol.node.messages import group_topic
from protocol.node.proposals import Candidates, next_blocks, take_turns, takes_up_enough
from protocol.node.records import Records, ballot_prefix
from protocol.units import Hash32

MayAffirm = Callable[[DataChain, DataBlock, Payload], bool]
"""Whether we may prevote a block that the rules allow: what a voter has to have seen for itself."""


class GroupMachine(FollowedChain):
    """The machine of one group's data chain."""

    def __init__(
        self,
        state: DataChain,
        signer: Signer,
        chain: ChainView,
        records: Records,
        guard: VoteGuard,
        archive: Archive,
        accusations: Accusations,
        forwarding: Forwarding,
        affirmed_by: Sequence[MayAffirm],
    ) -> None:
        super().__init__(state, chain, archive)
        self._signer = signer
        self._records = records
        self._guard = guard
        self._accusations = accusations
        self._forwarding = forwarding
        self._affirmed_by = affirmed_by
        self.topic = group_topic(state.network, state.prefix)
        """Where the group's votes, responses and observations travel."""
        self._ballot: Ballot | None = None
        """On the next block, where we have a vote in it."""
        self._offered: tuple[bytes, ...] = ()
        self._tried_at = -1
        """When a block was last looked for: what time alone may bring is looked for once a round."""
        self._moved = True
        self._is_stirred = False
        self._is_over = False
        self._began_at = chain.tip()[0]
        self._last_word = (state.height, self._began_at)
        """The data block about which we said something last, and our tip's height then."""

    @property
    def votes(self) -> bool:
        """Whether we have a vote on the next block, if one may follow."""
        may_go_on = self.state.closed_by in (None, Kind.MERGE) and not self._is_over
        return may_go_on and self._signer.operator_key in self.state.electorate

    def end(self) -> None:
        """Vote no more: others have begun in the group's place. What it certified still is followed."""
        self._is_over, self._ballot = True, None

    @property
    def unheard(self) -> tuple[int, int]:
        """How many blocks were certified here since the last one about which we said anything, or since we
        had a vote here, or since we began; and if there are any, how many blocks of the chain joined since.
        """
        height, tip = self._last_word
        blocks = self.state.height - height
        return (blocks, max(0, self._chain.tip()[0] - tip)) if blocks > 0 else (0, 0)

    # What happens.

    def restore(self, now: int) -> list[Effect]:
        """Take back what was said and heard about the block that is not decided yet."""
        return super().restore(now) + self.open(now)

    def open(self, now: int) -> list[Effect]:
        """Begin, with what was said and heard about the next block before."""
        self._last_word = (self.state.height, self._chain.tip()[0])
        self._open()
        if self.contradicted or self._ballot is None:
            return []
        prefix = ballot_prefix(self.state.electorate_name, self.state.height + 1)
        return self._ballot.restore(self._records.iterate(prefix), now) + self._settle(now)

    def moved(self) -> None:
        """The chain, or what could be decided, moved: there may be more to propose, and to accept."""
        super().moved()
        self._moved = True

    def stir(self) -> None:
        """Another group went on: that may bring something to propose, which can wait a round."""
        super().moved()
        self._is_stirred = True

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement about the next block; its signature is checked if it is wanted."""
        if self.contradicted or self._ballot is None:
            return []
        return self._ballot.receive(envelope, statement, now) + self._settle(now)

    def tick(self, now: int) -> list[Effect]:
        """Judge again what could not be judged before, let timeouts pass."""
        if self.contradicted or self._ballot is None:
            return []
        effects: list[Effect] = []
        if self._unjudged:
            self._unjudged = False
            effects += self._ballot.revalidate(now)
        return effects + self._ballot.tick(now) + self._settle(now)

    def accuse(self, proof: EquivocationProof) -> list[Effect]:
        """Keep a proof that a member contradicted himself until it stands in a block."""
        effects = self._accusations.take(proof, self.state.membership)
        self._moved = self._moved or bool(effects)
        return effects

    def offer(self, candidates: Callable[[], Candidates], now: int) -> list[Effect]:
        """Propose in our turn what comes next, if anything does and nothing as good was offered already."""
        again_at = self._tried_at + self._parameters.round_milliseconds
        is_due = self._moved or ((self._is_stirred or not self._offered) and now >= again_at)
        if self.contradicted or self._ballot is None or not is_due:
            return []
        if not self._ballot.may_propose():
            self._offered = ()
            return []
        self._moved, self._is_stirred, self._tried_at = False, False, now
        offered = self._choices(candidates())
        if not offered or offered == self._offered:
            return []
        self._offered = offered
        return self._ballot.offer(offered, now) + self._settle(now)

    # Inside.

    def _choices(self, candidates: Candidates) -> tuple[bytes, ...]:
        """Return what to propose, in one round after the other if others may not affirm it."""
        proofs = self._accusations.against(self.state.membership)
        possible = next_blocks(self.state, self._chain, self._archive, proofs, candidates)
        affirmed = (one for one in possible if self._would_affirm(decode_block(one)))
        return take_turns(affirmed, self._archive)

    def _open(self) -> None:
        """Begin the ballot on the next block, if we have a vote in it."""
        self._offered, self._ballot = (), None
        self._moved = True
        if not self.votes:
            self._last_word = (self.state.height, self._chain.tip()[0])
            return
        height, name = self.state.height + 1, self.state.electorate_name
        consensus = Consensus(
            self.state.network,
            name,
            self.state.electorate,
            height,
            self._signer.operator_key,
            self._parameters.round_milliseconds,
            self._is_valid,
            self._guard.records(),
            self._may_follow,
        )
        prefix = ballot_prefix(name, height)
        self._ballot = Ballot(consensus, self._signer, self._guard, self.topic, prefix)

    def _is_valid(self, value: bytes) -> bool:
        try:
            block = self.state.check_block(value, self._chain, self._archive)
        except ProtocolError:
            return False
        payload = decode_payload(block)
        if isinstance(payload, VerdictPayload) and not takes_up_enough(
            self.state, self._chain, self._archive, payload
        ):
            return False
        return self._would_affirm(block)

    def _would_affirm(self, block: DataBlock) -> bool:
        """Whether nothing that only we know speaks against a block that the rules allow."""
        payload = decode_payload(block)
        return all(may_affirm(self.state, block, payload) for may_affirm in self._affirmed_by)

    def _may_follow(self, value: bytes) -> bool:
        """Whether a block could follow but for its stamp, which is not on our chain, or for what we did not
        see of it ourselves.
        """
        try:
            self.state.check_block(value, self._chain, self._archive)
        except Stranded:
            return True
        except ProtocolError:
            return False
        return True

    def _settle(self, now: int) -> list[Effect]:
        """Take up what the ballot has decided, and the proofs that it found."""
        effects: list[Effect] = []
        if self._ballot is None:
            return effects
        if self._ballot.has_spoken:
            self._last_word = (self.state.height + 1, self._chain.tip()[0])
        while self._ballot.accusations:
            effects += self.accuse(self._ballot.accusations.pop())
        if self._ballot.decided is not None and not self.contradicted:
            value, certificate = self._ballot.decided
            with suppress(NotYetKnown):  # found good before a stop, and our chain is shorter now
                effects += self._apply(CertifiedBlock(block=value, certificate=certificate), live=True)
        return effects

    def _affirms(self, hashed: Hash32) -> bool:
        return self._ballot is not None and self._ballot.consensus.affirms(hashed)

    def _advance(self, certified: CertifiedBlock, state: DataChain, why: str, *, live: bool) -> list[Effect]:
        voted = self._ballot is not None
        self._forwarding.decided(certified, self.state.membership, live=live)
        effects: list[Effect] = [] if self._ballot is None else self._ballot.forget()
        effects += super()._advance(certified, state, why, live=live)
        if voted:
            self._free_votes(state, live=live)
        self._open()
        return effects

    def _free_votes(self, state: DataChain, *, live: bool) -> None:
        """Forget votes on decided heights; end the silence of a node whose vote file was damaged.

        A block stamped after this node began was decided after it, so nothing said before can
        concern a later height. A node that lost its chain with its votes began at height 0 and cannot
        tell old blocks by their stamps: so it must also have seen the block being decided.
        """
        if live and state.stamp_height > self._began_at:
            self._guard.listen_through(state.network, state.electorate_name, state.height)
        self._guard.forget_below(state.network, state.electorate_name, state.height)
