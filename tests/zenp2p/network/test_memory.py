"""The in-memory network: its world does as a test says, the same each time."""

import pytest
import trio

from protocol.crypto import Signer
from protocol.units import OperatorKey
from tests.support.networks import loopback, memory_networks, nothing_for, seed, take
from zenp2p.network.memory import Hub, open_memory_network
from zenp2p.ports import Received, TransportError


async def echo(_peer: OperatorKey, _ip: bytes, data: bytes) -> bytes:
    return data


async def test_nothing_passes_a_cut_until_it_heals() -> None:
    hub = Hub()
    async with memory_networks(3, topics=["t"], hub=hub) as (one, two, three):
        two.serve("echo", echo)
        hub.cut(one.operator_key, two.operator_key)
        with pytest.raises(TransportError):
            await one.request(two.operator_key, "echo", b"", 1)
        with pytest.raises(TransportError):
            await one.probe(two.operator_key, two.endpoint, "echo", b"", 1)
        with pytest.raises(TransportError):
            await one.send(two.operator_key, b"")
        assert [key for key, _ in one.peers()] == [three.operator_key]
        await one.publish("t", b"round the cut")
        (message,) = await take(two, 1)
        assert (message.peer, message.data) == (three.operator_key, b"round the cut")
        hub.heal()
        assert await one.request(two.operator_key, "echo", b"x", 1) == b"x"


async def test_hops_are_lost_as_a_test_says() -> None:
    hub = Hub()
    async with memory_networks(3, topics=["t"], hub=hub) as (one, two, three):
        hub.loses = lambda _from, to, _message: to == two.operator_key
        await one.publish("t", b"lost for two")
        assert [message.data for message in await take(three, 1)] == [b"lost for two"]
        assert await nothing_for(two, 0.05)


async def test_links_are_made_by_whoever_knows_the_other_and_end_with_him() -> None:
    hub = Hub()
    async with trio.open_nursery() as nursery, open_memory_network(hub, seed(1), loopback(1), nursery) as one:
        async with open_memory_network(hub, seed(2), loopback(2), nursery) as two:
            assert one.peers() == two.peers() == []
            one.learn(two.operator_key, two.endpoint)
            assert [key for key, _ in two.peers()] == [one.operator_key]
            one.forget(two.operator_key)
            assert one.peers() == []
            one.learn(two.operator_key, loopback(2, two.endpoint.port + 1))
            assert one.peers() == []
            two.learn(one.operator_key, one.endpoint)
            assert [key for key, _ in one.peers()] == [two.operator_key]
        assert one.peers() == []


async def test_a_taken_port_is_said_and_port_0_is_a_free_one() -> None:
    hub = Hub()
    async with trio.open_nursery() as nursery, open_memory_network(hub, seed(1), loopback(1), nursery) as one:
        with pytest.raises(TransportError, match="another program"):
            async with open_memory_network(hub, seed(2), one.endpoint, nursery):
                raise AssertionError
        async with open_memory_network(hub, seed(2), loopback(1), nursery) as two:
            assert two.endpoint != one.endpoint
        assert set(hub.nodes) == {Signer(seed(1)).operator_key}


async def test_gossip_goes_the_same_way_each_time_and_only_through_subscribers() -> None:
    async def run() -> list[list[Received]]:
        hub = Hub()
        async with memory_networks(5, hub=hub) as networks:
            for network in networks[:4]:
                network.subscribe("t")
            keys = [network.operator_key for network in networks]
            for one, other in ((0, 2), (0, 3), (1, 4)):
                hub.cut(keys[one], keys[other])
            for number in range(5):
                await networks[number % 2].publish("t", bytes([number]))
            await trio.sleep(0.02)
            taken = []
            for network in networks[:4]:
                batch: list[bytes] = []
                messages = []
                while True:
                    with trio.move_on_after(0.02) as scope:
                        messages += await network.received.receive()
                    if scope.cancelled_caught:
                        break
                taken.append(messages)
                assert batch == []
            assert await nothing_for(networks[4], 0.02)
            return taken

    first = await run()
    assert first == await run()
    assert [sorted(message.data for message in messages) for messages in first] == [
        [b"\1", b"\3"],
        [b"\0", b"\2", b"\4"],
        [b"\0", b"\1", b"\2", b"\3", b"\4"],
        [b"\0", b"\1", b"\2", b"\3", b"\4"],
    ]
