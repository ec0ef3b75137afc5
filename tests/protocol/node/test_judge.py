"""Judging over several groups: whom an operator's draw names judges it, once, whoever moves meanwhile."""

import pytest

from protocol.codec import decode, encode
from protocol.errors import MalformedMessage, NotAMember, StaleMessage
from protocol.node import responder as module
from protocol.node.docket import HELD_MAX
from protocol.node.effects import Effect, Incoming, Publish, Send
from protocol.node.messages import Receipts, ResponsesRequest, group_topic, pack_plain, pack_signed
from protocol.node.records import OBSERVATION
from protocol.parameters import DEVNET
from protocol.tracking.observation import Observation, check_observation
from protocol.tracking.response import build_probe, check_receipt
from protocol.tracking.verdict import Reason
from protocol.units import OperatorKey
from tests.support.judging_groups import Bench, Seat, told
from tests.support.operators import Operator, operators

EVERYBODY = operators(10)
LEFT, RIGHT = EVERYBODY[:5], EVERYBODY[5:]
HALVES = {"0": LEFT, "1": RIGHT}
SEQ, ANCHOR, CLOSES, JUDGED = 1, 8, 12, 14
"""The first challenge of a devnet, the heights of its anchor, its close and its verdicts."""


def two_groups() -> Bench:
    bench = Bench(HALVES)
    bench.mine_to(ANCHOR)
    for prefix in HALVES:
        assert len(bench.falls_to(prefix, SEQ)) > 1, "both groups have somebody to judge"
    return bench


def valid(bench: Bench, judge: Operator) -> list[OperatorKey]:
    """Everybody whom the judge's group judges; all must be VALID."""
    payload = bench.verdicts(judge, SEQ)
    assert {verdict.reason for verdict in payload.verdicts} == {Reason.VALID}
    return [OperatorKey(verdict.operator_key) for verdict in payload.verdicts]


def prepared_for(seat: Seat) -> set[bytes]:
    (opened,) = seat.tracker.open_challenges()
    return set(opened.answers._answers)


def judges_of(bench: Bench, one: Operator) -> tuple[Operator, ...]:
    return LEFT if one.key in bench.falls_to("0", SEQ) else RIGHT


def foreigner(bench: Bench, prefix: str) -> Operator:
    """Somebody who is judged by the other group than that of a prefix."""
    return next(one for one in EVERYBODY if one.key not in bench.falls_to(prefix, SEQ))


def own_response(bench: Bench, one: Operator) -> bytes:
    (opened,) = bench[one].tracker.open_challenges()
    return opened.own_response


def words(seat: Seat) -> list[Observation]:
    """The observations of this judge that are on its disk."""
    found = [check_observation(value, seat.view.network) for _, value in seat.store.iterate(OBSERVATION)]
    return [one for one in found if one.judge == seat.operator.key]


def seen_by(seat: Seat) -> set[bytes]:
    (word,) = words(seat)
    return {sighting.operator_key for sighting in word.sightings}


def test_each_operator_is_judged_once_by_the_group_that_its_draw_names() -> None:
    bench = two_groups()
    bench.mine_to(JUDGED)
    left, right = valid(bench, LEFT[0]), valid(bench, RIGHT[0])
    assert left == bench.falls_to("0", SEQ) and right == bench.falls_to("1", SEQ)
    assert sorted(left + right) == [one.key for one in bench.operators]


def test_a_response_goes_to_those_judges_and_onto_their_topic_and_receipts_come_from_them() -> None:
    bench = two_groups()
    bench.mine_to(CLOSES)
    anchor = bench.challenge(SEQ).anchor_hash
    for one in EVERYBODY:
        seat, judges = bench[one], judges_of(bench, one)
        others = sorted(judge.key for judge in judges if judge is not one)
        topic = group_topic(bench.network, "0" if judges is LEFT else "1")
        said = [e for e in seat.sent if isinstance(e, Publish) and own_response(bench, one) in e.data]
        (shown,) = [e for e in seat.sent if isinstance(e, Publish) and b"\xa8receipts" in e.data]
        assert {effect.topic for effect in (*said, shown)} == {topic}
        given = [check_receipt(each, bench.network) for each in decode(shown.data[1:], Receipts).envelopes]
        assert sorted(each.judge for each in given) == others
        assert {each.operator_key for each in given} == {one.key}
        assert sorted(seat.tracker.receipts(SEQ, anchor)) == others
        assert set(others) <= set(told(seat))


def test_a_judge_prepares_keeps_dials_and_observes_nobody_else() -> None:
    bench = two_groups()
    bench.mine_to(JUDGED)
    for prefix, members in HALVES.items():
        ours = set(bench.falls_to(prefix, SEQ))
        for judge in members:
            seat = bench[judge]
            assert prepared_for(seat) <= ours | {judge.key}
            assert seen_by(seat) == ours
            (opened,) = seat.tracker.open_challenges()
            assert set(opened.attempts) == ours - {judge.key}


@pytest.mark.parametrize("is_registered", [True, False])
def test_who_is_not_ours_is_refused_without_blame_and_takes_no_room(is_registered: bool) -> None:
    bench = two_groups()
    one = foreigner(bench, "0")
    response = own_response(bench, one)
    if not is_registered:
        bench = Bench(HALVES, unregistered=[one])
        bench.mine_to(ANCHOR)
    seat = bench[next(member for member in LEFT if member is not one)]
    effects: list[Effect] = []
    with pytest.raises(NotAMember) as refused:
        bench.hand(seat, Incoming(one.key, one.ip, "", pack_signed(response)), effects)
    assert not isinstance(refused.value, MalformedMessage) and effects == []
    (opened,) = seat.tracker.open_challenges()
    assert opened.builder.held(one.key) is None


def test_who_moves_while_a_challenge_is_open_answers_and_judges_all_the_same() -> None:
    """Its own judges stay those that its draw names; it judges those who fall to its new group."""
    bench = two_groups()
    mover = LEFT[0]
    bench.regroup({"0": LEFT[1:], "1": (*RIGHT, mover)})
    bench.repeat()
    bench.mine_to(JUDGED)
    left, right = valid(bench, LEFT[1]), valid(bench, mover)
    assert sorted(left + right) == [one.key for one in bench.operators]
    assert seen_by(bench[mover]) == set(right)
    assert mover.key not in {
        check_observation(envelope, bench.network).judge
        for envelope in bench.verdicts(LEFT[1], SEQ).observations
    }
    late = [one for one in bench.operators if one.key in right and one is not mover]
    assert all(mover.key in told(bench[one]) for one in late), "who came to be a judge is told too"


def test_who_moves_and_is_registered_no_more_judges_all_the_same() -> None:
    """That it left became known after it had answered, from another group's block."""
    bench = two_groups()
    bench.mine_to(ANCHOR + 1)
    mover = next(one for one in LEFT if one.key in bench.falls_to("1", SEQ))
    bench.registered = {key: entry for key, entry in bench.registered.items() if key != mover.key}
    for seat in bench.seats.values():
        seat.view.registered = bench.registered
        bench.carry(seat, seat.tracker.on_registrations(ANCHOR, seat.view))
    bench.regroup({"0": [one for one in LEFT if one is not mover], "1": (*RIGHT, mover)})
    bench.repeat()
    bench.mine_to(JUDGED)
    others = set(bench.falls_to("1", SEQ)) - {mover.key}
    assert others <= seen_by(bench[mover]), "it says its word, on those who answered it since"


def test_what_is_held_of_those_who_still_fall_to_us_stays_when_our_group_splits() -> None:
    """Nobody answers again: what the judges of the whole had is enough for either half."""
    bench = Bench({"": EVERYBODY})
    bench.mine_to(ANCHOR + 1)
    for seat in bench.seats.values():
        object.__setattr__(seat.tracker._responder, "repeat", lambda *_: [])
    bench.regroup(HALVES)
    bench.mine_to(JUDGED)
    for prefix, members in HALVES.items():
        assert valid(bench, members[0]) == bench.falls_to(prefix, SEQ)
        ours = set(bench.falls_to(prefix, SEQ))
        for judge in members:
            assert seen_by(bench[judge]) == ours


def test_judges_who_saw_the_whole_before_it_split_judge_their_half() -> None:
    bench = Bench({"": EVERYBODY})
    bench.mine_to(JUDGED)
    bench.regroup(HALVES)
    bench.repeat()
    for prefix, members in HALVES.items():
        assert valid(bench, members[0]) == bench.falls_to(prefix, SEQ)


def test_groups_that_merge_while_a_challenge_is_open_judge_everybody() -> None:
    bench = two_groups()
    bench.regroup({"": EVERYBODY})
    bench.repeat()
    bench.mine_to(JUDGED)
    assert valid(bench, RIGHT[0]) == [one.key for one in bench.operators]


def test_a_judge_says_one_word_on_a_challenge_wherever_it_moves() -> None:
    """Of two words a proposer could choose one, so the first one goes along, also over a restart."""
    bench = two_groups()
    mover = LEFT[0]
    bench.mine_to(JUDGED)
    said = words(bench[mover])
    bench.certify(LEFT, SEQ)
    bench.restart(mover)
    bench.regroup({"0": LEFT[1:], "1": (*RIGHT, mover)})
    seat = bench.restart(mover)
    bench.repeat()
    bench.mine_to(JUDGED + 1)
    assert words(seat) == said and len(said) == 1
    assert valid(bench, RIGHT[0]) == bench.falls_to("1", SEQ), "a word about others is no word about ours"


@pytest.mark.parametrize("had_seen", [True, False])
def test_who_moves_in_when_its_old_group_has_judged_does_not_keep_the_new_one_from_judging(
    had_seen: bool,
) -> None:
    """Five words of eight are not final: each of the three says its word here too, or that it saw nothing."""
    movers = LEFT[:3]
    bench = two_groups()
    if not had_seen:
        bench.regroup({"0": LEFT[3:], "1": RIGHT})
    bench.mine_to(JUDGED)
    assert all(bool(words(bench[one])) is had_seen for one in movers)
    said = [words(bench[one]) for one in movers]
    bench.certify(LEFT, SEQ)
    bench.regroup({"0": LEFT[3:], "1": (*RIGHT, *movers)})
    assert all(words(bench[one]) for one in movers), "no further block of the chain is waited for"
    bench.repeat()
    assert valid(bench, RIGHT[0]) == bench.falls_to("1", SEQ)
    assert valid(bench, movers[0]) == bench.falls_to("1", SEQ)
    assert not had_seen or [words(bench[one]) for one in movers] == said
    assert {one.challenge.seq for one in bench[movers[0]].tracker.open_challenges()} == {SEQ}


def test_verdicts_wait_for_missing_judges_from_when_they_are_possible_on_and_not_from_our_turn() -> None:
    """Else who proposes rarely would wait in its turn, and propose something that others may not affirm."""
    bench = two_groups()
    for seat in bench.seats.values():
        seat.view.voters = {"0": LEFT, "1": (*RIGHT, LEFT[0])}  # and that one says nothing there
    bench.mine_to(JUDGED)
    seat, round_ = bench[RIGHT[0]], DEVNET.round_milliseconds
    assert len(seat.view.electorate) == 6 and not list(seat.tracker.judged(seat.view, 0))
    other = bench[RIGHT[1]]
    assert next(other.tracker.judged(other.view, round_)).challenge.seq == SEQ


def test_a_word_is_kept_no_longer_than_a_group_may_ask_for_it() -> None:
    bench = two_groups()
    bench.mine_to(JUDGED)
    bench.certify(EVERYBODY, SEQ)
    seat = bench[LEFT[0]]
    assert [word.seq for word in words(seat)] == [SEQ]
    for seq in range(SEQ + 1, SEQ + HELD_MAX + 2):
        bench.mine_to(seq * DEVNET.challenge_every - 1)
        bench.certify(EVERYBODY, seq - 1)
    assert words(seat)[0].seq == SEQ
    bench.mine_to((SEQ + HELD_MAX + 1) * DEVNET.challenge_every)
    assert words(seat)[0].seq == SEQ + 1


@pytest.mark.parametrize("restarts", [False, True])
def test_what_a_judge_named_it_hands_over_after_it_moved(restarts: bool) -> None:
    bench = two_groups()
    mover = LEFT[0]
    bench.mine_to(JUDGED)
    named = [sighting.response_hash for sighting in words(bench[mover])[0].sightings]
    bench.regroup({"0": LEFT[1:], "1": (*RIGHT, mover)})
    seat = bench.restart(mover) if restarts else bench[mover]
    request = ResponsesRequest(
        network=bench.network,
        seq=SEQ,
        anchor_hash=bench.challenge(SEQ).anchor_hash,
        hashes=tuple(sorted(named)),
    )
    effects: list[Effect] = []
    bench.hand(seat, Incoming(LEFT[1].key, LEFT[1].ip, "", pack_plain(request)), effects)
    (answer,) = effects
    assert isinstance(answer, Send)
    assert all(
        own_response(bench, one) in answer.data for one in EVERYBODY if one.key in bench.falls_to("0", SEQ)
    )


def test_who_lost_its_vote_judges_no_more_and_answers_still() -> None:
    bench = two_groups()
    gone = LEFT[0]
    seat = bench[gone]
    bench.regroup({"0": LEFT[1:], "1": RIGHT})
    assert not seat.tracker.is_judge
    bench.mine_to(JUDGED)
    assert words(seat) == []
    assert gone.key in valid(bench, LEFT[1]) + valid(bench, RIGHT[0])


def test_a_judge_of_our_draw_who_is_in_another_group_is_no_stranger() -> None:
    bench = two_groups()
    one = foreigner(bench, "0")
    if one not in LEFT:
        bench.regroup({"0": RIGHT, "1": LEFT})
    seat = bench[one]
    judges = [
        other
        for other in EVERYBODY
        if other.key in seat.view.judges(seat.tracker._responder.draw(bench.challenge(SEQ)))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRANGERS_MAX", 0)
        probe = encode(build_probe(bench.network, bench.challenge(SEQ), bytes(32)))
        seat.tracker._responder._answered.clear()
        with pytest.raises(StaleMessage):
            seat.tracker.answer_probe(OperatorKey(b"\x07" * 32), probe, seat.view)
        assert seat.tracker.answer_probe(judges[0].key, probe, seat.view)
