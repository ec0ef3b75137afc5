"""One group's data chain as this node follows it: what is taken, and what is held back.

Answers for: no block is applied without its certificate, every one is checked against our own chain, and what
that contradicts is neither taken nor dropped silently. Voting is `group`'s business, which group a block
belongs to `groups`'. Spec: `spec/node.md`, `spec/data_chain.md`.
"""

from collections.abc import Iterable, Mapping

from protocol.chain.view import ChainView
from protocol.errors import InvalidBlock, NotYetKnown, ProtocolError, StaleMessage, Stranded
from protocol.group.data_block import CertifiedBlock, Kind, block_hash, decode_block
from protocol.group.data_chain import DataChain
from protocol.group.quorum import Electorate
from protocol.node.archive import Archive
from protocol.node.effects import Announce, Effect, News
from protocol.node.held_back import HeldBack, is_settled
from protocol.node.stored_block import PrunedBlock, StoredBlock
from protocol.payout.claims import VerdictRecord
from protocol.tracking.registration import Registration
from protocol.units import Hash32, OperatorKey


class FollowedChain:
    """The chain of one live group, from the state with which it began here."""

    def __init__(self, state: DataChain, chain: ChainView, archive: Archive) -> None:
        self.state = state
        self.stranded = False
        """Whether our chain has left the chain block that the last block stamps, as far as was announced."""
        self._chain = chain
        self._archive = archive
        self._parameters = state.genesis.parameters
        self._held = HeldBack()
        self._alarmed: Hash32 | None = None
        """The block that was last announced as a contradiction."""
        self._unjudged = True

    # What others ask.

    @property
    def contradicted(self) -> bool:
        """Whether a block is certified that our own chain contradicts."""
        return len(self._held) > 0

    @property
    def refuted(self) -> bool:
        """Whether that is for more than standing on another chain: then no further block is asked for."""
        return self._held.is_refuted

    @property
    def wants_more(self) -> bool:
        """Whether the chain may go on with blocks that are not here: after a MERGE with ABSORB blocks."""
        return not self.refuted and self.state.closed_by in (None, Kind.MERGE)

    @property
    def held(self) -> int:
        """How many certified blocks are held back."""
        return len(self._held)

    @property
    def held_height(self) -> int:
        """The height up to which certified blocks are here, those that are held back included."""
        return self.state.height + len(self._held)

    @property
    def electorate(self) -> Electorate:
        """The voters that certify the next block."""
        return self.state.electorate

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """The registrations of everybody who is judged at an anchor, sorted by operator."""
        return self.state.book.judged(anchor_height)

    def is_judged(self, seq: int) -> bool:
        """Whether a challenge has all its verdict blocks here."""
        return not self.state.unjudged(seq)

    def judged_anchor(self, seq: int) -> Hash32 | None:
        """Return the hash of the anchor with which a challenge was judged, or None before that."""
        judged = self.state.judged.get(seq)
        return judged[-1].anchor_hash if judged else None

    def verdicts(self, seq: int) -> VerdictRecord | None:
        """Return the last verdicts of a challenge in this chain, or None before they are certified."""
        judged = self.state.judged.get(seq)
        return self._archive.verdict_record(judged[-1].block_hash) if judged else None

    def certified(self, height: int) -> bytes | None:
        """Return a certified block of this prefix as it is stored, or None above the head."""
        return self._archive.certified(self.state.prefix, height)

    def stamps_from(self, height: int) -> bool:
        """Whether the last block stamps a block of our chain at or above this chain height."""
        state = self.state
        return state.stamp_height >= height and self._chain.block_hash(state.stamp_height) == state.stamp_hash

    # What happens.

    def load(self, stored: StoredBlock, order: int) -> bool:
        """Take up a block of the record; return whether that could be.

        What our chain has left since, or is too short for while it is reorganised, was checked by ourselves
        before it was written: to forget it would be to judge once more what is judged. So it is with a
        pruned block, whose proof is gone: it is taken on our own word.
        """
        return self._resume(stored, order) if isinstance(stored, PrunedBlock) else self._load(stored, order)

    def _load(self, certified: CertifiedBlock, order: int) -> bool:
        if self.contradicted or decode_block(certified.block).height != self.state.height + 1:
            return False
        try:
            state = self.state.apply(certified, self._chain, self._archive, on_its_word=True)
        except NotYetKnown:
            return False
        except InvalidBlock:
            self._held.hold(certified, None)
            return False
        self._archive.add(certified, state, order)
        self.state = state
        return True

    def _resume(self, pruned: PrunedBlock, order: int) -> bool:
        hashed = Hash32(pruned.block_hash)
        try:
            state = self.state.resume(decode_block(pruned.block), hashed, self._chain, self._archive)
        except ProtocolError:
            return False
        self._archive.add_pruned(pruned, state, order)
        self.state = state
        return True

    def restore(self, now: int) -> list[Effect]:
        """Say how what was taken up from the record stands to our chain."""
        if self.contradicted:
            reason = "the chain is another one than before"
            return [self._news("data_chain.contradiction", height=self.state.height + 1, reason=reason)]
        return self._compare_stamp("stored")

    def moved(self) -> None:
        """The chain moved: there may be more to accept."""
        self._unjudged = True

    def connected(self, height: int) -> list[Effect]:
        """A block joined our chain; at the height of the last stamp it shows whether that still holds."""
        self.moved()
        return self._compare_stamp("reorganised") if height == self.state.stamp_height else []

    def disconnected(self) -> None:
        """A block left our chain: what was found good because of it is looked at again."""
        self.state.forget_checks()
        self.moved()

    def take(self, certified: CertifiedBlock) -> list[Effect]:
        """Take a certified block of this group.

        Raises `NotYetKnown` for what may be taken later, another `ProtocolError` when it is no such block.
        """
        if self.refuted or decode_block(certified.block).height <= self.held_height:
            return []
        return self._take(certified)

    def agree(self) -> list[Effect]:
        """Try the blocks again that our chain contradicted: the chain may have come round, or settled."""
        if not self.contradicted or not self._unjudged:
            return []
        self._unjudged = False
        effects: list[Effect] = []
        for certified in self._held.release():
            if decode_block(certified.block).height == self.held_height + 1:
                effects += self._try(certified)  # what does not follow on is asked for again
        self._unjudged = not self.contradicted
        return effects

    # Inside.

    def _try(self, certified: CertifiedBlock) -> list[Effect]:
        """Take a block that was held back, unless it cannot be judged any more."""
        try:
            return self._take(certified)
        except NotYetKnown:
            return []

    def _take(self, certified: CertifiedBlock) -> list[Effect]:
        """Apply a certified block, or hold it against those that are held back."""
        if not self.contradicted:
            return self._apply(certified)
        try:
            agrees = self._held.follow(certified, self._chain, self._archive)
        except NotYetKnown:
            raise
        except (InvalidBlock, StaleMessage) as error:
            self._held.refute()
            return self._alarm(certified, error)
        return self._follow(self._held.release(), certified) if agrees else []

    def _follow(self, held: Iterable[CertifiedBlock], certified: CertifiedBlock) -> list[Effect]:
        """Apply what was held back before a block that shows that the quorum stands on our chain."""
        effects: list[Effect] = []
        try:
            for one in held:
                effects += self._apply(one, followed=True)
            effects += self._apply(certified)
        except NotYetKnown:
            pass  # our chain is too short again: the rest is asked for later
        return effects

    def _apply(
        self, certified: CertifiedBlock, *, live: bool = False, followed: bool = False
    ) -> list[Effect]:
        """Apply a certified block. Raises `NotYetKnown` while that cannot be.

        `live` says that we saw it being decided, `followed` that a later one stamps our chain. A block
        that FINAL certified though our own chain says otherwise is never silently taken or dropped: it is
        announced, and held back until our chain agrees, the block turns out to be stranded for
        everybody, or somebody has looked.
        """
        why = ""
        try:
            state = self.state.apply(certified, self._chain, self._archive)
        except Stranded as error:
            state = self.state.apply(certified, self._chain, self._archive, on_its_word=True)
            why = "followed" if followed else self._reason_to_take(state)
            if not why:
                self._held.hold(certified, state)
                return self._alarm(certified, error)
        except (InvalidBlock, StaleMessage) as error:
            self._held.hold(certified, None)
            return self._alarm(certified, error)
        return self._advance(certified, state, why, live=live)

    def _advance(self, certified: CertifiedBlock, state: DataChain, why: str, *, live: bool) -> list[Effect]:
        """Make `state` the present one."""
        effects: list[Effect] = [*self._archive.add(certified, state)]
        self.state = state
        effects += self._compare_stamp(why)
        kind, stamp = decode_block(certified.block).kind.name, state.stamp_height
        return [*effects, self._news("data_chain.block", height=state.height, kind=kind, stamp=stamp)]

    def _affirms(self, hashed: Hash32) -> bool:
        """Whether we found this block good ourselves before it was certified."""
        return False

    def _reason_to_take(self, after: DataChain) -> str:
        """Return why a stranded block is taken on its certificate's word, empty when it is not."""
        if self._affirms(after.head):
            return "affirmed"
        if self._archive.was_stored(after.head):
            return "stored"
        return "settled" if is_settled(after.stamp_height, self._chain, self._parameters) else ""

    def _alarm(self, certified: CertifiedBlock, error: ProtocolError) -> list[Effect]:
        """Announce a contradiction, once."""
        hashed = block_hash(certified.block)
        if hashed == self._alarmed:
            return []
        self._alarmed = hashed
        height, is_stranded = decode_block(certified.block).height, isinstance(error, Stranded)
        return [
            self._news("data_chain.contradiction", height=height, reason=str(error), stranded=is_stranded)
        ]

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
            return [self._news("data_chain.stranded", height=state.height, stamp=state.stamp_height, why=why)]
        if was and not self.stranded:
            return [self._news("data_chain.agreed", height=state.height)]
        return []

    def _news(self, event: str, **fields: str | int | bool | None) -> Announce:
        news: News = {"prefix": self.state.prefix, **fields}
        return Announce(event, news)
