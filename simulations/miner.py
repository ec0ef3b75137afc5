"""Who makes the chain grow: one miner, a pool of payments, and now and then another branch.

Answers for: blocks at irregular times, each carrying what its branch accepts; a reorganisation exchanges at
most as many blocks as the burial depth, so that what is buried anywhere stays; a deep one exchanges more, and
may bring a lost branch back. Nodes on the miner's side of a partition learn of a block, the others when the
network is whole. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

from protocol.chain.transaction import Transaction
from simulations.chain import SimulatedBlock, extend
from simulations.founding import PARAMETERS
from simulations.host import Host
from simulations.network import Network
from simulations.options import Fault, Options
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace

MINER_PLACE = 0
"""The miner stands beside this node: it is on the same side of every partition."""
COMEBACK_PROBABILITY = 0.35
"""Of a deep reorganisation: a branch that had lost is mined on and wins."""
BRANCH_FROM = 2
"""No branch begins below this height."""


class Miner:
    """Extends the chain. `tip` is the last block of the longest branch."""

    def __init__(
        self,
        first: SimulatedBlock,
        options: Options,
        rng: random.Random,
        scheduler: Scheduler,
        network: Network,
        hosts: Sequence[Host],
        trace: Trace,
        counts: FaultCounts,
        burial: int = PARAMETERS.burial,
    ) -> None:
        self.tip = first
        self._burial = burial
        self._lost: list[SimulatedBlock] = []
        """Tips of branches that lost by a deep reorganisation."""
        self.pool: list[Transaction] = []
        self.healed = False
        self._has_stopped = False
        self.on_block: Callable[[], None] = lambda: None
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._network = network
        self._hosts = hosts
        self._trace = trace
        self._counts = counts

    def start(self) -> None:
        """Begin to mine, and to repeat what was mined."""
        self._scheduler.after(self._pause(), self._mine)
        self._scheduler.after(self._options.resync_ms, self._repeat)

    def _pause(self) -> int:
        return self._rng.randint(self._options.block_min_ms, self._options.block_max_ms)

    def stop(self) -> None:
        """Mine no more."""
        self._has_stopped = True

    def _mine(self) -> None:
        if self._has_stopped:
            return
        if self._strikes_deep():
            self._reorganise_deeply()
        elif self._reorganises():
            self._reorganise(1, self._burial)
            self._counts.reorganisations += 1
        else:
            self.tip = self._block(self.tip)
        self.on_block()
        self._tell(self._options.delay_max_ms // 4)
        self._scheduler.after(self._pause(), self._mine)

    def _block(self, parent: SimulatedBlock, *, bare: bool = False) -> SimulatedBlock:
        chosen: list[Transaction] = []
        for transaction in () if bare else self.pool:
            clash = {spent.previous for other in chosen for spent in other.inputs}
            if parent.accepts(transaction) and not any(s.previous in clash for s in transaction.inputs):
                chosen.append(transaction)
        block = extend(parent, chosen, salt=self._rng.randbytes(4))
        self._trace.note(self._scheduler.now_ms, "block", MINER_PLACE, block.hash)
        return block

    def _reorganises(self) -> bool:
        if self.healed or not self._options.has(Fault.REORGANISATIONS) or self.tip.height < BRANCH_FROM + 2:
            return False
        return self._rng.random() < self._options.reorganisation_probability

    def _strikes_deep(self) -> bool:
        """Whether more blocks than the burial are exchanged now; no chance is spent without that fault."""
        if self.healed or not self._options.has(Fault.DEEP_REORGANISATIONS):
            return False
        if self.tip.height < BRANCH_FROM + self._burial + 1:
            return False
        return self._rng.random() < self._options.deep_probability

    def _reorganise_deeply(self) -> None:
        """Exchange more blocks than the burial, or let a branch win that had lost."""
        lost, self._counts.deep_reorganisations = self.tip, self._counts.deep_reorganisations + 1
        if self._lost and self._rng.random() < COMEBACK_PROBABILITY:
            goal, branch = self.tip.height + 1, self._rng.choice(self._lost)
            while branch.height < goal:
                branch = self._block(branch, bare=True)
            self.tip = branch
        else:
            self._reorganise(self._burial + 1, self._options.deep_max, bare=True)
        self._lost.append(lost)

    def _reorganise(self, least: int, most: int, *, bare: bool = False) -> None:
        """Exchange so many blocks for a branch that is one longer; `bare` ones carry no payments."""
        depth = self._rng.randint(least, min(most, self.tip.height - BRANCH_FROM))
        branch = self.tip.ancestor(self.tip.height - depth)
        for _ in range(depth + 1):
            branch = self._block(branch, bare=bare)
        self.tip = branch

    def _tell(self, delay_ms: int) -> None:
        """Let each node that can hear us learn of the tip, each after a while of its own."""
        tip = self.tip
        for host in self._hosts:
            if self._network.linked(MINER_PLACE, host.number):
                self._scheduler.after(self._rng.randint(1, max(1, delay_ms)), partial(host.follow, tip))

    def _repeat(self) -> None:
        self._tell(self._options.latency_max_ms)
        self._scheduler.after(self._options.resync_ms, self._repeat)
