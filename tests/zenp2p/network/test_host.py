"""The libp2p adapter: dialling, duplicates, places, rebuilding, shutting down."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import trio
from libp2p import new_host
from multiaddr import Multiaddr

from protocol.crypto import Signer
from protocol.units import OperatorKey
from tests.support.networks import (
    all_connected,
    introduce,
    libp2p_networks,
    loopback,
    nothing_for,
    seed,
    take,
    until,
)
from zenp2p.network.host import LibP2PNetwork, open_network
from zenp2p.network.identity import peer_id
from zenp2p.network.life import Life
from zenp2p.network.limits import Limits
from zenp2p.ports import Endpoint, Received, TransportError

QUICK = Limits(redial_first=0.02, rebuild_first=0.02, handshake_seconds=1.0)


async def echo(_peer: OperatorKey, _ip: bytes, data: bytes) -> bytes:
    return data


def life_of(network: LibP2PNetwork) -> Life:
    """Return the host that a network has now."""
    life = network._life  # noqa: SLF001
    assert life is not None
    return life


@asynccontextmanager
async def network(number: int, port: int = 0, limits: Limits = QUICK) -> AsyncIterator[LibP2PNetwork]:
    """Run one node at 127.0.0.`number`."""
    async with (
        trio.open_nursery() as nursery,
        open_network(seed(number), loopback(number, port), nursery, limits=limits) as one,
    ):
        yield one


# Addresses.


async def test_every_peer_is_seen_under_its_own_address_whoever_dialled() -> None:
    async with libp2p_networks(4) as networks:
        dialled = [one.dialled for network in networks for one in life_of(network).switch.all_connections()]
        assert dialled.count(True) == dialled.count(False) == 6
        for network in networks:
            for other in networks:
                if other is not network:
                    assert (other.operator_key, other.endpoint.ip) in network.peers()


async def test_a_node_that_listens_everywhere_dials_from_where_the_system_says() -> None:
    async with (
        trio.open_nursery() as nursery,
        network(12) as two,
        open_network(seed(11), Endpoint(bytes(4), 0), nursery) as one,
    ):
        one.learn(two.operator_key, two.endpoint)
        await until(two.peers)
        assert two.peers() == [(one.operator_key, bytes([127, 0, 0, 1]))]


async def test_a_taken_port_is_said_and_nothing_is_left_running() -> None:
    async with network(11) as one:
        with pytest.raises(ExceptionGroup) as caught:
            async with network(11, one.endpoint.port):
                raise AssertionError
        assert caught.group_contains(TransportError, match="another program has this port")


async def test_a_port_that_stock_libp2p_shares_is_said_too() -> None:
    stock = new_host()
    async with stock.run([Multiaddr("/ip4/127.0.0.11/tcp/0")]):
        port = int(stock.get_transport_addrs()[0].value_for_protocol("tcp") or 0)
        with pytest.raises(ExceptionGroup) as caught:
            async with network(11, port):
                raise AssertionError
        assert caught.group_contains(TransportError, match="another program has this port")


async def test_the_port_is_free_again_afterwards() -> None:
    async with network(11) as one:
        port = one.endpoint.port
    async with network(11, port) as again:
        assert again.endpoint == loopback(11, port)


# Connections.


async def test_two_nodes_that_learn_of_each_other_dial_once() -> None:
    async with libp2p_networks(5) as networks:
        await trio.sleep(0.5)
        for network in networks:
            for connection in life_of(network).switch.all_connections():
                assert connection.dialled == (network.operator_key < connection.key)
        assert sum(life_of(network).listener.admission.inside for network in networks) == 10


async def test_of_two_dials_at_once_the_one_of_the_lower_key_is_kept_by_both() -> None:
    async with network(11) as one, network(12) as two:
        for _ in range(5):
            for node, other in ((one, two), (two, one)):
                life_of(node).lasting.table.learn(other.operator_key, other.endpoint, frozenset(), 0.0)
            async with trio.open_nursery() as nursery:
                for node, other in ((one, two), (two, one)):
                    nursery.start_soon(life_of(node).dialer.connect, other.operator_key)
            await trio.sleep(0.1)
            (mine,) = life_of(one).switch.all_connections()
            (theirs,) = life_of(two).switch.all_connections()
            assert mine.dialled == (one.operator_key < two.operator_key) != theirs.dialled
            for node, other in ((one, two), (two, one)):
                node.forget(other.operator_key)
            mine.abort()
            await until(lambda: not one.peers() and not two.peers())


async def test_a_peer_that_restarts_is_connected_with_again() -> None:
    async with network(11) as one:
        async with network(12) as two:
            port = two.endpoint.port
            one.learn(two.operator_key, two.endpoint)
            await until(one.peers)
        await until(lambda: not one.peers())
        async with network(12, port) as two:
            two.serve("echo", echo)
            await until(one.peers)
            assert await one.request(two.operator_key, "echo", b"again", 5) == b"again"


async def test_a_peer_that_moves_is_connected_with_there() -> None:
    async with network(11) as one:
        async with network(12) as two:
            one.learn(two.operator_key, two.endpoint)
            await until(one.peers)
        async with network(12) as two:
            one.learn(two.operator_key, two.endpoint)
            await until(one.peers)


async def test_a_forgotten_peer_is_not_dialled_again() -> None:
    async with network(11) as one:
        async with network(12) as two:
            port = two.endpoint.port
            one.learn(two.operator_key, two.endpoint)
            await until(one.peers)
            one.forget(two.operator_key)
        await until(lambda: not one.peers())
        async with network(12, port):
            await trio.sleep(0.5)
            assert not one.peers()


async def test_waiting_requests_share_one_dial() -> None:
    async with network(11) as one, network(12) as two, trio.open_nursery() as nursery:
        two.serve("echo", echo)
        life_of(one).lasting.table.learn(two.operator_key, two.endpoint, frozenset(), 0.0)
        for _ in range(20):
            nursery.start_soon(one.request, two.operator_key, "echo", b"", 5)
        await until(lambda: len(two.peers()) == 1)
        assert life_of(two).listener.admission.inside == 1


async def test_waiting_requests_share_a_dial_that_fails() -> None:
    async with network(11) as one:
        stranger = Signer(seed(99)).operator_key
        with socket.socket() as silent:  # takes the connection and says nothing
            silent.bind(("127.0.0.14", 0))
            silent.listen()
            endpoint = loopback(14, silent.getsockname()[1])
            life_of(one).lasting.table.learn(stranger, endpoint, frozenset(), trio.current_time() + 1000)
            begun = trio.current_time()

            async def ask() -> None:
                with pytest.raises(TransportError, match="did not answer in time"):
                    await one.request(stranger, "echo", b"", 30)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
            assert trio.current_time() - begun < 2


async def test_places_of_connections_come_back() -> None:
    limits = Limits(connections_max=3, redial_first=0.02)
    async with network(11, limits=limits) as hub:
        hub.serve("echo", echo)
        for number in range(12, 32):
            async with network(number) as one:
                one.learn(hub.operator_key, hub.endpoint)
                assert await one.request(hub.operator_key, "echo", b"x", 5) == b"x"
            await until(lambda: not hub.peers())
        assert life_of(hub).listener.admission.inside == 0
        assert trio.lowlevel.current_statistics().tasks_living < 60


async def test_a_full_node_refuses_strangers_but_makes_room_for_whom_it_knows() -> None:
    limits = Limits(connections_max=2, redial_first=0.05)
    async with AsyncExitStack() as stack:
        hub, *others = [
            await stack.enter_async_context(network(number, limits=limits)) for number in range(11, 15)
        ]
        friend = others.pop()
        for stranger in others:
            stranger.learn(hub.operator_key, hub.endpoint)
        await until(lambda: len(hub.peers()) == 2)
        late = await stack.enter_async_context(network(15, limits=limits))
        late.learn(hub.operator_key, hub.endpoint)
        await until(lambda: hub.counters["connections_refused"] >= 1)
        assert late.operator_key not in dict(hub.peers())
        hub.learn(friend.operator_key, friend.endpoint)
        friend.learn(hub.operator_key, hub.endpoint)
        await until(lambda: friend.operator_key in dict(hub.peers()))
        assert len(hub.peers()) <= 2


# Gossip.


async def test_gossip_passes_through_a_diamond_once_although_accepting_takes_long() -> None:
    seen: dict[int, list[bytes]] = {}

    async def opened(number: int) -> LibP2PNetwork:
        async def accept(message: Received) -> bool:
            seen.setdefault(number, []).append(message.data)
            await trio.sleep(0.05)
            return True

        return await stack.enter_async_context(
            open_network(seed(number), loopback(number), nursery, limits=QUICK, accept=accept)
        )

    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        top, left, right, bottom = [await opened(number) for number in range(11, 15)]
        for one, other in ((top, left), (top, right), (left, bottom), (right, bottom)):
            one.learn(other.operator_key, other.endpoint)
        for node in (top, left, right, bottom):
            node.subscribe("topic")
        await until(lambda: len(bottom.peers()) == 2 and len(top.peers()) == 2)
        await until(lambda: all(len(life_of(n).router.mesh.get("topic", ())) == 2 for n in (top, bottom)))
        messages = [b"message %d" % number for number in range(10)]
        for message in messages:
            await top.publish("topic", message)
        for number, node in ((12, left), (13, right), (14, bottom)):
            assert sorted(m.data for m in await take(node, 10)) == messages
            assert await nothing_for(node, 0.15)
            assert sorted(seen[number]) == messages


@pytest.mark.parametrize("how", ["refuses", "raises", "is too slow"])
async def test_a_message_that_is_not_accepted_goes_no_further_and_costs_nobody_anything(how: str) -> None:
    async def accept(message: Received) -> bool:
        if message.data == b"good":
            return True
        if how == "raises":
            raise KeyError("a bug of ours")
        if how == "is too slow":
            await trio.sleep_forever()
        return False

    limits = Limits(redial_first=0.02, accept_seconds=0.1)
    async with (
        trio.open_nursery() as nursery,
        network(11) as first,
        network(13) as last,
        open_network(seed(12), loopback(12), nursery, limits=limits, accept=accept) as middle,
    ):
        for node in (first, middle, last):
            node.subscribe("topic")
        for node in (first, last):
            node.learn(middle.operator_key, middle.endpoint)
        await until(lambda: len(life_of(middle).router.mesh.get("topic", ())) == 2)
        await first.publish("topic", b"bad")
        await first.publish("topic", b"good")
        assert [message.data for message in await take(middle, 1)] == [b"good"]
        assert [message.data for message in await take(last, 1)] == [b"good"]
        assert len(middle.peers()) == 2
        assert middle.counters["validators_failed"] == (0 if how == "refuses" else 1)


async def test_a_pruned_peer_hears_everything() -> None:
    """The chain author, hub, pruned: hub and pruned are in back-off of each other, for a minute."""
    async with network(11) as hub, network(12) as author, network(13) as pruned:
        for node in (hub, author, pruned):
            node.subscribe("topic")
        for node in (author, pruned):
            node.learn(hub.operator_key, hub.endpoint)
        await until(lambda: len(life_of(hub).router.mesh.get("topic", ())) == 2)
        for node, other in ((hub, pruned), (pruned, hub)):
            router, peer = life_of(node).router, peer_id(other.operator_key)
            router.mesh["topic"].discard(peer)
            router._add_back_off(peer, "topic", False)  # noqa: SLF001
        for number in range(5):
            await author.publish("topic", b"%d" % number)
        messages = await take(pruned, 5, seconds=4)
        assert sorted(message.data for message in messages) == [b"%d" % number for number in range(5)]
        assert life_of(pruned).router.mesh["topic"] == set()


async def test_who_comes_late_is_sent_the_messages_of_the_last_seconds() -> None:
    async with network(11) as one, network(12) as two:
        for node in (one, two):
            node.subscribe("topic")
        await one.publish("topic", b"before anybody was there")
        await trio.sleep(0.1)
        two.learn(one.operator_key, one.endpoint)
        assert [message.data for message in await take(two, 1)] == [b"before anybody was there"]
        assert await nothing_for(two, 0.3)


# Lives and deaths.


async def kill_a_service(network: LibP2PNetwork, which: str) -> None:
    """Let one of libp2p's services end, or die of an error."""
    life = life_of(network)

    async def die() -> None:
        raise RuntimeError("planted")

    if which == "gossip ends":
        life.gossip.get_manager().cancel()
    elif which == "router dies":
        life.router.manager.run_task(die)
    else:
        life.gossip.manager.run_task(die)
    await until(lambda: network._life is not None and network._life is not life)  # noqa: SLF001


@pytest.mark.parametrize("which", ["gossip ends", "gossip dies", "router dies"])
async def test_a_host_whose_service_dies_is_built_again_and_nothing_is_forgotten(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with libp2p_networks(3, topics=["topic"], limits=QUICK) as networks:
        one, two, three = networks
        one.serve("echo", echo)
        await until(lambda: len(life_of(one).router.mesh.get("topic", ())) == 2)
        await one.publish("topic", b"in the first life")
        for other in (two, three):
            assert [message.data for message in await take(other, 1)] == [b"in the first life"]
        await two.publish("topic", b"of somebody else")
        assert [message.data for message in await take(one, 1)] == [b"of somebody else"]
        assert [message.data for message in await take(three, 1)] == [b"of somebody else"]
        await kill_a_service(one, which)
        await one.publish("topic", b"in the second life")
        for other in (two, three):
            assert [message.data for message in await take(other, 1)] == [b"in the second life"]
        await all_connected(networks)
        assert await two.request(one.operator_key, "echo", b"still served", 5) == b"still served"
        await until(lambda: len(life_of(two).router.mesh.get("topic", ())) == 2)
        await two.publish("topic", b"for all")
        assert [message.data for message in await take(one, 1)] == [b"for all"]
        assert one.counters["hosts_died"] == 1
        assert "built again" in caplog.text


async def test_a_host_that_dies_again_and_again_is_built_with_longer_waits() -> None:
    async with network(11, limits=Limits(rebuild_first=0.05, rebuild_most=60)) as one:
        begun = trio.current_time()
        for _ in range(4):
            await kill_a_service(one, "gossip dies")
        assert trio.current_time() - begun >= 0.05 + 0.1 + 0.2 + 0.4


async def test_shutting_down_under_load_is_quick_and_quiet(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with libp2p_networks(4, topics=["topic"]) as networks, trio.open_nursery() as nursery:

            async def chatter(network: LibP2PNetwork) -> None:
                while True:
                    for other in networks:
                        await network.publish("topic", bytes(300))
                        if other is not network:
                            await network.send(other.operator_key, bytes(3000))
                            await network.request(other.operator_key, "echo", bytes(1000), 5)

            async def read(network: LibP2PNetwork) -> None:
                async for _ in network.received:
                    pass

            async def guarded(network: LibP2PNetwork) -> None:
                with suppress(TransportError):
                    await chatter(network)

            for one in networks:
                one.serve("echo", echo)
                nursery.start_soon(read, one)
                nursery.start_soon(guarded, one)
            await trio.sleep(1)
            for one in networks:
                begun = trio.current_time()
                await one.stop()
                assert trio.current_time() - begun < 2
            nursery.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("zenp2p")] == []


async def test_a_closed_network_says_so() -> None:
    async with network(11) as one, network(12) as two:
        one.learn(two.operator_key, two.endpoint)
        await until(one.peers)
        await one.stop()
        with pytest.raises(TransportError, match="closed"):
            await one.request(two.operator_key, "echo", b"", 5)
        assert one.peers() == []
        assert [batch async for batch in one.received] == []


async def test_a_cancelled_nursery_takes_the_network_with_it() -> None:
    with trio.move_on_after(10) as scope:
        async with network(11) as one:
            port = one.endpoint.port
            scope.cancel()
            await trio.sleep_forever()
    with socket.socket() as free:
        free.bind(("127.0.0.11", port))


async def test_names_of_protocols_are_checked() -> None:
    async with network(11) as one:
        for name in ("", "a/b", "direct", "probe", "x" * 65, "ümlaut"):
            with pytest.raises(ValueError):
                one.serve(name, echo)


@pytest.mark.parametrize("deadline", [0.0, -1.0])
async def test_a_deadline_that_is_over_already(deadline: float) -> None:
    async with network(11) as one, network(12) as two:
        one.learn(two.operator_key, two.endpoint)
        with pytest.raises(TransportError):
            await one.request(two.operator_key, "echo", b"", deadline)


async def test_introducing_everybody_twice_changes_nothing() -> None:
    async with libp2p_networks(3) as networks:
        before = [life_of(network).switch.all_connections() for network in networks]
        introduce(networks)
        await trio.sleep(0.2)
        assert [life_of(network).switch.all_connections() for network in networks] == before
