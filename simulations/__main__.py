"""`python -m simulations`: the node machine under faults, how members age, how all agree on a list.

Answers for: the command line and the exit code: 0 only when everything is as it must be.
Spec: `spec/simulation.md`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from protocol.genesis import MEMBERS_MAX
from simulations.group_options import GroupOptions, GroupPlant
from simulations.group_plants import PLANTS, scenario_of
from simulations.group_report import run_group_seeds
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_run import run_list
from simulations.options import ALL_FAULTS, Fault, Options, Plant
from simulations.report import run_seeds
from simulations.residence import reside
from simulations.workers import processors

INTERRUPTED = 130
"""The exit code of who was interrupted."""
NODES_MIN, NODES_MAX = 4, 40
GROUP_NODES_MIN = 8
VOTERS_MIN = 4
PERCENT_MAX = 33


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


def _count(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` on, up to `most`."""
    limits = f"from {least} on" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"a whole number {limits}")
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_cluster(
        commands.add_parser("cluster", help="one group's node machines on a virtual clock, with faults")
    )
    _add_groups(commands.add_parser("groups", help="many groups: members come, move and go"))
    _add_list(commands.add_parser("list", help="all voters of a network agree on one payout list"))
    _add_residence(commands.add_parser("residence", help="how long members stay at each age"))
    return parser


def _add_groups(groups: argparse.ArgumentParser) -> None:
    groups.add_argument("--nodes", type=_count(GROUP_NODES_MIN), help="operators in all (400)")
    groups.add_argument("--group-size", type=_count(1), help="G, the least that a group keeps (8)")
    groups.add_argument("--events", type=_count(1), help="certified membership changes (4,000)")
    groups.add_argument("--seed", type=_count(0), help="number of the first run (0)")
    groups.add_argument("--seeds", type=_count(1), default=1, help="how many runs")
    groups.add_argument("--jobs", type=_count(1), default=processors(), help="how many of them at once")
    groups.add_argument(
        "--plant",
        type=GroupPlant,
        choices=list(GroupPlant),
        help="break one rule on purpose, in a small network",
    )
    groups.add_argument(
        "--abandoned", type=_count(0, 100), default=0, help="percent of runs in which a group stops for good"
    )
    groups.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    groups.set_defaults(run=_run_groups)


def _run_groups(given: argparse.Namespace) -> int:
    options = GroupOptions() if given.plant is None else scenario_of(given.plant)
    first = 0 if given.plant is None else PLANTS[given.plant].seed
    wanted = {"nodes": given.nodes, "group_size": given.group_size, "events": given.events}
    options = replace(options, **{name: number for name, number in wanted.items() if number is not None})
    if given.abandoned:
        options = replace(options, abandon_probability=given.abandoned / 100)
    first = first if given.seed is None else given.seed
    seeds = range(first, first + given.seeds)
    report, seconds = run_group_seeds(seeds, options, _tell, given.jobs)
    print(report.as_json(seconds))
    if not given.json:
        _tell(f"{given.seeds} seeds in {seconds:.1f} s")
    return 0 if report.clean else 1


def _add_list(ballot: argparse.ArgumentParser) -> None:
    voters = _count(VOTERS_MIN, MEMBERS_MAX)
    ballot.add_argument("--voters", type=voters, default=5_000, help="of the whole network")
    ballot.add_argument("--machines", type=_count(1), default=16, help="voters that are machines")
    ballot.add_argument(
        "--dishonest", type=Dishonesty, choices=list(Dishonesty), default=Dishonesty.NONE, help="what some do"
    )
    ballot.add_argument("--percent", type=_count(1, PERCENT_MAX), default=30, help="of voters who do so")
    ballot.add_argument("--seed", type=_count(0), default=0, help="number of the run")
    ballot.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    ballot.set_defaults(run=_run_list)


def _run_list(given: argparse.Namespace) -> int:
    options = ListOptions(
        voters=given.voters,
        machines=given.machines,
        dishonesty=given.dishonest,
        dishonest_percent=given.percent,
    )
    outcome = run_list(given.seed, options)
    print(json.dumps(outcome.as_dict()))
    if not outcome.is_agreed:
        _tell(f"{outcome.decided} of {outcome.machines} machines have {outcome.values} different lists")
        _tell(f"a wallet refuses {outcome.violations} of them")
    return 0 if outcome.is_agreed else 1


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
    try:
        code: int = given.run(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
