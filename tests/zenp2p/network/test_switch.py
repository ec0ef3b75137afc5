"""Which of two connections to one operator is kept."""

import random
from collections import Counter

import pytest
import trio

from protocol.units import OperatorKey
from tests.support.networks import loopback, seed
from tests.support.pipes import pipe
from zenp2p.network.connection import Connection
from zenp2p.network.identity import key_pair, peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import Muxer
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.switch import SAME_MOMENT, Switch

LOWER, HIGHER = sorted(
    (key_pair(seed(number)) for number in (1, 2)), key=lambda keys: keys.public_key.to_bytes()
)


async def kept(us_lower: bool, first_dialled: bool, second_dialled: bool, later: float) -> str:
    """Return which of two connections between the two operators our switch keeps."""
    us, them = (LOWER, HIGHER) if us_lower else (HIGHER, LOWER)
    key = OperatorKey(them.public_key.to_bytes())
    limits = Limits()
    table = PeerTable(OperatorKey(us.public_key.to_bytes()), limits, random.Random())
    switch = Switch(us, limits, Counter(), table)
    async with trio.open_nursery() as nursery:
        connections = []
        for dialled, since in ((first_dialled, 100.0), (second_dialled, 100.0 + later)):
            session, _other_end = pipe()
            connection = Connection(Muxer(session, peer_id(key)), key, loopback(1, 1), dialled=dialled)
            connection.since = since
            connections.append(connection)
            nursery.start_soon(switch.carry, connection)
            await connection.settled.wait()
        first, second = connections
        winner = switch.connection(key)
        loser = second if winner is first else first
        await loser.gone.wait()
        assert winner in connections and loser.is_closed and not winner.is_closed
        nursery.cancel_scope.cancel()
    return "first" if winner is first else "second"


@pytest.mark.parametrize("first_dialled", [True, False])
@pytest.mark.parametrize("us_lower", [True, False])
async def test_both_sides_keep_the_one_that_the_lower_key_dialled(
    us_lower: bool, first_dialled: bool
) -> None:
    the_lower_dialled_first = first_dialled == us_lower
    expected = "first" if the_lower_dialled_first else "second"
    assert await kept(us_lower, first_dialled, not first_dialled, 0.1) == expected


@pytest.mark.parametrize("dialled", [True, False])
async def test_of_two_from_one_side_the_newer_is_kept(dialled: bool) -> None:
    assert await kept(True, dialled, dialled, 0.1) == "second"


@pytest.mark.parametrize("first_dialled", [True, False])
@pytest.mark.parametrize("us_lower", [True, False])
async def test_after_a_while_the_newer_is_kept_whoever_dialled(us_lower: bool, first_dialled: bool) -> None:
    assert await kept(us_lower, first_dialled, not first_dialled, SAME_MOMENT + 0.1) == "second"
