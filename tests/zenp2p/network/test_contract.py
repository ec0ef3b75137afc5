"""What the port promises, kept by the libp2p adapter and by the in-memory one alike."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from protocol.crypto import Signer
from protocol.errors import InvalidSignature
from protocol.units import OperatorKey
from tests.support.networks import (
    AnyNetwork,
    introduce,
    libp2p_networks,
    loopback,
    memory_networks,
    nothing_for,
    seed,
    take,
    until,
)
from zenp2p.network.limits import Limits
from zenp2p.ports import Network, Received, TransportError

Opener = Callable[..., AbstractAsyncContextManager[list[Any]]]


@pytest.fixture(params=[libp2p_networks, memory_networks], ids=["libp2p", "memory"])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.param
    return found


async def echo(peer: OperatorKey, ip: bytes, data: bytes) -> bytes:
    return peer + ip + data


async def in_mesh(networks: list[AnyNetwork], topic: str) -> None:
    """Wait until a message of each node reaches every other one, and take these messages."""
    for number, network in enumerate(networks):
        marker = bytes([number]) * 3
        others = [one for one in networks if one is not network]
        missing = set(range(len(others)))
        with trio.fail_after(20):
            while missing:
                await network.publish(topic, marker)
                for index in sorted(missing):
                    with trio.move_on_after(0.3):
                        while [m.data for m in await others[index].received.receive()].count(marker) == 0:
                            pass
                        missing.discard(index)
    for network in networks:
        while not await nothing_for(network, 0.05):
            pass


async def test_is_a_network(opener: Opener) -> None:
    async with opener(1) as (one,):
        network: Network = one
        assert network.operator_key == Signer(seed(11)).operator_key


async def test_a_request_is_answered_and_the_handler_sees_who_asks_from_where(opener: Opener) -> None:
    async with opener(2) as (one, two):
        two.serve("echo", echo)
        reply = await one.request(two.operator_key, "echo", b"question", 5)
        assert reply == one.operator_key + bytes([127, 0, 0, 11]) + b"question"


async def test_requests_go_both_ways_at_once_and_may_be_large_or_empty(opener: Opener) -> None:
    async with opener(2) as (one, two):
        sizes = [0, 1, 255, 70_000, 300_000, 1 << 20]

        async def size_of(_peer: OperatorKey, _ip: bytes, data: bytes) -> bytes:
            return data[::-1]

        async def ask(asker: AnyNetwork, asked: AnyNetwork, size: int) -> None:
            data = bytes(range(256)) * (size // 256 + 1)
            assert await asker.request(asked.operator_key, "reverse", data[:size], 10) == data[:size][::-1]

        one.serve("reverse", size_of)
        two.serve("reverse", size_of)
        async with trio.open_nursery() as nursery:
            for size in sizes:
                nursery.start_soon(ask, one, two, size)
                nursery.start_soon(ask, two, one, size)


async def test_a_request_that_nobody_serves_fails(opener: Opener) -> None:
    async with opener(2) as (one, two):
        with pytest.raises(TransportError, match="does not speak"):
            await one.request(two.operator_key, "unknown", b"", 5)
        two.serve("echo", echo)
        assert await one.request(two.operator_key, "echo", b"", 5)


async def test_a_request_to_an_operator_without_known_endpoint_fails(opener: Opener) -> None:
    async with opener(1) as (one,):
        with pytest.raises(TransportError, match="not connected"):
            await one.request(Signer(seed(99)).operator_key, "echo", b"", 5)


async def test_a_slow_handler_ends_at_the_askers_deadline(opener: Opener) -> None:
    async with opener(2) as (one, two):

        async def slow(_peer: OperatorKey, _ip: bytes, _data: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        two.serve("slow", slow)
        two.serve("echo", echo)
        begun = trio.current_time()
        with pytest.raises(TransportError):
            await one.request(two.operator_key, "slow", b"", 0.2)
        assert trio.current_time() - begun < 2
        assert await one.request(two.operator_key, "echo", b"", 5)


async def test_a_slow_handler_ends_at_its_own_deadline_too(opener: Opener) -> None:
    async with opener(2, limits=Limits(request_seconds=0.2)) as (one, two):
        ended = trio.Event()

        async def slow(_peer: OperatorKey, _ip: bytes, _data: bytes) -> bytes:
            try:
                await trio.sleep_forever()
            finally:
                ended.set()
            raise AssertionError

        two.serve("slow", slow)
        with pytest.raises(TransportError):
            await one.request(two.operator_key, "slow", b"", 5)
        await until(ended.is_set)


async def test_a_broken_rule_costs_the_peer_its_connection_and_nobody_else(opener: Opener) -> None:
    async with opener(3) as (one, two, three):

        async def strict(_peer: OperatorKey, _ip: bytes, data: bytes) -> bytes:
            if data == b"bad":
                raise InvalidSignature("not signed")
            return b"good"

        three.serve("strict", strict)
        with pytest.raises(TransportError):
            await one.request(three.operator_key, "strict", b"bad", 5)
        assert three.counters["peers_cut"] == 1
        assert await two.request(three.operator_key, "strict", b"fine", 5) == b"good"
        assert await one.request(three.operator_key, "strict", b"fine", 5) == b"good"  # dialled again


async def test_a_dropped_peer_loses_its_connection_and_nobody_else_does(opener: Opener) -> None:
    async with opener(3) as (one, two, three):
        for network in (one, two, three):
            network.serve("echo", echo)
        for network, other in ((one, two), (two, one)):
            network.forget(other.operator_key)
        await two.drop(one.operator_key)
        await two.drop(OperatorKey(bytes(32)))  # a stranger
        await until(lambda: len(one.peers()) == len(two.peers()) == 1)
        with pytest.raises(TransportError):
            await one.request(two.operator_key, "echo", b"", 5)
        assert await three.request(two.operator_key, "echo", b"not me", 5)
        introduce([one, two])
        assert await one.request(two.operator_key, "echo", b"again", 5)


async def test_a_direct_message_arrives_with_its_sender_and_no_topic(opener: Opener) -> None:
    async with opener(2) as (one, two):
        await one.send(two.operator_key, b"first")
        await one.send(two.operator_key, b"")
        await one.send(two.operator_key, b"x" * (1 << 20))
        messages = await take(two, 3)
        assert [message.data for message in messages] == [b"first", b"", b"x" * (1 << 20)]
        assert {(m.peer, m.ip, m.topic) for m in messages} == {(one.operator_key, bytes([127, 0, 0, 11]), "")}


async def test_gossip_reaches_every_subscriber_once_and_not_its_author(opener: Opener) -> None:
    async with opener(4, topics=["blocks"]) as networks:
        await in_mesh(networks, "blocks")
        for number in range(20):
            await networks[number % 4].publish("blocks", b"message %d" % number)
        for index, network in enumerate(networks):
            messages = await take(network, 15)
            mine = [b"message %d" % number for number in range(20) if number % 4 != index]
            assert sorted(message.data for message in messages) == sorted(mine)
            assert {message.topic for message in messages} == {"blocks"}
            assert await nothing_for(network, 0.1)


async def test_gossip_stays_in_its_topic(opener: Opener) -> None:
    async with opener(3, topics=["one"]) as networks:
        networks[0].subscribe("two")
        networks[1].subscribe("two")
        await in_mesh(networks[:2], "two")
        await networks[0].publish("two", b"for one")
        assert [message.data for message in await take(networks[1], 1)] == [b"for one"]
        assert await nothing_for(networks[2], 0.2)


async def test_who_is_not_in_a_topic_reaches_those_who_are_and_hears_nothing_of_it(opener: Opener) -> None:
    async with opener(4, topics=["everybody"]) as networks:
        outsider, *insiders = networks
        for network in insiders:
            network.subscribe("group")
        await in_mesh(networks, "everybody")
        await in_mesh(insiders, "group")
        for number in range(5):
            await outsider.publish("group", b"from outside %d" % number)
        for network in insiders:
            messages = await take(network, 5)
            assert sorted(m.data for m in messages) == [b"from outside %d" % number for number in range(5)]
            assert {message.topic for message in messages} == {"group"}
        await insiders[0].publish("group", b"from inside")
        for network in insiders[1:]:
            assert [message.data for message in await take(network, 1)] == [b"from inside"]
        assert await nothing_for(outsider, 0.2)


async def test_who_leaves_a_topic_hears_no_more_of_it_until_it_is_back(opener: Opener) -> None:
    async with opener(4, topics=["group"]) as networks:
        leaver, *others = networks
        await in_mesh(networks, "group")
        leaver.unsubscribe("group")
        leaver.unsubscribe("group")
        leaver.unsubscribe("a topic that it never was in")
        await others[0].publish("group", b"the last that it may hear")
        while not await nothing_for(leaver, 0.3):
            pass
        await others[0].publish("group", b"without it")
        await leaver.publish("group", b"from outside")
        for network in others[1:]:
            heard = {message.data for message in await take(network, 3)}
            assert heard == {b"the last that it may hear", b"without it", b"from outside"}
        assert await nothing_for(leaver, 0.2)
        assert [message.data for message in await take(others[0], 1)] == [b"from outside"]
        leaver.subscribe("group")
        await in_mesh(networks, "group")


async def test_a_message_above_the_limit_is_our_own_mistake(opener: Opener) -> None:
    async with opener(2, limits=Limits(message_size_max=100)) as (one, two):
        two.serve("echo", echo)
        with pytest.raises(ValueError, match="101 bytes"):
            await one.publish("topic", bytes(101))
        with pytest.raises(ValueError, match="101 bytes"):
            await one.send(two.operator_key, bytes(101))
        with pytest.raises(ValueError, match="101 bytes"):
            await one.request(two.operator_key, "echo", bytes(101), 5)


async def test_a_probe_reaches_the_operator_at_its_endpoint(opener: Opener) -> None:
    async with opener(2) as (one, two):
        two.serve("echo", echo)
        found = await one.probe(two.operator_key, two.endpoint, "echo", b"nonce", 5)
        assert found == (bytes([127, 0, 0, 12]), one.operator_key + bytes([127, 0, 0, 11]) + b"nonce")


async def test_a_probe_does_not_count_an_existing_connection(opener: Opener) -> None:
    async with opener(2) as (one, two):
        two.serve("echo", echo)
        assert await one.request(two.operator_key, "echo", b"", 5)
        with pytest.raises(TransportError):
            await one.probe(two.operator_key, loopback(12, 1), "echo", b"nonce", 5)


async def test_a_probe_wants_that_very_operator(opener: Opener) -> None:
    async with opener(3) as (one, two, three):
        for network in (two, three):
            network.serve("echo", echo)
        with pytest.raises(TransportError):
            await one.probe(two.operator_key, three.endpoint, "echo", b"nonce", 5)


async def test_a_probe_with_an_unserved_protocol_or_a_refusal_fails(opener: Opener) -> None:
    async with opener(2) as (one, two):

        async def refuse(_peer: OperatorKey, _ip: bytes, _data: bytes) -> bytes:
            raise InvalidSignature("no")

        two.serve("refuse", refuse)
        for protocol in ("unknown", "refuse"):
            with pytest.raises(TransportError):
                await one.probe(two.operator_key, two.endpoint, protocol, b"", 5)
        two.serve("echo", echo)
        assert await one.probe(two.operator_key, two.endpoint, "echo", b"", 5)


async def test_peers_are_sorted_and_have_their_addresses(opener: Opener) -> None:
    async with opener(4) as networks:
        keys = {network.operator_key: network.endpoint.ip for network in networks}
        for network in networks:
            expected = sorted((key, ip) for key, ip in keys.items() if key != network.operator_key)
            assert list(network.peers()) == expected


async def test_nobody_connects_with_himself(opener: Opener) -> None:
    async with opener(1) as (one,):
        one.learn(one.operator_key, one.endpoint)
        await trio.sleep(0.1)
        assert list(one.peers()) == []


async def test_the_batches_are_bounded(opener: Opener) -> None:
    limits = Limits(batch_max=8, direct_pending_max=64)
    async with opener(2, limits=limits) as (one, two):
        for number in range(40):
            await one.send(two.operator_key, b"%d" % number)
        received: list[Received] = []
        while len(received) < 40:
            with trio.fail_after(5):
                batch = await two.received.receive()
            assert 1 <= len(batch) <= 8
            received += batch
        assert [message.data for message in received] == [b"%d" % number for number in range(40)]


async def test_slow_reading_drops_the_oldest_gossip_and_counts_it(opener: Opener) -> None:
    limits = Limits(gossip_pending_max=10)
    async with opener(2, topics=["topic"], limits=limits) as networks:
        await in_mesh(networks, "topic")
        one, two = networks
        for number in range(50):
            await one.publish("topic", b"%d" % number)
        await until(lambda: two.counters["gossip_dropped"] >= 30)
        left: list[bytes] = []
        while not await nothing_for(two, 0.2, into=left):
            pass
        assert left[-1] == b"49" and len(left) <= 20  # one batch was already handed over


async def test_direct_messages_are_not_dropped_but_make_their_sender_wait(opener: Opener) -> None:
    limits = Limits(direct_pending_max=4, write_seconds=5)
    async with opener(2, limits=limits) as (one, two):
        size = 100_000  # some of these fill the stream's window

        async def send() -> None:
            for number in range(30):
                await one.send(two.operator_key, number.to_bytes(2, "big") * (size // 2))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(0.2)
            messages = await take(two, 30)
        assert [int.from_bytes(message.data[:2], "big") for message in messages] == list(range(30))


async def test_introduced_networks_stay_introduced(opener: Opener) -> None:
    async with opener(3) as networks:
        introduce(networks)
        introduce(networks)
        await trio.sleep(0.1)
        assert all(len(network.peers()) == 2 for network in networks)
