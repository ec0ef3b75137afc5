"""What a judge makes of receipts that others show: each counts for itself, and what is known is cheap."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.errors import (
    InvalidSignature,
    MalformedMessage,
    NotAMember,
    ProtocolError,
    StaleMessage,
    WrongNetwork,
)
from protocol.node.effects import Announce, Incoming, Punish
from protocol.node.messages import Receipts, pack_plain
from protocol.tracking.response import build_receipt, check_receipt
from protocol.units import ChallengeSeq, OperatorKey
from tests.support.judging_groups import Bench, Seat
from tests.support.node_cluster import Cluster
from tests.support.operators import Operator, operator, operators

EVERYBODY = operators(10)
LEFT, RIGHT = EVERYBODY[:5], EVERYBODY[5:]
SEQ, ANCHOR = 1, 8
"""The first challenge of a devnet, and the height of its anchor."""
FOUNDERS = operators(4)
STRANGER = operator(9)
FIRST = 8


def two_groups() -> Bench:
    bench = Bench({"0": LEFT, "1": RIGHT})
    bench.mine_to(ANCHOR)
    return bench


def foreigner(bench: Bench, prefix: str) -> Operator:
    """Somebody who is judged by the other group than that of a prefix."""
    return next(one for one in EVERYBODY if one.key not in bench.falls_to(prefix, SEQ))


def test_a_receipt_for_somebody_who_is_not_ours_is_refused() -> None:
    bench = two_groups()
    one = foreigner(bench, "0")
    anchor = bench.challenge(SEQ).anchor_hash
    envelope = next(iter(bench[one].tracker.receipts(SEQ, anchor).values()))
    judge = bench[next(member for member in LEFT if member is not one)]
    with pytest.raises(StaleMessage, match="nobody who judges"):
        judge.tracker.on_receipts(shown(bench, envelope), judge.view)
    with pytest.raises(StaleMessage, match="nothing of ours"):
        judge.tracker.on_receipt(check_receipt(envelope, bench.network), envelope, judge.view)
    bench.regroup({"0": RIGHT, "1": LEFT})
    judge = bench[next(member for member in RIGHT if member is not one)]
    with pytest.raises(NotAMember):
        judge.tracker.on_receipts(shown(bench, envelope), judge.view)
    assert not heard(judge)


def shown(bench: Bench, *envelopes: bytes) -> Receipts:
    """A message that shows receipts of the open challenge."""
    anchor = bench.challenge(SEQ).anchor_hash
    return Receipts(network=bench.network, seq=SEQ, anchor_hash=anchor, envelopes=envelopes)


def heard(seat: Seat) -> dict[tuple[OperatorKey, OperatorKey], bytes]:
    """The receipts of others that a judge holds."""
    (opened,) = seat.tracker.open_challenges()
    return opened.receipts


def receipts_of_all_kinds(bench: Bench) -> list[bytes]:
    """Three good ones, the second of one judge for one operator, and one of each kind that is refused."""
    challenge, (first, second) = bench.challenge(SEQ), bench.falls_to("0", SEQ)[:2]
    stranger = foreigner(bench, "0").key

    def given_by(judge: Operator, operator_key: bytes, height: int = ANCHOR) -> bytes:
        return build_receipt(judge.signer, bench.network, challenge, operator_key, b"a response", height)

    good = [given_by(LEFT[1], first), given_by(LEFT[2], first), given_by(LEFT[1], second)]
    old = dataclasses.replace(challenge, seq=ChallengeSeq(SEQ - 1))
    of_another = build_receipt(LEFT[3].signer, bench.network, old, first, b"a response", ANCHOR)
    elsewhere = build_receipt(LEFT[3].signer, bytes(32), challenge, first, b"a response", ANCHOR)
    bad = [given_by(RIGHT[0], first), given_by(LEFT[1], stranger), of_another, elsewhere, bytes(200)]
    return [*good, given_by(LEFT[1], first, ANCHOR + 1), bytes(64) + given_by(LEFT[3], first)[64:], *bad]


JUDGING = two_groups()
OF_ALL_KINDS = receipts_of_all_kinds(JUDGING)


def hears(envelopes: list[bytes]) -> type[ProtocolError] | None:
    """Show a judge receipts in one message; return why it refuses, if it does."""
    seat = JUDGING[LEFT[0]]
    try:
        seat.tracker.on_receipts(shown(JUDGING, *envelopes), seat.view)
    except ProtocolError as error:
        return type(error)
    return None


@settings(deadline=None)
@given(st.lists(st.sampled_from(OF_ALL_KINDS), min_size=1, max_size=14))
def test_each_receipt_that_is_shown_counts_as_if_it_had_come_alone(envelopes: list[bytes]) -> None:
    """Also beside bad ones; and if anything is malformed, that is what its sender hears."""
    held = heard(JUDGING[LEFT[0]])
    held.clear()
    alone = [hears([envelope]) for envelope in envelopes]
    expected = dict(held)
    held.clear()
    together = hears(envelopes)
    assert held == expected and list(held) == list(expected)
    assert set(held.values()) <= {*OF_ALL_KINDS[:4]}
    reasons = [reason for reason in alone if reason is not None]
    first = reasons[0] if reasons else None
    assert together is (MalformedMessage if MalformedMessage in reasons else first)


def test_of_each_kind_of_receipt_it_is_known_why_it_is_refused() -> None:
    heard(JUDGING[LEFT[0]]).clear()
    assert [hears([envelope]) for envelope in OF_ALL_KINDS] == [
        *[None] * 4,
        InvalidSignature,
        StaleMessage,
        NotAMember,
        MalformedMessage,
        WrongNetwork,
        MalformedMessage,
    ]
    assert list(heard(JUDGING[LEFT[0]]).values()) == OF_ALL_KINDS[:3]


def test_of_what_a_judge_has_heard_no_signature_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard(JUDGING[LEFT[0]]).clear()
    assert hears(OF_ALL_KINDS[:3]) is None
    looked: list[bytes] = []
    monkeypatch.setattr("protocol.node.judge.check_receipt", lambda envelope, _: looked.append(envelope))
    assert hears(OF_ALL_KINDS[:4]) is None and not looked


def test_receipts_of_a_challenge_that_is_not_open_are_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Receipts] = []
    monkeypatch.setattr("protocol.node.judge.read_receipts", read.append)
    seat = JUDGING[LEFT[0]]
    for stale in ({"seq": SEQ + 1}, {"anchor_hash": bytes(32)}):
        with pytest.raises(StaleMessage):
            seat.tracker.on_receipts(replace(shown(JUDGING, *OF_ALL_KINDS), **stale), seat.view)
    assert not read


def test_who_has_no_vote_hears_no_receipt() -> None:
    bench = two_groups()
    gone = LEFT[0]
    bench.regroup({"0": LEFT[1:], "1": RIGHT})
    seat = bench[gone]
    seat.tracker.on_receipts(shown(bench, *OF_ALL_KINDS[:3]), seat.view)
    assert not heard(seat)


@pytest.mark.parametrize("topic", ["", "t"])
def test_who_hands_over_receipts_that_are_none_loses_its_connection_and_the_good_ones_count(
    topic: str,
) -> None:
    cluster = Cluster(FOUNDERS)
    cluster.mine_to(FIRST)
    one, other = FOUNDERS[:2]
    node = cluster[one].node
    (opened,) = node.tracker.open_challenges()
    challenge = opened.challenge
    good = build_receipt(FOUNDERS[2].signer, node.network, challenge, other.key, b"a response", FIRST)
    bundle = Receipts(
        network=node.network,
        seq=challenge.seq,
        anchor_hash=challenge.anchor_hash,
        envelopes=(bytes(64) + good[64:], bytes(99), good),
    )
    effects = node.receive([Incoming(STRANGER.key, STRANGER.ip, topic, pack_plain(bundle))])
    (said,) = [effect for effect in effects if isinstance(effect, Punish | Announce)]
    assert isinstance(said, Announce if topic else Punish)
    assert opened.receipts == {(FOUNDERS[2].key, other.key): good}
