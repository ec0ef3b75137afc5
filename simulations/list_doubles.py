"""Voters who tell one half of the network one thing and the other half another one.

Answers for: in each round every one of them votes for two things, and proposes two lists when it is its turn;
after a while everybody hears both. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Callable
from functools import partial

from protocol.codec import encode
from protocol.group.vote import LIST_ELECTORATE, NIL, Phase, Proposal, Slot, value_hash, vote_body
from protocol.node.messages import pack_signed
from simulations.list_electorate import Election
from simulations.list_options import ListOptions
from simulations.list_source import PERIOD
from simulations.list_voter import TOPIC
from simulations.network import Network
from simulations.scheduler import Scheduler


class Doubles:
    """All equivocating voters of a run."""

    def __init__(
        self,
        election: Election,
        options: ListOptions,
        rng: random.Random,
        scheduler: Scheduler,
        network: Network,
        publish: Callable[[int, bytes], None],
    ) -> None:
        """`publish` tells everybody what a voter says."""
        self._publish = publish
        self._election = election
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._network = network
        self._halves = election.machines[::2], election.machines[1::2]
        self._done: set[int] = set()
        """Rounds in which they have their say."""

    def on_round(self, round_: int) -> None:
        """Somebody has come to a round: propose two lists when it is the turn of one of them."""
        proposer = self._election.order[round_ % len(self._election.order)]
        if proposer not in self._election.dishonest:
            return
        values = self._election.values[:2]
        self._tell_apart(proposer, [self._proposal(proposer, round_, value) for value in values])
        self._vote(round_, value_hash(values[0]), value_hash(values[1]))

    def on_proposal(self, proposal: Proposal) -> None:
        """An honest proposal is there: vote for it here, and for nothing there."""
        self._vote(proposal.round, value_hash(proposal.value), NIL)

    def _vote(self, round_: int, here: bytes, there: bytes) -> None:
        if round_ in self._done:
            return
        self._done.add(round_)
        for number in sorted(self._election.dishonest):
            at = 0
            for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
                at += self._rng.randint(1, self._options.behind_max_ms)
                both = [self._ballot(number, round_, phase, one) for one in (here, there)]
                self._scheduler.after(at, partial(self._tell_apart, number, both))

    def _tell_apart(self, number: int, both: list[bytes]) -> None:
        """Tell each half one of two things; in the end gossip brings both to everybody."""
        for half, data in zip(self._halves, both, strict=True):
            for machine in half:
                self._network.transmit(number, machine, TOPIC, data)
        for data in both:
            self._scheduler.after(self._options.told_both_ms, partial(self._publish, number, data))

    def _ballot(self, number: int, round_: int, phase: Phase, block_hash: bytes) -> bytes:
        election = self._election
        slot = Slot(election.network, LIST_ELECTORATE, PERIOD, round_, phase)
        body = vote_body(slot, block_hash, election.key(number))
        return pack_signed(election.signers[number].sign(body))

    def _proposal(self, number: int, round_: int, value: bytes) -> bytes:
        election = self._election
        proposal = Proposal(
            network=election.network,
            electorate=LIST_ELECTORATE,
            height=PERIOD,
            round=round_,
            valid_round=0,
            proof=(),
            proposer=election.key(number),
            value=value,
        )
        return pack_signed(election.signers[number].sign(encode(proposal)))
