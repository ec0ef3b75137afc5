"""What is tried: which faults strike, how hard, and how long a run is.

Answers for: every number of a scenario has a name and a unit, in one place. Spec: `spec/simulation.md`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """The kinds of faults, each of which can be left out."""

    LOSS = "loss"
    DELAY = "delay"
    REORDERING = "reordering"
    PARTITIONS = "partitions"
    CRASHES = "crashes"
    REORGANISATIONS = "reorganisations"
    BYZANTINE = "byzantine"
    DEEP_REORGANISATIONS = "deep-reorganisations"
    """Of more blocks than the burial, for everybody; only when it is named."""


class Plant(StrEnum):
    """Deliberate faults of our own: a checker that does not see one of them is blind."""

    FORGET_VOTE = "forget-vote-after-restart"
    IGNORE_LOCK = "ignore-lock"
    QUORUM_HALF = "quorum-half"
    ACCEPT_LATE = "accept-late"
    SEND_FIRST = "send-before-persist"
    PAY_TWICE = "pay-twice"


ALL_FAULTS = frozenset(Fault) - {Fault.DEEP_REORGANISATIONS}
"""What strikes a chain that keeps its burial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One scenario. Times are virtual milliseconds, probabilities between 0 and 1."""

    nodes: int = 7
    faults: frozenset[Fault] = ALL_FAULTS
    plant: Plant | None = None

    latency_min_ms: int = 1
    latency_max_ms: int = 20
    loss_probability: float = 0.08
    delay_probability: float = 0.05
    delay_max_ms: int = 900
    duplicate_probability: float = 0.01

    joins: bool = False
    """Whether operators that are no members ask for a place in a group."""
    inbox_ms: int = 2
    """Messages that come to a node within this time are handed in as one batch."""
    disk_remembers: bool = True
    """Whether a disk knows what was ever durable, for the laws that ask."""
    tick_ms: int = 50
    mine_ms: int = 120
    """What a join proof takes."""
    block_min_ms: int = 700
    block_max_ms: int = 1_100
    resync_ms: int = 500
    """How often a node asks for the chain's tip, should its announcement have been lost."""
    reorganisation_probability: float = 0.25
    """At each block."""
    deep_probability: float = 0.12
    """At each block: that a branch replaces more of them than the burial."""
    deep_max: int = 9
    """Blocks that such a branch replaces at most."""
    deep_extra_height: int = 8
    """With such branches everything goes on so much longer, so that they strike lists and payments too."""

    partition_every_ms: int = 5_000
    """Mean pause between two partitions."""
    partition_max_ms: int = 3_000
    crash_every_ms: int = 1_500
    """Mean pause between two crashes, over all nodes."""
    crash_effects_max: int = 30
    """A crash strikes within so many effects of a node, between any two of them."""
    crash_patience_ms: int = 1_000
    """A node that does nothing crashes after this time."""
    down_max_ms: int = 2_500
    power_cut_probability: float = 0.4
    """Of a crash: what was not synced may be lost."""

    heal_height: int = 22
    """Chain height at which loss, delay, partitions, crashes and reorganisations end."""
    goal_height: int = 27
    """Chain height at which everything up to `lists` can be decided and paid."""
    lists: int = 2
    patience_ms: int = 60_000
    """Time after the healing within which everything pending must be decided."""

    def has(self, fault: Fault) -> bool:
        """Whether a fault strikes in this scenario."""
        return fault in self.faults

    @property
    def healing_height(self) -> int:
        """Chain height at which the faults of this scenario end."""
        return self.heal_height + self._extra

    @property
    def end_height(self) -> int:
        """Chain height at which everything can be decided and paid."""
        return self.goal_height + self._extra

    @property
    def _extra(self) -> int:
        return self.deep_extra_height if self.has(Fault.DEEP_REORGANISATIONS) else 0

    @property
    def byzantine_max(self) -> int:
        """The most members that are less than a third."""
        return (self.nodes - 1) // 3
