"""Beginnings of ballots that several tests share."""

from protocol.group.consensus import Consensus
from protocol.group.proposer import proposer_order
from protocol.group.vote import Phase, value_hash
from tests.support.ballot_replica import HEIGHT, NAME, NETWORK, SIGNERS, Replica
from tests.support.ballots import BallotNetwork

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
