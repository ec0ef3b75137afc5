"""What one operator's node says of its seat, in a network whose blocks `moves_world` makes.

The records of tickets, verdicts and departures are the node's own, fed with every block that was certified.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from protocol.group.data_chain import DataChain
from protocol.node.departures import Departures
from protocol.node.last_verdicts import LastVerdicts
from protocol.node.mover import Mover
from protocol.node.tickets import Tickets
from protocol.node.voids import Voids
from protocol.units import Hash32, OperatorKey
from tests.support.moves_world import JOINERS, Moves
from tests.support.operators import Operator
from zenp2p.api.context import Context
from zenp2p.api.network_view import NetworkView
from zenp2p.api.seat_view import SeatView
from zenp2p.api.seat_words import SeatWords


class Seen:
    """All groups as a node holds them that took every block so far."""

    def __init__(self, world: Moves, me: Operator) -> None:
        self.world = world
        self.elsewhere = world
        self.tickets, self.departures = Tickets(), Departures()
        self.last_verdicts = LastVerdicts(world.parameters.challenge_failures)
        self.archive = SimpleNamespace(
            standing=world.standing,
            tickets=self.tickets,
            departures=self.departures,
            last_verdicts=self.last_verdicts,
        )
        self._me = me.key
        for standing in world.standings.values():
            self.tickets.note(standing)
            self.last_verdicts.note(standing)
            self.departures.note(standing)

    # What the mover asks.

    def own(self) -> DataChain | None:
        return next((one for one in self.world.states.values() if self._me in one.membership), None)

    def live(self, prefix: str) -> DataChain:
        return self.world.states[prefix]

    def that_left(self, operator_key: OperatorKey) -> DataChain | None:
        return next((one for one in self.world.states.values() if operator_key in one.left), None)

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        return None

    def covering(self, name: bytes) -> Any:
        return self.world.states[self.world.fitting(name)]


class Machines:
    """The same, as the node's groups give it."""

    def __init__(self, seen: Seen) -> None:
        self.archive = seen.archive
        self._seen = seen

    def __iter__(self) -> Iterator[Any]:
        return (SimpleNamespace(state=one) for _, one in sorted(self._seen.world.states.items()))

    def __getitem__(self, prefix: str) -> Any:
        return SimpleNamespace(state=self._seen.live(prefix))

    def covering(self, name: bytes) -> Any:
        return SimpleNamespace(state=self._seen.covering(name))


class Seats:
    """What is said of one operator's seat now."""

    def __init__(
        self, world: Moves, me: Operator, *, unheard: tuple[int, int] = (0, 0), joins: bool = True
    ) -> None:
        seen = Seen(world, me)
        self.mover = Mover(world.genesis, me.signer, world.chain, seen, joins=joins)
        node: Any = SimpleNamespace(
            genesis=world.genesis,
            operator_key=me.key,
            chain=world.chain,
            groups=Machines(seen),
            group=SimpleNamespace(state=seen.own(), unheard=unheard),
            seating=SimpleNamespace(mover=self.mover),
            tracker=SimpleNamespace(voids=Voids()),
            lister=SimpleNamespace(period=0),
        )
        nothing: Any = None
        context = Context(node, nothing, nothing, nothing, nothing, lambda: 77)
        self.view = NetworkView(node)
        self._seat, self._words = SeatView(context, self.view), SeatWords(node, self.view)

    def shown(self) -> dict[str, Any]:
        return self._seat.describe(self._seat.now())

    def doing(self) -> str:
        return self._words.doing(self._seat.now())

    def problems(self) -> list[str]:
        return list(self._words.problems(self._seat.now()))


def asking(seq: int = 2) -> Moves:
    """A network in which the first joiner is registered and was found VALID."""
    world = Moves()
    world.enrol(JOINERS[0])
    world.hold(seq)
    return world


def large_source(seq: int = 2) -> tuple[Moves, Operator, Hash32]:
    """A network in which a member of group 0 is on its way to the other one, with its ticket."""
    for number in range(20):
        world = Moves()
        world.chain.mine(salt=bytes([number]))
        world.hold(seq)
        one = world.voters("0")[0]
        world.give_events(one, 9)
        ticket = world.relocate("0")
        if one.key not in world.states["0"].membership:
            return world, one, ticket
    raise AssertionError("every name falls to the old group")
