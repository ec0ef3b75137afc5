"""The shell round the node machine: hands inputs in, carries effects out in order.

Answers for the one contract that money hangs on: the write batch is fsynced, then the
vote file, and only then does a message leave (`spec/node.md`). One input is taken
at a time, so the machine never sees two at once. What the machine decides is left to
`protocol.node`; connections to `zenp2p.network`; the chain to `zenp2p.chain`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from protocol.errors import ProtocolError
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import (
    Announce,
    Effect,
    Learn,
    Persist,
    Probe,
    ProbeResult,
    Publish,
    Punish,
    RecordVote,
    Send,
)
from protocol.node.machine import Node
from protocol.node.records import encode_slot
from zenp2p.ports import Endpoint, Network, Received, Store, TransportError
from zenp2p.store import StoreReadOnly

log = logging.getLogger(__name__)

SENDS_AT_ONCE_MAX = 64
"""Direct messages and probes under way at once; further ones wait their turn."""
SENDS_WAITING_MAX = 4_096
"""Direct messages waiting at most; beyond it a message is dropped (everything can be asked for again)."""
SENDS_WAITING_BYTES_MAX = 64 << 20
"""Bytes of direct messages waiting at most; beyond it a message is dropped too."""
PROBES_AT_ONCE_MAX = 64
"""Dial-backs under way at once, apart from messages: who cannot be reached takes seconds each."""
SEND_SECONDS_MAX = 10
"""A direct message that is not handed over by then is given up."""
PROBE_PROTOCOL = "dial-back"
SLACK_SECONDS = 2
"""Beyond the dial-back deadline: time to dial. The answer itself is timed by the deadline."""

CheckTls = Callable[[Endpoint, str], Awaitable[bool]]
"""Whether the host at an endpoint shows a certificate that is valid for a name (`zenp2p.tls_check`)."""


class VoteFile(Protocol):
    """Where votes are recorded before they are sent."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Append (slot, hash) records and wait for the disk."""

    def rewrite(self, records: Sequence[tuple[bytes, bytes]], *, complete: bool) -> None:
        """Replace all records at once."""


class Driver:
    """Runs one `Node` over real ports."""

    def __init__(
        self,
        node: Node,
        guard: VoteGuard,
        store: Store,
        vote_file: VoteFile,
        network: Network,
        nursery: trio.Nursery,
        announce: Callable[[Announce], None],
        check_tls: CheckTls | None = None,
    ) -> None:
        self.node = node
        self._guard = guard
        self._store = store
        self._vote_file = vote_file
        self._network = network
        self._nursery = nursery
        self._announce = announce
        self._check_tls = check_tls
        self._turn = trio.Lock()
        self._sends = trio.CapacityLimiter(SENDS_AT_ONCE_MAX)
        self._probes = trio.CapacityLimiter(PROBES_AT_ONCE_MAX)
        self._waiting = self._waiting_bytes = 0
        self.dropped = 0
        self.halted = trio.Event()
        """Set when what the machine decided could not be written: its state is ahead of the disk."""

    async def step(self, act: Callable[[Node], list[Effect]]) -> None:
        """Let the machine take one input, then carry its effects out.

        Raises `ProtocolError` when the machine refuses the input; then nothing has changed.
        """
        async with self._turn:
            if self.halted.is_set():
                raise StoreReadOnly("the node is read-only since the disk took no more")
            effects = await self._keep(act)
            if effects:
                await self._release(effects)

    async def _keep(self, act: Callable[[Node], list[Effect]]) -> list[Effect]:
        """Let the machine act and make the effects durable; when that fails, nothing is ever sent again.

        Whoever handed the input in may give up waiting (a request over RPC has a deadline); what the
        machine has said by then is written all the same, hence the shield.
        """
        try:
            effects = act(self.node)
            if effects:
                with trio.CancelScope(shield=True):
                    await self._record(effects)
        except ProtocolError:
            raise
        except BaseException:
            self.halted.set()
            raise
        return effects

    async def receive(self, batch: Sequence[Received]) -> None:
        """Hand a batch of messages in."""
        await self.step(lambda node: node.receive(batch))

    async def rewrite_votes(self, *, complete: bool) -> None:
        """Drop the votes that can never matter again from the vote file."""
        async with self._turn:
            records = [(encode_slot(slot), content) for slot, content in self._guard.records().items()]
            await trio.to_thread.run_sync(lambda: self._vote_file.rewrite(records, complete=complete))

    async def _record(self, effects: Sequence[Effect]) -> None:
        """Make everything durable that must be so before a message leaves.

        The vote file comes last: a lock that it remembers must find its proof in the store.
        """
        votes = [(encode_slot(e.slot), e.content_hash) for e in effects if isinstance(e, RecordVote)]
        writes = [(e.key, e.value) for e in effects if isinstance(e, Persist)]
        durable = any(e.durable for e in effects if isinstance(e, Persist))
        if writes and durable:
            await trio.to_thread.run_sync(lambda: self._store.write(writes, sync=True))
        elif writes:
            self._store.write(writes, sync=False)
        if votes:
            await trio.to_thread.run_sync(self._vote_file.append, votes)

    async def _release(self, effects: Sequence[Effect]) -> None:
        """Send, publish, probe and announce, in the order given."""
        for effect in effects:
            match effect:
                case Publish():
                    await self._network.publish(effect.topic, effect.data)
                case Send():
                    self._start(self._send, effect)
                case Probe():
                    self._nursery.start_soon(self._probe, effect)
                case Learn():
                    self._network.learn(effect.peer, Endpoint(effect.ip, effect.port))
                case Punish():
                    log.warning("peer dropped", extra={"peer": effect.peer.hex(), "reason": effect.reason})
                    await self._network.drop(effect.peer)
                case Announce():
                    self._announce(effect)

    def _start(self, task: Callable[[Send], Awaitable[None]], effect: Send) -> None:
        size = len(effect.data)
        if self._waiting >= SENDS_WAITING_MAX or self._waiting_bytes + size > SENDS_WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._waiting += 1
        self._waiting_bytes += size
        self._nursery.start_soon(task, effect)

    async def _send(self, effect: Send) -> None:
        try:
            async with self._sends:
                with trio.fail_after(SEND_SECONDS_MAX):
                    await self._network.send(effect.peer, effect.data)
        except (TransportError, trio.TooSlowError) as error:
            log.debug("not sent", extra={"peer": effect.peer.hex(), "error": str(error)})
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(effect.data)

    async def _probe(self, effect: Probe) -> None:
        """Dial back, then hand the outcome in; a failed dial is an outcome too."""
        ip = reply = b""
        fast = tls_valid = False
        try:
            async with self._probes:
                started = trio.current_time()
                ip, reply = await self._network.probe(
                    effect.peer,
                    Endpoint(effect.ip, effect.port),
                    PROBE_PROTOCOL,
                    effect.data,
                    effect.deadline_seconds + SLACK_SECONDS,
                )
                fast = trio.current_time() - started <= effect.deadline_seconds
                if effect.fqdn and self._check_tls is not None:
                    tls_valid = await self._check_tls(Endpoint(effect.ip, effect.tls_port), effect.fqdn)
        except TransportError as error:
            log.debug("not reached", extra={"peer": effect.peer.hex(), "error": str(error)})
        result = ProbeResult(effect.token, ip, reply, fast, tls_valid)
        with suppress(StoreReadOnly):  # whoever runs the driver hears of it from the other inputs
            await self.step(lambda node: node.probed(result))
