"""What a judge keeps: the first right response, else the first; nobody spoils another's."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.crypto import envelope_body
from protocol.errors import (
    InvalidSignature,
    MalformedMessage,
    NotAMember,
    ProtocolError,
    StaleMessage,
    WrongNetwork,
)
from protocol.tracking import observation as module
from protocol.tracking.observation import (
    FOREIGN_MAX,
    ObservationBuilder,
    Sighting,
    check_observation,
)
from protocol.tracking.response import response_hash
from tests.support.court import Court
from tests.support.operators import NETWORK, Operator, operator

COURT = Court(4)
ALICE, BOB, CAROL, JUDGE = COURT.members
RIGHT, WRONG, OLD, BAD = (
    COURT.right(ALICE),
    COURT.wrong(ALICE),
    COURT.old(ALICE),
    COURT.badly_signed(ALICE),
)
RELAY = JUDGE.key


def builder(court: Court = COURT) -> ObservationBuilder:
    return ObservationBuilder(NETWORK, court.answers())


def hand_over(into: ObservationBuilder, envelope: bytes, peer: bytes = RELAY, height: int = 17) -> bool:
    """Whether it is kept; what is refused is not."""
    try:
        return into.record_response(envelope, height, peer) is not None
    except ProtocolError:
        return False


def kept(into: ObservationBuilder, one: Operator = ALICE) -> bytes | None:
    held = into.held(one.key)
    return held.envelope if held else None


def test_a_right_response_is_kept_from_whoever_hands_it_over() -> None:
    into = builder()
    response = into.record_response(RIGHT, 17, RELAY)
    assert response is not None and response.signer == ALICE.key
    held = into.held(ALICE.key)
    assert held is not None and held.right and held.height == 17


def test_a_second_copy_is_nothing_new() -> None:
    into = builder()
    assert hand_over(into, RIGHT)
    assert not hand_over(into, RIGHT, height=18)
    assert into.held(ALICE.key) and into.held(ALICE.key).height == 17  # type: ignore[union-attr]


@pytest.mark.parametrize("order", list(permutations([WRONG, OLD, BAD, RIGHT])))
@pytest.mark.parametrize("peer", [RELAY, ALICE.key])
def test_in_every_order_the_right_response_stands(order: tuple[bytes, ...], peer: bytes) -> None:
    into = builder()
    for envelope in order:
        hand_over(into, envelope, peer)
    assert kept(into) == RIGHT


@given(st.permutations([RIGHT, WRONG, OLD, BAD, COURT.wrong(BOB), COURT.right(BOB)]), st.data())
def test_forgeries_spoil_nothing_whoever_hands_them_over(order: list[bytes], data: st.DataObject) -> None:
    into = builder()
    for envelope in order:
        hand_over(into, envelope, data.draw(st.sampled_from([ALICE.key, BOB.key, RELAY])))
    assert (kept(into, ALICE), kept(into, BOB)) == (RIGHT, COURT.right(BOB))


def test_of_two_right_responses_the_first_stands() -> None:
    into = builder()
    moved = COURT.response(ALICE, port=1)
    assert hand_over(into, RIGHT) and not hand_over(into, moved)
    assert kept(into) == RIGHT


def test_a_wrong_response_stands_for_nothing_better() -> None:
    into = builder()
    assert hand_over(into, WRONG) and not hand_over(into, COURT.response(ALICE, answer=b"another one."))
    assert kept(into) == WRONG


@pytest.mark.parametrize(("envelope", "error"), [(OLD, StaleMessage), (BAD, InvalidSignature)])
def test_flawed_responses_are_kept_from_their_own_operator_only(
    envelope: bytes, error: type[ProtocolError]
) -> None:
    into = builder()
    with pytest.raises(error):
        into.record_response(envelope, 17, RELAY)
    assert kept(into) is None
    with pytest.raises(error):
        into.record_response(envelope, 17, ALICE.key)
    assert kept(into) == envelope


def test_who_is_not_registered_is_kept_in_bounded_number() -> None:
    into = builder()
    strangers = [operator(number) for number in range(1_000, 1_001 + FOREIGN_MAX)]
    for stranger in strangers:
        with pytest.raises(NotAMember):
            into.record_response(COURT.response(stranger), 17, RELAY)
    assert not into.envelopes()
    for stranger in strangers:
        with pytest.raises(NotAMember):
            into.record_response(COURT.response(stranger), 17, stranger.key)
    assert len(into.envelopes()) == FOREIGN_MAX
    assert hand_over(into, RIGHT) and hand_over(into, BAD, ALICE.key) is False
    assert len(into.envelopes()) == FOREIGN_MAX + 1


def test_another_networks_response_is_evidence_of_nothing() -> None:
    into = builder()
    with pytest.raises(WrongNetwork):
        into.record_response(COURT.response(ALICE, network=bytes(32)), 17, ALICE.key)
    with pytest.raises(MalformedMessage):
        into.record_response(b"garbage", 17, ALICE.key)
    assert not into.envelopes()


def test_a_late_response_is_kept_until_the_challenge_is_judged() -> None:
    into, challenge = builder(), COURT.challenge
    assert hand_over(into, RIGHT, height=challenge.judged_at - 1)
    with pytest.raises(StaleMessage):
        into.record_response(COURT.right(BOB), challenge.judged_at, RELAY)
    assert kept(into, BOB) is None


def test_what_is_held_costs_no_second_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    into = builder()
    hand_over(into, RIGHT)
    verified: list[bytes] = []
    monkeypatch.setattr(module, "verify_envelope", lambda envelope, key: verified.append(envelope))
    for envelope in (RIGHT, WRONG, COURT.response(ALICE, port=1)):
        assert into.record_response(envelope, 17, RELAY) is None
    assert not verified


def test_a_registration_that_came_later_makes_a_response_right() -> None:
    early, whole = Court(3), Court(4)
    newcomer = next(one for one in whole.members if one not in early.members)
    assert early.challenge.transactions == whole.challenge.transactions
    whole.chain = early.chain
    into = builder(early)
    response = whole.right(newcomer)
    with pytest.raises(NotAMember):
        into.record_response(response, 17, newcomer.key)
    assert not into.held(newcomer.key).right  # type: ignore[union-attr]
    into.update(whole.answers())
    assert into.held(newcomer.key).right  # type: ignore[union-attr]
    into.update(early.answers())
    assert not into.held(newcomer.key).right  # type: ignore[union-attr]


def sighting_of(into: ObservationBuilder, one: Operator = ALICE) -> Sighting | None:
    found = {seen.operator_key: seen for seen in into.build(JUDGE.key).sightings}
    return found.get(one.key)


def test_the_best_dial_back_counts() -> None:
    into = builder()
    into.record_probe(ALICE.key)
    assert sighting_of(into) is None
    into.record_probe(ALICE.key, ip=b"\x7f\0\0\1")
    into.record_probe(ALICE.key, tls_valid=True)
    into.record_probe(ALICE.key, ip=b"\x7f\0\0\2", fast=True)
    into.record_probe(ALICE.key, ip=b"\x7f\0\0\3")
    into.record_probe(ALICE.key)
    seen = sighting_of(into)
    assert seen and (seen.ip, seen.fast, seen.tls_valid) == (b"\x7f\0\0\2", True, True)


def test_nothing_is_noted_of_who_is_not_registered() -> None:
    into = builder()
    into.record_probe(operator(99).key, ip=b"\x7f\0\0\1")
    assert not into.build(JUDGE.key).sightings


def test_the_observation_says_what_was_seen_and_can_be_read_back() -> None:
    into = builder()
    hand_over(into, RIGHT, height=16)
    hand_over(into, COURT.wrong(BOB), height=19)
    into.record_probe(ALICE.key, ip=ALICE.ip, fast=True)
    into.record_probe(CAROL.key, tls_valid=True)
    observation = into.build(JUDGE.key)
    assert [seen.operator_key for seen in observation.sightings] == [ALICE.key, BOB.key, CAROL.key]
    assert sighting_of(into, ALICE) == COURT.sighting(ALICE, RIGHT, 16)
    bob = COURT.sighting(BOB, COURT.wrong(BOB), 19, reached=False, ip=b"", fast=False)
    assert sighting_of(into, BOB) == bob
    named = {seen.response_hash for seen in observation.sightings} - {b""}
    assert set(into.envelopes()) == named == {response_hash(RIGHT), response_hash(COURT.wrong(BOB))}
    envelope = JUDGE.signer.sign(encode(observation))
    assert check_observation(envelope, NETWORK) == observation
    assert observation.signer == JUDGE.key


def test_an_observation_is_the_judges_and_of_this_network() -> None:
    body = encode(builder().build(JUDGE.key))
    with pytest.raises(InvalidSignature):
        check_observation(ALICE.signer.sign(body), NETWORK)
    with pytest.raises(WrongNetwork):
        check_observation(JUDGE.signer.sign(body), bytes(32))
    with pytest.raises(MalformedMessage):
        check_observation(JUDGE.signer.sign(body)[:-1], NETWORK)


SEEN = COURT.sighting(ALICE, RIGHT)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_hash": b"short"},
        {"response_hash": b""},
        {"reached": False},
        {"ip": b""},
        {"ip": b"12345"},
        {"ip": bytes(10) + b"\xff\xff\x7f\0\0\1"},
        {"reached": False, "ip": b""},
        {"response_hash": b"", "received_height": 0, "reached": False, "ip": b"", "fast": False},
    ],
)
def test_a_sighting_has_one_spelling(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(SEEN, **changes)


def test_sightings_are_sorted_and_single() -> None:
    other = COURT.sighting(BOB, COURT.right(BOB))
    observation = replace(builder().build(JUDGE.key), sightings=(SEEN, other))
    for sightings in ((other, SEEN), (SEEN, SEEN)):
        with pytest.raises(ValueError):
            replace(observation, sightings=sightings)
    body = encode(observation)
    first, second = encode(SEEN), encode(other)
    assert check_observation(JUDGE.signer.sign(body), NETWORK) == observation
    for swapped in (second + first, first + first):
        disordered = body.replace(first + second, swapped)
        with pytest.raises(MalformedMessage):
            check_observation(JUDGE.signer.sign(disordered), NETWORK)


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_observation(data, NETWORK)


def test_replaying_the_record_gives_the_same_observation() -> None:
    events = [(WRONG, 16), (RIGHT, 17), (COURT.right(BOB), 18)]
    built = []
    for _ in range(2):
        into = builder()
        for envelope, height in events:
            hand_over(into, envelope, height=height)
        built.append(encode(into.build(JUDGE.key)))
    assert built[0] == built[1]
    assert envelope_body(JUDGE.signer.sign(built[0])) == built[0]
