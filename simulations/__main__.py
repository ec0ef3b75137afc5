"""`python -m simulations cluster`: the node machine under faults, seed after seed.

Answers for: the command line and the exit code: 0 only without violations and stalls.
Spec: `spec/simulation.md`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from simulations.options import ALL_FAULTS, Fault, Options, Plant
from simulations.report import run_seeds

NODES_MIN, NODES_MAX = 4, 40


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
    cluster = commands.add_parser("cluster", help="node machines on a virtual clock, with faults")
    cluster.add_argument("--nodes", type=_nodes, default=7, help="members of the group")
    cluster.add_argument("--seeds", type=_count(1), default=10, help="how many runs")
    cluster.add_argument("--first-seed", type=_count(0), default=0, help="number of the first run")
    cluster.add_argument("--faults", type=parse_faults, default=ALL_FAULTS, help="all, none, or a list")
    cluster.add_argument("--plant", type=Plant, choices=list(Plant), help="break one rule on purpose")
    cluster.add_argument("--json", action="store_true", help="print nothing but one JSON line")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    given = _parser().parse_args(arguments)
    options = Options(nodes=given.nodes, faults=given.faults, plant=given.plant)
    started = time.monotonic()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    report = run_seeds(seeds, options, lambda text: print(text, file=sys.stderr))
    print(report.as_json())
    if not given.json:
        print(f"{given.seeds} seeds in {time.monotonic() - started:.1f} s", file=sys.stderr)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
