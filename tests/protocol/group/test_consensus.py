"""Single laws of consensus, each in a scenario of its own. Everything at once: `test_consensus_faults`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidProof, NotAMember, StaleMessage
from protocol.group.actions import Decide, Resend, Sign
from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate, Voter
from protocol.group.tally import FUTURE_ROUNDS, PAST_ROUNDS
from protocol.group.vote import NIL, Phase, Proposal, Slot, Vote, check_signed, value_hash, vote_body
from tests.support.ballot_replica import BASE_MS, HEIGHT, NAME, NETWORK, SIGNERS, check_decision
from tests.support.ballot_scenes import A, B, in_order, machine, numbers, opened
from tests.support.ballots import BallotNetwork


@pytest.mark.parametrize("count", [1, 2, 4, 7, 10])
def test_with_everybody_there_the_first_proposal_is_decided_at_once(count: int) -> None:
    network = opened([3] * count)
    for replica in network.replicas:
        network.offer(replica, A)
    network.deliver_among(numbers(network))
    assert [replica.decision[0] for replica in network.replicas if replica.decision] == [A] * count
    assert network.now == 0
    for _, decision in network.decisions:
        check_decision(decision, network.electorate)
        assert decision[1].round == 0


def test_a_height_sleeps_until_somebody_has_something_to_propose() -> None:
    network = opened([1, 1, 1, 1])
    network.run(numbers(network), 60_000)
    assert not network.signed
    assert all(machine(replica).needs_attention is None for replica in network.replicas)
    network.offer(network.replicas[2], B)
    network.run(numbers(network), 2_000)
    assert {decision[0] for _, decision in network.decisions} == {B}


def test_one_value_is_decided_though_everybody_proposes_another() -> None:
    network = opened([1, 2, 3, 4, 5])
    for replica in network.replicas:
        value = b"of %d" % replica.number
        for other in network.replicas:
            network.accept(other.number, value)
        network.offer(replica, value)
    network.run(numbers(network), 1_000)
    assert len({decision[0] for _, decision in network.decisions}) == 1
    assert all(replica.decision for replica in network.replicas)


@pytest.mark.parametrize("away", [1, 2])
def test_less_than_a_third_away_stops_nothing(away: int) -> None:
    order = in_order([1] * 7)
    network = opened([1] * 7)
    present = [number for number in order if number not in order[:away]]
    for number in present:
        network.offer(network.at(number), A)
    network.run(present, 5_000)
    assert all(network.at(number).decision for number in present)


def test_a_third_away_stops_everything_and_nobody_runs_ahead() -> None:
    """Rounds pass only when FINAL passed them: a minority does not count up while it is alone."""
    network = opened([1] * 6)
    for replica in network.replicas:
        network.offer(replica, A)
    network.run(numbers(network)[:4], 60_000)
    assert not network.decisions
    assert {machine(network.at(number)).round for number in range(4)} == {0}
    network.run(numbers(network), 5_000)
    assert all(replica.decision for replica in network.replicas)


def test_a_few_heads_with_nearly_all_the_age_cannot_decide() -> None:
    network = opened([200, 200, 1, 1, 1, 1])
    for replica in network.replicas:
        network.offer(replica, A)
    network.run([0, 1, 2], 20_000)
    network.run([2, 3, 4, 5], 20_000)
    assert not network.decisions


def test_who_comes_late_skips_to_the_round_of_the_others() -> None:
    """Nobody has anything valid to decide, so the rounds go by; the latecomer hears the last one only."""
    network = BallotNetwork([1] * 7)
    for replica in network.replicas:
        network.boot(replica)
    network.offer(network.replicas[0], A)
    early = numbers(network)[:6]
    network.run(early, 10_000)
    reached = max(machine(network.at(number)).round for number in early)
    assert reached > 3
    network.pool.clear()
    network.run(numbers(network), 3_000)
    assert machine(network.at(6)).round >= reached
    votes = [s for s in network.signed.values() if s.signer == SIGNERS[6].operator_key]
    assert min(vote.round for vote in votes) >= reached, "it says nothing in rounds that are over"


def test_votes_kept_from_the_others_do_not_strand_them() -> None:
    """A dishonest precommit for one voter only lets it go on; the rest must be able to follow.

    In the paper gossip passes that vote on. Here whoever is further on counts as done with the round.
    """
    order = in_order([1] * 4)
    liar, first = order[3], order[1]
    network = opened([1] * 4, [liar])
    for replica in network.replicas:
        network.offer(replica, b"nobody finds this valid")
    honest = numbers(network)
    for _ in range(6):
        for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
            at = machine(network.at(first)).round
            network.send(network.forge_vote(liar, phase, at, NIL), [first])
            network.run(honest, BASE_MS)
    network.run(honest, 5_000)
    reached = [machine(network.at(number)).round for number in honest]
    assert min(reached) > 2 and max(reached) - min(reached) <= 1


def test_a_value_that_cannot_be_judged_yet_is_voted_for_when_it_can() -> None:
    order = in_order([1] * 4)
    network = BallotNetwork([1] * 4)
    network.good[order[0]].add(A)
    for replica in network.replicas:
        network.boot(replica)
    network.offer(network.at(order[0]), A)
    network.deliver_among(order)
    assert len(network.supporters(Phase.PREVOTE, 0, value_hash(A))) == 1
    assert not network.supporters(Phase.PREVOTE, 0, NIL), "they wait for the timeout"
    for number in order[1:]:
        network.accept(number, A)
    network.deliver_among(order)
    assert all(replica.decision for replica in network.replicas)
    assert network.decisions[0][1][1].round == 0


def test_an_invalid_value_is_never_decided() -> None:
    network = opened([1] * 4)
    for replica in network.replicas:
        network.offer(replica, b"invalid")
    network.run(numbers(network), 10_000)
    assert not network.decisions
    assert not network.supporters(Phase.PREVOTE, 0, value_hash(b"invalid"))


def test_two_proposals_and_two_votes_of_one_voter_are_told_once_each_height() -> None:
    order = in_order([1] * 4)
    liar = order[0]
    network = opened([1] * 4, [liar])
    for value in (A, B):
        network.send(network.forge_proposal(liar, 0, value), numbers(network))
        for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
            network.send(network.forge_vote(liar, phase, 0, value_hash(value)), numbers(network))
    network.deliver_among(numbers(network))
    assert [len(replica.accusations) for replica in network.replicas] == [1, 1, 1]


def test_a_flood_of_rounds_costs_no_memory() -> None:
    network = opened([1] * 4, [3])
    network.offer(network.replicas[0], A)
    target = network.replicas[0]
    for round_ in range(2_000):
        vote = check_signed(network.forge_vote(3, Phase.PREVOTE, round_, NIL), NETWORK)
        assert isinstance(vote, Vote)
        machine(target).receive_vote(network.forge_vote(3, Phase.PREVOTE, round_, NIL), vote, network.now)
    kept = [number for number, _ in machine(target)._log.rounds()]
    assert len(kept) <= PAST_ROUNDS + 1 + FUTURE_ROUNDS
    assert machine(target).round == 0, "one voter alone moves nobody"


# What is refused.


def statement_of(network: BallotNetwork, number: int, **change: object) -> tuple[bytes, Proposal]:
    envelope = network.forge_proposal(number, 0, A)
    proposal = check_signed(envelope, NETWORK)
    assert isinstance(proposal, Proposal)
    return envelope, proposal


def test_who_is_not_asked_does_not_propose() -> None:
    order = in_order([1] * 4)
    network = opened([1] * 4, [order[1]])
    envelope, proposal = statement_of(network, order[1])
    target = machine(network.at(order[2]))
    assert not target.wants(proposal)
    with pytest.raises(NotAMember, match="does not propose in round 0"):
        target.receive_proposal(envelope, proposal, 0)


def test_strangers_and_other_heights_are_refused() -> None:
    network = opened([1] * 4)
    target = machine(network.replicas[0])
    for signer, height, expected in (
        (SIGNERS[9], HEIGHT, NotAMember),
        (SIGNERS[1], HEIGHT + 1, StaleMessage),
        (SIGNERS[1], HEIGHT - 1, StaleMessage),
    ):
        slot = Slot(NETWORK, NAME, height, 0, Phase.PREVOTE)
        envelope = signer.sign(vote_body(slot, NIL, signer.operator_key))
        vote = check_signed(envelope, NETWORK)
        assert isinstance(vote, Vote) and not target.wants(vote)
        with pytest.raises(expected):
            target.receive_vote(envelope, vote, 0)
    assert target.needs_attention is None, "it goes on sleeping"


def test_a_lock_that_is_only_claimed_is_refused() -> None:
    order = in_order([1] * 4)
    network = opened([1] * 4, [order[1]])
    network.offer(network.at(order[0]), A)
    network.deliver_among([order[2]])
    envelope = network.forge_proposal(order[1], 1, A, 1)
    proposal = check_signed(envelope, NETWORK)
    assert isinstance(proposal, Proposal) and 0 < len(proposal.proof) < 3
    with pytest.raises(InvalidProof, match="not by a quorum"):
        machine(network.at(order[2])).receive_proposal(envelope, proposal, 0)


# Observers and silent voters.


def test_an_observer_says_nothing_and_sees_the_decision() -> None:
    network = opened([1] * 4)
    watching = Consensus(NETWORK, NAME, network.electorate, HEIGHT, None, BASE_MS, {A}.__contains__)
    assert watching.start(0) == []
    for replica in network.replicas:
        network.offer(replica, A)
    network.deliver_among(numbers(network))
    seen = []
    for envelope, statement in network.signed.items():
        if isinstance(statement, Vote):
            seen += watching.receive_vote(envelope, statement, 0)
        else:
            seen += watching.receive_proposal(envelope, statement, 0)
    assert not [action for action in seen if isinstance(action, Sign)]
    [decided] = [action for action in seen if isinstance(action, Decide)]
    check_decision((decided.value, decided.certificate), network.electorate)


def test_a_key_without_a_vote_is_an_observer() -> None:
    electorate = Electorate.of([Voter(operator_key=SIGNERS[0].operator_key, age=1)])
    stranger = Consensus(
        NETWORK, NAME, electorate, HEIGHT, SIGNERS[5].operator_key, BASE_MS, {A}.__contains__
    )
    assert stranger.start(0, A) == [] and stranger.me is None


def test_a_voter_whose_guard_is_silent_stops_nobody() -> None:
    network = opened([1] * 4)
    network.replicas[0].guard.listen_through(NETWORK, NAME, HEIGHT)
    for replica in network.replicas:
        network.offer(replica, A)
    network.run(numbers(network), 2_000)
    assert all(replica.decision for replica in network.replicas)
    assert not [s for s in network.signed.values() if s.signer == network.replicas[0].signer.operator_key]


# Time.


def test_waiting_ends_and_something_happens_at_every_deadline() -> None:
    network = opened([1] * 4)
    network.offer(network.replicas[0], A)
    target = machine(network.replicas[0])
    for _ in range(50):
        due = target.needs_attention
        assert due is not None
        target.tick(due)
        after = target.needs_attention
        assert after is not None and after > due, "no busy waiting"


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    network = opened([1] * 4)
    network.offer(network.replicas[0], A)
    target = machine(network.replicas[0])
    target.tick(5_000)
    due = target.needs_attention
    target.tick(0)
    assert target.needs_attention == due


def test_own_statements_are_repeated_more_and_more_seldom() -> None:
    network = opened([1] * 4)
    network.offer(network.replicas[0], A)
    target = machine(network.replicas[0])
    times = []
    for now in range(0, 40 * BASE_MS, 10):
        for action in target.tick(now):
            if isinstance(action, Sign):
                target.signed(network.replicas[0].signer.sign(action.body))
            if isinstance(action, Resend):
                times.append(now)
    gaps = [after - before for before, after in zip(times, times[1:], strict=False) if after > before]
    assert gaps[:2] == [4 * BASE_MS, 8 * BASE_MS] and set(gaps[2:]) == {8 * BASE_MS}


def test_only_whose_turn_it_is_may_propose_and_what_was_withdrawn_is_not_proposed() -> None:
    order = in_order([1, 1, 1, 1])
    network = opened([1, 1, 1, 1])
    waiting = [machine(network.at(number)) for number in order]
    assert all(one.may_propose for one in waiting), "a height that sleeps is woken up by anybody"
    network.offer(network.at(order[1]), A)
    assert not waiting[1].may_propose, "it is awake, and the first one's turn"
    waiting[1].withdraw()
    network.run([number for number in order if number != order[0]], BASE_MS * 4)
    assert waiting[1].round >= 1 and not any(replica.decision for replica in network.replicas)
    for number in order[1:]:
        if machine(network.at(number)).may_propose:
            network.offer(network.at(number), B)
    network.run([number for number in order if number != order[0]], 60_000)
    assert {decision[0] for _, decision in network.decisions} <= {B}


@given(st.integers(1, 7), st.integers(1, 9))
def test_whoever_proposes_comes_to_each_of_its_choices(voters: int, count: int) -> None:
    network = opened([1] * voters)
    target = machine(network.replicas[0])
    choices = [bytes([number]) for number in range(count)]
    target.offer(choices, 0)
    of_ours: list[bytes | None] = []
    for target.round in range(voters * count):
        if target.proposer(target.round) == target.me:
            of_ours.append(target._own_choice())
    assert sorted(filter(None, of_ours)) == choices, "each once in as many turns"
    in_a_row = []
    for target.round in range(min(voters, count)):
        in_a_row.append(target._own_choice())
    assert in_a_row == choices[: len(in_a_row)], "all of one mind come to each in as many rounds"
