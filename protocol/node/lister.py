"""Payout lists: proposed when their period can be paid, certified by the whole network's voters.

Answers for: this node signs the hash of a list only after it recomputed the list from
its own blocks and chain; a certified list is kept for ever, and the next one follows it.
What a list contains is `protocol.payout.payout_list`, how it is agreed on `ballot`, how it is
paid is left to the paymasters. Spec: `spec/payout_list.md`.
"""

from protocol.chain.view import ChainView
from protocol.codec import decode, encode
from protocol.crypto import Signer
from protocol.errors import (
    InvalidBlock,
    MalformedMessage,
    NotYetKnown,
    ProtocolError,
    StaleMessage,
    Stranded,
    WrongNetwork,
)
from protocol.genesis import Genesis, first_period, network_id
from protocol.group.certificate import Certificate, check_certificate
from protocol.group.consensus import Consensus
from protocol.group.membership import voters_of
from protocol.group.quorum import Electorate, Voter
from protocol.group.vote import LIST_ELECTORATE, EquivocationProof, Statement, value_hash
from protocol.group.vote_guard import VoteGuard
from protocol.node.absorbing import Absorbing, CertainSource
from protocol.node.ballot import Ballot
from protocol.node.effects import Announce, Effect, News, Persist
from protocol.node.groups import Groups
from protocol.node.held_back import is_settled
from protocol.node.records import LIST_STATE, Records, ballot_prefix, list_key
from protocol.payout.list_certificate import compact_certificate, expand_certificate
from protocol.payout.list_file import decode_list_file, encode_list_file
from protocol.payout.list_header import list_hash
from protocol.payout.payout_list import (
    ListSource,
    ListState,
    PayoutList,
    check_due,
    check_list,
    first_state,
    propose_list,
    recompute_list,
    stranded_list,
)
from protocol.units import Hash32

LIST_ROUND_FACTOR = 2
"""A list's rounds are this much longer than a group's: everybody takes part, once a period."""
STATE_SIZE_MAX = 1 << 24


class Lister:
    """The machine of the network's lists at one node."""

    def __init__(
        self,
        genesis: Genesis,
        chain: ChainView,
        groups: Groups,
        signer: Signer,
        guard: VoteGuard,
        records: Records,
        topic: str,
        absorbing: Absorbing,
    ) -> None:
        self._genesis = genesis
        self._network = network_id(genesis)
        self._chain = chain
        self._groups = groups
        self._source: ListSource = groups.archive
        self._absorbing = absorbing
        self._proposed: ListSource = CertainSource(groups.archive, absorbing)
        self._signer = signer
        self._guard = guard
        self._records = records
        self._topic = topic
        self._began_at = chain.tip()[0]
        self._dirty = True
        self._has_grown = True
        """Whether a block joined our chain since we last looked."""
        self._tried_round = 0
        """In which it was last seen whether there is something to propose."""
        self._contradiction: tuple[bytes, Certificate] | None = None
        self._alarmed: Hash32 | None = None
        """The list that was last announced as a contradiction."""
        self.stranded = False
        """Whether our chain has left the last block of the last list, as far as was announced."""
        self._rests_on: tuple[int, Hash32] | None = None
        """That block."""
        self.state: ListState = first_state(genesis)
        self.electorate = Electorate.of(
            Voter(operator_key=member.operator_key, age=member.age) for member in genesis.members
        )
        self._load()
        self._ballot = self._open()

    @property
    def contradicted(self) -> bool:
        """Whether a list is certified that our own blocks and chain contradict: then nothing is signed."""
        return self._contradiction is not None

    @property
    def period(self) -> int:
        """The period of the next list."""
        return self.state.period

    def restore(self, now: int) -> list[Effect]:
        """Take back what was said and heard about the list that is not decided yet."""
        prefix = ballot_prefix(LIST_ELECTORATE, self.state.period)
        effects = self._compare_last("stored")
        return effects + self._ballot.restore(self._records.iterate(prefix), now)

    def moved(self) -> None:
        """The chain or the data chain moved: what could not be computed may be computed now."""
        self._dirty = True

    def connected(self, height: int) -> list[Effect]:
        """A block joined our chain; where the last list ends it shows whether that still stands."""
        self.moved()
        self._has_grown = True
        is_last = self._rests_on is not None and height == self._rests_on[0]
        return self._compare_last("reorganised") if is_last else []

    def receive(self, envelope: bytes, statement: Statement, now: int) -> list[Effect]:
        """Take a statement about a list; its signature is checked if it is wanted."""
        if self.contradicted:
            return []
        return self._ballot.receive(envelope, statement, now) + self._settle(now)

    def tick(self, now: int, *, votes: bool = True) -> list[Effect]:
        """Propose what can be proposed, judge again what could not be judged, let timeouts pass."""
        effects = self._agree()
        if self.contradicted or not votes:
            return effects
        moved, self._dirty = self._dirty, False
        if moved:
            effects += self._ballot.revalidate(now)
        return effects + self._offer(now, moved=moved) + self._ballot.tick(now) + self._settle(now)

    def take_accusations(self) -> list[EquivocationProof]:
        """Hand out the proofs found since the last call: the group's blocks hold them."""
        found, self._ballot.accusations = self._ballot.accusations, []
        return found

    def take_file(self, data: bytes, now: int) -> list[Effect]:
        """Take the next list from a peer's file; raises `ProtocolError` when it is not that."""
        file = decode_list_file(data)
        if self.contradicted or file.header.period != self.state.period:
            return []
        hashed = list_hash(file.header)
        certificate = expand_certificate(file.certificate, self.electorate, self.state.period, hashed)
        check_certificate(certificate, self._network, self.electorate)
        return self._accept(encode(file.header), certificate)

    def file(self, period: int) -> bytes | None:
        """Return the list file of a period, or None."""
        return self._records.get(list_key(period))

    def _load(self) -> None:
        """Take up after the last certified list."""
        for _, packed in self._records.iterate(LIST_STATE):
            self.state = decode(packed, ListState, STATE_SIZE_MAX)
        if self.state.period > first_period(self._genesis):
            last = self.file(self.state.period - 1)
            if last is None:
                raise ValueError(f"the record lacks the list of period {self.state.period - 1}")
            file = decode_list_file(last)
            self.electorate = voters_of(file.members)
            self._rests_on = file.header.last_height, Hash32(file.header.last_hash)

    def _open(self) -> Ballot:
        """Begin the ballot on the next list."""
        self._tried_round = 0
        consensus = Consensus(
            self._network,
            LIST_ELECTORATE,
            self.electorate,
            self.state.period,
            self._signer.operator_key,
            self._genesis.parameters.round_milliseconds * LIST_ROUND_FACTOR,
            self._is_valid,
            self._guard.records(),
            self._is_stranded,
        )
        prefix = ballot_prefix(LIST_ELECTORATE, self.state.period)
        return Ballot(consensus, self._signer, self._guard, self._topic, prefix)

    def _is_valid(self, value: bytes) -> bool:
        """Whether our own blocks and chain give this very list."""
        try:
            found = check_list(value, self._genesis, self.state, self._source, self._chain)
        except ProtocolError:
            return False
        return self._absorbing.may_build_on(found.header.heads)

    def _is_stranded(self, value: bytes) -> bool:
        """Whether this would be the list, but for a branch that our chain has left."""
        try:
            check_list(value, self._genesis, self.state, self._source, self._chain)
        except Stranded:
            return True
        except ProtocolError:
            return False
        return False

    def _offer(self, now: int, *, moved: bool) -> list[Effect]:
        """Propose the list as far as we hold it in our turn; out of it only see that its time has come, with
        each block of our chain.

        All voters would compute the same list at every block otherwise, and one of them proposes it.
        """
        is_our_turn, round_ = self._ballot.is_our_turn(), self._ballot.consensus.round
        has_turned, self._tried_round = is_our_turn and round_ != self._tried_round, round_
        has_grown, self._has_grown = self._has_grown, False
        may_be_time = moved or has_turned if is_our_turn else has_grown
        if not self._ballot.may_propose() or not may_be_time:
            return []
        try:
            if not is_our_turn:
                check_due(self._genesis, self.state, self._proposed, self._chain)
                return self._ballot.wake(now)
            ours = propose_list(self._genesis, self.state, self._proposed, self._chain)
        except (NotYetKnown, InvalidBlock):  # too early, or a head of the last list is in doubt
            return []
        return self._ballot.offer([encode(ours.header)], now)

    def _settle(self, now: int) -> list[Effect]:
        """Take up a decision, if there is one."""
        if self._ballot.decided is None or self.contradicted:
            return []
        value, certificate = self._ballot.decided
        return self._accept(value, certificate, live=True)

    def _agree(self) -> list[Effect]:
        """Try the list again that our blocks contradicted: our chain may have come round."""
        if self._contradiction is None or not self._dirty:
            return []
        self._dirty = False
        (value, certificate), self._contradiction = self._contradiction, None
        effects = self._accept(value, certificate)
        self._dirty = not self.contradicted
        return effects

    def _accept(self, value: bytes, certificate: Certificate, *, live: bool = False) -> list[Effect]:
        """Keep a certified list and begin the next one; `live` says that we saw it being decided.

        A list that is certified though our own blocks say otherwise is never silently taken: it is
        announced, and this node signs nothing further until its chain agrees, the list turns out to be
        stranded for everybody, or somebody has looked.
        """
        why = ""
        try:
            ours = recompute_list(value, self._genesis, self.state, self._source, self._chain)
        except NotYetKnown:
            return []  # blocks are missing: the file is asked for again when they are here
        except Stranded as error:
            ours = stranded_list(value, self._genesis, self.state, self._source)
            why = self._reason_to_take(ours)
            if not why:
                return self._contradict(value, certificate, error)
        except (InvalidBlock, MalformedMessage, WrongNetwork, StaleMessage) as error:
            return self._contradict(value, certificate, error)
        compact = compact_certificate(certificate, self.electorate)
        file = encode_list_file(ours.header, ours.entries, ours.members, compact)
        self._rests_on = ours.header.last_height, Hash32(ours.header.last_hash)
        effects: list[Effect] = [
            Persist(list_key(ours.header.period), file, durable=True),
            Persist(LIST_STATE, encode(ours.state), durable=True),
            *self._ballot.forget(),
            *self._compare_last(why, list_hash(ours.header)),
            Announce("list.certified", {"period": ours.header.period, "hash": list_hash(ours.header).hex()}),
        ]
        if live and ours.header.last_height > self._began_at:
            self._guard.listen_through(self._network, LIST_ELECTORATE, ours.header.period)
        self._guard.forget_below(self._network, LIST_ELECTORATE, ours.header.period)
        self.state = ours.state
        self.electorate = voters_of(ours.members)
        self._ballot = self._open()
        self._dirty = True
        return effects

    def _reason_to_take(self, stranded: PayoutList) -> str:
        """Return why a stranded list is taken on its certificate's word, empty when it is not."""
        if self._ballot.consensus.affirms(list_hash(stranded.header)):
            return "affirmed"
        last = stranded.header.last_height
        if self._groups.stamps_from(last):
            return "followed"  # the voters have certified a block on our chain, past the end of the period
        return "settled" if is_settled(last, self._chain, self._genesis.parameters) else ""

    def _contradict(self, value: bytes, certificate: Certificate, error: ProtocolError) -> list[Effect]:
        """Sign nothing further; announce it once."""
        self._contradiction = value, certificate
        hashed = value_hash(value)
        if hashed == self._alarmed:
            return []
        self._alarmed = hashed
        is_stranded = isinstance(error, Stranded)
        news: News = {"period": self.state.period, "reason": str(error), "stranded": is_stranded}
        return [Announce("list.contradiction", news)]

    def _compare_last(self, why: str, taken: Hash32 | None = None) -> list[Effect]:
        """Announce that our chain has left what the last list rests on, or stands on it again."""
        if self._rests_on is None:
            return []
        height, expected = self._rests_on
        here = self._chain.block_hash(height)
        if here is None:
            return []
        was = self.stranded or (taken is not None and taken == self._alarmed)
        if taken is not None:
            self._alarmed = None
        self.stranded = here != expected
        period = self.state.period if taken is not None else self.state.period - 1
        if self.stranded and (not was or taken is not None):
            return [Announce("list.stranded", {"period": period, "why": why})]
        return [Announce("list.agreed", {"period": period})] if was and not self.stranded else []
