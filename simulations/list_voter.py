"""One voter of a payout list: a machine with its ballot, or somebody who only has an address.

Answers for: a machine takes what is said as a node does, carries its ballot's effects out, and takes the
certified list from another one when it has missed the decision. What is said by whom else is `list_run`'s.
Spec: `spec/simulation.md`.
"""

from collections.abc import Callable, Sequence

from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import ProtocolError, StaleMessage
from protocol.group.certificate import Certificate, check_certifies
from protocol.group.consensus import Consensus
from protocol.group.vote import LIST_ELECTORATE, EquivocationProof, decode_statement, value_hash
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.effects import Effect, Incoming, Persist, Publish
from protocol.node.messages import unpack
from protocol.node.records import ballot_prefix
from protocol.units import OperatorKey
from simulations.list_electorate import Election
from simulations.list_source import PERIOD

TOPIC = "list"


class Address:
    """Somebody who hears nothing; fulfils `network.Party`."""

    is_up = True

    def __init__(self, number: int, key: OperatorKey) -> None:
        self.number = number
        self.key = key
        self.ip = number.to_bytes(4, "big")

    def hear(self, incoming: Incoming) -> None:
        """Nothing is heard."""

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Nobody is dialled back about a list."""
        raise StaleMessage("no challenge is open")


class Machine(Address):
    """A voter whose ballot is the node's own."""

    def __init__(
        self, number: int, election: Election, round_ms: int, say: Callable[[int, bytes], None]
    ) -> None:
        """`say` takes what it publishes, with its number."""
        signer = election.signers[number]
        super().__init__(number, signer.operator_key)
        self.now_ms = 0
        self.heard: dict[bytes, None] = {}
        """What came, each message once: gossip hands over no second one."""
        self.refused = 0
        self.kept_bytes = self.kept_most = 0
        """Of the ballot's record: now, and when it was largest."""
        self.accused: list[EquivocationProof] = []
        self.decided: tuple[bytes, Certificate] | None = None
        self.took_file = False
        """Whether it has the decision from another one."""
        self._election = election
        self._say = say
        self._kept: dict[bytes, int] = {}
        consensus = Consensus(
            election.network,
            LIST_ELECTORATE,
            election.electorate,
            PERIOD,
            self.key,
            round_ms,
            election.is_valid,
        )
        prefix = ballot_prefix(LIST_ELECTORATE, PERIOD)
        self._ballot = Ballot(consensus, signer, VoteGuard(), TOPIC, prefix)

    @property
    def round(self) -> int:
        """The round in which it is."""
        return self._ballot.consensus.round

    def offer(self, value: bytes, now_ms: int) -> None:
        """Have a list to propose."""
        self.now_ms = now_ms
        self._carry_out(self._ballot.offer([value], now_ms))

    def hear(self, incoming: Incoming) -> None:
        """Take a statement."""
        self.heard[incoming.data] = None
        if self.decided is not None:
            return
        _, envelope = unpack(incoming.data)
        try:
            statement = decode_statement(envelope[SIGNATURE_SIZE:])
            effects = self._ballot.receive(envelope, statement, self.now_ms)
        except ProtocolError:
            self.refused += 1
            return
        self._carry_out(effects)

    def tick(self, now_ms: int) -> None:
        """Let timeouts pass."""
        self.now_ms = now_ms
        if self.decided is None:
            self._carry_out(self._ballot.tick(now_ms))

    def take_file(self, value: bytes, certificate: Certificate) -> None:
        """Take the certified list from another one; raises `ProtocolError` when it is none."""
        election = self._election
        check_certifies(
            certificate,
            election.network,
            election.electorate,
            name=LIST_ELECTORATE,
            height=PERIOD,
            block_hash=value_hash(value),
        )
        self.decided, self.took_file = (value, certificate), True

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self._keep(effect)
            elif isinstance(effect, Publish):
                self._say(self.number, effect.data)
        self.accused += self._ballot.accusations
        self._ballot.accusations.clear()
        if self.decided is None:
            self.decided = self._ballot.decided

    def _keep(self, effect: Persist) -> None:
        self.kept_bytes -= self._kept.pop(effect.key, 0)
        if effect.value is not None:
            self._kept[effect.key] = len(effect.key) + len(effect.value)
            self.kept_bytes += self._kept[effect.key]
        self.kept_most = max(self.kept_most, self.kept_bytes)
