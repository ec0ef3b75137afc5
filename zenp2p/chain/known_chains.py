"""Chains whose blocks somebody may hand us as a file, by name, and how to tell them apart.

Answers for: the layout of a file's blocks never being guessed from a few bytes: a
chain is taken only when every block reads to its last byte under its rules. Where a
file shows that it is of a test net (a target above what the main net allows) its
addresses are written with that net's prefixes. Spec: `spec/index.md`.
"""

from collections.abc import Sequence

from protocol.chain import rules
from protocol.chain.address import AddressPrefixes
from protocol.chain.block import compact_target, parse_block
from protocol.chain.rules import ChainFamily, ChainRules
from protocol.codec import replace
from protocol.errors import InvalidChainData

ZCASH = replace(
    rules.ZEN_MAINNET,
    name="zcash",
    family=ChainFamily.ZCASH,
    prefixes=AddressPrefixes(p2pkh=b"\x1c\xb8", p2sh=b"\x1c\xbd", secret_key=b"\x80"),
    slow_start=20_000,
    node_reward_thousandths=0,
    block_size_max=2_000_000,
    transaction_size_max=2_000_000,
    replay_tail_depth=0,
)
"""Zcash before Blossom (its later subsidies do not matter here: only blocks are read)."""
ZCASH_TESTNET = replace(
    ZCASH,
    name="zcash-testnet",
    prefixes=AddressPrefixes(p2pkh=b"\x1d\x25", p2sh=b"\x1c\xba", secret_key=b"\xef"),
)

KNOWN_CHAINS = {
    each.name: each for each in (rules.ZEN_MAINNET, rules.ZEN_TESTNET, ZCASH, ZCASH_TESTNET, rules.DEVNET)
}
MAIN_NET_BITS_MAX = 0x1F07_FFFF
"""The easiest target of the main nets of Zcash and Zen; their test nets go up to 0x2007ffff."""

_CANDIDATES = ((ZCASH, ZCASH_TESTNET), (rules.ZEN_MAINNET, rules.ZEN_TESTNET), (rules.DEVNET, rules.DEVNET))


def recognise_chain(raw_blocks: Sequence[bytes]) -> ChainRules:
    """Return the rules under which every block can be read, with the prefixes of main or test net.

    Zcash comes before Zen: where both fit, they read the same. Raises `InvalidChainData`,
    saying what stopped the one that came furthest.
    """
    stopped, reason = -1, InvalidChainData("no chain is known")
    for main, test in _CANDIDATES:
        easy = False
        for position, raw in enumerate(raw_blocks):
            try:
                easy |= is_easy(parse_block(raw, main).header.bits)
            except InvalidChainData as error:
                if position > stopped:
                    stopped, reason = position, error
                break
        else:
            return test if easy else main
    raise InvalidChainData(f"block {stopped + 1} of the file is of no known chain: {reason}")


def is_easy(bits: int) -> bool:
    """Whether no main net of Zcash or Zen would take this target; made-up blocks may name none at all."""
    try:
        return compact_target(bits) > compact_target(MAIN_NET_BITS_MAX)
    except InvalidChainData:
        return False
