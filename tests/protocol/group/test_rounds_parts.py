"""The parts of consensus by themselves: the log of a height, timers, own statements, the proposers' order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.crypto import Signer, sha3_256
from protocol.group.pace import GROWTH_MAX, RESEND_SLOWEST, Pace, Timer
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate, Voter
from protocol.group.spoken import NEVER, Spoken
from protocol.group.tally import FUTURE_ROUNDS, PAST_ROUNDS, HeightLog, Tally
from protocol.group.vote import (
    NIL,
    Phase,
    Proposal,
    Slot,
    Vote,
    check_signed,
    value_hash,
    vote_body,
    vote_content,
)
from protocol.units import Hash32

NETWORK = b"\x07" * 32
SIGNERS = sorted((Signer(bytes([n + 1]) * 32) for n in range(6)), key=lambda signer: signer.operator_key)
AGES = (1, 2, 3, 4, 5, 6)
ELECTORATE = Electorate.of(
    Voter(operator_key=signer.operator_key, age=age) for signer, age in zip(SIGNERS, AGES, strict=True)
)
ONE, TWO = Hash32(b"\x11" * 32), Hash32(b"\x22" * 32)
VOTING = (Phase.PREVOTE, Phase.PRECOMMIT)


def cast(number: int, round_: int, phase: Phase, block_hash: bytes) -> tuple[bytes, Vote]:
    signer = SIGNERS[number]
    slot = Slot(NETWORK, "group:", 1, round_, phase)
    envelope = signer.sign(vote_body(slot, block_hash, signer.operator_key))
    vote = check_signed(envelope, NETWORK)
    assert isinstance(vote, Vote)
    return envelope, vote


VOTES = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 14), st.sampled_from(VOTING), st.sampled_from((NIL, ONE, TWO))
    ),
    max_size=40,
)


@given(VOTES, st.integers(0, 6))
def test_the_log_counts_what_a_naive_count_counts(
    votes: list[tuple[int, int, Phase, bytes]], at: int
) -> None:
    log = HeightLog(ELECTORATE)
    log.enter(at)
    first: dict[tuple[int, int, Phase], bytes] = {}
    reached: dict[int, tuple[int, Phase]] = {}
    for number, round_, phase, block_hash in votes:
        earlier = log.add_vote(*cast(number, round_, phase, block_hash))
        reached[number] = max(reached.get(number, (round_, phase)), (round_, phase))
        if round_ == 0 or at - PAST_ROUNDS <= round_ <= at + FUTURE_ROUNDS:
            known = first.setdefault((number, round_, phase), block_hash)
            assert (earlier is not None) == (known != block_hash)
        else:
            assert earlier is None
    keys = [signer.operator_key for signer in SIGNERS]
    for phase in VOTING:
        past = [keys[number] for number, place in reached.items() if place >= (at, phase)]
        assert log.passed(phase) == ELECTORATE.is_final(past)
    for (_, round_, phase), block_hash in first.items():
        same = [keys[n] for (n, r, p), h in first.items() if (r, p, h) == (round_, phase, block_hash)]
        tally = log.at(round_).tally(phase)
        assert [voter for voter, _ in tally.envelopes(block_hash)] == sorted(same)
        assert tally.has_third(block_hash) == ELECTORATE.is_third(same)
        assert (tally.final == block_hash) == ELECTORATE.is_final(same)
    ahead = [(place[0], keys[number]) for number, place in reached.items() if place[0] > at]
    targets = [r for r, _ in ahead if ELECTORATE.is_third(key for round_, key in ahead if round_ >= r)]
    assert log.skip_target() == max(targets, default=None)


def test_a_tally_that_has_its_quorum_keeps_it() -> None:
    tally = Tally(ELECTORATE)
    for number in (1, 2, 3, 4, 5):
        tally.add(SIGNERS[number].operator_key, NIL, b"")
    assert tally.final == NIL
    tally.add(SIGNERS[0].operator_key, ONE, b"")
    assert tally.final == NIL and tally.final is not None


def offered(value: bytes) -> tuple[bytes, Proposal]:
    """A proposal of the first voter in round 0."""
    proposal = Proposal(
        network=NETWORK,
        electorate="group:",
        height=1,
        round=0,
        valid_round=0,
        proof=(),
        proposer=SIGNERS[0].operator_key,
        value=value,
    )
    return SIGNERS[0].sign(encode(proposal)), proposal


def test_who_contradicts_itself_counts_for_each_proposal_that_is_kept() -> None:
    log = HeightLog(ELECTORATE)
    hashes = [value_hash(value) for value in (b"one", b"two")]
    votes = [cast(5, 0, Phase.PREVOTE, hashed) for hashed in (NIL, *hashes, ONE)]
    for number in (1, 2, 3, 4):
        log.add_vote(*cast(number, 0, Phase.PREVOTE, hashes[1]))
    assert log.add_vote(*votes[0]) is None
    tally = log.at(0).prevotes
    assert not log.counts(votes[2][1]), "nothing like it was proposed"
    assert log.add_vote(*votes[2]) == votes[0][0] and tally.final is None
    log.has_news = False
    log.add_proposal(*offered(b"two"))
    assert tally.final == hashes[1] and log.has_news, "the vote that is evidence waited for its proposal"
    log.add_proposal(*offered(b"one"))
    assert log.counts(votes[1][1])
    assert log.add_vote(*votes[1]) == votes[0][0]
    assert not any(log.counts(vote) or log.wants_vote(vote) for _, vote in votes[:3])
    assert dict(tally.envelopes(hashes[1]))[SIGNERS[5].operator_key] == votes[2][0]
    assert tally.heads(hashes[0]) == 1 and tally.heads(hashes[1]) == 5
    assert not log.counts(votes[3][1]), "a third value is none of those that were proposed"
    assert tally.envelope(SIGNERS[5].operator_key) == votes[0][0]


def test_a_pinned_round_outlives_the_window() -> None:
    log = HeightLog(ELECTORATE)
    for round_ in (0, 2, 3):
        log.add_vote(*cast(0, round_, Phase.PREVOTE, ONE))
    log.pin(2)
    log.enter(40)
    assert [number for number, _ in log.rounds()] == [2]
    assert log.at(2).prevotes.says(SIGNERS[0].operator_key, ONE)


def test_what_is_known_is_not_wanted_again() -> None:
    log = HeightLog(ELECTORATE)
    envelope, vote = cast(0, 0, Phase.PREVOTE, ONE)
    assert log.wants_vote(vote)
    log.add_vote(envelope, vote)
    assert not log.wants_vote(vote)
    assert log.wants_vote(cast(0, 0, Phase.PREVOTE, TWO)[1]), "a contradiction is worth hearing"
    far = cast(0, FUTURE_ROUNDS + 1, Phase.PREVOTE, ONE)
    assert log.wants_vote(far[1])
    log.add_vote(*far)
    assert not log.wants_vote(cast(0, FUTURE_ROUNDS + 1, Phase.PREVOTE, TWO)[1]), "it is not kept"


# Timers.


def test_timeouts_grow_by_half_the_first_one_and_stop_growing() -> None:
    pace = Pace(1_000)
    assert [pace.timeout(round_) for round_ in range(4)] == [1_000, 1_500, 2_000, 2_500]
    assert pace.timeout(GROWTH_MAX) == pace.timeout(10**9) == 31_000


def test_each_timer_runs_once_a_round() -> None:
    pace = Pace(1_000)
    pace.enter(0, 0)
    assert pace.arm(Timer.PROPOSE, 0) and not pace.arm(Timer.PROPOSE, 5)
    assert pace.expired(999) == []
    assert pace.expired(1_000) == [Timer.PROPOSE] and pace.has_fired(Timer.PROPOSE)
    assert not pace.arm(Timer.PROPOSE, 2_000)
    pace.enter(1, 2_000)
    assert pace.arm(Timer.PROPOSE, 2_000) and not pace.has_fired(Timer.PROPOSE)
    assert pace.next_deadline() == 3_500


def test_of_several_that_are_due_a_lock_is_shown_before_the_round_ends() -> None:
    pace = Pace(1_000)
    pace.enter(0, 0)
    pace.arm(Timer.PRECOMMIT, 0)
    pace.arm(Timer.SHOW, 0)
    assert pace.next_deadline() == 500
    assert pace.expired(10_000) == [Timer.SHOW, Timer.PRECOMMIT]


def test_resending_backs_off() -> None:
    pace = Pace(100)
    assert not pace.resend_due(0) and pace.next_deadline() is None
    pace.enter(0, 0)
    times = [now for now in range(0, 5_000) if pace.resend_due(now)]
    gaps = [after - before for before, after in zip([0, *times], times, strict=False)]
    assert gaps[:5] == [100, 200, 400, 800, 800] and max(gaps) == RESEND_SLOWEST * 100


def test_what_is_new_is_sent_again_soon_and_nothing_is_ever_put_off() -> None:
    pace = Pace(100)
    pace.said(0)
    assert pace.next_deadline() is None, "no round has begun"
    pace.enter(0, 0)
    pace.said(50)
    assert pace.next_deadline() == 100, "what was said before is not put off"
    times = [now for now in range(0, 5_000) if pace.resend_due(now)]
    assert times[-1] > 4_000
    pace.said(5_000)
    again = [now for now in range(5_000, 5_900) if pace.resend_due(now)]
    assert again == [5_100, 5_300, 5_700]


# Own statements.


@given(
    st.lists(
        st.tuples(
            st.tuples(st.integers(0, 4), st.sampled_from(Phase)),
            st.sampled_from((Hash32(bytes(32)), ONE, TWO)),
        )
    )
)
def test_own_statements_go_forward_only_and_the_last_precommit_is_the_lock(
    wishes: list[tuple[tuple[int, Phase], Hash32]],
) -> None:
    spoken = Spoken()
    said: dict[tuple[int, Phase], Hash32] = {}
    for place, content in wishes:
        if spoken.allows(place, content):
            assert said.setdefault(place, content) == content
            spoken.remember(place, content)
    assert list(said) == sorted(said)
    locks = [(place[0], said[place]) for place in said if place[1] is Phase.PRECOMMIT and any(said[place])]
    expected = max(locks, default=(NEVER, NIL), key=lambda lock: lock[0])
    assert (spoken.locked_round, spoken.locked_hash) == expected
    assert bool(spoken) == bool(said)


def test_what_was_voted_is_told_apart_from_silence() -> None:
    spoken = Spoken()
    assert spoken.vote(0, Phase.PREVOTE) is None and spoken.last[0] == NEVER
    spoken.remember((0, Phase.PREVOTE), vote_content(NIL))
    assert spoken.vote(0, Phase.PREVOTE) == NIL and (0, Phase.PREVOTE) in spoken


# Proposers.


def test_everybody_has_one_turn_in_as_many_rounds() -> None:
    order = proposer_order(NETWORK, "group:", ELECTORATE, 7)
    assert sorted(order) == list(ELECTORATE.keys())


def test_turns_are_drawn_anew_for_each_height_and_electorate() -> None:
    firsts = Counter(proposer_order(NETWORK, "group:", ELECTORATE, height)[0] for height in range(600))
    assert len(firsts) == 6 and max(firsts.values()) < 2 * min(firsts.values())
    assert proposer_order(NETWORK, "list", ELECTORATE, 7) != proposer_order(NETWORK, "group:", ELECTORATE, 7)


def test_the_order_is_that_of_the_spec() -> None:
    place = NETWORK + (7).to_bytes(8, "big")
    draws = {sha3_256(place + signer.operator_key + b"group:"): signer.operator_key for signer in SIGNERS}
    assert list(proposer_order(NETWORK, "group:", ELECTORATE, 7)) == [draws[draw] for draw in sorted(draws)]


@pytest.mark.parametrize("phase", VOTING)
def test_the_phases_are_in_order(phase: Phase) -> None:
    assert phase > Phase.PROPOSE
