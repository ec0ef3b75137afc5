"""Direct messages on their way: in order, bounded, and no peer's trouble is another's."""

from typing import cast

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from protocol.node.effects import Send
from protocol.units import OperatorKey
from zenp2p import direct_sends as module
from zenp2p.direct_sends import SEND_SECONDS_MAX, SENDS_AT_ONCE_MAX, DirectSends
from zenp2p.ports import Network, TransportError


def peer(number: int) -> OperatorKey:
    return OperatorKey(number.to_bytes(32, "big"))


class Wire:
    """A network that is slow to some peers and fails to others."""

    def __init__(self) -> None:
        self.begun: list[tuple[OperatorKey, bytes]] = []
        self.arrived: dict[OperatorKey, list[bytes]] = {}
        self.frozen: set[OperatorKey] = set()
        self.unreachable: set[OperatorKey] = set()

    async def send(self, to: OperatorKey, data: bytes) -> None:
        self.begun.append((to, data))
        await trio.sleep(0.001 * (len(data) % 7))
        if to in self.unreachable:
            raise TransportError("nobody there")
        if to in self.frozen:
            await trio.sleep_forever()
        self.arrived.setdefault(to, []).append(data)


def sends_over(wire: Wire, nursery: trio.Nursery) -> DirectSends:
    return DirectSends(cast(Network, wire), nursery)


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=9)), max_size=40))
def test_each_peer_gets_its_messages_in_their_order(messages: list[tuple[int, bytes]]) -> None:
    async def main() -> dict[OperatorKey, list[bytes]]:
        wire = Wire()
        async with trio.open_nursery() as nursery:
            sends = sends_over(wire, nursery)
            for to, data in messages:
                sends.start(Send(peer(to), data))
                if len(data) == 9:
                    await trio.sleep(0.002)
        assert sends.dropped == 0
        return wire.arrived

    expected: dict[OperatorKey, list[bytes]] = {}
    for to, data in messages:
        expected.setdefault(peer(to), []).append(data)
    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == expected


async def test_a_frozen_peer_takes_one_place_and_loses_what_waits_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wire = Wire()
    wire.frozen = {peer(0)}
    async with trio.open_nursery() as nursery:
        sends = sends_over(wire, nursery)
        for number in range(SENDS_AT_ONCE_MAX + 5):
            sends.start(Send(peer(0), b"%d" % number))
        sends.start(Send(peer(1), b"prompt"))
        await trio.sleep(SEND_SECONDS_MAX - 1)
        assert wire.arrived == {peer(1): [b"prompt"]}
        assert wire.begun.count((peer(0), b"0")) == 1
        assert len(wire.begun) == 2
        await trio.sleep(2)
        assert sends.dropped == SENDS_AT_ONCE_MAX + 4
        wire.frozen.clear()
        sends.start(Send(peer(0), b"again"))
    assert wire.arrived[peer(0)] == [b"again"]


async def test_a_peer_that_cannot_be_reached_is_tried_once_for_all_that_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wire = Wire()
    wire.unreachable = {peer(0)}
    async with trio.open_nursery() as nursery:
        sends = sends_over(wire, nursery)
        for data in (b"one", b"two", b"three"):
            sends.start(Send(peer(0), data))
    assert wire.begun == [(peer(0), b"one")]
    assert sends.dropped == 2


async def test_messages_go_to_so_many_peers_at_once(autojump_clock: trio.testing.MockClock) -> None:
    wire = Wire()
    wire.frozen = {peer(number) for number in range(SENDS_AT_ONCE_MAX)}
    async with trio.open_nursery() as nursery:
        sends = sends_over(wire, nursery)
        for number in range(SENDS_AT_ONCE_MAX):
            sends.start(Send(peer(number), b"x"))
        await trio.sleep(1)
        sends.start(Send(peer(1_000), b"waits its turn"))
        await trio.sleep(SEND_SECONDS_MAX - 2)
        assert wire.arrived == {}
    assert wire.arrived == {peer(1_000): [b"waits its turn"]}


async def test_what_waits_is_bounded_by_number_and_by_bytes_in_all_and_by_bytes_for_one(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(module, "SENDS_WAITING_BYTES_MAX", 100)
    monkeypatch.setattr(module, "SENDS_TO_ONE_BYTES_MAX", 50)
    monkeypatch.setattr(module, "SENDS_WAITING_MAX", 5)
    wire = Wire()
    async with trio.open_nursery() as nursery:
        sends = sends_over(wire, nursery)
        dropped = []
        for to, size in ((0, 40), (0, 11), (0, 10), (1, 40), (2, 11), (2, 1), (2, 1), (3, 1), (3, 1)):
            sends.start(Send(peer(to), bytes(size)))
            dropped.append(sends.dropped)
        assert dropped == [0, 1, 1, 1, 2, 2, 2, 3, 4]
        await trio.sleep(1)
        sends.start(Send(peer(0), bytes(50)))
        sends.start(Send(peer(1), bytes(50)))
        assert sends.dropped == 4  # what has left makes room
    assert sorted(len(data) for datas in wire.arrived.values() for data in datas) == [
        1,
        1,
        10,
        40,
        40,
        50,
        50,
    ]


async def test_what_a_failure_leaves_behind_makes_room(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(module, "SENDS_WAITING_BYTES_MAX", 100)
    wire = Wire()
    wire.unreachable = {peer(0)}
    async with trio.open_nursery() as nursery:
        sends = sends_over(wire, nursery)
        for _ in range(2):
            sends.start(Send(peer(0), bytes(40)))
        await trio.sleep(1)
        sends.start(Send(peer(1), bytes(100)))
    assert wire.arrived == {peer(1): [bytes(100)]}
