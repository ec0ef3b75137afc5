"""Many seeds, and the one line that says what came of them.

Answers for: the sums over all runs, and what went wrong in each that broke a law or stalled, named by its
seed. Spec: `spec/simulation.md`.
"""

import hashlib
import json
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from simulations.cluster import Outcome, run_seed
from simulations.options import Options
from simulations.trace import FaultCounts

SHOWN_MAX = 8
"""Breaches of one seed that are shown."""


@dataclass(slots=True)
class Report:
    """The sums over some seeds."""

    violations: int = 0
    stalled: int = 0
    events: int = 0
    lists_paid: int = 0
    faults: FaultCounts = field(default_factory=FaultCounts)
    _traces: bytes = b""

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.violations += len(outcome.violations)
        self.stalled += bool(outcome.pending)
        self.events += outcome.events
        self.lists_paid += outcome.lists_paid
        self.faults.add(outcome.faults)
        self._traces += outcome.trace

    @property
    def clean(self) -> bool:
        """Whether no law was broken and no run stalled."""
        return not self.violations and not self.stalled

    def as_json(self) -> str:
        """Return the one line."""
        return json.dumps(
            {
                "violations": self.violations,
                "stalled": self.stalled,
                "events": self.events,
                "trace_hash": hashlib.sha256(self._traces).hexdigest(),
                "lists_paid": self.lists_paid,
                "faults": self.faults.as_dict(),
            }
        )


def run_seeds(seeds: Iterable[int], options: Options, tell: Callable[[str], None]) -> Report:
    """Run the seeds one after the other; `tell` what went wrong in each, as it happens."""
    report = Report()
    for seed in seeds:
        outcome = _guarded(seed, options)
        report.add(outcome)
        for text in describe(outcome):
            tell(text)
    return report


def describe(outcome: Outcome) -> list[str]:
    """Return a line for each thing that went wrong in a run."""
    shown = [f"VIOLATION {text}" for text in outcome.violations[:SHOWN_MAX]]
    shown += [f"STALLED {text}" for text in outcome.pending[:SHOWN_MAX]]
    hidden = len(outcome.violations) + len(outcome.pending) - len(shown)
    more = [f"and {hidden} more; again with --first-seed {outcome.seed} --seeds 1"] if hidden else []
    return [f"seed {outcome.seed}: {text}" for text in shown + more]


def _guarded(seed: int, options: Options) -> Outcome:
    """Run a seed; a machine that fails with an error of its own has broken the first law of all."""
    try:
        return run_seed(seed, options)
    except Exception:  # the outermost edge of a run: what it says goes into the report
        text = f"an error of our own:\n{traceback.format_exc()}"
        return Outcome(seed, (text,), (), 0, b"failed", 0, FaultCounts())
