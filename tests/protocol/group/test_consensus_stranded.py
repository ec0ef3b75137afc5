"""Values that everybody's chain has left while they were voted on: a lock on one must not stop the height."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.group.rounds import Rounds
from protocol.group.spoken import Spoken
from protocol.group.vote import NIL, Phase, Vote, value_hash
from tests.support.ballot_replica import BASE_MS
from tests.support.ballot_scenes import A, B, in_order, locked_alone, machine, numbers, opened
from tests.support.ballots import BallotNetwork

PATIENCE = 60 * BASE_MS


def votes_for(network: BallotNetwork, value: bytes) -> set[bytes]:
    """Return the honest voters that ever voted for a value."""
    said = (
        one
        for one in network.signed.values()
        if isinstance(one, Vote) and one.block_hash == value_hash(value)
    )
    return {vote.voter for vote in said} & network.honest_keys


def decided(network: BallotNetwork) -> set[bytes]:
    return {replica.decision[0] if replica.decision else b"" for replica in network.replicas}


def with_a_lock(restarted: bool) -> BallotNetwork:
    """One voter of four is locked on A, a fourth is dishonest and silent; the chain leaves A."""
    network, order = locked_alone()
    network.leave(A)
    for number in order[:3]:
        if restarted:
            network.at(number).crash(power=True)
            network.boot(network.at(number))
    network.pool.clear()
    for number in order[1:3]:
        network.offer(network.at(number), B)
    return network


@pytest.mark.parametrize("restarted", [False, True])
def test_a_lock_on_what_the_chain_has_left_convinces_the_others_by_its_proof(restarted: bool) -> None:
    network = with_a_lock(restarted)
    network.run(numbers(network), PATIENCE)
    assert decided(network) == {A}


def test_without_the_proof_counting_the_height_would_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rounds, "_follows", lambda self, offer: False)
    network = with_a_lock(restarted=False)
    network.run(numbers(network), PATIENCE)
    assert decided(network) == {b""}


def test_without_keeping_to_its_own_word_a_restarted_voter_would_stop_the_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Spoken, "affirms", lambda self, block_hash: False)
    network = with_a_lock(restarted=True)
    network.run(numbers(network), PATIENCE)
    assert decided(network) == {b""}


def test_a_stranded_value_without_a_proof_is_not_voted_for() -> None:
    order = in_order([1] * 4)
    network = opened([1] * 4)
    network.leave(A)
    network.offer(network.at(order[0]), A)
    for number in order[1:]:
        network.offer(network.at(number), B)
    network.run(numbers(network), PATIENCE)
    assert decided(network) == {B} and not votes_for(network, A)


def test_a_value_with_another_fault_is_refused_whatever_proves_its_lock() -> None:
    network, order = locked_alone()
    network.leave(A)
    network.left.discard(A)  # the others find more wrong with it than the chain
    network.pool.clear()
    network.run(numbers(network), PATIENCE)
    assert votes_for(network, A) == {network.at(number).signer.operator_key for number in order[:2]}
    assert decided(network) == {b""}


def test_what_an_own_vote_was_for_is_affirmed_and_nothing_else() -> None:
    network, order = locked_alone()
    holder, other = network.at(order[0]), network.at(order[2])
    network.leave(A)
    assert machine(holder).affirms(value_hash(A)) and not machine(other).affirms(value_hash(A))
    for replica in (holder, other):
        replica.crash(power=True)
        network.boot(replica)
    assert machine(holder).affirms(value_hash(A)) and not machine(other).affirms(value_hash(A))
    assert not machine(holder).affirms(value_hash(B)) and not machine(holder).affirms(NIL)


forgeries = st.lists(
    st.tuples(
        st.sampled_from(["vote", "proposal"]),
        st.integers(0, 1),
        st.integers(0, 5),
        st.sampled_from([Phase.PREVOTE, Phase.PRECOMMIT]),
        st.integers(0, 5),
        st.lists(st.integers(0, 4), unique=True),
    ),
    max_size=30,
)


@given(forgeries)
def test_liars_bring_nobody_to_vote_for_what_no_honest_voter_found_good(
    forged: list[tuple[str, int, int, Phase, int, list[int]]],
) -> None:
    """They have less than a third, so none of their proofs is a quorum's."""
    ages = [1] * 7
    liars = in_order(ages)[:2]  # whose turn to propose comes first
    network = opened(ages, liars)
    network.leave(A)
    honest = numbers(network)
    for kind, liar, round_, phase, valid_round, told in forged:
        number, round_ = liars[liar], round_ if kind == "vote" else liar + 7 * (round_ // 3)
        if kind == "vote":
            message = network.forge_vote(number, phase, round_, value_hash(A))
        else:
            message = network.forge_proposal(number, round_, A, min(valid_round, round_))
        network.send(message, [honest[at] for at in told])
        network.deliver_among(honest)
    for number in honest:
        network.offer(network.at(number), B)
    network.run(honest, PATIENCE)
    assert not votes_for(network, A) and value_hash(A) not in network.certified()
    assert decided(network) == {B}
