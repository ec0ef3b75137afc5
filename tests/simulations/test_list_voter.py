"""A machine takes what nodes take, and refuses what they refuse."""

import random
from collections.abc import Callable

import pytest

from protocol.codec import replace
from protocol.errors import InvalidCertificate, StaleMessage
from protocol.group.certificate import Certificate
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, value_hash, vote_body
from protocol.node.effects import Incoming
from protocol.node.messages import pack_signed
from simulations.list_electorate import Election, hold_election
from simulations.list_options import ListOptions
from simulations.list_source import PERIOD
from simulations.list_voter import TOPIC, Address, Machine

Say = Callable[[int, bytes], None]


@pytest.fixture
def election() -> Election:
    return hold_election(1, ListOptions(voters=7, machines=2), random.Random(1))


def machine(election: Election, said: list[bytes]) -> Machine:
    return Machine(election.machines[0], election, 1_000, lambda _, data: said.append(data))


def vote(
    election: Election, number: int, phase: Phase, block_hash: bytes, signer: int | None = None
) -> bytes:
    slot = Slot(election.network, LIST_ELECTORATE, PERIOD, 0, phase)
    body = vote_body(slot, block_hash, election.key(number))
    return pack_signed(election.signers[number if signer is None else signer].sign(body))


def certificate(election: Election, value: bytes, count: int) -> Certificate:
    slot = Slot(election.network, LIST_ELECTORATE, PERIOD, 0, Phase.PRECOMMIT)
    bodies = sorted(
        (one.operator_key, one.sign(vote_body(slot, value_hash(value), one.operator_key))[:64])
        for one in election.signers[:count]
    )
    return Certificate(
        electorate=LIST_ELECTORATE,
        height=PERIOD,
        round=0,
        block_hash=value_hash(value),
        signatures=tuple(bodies),
    )


def test_what_is_heard_twice_is_counted_once_and_a_forged_vote_not_at_all(election: Election) -> None:
    said: list[bytes] = []
    voter = machine(election, said)
    voter.offer(election.values[0], 0)
    other = next(n for n in range(7) if n != voter.number)
    for data in (vote(election, other, Phase.PREVOTE, b""),) * 2:
        voter.hear(Incoming(voter.key, voter.ip, TOPIC, data))
    assert len(voter.heard) == 1 and voter.refused == 0
    forged = vote(
        election, next(n for n in range(7) if n not in (other, voter.number)), Phase.PREVOTE, b"", other
    )
    voter.hear(Incoming(voter.key, voter.ip, TOPIC, forged))
    assert voter.refused == 1


def test_the_record_grows_with_what_is_heard(election: Election) -> None:
    voter = machine(election, [])
    voter.offer(election.values[0], 0)
    before = voter.kept_bytes
    data = vote(election, next(n for n in range(7) if n != voter.number), Phase.PREVOTE, b"")
    voter.hear(Incoming(voter.key, voter.ip, TOPIC, data))
    assert len(data) < voter.kept_bytes - before < len(data) + 100 and voter.kept_most == voter.kept_bytes


def test_a_file_is_taken_for_its_certificate_alone(election: Election) -> None:
    voter, value = machine(election, []), election.values[1]
    whole = certificate(election, value, 7)
    for wrong in (certificate(election, value, 4), replace(whole, height=PERIOD + 1)):
        with pytest.raises(InvalidCertificate):
            voter.take_file(value, wrong)
    with pytest.raises(InvalidCertificate):
        voter.take_file(election.values[0], whole)
    assert voter.decided is None
    voter.take_file(value, whole)
    assert voter.decided == (value, whole) and voter.took_file


def test_an_address_hears_nothing_and_is_not_dialled(election: Election) -> None:
    address = Address(3, election.key(3))
    address.hear(Incoming(address.key, address.ip, TOPIC, b"x"))
    with pytest.raises(StaleMessage):
        address.answer_probe(address.key, b"")
