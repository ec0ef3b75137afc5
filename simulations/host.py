"""The shell of one simulated node: the daemon's driver over a disk, a chain view and a network that fail.

Answers for: effects are carried out in the driver's order, and a crash may come between any two of
them; after it the node machine is built anew from what the disk holds. What the machine
decides is `protocol.node`'s business, when a crash comes `faults`'. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from protocol.codec import decode
from protocol.errors import ProtocolError, StaleMessage
from protocol.group.join_proof import JoinProver
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import (
    Announce,
    Compact,
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
from protocol.node.records import BALLOT
from protocol.tracking.response import ProbeRequest
from protocol.units import OperatorKey
from simulations.chain import SimulatedBlock, View
from simulations.disk import Disk, Write
from simulations.founding import Founding
from simulations.network import Network
from simulations.options import Options, Plant
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace

MINE_TRIES = 1 << 10
"""Nonces that are tried before it is looked whether one was found."""
CHAIN_STEP_MS = 3
"""Between two blocks that are connected or disconnected."""


class Watcher(Protocol):
    """Somebody who sees everything, and whom no node knows."""

    def said(self, number: int, data: bytes, disk: Disk) -> None:
        """A node hands a message to the network."""

    def wrote(self, number: int, writes: Sequence[Write]) -> None:
        """A node wrote a batch to its store."""

    def took(self, number: int, view: View, batch: Sequence[Incoming], *, lived: bool) -> None:
        """A node was handed messages; `lived` through carrying out what follows."""

    def probed(self, number: int, key: bytes, request: ProbeRequest, result: ProbeResult) -> None:
        """A dial-back ended, and what it found is written."""

    def acknowledged(self, number: int, packed: bytes, disk: Disk) -> None:
        """A node took a registration from its user."""

    def lost_power(self, number: int) -> None:
        """What a node had not synced may be lost."""

    def announced(self, number: int, news: Announce) -> None:
        """A node told its operator something."""

    def punishes(self, number: int, other: int, reason: str) -> None:
        """A node drops its connection to another."""

    def connects(self, block: SimulatedBlock) -> None:
        """A node has a block on its chain."""


class Crash(Exception):
    """The process ends here."""


class Mouth(Protocol):
    """What leaves a node."""

    def publish(self, topic: str, data: bytes) -> None:
        """Gossip."""

    def send(self, key: OperatorKey, data: bytes) -> None:
        """Hand to one peer."""


class HonestMouth:
    """Says what the machine says."""

    def __init__(self, host: "Host") -> None:
        self._host = host

    def publish(self, topic: str, data: bytes) -> None:
        """Gossip."""
        self._host.network.publish(self._host.number, topic, data)

    def send(self, key: OperatorKey, data: bytes) -> None:
        """Hand to one peer."""
        self._host.network.send(self._host.number, key, data)


class Host:
    """One member's node and everything round it."""

    def __init__(
        self,
        number: int,
        founded: Founding,
        options: Options,
        rng: random.Random,
        scheduler: Scheduler,
        network: Network,
        watcher: Watcher,
        trace: Trace,
        counts: FaultCounts,
        shelf: dict[bytes, bytes] | None = None,
    ) -> None:
        self.number = number
        self.party = founded.operators[number]
        self.network = network
        self.disk = Disk(remembers=options.disk_remembers, shelf=shelf)
        self.view = View(founded.first_block)
        self.node: Node | None = None
        self.mouth: Mouth = HonestMouth(self)
        self._founded = founded
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._watcher = watcher
        self._trace = trace
        self._counts = counts
        self._inbox: list[Incoming] = []
        self._life = 0
        self._fuse: int | None = None
        self._pause_ms: int | None = None
        """How long the next crash keeps it down; without, it is drawn then."""
        self._target = founded.first_block
        self._moving = False

    @property
    def key(self) -> OperatorKey:
        """The operator's key."""
        return self.party.key

    @property
    def ip(self) -> bytes:
        """Where it listens."""
        return self.party.ip

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.node is not None

    # Life.

    def boot(self) -> None:
        """Start the process on what the disk holds."""
        self._life += 1
        self._fuse = None
        self._moving = False
        if self._life > 1:
            self._counts.restarts += 1
            self._trace.note(self._scheduler.now_ms, "restart", self.number)
        if self._options.plant is Plant.FORGET_VOTE:
            self._forget_votes()
        guard = VoteGuard(self.disk.votes)
        self.node = Node(
            self._founded.genesis,
            self.party.signer,
            self.view,
            self.disk,
            guard,
            joins=self._options.joins,
        )
        self._step(lambda node: node.start(self._scheduler.now_ms))
        life = self._life
        self._scheduler.after(self._rng.randrange(self._options.tick_ms), lambda: self._tick(life))
        self._move()

    def enter(self, tip: SimulatedBlock) -> None:
        """Start for the first time, beside a chain index that is complete."""
        self.view, self._target = View(tip), tip
        self.boot()

    def leave(self) -> None:
        """Stop for good, or until it is booted again."""
        self._life += 1
        self.node = None
        self._inbox.clear()
        self.network.leave(self.number)
        self._trace.note(self._scheduler.now_ms, "leave", self.number)

    def light_fuse(self, effects: int, pause_ms: int | None = None) -> None:
        """Crash before this many more effects are carried out, and come back after a pause."""
        if self.is_up:
            self._fuse, self._pause_ms = effects, pause_ms
            life = self._life
            self._scheduler.after(self._options.crash_patience_ms, lambda: self._burn_out(life))

    def _burn_out(self, life: int) -> None:
        if self._fuse is not None and self._life == life and self.is_up:
            self._go_down()

    def _go_down(self) -> None:
        self.node = None
        self.network.leave(self.number)
        self._inbox.clear()
        self._fuse = None
        self._counts.crashes += 1
        cut = self._rng.random() < self._options.power_cut_probability
        self._trace.note(self._scheduler.now_ms, "power cut" if cut else "crash", self.number)
        if cut:
            self.disk.cut_power(self._rng.randint(0, self.disk.unsynced))
            self._watcher.lost_power(self.number)
        pause = self._rng.randint(1, self._options.down_max_ms) if self._pause_ms is None else self._pause_ms
        life = self._life
        self._scheduler.after(pause, lambda: self.boot() if self._life == life else None)

    def _forget_votes(self) -> None:
        """The planted fault: neither the vote file nor the ballot's record is there after a restart."""
        self.disk.votes.clear()
        gone = [(key, None) for key, _ in self.disk.iterate(BALLOT)]
        self.disk.write(gone, sync=True)

    # Inputs.

    def hear(self, incoming: Incoming) -> None:
        """Take a message; those of a moment are handed in together."""
        if not self._inbox:
            life = self._life
            self._scheduler.after(self._options.inbox_ms, lambda: self._flush(life))
        self._inbox.append(incoming)

    def _flush(self, life: int) -> None:
        if not self._is_alive(life):
            return
        batch, self._inbox = self._inbox, []
        lived = self._step(lambda node: node.receive(batch))
        self._watcher.took(self.number, self.view, batch, lived=lived)

    def _tick(self, life: int) -> None:
        if not self._is_alive(life):
            return
        self._step(lambda node: node.tick(self._scheduler.now_ms))
        self._scheduler.after(self._options.tick_ms, lambda: self._tick(life))

    def follow(self, tip: SimulatedBlock) -> None:
        """Learn of a chain; the longest one counts, and of equal ones the first."""
        if tip.height > self._target.height:
            self._target = tip
            if self.is_up and not self._moving:
                self._move()

    def _move(self) -> None:
        """Connect or disconnect one block, then the next a little later."""
        if not self.is_up:
            return
        step = self.view.step_towards(self._target)
        self._moving = step is not None
        if step is None:
            return
        connected, block = step
        self._trace.note(
            self._scheduler.now_ms, "connect" if connected else "disconnect", self.number, block.hash
        )
        if connected:
            self._watcher.connects(block)
            self._step(lambda node: node.connect(block.height, block.hash))
        else:
            self._step(lambda node: node.disconnect(block.height, block.hash))
        life = self._life
        self._scheduler.after(CHAIN_STEP_MS, lambda: self._move() if self._is_alive(life) else None)

    def submit(self, packed: bytes) -> bool:
        """Hand in a registration as its user does; return whether the data chain has taken it up."""
        try:
            if self._step(lambda node: node.submit(packed)):
                self._watcher.acknowledged(self.number, packed, self.disk)
        except ProtocolError:
            return True
        return False

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Answer a dial-back."""
        if self.node is None:
            raise StaleMessage("down")
        return self.node.answer_probe(peer, data)

    def _is_alive(self, life: int) -> bool:
        return self._life == life and self.is_up

    # Effects.

    def _step(self, act: Callable[[Node], list[Effect]]) -> bool:
        """Let the machine take one input and carry its effects out; return whether it lived through that."""
        if self.node is None:
            return False
        effects = act(self.node)
        try:
            if self._options.plant is Plant.SEND_FIRST:
                self._release(effects)
                self._record(effects)
            else:
                self._record(effects)
                self._release(effects)
        except Crash:
            self._go_down()
            return False
        return True

    def _burn(self) -> None:
        if self._fuse is not None:
            if self._fuse == 0:
                raise Crash
            self._fuse -= 1

    def _record(self, effects: Sequence[Effect]) -> None:
        """Make durable what must be so before a message leaves: one batch, then the votes."""
        persists = [effect for effect in effects if isinstance(effect, Persist)]
        if persists:
            self._burn()
            writes = [(persist.key, persist.value) for persist in persists]
            self.disk.write(writes, sync=any(persist.durable for persist in persists))
            self._watcher.wrote(self.number, writes)
        for effect in effects:
            if isinstance(effect, RecordVote):
                self._burn()
                self.disk.record_vote(effect.slot, effect.content_hash)

    def _release(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._burn()
                    self._watcher.said(self.number, effect.data, self.disk)
                    self.mouth.publish(effect.topic, effect.data)
                case Send():
                    self._burn()
                    self._watcher.said(self.number, effect.data, self.disk)
                    self.mouth.send(effect.peer, effect.data)
                case Probe():
                    self._burn()
                    self._probe(effect)
                case Punish():
                    other = self.network.drop(self.number, effect.peer)
                    if other is not None:
                        self._watcher.punishes(self.number, other, effect.reason)
                case Announce():
                    self._watcher.announced(self.number, effect)
                case Subscribe():
                    self.network.subscribe(self.number, effect.topic)
                case Unsubscribe():
                    self.network.unsubscribe(self.number, effect.topic)
                case Mine():
                    self._mine(effect)
                case Keep() | Learn() | RecordVote() | Persist() | Compact():
                    pass

    def _mine(self, effect: Mine) -> None:
        """Look for a join proof, and hand it in a while later."""
        life, prover = self._life, JoinProver(effect.operator_key, effect.ticket, effect.bits)

        def found() -> None:
            nonce = None
            while nonce is None:
                nonce = prover.search(MINE_TRIES)
            if self._is_alive(life):
                self._step(partial(Node.mined, ticket=effect.ticket, nonce=nonce))

        self._scheduler.after(self._options.mine_ms, found)

    def _probe(self, effect: Probe) -> None:
        life = self._life
        request = decode(effect.data, ProbeRequest)

        def done(result: ProbeResult) -> None:
            if not self._is_alive(life):
                return
            here = self.view.block_hash(request.seq * self._founded.genesis.parameters.challenge_every)
            if self._step(lambda node: node.probed(result)) and here == request.anchor_hash:
                self._watcher.probed(self.number, effect.peer, request, result)

        self.network.probe(self.number, effect, done)
