"""The daemons of a local network as processes: started, measured, ended.

Answers for: every process that was started here is ended here, and by its own id
only. What runs in it is left to the daemon and the roles. Spec: `spec/devnet.md`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ZenError
from zenp2p.data_directory import FILE_MODE
from zenp2p.devnet.foundry import FoundedNode
from zenp2p.devnet.interrupts import kept_back

STOP_SECONDS = 8
"""Until a daemon that was asked to stop is killed."""
POLL_SECONDS = 0.05
CHEATS = ("dead", "lazy")
"""Roles that need a daemon of their own."""


class DaemonDied(ZenError):
    """A daemon ended though nobody stopped it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    peak_rss_mb: float
    cpu_seconds: float


class Processes:
    """One process for each node."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, node: FoundedNode, command: Sequence[str] = ()) -> None:
        """Start a node's daemon, or a command in its place; its output goes to `output` in its directory."""
        path = node.directory.path
        descriptor = os.open(path / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        with open(descriptor, "ab") as output, kept_back():
            self._running[node.post.name] = subprocess.Popen(
                command or command_of(node),
                cwd=path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `DaemonDied` when a process ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise DaemonDied(f"node {name} ended with exit code {process.returncode}; see its log")

    def usage(self) -> dict[str, Usage]:
        """Return what each running process has used, by node."""
        return {name: _usage(process.pid) for name, process in self._running.items()}

    def pid(self, name: str) -> int:
        """Return the id of a running process."""
        return self._running[name].pid

    def send(self, name: str, number: int) -> None:
        """Send one process a signal that does not end it."""
        self._running[name].send_signal(number)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Stop one process and return its exit code."""
        process = self._running.pop(name)
        process.send_signal(number)
        return process.wait(STOP_SECONDS)

    def stop_all(self) -> None:
        """Ask every process to stop, then kill what does not."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(p.poll() is None for p in self._running.values()):
            time.sleep(POLL_SECONDS)
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        self._running.clear()


def command_of(node: FoundedNode) -> Sequence[str]:
    """Return the command line that runs a node."""
    path = str(node.directory.path)
    if node.post.role in CHEATS:
        return (sys.executable, "-m", "zenp2p.devnet.roles", node.post.role, path)
    return (script("zenp2pd"), "run", "--data-dir", path)


def script(name: str) -> str:
    """Return the path of one of our installed commands, beside the interpreter that runs us."""
    return str(Path(sys.executable).with_name(name))


def _usage(pid: int) -> Usage:
    """Read a process's peak memory and processor time from /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Usage(0.0, 0.0)
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    ticks = int(fields[11]) + int(fields[12])
    return Usage(round(int(peak) / 1024, 1), round(ticks / os.sysconf("SC_CLK_TCK"), 2))
