"""The simulated network: every message may be lost, late, doubled or overtaken, and links may be cut.

Answers for: what becomes of a message between two parties, drawn from the run's one source of
chance. What the messages say is nobody's business here. Spec: `spec/simulation.md`.
"""

import random
from collections import defaultdict
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
Message = tuple[int, "Party", Incoming, bytes]
"""Sender, receiver, what is said, and what stands for it in the trace."""


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
        self._topics: dict[str, dict[int, Party]] = defaultdict(dict)
        """Who hears a topic, by number."""
        self._sides: dict[int, int] = {}
        self._dropped: dict[tuple[int, int], int] = {}
        self._last_arrival: dict[tuple[int, int], int] = {}
        self._under_way: dict[int, list[Message]] = {}
        """By the millisecond at which they arrive."""
        self._loses = options.has(Fault.LOSS)
        self._delays = options.has(Fault.DELAY)
        self._reorders = options.has(Fault.REORDERING)
        self._latency_span = options.latency_max_ms - options.latency_min_ms + 1

    def heal(self) -> None:
        """Let no fault strike any more: everything arrives, at its time and in order."""
        self._loses = self._delays = self._reorders = False

    def join(self, party: Party) -> None:
        """Give a party its address: its number."""
        assert party.number == len(self._parties)
        self._parties.append(party)
        self._by_key[party.key] = party

    def subscribe(self, number: int, topic: str) -> None:
        """Let a party hear a topic."""
        self._topics[topic][number] = self._parties[number]

    def unsubscribe(self, number: int, topic: str) -> None:
        """Let a party hear a topic no more; it may still publish there."""
        self._topics[topic].pop(number, None)

    def leave(self, number: int) -> None:
        """Let a party hear no topic any more."""
        for listeners in self._topics.values():
            listeners.pop(number, None)

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
        """Gossip to everybody else who hears the topic."""
        source = self._parties[sender]
        message, mark = Incoming(source.key, source.ip, topic, data), self._trace.mark(data)
        for party in self._topics[topic].values():
            if party is not source:
                self._carry(sender, party, message, mark)

    def send(self, sender: int, key: OperatorKey, data: bytes) -> None:
        """Hand a message to one party."""
        party = self._by_key.get(key)
        if party is not None and party.number != sender:
            self.transmit(sender, party.number, "", data)

    def transmit(self, sender: int, receiver: int, topic: str, data: bytes) -> None:
        """Carry one message over one link, as well as the link does."""
        source = self._parties[sender]
        message = Incoming(source.key, source.ip, topic, data)
        self._carry(sender, self._parties[receiver], message, self._trace.mark(data))

    def listeners(self, topic: str) -> list[int]:
        """Return the numbers of those who hear a topic."""
        return list(self._topics[topic])

    def _carry(self, sender: int, party: Party, message: Incoming, mark: bytes) -> None:
        if self._is_lost(sender, party.number):
            self._lose()
            return
        copies = 2 if self._delays and self._rng.random() < self._options.duplicate_probability else 1
        for _ in range(copies):
            arrival = self._arrival(sender, party.number)
            due = self._under_way.get(arrival)
            if due is None:
                self._under_way[arrival] = [(sender, party, message, mark)]
                self._scheduler.after(arrival - self._scheduler.now_ms, self._deliver)
            else:
                due.append((sender, party, message, mark))

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

    def _deliver(self) -> None:
        """Let everything arrive that is due now."""
        now, heard = self._scheduler.now_ms, self._trace.heard
        for sender, party, message, mark in self._under_way.pop(now):
            if not party.is_up or (self._sides and not self.linked(sender, party.number)):
                self._lose()
                continue
            heard(now, sender, party.number, mark)
            party.hear(message)

    def _is_lost(self, sender: int, receiver: int) -> bool:
        if self._sides and not self.linked(sender, receiver):
            return True
        if self._dropped and self._dropped.get((sender, receiver), 0) > self._scheduler.now_ms:
            return True
        return self._loses and self._rng.random() < self._options.loss_probability

    def _lose(self) -> None:
        self._counts.lost += 1

    def _latency(self) -> int:
        options, chance = self._options, self._rng.random
        latency = options.latency_min_ms + int(chance() * self._latency_span)
        if self._delays and chance() < options.delay_probability:
            self._counts.delayed += 1
            latency += self._rng.randint(1, options.delay_max_ms)
        return latency

    def _arrival(self, sender: int, receiver: int) -> int:
        """Return when a message sent now arrives; without reordering, after all before it."""
        arrival = self._scheduler.now_ms + self._latency()
        link = (sender, receiver)
        last = self._last_arrival.get(link, 0)
        if arrival < last:
            if not self._reorders:
                return last
            self._counts.reordered += 1
        else:
            self._last_arrival[link] = arrival
        return arrival
