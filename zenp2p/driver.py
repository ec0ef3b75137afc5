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
    Compact,
    Effect,
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
from protocol.node.records import encode_slot
from protocol.units import Hash32
from zenp2p.direct_sends import DirectSends
from zenp2p.join_prover import JoinMiner
from zenp2p.ports import Endpoint, Network, Received, Store, StoreError, TransportError
from zenp2p.store import StoreReadOnly

log = logging.getLogger(__name__)

PROBES_AT_ONCE_MAX = 64
"""Dial-backs under way at once, apart from messages: who cannot be reached takes seconds each."""
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
        self._sends = DirectSends(network, nursery)
        self._miner = JoinMiner(self._mined, announce, nursery)
        self._compacting = trio.Lock()
        self._probes = trio.CapacityLimiter(PROBES_AT_ONCE_MAX)
        self.halted = trio.Event()
        """Set when what the machine decided could not be written: its state is ahead of the disk."""

    def proof_trials(self) -> int:
        """Return how often our join proof was tried, the one that is searched or was last."""
        return self._miner.trials

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
        """Do what leaves the process, in the order given."""
        for effect in effects:
            match effect:
                case Publish():
                    await self._network.publish(effect.topic, effect.data)
                case Send():
                    self._sends.start(effect)
                case Probe():
                    self._nursery.start_soon(self._probe, effect)
                case Compact():
                    self._nursery.start_soon(self._compact, effect)
                case Mine():
                    self._miner.start(effect)
                case Subscribe():
                    self._network.subscribe(effect.topic)
                case Unsubscribe():
                    self._network.unsubscribe(effect.topic)
                case Learn():
                    self._network.learn(effect.peer, Endpoint(effect.ip, effect.port))
                case Keep():
                    self._network.keep(effect.peers)
                case Punish():
                    log.warning("peer dropped", extra={"peer": effect.peer.hex(), "reason": effect.reason})
                    await self._network.drop(effect.peer)
                case Announce():
                    self._announce(effect)

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

    async def _compact(self, effect: Compact) -> None:
        """Give space back, one range at a time; what is not given back costs nothing but the space."""
        async with self._compacting:
            try:
                await trio.to_thread.run_sync(self._store.compact, effect.first, effect.last)
            except StoreError as error:
                log.warning("space is not given back", extra={"reason": str(error)})

    async def _mined(self, ticket: Hash32, nonce: int) -> None:
        with suppress(StoreReadOnly):  # whoever runs the driver hears of it from the other inputs
            await self.step(lambda node: node.mined(ticket, nonce))
