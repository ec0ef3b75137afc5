"""The whole network's agreement on one list: one, whoever lies; two only where a rule is broken."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.codec import replace as replace_fields
from protocol.group.certificate import check_certificate
from protocol.group.vote import value_hash
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_run import ListRun, run_list
from simulations.options import Plant
from simulations.plants import planted
from simulations.sharing import shared_work

SPLITTING_SEED = 2
"""Of a run in which a quorum of half lets two lists be certified."""


def options(dishonesty: Dishonesty, **changes: Any) -> ListOptions:
    least = ListOptions(dishonesty=dishonesty, voters=40, machines=8, dishonest_percent=33)
    return replace(least, **changes)


@pytest.mark.parametrize("dishonesty", list(Dishonesty))
@pytest.mark.parametrize("seed", range(3))
def test_every_machine_has_the_one_certified_list(dishonesty: Dishonesty, seed: int) -> None:
    outcome = run_list(seed, options(dishonesty))
    assert outcome.is_agreed and outcome.decided == outcome.machines == 8 and outcome.refused == 0
    assert 27 <= outcome.signatures <= 40
    assert outcome.compact_bytes < outcome.certificate_bytes < outcome.kept_bytes
    assert 27 < outcome.heard_messages <= outcome.statements
    assert outcome.dishonest == (0 if dishonesty is Dishonesty.NONE else 13)


def test_one_seed_is_one_run() -> None:
    lying = options(Dishonesty.EQUIVOCATING)
    assert run_list(3, lying).at_once() == run_list(3, lying).at_once()
    assert run_list(3, lying).trace_hash != run_list(4, lying).trace_hash


def test_the_certificates_are_of_the_electorate_and_of_a_right_list() -> None:
    with shared_work():
        run = ListRun(5, options(Dishonesty.SILENT))
        run.run()
    election = run.election
    for machine in run.machines.values():
        assert machine.decided is not None
        value, certificate = machine.decided
        assert value in election.values and certificate.block_hash == value_hash(value)
        check_certificate(certificate, election.network, election.electorate)
        silent = {election.signers[number].operator_key for number in election.dishonest}
        assert silent.isdisjoint(certificate.signers())


def test_there_is_proof_against_everybody_who_says_two_things() -> None:
    outcome = run_list(0, options(Dishonesty.EQUIVOCATING, voters=100))
    assert outcome.accused == outcome.dishonest == 33
    assert run_list(0, options(Dishonesty.SILENT)).accused == 0


def test_a_quorum_of_half_certifies_two_lists() -> None:
    lying = options(Dishonesty.EQUIVOCATING)
    with planted(Plant.QUORUM_HALF):
        outcome = run_list(SPLITTING_SEED, lying)
    assert outcome.values == 2 and not outcome.is_agreed
    assert run_list(SPLITTING_SEED, lying).is_agreed


def test_a_list_that_a_wallet_refuses_is_told() -> None:
    with shared_work():
        run = ListRun(0, options(Dishonesty.NONE))
        assert run.run().is_agreed
        machine = next(iter(run.machines.values()))
        assert machine.decided is not None
        value, certificate = machine.decided
        machine.decided = value, replace_fields(certificate, signatures=certificate.signatures[:9])
        outcome = run.run()
    assert outcome.violations == 1 and not outcome.is_agreed
    assert run.refusals == ["9 of 40 voters are not a quorum"]


@pytest.mark.nightly
@pytest.mark.parametrize("dishonesty", list(Dishonesty))
def test_five_thousand_voters_agree(dishonesty: Dishonesty) -> None:
    outcome = run_list(0, ListOptions(dishonesty=dishonesty))
    assert outcome.is_agreed and outcome.voters == 5_000 and outcome.file_bytes < 1 << 20


def test_a_run_that_is_too_short_has_no_list() -> None:
    outcome = run_list(0, options(Dishonesty.NONE, longest_ms=500))
    assert outcome.decided == outcome.values == 0 and not outcome.is_agreed


def test_what_a_voter_hears_grows_with_the_number_of_voters() -> None:
    """Two votes of everybody, and one list: no more, whoever else is there."""
    few, many = (run_list(1, options(Dishonesty.NONE, voters=count)) for count in (100, 400))
    assert (few.rounds, many.rounds) == (1, 1)
    assert 3.5 < many.heard_messages / few.heard_messages < 4.5
    assert many.heard_messages <= 2 * 400 + 1
