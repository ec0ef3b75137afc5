"""Single laws of consensus, each in a scenario of its own. Everything at once: `test_consensus_faults`."""

import pytest

from protocol.errors import InvalidProof, NotAMember, StaleMessage
from protocol.group import rounds
from protocol.group.actions import Decide, Resend, Sign
from protocol.group.consensus import Consensus
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate, Voter
from protocol.group.tally import FUTURE_ROUNDS, PAST_ROUNDS
from protocol.group.vote import NIL, Phase, Proposal, Slot, Vote, check_signed, value_hash, vote_body
from tests.support.ballots import (
    BASE_MS,
    HEIGHT,
    NAME,
    NETWORK,
    SIGNERS,
    BallotNetwork,
    Replica,
    check_decision,
)

A, B = b"A", b"B"


def opened(ages: list[int], dishonest: list[int] | None = None) -> BallotNetwork:
    """A network in which everybody runs and finds A and B valid, with nothing to propose yet."""
    network = BallotNetwork(ages, dishonest or [])
    for replica in network.everyone:
        network.good[replica.number] |= {A, B}
        network.boot(replica)
    return network


def numbers(network: BallotNetwork) -> list[int]:
    return [replica.number for replica in network.replicas]


def in_order(ages: list[int]) -> list[int]:
    """The voters' numbers in the order in which they propose."""
    electorate = BallotNetwork(ages).electorate
    keys = [signer.operator_key for signer in SIGNERS]
    return [keys.index(key) for key in proposer_order(NETWORK, NAME, electorate, HEIGHT)]


def machine(replica: Replica) -> Consensus:
    assert replica.consensus is not None
    return replica.consensus


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


# Restarts.


def locked_alone() -> tuple[BallotNetwork, list[int]]:
    """Four voters in proposing order, the last dishonest; the first has locked A, nobody else has."""
    order = in_order([1] * 4)
    network = opened([1] * 4, [order[3]])
    network.offer(network.at(order[0]), A)
    network.deliver_among([order[1]])
    network.send(network.forge_vote(order[3], Phase.PREVOTE, 0, value_hash(A)), [order[0]])
    network.deliver_among([order[0]])
    network.pool.clear()
    assert machine(network.at(order[0])).spoken.locked_hash == value_hash(A)
    return network, order


@pytest.mark.parametrize("feed", [False, True])
@pytest.mark.parametrize("wipe", [False, True])
def test_a_lock_is_kept_over_a_restart(wipe: bool, feed: bool) -> None:
    network, order = locked_alone()
    holder = network.at(order[0])
    mine = holder.signer.operator_key
    said = {s.slot: envelope for envelope, s in network.signed.items() if s.signer == mine}
    holder.crash(power=True, wipe=wipe)
    network.boot(holder, B, feed=feed)
    assert machine(holder).spoken.locked_hash == value_hash(A)
    network.pool.clear()
    network.offer(network.at(order[1]), B)
    network.run([order[0], order[1], order[2]], 10 * BASE_MS)
    votes = [s for s in network.signed.values() if isinstance(s, Vote) and s.voter == mine]
    assert {vote.block_hash for vote in votes} <= {value_hash(A), NIL}
    for slot, envelope in said.items():
        assert envelope in network.signed and network.signed[envelope].slot == slot
    if not wipe:
        assert holder.decision and holder.decision[0] == A, "with its proof at hand it convinces the others"


def test_what_was_recorded_but_never_sent_is_said_again_to_the_letter() -> None:
    network = opened([1] * 4)
    replica = network.at(in_order([1] * 4)[0])
    assert replica.consensus is not None
    effects = replica.act(replica.consensus.offer(A, 0))
    assert len(effects.records) == 2, "a proposal and the prevote for it"
    network.finish(replica, effects, killed_at=len(effects.records))
    assert not network.signed and not replica.disk.envelopes
    network.boot(replica, B)
    [again] = network.signed.values()
    assert isinstance(again, Vote) and again.block_hash == value_hash(A)


def test_a_restarted_proposer_does_not_propose_twice() -> None:
    network = opened([1] * 4)
    replica = network.at(in_order([1] * 4)[0])
    network.offer(replica, A)
    replica.crash(wipe=True)
    network.boot(replica, B)
    proposals = [s for s in network.signed.values() if isinstance(s, Proposal)]
    assert [proposal.value for proposal in proposals] == [A]


def test_own_statements_that_only_the_network_remembers_bind() -> None:
    """The vote file is gone too: what comes back from others is still never contradicted."""
    network = opened([1] * 4)
    order = in_order([1] * 4)
    network.offer(network.at(order[0]), A)
    network.deliver_among([order[1]])
    mine = [e for e, s in network.signed.items() if s.signer == SIGNERS[order[1]].operator_key]
    fresh = Consensus(
        NETWORK, NAME, network.electorate, HEIGHT, SIGNERS[order[1]].operator_key, BASE_MS, {B}.__contains__
    )
    fresh.start(0)
    for envelope in mine:
        vote = check_signed(envelope, NETWORK)
        assert isinstance(vote, Vote)
        fresh.receive_vote(envelope, vote, 0)
    said = [action for action in fresh.tick(10_000) if isinstance(action, Sign)]
    assert all(action.slot.phase is not Phase.PREVOTE or action.slot.round for action in said)


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


# A patient liar.

STRETCHED = 12


def rounds_under_a_patient_liar(seed: int) -> int:
    """Return how many rounds a liar stretches a height that begins with a lock of one voter.

    In every round it completes the quorum of prevotes for one honest voter alone, the one
    whose turn to propose is farthest away, and says nothing else.
    """
    order = in_order([1] * 4)
    order = order[seed:] + order[:seed]
    network = opened([1] * 4, [order[3]])
    for replica in network.replicas:
        value = b"of %d" % replica.number
        for other in network.replicas:
            network.accept(other.number, value)
        network.offer(replica, value)
    network.pool = [message for message in network.pool if message[0] != order[(seed + 1) % 3]]
    helped: set[int] = set()
    while not network.decisions and _last_round(network) <= STRETCHED:
        _complete_for_one(network, order[3], helped)
        network.run(numbers(network), 20)
    return _last_round(network)


def _last_round(network: BallotNetwork) -> int:
    return max(machine(replica).round for replica in network.replicas)


def _complete_for_one(network: BallotNetwork, liar: int, helped: set[int]) -> None:
    key = SIGNERS[liar].operator_key
    for vote in list(network.signed.values()):
        if not isinstance(vote, Vote) or vote.phase is not Phase.PREVOTE or not vote.block_hash:
            continue
        voters = network.supporters(Phase.PREVOTE, vote.round, vote.block_hash) - {key}
        complete = network.electorate.is_final(voters | {key}) and not network.electorate.is_final(voters)
        if complete and vote.round not in helped:
            helped.add(vote.round)
            victim = max(network.replicas, key=lambda replica: _next_turn(replica, vote.round + 1))
            network.send(
                network.forge_vote(liar, Phase.PREVOTE, vote.round, vote.block_hash), [victim.number]
            )


def _next_turn(replica: Replica, round_: int) -> int:
    while machine(replica).proposer(round_) != replica.signer.operator_key:
        round_ += 1
    return round_


def test_a_lock_that_is_shown_ends_what_a_patient_liar_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(rounds_under_a_patient_liar, range(4))) <= 4
    without = tuple(rule for rule in rounds._RULES if rule is not rounds.Rounds._show_lock)
    monkeypatch.setattr(rounds, "_RULES", without)
    assert max(map(rounds_under_a_patient_liar, range(4))) > STRETCHED, "the rule is what ends it"
