"""What happens when the disk takes no more: nothing that is not written is ever sent."""

from collections.abc import Sequence

import pytest
import trio

from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Effect, Persist, Publish
from protocol.node.machine import Node
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.networks import loopback
from tests.support.operators import operators
from zenp2p.driver import Driver
from zenp2p.network.memory import Hub, open_memory_network
from zenp2p.store import MemoryStore, StoreReadOnly


class FullDisk(MemoryStore):
    """A store whose disk is full."""

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        raise StoreReadOnly("the disk is full")


class NoVotes:
    """A vote file that nothing may reach."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        raise AssertionError("a vote was recorded after the store had failed")

    def rewrite(self, records: Sequence[tuple[bytes, bytes]], *, complete: bool) -> None:
        raise AssertionError("the vote file was rewritten")


def test_a_step_that_cannot_be_written_is_not_sent_and_is_the_last_one() -> None:
    founders = operators(4)
    asked: list[Node] = []

    def act(node: Node) -> list[Effect]:
        asked.append(node)
        return [Persist(b"x", b"y", durable=True), Publish("topic", b"\x01said")]

    async def run() -> int:
        async with trio.open_nursery() as nursery:
            async with open_memory_network(Hub(), bytes(32), loopback(1), nursery) as network:
                node = Node(
                    founded_by(founders), founders[0].signer, MemoryChain(), MemoryStore(), VoteGuard()
                )
                said: list[bytes] = []
                network.publish = lambda topic, data: said.append(data)  # type: ignore[method-assign,assignment,return-value]
                driver = Driver(node, VoteGuard(), FullDisk(), NoVotes(), network, nursery, lambda news: None)
                for _ in range(2):
                    with pytest.raises(StoreReadOnly):
                        await driver.step(act)
                assert driver.halted.is_set()
            nursery.cancel_scope.cancel()
        return len(said)

    assert trio.run(run) == 0
    assert len(asked) == 1  # the second step never reached the machine: its state is ahead of the disk
