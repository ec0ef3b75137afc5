"""The simulated network: what each fault does to a message, and what heals."""

import random
from dataclasses import dataclass, field

import pytest

from protocol.errors import StaleMessage
from protocol.node.effects import Incoming, Probe, ProbeResult
from protocol.units import OperatorKey
from simulations.network import PUNISHED_MS, Network
from simulations.options import Fault, Options
from simulations.scheduler import Scheduler
from simulations.trace import FaultCounts, Trace

MESSAGES = 400


@dataclass
class Ear:
    """A party that writes down what it hears and when."""

    number: int
    scheduler: Scheduler
    is_up: bool = True
    refuses: bool = False
    heard: list[tuple[int, Incoming]] = field(default_factory=list)

    @property
    def key(self) -> OperatorKey:
        return OperatorKey(bytes([self.number]) * 32)

    @property
    def ip(self) -> bytes:
        return bytes([127, 0, 0, self.number])

    def hear(self, incoming: Incoming) -> None:
        self.heard.append((self.scheduler.now_ms, incoming))

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        if self.refuses:
            raise StaleMessage("no")
        return peer[:1] + data


class Place:
    """Three parties on a network with some faults."""

    def __init__(self, *faults: Fault, **changes: float) -> None:
        self.scheduler, self.counts = Scheduler(), FaultCounts()
        options = Options(faults=frozenset(faults), **changes)  # type: ignore[arg-type]
        self.network = Network(options, random.Random(1), self.scheduler, Trace(), self.counts)
        self.ears = [Ear(number, self.scheduler) for number in range(3)]
        for ear in self.ears:
            self.network.join(ear)
            self.network.subscribe(ear.number, "topic")

    def send_many(self) -> list[int]:
        """Send numbered messages from 0 to 1, 5 ms apart; return the numbers as they arrive."""
        for number in range(MESSAGES):
            self.network.send(0, self.ears[1].key, number.to_bytes(2, "big"))
            self.scheduler.run_until(self.scheduler.now_ms + 5)
        self.scheduler.run_until(self.scheduler.now_ms + 10_000)
        return [int.from_bytes(incoming.data, "big") for _, incoming in self.ears[1].heard]

    def probe(self, ip: bytes = b"") -> ProbeResult:
        """Let 0 dial 1 back."""
        results: list[ProbeResult] = []
        ear = self.ears[1]
        self.network.probe(0, Probe(7, ear.key, ip or ear.ip, 9033, b"nonce", 1), results.append)
        self.scheduler.run_until(self.scheduler.now_ms + 10_000)
        (result,) = results
        return result


def test_without_faults_everything_arrives_once_and_in_order() -> None:
    place = Place()
    assert place.send_many() == list(range(MESSAGES))
    assert not any(place.counts.as_dict().values())
    _, incoming = place.ears[1].heard[0]
    assert (incoming.peer, incoming.ip, incoming.topic) == (place.ears[0].key, place.ears[0].ip, "")


def test_gossip_reaches_everybody_but_its_sender() -> None:
    place = Place()
    place.network.publish(1, "topic", b"news")
    place.scheduler.run_until(100)
    heard = [[incoming.topic for _, incoming in ear.heard] for ear in place.ears]
    assert heard == [["topic"], [], ["topic"]]


def test_who_left_a_topic_hears_it_no_more_and_may_still_speak_there() -> None:
    place = Place()
    place.network.subscribe(0, "other")
    place.network.unsubscribe(0, "topic")
    for topic in ("topic", "other"):
        place.network.publish(1, topic, b"news")
    place.network.publish(0, "topic", b"from outside")
    place.scheduler.run_until(100)
    heard = [sorted((incoming.topic, incoming.data) for _, incoming in ear.heard) for ear in place.ears]
    assert heard[0] == [("other", b"news")] and heard[1] == [("topic", b"from outside")]
    assert heard[2] == [("topic", b"from outside"), ("topic", b"news")]
    place.network.leave(2)
    place.network.publish(1, "topic", b"late")
    place.scheduler.run_until(200)
    assert len(place.ears[2].heard) == 2 and place.network.listeners("topic") == [1]


def test_lost_messages_are_counted_and_do_not_arrive() -> None:
    place = Place(Fault.LOSS, loss_probability=0.5)
    arrived = place.send_many()
    assert place.counts.lost == MESSAGES - len(arrived) and MESSAGES // 4 < len(arrived) < 3 * MESSAGES // 4


def test_delayed_messages_come_late_but_in_order_unless_they_may_be_reordered() -> None:
    late = Place(Fault.DELAY, delay_probability=0.3, duplicate_probability=0.0)
    assert late.send_many() == list(range(MESSAGES))
    assert late.counts.delayed > 50 and late.counts.reordered == 0
    mixed = Place(Fault.DELAY, Fault.REORDERING, delay_probability=0.3, duplicate_probability=0.1)
    arrived = mixed.send_many()
    assert sorted(set(arrived)) == list(range(MESSAGES)) and arrived != sorted(arrived)
    assert mixed.counts.reordered > 50 and len(arrived) > MESSAGES


def test_a_partition_cuts_what_is_under_way_too_and_ends() -> None:
    place = Place()
    place.network.send(0, place.ears[1].key, b"under way")
    place.network.split([0, 1, 0])
    place.network.publish(0, "topic", b"cut")
    place.scheduler.run_until(100)
    assert [len(ear.heard) for ear in place.ears] == [0, 0, 1] and place.counts.lost == 2
    assert not place.network.linked(0, 1) and place.network.linked(0, 2)
    place.network.split([])
    place.network.publish(0, "topic", b"whole")
    place.scheduler.run_until(200)
    assert [len(ear.heard) for ear in place.ears] == [0, 1, 2]


def test_a_node_that_is_down_hears_nothing() -> None:
    place = Place()
    place.ears[1].is_up = False
    assert place.send_many() == [] and place.counts.lost == MESSAGES


def test_a_dropped_connection_comes_back() -> None:
    place = Place()
    assert place.network.drop(1, place.ears[0].key) == 0
    assert place.network.drop(1, OperatorKey(b"?" * 32)) is None
    place.network.send(0, place.ears[1].key, b"too soon")
    place.network.send(0, place.ears[2].key, b"another link")
    place.scheduler.run_until(PUNISHED_MS + 1)
    place.network.send(0, place.ears[1].key, b"again")
    place.scheduler.run_until(2 * PUNISHED_MS)
    assert [incoming.data for _, incoming in place.ears[1].heard] == [b"again"]
    assert len(place.ears[2].heard) == 1


def test_after_the_healing_no_fault_strikes() -> None:
    place = Place(*Fault, loss_probability=0.9, delay_probability=0.9)
    place.network.heal()
    assert place.send_many() == list(range(MESSAGES))


def test_a_dial_back_finds_who_answers_there() -> None:
    place = Place()
    ear = place.ears[1]
    assert place.probe() == ProbeResult(7, ear.ip, place.ears[0].key[:1] + b"nonce", True)
    assert place.probe(ip=b"\x7f\x00\x00\x09") == ProbeResult(7, b"", b"", False)
    ear.refuses = True
    assert place.probe() == ProbeResult(7, b"", b"", False)
    ear.is_up = False
    assert place.probe() == ProbeResult(7, b"", b"", False)


def test_a_slow_answer_is_not_fast() -> None:
    place = Place(latency_min_ms=600, latency_max_ms=700)
    result = place.probe()
    assert result.ip and result.reply and not result.fast


@pytest.mark.parametrize("unknown", [OperatorKey(b"?" * 32), OperatorKey(bytes(32))])
def test_nobody_sends_to_strangers_or_to_himself(unknown: OperatorKey) -> None:
    place = Place()
    place.network.send(0, unknown, b"data")
    place.scheduler.run_until(100)
    assert not any(ear.heard for ear in place.ears)
