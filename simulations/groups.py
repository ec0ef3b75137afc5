"""A network of many groups of real node machines on a virtual clock, run from a seed until so many events.

Answers for: the actors are put together, operators come and go until the events are reached, then all that is
left comes to rest. The same seed and options give the same trace, to the byte. What must hold is
`group_laws`' business. Spec: `spec/simulation.md`.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from simulations.chain import View
from simulations.collecting import rare_collections
from simulations.founding import found
from simulations.group_newcomer import follow
from simulations.group_options import GroupOptions
from simulations.group_plants import PLANTS, planted_in_groups
from simulations.host import Host
from simulations.ledger import Ledger
from simulations.miner import Miner
from simulations.network import Network
from simulations.plants import planted
from simulations.population import Population, choose_byzantine
from simulations.scheduler import Scheduler
from simulations.shared_chains import SharedChains
from simulations.sharing import shared_work
from simulations.stake_owners import StakeOwners
from simulations.trace import FaultCounts, Trace
from simulations.watch import Watch

SLICE_MS = 250
"""How often it is asked whether a run has come to its end."""
ACTIONS_MAX = 100_000_000
REST_BLOCKS = 6
"""Chain blocks that are mined after the last event, so that what is open can be judged."""


@dataclass(frozen=True, slots=True)
class GroupsOutcome:
    """What came of one seed."""

    seed: int
    groups: int
    sizes: dict[int, int]
    """Groups by their number of members."""
    ages: dict[int, int]
    """Members by age."""
    relocations: dict[str, int]
    refused: int
    absorbed: int
    """Groups that had stopped and were."""
    carried: int
    events: int
    violations: int
    told: tuple[str, ...]
    """What was violated."""
    pending: tuple[str, ...]
    """What had not come to rest in time."""
    trace: bytes
    faults: FaultCounts


class GroupsRun:
    """The actors of one run."""

    def __init__(self, seed: int, options: GroupOptions, shared: SharedChains) -> None:
        self.seed, self.options = seed, options
        self.rng = rng = random.Random(seed)
        lodgers = _lodgers(options, rng)
        self.founding = found(seed, options.founders, options.terms, lodgers)
        self.scheduler = Scheduler(ACTIONS_MAX)
        self.trace, self.counts = Trace(), FaultCounts()
        self.network = Network(options, rng, self.scheduler, self.trace, self.counts)
        operators = self.founding.operators
        view = View(self.founding.first_block)
        ledger = Ledger(self.founding.genesis, {party.key: party.ip for party in operators}, view)
        byzantine = choose_byzantine(ledger, self.founding.members, options, rng)
        honest = [party.number for party in operators if party.number not in byzantine]
        self.watch = Watch(self.founding, honest, shared, ledger, view)
        self.watch.standing.views = self._views
        shelf: dict[bytes, bytes] = {}
        self.hosts = [
            Host(
                party.number,
                self.founding,
                options,
                rng,
                self.scheduler,
                self.network,
                self.watch,
                self.trace,
                self.counts,
                shelf,
            )
            for party in operators
        ]
        for host in self.hosts:
            self.network.join(host)
        self.miner = Miner(
            self.founding.first_block,
            options,
            rng,
            self.scheduler,
            self.network,
            self.hosts,
            self.trace,
            self.counts,
            self.founding.genesis.parameters.burial,
        )
        self.population = Population(
            self.founding,
            options,
            rng,
            self.scheduler,
            self.hosts,
            byzantine,
            ledger,
            self.miner,
            self.counts,
        )
        owners = StakeOwners(options, rng, self.miner, self.population.staying)
        if options.abandon_probability:
            self.miner.on_block = owners.look

    def _views(self) -> Iterator[tuple[str, ...]]:
        """Yield the prefixes of the live groups at each honest node; of equal ones once."""
        seen: dict[bytes, None] = {}
        for host in self.hosts:
            if host.node is not None and not self.population.is_byzantine(host.number):
                lives = host.node.groups.archive.lives
                if lives.digest() not in seen:
                    seen[lives.digest()] = None
                    yield tuple(head.prefix for head in lives.heads())

    def run(self) -> list[str]:
        """Run to the end; return what has not come to rest."""
        self.population.start()
        self.miner.start()
        while self.watch.ledger.links < self.options.events and self._has_patience():
            self.scheduler.run_until(self.scheduler.now_ms + SLICE_MS)
            self.population.keep_deciding()
            if self._has_seen_plant():
                return []
        return self._rest()

    def follow(self) -> None:
        """Let somebody who was never there take all blocks."""
        tip = View(self.miner.tip)
        self.watch.complain(follow(self.founding, tip, self.watch.certified, self.watch.ledger))

    def _has_seen_plant(self) -> bool:
        plant = self.options.plant_in_groups
        return plant is not None and PLANTS[plant].law in self.watch.broken

    def _has_patience(self) -> bool:
        return self.scheduler.now_ms < self.options.longest_ms

    def _rest(self) -> list[str]:
        """Let everything come to rest; return what does not.

        The chain goes on until all is judged: who comes to be a judge says its word when a block joins.
        """
        self.population.heal()
        self.network.heal()
        self._wait(lambda: not self.population.stopped())
        goal = self.miner.tip.height + REST_BLOCKS
        self._wait(lambda: self.miner.tip.height >= goal and not any(self._unjudged(goal)))
        self.miner.stop()
        self._wait(lambda: not any(self._differing()))
        return [*self._lacking(), *self._differing(), *self._unjudged(goal)]

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Go on until something is done, or for as long as there is patience."""
        deadline = self.scheduler.now_ms + self.options.patience_ms
        while not is_done() and self.scheduler.now_ms < deadline:
            self.scheduler.run_until(self.scheduler.now_ms + SLICE_MS)
            self.population.keep_deciding()

    def _lacking(self) -> Iterator[str]:
        """Yield what should have come about."""
        if self.watch.ledger.links < self.options.events:
            yield f"{self.watch.ledger.links} events of {self.options.events}"
        for prefix in self.population.stopped():
            yield f"group {prefix!r} has stopped and is not absorbed"

    def _differing(self) -> Iterator[str]:
        """Yield who is not where the others are."""
        heads: Counter[bytes] = Counter()
        for host in self.population.staying():
            if host.node is None:
                yield f"node {host.number} is down"
            else:
                heads[host.node.groups.archive.lives.digest()] += 1
        if len(heads) > 1:
            yield f"the data chains have {len(heads)} heads: {heads.most_common(3)}"

    def _unjudged(self, tip: int) -> Iterator[str]:
        """Yield the challenges that could be judged at a height of the chain, and are not."""
        parameters = self.founding.genesis.parameters
        first = self.founding.genesis.first_challenge_height // parameters.challenge_every
        last = (tip - parameters.response_window - parameters.burial) // parameters.challenge_every
        judged = self.watch.ledger.judged
        for seq in range(first, last + 1):
            if not judged.is_settled(seq):
                yield f"challenge {seq} is judged for {judged.regions(seq)} only"

    def outcome(self, pending: list[str]) -> GroupsOutcome:
        """Return what came of it."""
        ledger = self.watch.ledger
        groups = ledger.groups.values()
        members = [ledger.seats[key].age for group in groups for key in group.members]
        return GroupsOutcome(
            seed=self.seed,
            groups=len(ledger.groups),
            sizes=dict(sorted(Counter(len(group.members) for group in groups).items())),
            ages=dict(sorted(Counter(members).items())),
            relocations=dict(sorted(ledger.moves.items())),
            refused=ledger.refused,
            absorbed=ledger.absorbed,
            carried=self.watch.carried,
            events=ledger.links,
            violations=self.watch.violations,
            told=tuple(f"{law}: {what}" for law, what in self.watch.breaches),
            pending=tuple(pending),
            trace=self.trace.digest(),
            faults=self.counts,
        )


def _lodgers(options: GroupOptions, rng: random.Random) -> dict[int, int]:
    """Return the operators that will run on a founder's machine."""
    late = range(options.founders, options.nodes)
    return {
        number: rng.randrange(options.founders) for number in late if rng.random() < options.lodgers_share
    }


def run_groups(seed: int, options: GroupOptions) -> GroupsOutcome:
    """Run one seed."""
    with ExitStack() as stack:
        stack.enter_context(rare_collections())
        stack.enter_context(planted(options.plant))
        stack.enter_context(planted_in_groups(options.plant_in_groups))
        run = GroupsRun(seed, options, stack.enter_context(shared_work()))
        pending = run.run()
    run.follow()
    return run.outcome(pending)
