"""Whom to dial, and when again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from protocol.units import OperatorKey
from tests.support.networks import loopback
from zenp2p.network.limits import Limits
from zenp2p.network.peer_table import SHORT_LIFE, PeerTable

LIMITS = Limits(redial_first=1.0, redial_most=60.0, known_peers_max=5)
NOBODY: frozenset[OperatorKey] = frozenset()


def key(number: int) -> OperatorKey:
    return OperatorKey(bytes([number]) * 32)


def table() -> PeerTable:
    return PeerTable(OperatorKey(bytes(32)), LIMITS, random.Random(7))


def test_who_is_learnt_is_due_at_once_unless_connected() -> None:
    peers = table()
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    peers.learn(key(2), loopback(2, 1), NOBODY, 0.0)
    assert sorted(peers.due(NOBODY, 0.0)) == [key(1), key(2)]
    assert peers.due(frozenset([key(1)]), 0.0) == [key(2)]
    peers.forget(key(2))
    assert peers.due(frozenset([key(1)]), 0.0) == []
    assert peers.endpoint(key(2)) is None


@given(st.integers(1, 40))
def test_the_wait_doubles_with_jitter_up_to_the_longest(failures: int) -> None:
    peers = table()
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    for _ in range(failures):
        peers.failed(key(1), 100.0)
    longest = min(60.0, 1.0 * 2 ** (failures - 1))
    due = peers.next_due(NOBODY)
    assert due is not None and 100.0 + longest / 2 <= due <= 100.0 + longest
    assert peers.due(NOBODY, due - 0.01) == []
    assert peers.due(NOBODY, due) == [key(1)]


def test_a_new_endpoint_is_dialled_at_once_and_the_known_one_waits_on() -> None:
    peers = table()
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    peers.failed(key(1), 0.0)
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    assert peers.due(NOBODY, 0.1) == []
    peers.learn(key(1), loopback(1, 2), NOBODY, 0.0)
    assert peers.due(NOBODY, 0.1) == [key(1)]
    assert peers.endpoint(key(1)) == loopback(1, 2)


def test_a_connection_that_lasted_starts_the_waits_over_and_a_short_one_does_not() -> None:
    peers = table()
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    for _ in range(6):
        peers.failed(key(1), 0.0)
    peers.ended(key(1), SHORT_LIFE, 100.0)
    assert (peers.next_due(NOBODY) or 0) <= 101.0
    for _ in range(4):
        peers.ended(key(1), 0.1, 200.0)
    assert (peers.next_due(NOBODY) or 0) >= 208.0


def test_a_full_table_forgets_who_was_learnt_first_and_is_not_connected() -> None:
    peers = table()
    for number in range(1, 6):
        peers.learn(key(number), loopback(number, 1), NOBODY, 0.0)
    peers.learn(key(6), loopback(6, 1), frozenset([key(1)]), 0.0)
    assert sorted(peers.known) == [key(1), key(3), key(4), key(5), key(6)]


def test_of_two_nodes_the_one_with_the_higher_key_waits_longer_to_dial() -> None:
    low, high = key(1), key(2)
    tables = {me: PeerTable(me, LIMITS, random.Random(7)) for me in (low, high)}
    tables[low].learn(high, loopback(2, 1), NOBODY, 10.0)
    tables[high].learn(low, loopback(1, 1), NOBODY, 10.0)
    assert tables[low].next_due(NOBODY) == 10.0
    assert tables[high].next_due(NOBODY) == 10.0 + LIMITS.dial_patience
    tables[low].failed(high, 20.0)
    tables[high].failed(low, 20.0)
    assert (tables[high].next_due(NOBODY) or 0) >= 20.5 + LIMITS.dial_patience


def test_nothing_happens_for_strangers() -> None:
    peers = table()
    peers.failed(key(1), 0.0)
    peers.ended(key(1), 1.0, 0.0)
    peers.forget(key(1))
    assert peers.next_due(NOBODY) is None
