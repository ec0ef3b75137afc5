"""The chain that a local network stands on: what founding it needs of one, whichever kind it is.

Answers for: one port for the embedded chain and for a real node's, so that founding and
running a network are the same on both. The embedded chain is here; a real node's is
`litecoin_ground`. Spec: `spec/devnet.md`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.chain import rules as chain_rules
from protocol.chain.rules import ChainRules
from protocol.genesis import Baton, ChainStart, FirstBlock
from protocol.parameters import DEVNET
from protocol.units import COIN, OperatorKey
from zenp2p.chain.embedded.definition import genesis_block
from zenp2p.chain.embedded.wallet import WalletKey

FIRST_CHALLENGE_HEIGHT = 24
MINING_BITS = 0x1F0F_FFFF
"""About 4,096 hashes a block."""
TREASURY_FUNDS = 100 * COIN
TREASURY_SHARE = 100
"""Thousandths of each subsidy: the nodes' 35, and what fees take."""
STANDBY_BLOCK_TIMES = 5
"""Silent block times after which the second miner takes over."""


@dataclass(frozen=True, slots=True)
class Stake:
    """Whose stake it is, how many zatoshi it holds."""

    key: WalletKey
    amount: int


@dataclass(frozen=True, slots=True)
class Laid:
    """What the genesis file says of a chain on which treasury and stakes are paid."""

    start: ChainStart | FirstBlock
    baton: Baton
    first_challenge: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A node that announces itself on the chain: its stake, and where it listens (packed address)."""

    stake: WalletKey
    operator_key: OperatorKey
    ip: bytes
    port: int


class Ground(Protocol):
    """One chain for one network."""

    @property
    def kind(self) -> str:
        """What a report calls it."""

    @property
    def rules(self) -> ChainRules:
        """The chain's rules."""

    @property
    def announces(self) -> bool:
        """Whether newcomers announce themselves on the chain, and know no peer."""

    def lay(self, treasury: bytes, stakes: Sequence[Stake]) -> Laid:
        """Pay the treasury's 21-byte address and the stakes, or say how the chain will begin by it."""

    def announce(self, arrivals: Sequence[Arrival]) -> None:
        """Put newcomers' announcements on the chain."""

    def settings(self, number: int, node_address: str) -> Sequence[str]:
        """Return the lines of section `chain` in the configuration of the node with this number."""

    def begin(self) -> None:
        """Have blocks made from now on, where the nodes do not make them."""

    def check(self) -> None:
        """Raise a `ZenError` when what makes the chain has ended."""

    def stop(self) -> None:
        """End what was started."""


class EmbeddedGround:
    """The chain inside the daemons: the first two mine it."""

    kind = "embedded"
    rules = chain_rules.DEVNET
    announces = False

    def __init__(self, start_delay: int, first_challenge: int = FIRST_CHALLENGE_HEIGHT) -> None:
        """The chain begins `start_delay` seconds from now, its first challenge at a height."""
        self._start_time = int(time.time()) + start_delay
        self._first_challenge = first_challenge

    def lay(self, treasury: bytes, stakes: Sequence[Stake]) -> Laid:
        """Allocate everything in the first block."""
        start = ChainStart(
            time=self._start_time,
            bits=MINING_BITS,
            minimum_spacing=DEVNET.block_seconds,
            treasury_share=TREASURY_SHARE,
            allocations=(
                (treasury, TREASURY_FUNDS),
                *((stake.key.address, stake.amount) for stake in stakes),
            ),
        )
        baton = Baton(txid=genesis_block(self.rules, start).transactions[0].txid, index=0)
        return Laid(start, baton, self._first_challenge)

    def announce(self, arrivals: Sequence[Arrival]) -> None:
        """Do nothing: newcomers know the founders."""

    def settings(self, number: int, node_address: str) -> Sequence[str]:
        """Have the first two mine, the second only when the first is silent."""
        return (
            f"mine = {'true' if number < 2 else 'false'}",
            f"mine_after_silence = {STANDBY_BLOCK_TIMES if number else 0}",
            f'miner_address = "{node_address}"',
        )

    def begin(self) -> None:
        """Do nothing: the nodes mine."""

    def check(self) -> None:
        """Do nothing: the nodes are watched anyway."""

    def stop(self) -> None:
        """Do nothing: nothing was started."""
