"""The shell of a simulated node: crashes between any two effects, and what comes back."""

import pytest

from protocol.group.vote import Phase, Slot
from protocol.node.effects import Effect, Incoming, Persist, Publish, RecordVote
from protocol.node.machine import Node
from protocol.units import Hash32
from simulations.chain import extend
from simulations.cluster import Cluster
from simulations.host import Host
from simulations.options import Options, Plant

QUIET = Options(faults=frozenset(), nodes=4, power_cut_probability=0.0)
SLOT = Slot(bytes(32), "group:", 1, 0, Phase.PREVOTE)
EFFECTS: list[Effect] = [
    Publish("topic", b"first"),
    RecordVote(SLOT, Hash32(b"\x01" * 32)),
    Persist(b"key", b"value"),
    Publish("topic", b"second"),
]


class Stub:
    """Stands where the node machine stands and answers every batch with the same effects."""

    def receive(self, batch: list[Incoming]) -> list[Effect]:
        return EFFECTS


def booted(options: Options = QUIET) -> tuple[Cluster, Host]:
    cluster = Cluster(0, options)
    cluster.join()
    for host in cluster.hosts:
        host.boot()
    return cluster, cluster.hosts[0]


class Mouth:
    """Writes down what leaves."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def publish(self, topic: str, data: bytes) -> None:
        self.said.append(data)

    def send(self, key: bytes, data: bytes) -> None:
        self.said.append(data)


def struck(fuse: int, options: Options = QUIET) -> tuple[int, bool, list[bytes]]:
    """Let a crash strike at a place; return (votes recorded, whether the store was written, what left)."""
    cluster, host = booted(options)
    votes = len(host.disk.votes)
    mouth = Mouth()
    host.mouth = mouth
    host.light_fuse(fuse)
    host.node = Stub()  # type: ignore[assignment]
    host.hear(Incoming(host.key, host.ip, "", b"anything"))
    cluster.scheduler.run_until(5)
    assert host.is_up is (fuse > 3)
    return len(host.disk.votes) - votes, host.disk.get(b"key") is not None, mouth.said


@pytest.mark.parametrize(
    ("fuse", "left_behind"),
    [
        (0, (0, False, [])),
        (1, (0, True, [])),
        (2, (1, True, [])),
        (3, (1, True, [b"first"])),
        (4, (1, True, [b"first", b"second"])),
    ],
)
def test_a_crash_strikes_between_any_two_effects_in_the_shells_order(
    fuse: int, left_behind: tuple[int, bool, list[bytes]]
) -> None:
    assert struck(fuse) == left_behind


def test_the_planted_order_sends_first() -> None:
    options = Options(faults=frozenset(), nodes=4, power_cut_probability=0.0, plant=Plant.SEND_FIRST)
    assert struck(2, options) == (0, False, [b"first", b"second"])


def test_a_node_that_does_nothing_crashes_when_patience_is_over_and_comes_back() -> None:
    cluster, host = booted()
    before = host.node
    host.light_fuse(1_000_000)
    cluster.scheduler.run_until(QUIET.crash_patience_ms + 1)
    assert not host.is_up
    cluster.scheduler.run_until(QUIET.crash_patience_ms + QUIET.down_max_ms + 2)
    assert isinstance(host.node, Node) and host.node is not before
    assert (cluster.counts.crashes, cluster.counts.restarts) == (1, 1)


def test_what_was_meant_for_the_life_before_is_not_heard_in_the_next() -> None:
    cluster, host = booted()
    host.hear(Incoming(host.key, host.ip, "", b"\x02garbage"))
    host.light_fuse(0)
    host._go_down()
    cluster.scheduler.run_until(QUIET.down_max_ms + 10)
    assert host.is_up and not host._inbox


def test_who_left_and_is_booted_again_hears_what_comes_from_then_on() -> None:
    cluster, host = booted()
    host.hear(Incoming(host.key, host.ip, "", b"\x02garbage"))
    host.leave()
    host.boot()
    host.hear(Incoming(host.key, host.ip, "", b"\x02garbage"))
    cluster.scheduler.run_until(QUIET.inbox_ms + 10)
    assert not host._inbox


def test_the_longest_chain_is_followed_block_by_block_and_ties_change_nothing() -> None:
    cluster, host = booted()
    first = cluster.founding.first_block
    one, other = extend(first, (), salt=b"one"), extend(first, (), salt=b"other")
    host.follow(one)
    cluster.scheduler.run_until(20)
    host.follow(other)
    cluster.scheduler.run_until(40)
    assert host.view.block is one
    longer = extend(extend(other, ()), ())
    host.follow(longer)
    cluster.scheduler.run_until(41)
    assert host.view.block is first  # one step at a time
    cluster.scheduler.run_until(100)
    assert host.view.block is longer and host.node is not None and host.node.chain.tip()[0] == 3


def test_a_node_that_is_down_keeps_its_chain_and_catches_up_at_the_next_start() -> None:
    cluster, host = booted()
    host._go_down()
    host.follow(extend(cluster.founding.first_block, ()))
    cluster.scheduler.run_until(1)
    assert host.view.block is cluster.founding.first_block
    cluster.scheduler.run_until(QUIET.down_max_ms + 100)
    assert host.view.block.height == 1
