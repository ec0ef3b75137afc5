"""The paymasters of a local network, who hold key files and use nothing but the command line.

Answers for: one payment of a certified list, built, signed by two of the three keys on
two different nodes, combined and broadcast: the very steps of real paymasters. What each step
checks is left to the commands. Spec: `spec/payment.md`, `spec/devnet.md`.
"""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.chain.script import script_address
from protocol.chain.transaction import decode_transaction
from protocol.errors import ZenError
from protocol.genesis import Genesis
from protocol.payout.treasury import treasury_address
from zenp2p.api.client import RpcClient
from zenp2p.devnet.foundry import TREASURY_REQUIRED, FoundedNetwork
from zenp2p.devnet.processes import script

STEP_SECONDS_MAX = 60


class PaymentFailed(ZenError):
    """A step of the paymasters failed; says which, and what it printed."""


@dataclass(frozen=True, slots=True)
class Paid:
    """One broadcast chunk of a payment."""

    txid: str
    chunk: int
    chunks: int


def pay_next(network: FoundedNetwork, list_file: Path, chunk: int, earlier: Sequence[Path] = ()) -> Paid:
    """Build, sign, combine and broadcast the next chunk of a list; raises `PaymentFailed`.

    `earlier` are the lists before it, oldest first, from the network's first one on.
    """
    folder = network.folder / "payments"
    folder.mkdir(exist_ok=True)
    trust = ("--trust", str(network.genesis_file))
    lists = [str(each) for each in (*earlier, list_file)]
    paid = (*(word for each in lists for word in ("--list", each)), *trust)
    built = folder / f"{list_file.name}-{chunk}"
    nodes = [str(node.directory.path) for node in network.nodes[:TREASURY_REQUIRED]]
    report = _treasury("build", *lists, *trust, "--out", str(built), "--data-dir", nodes[0])
    signed = []
    for number, (key, node) in enumerate(zip(network.paymaster_keys, nodes, strict=False), start=1):
        signed.append(str(built) + f"-signed-{number}")
        _treasury("sign", str(built), *paid, "--key", str(key), "--out", signed[-1], "--data-dir", node)
    combined = str(built) + "-combined"
    _treasury("combine", *signed, *trust, "--out", combined)
    sent = _treasury("broadcast", combined, *paid, "--data-dir", nodes[0])
    return Paid(sent["txid"], report["chunk"], report["chunks"])


def paid_by(client: RpcClient, txids: Iterable[str], genesis: Genesis) -> int:
    """Return the zatoshi that mined transactions pay to anybody but the treasury itself."""
    treasury = treasury_address(genesis.treasury)
    total = 0
    for txid in txids:
        raw = bytes.fromhex(client.call("chain.transaction", {"txid": txid})["transaction"])
        for output in decode_transaction(raw, genesis.chain.family).outputs:
            if script_address(output.script) != treasury:
                total += output.amount
    return total


def _treasury(*arguments: str) -> dict[str, Any]:
    """Run one `zenp2p treasury` command and return the object that it prints."""
    command = [script("zenp2p"), "treasury", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS_MAX, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise PaymentFailed(f"treasury {arguments[0]} ended with {done.returncode}: {said}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
