"""Several nodes of one embedded chain, joined by a network that is only a queue."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.node.effects import Punish, Send
from protocol.units import NetworkId, OperatorKey
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.embedded.miner import Miner
from zenp2p.chain.embedded.sync import Action, ChainSync
from zenp2p.store import MemoryStore

NETWORK = NetworkId(b"n" * 32)
STEPS_MAX = 100_000
APART_MILLISECONDS = 5_000


class ChainNode:
    """One node: chain, pool, miner, sync."""

    def __init__(self, definition: ChainDefinition, name: str) -> None:
        self.key = OperatorKey(made.secret_of(name))
        self.name = name
        self.store = MemoryStore()
        self.chain = EmbeddedChain(definition, self.store)
        self.pool = Mempool(self.chain)
        self.sync = ChainSync(NETWORK, self.chain, self.pool)
        self.miner = Miner(self.chain, self.pool, made.address_of(name))


@dataclass
class ChainNetwork:
    """Delivers what the nodes send, in order, perhaps losing some; `cut` pairs hear nothing of each other.

    A punishment costs a connection, which comes up again some seconds later, as the dialer does it.
    """

    nodes: Sequence[ChainNode]
    seed: int = 0
    loss: float = 0.0
    now_ms: int = made.START * 1_000
    cut: set[frozenset[OperatorKey]] = field(default_factory=set)
    punished: list[tuple[OperatorKey, OperatorKey, str]] = field(default_factory=list)
    sent: int = 0
    _apart_until: dict[frozenset[OperatorKey], int] = field(default_factory=dict)
    _queue: deque[tuple[OperatorKey, Send]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._by_key = {node.key: node for node in self.nodes}

    def connected(self, node: ChainNode) -> list[OperatorKey]:
        """Return the peers that a node is connected to."""
        others = (other.key for other in self.nodes if other is not node)
        return [key for key in others if self._joined(key, node.key)]

    def _joined(self, one: OperatorKey, other: OperatorKey) -> bool:
        pair = frozenset((one, other))
        return pair not in self.cut and self._apart_until.get(pair, 0) <= self.now_ms

    def carry_out(self, node: ChainNode, actions: Sequence[Action]) -> None:
        """Queue what a node sends, and cut off whom it punishes."""
        for action in actions:
            match action:
                case Send():
                    self._queue.append((node.key, action))
                case Punish():
                    self.punished.append((node.key, action.peer, action.reason))
                    self._apart_until[frozenset((node.key, action.peer))] = self.now_ms + APART_MILLISECONDS

    def deliver(self) -> None:
        """Deliver everything that is under way, and what follows from it."""
        for _ in range(STEPS_MAX):
            if not self._queue:
                return
            sender, message = self._queue.popleft()
            self.sent += 1
            if not self._joined(sender, message.peer) or self._random.random() < self.loss:
                continue
            node = self._by_key[message.peer]
            self.carry_out(node, node.sync.receive(sender, message.data, self.now_ms))
        raise AssertionError("the nodes never stop talking")

    def tick(self, milliseconds: int = 1_000) -> None:
        """Let time pass."""
        self.now_ms += milliseconds
        for node in self.nodes:
            self.carry_out(node, node.sync.tick(self.now_ms, self.connected(node)))
        self.deliver()

    def mine(self, node: ChainNode) -> None:
        """Let a node find a block now; time passes for it."""
        raw = None
        while raw is None:
            self.now_ms += 1_000
            raw = node.miner.mine(self.now_ms // 1_000, 1_000)
        self.carry_out(node, node.sync.submit_block(raw, self.now_ms))
        self.deliver()

    def tips(self) -> set[bytes]:
        """Return the distinct tips."""
        return {node.chain.tip()[1] for node in self.nodes}
