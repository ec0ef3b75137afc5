"""Two registered operators that must never be paid: one is always late, one always lies.

Answers for: both register over the network with a real stake, can be reached and hold the chain; so nothing
but their lateness and their wrong answers can cost them their pay. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Sequence

from protocol.codec import decode
from protocol.crypto import sha3_256
from protocol.errors import StaleMessage
from protocol.node.effects import Incoming
from protocol.node.messages import group_topic, pack_signed
from protocol.tracking.challenge import Challenge, derive_challenge, dial_back_digest, expected_answer
from protocol.tracking.registration import Registration, check_registration
from protocol.tracking.response import ProbeRequest, build_probe_reply, build_response
from protocol.units import OperatorKey
from simulations.chain import View
from simulations.founding import PARAMETERS, Founding, Party
from simulations.host import Host
from simulations.miner import Miner
from simulations.network import Network
from simulations.scheduler import Scheduler

SUBMIT_MS = 1_500
"""How often a registration is handed in until it is taken up."""
LOOK_MS = 150
"""How often an impostor looks at the chain."""


class Impostor:
    """A registered operator without a node machine."""

    def __init__(
        self,
        number: int,
        party: Party,
        founded: Founding,
        rng: random.Random,
        scheduler: Scheduler,
        network: Network,
        hosts: Sequence[Host],
        miner: Miner,
    ) -> None:
        self.number = number
        self.party = party
        self._founded = founded
        self._rng = rng
        self._scheduler = scheduler
        self._network = network
        self._hosts = hosts
        self._miner = miner
        self.registered = False
        self._envelope = party.registration(founded.network)

    @property
    def key(self) -> OperatorKey:
        """The operator's key."""
        return self.party.key

    @property
    def ip(self) -> bytes:
        """Where it listens."""
        return self.party.ip

    @property
    def is_up(self) -> bool:
        """It never crashes."""
        return True

    def start(self) -> None:
        """Register, and look at the chain from now on."""
        self._register()
        self._scheduler.after(LOOK_MS, self._look)

    def hear(self, incoming: Incoming) -> None:
        """Receipts do not concern those who cheat."""

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Answer a dial-back rightly: the chain is at hand."""
        request = decode(data, ProbeRequest)
        view = View(self._miner.tip)
        challenge = derive_challenge(request.seq, view, PARAMETERS)
        if challenge.anchor_hash != request.anchor_hash:
            raise StaleMessage("another branch")
        digest = dial_back_digest(challenge, self.key, request.nonce, view, PARAMETERS)
        return build_probe_reply(self.party.signer, request, digest)

    def _register(self) -> None:
        host = self._rng.choice([host for host in self._hosts if host.is_up] or [None])
        if host is not None and host.submit(pack_signed(self._envelope)):
            self.registered = True
            return
        self._scheduler.after(SUBMIT_MS, self._register)

    def _look(self) -> None:
        view = View(self._miner.tip)
        seq = view.block.height // PARAMETERS.challenge_every
        if seq * PARAMETERS.challenge_every >= self._founded.genesis.first_challenge_height:
            self.respond(derive_challenge(seq, view, PARAMETERS), view)
        self._scheduler.after(LOOK_MS, self._look)

    def respond(self, challenge: Challenge, view: View) -> None:
        """Cheat in one challenge; asked again and again."""
        raise NotImplementedError

    def _response(self, challenge: Challenge, answer: bytes) -> bytes:
        genesis = self._founded.genesis
        registration: Registration = check_registration(
            self._envelope, self._founded.network, genesis.chain, genesis.parameters
        )
        envelope = build_response(
            self.party.signer,
            self._founded.network,
            challenge,
            registration,
            answer,
            self.ip,
            registration.port,
        )
        return pack_signed(envelope)


class LateOperator(Impostor):
    """Answers rightly, to each judge once the challenge has closed there."""

    def respond(self, challenge: Challenge, view: View) -> None:
        """Hand the right answer to whomever it is too late for."""
        if view.block.height < challenge.closes:
            return
        packed = self._response(challenge, expected_answer(challenge, self.key, view, PARAMETERS))
        for host in self._hosts:
            knows = host.view.block_hash(challenge.anchor_height) == challenge.anchor_hash
            if knows and host.view.block.height >= challenge.closes:
                self._network.send(self.number, host.key, packed)


class Liar(Impostor):
    """Answers at once with something that it did not look up."""

    def respond(self, challenge: Challenge, view: View) -> None:
        """Tell everybody the same wrong answer, directly and by gossip."""
        if view.block.height >= challenge.closes:
            return
        packed = self._response(challenge, sha3_256(b"made up", challenge.anchor_hash)[:12])
        for host in self._hosts:
            self._network.send(self.number, host.key, packed)
        self._network.publish(self.number, group_topic(self._founded.network, ""), packed)
