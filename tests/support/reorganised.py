"""A network of real daemons on a real node's chain, whose blocks are made, and exchanged, to order.

The chain's node is litecoind; its miner is whoever tells the story. A block comes only after
everybody has done what the heights before allowed, so that a story has one outcome.
"""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from protocol.chain.rules import LITECOIN_REGTEST
from protocol.genesis import first_period
from tests.support.devnet import Ended, run
from tests.support.litecoind import address_of
from tests.support.live_network import LiveNetwork
from zenp2p.api.errors import NotFound
from zenp2p.devnet.foundry import FoundedNetwork, standard_posts
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.devnet.litecoin_ground import LitecoinGround
from zenp2p.devnet.paymasters import Paid, pay_next

STEP_SECONDS = 60
PACE_SECONDS = 0.2
"""Between two blocks at least: what a block sets off overlaps with nothing then."""


class ReorganisedNetwork:
    """Four founders, honest, on one chain."""

    def __init__(self, live: LiveNetwork, ground: LitecoinGround) -> None:
        self.live = live
        self.ground = ground
        self.told: list[dict[str, Any]] = []
        """What became of everything, case by case."""
        self._miners = 0
        self._depth = 0

    @property
    def founded(self) -> FoundedNetwork:
        """The network's files."""
        return self.live.founded

    @property
    def client(self) -> LitecoinClient:
        """The way to the chain's node."""
        return self.ground.node.client

    @property
    def height(self) -> int:
        """The height of the node's chain."""
        return self.client.height()

    @property
    def period(self) -> int:
        """The first period that is paid."""
        return first_period(self.founded.genesis)

    def tell(self, case: str, **facts: object) -> None:
        """Note what was seen in a case, after its last reorganisation."""
        deep = self._depth > self.founded.genesis.parameters.burial
        self.told.append({"case": case, "depth": self._depth, "deeper_than_burial": deep, **facts})

    # The chain.

    def mine(self, until: int) -> None:
        """Mine up to a height, each block after everybody has the one before."""
        while self.height < until:
            time.sleep(PACE_SECONDS)
            self.client.mine(1, self.ground.purse.address)
            self.follow()

    def reorganise(self, depth: int, *, longer: int = 1, empty: bool = False) -> list[str]:
        """Replace the last `depth` blocks by `depth + longer`; returns the stale ones, lowest first.

        With `empty` the new blocks hold nothing, and what the stale ones held waits again.
        """
        self._miners += 1
        self._depth = depth
        payee = address_of(f"miner of branch {self._miners}")
        top = self.height
        stale = [self.client.block_hash(height) for height in range(top - depth + 1, top + 1)]
        self.client.invalidate(stale[0])
        if empty:
            for _ in range(depth + longer):
                self.client.call("generateblock", payee, [])
        else:
            self.client.mine(depth + longer, payee)
        self.follow()
        return stale

    def follow(self) -> None:
        """Wait until everybody's tip is the node's."""
        tip = self.client.call("getbestblockhash")
        for name in sorted(self.live.up):
            self.live.wait(f"{name} at {tip}", lambda name=name: self._tip(name) == tip, STEP_SECONDS)  # type: ignore[misc]

    def _tip(self, name: str) -> str:
        status = self.live.status(name)
        return "" if status is None else str(status["tip"])

    # Challenges.

    def show(self, name: str, seq: int) -> dict[str, Any] | None:
        """Return what a node says of a challenge, None when it knows of none."""
        with suppress(NotFound):
            shown: dict[str, Any] = self.live.call(name, "challenge.show", seq=seq)
            return shown
        return None

    def wait_answered(self, seq: int) -> None:
        """Wait until everybody holds all other judges' receipts for an open challenge on its anchor."""
        others = len(self.live.names) - 1

        def answered() -> bool:
            told = [self.live.call(name, "challenge.why", seq=seq) for name in self.live.names]
            return all(len(each["receipts"]) >= others for each in told)

        self.live.wait(f"receipts for challenge {seq}", answered, STEP_SECONDS)

    def wait_state(self, seq: int, state: str) -> list[dict[str, Any]]:
        """Wait until everybody says that a challenge is in a state; returns what they say."""
        found: list[list[dict[str, Any] | None]] = []

        def holds() -> bool:
            found.append([self.show(name, seq) for name in self.live.names])
            return all(each is not None and each["state"] == state for each in found[-1])

        self.live.wait(f"challenge {seq} is {state}", holds, STEP_SECONDS)
        shown = [each for each in found[-1] if each is not None]
        assert all(each == shown[0] for each in shown) or state == "open", shown
        return shown

    def outcome(self, seq: int) -> dict[str, str]:
        """Return the verdicts of a judged challenge, by node's name."""
        shown = self.wait_state(seq, "judged")[0]["verdicts"]
        return {node.post.name: shown[node.operator_key.hex()]["verdict"] for node in self.founded.nodes}

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return every log line of this event with these fields, over all nodes."""
        lines = [{**line, "node": name} for name in self.live.names for line in self.live.log(name)]
        return [
            line
            for line in lines
            if line["event"] == event and all(line.get(key) == value for key, value in fields.items())
        ]

    # Nodes.

    def kill_and_start(self, name: str) -> None:
        """Kill a daemon and start it again on what it has written."""
        self.live.stop(name, signal.SIGKILL)
        self.live.start(name)
        self._join()

    def forget_and_start(self, name: str) -> None:
        """Start a daemon again without its records and its index; its votes it keeps."""
        self.live.stop(name)
        directory = self.live.nodes[name].directory
        shutil.rmtree(directory.database)
        directory.database.with_name(directory.database.name + ".head").unlink()
        self.live.start(name)
        self._join()

    def _join(self) -> None:
        self.live.wait_connected()
        self.follow()

    def contradicted(self) -> list[str]:
        """Return the nodes that say that certified data contradict their chain."""
        found = []
        for name in self.live.names:
            status = self.live.status(name)
            if status is None or any("contradict" in problem for problem in status["problems"]):
                found.append(name)
        return found

    # Lists and payments.

    def wait_list(self, period: int) -> dict[str, Any]:
        """Wait until everybody holds the same certified list of a period; returns it."""
        found: list[list[dict[str, Any] | None]] = []

        def holds() -> bool:
            found.append([self._list(name, period) for name in self.live.names])
            return None not in found[-1]

        self.live.wait(f"list of period {period}", holds, STEP_SECONDS)
        hashes = {each["list_hash"] for each in found[-1] if each}
        assert len(hashes) == 1, hashes
        return found[-1][0] or {}

    def _list(self, name: str, period: int) -> dict[str, Any] | None:
        with suppress(NotFound):
            shown: dict[str, Any] = self.live.call(name, "payout.show", period=period)
            return shown
        return None

    def list_file(self, period: int) -> Path:
        """Return the exported file of a list."""
        path = self.founded.folder / f"list-{period}"
        if not path.exists():
            path.write_bytes(
                bytes.fromhex(self.live.call("honest-1", "payout.export", period=period)["file"])
            )
        return path

    def pay(self, period: int, chunk: int = 0) -> Paid:
        """Have the paymasters pay the next chunk of a list; it waits in the node's pool then."""
        return pay_next(self.founded, self.list_file(period), chunk, self._before(period))

    def _before(self, period: int) -> list[Path]:
        return [self.list_file(earlier) for earlier in range(self.period, period)]

    def broadcast_again(self, period: int, chunk: int = 0) -> Ended:
        """Send the same signed file once more."""
        lists = self.list_file(period)
        signed = self.founded.folder / "payments" / f"{lists.name}-{chunk}-combined"
        named = (word for each in (*self._before(period), lists) for word in ("--list", each))
        return self.treasury("broadcast", signed, *named)

    def treasury(self, *words: object) -> Ended:
        """Run one `zenp2p treasury` command beside the first node."""
        place = (
            "--trust",
            self.founded.genesis_file,
            "--data-dir",
            self.live.nodes["honest-1"].directory.path,
        )
        return run("zenp2p", "treasury", *words, *place, "--json")

    def owed(self, *periods: int) -> dict[str, int]:
        """Return what the lists of these periods give to each stake address, together."""
        found = {node.stake_address: 0 for node in self.founded.nodes}
        for period in periods:
            for entry in self.wait_list(period)["entries"]:
                found[entry["address"]] += entry["amount"]
        return found

    def received(self) -> dict[str, int]:
        """Return what each stake address holds beyond its stake (zatoshi), as the chain's own node counts."""
        found = {}
        for node in self.founded.nodes:
            scan = self.client.call("scantxoutset", "start", [f"addr({node.stake_address})"])
            found[node.stake_address] = int(scan["total_amount"] * 100_000_000) - node.post.stake
        return found


def answer(ended: Ended) -> dict[str, Any]:
    """Return the one object that a command printed; fails when it failed."""
    assert ended.code == 0, ended
    told: dict[str, Any] = json.loads(ended.out)
    return told


@contextmanager
def reorganised_network(folder: Path) -> Iterator[ReorganisedNetwork]:
    """Run four founders on a chain that nobody mines but the story, and end everything."""
    assert LitecoinGround.rules == LITECOIN_REGTEST
    ground = LitecoinGround(folder / "chain", start_delay=0)
    try:
        with LiveNetwork(folder, standard_posts()[:4], ground=ground) as live:
            network = ReorganisedNetwork(live, ground)
            live.wait_connected()
            network.follow()
            yield network
    finally:
        ground.stop()
