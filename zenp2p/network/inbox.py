"""What came in and waits for the daemon: bounded, in batches, with a stated drop policy.

Answers for: gossip and direct messages between the network's tasks and the daemon.
When the daemon is slow, the oldest gossip is dropped and counted (it can be fetched by
request); a direct message is never dropped: its sender's stream is not read until there is room.
"""

from collections import Counter, deque

import trio

from protocol.units import OperatorKey
from zenp2p.network.limits import Limits
from zenp2p.ports import Received


class Inbox:
    """Messages waiting for the daemon; `pump` hands them over in lists."""

    def __init__(self, limits: Limits, counters: Counter[str]) -> None:
        """Start empty."""
        self._limits = limits
        self._counters = counters
        self._gossip: deque[Received] = deque()
        self._gossip_bytes = 0
        self._direct: deque[Received] = deque()
        self._direct_by_peer: Counter[OperatorKey] = Counter()
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self._sender, self.received = trio.open_memory_channel[list[Received]](0)

    def take_gossip(self, message: Received) -> None:
        """Take a gossip message, dropping the oldest ones when there are too many."""
        self._gossip.append(message)
        self._gossip_bytes += len(message.data)
        limits = self._limits
        while (
            len(self._gossip) > limits.gossip_pending_max
            or self._gossip_bytes > limits.gossip_bytes_pending_max
        ):
            self._gossip_bytes -= len(self._gossip.popleft().data)
            self._counters["gossip_dropped"] += 1
        self._filled.set()

    async def take_direct(self, message: Received) -> None:
        """Take a direct message, waiting while its sender has too many here."""
        while self._direct_by_peer[message.peer] >= self._limits.direct_pending_max:
            await self._emptied.wait()
        self._direct_by_peer[message.peer] += 1
        self._direct.append(message)
        self._filled.set()

    async def pump(self) -> None:
        """Hand batches to whoever reads `received`, for ever."""
        while True:
            while not self._direct and not self._gossip:
                self._filled = trio.Event()
                await self._filled.wait()
            await self._sender.send(self._take_batch())

    def _take_batch(self) -> list[Received]:
        batch: list[Received] = []
        while self._direct and len(batch) < self._limits.batch_max:
            message = self._direct.popleft()
            self._direct_by_peer[message.peer] -= 1
            if not self._direct_by_peer[message.peer]:
                del self._direct_by_peer[message.peer]
            batch.append(message)
        while self._gossip and len(batch) < self._limits.batch_max:
            message = self._gossip.popleft()
            self._gossip_bytes -= len(message.data)
            batch.append(message)
        emptied, self._emptied = self._emptied, trio.Event()
        emptied.set()
        return batch

    def close(self) -> None:
        """End the stream of batches."""
        self._sender.close()
