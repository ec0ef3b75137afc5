"""The simulation of many groups: a small network runs to its end, and its laws see what is wrong."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from protocol.codec import encode
from protocol.codec import replace as replace_fields
from protocol.group.data_block import decode_certified
from simulations.__main__ import main
from simulations.chain import View
from simulations.group_laws import CERTIFICATES, LAWS, Standing
from simulations.group_newcomer import follow
from simulations.group_options import GroupOptions
from simulations.groups import GroupsRun, run_groups
from simulations.ledger import Ledger
from simulations.seats import Kept
from simulations.sharing import shared_work

SMALL = GroupOptions(nodes=14, group_size=4, events=12, faults=frozenset(), leave_every_ms=1_000_000_000)
"""Nobody leaves or fails: so no group stops."""


@pytest.fixture(scope="module")
def whole_run() -> Iterator[GroupsRun]:
    with shared_work() as shared:
        run = GroupsRun(1, SMALL, shared)
        assert not run.run() and not run.watch.violations
        yield run


@pytest.fixture
def standing(whole_run: GroupsRun) -> Standing:
    return whole_run.watch.standing


def test_a_small_network_comes_to_its_end_and_keeps_the_laws() -> None:
    outcome = run_groups(1, SMALL)
    assert not outcome.violations and not outcome.pending
    assert outcome.events >= SMALL.events and outcome.relocations["JOIN"] >= 1


def test_the_command_says_it_in_one_line_and_exits_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["groups", "--nodes", "12", "--group-size", "4", "--events", "6", "--seed", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["violations"] == 0 and report["events"] >= 6
    assert sum(report["sizes"].values()) == report["groups"]
    assert code == (1 if report["stalled"] else 0)


def test_the_command_lets_groups_stop_when_it_is_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--nodes", "20", "--group-size", "3", "--events", "60", "--seed", "1", "--abandoned", "100"]
    code = main(["groups", *wanted, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["absorbed"] >= 1 and report["violations"] == 0
    assert code == (1 if report["stalled"] else 0)


def test_a_seed_is_the_run_to_the_byte() -> None:
    options = replace(SMALL, events=4)
    assert run_groups(3, options).trace == run_groups(3, options).trace


STOPPING = replace(SMALL, nodes=20, group_size=3, events=60, abandon_probability=1.0)
"""A group loses more than a third of its voters for good."""
STOPS_AT = 4
"""The seed of a run in which its sibling does not split before it can summon it."""


def test_a_group_that_has_stopped_is_absorbed_and_its_members_return() -> None:
    outcome = run_groups(STOPS_AT, STOPPING)
    assert not outcome.violations and not outcome.pending
    assert outcome.absorbed == 1 and outcome.relocations["REJOIN"] >= 1


def test_a_group_that_shows_itself_is_never_absorbed() -> None:
    options = replace(STOPPING, events=40, answer_probability=1.0, longest_ms=90_000, patience_ms=6_000)
    outcome = run_groups(STOPS_AT, options)
    assert not outcome.violations and not outcome.absorbed
    assert any("absorbed" in text for text in outcome.pending)


def followed(run: GroupsRun, blocks: Sequence[bytes]) -> list[str]:
    """The laws that are broken when a newcomer takes these blocks."""
    found = follow(run.founding, View(run.miner.tip), blocks, run.watch.ledger)
    return [law for law, _ in found]


def test_a_newcomer_takes_every_block_and_none_that_is_not_certified(whole_run: GroupsRun) -> None:
    blocks = list(whole_run.watch.certified)
    assert followed(whole_run, blocks) == []
    last = decode_certified(blocks[-1])
    without = [data for data in blocks if decode_certified(data).block != last.block]
    assert CERTIFICATES in followed(whole_run, without)
    (signer, _), *others = last.certificate.signatures
    bent = replace_fields(last.certificate, signatures=((signer, bytes(64)), *others))
    forged = encode(replace_fields(last, certificate=bent))
    assert CERTIFICATES in followed(whole_run, [*without, forged])


def two_prefixes(standing: Standing) -> None:
    group = next(iter(standing.ledger.groups.values()))
    standing.ledger.groups[group.prefix + "0"] = replace(group, prefix=group.prefix + "0")


def a_seat_elsewhere(standing: Standing) -> None:
    key = next(iter(next(standing.live())[0].members))
    standing.ledger.seats[key] = replace(standing.ledger.seats[key], kept=Kept.LEFT)


def one_address(standing: Standing) -> None:
    first, second, *_ = next(standing.live())[0].members
    standing.ledger.ips = {**standing.ledger.ips, second: standing.ledger.ips[first]}


@pytest.mark.parametrize("plant", [two_prefixes, a_seat_elsewhere, one_address])
def test_a_planted_breach_is_seen(standing: Standing, plant: Callable[[Standing], None]) -> None:
    planted = Standing(replace_ledger(standing), dict(standing.states))
    assert not [breach for law in LAWS for breach in law(planted)]
    plant(planted)
    assert [breach for law in LAWS for breach in law(planted)]


def replace_ledger(standing: Standing) -> Ledger:
    """Return a ledger that can be spoilt."""
    ledger = copy.copy(standing.ledger)
    ledger.groups, ledger.seats = dict(ledger.groups), dict(ledger.seats)
    return ledger
