"""The embedded chain in the daemon: exchanged with peers, mined, indexed, followed.

Answers for: blocks and transactions travel between the pure parts and the network, and
whoever listens hears of every connected and disconnected block in order, after the index
holds it. What is valid, active, or to be sent is decided by `chain`, `mempool`, `sync` and `miner`.
Spec: `spec/embedded_chain.md`.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from protocol.chain.transaction import decode_transaction
from protocol.genesis import Genesis, network_id
from protocol.node.effects import Punish, Send
from protocol.units import OperatorKey
from zenp2p.chain.broadcast import Broadcast, BroadcastState
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import define_chain
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.embedded.miner import Miner
from zenp2p.chain.embedded.sync import Action, ChainSync
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.service import ChainCondition, OnEvent
from zenp2p.ports import Network, Store, TransportError

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
EVENTS_AT_ONCE_MAX = 256
"""Blocks followed before other tasks get their turn."""
MINING_ATTEMPTS = 2_048
"""Nonces tried before other tasks get their turn: a few milliseconds."""
MINING_PAUSE_SECONDS = 0.02
"""Between two slices of nonces; between two looks at a tip that is too young, `TICK_SECONDS`."""
SENDS_WAITING_MAX = 1_024
"""Messages waiting to be sent; a further one is dropped, and asked for again by whoever lacks it."""
SENDS_BYTES_MAX = 32_000_000
"""Bytes of messages waiting or on their way, to peers that perhaps do not read them."""
SEND_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Mining:
    """Whom mined blocks pay (21 bytes), and after how many seconds without a block we begin."""

    address: bytes
    silence_seconds: int = 0


class EmbeddedService:
    """One node's embedded chain, with its index. Fulfils `zenp2p.chain.service.ChainService`."""

    def __init__(self, genesis: Genesis, store: Store, mining: Mining | None = None) -> None:
        """Open chain and index in `store`; raises `StoreError` when they are of another chain."""
        self._mining = mining
        self.definition = define_chain(genesis)
        self.chain = EmbeddedChain(self.definition, store)
        self.pool = Mempool(self.chain)
        self.index = ChainIndex(store, genesis.chain)
        self._follower = Follower(self.chain, self.index)
        self._sync = ChainSync(network_id(genesis), self.chain, self.pool)
        self._turn = trio.Lock()
        self._unsent_bytes = 0
        self._outbox_in, self._outbox = trio.open_memory_channel[Action](SENDS_WAITING_MAX)
        self._on_event: OnEvent | None = None
        if self.index.head is None:
            # The first block is known to everybody, and an index that is built anew catches up with what
            # was followed before: nobody needs to hear of either.
            for _ in self._follower.follow(self.chain.tip()[0] + 1):
                pass

    def condition(self) -> ChainCondition:
        """Return how the chain is: its own side is what peers have told."""
        return ChainCondition("embedded", "", "", "", "ok", "", self.chain.tip()[0])

    async def prepare(self) -> None:
        """Do nothing: the first block follows from the genesis file."""

    async def unspent_there(self, address: str) -> None:
        """Return nothing: there is no other node."""

    def notify(self) -> None:
        """Do nothing: peers tell of new blocks themselves."""

    async def run(self, network: Network, on_event: OnEvent) -> None:
        """Exchange, follow and (when told to) mine until cancelled."""
        self._on_event = on_event
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all, network, nursery)
            nursery.start_soon(self._tick, network)
            if self._mining is not None:
                miner = Miner(self.chain, self.pool, self._mining.address)
                nursery.start_soon(self._mine, miner, self._mining.silence_seconds)

    async def take(self, peer: OperatorKey, data: bytes) -> None:
        """Take a peer's message about the chain."""
        async with self._turn:
            self._queue(self._sync.receive(peer, data, now_ms()))
            await self._follow()

    async def broadcast(self, raw: bytes) -> Broadcast:
        """Take a transaction of our own user and relay it; raises `InvalidChainData`.

        The same one again is no error: the answer says where it is by now.
        """
        txid = decode_transaction(raw, self.index.family).txid
        async with self._turn:
            if self.index.transaction_by_id(txid) is not None:
                return Broadcast(txid, BroadcastState.MINED)
            state = BroadcastState.WAITING if txid in self.pool else BroadcastState.SENT
            self._queue(self._sync.submit_transaction(raw))
        return Broadcast(txid, state)

    async def _tick(self, network: Network) -> None:
        while True:
            async with self._turn:
                connected = [key for key, _ in network.peers()]
                self._queue(self._sync.tick(now_ms(), connected))
                await self._follow()
            await trio.sleep(TICK_SECONDS)

    async def _mine(self, miner: Miner, silence_seconds: int) -> None:
        while True:
            async with self._turn:
                raw = miner.mine(int(time.time()), MINING_ATTEMPTS, silence_seconds)
                if raw is not None:
                    self._queue(self._sync.submit_block(raw, now_ms()))
                    await self._follow()
            wait = miner.due(silence_seconds) - time.time()
            await trio.sleep(min(max(wait, MINING_PAUSE_SECONDS), TICK_SECONDS))

    async def _follow(self) -> None:
        """Bring the index to the active chain, and tell of every step."""
        while True:
            moved = False
            for event in self._follower.follow(EVENTS_AT_ONCE_MAX):
                moved = True
                if self._on_event is not None:
                    await self._on_event(event)
            if not moved:
                return
            await trio.lowlevel.checkpoint()

    def _queue(self, actions: Sequence[Action]) -> None:
        for action in actions:
            size = len(action.data) if isinstance(action, Send) else 0
            if self._unsent_bytes + size > SENDS_BYTES_MAX:
                log.warning("chain message dropped: too many bytes wait")
                continue
            try:
                self._outbox_in.send_nowait(action)
                self._unsent_bytes += size
            except trio.WouldBlock:
                log.warning("chain message dropped: too many wait")

    async def _send_all(self, network: Network, nursery: trio.Nursery) -> None:
        async for action in self._outbox:
            match action:
                case Send():
                    nursery.start_soon(self._send, network, action)
                case Punish():
                    log.warning("peer dropped", extra={"peer": action.peer.hex(), "reason": action.reason})
                    await network.drop(action.peer)

    async def _send(self, network: Network, action: Send) -> None:
        try:
            with trio.fail_after(SEND_SECONDS_MAX):
                await network.send(action.peer, action.data)
        except (TransportError, trio.TooSlowError) as error:
            log.debug("chain message not sent", extra={"peer": action.peer.hex()[:16], "error": str(error)})
        finally:
            self._unsent_bytes -= len(action.data)


def now_ms() -> int:
    """Return milliseconds since 1970: the chain's own clock."""
    return time.time_ns() // 1_000_000
