"""A chain's own numbers: what tells Zen, its test net and our embedded chain apart.

Answers for: everything that Horizen's code holds as constants being data here, since
that chain has stopped (no transaction after block 1,807,300) and zenp2p must run on
others. It stands in the genesis file, so it is part of the network id. The protocol's
numbers are `protocol.parameters`; how the embedded chain begins is `protocol.genesis`.
Spec: `spec/chain.md`.
"""

from enum import IntEnum

from protocol.chain import address
from protocol.chain.address import AddressPrefixes
from protocol.codec import U16, U32, U64, Text, Wire
from protocol.units import COIN, Zatoshi


class ChainFamily(IntEnum):
    """How transactions are laid out: from version 2 on the families read the same bytes differently."""

    BITCOIN = 0
    ZCASH = 1
    ZEN = 2


class HeaderLayout(IntEnum):
    """How block headers are laid out."""

    BITCOIN = 0
    EQUIHASH = 1


class ChainRules(Wire):
    """One chain's rules. Amounts are zatoshi, heights and depths blocks, sizes bytes."""

    name: Text
    family: ChainFamily
    header_layout: HeaderLayout
    prefixes: AddressPrefixes
    message_magic: Text
    """What a "Signed Message" begins with."""
    initial_subsidy: U64
    halving_interval: U32
    slow_start: U32
    """Heights over which the first subsidies rise; 0 where they do not."""
    node_reward_thousandths: U16
    """Share of each subsidy that belongs to the nodes."""
    coinbase_maturity: U32
    """Blocks on top before a coinbase may be spent."""
    target_spacing: U32
    """Intended seconds between two blocks."""
    block_size_max: U32
    transaction_size_max: U32
    money_max: U64
    """Most zatoshi that an output, or the outputs of a transaction, may hold."""
    replay_tail_depth: U32
    """Depth of the block that an output's replay tail names; 0 where outputs carry none."""

    def __post_init__(self) -> None:
        """Relations without which the schedule makes no sense."""
        if self.halving_interval < 1 or self.node_reward_thousandths > 1_000:
            raise ValueError("subsidies halve every 1 or more blocks, and nodes get at most all of them")


def block_subsidy(rules: ChainRules, height: int) -> Zatoshi:
    """Return what the block at `height` creates; block 0 creates nothing.

    The slow start is Zcash's: it rises by one step a block and leaves out the middle step, so the
    halvings are shifted by half of it.
    """
    if height <= 0:
        return Zatoshi(0)
    if height < rules.slow_start:
        step = rules.initial_subsidy // rules.slow_start
        return Zatoshi(step * (height if height < rules.slow_start // 2 else height + 1))
    halvings = (height - rules.slow_start // 2) // rules.halving_interval
    return Zatoshi(rules.initial_subsidy >> halvings if halvings < 64 else 0)


def node_reward(rules: ChainRules, height: int) -> Zatoshi:
    """Return the nodes' share of the subsidy at `height`, rounded down."""
    return Zatoshi(block_subsidy(rules, height) * rules.node_reward_thousandths // 1_000)


ZEN_MAINNET = ChainRules(
    name="zen",
    family=ChainFamily.ZEN,
    header_layout=HeaderLayout.EQUIHASH,
    prefixes=address.ZEN_MAINNET,
    message_magic="Zcash Signed Message:\n",
    initial_subsidy=COIN * 25 // 2,
    halving_interval=840_000,
    slow_start=2,
    node_reward_thousandths=35,
    coinbase_maturity=100,
    target_spacing=150,
    block_size_max=4_000_000,
    transaction_size_max=100_000,
    money_max=21_000_000 * COIN,
    replay_tail_depth=300,
)

ZEN_TESTNET = ChainRules(
    name="zen-testnet",
    family=ChainFamily.ZEN,
    header_layout=HeaderLayout.EQUIHASH,
    prefixes=address.ZEN_TESTNET,
    message_magic="Zcash Signed Message:\n",
    initial_subsidy=COIN * 25 // 2,
    halving_interval=840_000,
    slow_start=2,
    node_reward_thousandths=35,
    coinbase_maturity=100,
    target_spacing=150,
    block_size_max=4_000_000,
    transaction_size_max=100_000,
    money_max=21_000_000 * COIN,
    replay_tail_depth=300,
)

DEVNET = ChainRules(
    name="devnet",
    family=ChainFamily.BITCOIN,
    header_layout=HeaderLayout.BITCOIN,
    prefixes=address.DEVNET,
    message_magic="zenp2p devnet Signed Message:\n",
    initial_subsidy=COIN * 25 // 2,
    halving_interval=840_000,
    slow_start=0,
    node_reward_thousandths=35,
    coinbase_maturity=100,
    target_spacing=1,
    block_size_max=1_000_000,
    transaction_size_max=100_000,
    money_max=21_000_000 * COIN,
    replay_tail_depth=0,
)

LITECOIN_REGTEST = ChainRules(
    name="litecoin-regtest",
    family=ChainFamily.BITCOIN,
    header_layout=HeaderLayout.BITCOIN,
    prefixes=address.LITECOIN_REGTEST,
    message_magic="Litecoin Signed Message:\n",
    initial_subsidy=COIN * 50,
    halving_interval=150,
    slow_start=0,
    node_reward_thousandths=35,
    coinbase_maturity=100,
    target_spacing=150,
    block_size_max=4_000_000,
    transaction_size_max=100_000,
    money_max=84_000_000 * COIN,
    replay_tail_depth=0,
)
"""A chain of its own on one machine, made by a real node (litecoind): the devnet's external chain."""
