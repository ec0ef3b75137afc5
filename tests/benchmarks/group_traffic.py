"""What nodes say to each other in one challenge: real machines of real groups, every message counted.

A network of the given number of founders splits into its groups by itself, then some quiet challenges are
counted (nobody comes, moves or goes, nothing is lost): each message that leaves a machine, by what it is, by
its encoded bytes and by how many members hear it, the one who says it included. Gossip is counted once a
member; how often a mesh hands a message on is the network benchmark's. What is said again with the same bytes
is counted apart, and statuses: they go by seconds and not by challenges.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.codec import encode, replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.group.data_block import Kind, decode_block, decode_certified
from protocol.group.membership import genesis_membership
from protocol.group.name import bits
from protocol.group.vote import Proposal
from protocol.node import routing
from protocol.node.effects import Announce, Incoming, ProbeResult
from protocol.node.messages import SIGNED, Forward, network_topic, unpack
from protocol.parameters import MINIMAL, Parameters
from protocol.tracking.response import ProbeRequest
from protocol.units import OperatorKey
from simulations.chain import SimulatedBlock, View
from simulations.disk import Disk, Write
from simulations.founding import Founding, Terms, found
from simulations.host import HonestMouth, Host
from simulations.miner import Miner
from simulations.network import Network
from simulations.options import Options
from simulations.scheduler import Scheduler
from simulations.sharing import shared_work
from simulations.trace import FaultCounts, Trace

EVERY, WINDOW, BURIAL = 10, 4, 2
FIRST = 2 * EVERY
"""Height of the first anchor: by then the groups have split."""
DRAWS_MAX = 400
"""Networks that are drawn until the groups are neither few nor many."""
OPTIONS = Options(nodes=0, faults=frozenset(), tick_ms=100)
ACTIONS_MAX = 100_000_000


def parameters(group_size: int) -> Parameters:
    """Return the rules of a run."""
    return replace(
        MINIMAL,
        preset="traffic",
        challenge_every=EVERY,
        response_window=WINDOW,
        burial=BURIAL,
        period_blocks=EVERY << 10,
        group_size=group_size,
        silence=1_000,
        challenge_failures=255,
        round_milliseconds=400,
    )


@dataclass
class Count:
    """Messages, and their bytes, of one kind."""

    messages: int = 0
    size: int = 0

    def add(self, copies: int, length: int) -> None:
        """Count one message that so many hear."""
        self.messages += copies
        self.size += copies * length


@dataclass
class Counted:
    """What was said while it was counted; everything is what all members heard, summed up."""

    group: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """Within groups and between an operator and its judges, by what it is."""
    everywhere: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """What all members of the network hear."""
    again: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """What was said before with the same bytes, and every status: they go by time."""
    blocks: Counter[Kind] = field(default_factory=Counter)
    """Certified blocks that were told to everybody, each as often as it was told."""


class Ear:
    """Counts what leaves the machines; a watcher whom no node knows."""

    def __init__(self, network: Network, everybody: str) -> None:
        self._network = network
        self._everybody = everybody
        self._said: set[tuple[object, bytes]] = set()
        self.counted: Counted | None = None

    def published(self, topic: str, data: bytes) -> None:
        """A node publishes: everybody who hears the topic has it once."""
        self._count(topic, topic == self._everybody, data, len(self._network.listeners(topic)))

    def sent(self, key: OperatorKey, data: bytes) -> None:
        """A node hands a message to one peer."""
        self._count(key, False, data, 1)

    def probed(self, number: int, key: bytes, request: ProbeRequest, result: ProbeResult) -> None:
        """A dial-back ended: one message each way."""
        if self.counted is not None:
            self.counted.group["probe"].add(1, len(encode(request)))
            self.counted.group["probe"].add(1, len(result.reply))

    def _count(self, where: object, is_global: bool, data: bytes, copies: int) -> None:
        if self.counted is None:
            return
        name = _name(data)
        if (where, data) in self._said or name == "status":
            counts = self.counted.again
        else:
            counts = self.counted.everywhere if is_global else self.counted.group
        counts[name].add(copies, len(data))
        self._said.add((where, data))
        if name == "forward":
            self.counted.blocks[_forwarded(data)] += 1

    def said(self, number: int, data: bytes, disk: Disk) -> None:
        """The mouth tells where, too."""

    def wrote(self, number: int, writes: Sequence[Write]) -> None:
        """Disks are not counted."""

    def took(self, number: int, view: View, batch: Sequence[Incoming], *, lived: bool) -> None:
        """What was said is counted, not what was taken."""

    def acknowledged(self, number: int, packed: bytes, disk: Disk) -> None:
        """Nobody registers."""

    def lost_power(self, number: int) -> None:
        """Nobody loses power."""

    def announced(self, number: int, news: Announce) -> None:
        """Nobody is told anything."""

    def punishes(self, number: int, other: int, reason: str) -> None:
        """Everybody is honest."""
        raise SystemExit(f"node {number} punished node {other}: {reason}")

    def connects(self, block: SimulatedBlock) -> None:
        """The chain is not counted."""


def _name(data: bytes) -> str:
    """Return what a message is."""
    kind, payload = unpack(data)
    if kind == SIGNED:
        statement = routing._decode_statement(payload[SIGNATURE_SIZE:])
        if isinstance(statement, Proposal):
            return f"{decode_block(statement.value).kind.name.lower()} proposal"
        return type(statement).__name__.lower()
    return type(routing._decode_message(payload)).__name__.lower()


def _forwarded(data: bytes) -> Kind:
    """Return the kind of the block that a FORWARD tells of."""
    forward = routing._decode_message(unpack(data)[1])
    assert isinstance(forward, Forward)
    return decode_block(decode_certified(forward.certified).block).kind


class CountedMouth(HonestMouth):
    """Says what the machine says, and lets it be counted."""

    def __init__(self, host: Host, ear: Ear) -> None:
        super().__init__(host)
        self._ear = ear

    def publish(self, topic: str, data: bytes) -> None:
        """Gossip."""
        self._ear.published(topic, data)
        super().publish(topic, data)

    def send(self, key: OperatorKey, data: bytes) -> None:
        """Hand to one peer."""
        self._ear.sent(key, data)
        super().send(key, data)


@dataclass(frozen=True)
class Heard:
    """What one member hears in one challenge, on the average, and where that was counted."""

    nodes: int
    group_size: int
    sizes: tuple[int, ...]
    """Members of the groups."""
    group_messages: float
    group_bytes: float
    global_messages: float
    global_bytes: float
    kinds: dict[str, tuple[float, float]]
    """Messages and bytes by what they are."""
    again: dict[str, tuple[float, float]]
    """By what it is: messages and bytes a second that were said before with the same bytes, and statuses."""

    @property
    def n_over_g(self) -> float:
        """N/G."""
        return self.nodes / self.group_size


class World:
    """A network of groups without faults."""

    def __init__(self, nodes: int, group_size: int) -> None:
        founding, self.sizes = draw(nodes, group_size)
        self.nodes, self.group_size = nodes, group_size
        rng, trace, counts = random.Random(nodes), Trace(), FaultCounts()
        self.scheduler = Scheduler(ACTIONS_MAX)
        network = Network(OPTIONS, rng, self.scheduler, trace, counts)
        self.ear = Ear(network, network_topic(founding.network))
        around = founding, OPTIONS, rng, self.scheduler, network, self.ear, trace, counts
        self.hosts = [Host(number, *around) for number in range(nodes)]
        for host in self.hosts:
            host.mouth = CountedMouth(host, self.ear)
            network.join(host)
        actors = OPTIONS, rng, self.scheduler, network, self.hosts, trace, counts
        self.miner = Miner(founding.first_block, *actors)

    def run(self, challenges: int) -> Heard:
        """Count so many challenges, after the first one."""
        for host in self.hosts:
            host.boot()
        self.miner.start()
        self._mine_to(FIRST + EVERY)
        live = {host.node.group.state.prefix for host in self.hosts if host.node is not None}
        if len(live) != len(self.sizes):
            raise SystemExit(f"{len(live)} groups, not {len(self.sizes)}")
        self.ear.counted = counted = Counted()
        began = self.scheduler.now_ms
        self._mine_to(FIRST + (1 + challenges) * EVERY)
        self.ear.counted = None
        if set(counted.blocks) != {Kind.VERDICT}:
            raise SystemExit(f"blocks of {dict(counted.blocks)} are no quiet challenges")
        seconds = (self.scheduler.now_ms - began) / 1_000
        return self._heard(counted, self.nodes * challenges, self.nodes * seconds)

    def _mine_to(self, height: int) -> None:
        while self.miner.tip.height < height:
            self.scheduler.run_until(self.scheduler.now_ms + 50)

    def _heard(self, counted: Counted, share: int, seconds: float) -> Heard:
        """Return the means; `share` and `seconds` are over all members."""
        within, everywhere = _sum(counted.group), _sum(counted.everywhere)
        return Heard(
            nodes=self.nodes,
            group_size=self.group_size,
            sizes=self.sizes,
            group_messages=within.messages / share,
            group_bytes=within.size / share,
            global_messages=everywhere.messages / share,
            global_bytes=everywhere.size / share,
            kinds=_shares({**counted.group, **counted.everywhere}, share),
            again=_shares(counted.again, seconds),
        )


def _shares(counts: dict[str, Count], share: float) -> dict[str, tuple[float, float]]:
    return {name: (one.messages / share, one.size / share) for name, one in sorted(counts.items())}


def _sum(counts: dict[str, Count]) -> Count:
    return Count(sum(one.messages for one in counts.values()), sum(one.size for one in counts.values()))


def draw(nodes: int, group_size: int) -> tuple[Founding, tuple[int, ...]]:
    """Return a network whose groups are of one and a half G on the average, and their sizes."""
    terms = Terms(parameters(group_size), first_challenge_height=FIRST, strangers=0)
    wanted = max(1, round(nodes / (1.5 * group_size)))
    for seed in range(DRAWS_MAX):
        founding = found(seed, nodes, terms)
        sizes = groups_of(
            [member.name for member in genesis_membership(founding.genesis).members], group_size
        )
        if len(sizes) == wanted:
            return founding, sizes
    raise SystemExit(f"no {nodes} founders whose names fall into {wanted} groups")


def groups_of(names: Sequence[bytes], group_size: int, depth: int = 0) -> tuple[int, ...]:
    """Return how many members the groups have into which these founders split."""
    halves = [[name for name in names if bits(name, depth + 1)[-1] == bit] for bit in "01"]
    if min(map(len, halves)) <= group_size:
        return (len(names),)
    return tuple(size for half in halves for size in groups_of(half, group_size, depth + 1))


def count_challenges(nodes: int, group_size: int, challenges: int = 1) -> Heard:
    """Run one network and count so many quiet challenges."""
    with shared_work():
        return World(nodes, group_size).run(challenges)
