"""What a network of many groups goes through: how many come and go, who lies, how long it all takes.

Answers for: every number of this scenario has a name and a unit, in one place. Spec: `spec/simulation.md`.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocol.codec import replace
from protocol.parameters import MINIMAL, Parameters
from simulations.founding import Terms
from simulations.options import Fault, Options


class GroupPlant(StrEnum):
    """Deliberate faults of our own in the rules of many groups."""

    SHARE_ADDRESS = "share-an-address"
    SECOND_NEWCOMER = "second-newcomer"
    AGE_EARLY = "age-early"
    RETURN_WHOLE = "return-whole"
    COUNT_ALL = "count-all-links"
    NO_ENTROPY = "no-entropy"
    KNOWN_NAME = "return-to-a-known-name"
    THIRD_IS_FINAL = "third-is-final"
    HALF_IS_FINAL = "half-is-final"
    ONE_HALF_IS_BOTH = "one-half-is-both"
    STAY_AND_GO = "stay-and-go"
    LOSE_ONE = "lose-one"
    HALVES_STAY = "halves-stay"
    JUDGE_AGAIN = "judge-again"
    JUDGE_SOME = "judge-only-some"
    TAKE_AT_ONCE = "take-at-once"
    DEAF = "deaf-to-signs-of-life"
    ANOTHER_CHAIN = "another-chain"
    BLAME = "blame-everybody"


NETWORK_NODES = 100
"""Operators of a network, up to which pauses and periods are as they are stated."""
PERIOD_BLOCKS = 48

STRIKING = frozenset({Fault.LOSS, Fault.DELAY, Fault.REORDERING, Fault.CRASHES, Fault.BYZANTINE})


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions(Options):
    """One scenario of many groups. Times are virtual milliseconds, probabilities between 0 and 1."""

    nodes: int = 400
    """Operators in all: founders, and those that come later."""
    group_size: int = 8
    """G."""
    events: int = 4_000
    """LINK blocks after which nobody comes, goes or crashes any more."""
    faults: frozenset[Fault] = STRIKING
    plant_in_groups: GroupPlant | None = None
    """With one, a run ends soon after its first breach."""

    founders_share: float = 0.75
    lodgers_share: float = 0.05
    """Of those that come later: run on the machine of a founder."""
    byzantine_share: float = 0.06
    """Of the founders; but always less than a third of each group as it first stands."""
    join_every_ms: int = 2_000
    """Mean pause between two that come. This and the two others are shorter in a larger network."""
    leave_every_ms: int = 8_000
    """Mean pause between two that go for good, half of them without a word."""
    stay_ms: int = 24_000
    """How long one that goes with a word waits for its removal."""
    late_probability: float = 0.2
    """Of a crash: the node stays away so long that it has to come back by the rules of a return."""
    late_min_ms: int = 18_000
    late_max_ms: int = 28_000

    abandon_probability: float = 0.0
    """That once in the run a group loses more than a third of its voters for good, at a stroke."""
    abandon_after_ms: int = 8_000
    """No earlier: so there is more than one group."""
    abandon_every_ms: int = 1_000
    """How often it is looked for a group that could be absorbed."""
    summons_probability: float = 0.5
    """At each block, and for each owner of a stake: that a summons is put on the chain."""
    answer_probability: float = 0.05
    """Of the owner of a stake in a stopped group: that it shows itself, once for each summons."""

    loss_probability: float = 0.005
    delay_probability: float = 0.01
    delay_max_ms: int = 300
    duplicate_probability: float = 0.001
    joins: bool = True
    inbox_ms: int = 20
    tick_ms: int = 250
    disk_remembers: bool = False
    block_min_ms: int = 700
    block_max_ms: int = 900
    resync_ms: int = 2_000
    crash_every_ms: int = 4_000
    down_max_ms: int = 2_400
    longest_ms: int = 4_000_000
    """No run waits longer for its events."""
    patience_ms: int = 120_000

    @property
    def founders(self) -> int:
        """How many found the network."""
        return max(self.group_size + 1, int(self.nodes * self.founders_share))

    @property
    def scale(self) -> int:
        """How many times as much happens here as in a small network, and how much longer a period is.

        So each node comes, goes and crashes as often; and of lists, on which everybody hears everybody's
        votes, there are fewer.
        """
        return max(1, self.nodes // NETWORK_NODES)

    @property
    def terms(self) -> Terms:
        """What the genesis file says."""
        parameters: Parameters = replace(
            MINIMAL,
            preset="groups",
            challenge_every=4,
            response_window=2,
            burial=1,
            period_blocks=PERIOD_BLOCKS * self.scale,
            samples=1,
            dial_back_transactions=2,
            group_size=self.group_size,
            join_proof_bits=2,
            relocation_pending=12,
            silence=18,
            round_milliseconds=400,
        )
        return Terms(
            parameters=parameters,
            member_age=1,
            first_challenge_height=2 * parameters.challenge_every,
            strangers=self.nodes - self.founders,
        )
