"""What a restarted voter remembers, and how long a liar can stretch a height that has a lock."""

import pytest

from protocol.group import rounds
from protocol.group.actions import Sign
from protocol.group.consensus import Consensus
from protocol.group.vote import NIL, Phase, Proposal, Vote, check_signed, value_hash
from tests.support.ballot_replica import BASE_MS, HEIGHT, NAME, NETWORK, SIGNERS, Replica
from tests.support.ballot_scenes import A, B, in_order, locked_alone, machine, numbers, opened
from tests.support.ballots import BallotNetwork


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
    replica.records_first = True
    effects = replica.act(replica.consensus.offer([A], 0))
    assert len(effects.records) == 2, "a proposal and the prevote for it"
    network.finish(replica, effects, killed_at=len(effects.records))
    assert not network.signed and not replica.disk.envelopes
    network.boot(replica, B)
    [again] = network.signed.values()
    assert isinstance(again, Vote) and again.block_hash == value_hash(A)


def test_what_was_stored_but_never_recorded_is_recorded_before_it_is_sent() -> None:
    network = opened([1] * 4)
    replica = network.at(in_order([1] * 4)[0])
    assert replica.consensus is not None
    network.finish(replica, replica.act(replica.consensus.offer([A], 0)), killed_at=1)
    assert replica.disk.envelopes and not replica.disk.records and not network.signed
    network.boot(replica, B)
    network.run([replica.number], 1_000)
    assert len(replica.disk.records) == 2
    said = {statement.slot.phase: statement for statement in network.signed.values()}
    assert set(said) == {Phase.PROPOSE, Phase.PREVOTE}
    vote = said[Phase.PREVOTE]
    assert isinstance(vote, Vote) and vote.block_hash == value_hash(A)


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


def test_a_lock_that_a_liar_with_two_faces_made_is_proposed_in_the_next_round() -> None:
    order = in_order([1] * 7)
    liar = order[6]
    network = opened([1] * 7, [liar])
    for number in order[:6]:
        network.accept(number, B)
    network.offer(network.at(order[0]), A)
    network.deliver_among([*order[1:3], order[5]])
    network.pool = [(number, message) for number, message in network.pool if number not in order[3:5]]
    network.send(network.forge_vote(liar, Phase.PREVOTE, 0, value_hash(A)), [order[0], order[5]])
    network.send(network.forge_vote(liar, Phase.PREVOTE, 0, NIL), order[1:5])
    network.deliver_among(order[:6])
    locked = [number for number in order[:6] if machine(network.at(number)).spoken.locked_hash]
    assert locked == [order[0], order[5]], "the other four are no quorum"
    for number in order[1:5]:
        network.offer(network.at(number), B)
    network.run(order[:6], 60_000)
    assert {decision[0] for _, decision in network.decisions} == {A}
    assert _last_round(network) == 1, "all have counted the quorum, though they heard the liar otherwise"
