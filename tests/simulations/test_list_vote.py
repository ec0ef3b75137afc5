"""All voters of a network on one list: it is decided once, by everybody, and a wallet takes it."""

import json
from functools import cache

import pytest

from protocol.codec import encode, replace
from simulations.list_vote import LATE_PROPOSERS_MAX, ListOptions, ListOutcome, ListVote, vote_on_list
from simulations.sharing import shared_work

OPTIONS = ListOptions(voters=60, machines=12)
SEEDS = range(8)


@cache
def outcomes() -> tuple[ListOutcome, ...]:
    """Some ballots."""
    return tuple(vote_on_list(seed, OPTIONS) for seed in SEEDS)


def test_every_machine_decides_the_one_list() -> None:
    for outcome in outcomes():
        assert outcome.clean and outcome.decided == OPTIONS.machines and outcome.file_bytes > 5_000


def test_an_absent_proposer_costs_a_round_and_no_more() -> None:
    rounds = {outcome.round for outcome in outcomes()}
    assert max(rounds) in range(1, LATE_PROPOSERS_MAX + 2) and min(rounds) == 0


def test_a_seed_is_a_run_to_the_byte() -> None:
    assert vote_on_list(3, OPTIONS) == outcomes()[3]
    assert len({outcome.trace for outcome in outcomes()}) == len(SEEDS)


def test_everybody_signs_for_himself() -> None:
    """Of 60 voters 48 are no machines; 7 are absent, the others sign two votes in each round."""
    votes = [outcome.votes for outcome in outcomes() if outcome.round == 0]
    assert all(2 * 35 <= count <= 2 * 48 for count in votes)


def test_without_two_thirds_nothing_is_decided() -> None:
    outcome = vote_on_list(0, ListOptions(voters=60, machines=4, absent_share=0.4, patience_ms=400_000))
    assert not outcome.clean and outcome.decided == 0 and not outcome.violations


def test_another_list_than_the_rules_give_is_told() -> None:
    with shared_work():
        ballot = ListVote(0, OPTIONS)
        assert not ballot.run().violations
        value, certificate = ballot.machines[0].decided or (b"", None)
        assert certificate is not None
        forged = encode(replace(ballot.ours.header, period=9))
        ballot.machines[0].decided = forged, certificate
        assert set(ballot.run().violations) == {
            "two lists are certified",
            "another list than the rules give is certified",
        }
        ballot.machines[0].decided = value, replace(certificate, signatures=certificate.signatures[:9])
        (text,) = ballot.run().violations
        assert text.startswith("a wallet refuses the list: ")


def test_the_line_holds_everything() -> None:
    told = json.loads(outcomes()[0].as_json(1.25))
    assert told["violations"] == 0 and told["seconds"] == 1.2 and len(told["trace_hash"]) == 64


@pytest.mark.nightly
def test_five_thousand_voters_agree() -> None:
    outcome = vote_on_list(0, ListOptions())
    assert outcome.clean and outcome.voters == 5_000
