"""Who is let in, before a byte is read."""

from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from zenp2p.network.admission import Admission, Guest, origin
from zenp2p.network.limits import Limits

ONE, OTHER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
LIMITS = Limits(connections_per_ip_max=4, handshakes_per_ip_max=2, handshakes_max=5, sockets_max=9)


FIRST_KEPT = 4
"""Last byte of the first of two addresses where kept peers listen."""


def nobody() -> None:
    raise AssertionError("this one should not have to give way")


def enter(admission: Admission, ip: bytes, *, authenticated: bool = False) -> Guest | None:
    guest = admission.enter(ip, nobody)
    if guest is not None and authenticated:
        admission.authenticated(guest)
    return guest


def test_half_open_sockets_of_one_address_use_up_its_places_only() -> None:
    admission = Admission(LIMITS)
    assert enter(admission, ONE) and enter(admission, ONE)
    assert enter(admission, ONE) is None
    assert enter(admission, OTHER)
    assert admission.refused == 1


def test_an_authenticated_socket_frees_a_place_for_a_handshake() -> None:
    admission = Admission(LIMITS)
    for _ in range(4):
        assert enter(admission, ONE, authenticated=True)
    assert enter(admission, ONE) is None  # four sockets are its share
    assert enter(admission, OTHER)


def test_leaving_gives_the_places_back_whether_authenticated_or_not() -> None:
    admission = Admission(LIMITS)
    for authenticated in (True, False) * 20:
        guest = enter(admission, ONE, authenticated=authenticated)
        assert guest is not None
        admission.leave(guest)
    assert admission.inside == 0 and admission.half_open == 0


def test_the_oldest_handshake_gives_way_to_a_new_one() -> None:
    admission = Admission(LIMITS)
    gave_way: list[int] = []
    for number in range(8):
        assert admission.enter(bytes([10, 0, 0, number]), partial(gave_way.append, number))
    assert gave_way == [0, 1, 2]
    assert admission.half_open == 5


def test_there_is_a_most_for_all_sockets_together() -> None:
    admission = Admission(LIMITS)
    for number in range(9):
        assert enter(admission, bytes([10, 0, 0, number]), authenticated=True)
    assert enter(admission, ONE) is None


def full(*, authenticated: bool) -> Admission:
    """Return an admission where as many are inside, or half-open, as may be."""
    admission = Admission(LIMITS)
    for number in range(LIMITS.sockets_max if authenticated else LIMITS.handshakes_max):
        assert enter(admission, bytes([10, 0, 0, number]), authenticated=authenticated)
    return admission


def test_the_address_of_a_kept_peer_has_places_that_no_other_can_take_and_no_more() -> None:
    admission = full(authenticated=True)
    for _ in range(LIMITS.sockets_kept_per_ip):
        guest = admission.enter(ONE, nobody, kept=True)
        assert guest is not None
        admission.authenticated(guest)
    assert admission.enter(ONE, nobody, kept=True) is None
    assert enter(admission, OTHER) is None
    assert admission.enter(OTHER, nobody, kept=True)


def test_a_handshake_from_the_address_of_a_kept_peer_gives_way_to_nobody_elses() -> None:
    admission = Admission(LIMITS)
    assert admission.enter(ONE, nobody, kept=True)
    gave_way: list[int] = []
    for number in range(8):
        assert admission.enter(bytes([10, 0, 0, number]), partial(gave_way.append, number))
    assert gave_way == [0, 1, 2, 3]
    assert admission.half_open == LIMITS.handshakes_max


def test_when_all_handshakes_are_of_kept_peers_only_kept_peers_come_in() -> None:
    admission = Admission(LIMITS)
    for number in range(LIMITS.handshakes_max + 1):
        assert admission.enter(bytes([10, 0, 0, number]), nobody, kept=True)
    assert enter(admission, OTHER) is None


def test_limits_of_one_address_hold_for_kept_peers_too() -> None:
    limits = Limits(connections_per_ip_max=4, handshakes_per_ip_max=1, sockets_kept_per_ip=9)
    admission = Admission(limits)
    assert admission.enter(ONE, nobody, kept=True)
    assert admission.enter(ONE, nobody, kept=True) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), False),
        (bytes(8) + bytes([1] * 8), bytes(8) + bytes([2] * 8), True),
        (bytes(7) + b"\1" + bytes(8), bytes(7) + b"\2" + bytes(8), False),
    ],
    ids=["IPv4", "one /64", "two /64"],
)
def test_addresses_count_alone_and_ipv6_by_its_64_bits(one: bytes, other: bytes, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


class AdmissionMachine(RuleBasedStateMachine):
    """Any order of entering, authenticating, giving way and leaving."""

    inside = Bundle("inside")

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(LIMITS)
        self.sockets: dict[int, tuple[Guest, bool]] = {}
        self.number = 0

    @rule(target=inside, last=st.integers(0, 5))
    def enter(self, last: int) -> object:
        """At some addresses a kept peer listens."""
        self.number += 1
        number = self.number
        ip, is_kept = bytes([10, 0, 0, last]), last >= FIRST_KEPT
        guest = self.admission.enter(ip, lambda: self.give_way(number), kept=is_kept)
        if guest is None and is_kept:
            count = sum(other.ip == ip for other, _ in self.sockets.values())
            assert count >= LIMITS.sockets_kept_per_ip
        if guest is None:
            return multiple()
        self.sockets[number] = (guest, False)
        return number

    def give_way(self, number: int) -> None:
        guest, authenticated = self.sockets.pop(number)
        assert not authenticated
        self.admission.leave(guest)

    @rule(number=inside)
    def authenticate(self, number: int) -> None:
        if number in self.sockets:
            guest, _ = self.sockets[number]
            self.admission.authenticated(guest)
            self.sockets[number] = (guest, True)

    @rule(number=consumes(inside))
    def leave(self, number: int) -> None:
        if number in self.sockets:
            self.admission.leave(self.sockets.pop(number)[0])

    @invariant()
    def counts_are_those_of_a_naive_model(self) -> None:
        half_open = [guest.ip for guest, authenticated in self.sockets.values() if not authenticated]
        everybody = [guest.ip for guest, _ in self.sockets.values()]
        apart = 2 * LIMITS.sockets_kept_per_ip
        assert self.admission.inside == len(everybody) <= LIMITS.sockets_max + apart
        assert self.admission.half_open == len(half_open) <= LIMITS.handshakes_max + apart
        for ip in set(everybody):
            assert everybody.count(ip) <= LIMITS.connections_per_ip_max
            assert half_open.count(ip) <= LIMITS.handshakes_per_ip_max


TestAdmissionMachine = AdmissionMachine.TestCase
TestAdmissionMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
