"""A few node machines on one chain, joined by a network without loss: stepped by hand.

Messages are delivered in the order in which they were sent, one at a time; time stands
still unless a test moves it. Faults are the business of the simulation; here a test
looks at one rule. `cut` lists nodes that neither hear nor are heard.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.chain.transaction import Transaction
from protocol.errors import ProtocolError
from protocol.genesis import Genesis
from protocol.group.join_proof import JoinProver
from protocol.group.vote import Slot
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import (
    Announce,
    Effect,
    Incoming,
    Keep,
    Learn,
    Mine,
    Persist,
    Probe,
    ProbeResult,
    Publish,
    Punish,
    RecordVote,
    Send,
    Subscribe,
    Unsubscribe,
)
from protocol.node.machine import Node
from protocol.node.messages import pack_signed
from protocol.units import Hash32, OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.operators import Operator
from zenp2p.store import MemoryStore

DELIVERIES_MAX = 200_000
TRIES_MAX = 1 << 16
"""Of a join proof; four zero bits take sixteen on average."""
TICK = 100


@dataclass
class Peer:
    """One node and what is on its disk."""

    operator: Operator
    node: Node
    store: MemoryStore
    votes: list[tuple[Slot, Hash32]] = field(default_factory=list)
    news: list[Announce] = field(default_factory=list)
    punished: list[Punish] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)
    """In which it takes part."""
    kept: tuple[OperatorKey, ...] = ()
    """The peers that it keeps."""
    places: dict[OperatorKey, tuple[bytes, int]] = field(default_factory=dict)
    """Where peers listen, as far as it was told."""
    seen: int = 0
    """Height of the last block that the node was told of."""

    def events(self, name: str) -> list[Announce]:
        """Return the announcements of one kind."""
        return [one for one in self.news if one.event == name]


class Cluster:
    """Nodes of one genesis on one chain."""

    def __init__(
        self,
        founders: Sequence[Operator],
        *,
        others: Sequence[Operator] = (),
        genesis: Genesis | None = None,
        stake: int | None = None,
        joins: bool = False,
        pruning: Sequence[Operator] = (),
    ) -> None:
        """With `joins` those who are no members ask for a place; `pruning` ones give up old proofs."""
        self.genesis = genesis or founded_by(founders)
        amount = self.genesis.parameters.stake if stake is None else stake
        self.joins = joins
        self.pruning = frozenset(pruning)
        self.chain = MemoryChain()
        self.chain.mine(pay=[(one.stake_address, amount) for one in (*founders, *others)])
        self.now = 0
        self.cut: set[OperatorKey] = set()
        self.tls_hosts: set[str] = set()
        """Names for which a valid certificate is shown."""
        self.drops: Callable[[OperatorKey, OperatorKey, bytes], bool] = lambda _from, _to, _data: False
        self._queue: deque[tuple[OperatorKey, Callable[[], None]]] = deque()
        self.peers = {one.key: self._new_peer(one) for one in (*founders, *others)}
        for peer in self.peers.values():
            self.carry(peer, peer.node.start(0))

    def __getitem__(self, operator: Operator) -> Peer:
        return self.peers[operator.key]

    def run(self, milliseconds: int) -> None:
        """Let time pass, delivering everything that is sent."""
        self.settle()
        for _ in range(milliseconds // TICK):
            self.now += TICK
            for peer in self._there():
                self.carry(peer, peer.node.tick(self.now))
            self.settle()

    def mine(self, count: int = 1, *, each: int = 1_000) -> None:
        """Connect plain blocks, each followed by some time."""
        for _ in range(count):
            height = self.chain.mine()
            self._connect(height)
            self.run(each)

    def mine_with(self, *transactions: Transaction) -> int:
        """Connect a block with these transactions; return its height."""
        height = self.chain.mine(*transactions)
        self._connect(height)
        self.run(1_000)
        return height

    def mine_to(self, height: int) -> None:
        """Connect plain blocks until the tip stands at `height`."""
        self.mine(height - self.chain.tip()[0])

    def reorganise(self, depth: int, salt: bytes) -> None:
        """Replace the last blocks by as many others and one more."""
        height = self.chain.tip()[0]
        gone = [(at, self.chain.block_hash(at) or b"") for at in range(height, height - depth, -1)]
        self.chain.disconnect(depth)
        for peer in self._there():
            for at, block_hash in gone:
                self.carry(peer, peer.node.disconnect(at, block_hash))
            peer.seen = height - depth
        for _ in range(depth + 1):
            self._connect(self.chain.mine(salt=salt))
        self.run(1_000)

    def submit(self, operator: Operator, envelope: bytes) -> None:
        """Hand a registration in at one node."""
        peer = self[operator]
        self.carry(peer, peer.node.submit(pack_signed(envelope)))
        self.settle()

    def heal(self) -> None:
        """Let everybody hear and be heard again, and tell of the blocks that were missed."""
        self.cut = set()
        self._connect(self.chain.tip()[0])
        self.settle()

    def restart(self, operator: Operator) -> Peer:
        """Build a node anew from its disk, as after a crash."""
        old = self[operator]
        peer = self._new_peer(operator, old.store, old.votes)
        self.peers[operator.key] = peer
        self.carry(peer, peer.node.start(self.now))
        self.settle()
        return peer

    def deliver(self, to: Operator, sender: Operator, data: bytes, topic: str = "") -> None:
        """Hand one message to a node as if `sender` had sent it."""
        peer = self[to]
        self.carry(peer, peer.node.receive([Incoming(sender.key, sender.ip, topic, data)]))

    def settle(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(DELIVERIES_MAX):
            if not self._queue:
                return
            to, act = self._queue.popleft()
            if to not in self.cut:
                act()
        raise AssertionError("the nodes never stop talking")

    def carry(self, peer: Peer, effects: Sequence[Effect]) -> None:
        """Carry effects out in the shell's order."""
        for effect in effects:
            if isinstance(effect, RecordVote):
                peer.votes.append((effect.slot, effect.content_hash))
        writes = [(effect.key, effect.value) for effect in effects if isinstance(effect, Persist)]
        if writes:
            peer.store.write(writes, sync=True)
        for effect in effects:
            match effect:
                case Publish():
                    peer.sent.append(effect.data)
                    self._publish(peer, effect)
                case Send():
                    peer.sent.append(effect.data)
                    self._send(peer, effect.peer, "", effect.data)
                case Probe():
                    self._probe(peer, effect)
                case Mine():
                    self._mine_proof(peer, effect)
                case Subscribe():
                    peer.topics.add(effect.topic)
                case Unsubscribe():
                    peer.topics.remove(effect.topic)
                case Keep():
                    peer.kept = effect.peers
                case Learn():
                    peer.places[effect.peer] = effect.ip, effect.port
                case Announce():
                    peer.news.append(effect)
                case Punish():
                    peer.punished.append(effect)

    def _there(self) -> list[Peer]:
        return [peer for key, peer in self.peers.items() if key not in self.cut]

    def _connect(self, height: int) -> None:
        for peer in self._there():
            for at in range(peer.seen + 1, height + 1):
                self.carry(peer, peer.node.connect(at, self.chain.block_hash(at) or b""))
            peer.seen = height

    def _new_peer(
        self,
        operator: Operator,
        store: MemoryStore | None = None,
        votes: Sequence[tuple[Slot, Hash32]] = (),
    ) -> Peer:
        store = store or MemoryStore()
        node = Node(
            self.genesis,
            operator.signer,
            self.chain,
            store,
            VoteGuard(votes),
            joins=self.joins,
            prunes=operator in self.pruning,
        )
        return Peer(operator, node, store, list(votes), seen=self.chain.tip()[0])

    def _publish(self, peer: Peer, effect: Publish) -> None:
        for key, other in self.peers.items():
            if key != peer.operator.key and effect.topic in other.topics:
                self._send(peer, key, effect.topic, effect.data)

    def _send(self, peer: Peer, to: OperatorKey, topic: str, data: bytes) -> None:
        sender = peer.operator
        if to not in self.peers or sender.key in self.cut or self.drops(sender.key, to, data):
            return

        def act() -> None:
            target = self.peers[to]
            self.carry(target, target.node.receive([Incoming(sender.key, sender.ip, topic, data)]))

        self._queue.append((to, act))

    def _mine_proof(self, peer: Peer, wanted: Mine) -> None:
        def act() -> None:
            nonce = JoinProver(wanted.operator_key, wanted.ticket, wanted.bits).search(TRIES_MAX)
            assert nonce is not None
            self.carry(peer, peer.node.mined(wanted.ticket, nonce))

        self._queue.append((peer.operator.key, act))

    def _probe(self, peer: Peer, probe: Probe) -> None:
        def act() -> None:
            target = self.peers.get(probe.peer)
            result = ProbeResult(probe.token, b"", b"", False)
            if target is not None and probe.peer not in self.cut:
                try:
                    reply = target.node.answer_probe(peer.operator.key, probe.data)
                    is_valid = probe.fqdn in self.tls_hosts
                    result = ProbeResult(probe.token, target.operator.ip, reply, True, is_valid)
                except ProtocolError:
                    pass
            self.carry(peer, peer.node.probed(result))

        self._queue.append((peer.operator.key, act))
