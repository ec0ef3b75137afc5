"""Whole runs: nothing breaks, everything is decided, and a seed is a run."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulations.cluster import Cluster, Outcome, run_seed
from simulations.options import ALL_FAULTS, Fault, Options
from simulations.report import run_seeds
from simulations.signatures import remembered_signatures

ROOT = Path(__file__).parents[2]


def ran(seed: int, options: Options) -> Outcome:
    outcome = run_seed(seed, options)
    assert not outcome.violations and not outcome.pending
    return outcome


def test_without_faults_two_lists_are_paid_and_nothing_is_counted_as_a_fault() -> None:
    outcome = ran(0, Options(faults=frozenset()))
    assert outcome.lists_paid == 2
    assert not any(outcome.faults.as_dict().values())


def test_with_every_fault_two_lists_are_paid_and_every_fault_struck() -> None:
    report = run_seeds(range(3), Options(), pytest.fail)
    assert report.clean and report.lists_paid >= 6
    assert all(report.faults.as_dict().values()), report.faults


def test_a_seed_and_its_options_are_the_run_to_the_byte() -> None:
    first, again = ran(5, Options(nodes=4)), ran(5, Options(nodes=4))
    assert first == again
    assert ran(6, Options(nodes=4)).trace != first.trace
    assert ran(5, Options(nodes=4, loss_probability=0.07)).trace != first.trace


def test_the_run_is_the_same_in_another_process_with_another_order_of_sets() -> None:
    """Whatever hashing does to sets and dictionaries of bytes, it reaches no output."""
    lines = {
        subprocess.run(
            [sys.executable, "-m", "simulations", "cluster", "--first-seed", "7", "--seeds", "1", "--json"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(lines) == 1


@pytest.mark.parametrize("nodes", [4, 10])
def test_other_sizes(nodes: int) -> None:
    outcome = ran(1, Options(nodes=nodes))
    assert outcome.lists_paid >= 2


@pytest.mark.parametrize("fault", sorted(Fault))
def test_a_fault_alone_strikes_alone(fault: Fault) -> None:
    struck = {
        Fault.LOSS: {"lost"},
        Fault.DELAY: {"delayed"},
        Fault.REORDERING: {"reordered"},
        Fault.PARTITIONS: {"lost", "partitions"},
        Fault.CRASHES: {"lost", "crashes", "restarts"},
        Fault.REORGANISATIONS: {"reorganisations"},
        Fault.DEEP_REORGANISATIONS: {"deep_reorganisations"},
        Fault.BYZANTINE: {"byzantine_votes"},
    }
    counts = ran(1, Options(faults=frozenset({fault}), deep_probability=0.4)).faults.as_dict()
    names = {name for name, count in counts.items() if count}
    also = {"lost"} if fault is Fault.BYZANTINE else set()  # honest nodes hang up on whoever sends garbage
    assert struck[fault] <= names <= struck[fault] | also


def test_deep_reorganisations_with_every_other_fault_break_nothing() -> None:
    """And they strand blocks and lists, of which every one is taken in the end."""
    options = Options(faults=frozenset(Fault))
    seen: Counter[str] = Counter()
    for seed in range(4):
        with remembered_signatures():
            cluster = Cluster(seed, options)
            outcome = cluster.run()
        assert not outcome.violations and not outcome.pending and outcome.lists_paid >= 2
        seen += cluster.history.stranded
        seen["void"] += len(cluster.history.closed_before)
    assert seen["data_chain.stranded reorganised"] and seen["void"], seen


def test_all_is_what_strikes_a_chain_that_keeps_its_burial() -> None:
    assert frozenset(Fault) - ALL_FAULTS == {Fault.DEEP_REORGANISATIONS}


@pytest.mark.nightly
def test_two_hundred_seeds_with_deep_reorganisations_break_nothing() -> None:
    report = run_seeds(range(200), Options(faults=frozenset(Fault)), pytest.fail)
    assert report.clean and report.lists_paid >= 400


@pytest.mark.nightly
def test_two_hundred_seeds_break_nothing() -> None:
    report = run_seeds(range(200), Options(faults=ALL_FAULTS), pytest.fail)
    assert report.clean and report.lists_paid >= 400
