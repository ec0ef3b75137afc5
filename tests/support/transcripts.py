"""Transcripts: a scenario in a small command language, with what it must print below each step.

A file in `tests/transcripts/` is a row of steps: command lines, a line `----`, the expected
output, an empty line. `ZENP2P_WRITE_TRANSCRIPTS=1 pytest …` writes what the code
prints, and the difference is reviewed as text. It is refused in CI.
"""

import os
from collections.abc import Callable
from pathlib import Path

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "transcripts"
WRITE = "ZENP2P_WRITE_TRANSCRIPTS"
LINE = "----"

Run = Callable[[str, list[str]], list[str]]
"""(command, arguments) -> printed lines."""


def check_transcript(name: str, run: Run) -> None:
    """Run the commands of a transcript and assert that each step prints what the file says."""
    path = TRANSCRIPTS / name
    before = path.read_text()
    after = "\n".join(_play(step, run) for step in before.split("\n\n") if step.strip()) + "\n"
    if os.environ.get(WRITE):
        assert not os.environ.get("CI"), f"{WRITE} has no place in CI"
        path.write_text(after)
    assert after == path.read_text(), f"run with {WRITE}=1 and look at the difference"


def _play(step: str, run: Run) -> str:
    """Return a step with the output that it really has; comments and commands stay as they are."""
    lines = step.strip("\n").split("\n")
    given = lines[: lines.index(LINE)] if LINE in lines else lines
    printed: list[str] = []
    for line in given:
        words = line.split("#")[0].split()
        if words:
            printed += run(words[0], words[1:])
    if not any(line.split("#")[0].strip() for line in given):
        return "\n".join(given) + "\n"
    return "\n".join([*given, LINE, *(printed or ["nothing"])]) + "\n"
