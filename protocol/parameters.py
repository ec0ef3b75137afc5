"""What varies from network to network, as one frozen value with presets.

Answers for: every number of a rule has a name, a unit and one place. A network's
parameters stand in its genesis file, so they are part of the network id; the
chain's own numbers (prefixes, subsidy, maturity) are `protocol.chain.rules`.
Limits of the implementation that are no rule of the network stay beside the code
that keeps them. Spec: `spec/parameters.md`.
"""

from protocol.codec import U8, U16, U32, U64, Text, Wire
from protocol.units import COIN

PERIOD_BLOCKS_MAX = 1_000_000
"""Heights of the longest period, four years of Zen: whoever verifies a list adds up a reward for each."""


class Parameters(Wire):
    """The rules' numbers. Heights and windows count chain blocks, amounts are zatoshi."""

    preset: Text
    block_seconds: U32
    """Intended seconds between two chain blocks."""
    challenge_every: U32
    """Blocks between two anchors."""
    response_window: U32
    """Blocks after the anchor at whose connection a challenge closes."""
    burial: U32
    """Blocks on top before anything is judged, stamped or spent."""
    period_blocks: U32
    """Heights of one payout period."""
    stake: U64
    """Least balance of a stake address over the whole window."""
    samples: U8
    """Transactions that each operator is asked for in a challenge."""
    dial_back_transactions: U16
    """Transactions behind one dial-back nonce."""
    dial_back_seconds: U8
    """Seconds within which a dial-back is answered."""
    group_size: U16
    """G, the least size that a group keeps."""
    join_proof_bits: U8
    """Zero bits that a join proof shows."""
    relocation_pending: U32
    """Stamped heights for which a relocation waits for its target."""
    ipv6_slot_bits: U8
    """Leading bits of an IPv6 address that make one diversity slot."""
    subnet_limit: U16
    """Paid nodes per /24 or /48 in a challenge; 0 is no limit."""
    tls_required: bool
    """Whether a registration names a TLS host."""
    loopback_allowed: bool
    """Whether addresses that are not globally routable may register (local networks only)."""
    silence: U32
    """Stamped heights without a vote after which a voter may be removed."""
    challenge_failures: U8
    """Challenges that a member fails in a row before it may be removed."""
    round_milliseconds: U32
    """Consensus: how long a node waits for a round's first step; grows with the round."""

    def __post_init__(self) -> None:
        """Relations without which the rules make no sense."""
        if not 0 < self.response_window < self.challenge_every:
            raise ValueError("the response window must end before the next challenge opens")
        if self.period_blocks % self.challenge_every:
            raise ValueError("a period must be a whole number of challenges")
        if not 0 < self.period_blocks <= PERIOD_BLOCKS_MAX:
            raise ValueError(f"a period has from 1 to {PERIOD_BLOCKS_MAX} blocks")
        if min(self.samples, self.dial_back_transactions, self.burial, self.group_size) < 1:
            raise ValueError("samples, dial-back transactions, burial and group size start at 1")
        if min(self.relocation_pending, self.silence, self.challenge_failures) < 1:
            raise ValueError("pending relocations, silence and failures are counted from 1")
        if not 0 < self.ipv6_slot_bits <= 128 or self.round_milliseconds < 1:
            raise ValueError("IPv6 slots take 1 to 128 bits, rounds at least a millisecond")


ZEN = Parameters(
    preset="zen",
    block_seconds=150,
    challenge_every=576,
    response_window=24,
    burial=100,
    period_blocks=4_032,
    stake=42 * COIN,
    samples=4,
    dial_back_transactions=64,
    dial_back_seconds=5,
    group_size=20,
    join_proof_bits=20,
    relocation_pending=4,
    ipv6_slot_bits=56,
    subnet_limit=4,
    tls_required=True,
    loopback_allowed=False,
    silence=576,
    challenge_failures=7,
    round_milliseconds=10_000,
)

DEVNET = Parameters(
    preset="devnet",
    block_seconds=1,
    challenge_every=8,
    response_window=4,
    burial=2,
    period_blocks=24,
    stake=42 * COIN,
    samples=4,
    dial_back_transactions=16,
    dial_back_seconds=5,
    group_size=4,
    join_proof_bits=8,
    relocation_pending=8,
    ipv6_slot_bits=64,
    subnet_limit=0,
    tls_required=False,
    loopback_allowed=True,
    silence=24,
    challenge_failures=3,
    round_milliseconds=1_000,
)

MINIMAL = Parameters(
    preset="minimal",
    block_seconds=1,
    challenge_every=4,
    response_window=2,
    burial=1,
    period_blocks=8,
    stake=42 * COIN,
    samples=2,
    dial_back_transactions=4,
    dial_back_seconds=1,
    group_size=4,
    join_proof_bits=4,
    relocation_pending=4,
    ipv6_slot_bits=64,
    subnet_limit=0,
    tls_required=False,
    loopback_allowed=True,
    silence=8,
    challenge_failures=3,
    round_milliseconds=100,
)

PRESETS = {preset.preset: preset for preset in (ZEN, DEVNET, MINIMAL)}
