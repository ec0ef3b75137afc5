"""When nodes crash and the network splits.

Answers for: the times, until the healing; then every cut is mended. What a crash does is `host`'s
business, what a split does `network`'s, reorganisations are `miner`'s. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Sequence

from simulations.host import Host
from simulations.miner import Miner
from simulations.network import Network
from simulations.options import Fault, Options
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace


class Faults:
    """Breaks things, and in the end mends them."""

    def __init__(
        self,
        options: Options,
        rng: random.Random,
        scheduler: Scheduler,
        network: Network,
        hosts: Sequence[Host],
        miner: Miner,
        trace: Trace,
        counts: FaultCounts,
    ) -> None:
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._network = network
        self._hosts = hosts
        self._miner = miner
        self._trace = trace
        self._counts = counts
        self._healed = False

    def start(self) -> None:
        """Begin to break things."""
        if self._options.has(Fault.PARTITIONS):
            self._scheduler.after(self._pause(self._options.partition_every_ms), self._split)
        if self._options.has(Fault.CRASHES):
            self._scheduler.after(self._pause(self._options.crash_every_ms), self._crash)

    def heal(self) -> None:
        """End every fault but dishonesty; nodes that are down come up by themselves."""
        self._healed = self._miner.healed = True
        self._network.heal()
        self._network.split([])
        self._trace.note(self._scheduler.now_ms, "heal", 0)

    def _pause(self, mean_ms: int) -> int:
        return self._rng.randint(1, 2 * mean_ms)

    def _split(self) -> None:
        if self._healed:
            return
        sides = [self._rng.randrange(2) for _ in range(self._options.nodes + 2)]
        if len(set(sides)) > 1:
            self._counts.partitions += 1
            self._network.split(sides)
            self._trace.note(self._scheduler.now_ms, "split", 0, bytes(sides))
        self._scheduler.after(self._rng.randint(1, self._options.partition_max_ms), self._join)

    def _join(self) -> None:
        if not self._healed:
            self._network.split([])
            self._trace.note(self._scheduler.now_ms, "join", 0)
            self._scheduler.after(self._pause(self._options.partition_every_ms), self._split)

    def _crash(self) -> None:
        if self._healed:
            return
        host = self._rng.choice(self._hosts)
        host.light_fuse(self._rng.randrange(self._options.crash_effects_max))
        self._scheduler.after(self._pause(self._options.crash_every_ms), self._crash)
