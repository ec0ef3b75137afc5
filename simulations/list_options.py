"""What the whole network's agreement on a payout list goes through: how many vote, who lies, how slow it is.

Answers for: every number of this scenario has a name and a unit, in one place. Spec: `spec/simulation.md`.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocol.node.lister import LIST_ROUND_FACTOR
from protocol.parameters import ZEN
from simulations.options import Fault, Options


class Dishonesty(StrEnum):
    """What less than a third of the voters do."""

    NONE = "none"
    SILENT = "silent"
    """They say nothing."""
    EQUIVOCATING = "equivocating"
    """They tell one half of the network one thing and the other half another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions(Options):
    """One list. Times are virtual milliseconds, probabilities between 0 and 1."""

    faults: frozenset[Fault] = frozenset({Fault.LOSS, Fault.DELAY, Fault.REORDERING})
    voters: int = 5_000
    machines: int = 16
    """Voters that are machines; each of the others says what one of them says."""
    dishonesty: Dishonesty = Dishonesty.NONE
    dishonest_percent: int = 30
    """Of the voters, at most; in any case less than a third."""

    latency_min_ms: int = 20
    latency_max_ms: int = 400
    loss_probability: float = 0.02
    """Of what gossip brings to one machine; to those who hear what that hears, too."""
    delay_probability: float = 0.02
    delay_max_ms: int = 10_000
    tick_ms: int = 500

    round_ms: int = ZEN.round_milliseconds * LIST_ROUND_FACTOR
    ready_max_ms: int = 5_000
    """Within this time of one another the voters hold all that their lists are made of."""
    behind_max_ms: int = 2_000
    """How much later than its machine a voter says what that says."""
    told_both_ms: int = 3_000
    """After this time everybody has heard both of two contradicting statements."""
    file_after_ms: int = 30_000
    """So long after another machine has decided, one that has not yet asks it for the certified list."""
    heal_ms: int = 900_000
    """From then on everything arrives, at its time: with a third silent each single voter must be heard."""
    longest_ms: int = 7_200_000
    """No run is longer."""

    voters_a_group: int = 20
    """On the average; there are a power of two of groups."""
