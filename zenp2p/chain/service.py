"""What a daemon needs of its chain, whichever kind it is.

Answers for: one port for the embedded chain and for an external node, so that daemon,
node machine and RPC never know which one they run on. What a chain must offer to be
followed is `source`'s, how each kind keeps the port is `embedded.service`'s and
`rpc.service`'s. Spec: `spec/daemon.md`, `spec/external_chain.md`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from protocol.chain.transaction import OutPoint
from protocol.units import Hash32, Height, OperatorKey, Zatoshi
from zenp2p.chain.broadcast import Broadcast
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import ChainEvent
from zenp2p.ports import Network

OnEvent = Callable[[ChainEvent], Awaitable[None]]
"""Told of every connected and disconnected block, in order, after the index holds it."""


@dataclass(frozen=True, slots=True)
class ChainCondition:
    """How the chain is, for people: `problem` is empty while nothing is wrong."""

    kind: str
    """"embedded", or the kind of the external node."""
    version: str
    dialect: str
    node: str
    """What the external node said of itself, in one line."""
    state: str
    problem: str
    height: int | None
    """The last height that the chain's own side knows of; None where it has not said."""


@dataclass(frozen=True, slots=True)
class UnspentThere:
    """What a node says that nothing spends at an address, sorted by outpoint, as of one of its blocks."""

    height: Height
    block_hash: Hash32
    unspent: tuple[tuple[OutPoint, Zatoshi, Height], ...]
    """Each output, its amount, and the height of its block."""

    @property
    def balance(self) -> Zatoshi:
        """The sum of the amounts."""
        return Zatoshi(sum(amount for _, amount, _ in self.unspent))


class ChainService(Protocol):
    """A chain with its index, kept up while `run` runs."""

    @property
    def index(self) -> ChainIndex:
        """The index of the active chain."""

    def condition(self) -> ChainCondition:
        """Return how the chain is."""

    async def prepare(self) -> None:
        """Make sure that the index holds the first block; raises what keeps it from that."""

    async def run(self, network: Network, on_event: OnEvent) -> None:
        """Follow the chain until cancelled."""

    async def take(self, peer: OperatorKey, data: bytes) -> None:
        """Take a peer's message about the chain."""

    async def broadcast(self, raw: bytes) -> Broadcast:
        """Take a transaction of our own user and relay it; the same one again is no error.

        Raises `InvalidChainData` or `BroadcastRefused` when it is not taken.
        """

    async def unspent_there(self, address: str) -> UnspentThere | None:
        """Return what the chain's own node says of an address; None where there is no other node.

        Raises `RequestError` when that node does not know such things.
        """

    def notify(self) -> None:
        """Somebody says that there may be a new block: look at once."""
