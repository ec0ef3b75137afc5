"""Whom to dial, and when again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from protocol.units import OperatorKey
from tests.support.networks import loopback
from zenp2p.network.limits import Limits
from zenp2p.network.peer_table import SHORT_LIFE, PeerTable
from zenp2p.ports import Endpoint

LIMITS = Limits(redial_first=1.0, redial_most=60.0, redial_kept_most=4.0, known_peers_max=5, kept_max=3)
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


def test_kept_peers_are_due_apart_and_those_released_are_like_the_others() -> None:
    peers = table()
    for number in (1, 2, 3):
        peers.learn(key(number), loopback(number, 1), NOBODY, 0.0)
    peers.keep([key(2), key(9)], 0.0)  # where 9 listens is not known
    assert peers.due(NOBODY, 0.0, kept=True) == [key(2)]
    assert sorted(peers.due(NOBODY, 0.0)) == [key(1), key(3)]
    assert peers.next_due(frozenset([key(2)]), kept=True) is None
    peers.learn(key(9), loopback(9, 1), NOBODY, 0.0)
    assert sorted(peers.due(NOBODY, 0.0, kept=True)) == [key(2), key(9)]
    peers.keep([key(3)], 0.0)
    assert peers.due(NOBODY, 0.0, kept=True) == [key(3)]
    assert sorted(peers.due(NOBODY, 0.0)) == [key(1), key(2), key(9)]


def test_of_too_many_kept_peers_the_first_are_kept_and_never_ourselves() -> None:
    peers = table()
    peers.keep([OperatorKey(bytes(32)), *map(key, (4, 1, 3, 2))], 0.0)
    assert peers.kept == {key(4), key(1), key(3)}


def test_a_kept_peer_is_dialled_at_once_and_again_soon_unless_it_refused_us() -> None:
    peers = table()
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    for _ in range(9):
        peers.failed(key(1), 0.0)
    peers.keep([key(1)], 5.0)
    assert peers.due(NOBODY, 5.0, kept=True) == [key(1)]
    for _ in range(9):
        peers.failed(key(1), 5.0)
    assert (peers.next_due(NOBODY, kept=True) or 0) <= 5.0 + 4.0
    peers.keep([key(2), key(1)], 5.0)  # it was kept before: its waits go on
    assert peers.due(NOBODY, 5.0, kept=True) == []
    peers.ended(key(1), 0.1, 10.0)
    assert (peers.next_due(NOBODY, kept=True) or 0) >= 10.0 + 60.0 / 2


def test_a_full_table_forgets_no_kept_peer() -> None:
    peers = table()
    peers.keep([key(1), key(2)], 0.0)
    for number in range(1, 8):
        peers.learn(key(number), loopback(number, 1), frozenset([key(3)]), 0.0)
    assert sorted(peers.known) == [key(1), key(2), key(3), key(6), key(7)]


def test_where_kept_peers_listen_is_known_by_address() -> None:
    peers = table()
    v6 = bytes(7) + b"\1" + bytes(7)
    peers.learn(key(1), loopback(1, 1), NOBODY, 0.0)
    peers.learn(key(2), Endpoint(v6 + b"\1", 1), NOBODY, 0.0)
    assert not peers.is_kept_at(loopback(1).ip)
    peers.keep([key(1), key(2)], 0.0)
    assert peers.is_kept_at(loopback(1).ip) and not peers.is_kept_at(loopback(2).ip)
    assert peers.is_kept_at(v6 + b"\2"), "one /64 is one place"
    peers.learn(key(1), loopback(3, 1), NOBODY, 0.0)
    assert peers.is_kept_at(loopback(3).ip) and not peers.is_kept_at(loopback(1).ip)
    peers.forget(key(1))
    assert not peers.is_kept_at(loopback(3).ip)
    peers.keep([], 0.0)
    assert not peers.is_kept_at(v6 + b"\2")


def test_nothing_happens_for_strangers() -> None:
    peers = table()
    peers.failed(key(1), 0.0)
    peers.ended(key(1), 1.0, 0.0)
    peers.forget(key(1))
    assert peers.next_due(NOBODY) is None
