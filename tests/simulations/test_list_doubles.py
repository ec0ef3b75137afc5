"""Voters who say two things: each half hears one, and after a while everybody hears both."""

import random
from collections import defaultdict

from protocol.crypto import SIGNATURE_SIZE
from protocol.group.vote import Proposal, Vote, check_equivocation, decode_statement, equivocation_proof
from protocol.node.effects import Incoming
from protocol.node.messages import unpack
from simulations.list_doubles import Doubles
from simulations.list_electorate import Election, hold_election
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_voter import TOPIC, Address
from simulations.network import Network
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace

OPTIONS = ListOptions(
    voters=20, machines=4, dishonesty=Dishonesty.EQUIVOCATING, faults=frozenset(), told_both_ms=60_000
)


class Ear(Address):
    """Keeps what it hears."""

    def __init__(self, number: int, election: Election, heard: dict[int, list[bytes]]) -> None:
        super().__init__(number, election.key(number))
        self._heard = heard

    def hear(self, incoming: Incoming) -> None:
        _, envelope = unpack(incoming.data)
        self._heard[self.number].append(envelope)


class Scene:
    """Machines that only listen."""

    def __init__(self) -> None:
        rng = random.Random(2)
        self.election = hold_election(2, OPTIONS, rng)
        self.scheduler = Scheduler()
        self.heard: dict[int, list[bytes]] = defaultdict(list)
        network = Network(OPTIONS, rng, self.scheduler, Trace(), FaultCounts())
        for number in range(OPTIONS.voters):
            network.join(Ear(number, self.election, self.heard))
        for number in self.election.machines:
            network.subscribe(number, TOPIC)
        around = rng, self.scheduler, network, lambda number, data: network.publish(number, TOPIC, data)
        self.doubles = Doubles(self.election, OPTIONS, *around)
        turns = enumerate(self.election.order)
        self.turn = next(turn for turn, number in turns if number in self.election.dishonest)

    def statements(self, number: int) -> list[Vote | Proposal]:
        return [decode_statement(one[SIGNATURE_SIZE:]) for one in self.heard[number]]


def test_two_lists_are_proposed_and_each_half_hears_votes_for_its_own() -> None:
    scene = Scene()
    scene.doubles.on_round(scene.turn)
    scene.scheduler.run_until(OPTIONS.told_both_ms - 1)
    voted: list[set[bytes]] = []
    for number in scene.election.machines[:2]:
        told = scene.statements(number)
        assert sum(isinstance(one, Proposal) for one in told) == 1
        assert len(told) == 1 + 2 * len(scene.election.dishonest)
        voted.append({one.block_hash for one in told if isinstance(one, Vote)})
    assert len(voted[0]) == len(voted[1]) == 1 and voted[0] != voted[1]


def test_in_the_end_everybody_can_prove_it() -> None:
    scene = Scene()
    scene.doubles.on_round(scene.turn)
    scene.scheduler.run_until(3 * OPTIONS.told_both_ms)
    first = next(iter(scene.heard.values()))
    by_place: dict[tuple[bytes, object], set[bytes]] = defaultdict(set)
    for envelope in first:
        statement = decode_statement(envelope[SIGNATURE_SIZE:])
        by_place[statement.signer, statement.slot].add(envelope)
    assert all(len(both) == 2 for both in by_place.values())
    for (signer, _), (one, other) in by_place.items():
        proof = equivocation_proof(one, other)
        assert proof is not None and check_equivocation(proof, scene.election.network) == signer


def test_nobody_speaks_out_of_turn_or_twice_in_a_round() -> None:
    scene = Scene()
    honest = next(
        t for t, number in enumerate(scene.election.order) if number not in scene.election.dishonest
    )
    scene.doubles.on_round(honest)
    scene.scheduler.run_until(OPTIONS.told_both_ms)
    assert not scene.heard
    scene.doubles.on_round(scene.turn)
    scene.doubles.on_round(scene.turn)
    scene.scheduler.run_until(2 * OPTIONS.told_both_ms - 1)
    votes = [one for one in scene.statements(scene.election.machines[0]) if isinstance(one, Vote)]
    assert len(votes) == 2 * len(scene.election.dishonest)
