"""The explorer beside a real node: how fast the index is built, and the same questions asked of both.

A litecoind on regtest gets blocks of payments between some hundred addresses, nine outputs in ten
P2PKH. `build_ratio` is the rate at which the daemon's own way (fetch, check, index, LevelDB) builds the
index, divided by the rate at which the same code only fetches the same blocks. Then a process with that
index answers over the daemon's RPC, the node over its own, to one client: the same code, one kept-alive
connection each, in interleaved rounds.
A transaction is `getrawtransaction TXID true` there and `chain.transaction` with `decode` here. An
address is `scantxoutset` there, and here what that says, balance and unspent outputs, in one batch; the
node's time grows with all unspent outputs, so a crowd that nobody asks about is paid first (a real chain
has a hundred times as many). A node has no history of an address: ours is measured alone. The memory is that
of the process that builds, with half of the blocks and with all.

    python -m tests.benchmarks.index --json
"""

import argparse
import base64
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import trio

from protocol.chain.encoding import parse_display_hash
from protocol.chain.script import address_script
from protocol.chain.transaction import TxOutput
from protocol.crypto import sha256
from tests.support.index_server import build, genesis_of
from tests.support.litecoind import LitecoinNode, litecoin_node
from tests.support.varied_chain import VariedChain, public_key_hash, script_hash
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.dialect import learn_node
from zenp2p.chain.rpc.source import BLOCKS_AT_ONCE_MAX, NodeChain
from zenp2p.data_directory import DataDirectory
from zenp2p.store import LevelStore

BLOCKS, TRANSACTIONS, OWNERS = 300, 15, 150
OWNERS_AT_ONCE = 50
CROWD, CROWD_AT_ONCE, CROWD_AMOUNT = 20_000, 1_000, 10_000
ROUNDS = 7
SINGLE, BATCHES, BATCH, ADDRESSES = 400, 8, 100, 40
"""Questions of each kind in one round."""
START_SECONDS_MAX = 300
ROOT = Path(__file__).resolve().parents[2]


class Asker:
    """Asks one server over one kept-alive connection; the same code for ours and for the node's."""

    def __init__(self, port: int, cookie: Path) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        credentials = base64.b64encode(cookie.read_bytes().strip()).decode()
        self._headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}

    def ask(self, body: bytes) -> Any:
        """Return the parsed answer; every result in it must be there."""
        self._connection.request("POST", "/", body, self._headers)
        answer = json.loads(self._connection.getresponse().read(), parse_float=Decimal)
        for one in answer if isinstance(answer, list) else (answer,):
            assert one.get("error") is None, one
        return answer

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def question(method: str, params: Any) -> dict[str, Any]:
    """Return one request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def our_transaction(txid: str) -> dict[str, Any]:
    return question("chain.transaction", {"txid": txid, "decode": True})


def their_transaction(txid: str) -> dict[str, Any]:
    return question("getrawtransaction", [txid, True])


def our_address(address: str) -> list[dict[str, Any]]:
    return [question(f"chain.{name}", {"address": address}) for name in ("address", "unspent")]


def our_history(address: str) -> dict[str, Any]:
    return question("chain.history", {"address": address})


def their_address(address: str) -> dict[str, Any]:
    return question("scantxoutset", ["start", [f"addr({address})"]])


def encode(requests: Any) -> bytes:
    return json.dumps(requests).encode()


def ask_all(asker: Asker, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        asker.ask(body)


def seconds(act: Callable[[], object]) -> float:
    """Return the time that one call takes; two processes share the work, so it is wall time."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def varied_node(node: LitecoinNode, blocks: int, transactions: int) -> int:
    """Fill the node's chain; return the height above which the payments stand that are asked about."""
    owners = [f"owner {number}" for number in range(OWNERS)]
    chain = VariedChain(node, owners=owners, kinds=(*[public_key_hash] * 9, script_hash))
    for number in range(CROWD // CROWD_AT_ONCE):
        pay_crowd(node, [f"one of many {number} {at}" for at in range(CROWD_AT_ONCE)])
    for start in range(0, OWNERS, OWNERS_AT_ONCE):
        chain.begin(owners[start : start + OWNERS_AT_ONCE])
    height = node.client.height()
    chain.grow(blocks, transactions)
    return height


def pay_crowd(node: LitecoinNode, names: Sequence[str]) -> None:
    """Pay a little to addresses that nobody has a key of."""
    scripts = [address_script(b"\x00" + sha256(name.encode())[:20]) for name in names]
    tx = node.purse.build([TxOutput(CROWD_AMOUNT, script) for script in scripts])
    node.client.call("generateblock", node.purse.address, [tx.raw.hex()])


def building(node: LitecoinNode, rounds: int) -> dict[str, float]:
    """Return the rates of building the index and of fetching alone."""
    genesis, top = genesis_of(node.client), node.client.height()

    async def nothing(height: int) -> None:
        """Nobody listens."""

    def build_all() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = LevelStore(Path(folder) / "db", free_bytes_min=0)
            trio.run(build, genesis, store, node.settings, top, nothing)
            store.close()

    times: dict[str, list[float]] = {"build": [], "fetch": []}
    for _ in range(rounds):
        times["fetch"].append(seconds(lambda: trio.run(fetch_all, node)))
        times["build"].append(seconds(build_all))
    ratios = [fetch / build for fetch, build in zip(times["fetch"], times["build"], strict=True)]
    return {
        "build_blocks_per_second": (top + 1) / statistics.median(times["build"]),
        "fetch_blocks_per_second": (top + 1) / statistics.median(times["fetch"]),
        "build_ratio": statistics.median(ratios),
    }


async def fetch_all(node: LitecoinNode) -> None:
    """Fetch every block as the daemon does, and do nothing with it."""
    first = parse_display_hash(node.client.block_hash(0))
    no_index: Any = None  # fetching asks nothing of it
    async with NodeClient(node.settings) as client:
        chain = NodeChain(client, no_index, first)
        identity, tip = await learn_node(client), await chain.look()
        for height in range(0, tip.height + 1, BLOCKS_AT_ONCE_MAX):
            part = await chain.fetch(height, tip, identity.dialect)
            assert part.blocks


@contextmanager
def index_server(node: LitecoinNode, folder: Path) -> Iterator[tuple[Asker, dict[str, float]]]:
    """Run a process that builds the index and answers; yield its client, and what it says of its memory."""
    node.client.close()
    module = "tests.support.index_server"
    command = [sys.executable, "-m", module, str(node.process.port), str(node.process.cookie), str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    try:
        memory = json.loads(child.stdout.readline())
        directory = DataDirectory(folder / "node")
        port = int(directory.rpc_address.read_text().rpartition(":")[2])
        ours = Asker(port, directory.cookie)
        yield ours, memory
        ours.close()
        child.stdin.close()
        child.wait(START_SECONDS_MAX)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def asking(
    node: LitecoinNode, ours: Asker, rounds: int, txids: Sequence[str], addresses: Sequence[str]
) -> dict[str, float]:
    """Return the rates at which both answer, and their ratios."""
    draw = random.Random(1)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        theirs = Asker(node.process.port, node.process.cookie)
        single = [draw.choice(txids) for _ in range(SINGLE)]
        batches = [[draw.choice(txids) for _ in range(BATCH)] for _ in range(BATCHES)]
        asked = [draw.choice(addresses) for _ in range(ADDRESSES)]
        for who, asker, transaction, address in (
            ("our", ours, our_transaction, our_address),
            ("node", theirs, their_transaction, their_address),
        ):
            bodies = {
                "transactions": [encode(transaction(txid)) for txid in single],
                "batched_transactions": [encode([transaction(txid) for txid in each]) for each in batches],
                "addresses": [encode(address(each)) for each in asked],
            }
            if asker is ours:
                bodies["histories"] = [encode(our_history(each)) for each in asked]
            for kind, kinds_bodies in bodies.items():
                took = seconds(partial(ask_all, asker, kinds_bodies))
                times.setdefault(f"{who}_{kind}", []).append(took)
        theirs.close()
    counts = {
        "transactions": SINGLE,
        "batched_transactions": BATCHES * BATCH,
        "addresses": ADDRESSES,
        "histories": ADDRESSES,
    }
    figures = {
        f"{name}_per_second": counts[name.partition("_")[2]] / statistics.median(values)
        for name, values in times.items()
    }
    names = {
        "transactions": "transaction",
        "batched_transactions": "transaction_batch",
        "addresses": "address",
    }
    for kind, name in names.items():
        pairs = zip(times[f"node_{kind}"], times[f"our_{kind}"], strict=True)
        figures[f"{name}_ratio"] = statistics.median(node / our for node, our in pairs)
    return figures


def run(rounds: int = ROUNDS, blocks: int = BLOCKS, transactions: int = TRANSACTIONS) -> dict[str, float]:
    """Return all figures."""
    with litecoin_node() as node, tempfile.TemporaryDirectory() as folder:
        print(f"making {blocks} blocks of {transactions} transactions", file=sys.stderr, flush=True)
        height = varied_node(node, blocks, transactions)
        hashes = node.active()[height + 1 :]
        chain = node.client.batch([("getblock", [each, 1]) for each in hashes])
        txids = [txid for block in chain for txid in block["tx"]]
        print("building the index", file=sys.stderr, flush=True)
        figures = {"blocks": float(height + 1 + len(hashes)), "transactions_asked": float(len(txids))}
        figures |= building(node, min(rounds, 3))
        with index_server(node, Path(folder)) as (ours, memory):
            print("asking both", file=sys.stderr, flush=True)
            outputs = ours.ask(encode([our_transaction(txid) for txid in txids[-BATCH:]]))
            addresses = sorted(
                {output["address"] for one in outputs for output in one["result"]["outputs"]} - {None}
            )
            figures |= asking(node, ours, rounds, txids, addresses)
            figures |= memory
    figures["memory_growth_mb"] = figures["full_rss_mb"] - figures["half_rss_mb"]
    return {name: round(value, 3 if name.endswith("ratio") else 1) for name, value in figures.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures = run(options.rounds)
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
