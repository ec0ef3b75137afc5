"""Networks for tests: a few nodes of either adapter, and waiting for what they do."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from zenp2p.network.host import LibP2PNetwork, open_network
from zenp2p.network.limits import Limits
from zenp2p.network.memory import Hub, MemoryNetwork, open_memory_network
from zenp2p.ports import Endpoint, Network, Received

PATIENCE = 10.0
"""Seconds after which a test stops waiting; what it waits for takes milliseconds."""
AnyNetwork = LibP2PNetwork | MemoryNetwork


def seed(number: int) -> bytes:
    """Return the 32-byte seed of test operator `number`."""
    return number.to_bytes(32, "big")


def loopback(number: int, port: int = 0) -> Endpoint:
    """Return an endpoint at 127.0.0.`number`."""
    return Endpoint(bytes([127, 0, 0, number]), port)


async def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds; raises `trio.TooSlowError` when it does not in time."""
    with trio.fail_after(seconds):
        while not holds():
            await trio.sleep(0.005)


async def take(network: Network, count: int, seconds: float = PATIENCE) -> list[Received]:
    """Return the next `count` messages that a network received."""
    messages: list[Received] = []
    with trio.fail_after(seconds):
        while len(messages) < count:
            messages += await network.received.receive()
    return messages


async def nothing_for(network: Network, seconds: float, into: list[bytes] | None = None) -> bool:
    """Whether nothing is received for so long; what is received goes `into` a list."""
    with trio.move_on_after(seconds) as scope:
        batch = await network.received.receive()
        if into is not None:
            into += [message.data for message in batch]
    return scope.cancelled_caught


def introduce(networks: Sequence[AnyNetwork]) -> None:
    """Tell everybody where everybody listens."""
    for one in networks:
        for other in networks:
            one.learn(other.operator_key, other.endpoint)


async def all_connected(networks: Sequence[AnyNetwork]) -> None:
    """Wait until everybody is connected with everybody."""
    await until(lambda: all(len(one.peers()) == len(networks) - 1 for one in networks))


@asynccontextmanager
async def libp2p_networks(
    count: int, *, topics: Sequence[str] = (), limits: Limits | None = None
) -> AsyncIterator[list[LibP2PNetwork]]:
    """Run `count` nodes at 127.0.0.11 and up, connected with each other."""
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        networks = [
            await stack.enter_async_context(
                open_network(seed(number), loopback(number), nursery, limits=limits)
            )
            for number in range(11, 11 + count)
        ]
        for network in networks:
            for topic in topics:
                network.subscribe(topic)
        introduce(networks)
        await all_connected(networks)
        yield networks


@asynccontextmanager
async def memory_networks(
    count: int, *, topics: Sequence[str] = (), limits: Limits | None = None, hub: Hub | None = None
) -> AsyncIterator[list[MemoryNetwork]]:
    """Run `count` in-memory nodes at 127.0.0.11 and up, linked with each other."""
    world = hub or Hub()
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        networks = [
            await stack.enter_async_context(
                open_memory_network(world, seed(number), loopback(number), nursery, limits=limits)
            )
            for number in range(11, 11 + count)
        ]
        for network in networks:
            for topic in topics:
                network.subscribe(topic)
        introduce(networks)
        yield networks
