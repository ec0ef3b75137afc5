"""Agreeing on protocols, with friends, strangers and libp2p itself."""

from contextlib import suppress

import pytest
import trio
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import create_new_key_pair as new_secp256k1
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError, MultiselectError
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from protocol.units import OperatorKey
from tests.support.networks import loopback, seed
from tests.support.pipes import pipe
from zenp2p.network.identity import key_pair, operator_key
from zenp2p.network.negotiate import LINE_MAX, PROBE, YAMUX, BoundedLines, Upgrader, propose
from zenp2p.network.tcp import TcpConnection, dial, listen, listening_on
from zenp2p.ports import TransportError

HELLO = b"\x13/multistream/1.0.0\n"
ONE, OTHER = key_pair(seed(1)), key_pair(seed(2))
A, B = TProtocol("/a/1"), TProtocol("/b/1")


async def negotiated(protocol: TProtocol) -> object:
    """Return what the listening side agreed on when `protocol` is proposed to one that speaks A."""
    near, far = pipe()
    agreed: list[object] = []

    async def answer() -> None:
        agreed.append((await Multiselect({A: None}).negotiate(BoundedLines(far)))[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        try:
            await propose(near, protocol)
        finally:
            nursery.cancel_scope.cancel() if protocol != A else None
    return agreed[0]


async def test_a_protocol_is_agreed_in_one_round_trip() -> None:
    assert await negotiated(A) == A
    near, far = pipe()
    with trio.move_on_after(0.05):
        await propose(near, A)
    assert near.writes == 1 and (await far.read(1000)).startswith(HELLO)


async def test_a_protocol_that_is_not_spoken() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await negotiated(B)
    assert caught.group_contains(TransportError, match="does not speak /b/1")


async def test_libp2ps_client_understands_our_server_and_ours_its_server() -> None:
    near, far = pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Multiselect({A: None}).negotiate, BoundedLines(far))
        assert await MultiselectClient().select_one_of([B, A], MultiselectCommunicator(near)) == A
    near, far = pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Multiselect({A: None}).negotiate, MultiselectCommunicator(far))
        await propose(near, A)


HOSTILE = {
    "not text": HELLO + b"\x05\xff\xfe\xfd\xfc\n",
    "no end of line": HELLO + b"\x03/a/",
    "an empty line": HELLO + b"\x00",
    "a length of 4 GiB": b"\xff\xff\xff\xff\x0f",
    "a length without end": b"\xff" * 100,
    "a line above the limit": (LINE_MAX + 1).to_bytes(2, "little") + b"x",
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_lines_raise_nothing_but_libp2ps_own_error(data: bytes) -> None:
    near, far = pipe()
    await near.write(data)
    await near.stream.aclose()
    with pytest.raises(MultiselectError):
        await Multiselect({A: None}).negotiate(BoundedLines(far))


async def test_a_length_costs_no_memory() -> None:
    near, far = pipe()
    await near.write(b"\xff\xff\x03")
    with pytest.raises(MultiselectCommunicatorError, match="more than 1024"):
        await BoundedLines(far).read()


async def upgraded(keys: KeyPair, expected: OperatorKey) -> tuple[OperatorKey, TProtocol]:
    """Dial, over TCP, whoever has `keys` as `expected`; return what the dialled side found."""
    listener = await listen(loopback(11))
    found: list[tuple[OperatorKey, TProtocol]] = []

    async def answer() -> None:
        raw = TcpConnection(await listener.accept(), initiator=False)
        try:
            _, key, then = await Upgrader(keys).inbound(raw)
            found.append((key, then))
        except (BaseLibp2pError, TransportError) as error:
            failures.append(error)
            raw.abort()

    failures: list[Exception] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        raw = await dial(listening_on(listener), None)
        try:
            await Upgrader(ONE).outbound(raw, expected, PROBE)
        finally:
            raw.abort()
    await listener.aclose()
    return found[0]


async def test_both_sides_know_each_other_and_what_follows() -> None:
    found = await upgraded(OTHER, operator_key_of(OTHER))
    assert found == (operator_key_of(ONE), PROBE) and PROBE != YAMUX


async def test_an_operator_that_is_somebody_else() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await upgraded(OTHER, OperatorKey(seed(9)))
    assert caught.group_contains(BaseLibp2pError)


async def test_a_peer_whose_key_is_not_ed25519_is_no_operator() -> None:
    listener = await listen(loopback(11))
    stranger = new_secp256k1()
    async with trio.open_nursery() as nursery:
        raw = await dial(listening_on(listener), None)
        far = TcpConnection(await listener.accept(), initiator=False)

        async def come() -> None:
            with suppress(BaseLibp2pError, TransportError):
                await Upgrader(stranger).outbound(raw, operator_key_of(ONE), YAMUX)

        nursery.start_soon(come)
        with pytest.raises(TransportError, match="not an Ed25519 key"):
            await Upgrader(ONE).inbound(far)
        far.abort()


def operator_key_of(keys: KeyPair) -> OperatorKey:
    """Return the operator of a key pair."""
    return operator_key(ID.from_pubkey(keys.public_key))
