"""One network of real node machines on a virtual clock, run from a seed to its end.

Answers for: the actors are put together, faults strike until the healing, and the run ends when everything
pending is decided everywhere or patience is over. The same seed and options give the same trace, to the byte.
What must hold is `invariants`' business. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.genesis import first_period
from protocol.node.docket import HELD_MAX
from protocol.node.machine import Node
from simulations.byzantine import ForkedMouth
from simulations.chain import SimulatedBlock
from simulations.faults import Faults
from simulations.founding import FIRST_CHALLENGE_HEIGHT, PARAMETERS, found
from simulations.history import History
from simulations.host import Host
from simulations.impostors import Impostor, LateOperator, Liar
from simulations.invariants import Ended, breaches
from simulations.miner import Miner
from simulations.network import Network, Party
from simulations.options import Fault, Options
from simulations.paymaster import Paymaster
from simulations.plants import planted
from simulations.scheduler import Scheduler
from simulations.signatures import remembered_signatures
from simulations.trace import FaultCounts, Trace

SLICE_MS = 250
"""How often it is asked whether a run has come to its end."""
LAPSE_CHALLENGES = 4
"""Challenges that may open after the healing of a long run until the first block that waited is decided."""
HEIGHT_PATIENCE_MS = 200_000
"""No run waits longer for its chain to grow."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...]
    pending: tuple[str, ...]
    """What was not decided in time after the healing; a run with any is stalled."""
    events: int
    trace: bytes
    lists_paid: int
    faults: FaultCounts


class Cluster:
    """The actors of one run."""

    def __init__(self, seed: int, options: Options) -> None:
        self.seed = seed
        rng = random.Random(seed)
        self.options = options
        self.founding = found(seed, options.nodes)
        self.scheduler = Scheduler()
        self.trace = Trace()
        self.counts = FaultCounts()
        self.byzantine = _byzantine(options, rng)
        honest = [number for number in range(options.nodes) if number not in self.byzantine]
        deep = options.has(Fault.DEEP_REORGANISATIONS)
        self.history = History(self.founding, honest, deep=deep)
        self.network = Network(options, rng, self.scheduler, self.trace, self.counts)
        self.hosts = [
            Host(
                number,
                self.founding,
                options,
                rng,
                self.scheduler,
                self.network,
                self.history,
                self.trace,
                self.counts,
            )
            for number in range(options.nodes)
        ]
        for number in self.byzantine:
            host = self.hosts[number]
            host.mouth = ForkedMouth(
                host, PARAMETERS.challenge_every, self.founding.strangers, rng, self.counts
            )
        self.honest = [self.hosts[number] for number in honest]
        first = self.founding.first_block
        around = (options, rng, self.scheduler, self.network, self.hosts)
        self.miner = Miner(first, *around, self.trace, self.counts)
        self.faults = Faults(*around, self.miner, self.trace, self.counts)
        self.paymaster = Paymaster(self.founding, options, rng, self.honest, self.miner)
        self.miner.on_block = self.paymaster.look
        cheats = (rng, self.scheduler, self.network, self.honest, self.miner)
        self.impostors: tuple[Impostor, ...] = (
            LateOperator(options.nodes, self.founding.late, self.founding, *cheats),
            Liar(options.nodes + 1, self.founding.liar, self.founding, *cheats),
        )

    def run(self) -> Outcome:
        """Run to the end."""
        self.join()
        for host in self.hosts:
            host.boot()
        for impostor in self.impostors:
            impostor.start()
        self.miner.start()
        self.faults.start()
        self._run_to_height(self.options.healing_height)
        self.faults.heal()
        pending = self._run_to_end()
        ended = Ended.of(self.history, self.miner.tip)
        return Outcome(
            seed=self.seed,
            violations=tuple(breaches(ended)),
            pending=tuple(pending),
            events=self.scheduler.events,
            trace=self.trace.digest(),
            lists_paid=self.paymaster.paid(),
            faults=self.counts,
        )

    def join(self) -> None:
        """Give everybody an address in the network."""
        parties: list[Party] = [*self.hosts, *self.impostors]
        for party in parties:
            self.network.join(party)

    def _run_to_height(self, height: int) -> None:
        while self.miner.tip.height < height and self.scheduler.now_ms < HEIGHT_PATIENCE_MS:
            self.scheduler.run_until(self.scheduler.now_ms + SLICE_MS)

    def _run_to_end(self) -> list[str]:
        """Go on until nothing is pending; return what still is when patience is over."""
        deadline = self.scheduler.now_ms + self.options.patience_ms
        pending = ["not begun"]
        while pending and self.scheduler.now_ms < deadline:
            self.scheduler.run_until(self.scheduler.now_ms + SLICE_MS)
            pending = list(self._pending())
        return pending

    def _pending(self) -> Iterator[str]:
        """Yield what is not decided yet, at whom."""
        if self.miner.tip.height < self.options.end_height:
            yield "the chain is short"
        if self.paymaster.paid() < self.options.lists:
            yield f"{self.paymaster.paid()} lists are paid"
        yield from (
            f"impostor {one.number} is not registered" for one in self.impostors if not one.registered
        )
        heads: set[bytes] = set()
        for host in self.honest:
            if host.node is None:
                yield f"node {host.number} is down"
                continue
            heads.add(host.node.group.state.head)
            yield from self._pending_at(host.number, host.node)
        if len(heads) > 1:
            yield f"{len(heads)} heads of the data chain"

    def _pending_at(self, number: int, node: Node) -> Iterator[str]:
        last = first_period(self.founding.genesis) + self.options.lists
        if node.lister.period < last:
            yield f"node {number} waits for list {node.lister.period}"
        for seq in range(
            self._oldest_waiting(), last * PARAMETERS.period_blocks // PARAMETERS.challenge_every
        ):
            if not (node.group.is_judged(seq) or self._is_void(seq) or self._has_lapsed(seq)):
                yield f"node {number} has no verdict of challenge {seq}"
        if node.contradicted:
            yield f"node {number} is contradicted"

    def _is_void(self, seq: int) -> bool:
        """Whether a judge has stood past a challenge's close before its anchor came: nobody need judge it."""
        block: SimulatedBlock | None = self.miner.tip
        while block is not None and block.height > seq * PARAMETERS.challenge_every:
            block = block.parent
        return block is not None and (seq, block.hash) in self.history.closed_before

    def _has_lapsed(self, seq: int) -> bool:
        """Whether a challenge was pushed out everywhere before the first decision after a long run's healing.

        Only of the first ones: who decides nothing at all is stalled.
        """
        every = PARAMETERS.challenge_every
        if not self.history.deep or seq > self.options.healing_height // every - HELD_MAX + LAPSE_CHALLENGES:
            return False
        nodes = [host.node for host in self.honest if host.node is not None]
        held = any(one.challenge.seq == seq for node in nodes for one in node.tracker.open_challenges())
        return not held and seq <= self.miner.tip.height // every - HELD_MAX

    def _oldest_waiting(self) -> int:
        """Return the first challenge that must be judged: of those that waited longest a node lets go."""
        every = PARAMETERS.challenge_every
        return max(FIRST_CHALLENGE_HEIGHT // every, self.options.healing_height // every - HELD_MAX + 1)


def _byzantine(options: Options, rng: random.Random) -> list[int]:
    """Draw who is dishonest: less than a third."""
    if not options.has(Fault.BYZANTINE):
        return []
    count = max(rng.randint(0, options.byzantine_max) for _ in range(2))  # rather more than fewer
    return sorted(rng.sample(range(options.nodes), count))


def run_seed(seed: int, options: Options) -> Outcome:
    """Run one seed."""
    with planted(options.plant), remembered_signatures():
        return Cluster(seed, options).run()
