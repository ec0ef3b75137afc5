"""Kept peers over real hosts: they have their connections whatever the others do."""

import socket
from contextlib import AsyncExitStack

import pytest
import trio

from protocol.crypto import Signer
from protocol.units import OperatorKey
from tests.support.networks import loopback, nothing_for, seed, take, until
from tests.zenp2p.network.test_host import life_of, network
from zenp2p.network.connection import Connection
from zenp2p.network.host import LibP2PNetwork
from zenp2p.network.limits import Limits

SMALL = Limits(
    connections_max=4,
    kept_max=3,
    connections_dialled_max=2,
    redial_first=0.02,
    redial_most=0.1,
    dial_patience=0.0,
    spare_seconds=0.1,
)
"""A node that is soon full."""
WIDE = Limits(redial_first=0.02, redial_most=0.1, dial_patience=0.0)
"""Of peers that never lack a place, and try again soon."""
HUB, GROUP, OTHERS, STRANGERS = 11, range(12, 15), range(15, 18), range(21, 27)


class World:
    """One small node, and peers around it that end with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def node(self, number: int, limits: Limits) -> LibP2PNetwork:
        return await self._stack.enter_async_context(network(number, limits=limits))

    async def nodes(self, numbers: range) -> list[LibP2PNetwork]:
        return [await self.node(number, WIDE) for number in numbers]

    async def full_hub(self, limits: Limits = SMALL, *, known: bool = False) -> LibP2PNetwork:
        """Return a node all of whose places others have taken, who come again and again; or whom it knows."""
        hub = await self.node(HUB, limits)
        for stranger in await self.nodes(STRANGERS):
            if known:
                hub.learn(stranger.operator_key, stranger.endpoint)
            stranger.learn(hub.operator_key, hub.endpoint)
        refused = "connections_refused" if limits.sockets_max > limits.connections_max else "sockets_refused"
        await until(lambda: len(hub.peers()) == limits.connections_max and hub.counters[refused] > 10)
        return hub


def keys(peers: list[LibP2PNetwork]) -> list[OperatorKey]:
    return [one.operator_key for one in peers]


def connected(hub: LibP2PNetwork, peers: list[LibP2PNetwork]) -> bool:
    """Whether a node is connected with all of these."""
    there = dict(hub.peers())
    return all(key in there for key in keys(peers))


def connections(hub: LibP2PNetwork, peers: list[LibP2PNetwork]) -> list[Connection | None]:
    return [life_of(hub).switch.connection(key) for key in keys(peers)]


def keep(hub: LibP2PNetwork, peers: list[LibP2PNetwork]) -> None:
    for one in peers:
        hub.learn(one.operator_key, one.endpoint)
    hub.keep(keys(peers))


@pytest.mark.parametrize("known", [False, True], ids=["strangers", "whom it knows"])
async def test_a_node_whose_places_are_all_taken_gets_and_keeps_its_group(known: bool) -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.full_hub(known=known), await world.nodes(GROUP)
        for one in (hub, *group):
            one.subscribe("group")
        keep(hub, group)
        await until(lambda: connected(hub, group))
        before, refused = connections(hub, group), hub.counters["connections_refused"]
        await until(lambda: hub.counters["connections_refused"] > refused + 50)
        assert connections(hub, group) == before
        assert len(hub.peers()) <= SMALL.connections_max
        await hub.publish("group", b"to the group")
        for one in group:
            assert [message.data for message in await take(one, 1)] == [b"to the group"]


async def test_who_is_kept_gets_in_by_itself_though_all_sockets_and_places_are_taken() -> None:
    """The hub cannot dial it: where it should listen nobody does."""
    limits = Limits(
        connections_max=4,
        sockets_max=4,
        kept_max=3,
        redial_first=0.02,
        redial_most=0.1,
        dial_patience=0.0,
    )
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub = await world.full_hub(limits)
        group = await world.nodes(GROUP)
        for number, one in zip(GROUP, group, strict=True):
            hub.learn(one.operator_key, loopback(number, 1))
            one.learn(hub.operator_key, hub.endpoint)
        refused = hub.counters["sockets_refused"]
        await until(lambda: hub.counters["sockets_refused"] > refused + 20)
        assert not any(connections(hub, group))
        hub.keep(keys(group))
        await until(lambda: connected(hub, group))
        before, refused = connections(hub, group), hub.counters["sockets_refused"]
        await until(lambda: hub.counters["sockets_refused"] > refused + 20)
        assert connections(hub, group) == before


async def test_another_group_takes_the_place_of_the_one_before() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, old = await world.full_hub(), await world.nodes(GROUP)
        new = await world.nodes(OTHERS)
        keep(hub, old)
        await until(lambda: connected(hub, old))
        keep(hub, new)
        await until(lambda: connected(hub, new))
        before, refused = connections(hub, new), hub.counters["connections_refused"]
        await until(lambda: hub.counters["connections_refused"] > refused + 50)
        assert connections(hub, new) == before
        assert len(hub.peers()) <= SMALL.connections_max


async def test_who_is_released_and_was_dialled_beyond_need_is_let_go_after_a_while() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.node(HUB, SMALL), await world.nodes(GROUP)
        keep(hub, group)
        await until(lambda: connected(hub, group))
        begun = min(one.since for one in connections(hub, group) if one is not None)
        hub.keep([])
        await until(lambda: len(hub.peers()) == SMALL.connections_dialled_max)
        assert trio.current_time() >= begun + SMALL.spare_seconds
        stay = connections(hub, group)
        assert await nothing_for(hub, 3 * SMALL.spare_seconds)
        assert connections(hub, group) == stay, "those that are not too many stay"


async def test_who_was_asked_something_beyond_need_is_let_go_after_a_while() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.node(HUB, SMALL), await world.nodes(GROUP)
        for one in group:
            hub.learn(one.operator_key, one.endpoint)
        await until(lambda: len(hub.peers()) == SMALL.connections_dialled_max)
        (left,) = [one for one in group if one.operator_key not in dict(hub.peers())]
        await hub.send(left.operator_key, b"a word")
        assert [message.data for message in await take(left, 1)] == [b"a word"]
        await until(lambda: len(hub.peers()) == SMALL.connections_dialled_max)


async def test_kept_peers_do_not_wait_for_the_dials_to_others() -> None:
    limits = Limits(dials_max=2, dials_kept_max=1, handshake_seconds=30, dial_patience=0.0)
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.node(HUB, limits), await world.nodes(GROUP)
        silent = stack.enter_context(socket.socket())  # takes connections and says nothing
        silent.bind(("127.0.0.31", 0))
        silent.listen()
        for number in range(8):
            stranger = Signer(seed(100 + number)).operator_key
            hub.learn(stranger, loopback(31, silent.getsockname()[1]))
        dialler = life_of(hub).dialer
        await until(lambda: len(dialler._under_way) == limits.dials_max)  # noqa: SLF001
        keep(hub, group)
        await until(lambda: connected(hub, group))


async def test_a_message_reaches_a_judge_that_is_full_of_strangers_and_keeps_who_sends_it() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        judge, operator = await world.full_hub(), await world.node(GROUP[0], SMALL)
        keep(judge, [operator])
        operator.learn(judge.operator_key, judge.endpoint)
        await operator.send(judge.operator_key, b"response")
        received = await take(judge, 1)
        assert [(one.peer, one.data) for one in received] == [(operator.operator_key, b"response")]


async def test_kept_peers_are_kept_by_a_host_that_is_built_again() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.full_hub(), await world.nodes(GROUP)
        keep(hub, group)
        await until(lambda: connected(hub, group))
        life = life_of(hub)
        life.gossip.get_manager().cancel()
        await until(lambda: hub._life is not None and hub._life is not life)  # noqa: SLF001
        await until(lambda: connected(hub, group))


async def test_no_kept_peer_gives_way_not_even_to_another_or_while_it_is_unknown_where_it_listens() -> None:
    limits = Limits(connections_max=2, redial_first=0.02, dial_patience=0.0)
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, group = await world.node(HUB, limits), await world.nodes(GROUP)
        hub.keep(keys(group))
        first, last = group[:2], group[2]
        for one in first:
            one.learn(hub.operator_key, hub.endpoint)
        await until(lambda: connected(hub, first))
        before = connections(hub, first)
        known = await world.node(OTHERS[0], WIDE)
        hub.learn(known.operator_key, known.endpoint)
        for count, one in enumerate((last, known), 1):
            one.learn(hub.operator_key, hub.endpoint)
            await until(lambda count=count: hub.counters["connections_refused"] > 20 * count)  # type: ignore[misc]
        assert connections(hub, first) == before


async def test_a_stranger_gives_way_to_a_kept_peer_before_anybody_known() -> None:
    limits = Limits(connections_max=4, redial_first=0.02, dial_patience=0.0)
    async with AsyncExitStack() as stack:
        world = World(stack)
        hub, known = await world.node(HUB, limits), await world.nodes(GROUP)
        for one in known:
            hub.learn(one.operator_key, one.endpoint)
        stranger, kept = await world.nodes(range(21, 23))
        stranger.learn(hub.operator_key, hub.endpoint)
        await until(lambda: connected(hub, [*known, stranger]))
        before = connections(hub, known)
        hub.keep(keys([kept]))
        kept.learn(hub.operator_key, hub.endpoint)
        await until(lambda: connected(hub, [kept]))
        assert connections(hub, known) == before
