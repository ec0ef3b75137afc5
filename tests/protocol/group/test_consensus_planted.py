"""The invariants see: each of these faults is planted, and the named invariant must notice it."""

from collections.abc import Callable

import pytest

from protocol.group import rounds
from protocol.group.consensus import Consensus
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate, Quorum
from protocol.group.tally import Offer
from protocol.group.vote import NIL, Phase, value_hash
from tests.protocol.group.test_consensus_faults import GOOD, ConsensusFaults
from tests.support.ballot_replica import HEIGHT, NAME, NETWORK, SIGNERS
from tests.support.ballots import BallotNetwork

INVARIANTS: dict[str, Callable[[ConsensusFaults], None]] = {
    name: getattr(ConsensusFaults, name) for name in dir(ConsensusFaults) if name.startswith("invariant_")
}
A, B = GOOD[:2]


def broken(network: BallotNetwork) -> set[str]:
    """Return the invariants that do not hold."""
    machine = ConsensusFaults.__new__(ConsensusFaults)
    machine.network = network
    names = set()
    for name, check in INVARIANTS.items():
        try:
            check(machine)
        except Exception:  # noqa: BLE001 - whatever it is, the invariant spoke up
            names.add(name)
    return names


def order(count: int) -> list[int]:
    """The voters in the order in which they propose."""
    electorate = BallotNetwork([1] * count).electorate
    keys = [signer.operator_key for signer in SIGNERS]
    return [keys.index(key) for key in proposer_order(NETWORK, NAME, electorate, HEIGHT)]


def opened(dishonest: list[int]) -> BallotNetwork:
    network = BallotNetwork([1] * 4, dishonest)
    for replica in network.replicas:
        network.good[replica.number] |= set(GOOD)
        network.boot(replica)
    return network


def tell(network: BallotNetwork, to: int, value: bytes, phases: tuple[Phase, ...]) -> None:
    """Let all the dishonest vote for a value towards one replica."""
    for number in network.dishonest:
        for phase in phases:
            network.send(network.forge_vote(number, phase, 0, value_hash(value)), [to])


def test_a_sound_run_breaks_nothing() -> None:
    network = opened([])
    for replica in network.replicas:
        network.offer(replica, A)
    network.run([replica.number for replica in network.replicas], 1_000)
    assert len(network.decisions) == 4 and not broken(network)


def test_half_dishonest_is_more_than_it_can_bear_and_that_is_seen() -> None:
    places = order(4)
    network = opened([places[0], places[1]])
    for to, value in ((places[2], A), (places[3], B)):
        network.send(network.forge_proposal(places[0], 0, value), [to])
        tell(network, to, value, (Phase.PREVOTE, Phase.PRECOMMIT))
        network.deliver_among([to])
        network.pool.clear()
    assert broken(network) == {"invariant_agreement", "invariant_one_certificate_at_a_height"}


def test_a_quorum_of_half_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two of four for FINAL one dishonest voter makes two certificates."""
    whole = Electorate.reaches

    def half(self: Electorate, quorum: Quorum, heads: int, age: int) -> bool:
        return whole(self, Quorum.SEED if quorum is Quorum.FINAL else quorum, heads, age)

    monkeypatch.setattr(Electorate, "reaches", half)
    places = order(4)
    network = opened([places[0]])
    for to, value in ((places[1], A), (places[2], B)):
        network.send(network.forge_proposal(places[0], 0, value), [to])
        tell(network, to, value, (Phase.PREVOTE, Phase.PRECOMMIT))
        network.deliver_among([to])
        network.pool.clear()
    assert {"invariant_agreement", "invariant_one_certificate_at_a_height"} <= broken(network)


def locked_alone() -> tuple[BallotNetwork, list[int]]:
    """n0 has locked A with the help of n3, who is dishonest; the others know nothing of it."""
    places = order(4)
    network = opened([places[3]])
    network.offer(network.at(places[0]), A)
    network.deliver_among([places[1]])
    tell(network, places[0], A, (Phase.PREVOTE,))
    network.deliver_among([places[0]])
    network.pool.clear()
    return network, places


def go_on_to_round_1(network: BallotNetwork, places: list[int]) -> None:
    """n1 proposes B in round 1, which n0 hears."""
    network.offer(network.at(places[1]), B)
    for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
        for to in places[:3]:
            network.send(network.forge_vote(places[3], phase, 0, NIL), [to])
    network.run(places[:3], 450)


def test_an_ignored_lock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def always(self: Consensus, offer: Offer) -> bool:
        return True

    silent = tuple(rule for rule in rounds._RULES if rule is not rounds.Rounds._show_lock)
    monkeypatch.setattr(rounds, "_RULES", silent)
    network, places = locked_alone()
    go_on_to_round_1(network, places)
    assert not broken(network)

    network, places = locked_alone()
    monkeypatch.setattr(Consensus, "lock_allows", always)
    monkeypatch.setattr(Consensus, "_note_valid", lambda self: False)
    go_on_to_round_1(network, places)
    assert broken(network) == {"invariant_lock_is_kept"}


def test_a_forgotten_vote_file_is_seen() -> None:
    network, places = locked_alone()
    holder = network.at(places[0])
    holder.crash(wipe=True)
    holder.disk.records.clear()
    network.boot(holder, B)
    assert "invariant_one_vote_per_slot" in broken(network)


def test_sending_before_recording_is_seen() -> None:
    network = opened([])
    replica = network.at(order(4)[0])
    assert replica.consensus is not None
    effects = replica.act(replica.consensus.offer([A], 0))
    for message in effects.sends:
        network.send(message, [other.number for other in network.replicas])
    replica.crash()
    assert broken(network) == {"invariant_recorded_before_sent"}


def test_an_invalid_decision_and_a_bad_certificate_are_seen() -> None:
    network = opened([])
    for replica in network.replicas:
        network.offer(replica, A)
    network.run([replica.number for replica in network.replicas], 1_000)
    value, certificate = network.decisions[0][1]
    network.decisions = [(0, (b"bad", certificate))]
    assert broken(network) == {"invariant_decided_value_is_valid", "invariant_certificate_verifies"}


def test_an_honest_voter_accused_is_seen() -> None:
    network, places = locked_alone()
    liar = places[3]
    lies = [network.forge_vote(liar, Phase.PREVOTE, 0, value) for value in (NIL, value_hash(A))]
    for lie in lies:
        network.send(lie, [places[1]])
    network.deliver_among([places[1]])
    assert network.at(places[1]).accusations and not broken(network)
    network.replicas.append(network._replica(99, liar))
    assert "invariant_only_the_dishonest_are_accused" in broken(network)
