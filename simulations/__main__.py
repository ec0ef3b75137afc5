"""`python -m simulations`: the node machine under faults, and how members age.

Answers for: the command line and the exit code: 0 only when everything is as it must be.
Spec: `spec/simulation.md`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from simulations.list_vote import ListOptions, vote_on_list
from simulations.options import ALL_FAULTS, Fault, Options, Plant
from simulations.report import run_seeds
from simulations.residence import reside

NODES_MIN, NODES_MAX = 4, 40
VOTERS_MIN = 40
"""Twice the voters that run all their rules."""


def parse_faults(text: str) -> frozenset[Fault]:
    """Return the faults that a comma-separated list names; "all" may stand in it, "none" is none."""
    if text == "none":
        return frozenset()
    names = text.split(",")
    try:
        named = frozenset(Fault(name) for name in names if name != "all")
        return named | ALL_FAULTS if "all" in names else named
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; one of {', '.join(Fault)}, all, none") from None


def _nodes(text: str) -> int:
    if not text.isdecimal() or not NODES_MIN <= int(text) <= NODES_MAX:
        raise argparse.ArgumentTypeError(f"from {NODES_MIN} to {NODES_MAX} nodes")
    return int(text)


def _count(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} on")
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_cluster(
        commands.add_parser("cluster", help="one group's node machines on a virtual clock, with faults")
    )
    _add_list(commands.add_parser("list", help="all voters of a network agree on one payout list"))
    _add_residence(commands.add_parser("residence", help="how long members stay at each age"))
    return parser


def _add_list(ballot: argparse.ArgumentParser) -> None:
    ballot.add_argument("--voters", type=_count(VOTERS_MIN), default=5_000, help="of the whole network")
    ballot.add_argument("--seed", type=_count(0), default=0, help="number of the run")
    ballot.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    ballot.set_defaults(run=_run_list)


def _run_list(given: argparse.Namespace) -> int:
    started = time.monotonic()
    outcome = vote_on_list(given.seed, ListOptions(voters=given.voters))
    for text in outcome.violations:
        _tell(f"VIOLATION {text}")
    print(outcome.as_json(time.monotonic() - started))
    return 0 if outcome.clean else 1


def _add_residence(residence: argparse.ArgumentParser) -> None:
    residence.add_argument("--events", type=_count(1), default=1_500, help="counted events")
    residence.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    residence.set_defaults(run=_run_residence)


def _add_cluster(cluster: argparse.ArgumentParser) -> None:
    cluster.add_argument("--nodes", type=_nodes, default=7, help="members of the group")
    cluster.add_argument("--seeds", type=_count(1), default=10, help="how many runs")
    cluster.add_argument("--first-seed", type=_count(0), default=0, help="number of the first run")
    cluster.add_argument("--faults", type=parse_faults, default=ALL_FAULTS, help="all, none, or a list")
    cluster.add_argument("--plant", type=Plant, choices=list(Plant), help="break one rule on purpose")
    cluster.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    cluster.set_defaults(run=_run_cluster)


def _run_cluster(given: argparse.Namespace) -> int:
    options = Options(nodes=given.nodes, faults=given.faults, plant=given.plant)
    started = time.monotonic()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    report = run_seeds(seeds, options, _tell)
    print(report.as_json())
    if not given.json:
        _tell(f"{given.seeds} seeds in {time.monotonic() - started:.1f} s")
    return 0 if report.clean else 1


def _run_residence(given: argparse.Namespace) -> int:
    residence = reside(given.events)
    print(json.dumps(residence.as_dict()))
    exact = all(stay == 1 << age for age, stays in residence.stays.items() for stay in stays)
    return 0 if exact else 1


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    given = _parser().parse_args(arguments)
    code: int = given.run(given)
    return code


if __name__ == "__main__":
    sys.exit(main())
