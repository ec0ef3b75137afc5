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
    WrongNetwork,
)
from protocol.genesis import Genesis, first_period, network_id
from protocol.group.certificate import Certificate, check_certifies
from protocol.group.consensus import Consensus
from protocol.group.membership import voters_of
from protocol.group.quorum import Electorate, Voter
from protocol.group.vote import LIST_ELECTORATE, EquivocationProof, Statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.effects import Announce, Effect, Persist
from protocol.node.records import LIST_STATE, Records, ballot_prefix, list_key
from protocol.payout.list_file import decode_list_file, encode_list_file
from protocol.payout.list_header import list_hash
from protocol.payout.payout_list import (
    ListSource,
    ListState,
    check_list,
    first_state,
    propose_list,
    recompute_list,
)

LIST_ROUND_FACTOR = 2
"""A list's rounds are this much longer than a group's: everybody takes part, once a period."""
STATE_SIZE_MAX = 1 << 24


class Lister:
    """The machine of the network's lists at one node."""

    def __init__(
        self,
        genesis: Genesis,
        chain: ChainView,
        source: ListSource,
        signer: Signer,
        guard: VoteGuard,
        records: Records,
        topic: str,
    ) -> None:
        self._genesis = genesis
        self._network = network_id(genesis)
        self._chain = chain
        self._source = source
        self._signer = signer
        self._guard = guard
        self._records = records
        self._topic = topic
        self._began_at = chain.tip()[0]
        self._dirty = True
        self._offered: bytes | None = None
        self._contradiction: tuple[bytes, Certificate] | None = None
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
        return self._ballot.restore(self._records.iterate(prefix), now)

    def moved(self) -> None:
        """The chain or the data chain moved: what could not be computed may be computed now."""
        self._dirty = True

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
        if self._dirty:
            self._dirty = False
            effects += self._ballot.revalidate(now) + self._offer(now)
        return effects + self._ballot.tick(now) + self._settle(now)

    def take_accusations(self) -> list[EquivocationProof]:
        """Hand out the proofs found since the last call: the group's blocks hold them."""
        found, self._ballot.accusations = self._ballot.accusations, []
        return found

    def take_file(self, data: bytes, now: int) -> list[Effect]:
        """Take the next list from a peer's file; raises `ProtocolError` when it is not that."""
        file = decode_list_file(data)
        if self.contradicted or file.header.period != self.state.period:
            return []
        check_certifies(
            file.certificate,
            self._network,
            self.electorate,
            name=LIST_ELECTORATE,
            height=self.state.period,
            block_hash=list_hash(file.header),
        )
        return self._accept(encode(file.header), file.certificate)

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
            self.electorate = voters_of(decode_list_file(last).members)

    def _open(self) -> Ballot:
        """Begin the ballot on the next list."""
        self._offered = None
        consensus = Consensus(
            self._network,
            LIST_ELECTORATE,
            self.electorate,
            self.state.period,
            self._signer.operator_key,
            self._genesis.parameters.round_milliseconds * LIST_ROUND_FACTOR,
            self._is_valid,
            self._guard.records(),
        )
        prefix = ballot_prefix(LIST_ELECTORATE, self.state.period)
        return Ballot(consensus, self._signer, self._guard, self._topic, prefix)

    def _is_valid(self, value: bytes) -> bool:
        """Whether our own blocks and chain give this very list."""
        try:
            check_list(value, self._genesis, self.state, self._source, self._chain)
        except ProtocolError:
            return False
        return True

    def _offer(self, now: int) -> list[Effect]:
        """Propose the list as far as we hold it, when its time has come."""
        try:
            ours = propose_list(self._genesis, self.state, self._source, self._chain)
        except NotYetKnown:
            return []
        value = encode(ours.header)
        if value == self._offered:
            return []
        self._offered = value
        return self._ballot.offer(value, now)

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
        if self.contradicted:
            return []
        self._dirty = True
        return [Announce("list.agreed", {"period": self.state.period}), *effects]

    def _accept(self, value: bytes, certificate: Certificate, *, live: bool = False) -> list[Effect]:
        """Keep a certified list and begin the next one; `live` says that we saw it being decided.

        A list that is certified though our own blocks say otherwise is never silently taken: it is
        announced, and this node signs nothing further until its chain agrees or somebody has looked.
        """
        try:
            ours = recompute_list(value, self._genesis, self.state, self._source, self._chain)
        except NotYetKnown:
            return []  # blocks are missing: the file is asked for again when they are here
        except (InvalidBlock, MalformedMessage, WrongNetwork, StaleMessage) as error:
            self._contradiction = value, certificate
            return [Announce("list.contradiction", {"period": self.state.period, "reason": str(error)})]
        file = encode_list_file(ours.header, ours.entries, ours.members, certificate)
        effects: list[Effect] = [
            Persist(list_key(ours.header.period), file, durable=True),
            Persist(LIST_STATE, encode(ours.state), durable=True),
            *self._ballot.forget(),
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
