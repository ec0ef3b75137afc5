"""The simulated network: every message may be lost, late, doubled or overtaken, and links may be cut.

Answers for: what becomes of a message between two parties, drawn from the run's one source of
chance. What the messages say is nobody's business here. Spec: `spec/simulation.md`.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from protocol.errors import ProtocolError
from protocol.node.effects import Incoming, Probe, ProbeResult
from protocol.units import OperatorKey
from simulations.options import Fault, Options
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace

PUNISHED_MS = 500
"""How long a dropped connection stays down."""
UNREACHED_MS = 3_000
"""After this time a dial-back without an answer is given up."""


class Party(Protocol):
    """Somebody with an address in the network."""

    number: int

    @property
    def key(self) -> OperatorKey: ...
    @property
    def ip(self) -> bytes: ...
    @property
    def is_up(self) -> bool: ...

    def hear(self, incoming: Incoming) -> None:
        """Take a message."""

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Answer a dial-back; raises `ProtocolError`."""


class Network:
    """Carries messages between parties."""

    def __init__(
        self, options: Options, rng: random.Random, scheduler: Scheduler, trace: Trace, counts: FaultCounts
    ) -> None:
        self._options = options
        self._rng = rng
        self._scheduler = scheduler
        self._trace = trace
        self._counts = counts
        self._parties: list[Party] = []
        self._by_key: dict[bytes, Party] = {}
        self._sides: dict[int, int] = {}
        self._dropped: dict[tuple[int, int], int] = {}
        self._last_arrival: dict[tuple[int, int], int] = {}
        self.healed = False

    def join(self, party: Party) -> None:
        """Give a party its address: its number."""
        assert party.number == len(self._parties)
        self._parties.append(party)
        self._by_key[party.key] = party

    def split(self, sides: Sequence[int]) -> None:
        """Cut the network: party n is on side `sides[n]`, and hears that side only. Empty: whole again."""
        self._sides = dict(enumerate(sides))

    def linked(self, one: int, other: int) -> bool:
        """Whether no partition lies between two parties."""
        return self._sides.get(one, 0) == self._sides.get(other, 0)

    def drop(self, number: int, other: OperatorKey) -> int | None:
        """A party drops its connection to another for a while; return who that is."""
        party = self._by_key.get(other)
        if party is None:
            return None
        self._dropped[(party.number, number)] = self._scheduler.now_ms + PUNISHED_MS
        return party.number

    def publish(self, sender: int, topic: str, data: bytes) -> None:
        """Gossip to everybody else."""
        for party in self._parties:
            if party.number != sender:
                self.transmit(sender, party.number, topic, data)

    def send(self, sender: int, key: OperatorKey, data: bytes) -> None:
        """Hand a message to one party."""
        party = self._by_key.get(key)
        if party is not None and party.number != sender:
            self.transmit(sender, party.number, "", data)

    def transmit(self, sender: int, receiver: int, topic: str, data: bytes) -> None:
        """Carry one message over one link, as well as the link does."""
        if self._is_lost(sender, receiver):
            self._lose()
            return
        copies = 2 if self._strikes(Fault.DELAY, self._options.duplicate_probability) else 1
        for _ in range(copies):
            arrival = self._arrival(sender, receiver)
            self._scheduler.after(
                arrival - self._scheduler.now_ms, lambda: self._deliver(sender, receiver, topic, data)
            )

    def probe(self, sender: int, effect: Probe, done: Callable[[ProbeResult], None]) -> None:
        """Dial a party back at the address it named, and ask."""
        party = self._by_key.get(effect.peer)
        failed = ProbeResult(effect.token, b"", b"", False)
        if party is None or effect.ip != party.ip or self._is_lost(sender, party.number):
            self._lose()
            self._scheduler.after(UNREACHED_MS, lambda: done(failed))
            return
        asked = self._scheduler.now_ms
        limit = effect.deadline_seconds * 1_000

        def answer() -> None:
            result = failed
            if party.is_up and not self._is_lost(party.number, sender):
                result = self._ask(party, sender, effect)
            back = self._latency()
            elapsed = self._scheduler.now_ms + back - asked
            fast = bool(result.ip) and elapsed <= limit
            timed = ProbeResult(effect.token, result.ip, result.reply, fast)
            self._scheduler.after(back, lambda: done(timed))

        self._scheduler.after(self._latency(), answer)

    def _ask(self, party: Party, sender: int, effect: Probe) -> ProbeResult:
        try:
            reply = party.answer_probe(self._parties[sender].key, effect.data)
        except ProtocolError:
            return ProbeResult(effect.token, b"", b"", False)
        return ProbeResult(effect.token, party.ip, reply, True)

    def _deliver(self, sender: int, receiver: int, topic: str, data: bytes) -> None:
        party, source = self._parties[receiver], self._parties[sender]
        if not party.is_up or not self.linked(sender, receiver):
            self._lose()
            return
        self._trace.note(self._scheduler.now_ms, f"hear {sender}", receiver, data)
        party.hear(Incoming(source.key, source.ip, topic, data))

    def _is_lost(self, sender: int, receiver: int) -> bool:
        if not self.linked(sender, receiver):
            return True
        if self._dropped.get((sender, receiver), 0) > self._scheduler.now_ms:
            return True
        return self._strikes(Fault.LOSS, self._options.loss_probability)

    def _lose(self) -> None:
        self._counts.lost += 1

    def _latency(self) -> int:
        options = self._options
        latency = self._rng.randint(options.latency_min_ms, options.latency_max_ms)
        if self._strikes(Fault.DELAY, options.delay_probability):
            self._counts.delayed += 1
            latency += self._rng.randint(1, options.delay_max_ms)
        return latency

    def _arrival(self, sender: int, receiver: int) -> int:
        """Return when a message sent now arrives; without reordering, after all before it."""
        arrival = self._scheduler.now_ms + self._latency()
        last = self._last_arrival.get((sender, receiver), 0)
        if arrival < last:
            if self._options.has(Fault.REORDERING) and not self.healed:
                self._counts.reordered += 1
            else:
                arrival = last
        self._last_arrival[(sender, receiver)] = max(arrival, last)
        return arrival

    def _strikes(self, fault: Fault, probability: float) -> bool:
        return not self.healed and self._options.has(fault) and self._rng.random() < probability
