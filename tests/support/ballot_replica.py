"""One voter of a ballot, with a disk that outlives it.

A replica keeps its vote file and its store apart, in the shell's order (one write batch,
the vote file, then the network) or with the first two changed about, and can be killed
between any two of these steps; the store may lose what was not synced, or everything.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from protocol.crypto import Signer, envelope_body
from protocol.errors import ProtocolError
from protocol.group.actions import Accuse, Action, Decide, Resend, Sign
from protocol.group.certificate import Certificate, check_certifies
from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate
from protocol.group.vote import (
    EquivocationProof,
    Slot,
    Statement,
    Vote,
    check_signed,
    content_hash,
    value_hash,
)
from protocol.group.vote_guard import VoteGuard
from protocol.units import Hash32

NETWORK = b"\x07" * 32
NAME = "group:"
HEIGHT = 3
BASE_MS = 100
DELAY_MS = 5
TWINS = 100
"""Twins of voter n have the numbers 100 + n and 200 + n."""

SIGNERS = tuple(Signer(bytes([number + 1]) * 32) for number in range(12))
"""The keys of the voters, in the order of their numbers (not sorted)."""

Certified = tuple[bytes, Certificate]


@lru_cache(maxsize=1 << 16)
def read(envelope: bytes) -> Statement:
    """Return the statement in an envelope, its signature checked (once for all who hear it)."""
    return check_signed(envelope, NETWORK)


@dataclass
class Disk:
    """What outlives a crash: the vote file, and the store with a mark up to which it is synced."""

    records: list[tuple[Slot, Hash32]] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    synced: int = 0
    decision: Certified | None = None


@dataclass
class Effects:
    """One batch of what a replica's shell must do: the store, the vote file, then the network."""

    records: list[tuple[Slot, Hash32]] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    durable: bool = False
    decision: Certified | None = None
    sends: list[bytes | Certified] = field(default_factory=list)

    def steps(self) -> int:
        """How many places there are to be killed at, the end not counted."""
        return len(self.records) + 1 + len(self.sends)


class Replica:
    """One voter that keeps the rules: the machine, its guard, and a disk that outlives both.

    `number` is where messages go; two replicas with one key (twins) are a dishonest voter.
    """

    def __init__(
        self,
        number: int,
        signer: Signer,
        electorate: Electorate,
        validate: Callable[[bytes], bool],
        is_stranded: Callable[[bytes], bool],
    ) -> None:
        self.number = number
        self.signer = signer
        self.electorate = electorate
        self.validate, self.is_stranded = validate, is_stranded
        self.disk = Disk()
        self.records_first = False
        self.guard = VoteGuard()
        self.consensus: Consensus | None = None
        self.accusations: list[EquivocationProof] = []
        self.refused: list[tuple[Statement, ProtocolError]] = []

    @property
    def decision(self) -> Certified | None:
        """What was decided, as the disk has it."""
        return self.disk.decision

    def boot(self, now: int, value: bytes | None = None, *, feed: bool = False) -> Effects:
        """Start from the disk; with `feed` the envelopes come one by one like fresh messages."""
        self.guard = VoteGuard(self.disk.records)
        effects = Effects()
        self._record_own(effects)
        self.consensus = Consensus(
            NETWORK,
            NAME,
            self.electorate,
            HEIGHT,
            self.signer.operator_key,
            BASE_MS,
            self.validate,
            self.guard.records(),
            self.is_stranded,
        )
        if self.disk.decision is not None:
            return effects
        if not feed:
            self._carry(self.consensus.start(now, value, self.disk.envelopes), effects)
            return effects
        self._carry(self.consensus.start(now, value), effects)
        for envelope in list(self.disk.envelopes):
            self._take(read(envelope), envelope, now, effects)
        return effects

    def hear(self, message: bytes | Certified, now: int) -> Effects:
        """Take one message; a decided replica answers with its certificate."""
        effects = Effects()
        if self.disk.decision is not None:
            if isinstance(message, bytes):
                effects.sends.append(self.disk.decision)
            return effects
        assert self.consensus is not None
        if not isinstance(message, bytes):
            effects.decision = message
            check_decision(message, self.electorate)
            return effects
        statement = read(message)
        if self.consensus.wants(statement):
            effects.envelopes.append(message)
            self._take(statement, message, now, effects)
        return effects

    def act(self, actions: list[Action]) -> Effects:
        """Carry out what an input such as a tick asked for."""
        effects = Effects()
        self._carry(actions, effects)
        return effects

    def _take(self, statement: Statement, envelope: bytes, now: int, effects: Effects) -> None:
        assert self.consensus is not None
        try:
            if isinstance(statement, Vote):
                actions = self.consensus.receive_vote(envelope, statement, now)
            else:
                actions = self.consensus.receive_proposal(envelope, statement, now)
        except ProtocolError as error:
            self.refused.append((statement, error))
            if envelope in effects.envelopes:
                effects.envelopes.remove(envelope)
            return
        self._carry(actions, effects)

    def _carry(self, actions: list[Action], effects: Effects) -> None:
        assert self.consensus is not None
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            match action:
                case Sign():
                    if not self.guard.may_sign(action.slot, action.content_hash):
                        continue
                    self.guard.record(action.slot, action.content_hash)
                    envelope = self.signer.sign(action.body)
                    effects.records.append((action.slot, action.content_hash))
                    effects.envelopes.append(envelope)
                    effects.durable = True
                    effects.sends.append(envelope)
                    waiting.extend(self.consensus.signed(envelope))
                case Resend():
                    effects.sends.append(action.envelope)
                case Decide():
                    effects.decision = (action.value, action.certificate)
                    effects.sends.append(effects.decision)
                case Accuse():
                    self.accusations.append(action.proof)

    def commit(self, effects: Effects, killed_at: int | None = None) -> Sequence[bytes | Certified]:
        """Do the steps in order and return what was sent; `killed_at` steps if it is killed."""
        steps = effects.steps() if killed_at is None else min(killed_at, effects.steps())
        records = len(effects.records)
        recorded = min(steps, records) if self.records_first else max(0, min(steps - 1, records))
        self.disk.records += effects.records[:recorded]
        if steps > (records if self.records_first else 0):
            self._store(effects)
        if killed_at is not None:
            self.consensus = None
        return effects.sends[: max(0, steps - records - 1)]

    def _store(self, effects: Effects) -> None:
        known = self.disk.envelopes
        known += [envelope for envelope in effects.envelopes if envelope not in known]
        if effects.durable or effects.decision:
            self.disk.synced = len(known)
        self.disk.decision = self.disk.decision or effects.decision

    def _record_own(self, effects: Effects) -> None:
        """Record own statements that a crash kept from the vote file: they will be repeated."""
        for envelope in self.disk.envelopes:
            statement = read(envelope)
            slot, content = statement.slot, content_hash(statement, envelope_body(envelope))
            own = statement.signer == self.signer.operator_key
            if own and slot not in self.guard.records() and self.guard.may_sign(slot, content):
                self.guard.record(slot, content)
                effects.records.append((slot, content))

    def crash(self, *, power: bool = False, wipe: bool = False) -> None:
        """Die. `power` loses what the store had not synced, `wipe` the whole store; never the vote file."""
        self.consensus = None
        if power:
            del self.disk.envelopes[self.disk.synced :]
        if wipe:
            self.disk.envelopes.clear()
            self.disk.synced = 0
            self.disk.decision = None


def check_decision(decision: Certified, electorate: Electorate) -> None:
    """Raise unless the certificate is what anybody would accept for the value."""
    value, certificate = decision
    check_certifies(certificate, NETWORK, electorate, name=NAME, height=HEIGHT, block_hash=value_hash(value))
