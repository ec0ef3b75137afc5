"""`zenp2p devnet` as a process of its own, and the installed commands beside it, for functional tests."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zenp2p.devnet.processes import script

PAID_SECONDS_MAX = 240
"""Until the first payment is mined, on a loaded machine; a quiet one takes about 65 s."""
STOP_SECONDS_MAX = 20
COMMAND_SECONDS_MAX = 60
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(*words: object, cwd: Path | None = None) -> Ended:
    """Run one of our installed commands as a process, from a folder of its own, and return how it ended."""
    command = [script(str(words[0])), *map(str, words[1:])]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def one_line(text: str) -> str:
    """Return the only line of an output; fails when there is another number of lines."""
    lines = text.splitlines()
    assert len(lines) == 1, f"{len(lines)} lines: {text}"
    return lines[0]


def refusal(ended: Ended, code: int) -> str:
    """Return the one line with which a command refused, ending with `code`; fails on anything else."""
    assert ended.code == code, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    return one_line(ended.err)


def wait_for(what: str, ask: Callable[[], Any], seconds: float) -> Any:
    """Return the first answer of `ask` that is not None."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return answer


class Devnet:
    """A local network that the command runs."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Start `zenp2p devnet` with everything below a folder."""
        folder.mkdir(exist_ok=True)
        self.folder = folder / "network"
        self.report_file = folder / "report.json"
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [script("zenp2p"), "devnet", "--report", self.report_file, "--folder", self.folder, *options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )

    @property
    def printed(self) -> str:
        """What the command has printed so far."""
        return self._output.read_text()

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report; waits until it is there."""
        deadline = time.monotonic() + PAID_SECONDS_MAX
        while True:
            try:
                report: dict[str, Any] = json.loads(self.report_file.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                assert self._process.poll() is None, f"it ended by itself:\n{self.printed}"
                assert time.monotonic() < deadline, f"nothing was paid:\n{self.printed[-4000:]}"
                time.sleep(POLL_SECONDS)
            else:
                return report

    def node(self, role: str) -> dict[str, Any]:
        """Return the report's line of the first node with this role."""
        found: dict[str, Any] = next(node for node in self.report["nodes"] if node["role"] == role)
        return found

    def data_dir(self, name: str) -> Path:
        """Return a node's data directory."""
        return self.folder / name

    def ask(self, name: str, *words: object) -> Any:
        """Run `zenp2p … --json` for a node and return its one line's JSON; fails when it fails."""
        ended = run("zenp2p", *words, "--data-dir", self.data_dir(name), "--json")
        assert (ended.code, ended.err) == (0, ""), ended
        return json.loads(one_line(ended.out))

    def children(self) -> list[int]:
        """Return the ids of the processes that the command has started and not ended."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(pid) for file in tasks for pid in file.read_text().split()]

    def signal(self, number: int) -> None:
        """Send the command a signal."""
        self._process.send_signal(number)

    def wait_for_end(self, seconds: float) -> int:
        """Wait until the command ends by itself; return its exit code."""
        return self._process.wait(seconds)

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM and return the exit code and how long the end took."""
        began = time.monotonic()
        self._process.terminate()
        code = self._process.wait(STOP_SECONDS_MAX)
        return code, time.monotonic() - began

    def clean_up(self) -> None:
        """End what is still there, after whatever a test did."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in processes_in(self.folder):
            os.kill(pid, signal.SIGKILL)


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder: daemons that lost who started them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(f"{folder}/") in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@contextmanager
def running_devnet(folder: Path, *options: str) -> Iterator[Devnet]:
    """Run a devnet until its first payment, and end it in every case."""
    devnet = Devnet(folder, *options)
    try:
        assert devnet.report
        yield devnet
    finally:
        devnet.clean_up()
