"""A local network of many groups: nodes join, move and come back, until two lists are paid.

Answers for: what a watcher does beyond `launcher`: it kills one node and starts it again when its group has
let it go, pays list after list, and reports groups, moves and lists. It tells no node what to do. Spec:
`spec/devnet.md`.
"""

import shutil
import signal
import subprocess
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any

from protocol.group.membership import voters_of
from protocol.group.quorum import Electorate
from protocol.payout.list_file import decode_list_file
from protocol.payout.list_header import list_hash
from protocol.units import Period
from zenp2p.devnet.foundry import FoundedNetwork
from zenp2p.devnet.ground import Ground
from zenp2p.devnet.launcher import NOT_NOW, VERIFY_SECONDS_MAX, Launcher
from zenp2p.devnet.paymasters import paid_by, pay_next
from zenp2p.devnet.processes import script

LISTS = 2
"""Lists that are paid before the network has shown what it is for."""
KINDS = frozenset({"first", "aged", "rejoin"})
"""Moves of which one at least is waited for."""
MOVES_SHOWN = 1_024


class Stage(Enum):
    """What became of the node that is killed."""

    RUNNING = "runs"
    KILLED = "killed, until its group lets it go"
    RESTARTED = "started again, until it is a member again"
    BACK = "a member again"


class ManyGroups(Launcher):
    """One local network of many groups, running."""

    def __init__(self, network: FoundedNetwork, ground: Ground) -> None:
        super().__init__(network, ground)
        self.victim = next(node for node in reversed(network.nodes) if node.post.founding)
        """Neither watched nor a miner."""
        self.fate = Stage.RUNNING
        self.lists: list[Path] = []
        self._paid: list[tuple[str, ...]] = []
        self._groups: dict[str, Any] = {"groups": [], "moves": []}

    def step(self) -> bool:
        """Look at the network, kill, restart and pay what is due; returns whether everything was seen."""
        self.look()
        try:
            self._groups = self.client(self._watched).call("group.show", {"moves": MOVES_SHOWN})
        except NOT_NOW:
            return False
        self._go_on_with_victim()
        self._pay_what_is_due()
        kinds = {move["kind"] for move in self._done_moves()}
        self.progress.stage = self._stage(kinds)
        return len(self._paid) >= LISTS and self.fate is Stage.BACK and kinds >= KINDS

    def _stage(self, kinds: set[str]) -> str:
        groups = ", ".join(
            f"{each['prefix'] or '-'}:{len(each['members'])}" for each in self._groups["groups"]
        )
        moved = ", ".join(sorted(kinds)) or "nobody"
        fate = f"{self.victim.post.name} {self.fate.value}"
        return f"groups {groups}; moved: {moved}; {fate}; paid {len(self._paid)}"

    def _done_moves(self) -> list[dict[str, Any]]:
        return [move for move in self._groups["moves"] if move["outcome"] in ("arrived", "stayed")]

    def _go_on_with_victim(self) -> None:
        """Kill one founder when the network has more than one group; start it again when it was let go."""
        key, name = self.victim.operator_key.hex(), self.victim.post.name
        members = {m["operator"]: m for each in self._groups["groups"] for m in each["members"]}
        if self.fate is Stage.RUNNING and len(self._groups["groups"]) > 1 and key in members:
            self._processes.stop(name, signal.SIGKILL)
            self.fate = Stage.KILLED
        elif self.fate is Stage.KILLED and any(key in each["removed"] for each in self._groups["groups"]):
            self._processes.start(self.victim)
            self.fate = Stage.RESTARTED
        elif self.fate is Stage.RESTARTED and self._came_back(key, members):
            self.fate = Stage.BACK

    def _came_back(self, key: str, members: dict[str, Any]) -> bool:
        rejoined = any(m["kind"] == "rejoin" and m["operator"] == key for m in self._done_moves())
        return rejoined and key in members and members[key]["returning_age"] is None

    def _pay_what_is_due(self) -> None:
        """Fetch the next list when it is certified, and pay it chunk by chunk."""
        if len(self._paid) == len(self.lists):
            self.list_file = self.network.folder / f"list-{self.period}"
            if not self._fetch_list():
                return
            self.lists.append(self.list_file)
            self.progress.txids, self._chunks = (), 1
        if not self._is_mined():
            return
        if len(self.progress.txids) < self._chunks:
            paid = pay_next(self.network, self.list_file, len(self.progress.txids), self.lists[:-1])
            self.progress.txids += (paid.txid,)
            self._chunks = paid.chunks
            return
        self._paid.append(self.progress.txids)
        self.period = Period(self.period + 1)

    def verify_command(self) -> list[str]:
        """Return the command with which a wallet verifies the last list from files alone."""
        return [*super().verify_command(), "--chain-of-lists", str(self.network.folder)]

    def report(self) -> dict[str, Any]:
        """Return what happened; the parts about one list are of the last one."""
        self.list_file, self.period = self.lists[len(self._paid) - 1], Period(self.period - 1)
        self.progress.txids = self._paid[-1]
        report = super().report()
        return {
            **report,
            "groups": [
                {
                    "prefix": each["prefix"],
                    "members": len(each["members"]),
                    "ages": sorted(member["age"] for member in each["members"]),
                }
                for each in self._groups["groups"]
            ],
            "relocations": [
                {name: move[name] for name in ("kind", "operator", "from", "to", "age")}
                for move in self._done_moves()
                if move["kind"] in KINDS
            ],
            "links": sum(each["link"] for each in self._groups["groups"]),
            "lists": [self._describe_list(number) for number in range(len(self._paid))],
        }

    def _electorate(self) -> Electorate:
        """Return who signs the last list: the voters that the list before commits to."""
        if len(self._paid) < 2:
            return super()._electorate()
        before = decode_list_file(self.lists[len(self._paid) - 2].read_bytes())
        return voters_of(before.members)

    def _describe_list(self, number: int) -> dict[str, Any]:
        """Return a paid list, and how a wallet that has nothing but files up to it finds it."""
        file = decode_list_file(self.lists[number].read_bytes())
        client = self.client(self._watched)
        return {
            "period": file.header.period,
            "list_hash": list_hash(file.header).hex(),
            "heads": [head.prefix for head in file.header.heads],
            "paid_total": paid_by(client, self._paid[number], self.network.genesis),
            "txids": list(self._paid[number]),
            "verify_exit_code": self._verify_alone(number),
        }

    def _verify_alone(self, number: int) -> int:
        """Verify a list in a directory that holds nothing but the genesis file and the lists up to it."""
        with tempfile.TemporaryDirectory(prefix="zenp2p-wallet-") as folder:
            wallet = Path(folder)
            shutil.copy(self.network.genesis_file, wallet / "genesis")
            names = [f"list-{at}" for at in range(number + 1)]
            for name, path in zip(names, self.lists, strict=False):
                shutil.copy(path, wallet / name)
            command = [script("zenp2p"), "payout", "verify", names[-1]]
            command += ["--trust", "genesis", "--chain-of-lists", "."]
            done = subprocess.run(
                command, cwd=wallet, capture_output=True, timeout=VERIFY_SECONDS_MAX, check=False
            )
            return done.returncode
