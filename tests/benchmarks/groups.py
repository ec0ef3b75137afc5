"""What many groups cost: the simulation's speed, what a member hears, certificates and a wallet's list.

`heard` has a line for each network: messages and bytes that one member hears in one quiet challenge, from
its own group and as a judged operator (`group_*`), and with everybody else (`global_*`: certified
blocks). Those that are `counted` come from real node machines, every message of them (`group_traffic`).
Where a network is too large for a machine for everybody, the same is reckoned: in its group a member
hears what was counted at that G, and with everybody as many certified blocks, of the size counted at that
G, as there are groups of one and a half G. How well that reckons is tried on the largest network that is
counted: `reckoned_messages` and `reckoned_bytes` are reckoned / counted there.

    python -m tests.benchmarks.groups --json

Ratios are held (`HELD`: the exit code says whether), times are only told. `exponent_messages` and
`exponent_bytes`: with what power of N/G that grows which everybody hears; `spread`: that divided by N/G,
the most beside the least; `group_growth`: what a member hears in its group, in the largest network beside
the smallest one of its G; and `certificate_ratio`: bare signature checks / certificate check, of a list
of 5,000. `list_limit_ratio` is half a second / a wallet's time for that list, `list_ratio` its bare
signature checks / that. `events_per_second`: membership changes (certified
LINK blocks) a second of a small simulation. `simulation_clean` says whether that came to its end with all
laws unbroken: one that stalled is told, one that broke a law does not hold.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence

from tests.benchmarks import wallet
from tests.benchmarks.group_traffic import Heard, count_challenges

COUNTED = ((30, 10), (60, 10), (120, 10), (60, 20), (120, 20), (150, 50))
"""(members, G) of the networks that are counted before the largest one."""
LARGEST, LARGEST_G = 240, 10
"""Members and G of the largest network that is counted, and reckoned too. 480 take 160 s and 2.2 GB."""
RECKONED = (400, 1_000, 5_000)
"""Members of the networks that are reckoned, at each G."""
LIST_LIMIT_SECONDS = 0.5
SIMULATION = ("--nodes", "40", "--group-size", "4", "--events", "60")
HELD: dict[str, tuple[float, float]] = {
    "exponent_messages": (0.95, 1.05),
    "exponent_bytes": (0.95, 1.05),
    "spread": (1.0, 1.25),
    "group_growth": (0.75, 1.25),
    "reckoned_messages": (0.9, 1.1),
    "reckoned_bytes": (0.8, 1.25),
    "certificate_ratio": (0.8, math.inf),
    "simulation_violations": (0, 0),
}
"""By figure: the least and the most with which the exit code is 0."""
Figures = dict[str, object]


def groups_in(nodes: int, group_size: int) -> float:
    """Return how many groups a network has, if they are one and a half G large."""
    return nodes / (1.5 * group_size)


def reckon(counted: Sequence[Heard], nodes: int, group_size: int) -> Heard:
    """Return what a member of a large network hears, from the networks of its G that were counted."""
    same = [one for one in counted if one.group_size == group_size]
    messages = statistics.mean(one.global_messages / len(one.sizes) for one in same)
    size = statistics.mean(one.global_bytes / len(one.sizes) for one in same)
    groups = groups_in(nodes, group_size)
    return Heard(
        nodes=nodes,
        group_size=group_size,
        sizes=(),
        group_messages=statistics.mean(one.group_messages for one in same),
        group_bytes=statistics.mean(one.group_bytes for one in same),
        global_messages=messages * groups,
        global_bytes=size * groups,
        kinds={},
        again={},
    )


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return with what power of the first the second grows: the slope of the logarithms, by least squares."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def judge_growth(counted: Sequence[Heard]) -> dict[str, float]:
    """Return how what is heard grows; the last network is the largest, and others are of its G."""
    largest = counted[-1]
    same = [one for one in counted if one.group_size == largest.group_size]
    reckoned = reckon(counted[:-1], largest.nodes, largest.group_size)
    by_share = [one.global_messages / one.n_over_g for one in counted]
    figures = {
        "exponent_messages": exponent([(one.n_over_g, one.global_messages) for one in counted]),
        "exponent_bytes": exponent([(one.n_over_g, one.global_bytes) for one in same]),
        "spread": max(by_share) / min(by_share),
        "group_growth": largest.group_messages / same[0].group_messages,
        "reckoned_messages": reckoned.global_messages / largest.global_messages,
        "reckoned_bytes": reckoned.global_bytes / largest.global_bytes,
    }
    return {name: round(value, 3) for name, value in figures.items()}


def line(heard: Heard, *, counted: bool) -> Figures:
    """Return one network's line."""
    figures: Figures = {
        "nodes": heard.nodes,
        "group_size": heard.group_size,
        "counted": counted,
        "groups": len(heard.sizes) if counted else round(groups_in(heard.nodes, heard.group_size), 1),
        "group_messages": round(heard.group_messages, 1),
        "group_bytes": round(heard.group_bytes),
        "global_messages": round(heard.global_messages, 2),
        "global_bytes": round(heard.global_bytes),
    }
    if counted:
        figures["kinds"] = {name: [round(n, 2), round(size)] for name, (n, size) in heard.kinds.items()}
        figures["a_second"] = {name: [round(n, 2), round(size)] for name, (n, size) in heard.again.items()}
    return figures


def simulate() -> Figures:
    """Return the speed of a small simulation of many groups, and whether it was clean.

    One that stalled has a speed all the same; one that broke a law does not hold. Raises `SystemExit` when
    it told nothing.
    """
    command = [sys.executable, "-m", "simulations", "groups", *SIMULATION, "--json"]
    print(" ".join(command[1:]), file=sys.stderr, flush=True)
    ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if not ran.stdout:
        raise SystemExit(f"the simulation has failed: exit code {ran.returncode}")
    told = json.loads(ran.stdout)
    return {
        "events_per_second": told["events_per_second"],
        "simulated_events": told["events"],
        "simulation_violations": told["violations"],
        "simulation_stalled": told["stalled"],
        "simulation_clean": ran.returncode == 0,
    }


def broken(figures: Figures) -> list[str]:
    """Return what of the figures that are held does not hold."""
    return [
        f"{name} is {figures[name]}, not within {least} and {most}"
        for name, (least, most) in HELD.items()
        if not least <= float(str(figures[name])) <= most
    ]


def _count(networks: Sequence[tuple[int, int]]) -> list[Heard]:
    counted: list[Heard] = []
    for nodes, group_size in networks:
        print(f"counting {nodes} members, G = {group_size}", file=sys.stderr, flush=True)
        counted.append(count_challenges(nodes, group_size))
    return counted


def run(largest: int = LARGEST, rounds: int = wallet.ROUNDS) -> Figures:
    """Return all figures."""
    counted = _count([*COUNTED, (largest, LARGEST_G)])
    reckoned = [
        reckon(counted, nodes, group_size)
        for group_size in sorted({one.group_size for one in counted})
        for nodes in RECKONED
    ]
    lists = wallet.run(rounds)
    return {
        **simulate(),
        **judge_growth(counted),
        "certificate_ratio": lists["certificate_ratio"],
        "list_ratio": lists["list_ratio"],
        "list_seconds": lists["list_seconds"],
        "list_limit_ratio": round(LIST_LIMIT_SECONDS / lists["list_seconds"], 2),
        "heard": [line(one, counted=True) for one in counted]
        + [line(one, counted=False) for one in reckoned],
    }


def main() -> int:
    """Print the figures; return 0 only when what is held holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=wallet.ROUNDS, help="of the wallet's checks")
    parser.add_argument("--largest", type=int, default=LARGEST, help="members of the largest network counted")
    options = parser.parse_args()
    if options.largest < LARGEST:
        parser.error(f"--largest is {LARGEST} at least")
    figures = run(options.largest, options.rounds)
    print(json.dumps(figures) if options.json else figures)
    wrong = broken(figures)
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
