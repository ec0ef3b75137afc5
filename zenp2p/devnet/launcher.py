"""Runs a local network until its first payment, as somebody who watches and pays.

Answers for: starting the daemons, asking them how they are through RPC, playing the
paymasters with files, and the report. It tells no node what to do. Founding is
`foundry`'s business, processes are `processes`', the paymasters' steps `paymasters`'.
Spec: `spec/devnet.md`.
"""

import shlex
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from protocol.genesis import first_period
from protocol.group.quorum import Electorate, Voter
from protocol.payout.list_certificate import expand_certificate
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import list_hash
from zenp2p.api.client import AccessDenied, DaemonUnreachable, RpcClient
from zenp2p.api.errors import NotFound, NotReady, RpcError
from zenp2p.devnet.foundry import FoundedNetwork, FoundedNode
from zenp2p.devnet.ground import Ground
from zenp2p.devnet.paymasters import paid_by, pay_next
from zenp2p.devnet.processes import Processes, script
from zenp2p.durable_file import write_durably

RPC_SECONDS_MAX = 5.0
"""For one look at one node; a node that is slower is looked at again."""
NOT_NOW = (DaemonUnreachable, AccessDenied, NotFound, NotReady)
"""What a node that is starting, busy or not so far yet answers."""
VERIFY_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True)
class NodeLine:
    """How one node is, for the table."""

    name: str
    role: str
    ip: str
    rpc: str
    height: int | None
    peers: int
    verdict: str
    """Its verdict in the newest judged challenge."""
    seat: str = ""
    """Its group's prefix bits and its age there."""


@dataclass(slots=True)
class Progress:
    """What the network has come to."""

    lines: tuple[NodeLine, ...] = ()
    challenge: int | None = None
    """The newest judged challenge."""
    stage: str = "starting"
    txids: tuple[str, ...] = ()
    verdicts: dict[str, str] = field(default_factory=dict)


class Launcher:
    """One local network, running."""

    def __init__(self, network: FoundedNetwork, ground: Ground) -> None:
        self.network = network
        self._ground = ground
        self.progress = Progress()
        self.period = first_period(network.genesis)
        self.list_file = network.folder / f"list-{self.period}"
        self._processes = Processes()
        self._began = time.monotonic()
        self._watched = network.nodes[0]
        self._chunks = 1

    def start(self) -> None:
        """Start every daemon, and have blocks made."""
        for node in self.network.nodes:
            self._processes.start(node)
        self._ground.begin()

    def stop(self) -> None:
        """Stop every daemon."""
        self._processes.stop_all()

    def step(self) -> bool:
        """Look at the network, pay what can be paid; returns whether the first payment is mined.

        Raises `DaemonDied` when a node ended by itself.
        """
        self.look()
        if not self.list_file.exists() and not self._fetch_list():
            return False
        if self._is_mined() and len(self.progress.txids) < self._chunks:
            self._pay()
        elif self._is_mined():
            self.progress.stage = "paid"
            return True
        return False

    def _pay(self) -> None:
        """Have the paymasters pay the next chunk; each waits until the one before is mined."""
        paid = pay_next(self.network, self.list_file, len(self.progress.txids))
        self.progress.txids += (paid.txid,)
        self._chunks = paid.chunks
        self.progress.stage = f"payment {len(self.progress.txids)} of {paid.chunks} sent"

    def look(self) -> None:
        """Ask every node how it is; raises `DaemonDied` when one ended by itself."""
        self._processes.check()
        self._ground.check()
        self.progress.lines = tuple(self._line(node) for node in self.network.nodes)
        self._look_at_challenges()

    def client(self, node: FoundedNode) -> RpcClient:
        """Return the way to a node's RPC."""
        return RpcClient(node.directory.path, RPC_SECONDS_MAX)

    def verify_command(self) -> list[str]:
        """Return the command with which a wallet verifies the list from files alone."""
        return [
            script("zenp2p"),
            "payout",
            "verify",
            str(self.list_file),
            "--trust",
            str(self.network.genesis_file),
        ]

    def report(self) -> dict[str, Any]:
        """Return what happened, as the report file holds it."""
        file = decode_list_file(self.list_file.read_bytes())
        command = self.verify_command()
        verified = subprocess.run(command, capture_output=True, timeout=VERIFY_SECONDS_MAX, check=False)
        usage = self._processes.usage()
        client = RpcClient(self._watched.directory.path)
        return {
            "network_id": self.network.network_id.hex(),
            "chain": self._chain(client),
            "nodes": [self._describe(node) for node in self.network.nodes],
            "challenges": self._challenges(client),
            "payout": self._payout(client, file),
            "payment": {
                "txids": list(self.progress.txids),
                "confirmed": self._is_mined(),
                "paid_total": paid_by(client, self.progress.txids, self.network.genesis),
            },
            "verify": {"command": shlex.join(command), "exit_code": verified.returncode},
            "seconds": round(time.monotonic() - self._began, 1),
            "peak_rss_mb_per_node": {name: used.peak_rss_mb for name, used in usage.items()},
            "cpu_seconds_per_node": {name: used.cpu_seconds for name, used in usage.items()},
        }

    def _chain(self, client: RpcClient) -> dict[str, str]:
        """Return what the watched node says of its chain."""
        said = client.call("node.status")["chain"]
        return {"kind": self._ground.kind, "version": said["version"], "dialect": said["dialect"]}

    def _line(self, node: FoundedNode) -> NodeLine:
        post = node.post
        verdict = self.progress.verdicts.get(node.operator_key.hex(), "")
        try:
            status = self.client(node).call("node.status")
            rpc = node.directory.rpc_address.read_text().strip()
        except (DaemonUnreachable, AccessDenied, RpcError, OSError):
            return NodeLine(post.name, post.role, post.ip, "", None, 0, verdict)
        return NodeLine(
            post.name,
            post.role,
            post.ip,
            rpc,
            status["height"],
            status["peers"],
            verdict,
            f"{status['group'] or '-'} age {status['age']}" if status["member"] else "",
        )

    def _look_at_challenges(self) -> None:
        """Note the newest judged challenge and its verdicts."""
        parameters = self.network.genesis.parameters
        height = next((line.height for line in self.progress.lines if line.height is not None), None)
        if height is None:
            return
        first = self.network.genesis.first_challenge_height // parameters.challenge_every
        self.progress.stage = "waiting for the first challenge" if height < first else "judging challenges"
        for seq in range(height // parameters.challenge_every, first - 1, -1):
            shown = self._show(seq)
            if shown is not None and shown.get("state") == "judged":
                self.progress.challenge = seq
                self.progress.verdicts = {key: v["verdict"] for key, v in shown["verdicts"].items()}
                return

    def _show(self, seq: int) -> dict[str, Any] | None:
        try:
            shown: dict[str, Any] = self.client(self._watched).call("challenge.show", {"seq": seq})
        except NOT_NOW:
            return None
        return shown

    def _fetch_list(self) -> bool:
        """Write the certified list to a file of its own, as soon as there is one."""
        try:
            answer = self.client(self._watched).call("payout.export", {"period": self.period})
        except NOT_NOW:
            return False
        write_durably(self.list_file, bytes.fromhex(answer["file"]), overwrite=False)
        return True

    def _is_mined(self) -> bool:
        client = self.client(self._watched)
        try:
            return all(
                client.call("chain.transaction", {"txid": txid})["confirmations"] > 0
                for txid in self.progress.txids
            )
        except NOT_NOW:
            return False

    def _describe(self, node: FoundedNode) -> dict[str, Any]:
        rpc = next((line.rpc for line in self.progress.lines if line.name == node.post.name), "")
        return {
            "name": node.post.name,
            "role": node.post.role,
            "operator": node.operator_key.hex(),
            "stake_address": node.stake_address,
            "ip": node.post.ip,
            "port": node.port,
            "rpc": rpc,
        }

    def _challenges(self, client: RpcClient) -> list[dict[str, Any]]:
        """Return the challenges of the paid list."""
        genesis = self.network.genesis
        every = genesis.parameters.challenge_every
        first = self.period * genesis.parameters.period_blocks // every
        shown = [
            client.call("challenge.show", {"seq": seq})
            for seq in range(first, first + genesis.parameters.period_blocks // every)
            if seq * every >= genesis.first_challenge_height
        ]
        return [
            {
                "seq": one["seq"],
                "anchor_height": one["anchor_height"],
                "anchor_hash": one["anchor_hash"],
                "verdicts": {key: verdict["verdict"] for key, verdict in one["verdicts"].items()},
            }
            for one in shown
        ]

    def _electorate(self) -> Electorate:
        """Return who signs the list."""
        members = self.network.genesis.members
        return Electorate.of(Voter(operator_key=member.operator_key, age=member.age) for member in members)

    def _payout(self, client: RpcClient, file: ListFile) -> dict[str, Any]:
        shown = client.call("payout.show", {"period": self.period})
        electorate = self._electorate()
        hashed = list_hash(file.header)
        signers = expand_certificate(file.certificate, electorate, self.period, hashed).signers()
        return {
            "period": self.period,
            "list_hash": shown["list_hash"],
            "pool": shown["pool"],
            "carried": shown["carried"],
            "entries": shown["entries"],
            "certificate": {
                "members": len(electorate),
                "signers": len(signers),
                "age_total": electorate.age_total,
                "age_signed": sum(electorate.age(key) for key in signers),
            },
            "list_file": str(self.list_file.absolute()),
            "genesis_file": str(self.network.genesis_file.absolute()),
        }
