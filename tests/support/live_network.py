"""A small network of real daemons for tests: started, asked, killed, frozen, and always ended.

Waiting is for something that is said, up to a deadline, never for a time: machines differ.
What fails says how every node was, and the ends of the logs.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from zenp2p.api.client import AccessDenied, DaemonUnreachable, RpcClient
from zenp2p.api.errors import NotReady
from zenp2p.devnet.foundry import FoundedNode, Plan, Post, found_network
from zenp2p.devnet.ground import EmbeddedGround, Ground
from zenp2p.devnet.processes import DaemonDied, Processes, Usage
from zenp2p.vote_file import VoteFile

START_SECONDS = 60
"""Until every daemon of a network must be connected with all others, on a loaded machine."""
POLL_SECONDS = 0.1
RPC_SECONDS_MAX = 5.0
LOG_LINES_SHOWN = 5
LINE_SHOWN = 400
"""Characters of a log line, from its end: of a traceback that says most."""

CONTRADICTIONS = frozenset({"equivocation", "data_chain.contradiction", "list.contradiction"})

Status = dict[str, Any]


class LiveNetwork:
    """Daemons of one founded network, by name."""

    def __init__(
        self,
        folder: Path,
        posts: Sequence[Post],
        *,
        start_delay: int = 0,
        first_challenge: int = 8,
        ground: Ground | None = None,
        plan: Plan | None = None,
    ) -> None:
        """Found it on a chain, by default its own; another one is made and ended by whoever hands it in."""
        chain = ground or EmbeddedGround(start_delay, first_challenge)
        self.founded = found_network(folder / "network", posts, chain, plan or Plan())
        self.nodes: dict[str, FoundedNode] = {node.post.name: node for node in self.founded.nodes}
        self.names = tuple(self.nodes)
        self.up: set[str] = set()
        self.frozen: set[str] = set()
        self._processes = Processes()

    def __enter__(self) -> "LiveNetwork":
        for name in self.names:
            self.start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw(*self.frozen)
        self._processes.stop_all()

    # Processes.

    def start(self, name: str, command: Sequence[str] = ()) -> None:
        """Start a node's daemon, or what stands for it."""
        self._processes.start(self.nodes[name], command)
        self.up.add(name)

    def stop(self, name: str, number: int = signal.SIGTERM) -> tuple[int, float]:
        """End a node's daemon; return its exit code and how long the end took."""
        began = time.monotonic()
        code = self._processes.stop(name, number)
        self.up.discard(name)
        return code, time.monotonic() - began

    def freeze(self, *names: str) -> None:
        """Stop daemons in the middle of whatever they do; their connections stay open."""
        for name in names:
            self._processes.send(name, signal.SIGSTOP)
            self.frozen.add(name)

    def thaw(self, *names: str) -> None:
        """Let frozen daemons go on."""
        for name in names:
            self._processes.send(name, signal.SIGCONT)
            self.frozen.discard(name)

    def pid(self, name: str) -> int:
        """Return the process id of a node's daemon."""
        return self._processes.pid(name)

    def usage(self) -> dict[str, Usage]:
        """Return what each running daemon has used so far."""
        return self._processes.usage()

    # Questions.

    def call(self, name: str, method: str, **params: Any) -> Any:
        """Call a method of one node's daemon."""
        return RpcClient(self.nodes[name].directory.path, RPC_SECONDS_MAX).call(method, params)

    def status(self, name: str) -> Status | None:
        """Return what a daemon says of itself, or None while it does not answer."""
        if name not in self.up or name in self.frozen:
            return None
        try:
            status: Status = self.call(name, "node.status")
        except (DaemonUnreachable, AccessDenied, NotReady):
            return None
        return status

    def said(self, name: str, key: str) -> int:
        """Return a number of a daemon's status; -1 while it does not answer."""
        status = self.status(name)
        return -1 if status is None else int(status[key])

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return what a node's daemons have logged so far."""
        path = self.nodes[name].directory.log
        if not path.exists():
            return []
        lines = path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def events(self, name: str) -> set[str]:
        """Return the names of everything that a node's daemons have logged."""
        return {line["event"] for line in self.log(name)}

    def votes(self, name: str, scratch: Path) -> list[tuple[bytes, bytes]]:
        """Return (slot, content hash) of every vote that a node has recorded, from a copy of the file."""
        copy = scratch / f"votes-{name}"
        shutil.copyfile(self.nodes[name].directory.votes, copy)
        file = VoteFile(copy)
        try:
            assert file.complete, f"{name} has lost votes"
            return file.load()
        finally:
            file.close()

    # Waiting.

    def check_alive(self) -> None:
        """Fail when a daemon ended though nobody stopped it, saying what its log ends with."""
        try:
            self._processes.check()
        except DaemonDied as error:
            raise AssertionError(f"{error}\n{self.describe()}") from None

    def wait(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until `holds`; fails after `seconds`, saying how everybody is."""
        deadline = time.monotonic() + seconds
        while not holds():
            self.check_alive()
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{self.describe()}"
            time.sleep(POLL_SECONDS)

    def wait_connected(self) -> None:
        """Wait until everybody is connected with everybody."""
        others = len(self.names) - 1
        self.wait(
            f"{others} peers everywhere",
            lambda: all(self.said(name, "peers") >= others for name in self.names),
            START_SECONDS,
        )

    def wait_until(self, key: str, least: int, seconds: float, names: Iterable[str] = ()) -> None:
        """Wait until a number of the status is at least so much on all nodes, or those named."""
        chosen = tuple(names) or self.names
        self.wait(
            f"{key} at least {least} on {', '.join(chosen)}",
            lambda: all(self.said(name, key) >= least for name in chosen),
            seconds,
        )

    def wait_agreed(self, seconds: float) -> str:
        """Wait until all nodes name the same last data block; return its hash."""
        seen: list[set[Any]] = []

        def agreed() -> bool:
            statuses = [self.status(name) for name in self.names]
            seen.append({status and status["data_head"] for status in statuses})
            return len(seen[-1]) == 1 and None not in seen[-1]

        self.wait("one data chain", agreed, seconds)
        return str(seen[-1].pop())

    def describe(self) -> str:
        """Say how every node is and how its log ends."""
        parts = []
        for name in self.names:
            path = self.nodes[name].directory.log
            tail = path.read_text().splitlines()[-LOG_LINES_SHOWN:] if path.exists() else []
            shown = [line if len(line) < LINE_SHOWN else f"… {line[-LINE_SHOWN:]}" for line in tail]
            parts.append("\n".join([f"{name}: {self.status(name)}", *shown]))
        return "\n".join(parts)


def check_safety(network: LiveNetwork, scratch: Path) -> None:
    """Fail when a node said two things in one slot, or saw certified data that contradict its own."""
    for name in network.names:
        votes = set(network.votes(name, scratch))
        assert votes, f"{name} never voted"
        assert len({slot for slot, _ in votes}) == len(votes), f"{name} made two statements in one slot"
        assert network.events(name).isdisjoint(CONTRADICTIONS), f"{name} saw a contradiction"


@contextmanager
def live_network(
    folder: Path, posts: Sequence[Post], *, start_delay: int = 0, first_challenge: int = 8
) -> Iterator[LiveNetwork]:
    """Run a network until all are connected, and end it in every case."""
    with LiveNetwork(folder, posts, start_delay=start_delay, first_challenge=first_challenge) as network:
        network.wait_connected()
        yield network
