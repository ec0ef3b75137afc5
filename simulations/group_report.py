"""Many seeds of many groups, and the one line that says what came of them.

Answers for: the sums over all runs, and what went wrong in each, named by its seed.
Spec: `spec/simulation.md`.
"""

import hashlib
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from simulations.group_options import GroupOptions
from simulations.groups import GroupsOutcome, run_groups
from simulations.trace import FaultCounts
from simulations.workers import Died, in_processes

SHOWN_MAX = 12
"""Breaches of one seed that are shown."""


@dataclass(slots=True)
class GroupReport:
    """The sums over some seeds."""

    groups: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    ages: Counter[int] = field(default_factory=Counter)
    relocations: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    absorbed: int = 0
    carried: int = 0
    events: int = 0
    violations: int = 0
    stalled: int = 0
    faults: FaultCounts = field(default_factory=FaultCounts)
    _traces: bytes = b""

    def add(self, outcome: GroupsOutcome) -> None:
        """Count one run."""
        self.groups += outcome.groups
        self.sizes.update(outcome.sizes)
        self.ages.update(outcome.ages)
        self.relocations.update(outcome.relocations)
        self.refused += outcome.refused
        self.absorbed += outcome.absorbed
        self.carried += outcome.carried
        self.events += outcome.events
        self.violations += outcome.violations
        self.stalled += bool(outcome.pending)
        self.faults.add(outcome.faults)
        self._traces += outcome.trace

    @property
    def clean(self) -> bool:
        """Whether no law was broken, and everything came to rest after all its events."""
        return not self.violations and not self.stalled

    def as_json(self, seconds: float) -> str:
        """Return the one line; `seconds` is what it took."""
        return json.dumps(
            {
                "groups": self.groups,
                "sizes": _by_name(self.sizes),
                "ages": _by_name(self.ages),
                "relocations": _by_name(self.relocations),
                "refused": self.refused,
                "absorbed": self.absorbed,
                "carried": self.carried,
                "events": self.events,
                "violations": self.violations,
                "stalled": self.stalled,
                "trace_hash": hashlib.sha256(self._traces).hexdigest(),
                "events_per_second": round(self.events / seconds, 2),
                "faults": self.faults.as_dict(),
            }
        )


def _by_name(counts: Counter[int] | Counter[str]) -> dict[str, int]:
    return {str(key): counts[key] for key in sorted(counts)}  # type: ignore[index]


def run_group_seeds(
    seeds: Iterable[int], options: GroupOptions, tell: Callable[[str], None], jobs: int = 1
) -> tuple[GroupReport, float]:
    """Run the seeds, so many at once; `tell` what went wrong, in their order.

    Return the sums, and the seconds taken.
    """
    report, began, tasks = GroupReport(), time.monotonic(), list(seeds)
    for seed, result in zip(tasks, in_processes(tasks, partial(_guarded, options), jobs), strict=True):
        outcome = _failed(seed, str(result)) if isinstance(result, Died) else result
        report.add(outcome)
        for text in describe(outcome):
            tell(text)
    return report, time.monotonic() - began


def describe(outcome: GroupsOutcome) -> list[str]:
    """Return a line for each thing that went wrong in a run."""
    shown = [f"VIOLATION {text}" for text in outcome.told[:SHOWN_MAX]]
    shown += [f"STALLED {text}" for text in outcome.pending[:SHOWN_MAX]]
    hidden = outcome.violations + len(outcome.pending) - len(shown)
    more = [f"and {hidden} more; again with --seed {outcome.seed}"] if hidden else []
    return [f"seed {outcome.seed}: {text}" for text in shown + more]


def _guarded(options: GroupOptions, seed: int) -> GroupsOutcome:
    """Run a seed; an error of our own is a violation."""
    try:
        return run_groups(seed, options)
    except Exception:  # the outermost edge of a run: what it says goes into the report
        return _failed(seed, f"an error of our own:\n{traceback.format_exc()}")


def _failed(seed: int, text: str) -> GroupsOutcome:
    """Return what came of a run that broke off."""
    return GroupsOutcome(
        seed=seed,
        groups=0,
        sizes={},
        ages={},
        relocations={},
        refused=0,
        absorbed=0,
        carried=0,
        events=0,
        violations=1,
        told=(text,),
        pending=(),
        trace=b"failed",
        faults=FaultCounts(),
    )
