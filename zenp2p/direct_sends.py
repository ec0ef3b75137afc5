"""Direct messages on their way: in order for each peer, one at a time to each, bounded in all.

Answers for: a peer that takes nothing, or cannot be reached, costs only itself: one place, and what waits
for it. Whatever is dropped can be asked for again. Connections are left to `zenp2p.network`.
Spec: `spec/daemon.md`.
"""

import logging
from collections import deque
from dataclasses import dataclass, field

import trio

from protocol.node.effects import Send
from protocol.units import OperatorKey
from zenp2p.ports import Network, TransportError

log = logging.getLogger(__name__)

SENDS_AT_ONCE_MAX = 64
"""Peers that a direct message is under way to at once; further ones wait their turn."""
SENDS_WAITING_MAX = 4_096
"""Direct messages waiting at most; beyond it a message is dropped."""
SENDS_WAITING_BYTES_MAX = 64 << 20
"""Bytes of direct messages waiting at most; beyond it a message is dropped too."""
SENDS_TO_ONE_BYTES_MAX = 8 << 20
"""The same for one peer, so that a few slow ones cannot take all of it."""
SEND_SECONDS_MAX = 10
"""A direct message that is not handed over by then is given up, with what waits behind it."""


@dataclass(slots=True)
class _Queue:
    """What waits for one peer, the message under way included."""

    messages: deque[bytes] = field(default_factory=deque)
    bytes: int = 0


class DirectSends:
    """Carries `Send` effects out."""

    def __init__(self, network: Network, nursery: trio.Nursery) -> None:
        """Send over `network`; whoever has messages waiting has a task in `nursery`."""
        self._network = network
        self._nursery = nursery
        self._places = trio.CapacityLimiter(SENDS_AT_ONCE_MAX)
        self._queues: dict[OperatorKey, _Queue] = {}
        self._waiting = self._waiting_bytes = 0
        self.dropped = 0
        """Messages that were never tried: too much waited, or the one before them was not handed over."""

    def start(self, effect: Send) -> None:
        """Queue a message behind those that wait for its peer, or drop it."""
        size = len(effect.data)
        queue = self._queues.get(effect.peer)
        if (
            self._waiting >= SENDS_WAITING_MAX
            or self._waiting_bytes + size > SENDS_WAITING_BYTES_MAX
            or (queue is not None and queue.bytes + size > SENDS_TO_ONE_BYTES_MAX)
        ):
            self.dropped += 1
            return
        if queue is None:
            queue = self._queues[effect.peer] = _Queue()
            self._nursery.start_soon(self._empty, effect.peer, queue)
        queue.messages.append(effect.data)
        queue.bytes += size
        self._waiting += 1
        self._waiting_bytes += size

    async def _empty(self, peer: OperatorKey, queue: _Queue) -> None:
        """Hand a peer what waits for it, until nothing does or it takes no more."""
        try:
            while queue.messages:
                async with self._places:
                    with trio.fail_after(SEND_SECONDS_MAX):
                        await self._network.send(peer, queue.messages[0])
                self._leave(queue)
        except (TransportError, trio.TooSlowError) as error:
            log.debug("not sent", extra={"peer": peer.hex(), "error": str(error)})
            self._leave(queue)
            self.dropped += len(queue.messages)
        finally:
            del self._queues[peer]
            while queue.messages:
                self._leave(queue)

    def _leave(self, queue: _Queue) -> None:
        """Be done with the first message of a queue."""
        size = len(queue.messages.popleft())
        queue.bytes -= size
        self._waiting -= 1
        self._waiting_bytes -= size
