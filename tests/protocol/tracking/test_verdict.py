"""Verdicts: every reason, their precedence, and what decides between claims."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol.codec import decode, encode, replace
from protocol.errors import InvalidBlock, NotAMember, NotYetKnown, StaleMessage
from protocol.parameters import ZEN
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.diversity import ip_slot
from protocol.tracking.response import build_receipt, check_receipt
from protocol.tracking.testimony import referenced_responses
from protocol.tracking.verdict import Reason, Verdict, stake_duplicates
from tests.support.court import UNSEEN, Court
from tests.support.operators import NETWORK, Operator, operator

ONE = 3
"""The operator that each test is about."""
PRECEDENCE = [
    "VALID",
    "NOT_REGISTERED",
    "NO_RESPONSE",
    "LATE",
    "OLD_SEQUENCE",
    "BAD_SIGNATURE",
    "WRONG_ANSWER",
    "STAKE_TOO_LOW",
    "STAKE_DUPLICATE",
    "UNREACHABLE",
    "CHAIN_TOO_SLOW",
    "TLS_INVALID",
    "DUPLICATE_IP",
    "DIVERSITY_CAP",
]


def test_reasons_have_these_numbers_and_names() -> None:
    assert [(reason.value, str(reason)) for reason in Reason] == list(enumerate(PRECEDENCE))


def test_a_verdict_has_one_encoding() -> None:
    verdict = Verdict(operator_key=b"k" * 32, stake_address=b"\0" * 21, reason=Reason.LATE, slot=b"\4abcd")
    assert encode(verdict)[0] == 0x94
    assert decode(encode(verdict), Verdict) == verdict
    assert decode(encode(verdict), Verdict).reason is Reason.LATE


def test_everybody_who_does_everything_right_is_valid() -> None:
    court = Court()
    verdicts = court.verdicts()
    assert [verdict.operator_key for verdict in verdicts] == sorted(court.registrations)
    for verdict, one in zip(verdicts, court.members, strict=True):
        assert verdict.reason is Reason.VALID
        assert verdict.stake_address == one.stake_address
        assert verdict.slot == ip_slot(one.ip, court.parameters)


Change = Callable[[Court, Operator], None]


def silent(court: Court, one: Operator) -> None:
    court.missed(one)


def only_reached(court: Court, one: Operator) -> None:
    court.saw(one)


def late(court: Court, one: Operator) -> None:
    court.saw(one, court.right(one), height=court.challenge.closes)


def old(court: Court, one: Operator) -> None:
    court.saw(one, court.old(one))


def of_another_branch(court: Court, one: Operator) -> None:
    court.saw(one, court.response(one, anchor_hash=bytes(32)))


def badly_signed(court: Court, one: Operator) -> None:
    court.saw(one, court.badly_signed(one))


def wrong(court: Court, one: Operator) -> None:
    court.saw(one, court.wrong(one))


def copied(court: Court, one: Operator) -> None:
    neighbour = court.members[0]
    court.saw(one, court.response(one, answer=court.answers().answer(neighbour.key)))


def poor(court: Court, one: Operator) -> None:
    chain = court.chain
    chain.disconnect(30 - 18)
    chain.mine(chain.spend(one.stake_address, ((b"\0" + b"q" * 20, 1),)))
    chain.mine_to(30)


def doubled(court: Court, one: Operator) -> None:
    court.contested = {one.key: court.registrations.pop(one.key)}


def unreachable(court: Court, one: Operator) -> None:
    court.saw(one, court.right(one), **UNSEEN)


def slow(court: Court, one: Operator) -> None:
    court.saw(one, court.right(one), fast=False)


def without_tls(court: Court, one: Operator) -> None:
    court.registrations[one.key] = one.registration(fqdn="node.example.org")
    court.saw(one, court.right(one), tls_valid=False)


def on_a_taken_ip(court: Court, one: Operator) -> None:
    holder = court.members[0]
    court.previous[ip_slot(holder.ip, court.parameters)] = holder.key
    court.saw(one, court.right(one), ip=holder.ip)


def in_a_full_subnet(court: Court, one: Operator) -> None:
    court.parameters = replace(court.parameters, subnet_limit=court.count - 1)
    for other in court.members:
        if other is not one:
            court.previous[ip_slot(other.ip, court.parameters)] = other.key


REASONS: list[tuple[Change, Reason]] = [
    (silent, Reason.NO_RESPONSE),
    (only_reached, Reason.NO_RESPONSE),
    (late, Reason.LATE),
    (old, Reason.OLD_SEQUENCE),
    (of_another_branch, Reason.OLD_SEQUENCE),
    (badly_signed, Reason.BAD_SIGNATURE),
    (wrong, Reason.WRONG_ANSWER),
    (copied, Reason.WRONG_ANSWER),
    (poor, Reason.STAKE_TOO_LOW),
    (doubled, Reason.STAKE_DUPLICATE),
    (unreachable, Reason.UNREACHABLE),
    (slow, Reason.CHAIN_TOO_SLOW),
    (without_tls, Reason.TLS_INVALID),
    (on_a_taken_ip, Reason.DUPLICATE_IP),
    (in_a_full_subnet, Reason.DIVERSITY_CAP),
]


@pytest.mark.parametrize(("change", "reason"), REASONS)
def test_each_reason_by_itself(change: Change, reason: Reason) -> None:
    court = Court()
    one = court.members[ONE]
    change(court, one)
    reasons = court.reasons()
    assert reasons.pop(one.key) is reason
    assert set(reasons.values()) == {Reason.VALID}


def test_a_certificate_that_judges_saw_is_valid() -> None:
    court = Court()
    one = court.members[ONE]
    without_tls(court, one)
    court.saw(one, court.right(one), tls_valid=True)
    assert court.reason(one) is Reason.VALID


def test_who_is_not_registered_is_told_so() -> None:
    court = Court()
    stranger = operator(50)
    court.saw(stranger, court.response(stranger))
    verdict = next(one for one in court.verdicts() if one.operator_key == stranger.key)
    assert (verdict.reason, verdict.stake_address, verdict.slot) == (Reason.NOT_REGISTERED, b"", b"")
    assert encode(decode(encode(verdict), Verdict)) == encode(verdict)
    court.missed(stranger, court.members[2:])
    assert stranger.key not in court.reasons()


# Several reasons at once: each pair of changes that can hold together, whichever is made first.

FLAWED: list[tuple[Callable[[Court, Operator], bytes], int, Reason]] = [
    (Court.wrong, 20, Reason.LATE),
    (Court.old, 20, Reason.LATE),
    (Court.badly_signed, 20, Reason.LATE),
    (lambda court, one: bytes(64) + court.old(one)[64:], 17, Reason.OLD_SEQUENCE),
    (lambda court, one: bytes(64) + court.wrong(one)[64:], 17, Reason.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("make", "height", "reason"), FLAWED)
def test_the_first_flaw_of_a_response_is_the_reason(
    make: Callable[[Court, Operator], bytes], height: int, reason: Reason
) -> None:
    court = Court()
    one = court.members[ONE]
    envelope = make(court, one)
    poor(court, one)
    court.saw(one, envelope, height=height, **UNSEEN)
    assert court.reason(one) is reason


def test_every_later_reason_gives_way_to_every_earlier_one() -> None:
    """All of them hold at the end; take them away one by one, the first in the order first."""
    court = Court()
    one, holder = court.members[ONE], court.members[0]
    in_a_full_subnet(court, one)
    court.registrations[one.key] = one.registration(fqdn="node.example.org")
    poor(court, one)
    doubled(court, one)
    seen: dict[str, Any] = {"ip": holder.ip, "fast": False}
    slot = ip_slot(holder.ip, court.parameters)
    court.previous[slot] = holder.key

    found = []

    def judge(envelope: bytes, height: int = 17, **changes: Any) -> None:
        court.saw(one, envelope, height, **(seen | changes))
        found.append(court.reason(one))

    court.missed(one)
    found.append(court.reason(one))
    judge(court.badly_signed(one), height=20, **UNSEEN)
    judge(bytes(64) + court.old(one)[64:], **UNSEEN)
    judge(court.badly_signed(one), **UNSEEN)
    judge(court.wrong(one), **UNSEEN)
    judge(court.right(one), **UNSEEN)
    rich = Court()
    court.chain = rich.chain
    judge(court.right(one), **UNSEEN)
    court.registrations[one.key], court.contested = court.contested[one.key], {}
    judge(court.right(one), **UNSEEN)
    judge(court.right(one))
    judge(court.right(one), fast=True)
    judge(court.right(one), fast=True, tls_valid=True)
    judge(court.right(one), fast=True, tls_valid=True, ip=one.ip)
    court.parameters = replace(court.parameters, subnet_limit=7)
    judge(court.right(one), fast=True, tls_valid=True, ip=one.ip)
    assert [str(reason) for reason in found] == [*PRECEDENCE[2:], "VALID"]


# Places.


def test_of_two_on_one_ip_exactly_one_is_valid_and_stays_it() -> None:
    court = Court()
    pair = court.members[2], court.members[5]
    court.saw(pair[1], court.right(pair[1]), ip=pair[0].ip)
    reasons = court.reasons()
    lowest = min(pair, key=lambda one: challenge_draw(court.challenge.anchor_hash, one.key))
    loser = pair[0] if lowest is pair[1] else pair[1]
    assert (reasons[lowest.key], reasons[loser.key]) == (Reason.VALID, Reason.DUPLICATE_IP)
    slot = ip_slot(pair[0].ip, court.parameters)
    court.previous = {slot: loser.key}
    reasons = court.reasons()
    assert (reasons[lowest.key], reasons[loser.key]) == (Reason.DUPLICATE_IP, Reason.VALID)


@pytest.mark.parametrize(
    "change", [change for change, reason in REASONS if reason < Reason.DUPLICATE_IP], ids=lambda c: c.__name__
)
def test_who_is_not_valid_otherwise_takes_no_place_from_anybody(change: Change) -> None:
    court = Court()
    one, squatter = court.members[2], court.members[5]
    court.previous[ip_slot(one.ip, court.parameters)] = squatter.key
    change(court, squatter)
    for judge in court.sightings.values():
        if squatter.key in judge and judge[squatter.key].reached:
            judge[squatter.key] = replace(judge[squatter.key], ip=one.ip)
    assert court.reason(one) is Reason.VALID
    assert court.reason(squatter) not in (Reason.VALID, Reason.DUPLICATE_IP)


def test_a_subnet_keeps_its_eldest() -> None:
    court = Court()
    court.parameters = replace(ZEN, loopback_allowed=True, challenge_every=8, response_window=4, burial=2)
    reasons = court.reasons()
    assert list(reasons.values()).count(Reason.VALID) == ZEN.subnet_limit
    assert list(reasons.values()).count(Reason.DIVERSITY_CAP) == 3
    staying = sorted(key for key, reason in reasons.items() if reason is Reason.VALID)
    by_draw = sorted(reasons, key=lambda key: challenge_draw(court.challenge.anchor_hash, key))
    assert staying == sorted(by_draw[: ZEN.subnet_limit])


def test_two_registrations_of_one_stake() -> None:
    one, other, third = operator(1), operator(2), operator(3)
    higher = {other.key: other.registration(2, stake_of=one)}
    registrations = {one.key: one.registration(1), third.key: third.registration()}
    assert stake_duplicates(registrations, {}) == frozenset()
    assert stake_duplicates(registrations | higher, {}) == {one.key}
    equal = {other.key: other.registration(1, stake_of=one)}
    assert stake_duplicates(registrations | equal, {}) == {one.key, other.key}
    assert stake_duplicates(registrations, equal) == {other.key}


# What a verdict is made of.


def test_the_observations_must_be_final() -> None:
    court = Court(7)
    assert court.reasons(court.observations(court.members[:5]))
    with pytest.raises(InvalidBlock, match="not final"):
        court.reasons(court.observations(court.members[:4]))
    court.ages = [9, 1, 1, 1, 1, 1, 1]
    with pytest.raises(InvalidBlock, match="not final"):
        court.reasons(court.observations(court.members[1:]))


def test_a_judge_stands_there_once() -> None:
    court = Court()
    with pytest.raises(InvalidBlock, match="one judge"):
        court.reasons([*court.observations(), court.observation(court.members[0])])


def test_only_voters_judge() -> None:
    court = Court()
    foreign = replace(court.observation(court.members[0]), judge=operator(50).key)
    with pytest.raises(NotAMember):
        court.reasons([*court.observations(), foreign])


def test_observations_are_of_this_challenge() -> None:
    court = Court()
    first, *others = court.observations()
    for stale in (replace(first, seq=1), replace(first, anchor_hash=bytes(32))):
        with pytest.raises(StaleMessage):
            court.reasons([stale, *others])


def test_every_response_that_is_named_must_be_there() -> None:
    court = Court()
    named = referenced_responses(court.observations())
    assert list(named) == sorted(court.evidence)
    del court.evidence[named[3]]
    with pytest.raises(InvalidBlock, match="not there"):
        court.reasons()


def test_a_response_of_somebody_else_is_no_response() -> None:
    court = Court()
    one, other = court.members[ONE], court.members[0]
    court.saw(one, court.right(other))
    assert court.reason(one) is Reason.NO_RESPONSE


def test_nothing_is_judged_before_the_close_is_buried_or_after_the_anchor_left() -> None:
    court = Court()
    observations, challenge = court.observations(), court.challenge
    court.chain.disconnect(30 - challenge.judged_at)
    assert court.reasons(observations)
    court.chain.disconnect()
    with pytest.raises(NotYetKnown):
        court.reasons(observations)
    court.chain.disconnect(6)
    court.chain.mine_to(30, salt=b"another branch")
    with pytest.raises(StaleMessage):
        court.reasons(observations)


def test_receipts_count_as_observations() -> None:
    """Passed, and the site says failed: a judge's own word speaks against it."""
    court = Court()
    one = court.members[ONE]
    court.saw(one)
    envelope = court.right(one)
    court.sighting(one, envelope)
    receipts = [
        check_receipt(build_receipt(judge.signer, NETWORK, court.challenge, one.key, envelope, 17), NETWORK)
        for judge in court.members[:3]
    ]
    assert court.reason(one) is Reason.NO_RESPONSE
    assert court.reasons(receipts=receipts[:2])[one.key] is Reason.NO_RESPONSE
    assert court.reasons(receipts=receipts)[one.key] is Reason.VALID
    assert court.reasons(receipts=receipts[::-1])[one.key] is Reason.VALID
    too_late = [replace(receipt, height=court.challenge.closes) for receipt in receipts]
    assert court.reasons(receipts=too_late)[one.key] is Reason.LATE
    for foreign, error in (
        (replace(receipts[0], judge=operator(50).key), NotAMember),
        (replace(receipts[0], seq=1), StaleMessage),
        (replace(receipts[0], response_hash=bytes(32)), InvalidBlock),
    ):
        with pytest.raises(error):
            court.reasons(receipts=[foreign])


def test_a_place_is_where_more_than_a_third_reached_it() -> None:
    court = Court(7)
    one = court.members[ONE]
    far = b"\x7f\x09\x09\x09"
    court.saw(one, court.right(one), judges=court.members[:3], ip=far)
    slots = {verdict.operator_key: verdict.slot for verdict in court.verdicts()}
    assert slots[one.key] == min(ip_slot(far, court.parameters), ip_slot(one.ip, court.parameters))
    court.saw(one, court.right(one), judges=court.members[:4], ip=far)
    court.saw(one, court.right(one), judges=court.members[4:6], **UNSEEN)
    slots = {verdict.operator_key: verdict.slot for verdict in court.verdicts()}
    assert slots[one.key] == ip_slot(far, court.parameters)
    court.saw(one, court.right(one), judges=court.members[2:4], **UNSEEN)
    assert court.reason(one) is Reason.UNREACHABLE


def test_who_is_fast_somewhere_else_is_not_fast_here() -> None:
    court = Court(7)
    one = court.members[ONE]
    far = b"\x7f\x09\x09\x09"
    assert ip_slot(one.ip, court.parameters) < ip_slot(far, court.parameters)
    court.saw(one, court.right(one), judges=court.members[:3], fast=False)
    court.saw(one, court.right(one), judges=court.members[3:], ip=far)
    assert court.reason(one) is Reason.CHAIN_TOO_SLOW
    court.saw(one, court.right(one), judges=court.members[:3])
    assert court.reason(one) is Reason.VALID
