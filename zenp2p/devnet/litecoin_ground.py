"""A real node's chain for a local network: litecoind on regtest, in the network's own folder.

Answers for: treasury and stakes are paid on that chain before the network is founded,
newcomers are announced there, and a block is mined every block time from a stated moment
on. All daemons ask the one node. The node as a process is `litecoind`'s business, paying
`coins`'. Spec: `spec/devnet.md`.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protocol.chain import rules as chain_rules
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import ChainRules, block_subsidy
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, TxOutput
from protocol.errors import ZenError
from protocol.genesis import Baton
from protocol.parameters import DEVNET
from protocol.tracking.announcement import Announcement, build_announcing
from zenp2p.chain.rpc.errors import NodeUnreachable
from zenp2p.devnet.coins import Purse
from zenp2p.devnet.ground import TREASURY_FUNDS, Arrival, Laid, Stake
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.devnet.litecoind import Litecoind, LitecoindFailed
from zenp2p.identity import new_secret

BLOCKS_OF_FUNDS = 10
"""Coinbases that must be mature at least: those of a treasury, eight stakes, and fees."""
ANNOUNCING_COIN = 1_000_000
"""Zatoshi that a newcomer's stake address gets beside its stake, to announce with."""
LEAD_BLOCKS = 16
"""Blocks from founding to the first challenge at least: time for newcomers to register."""
STOP_SECONDS = 8
"""Until a node that was asked to stop is killed: nobody needs its chain any more."""
MINING_STOP_SECONDS = 2
"""For a block that is being mined; a node that hangs is killed over it."""
ENDING_SECONDS = 1
"""Until a node that hung up on us is seen to have ended."""


def blocks_of_funds(rules: ChainRules, stakes: Sequence[Stake]) -> int:
    """Return how many first coinbases pay for treasury and stakes, with one for the fees."""
    wanted = TREASURY_FUNDS + sum(stake.amount for stake in stakes)
    return max(BLOCKS_OF_FUNDS, -(-wanted // block_subsidy(rules, 1)) + 1)


class LitecoinGround:
    """One litecoind, and who mines on it."""

    kind = "litecoind"
    rules = chain_rules.LITECOIN_REGTEST
    announces = True

    def __init__(self, folder: Path, start_delay: int) -> None:
        """Say where the node will be; blocks are made from `start_delay` seconds after `begin` on."""
        self._folder = folder
        self._start_delay = start_delay
        self._node: Litecoind | None = None
        self._purse: Purse | None = None
        self._mining: Mining | None = None

    @property
    def node(self) -> Litecoind:
        """The running node."""
        if self._node is None:
            raise AssertionError("nothing is laid yet")
        return self._node

    @property
    def purse(self) -> Purse:
        """Who mines, and paid for everything."""
        if self._purse is None:
            raise AssertionError("nothing is laid yet")
        return self._purse

    def lay(self, treasury: bytes, stakes: Sequence[Stake]) -> Laid:
        """Start the node, mine, and pay treasury and stakes in one transaction; raises `LitecoindMissing`."""
        self._node = Litecoind(self._folder)
        self._node.start()
        with self._watched():
            return self._lay(treasury, stakes)

    def _lay(self, treasury: bytes, stakes: Sequence[Stake]) -> Laid:
        self._purse = Purse(self.node.client, self.rules, new_secret())
        self.purse.mine(self.rules.coinbase_maturity + blocks_of_funds(self.rules, stakes))
        outputs = [TxOutput(TREASURY_FUNDS, address_script(treasury))]
        outputs += [TxOutput(stake.amount, address_script(stake.key.address)) for stake in stakes]
        txid = self.purse.pay(outputs)
        self.purse.mine(DEVNET.burial)
        period = DEVNET.period_blocks
        first = -(-(self.node.client.height() + LEAD_BLOCKS) // period) * period
        start = parse_display_hash(self.node.client.block_hash(0))
        return Laid(start, Baton(txid=parse_display_hash(txid), index=0), first)

    def announce(self, arrivals: Sequence[Arrival]) -> None:
        """Give each newcomer's stake address a coin beside its stake, and announce with that one."""
        outputs = [TxOutput(ANNOUNCING_COIN, address_script(arrival.stake.address)) for arrival in arrivals]
        if outputs:
            with self._watched():
                self._announce(arrivals, outputs)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say that the node ended rather than that it does not answer."""
        try:
            yield
        except NodeUnreachable:
            self.node.check(ENDING_SECONDS)
            raise

    def _announce(self, arrivals: Sequence[Arrival], outputs: Sequence[TxOutput]) -> None:
        txid = parse_display_hash(self.purse.pay(outputs))
        self.purse.mine()
        for index, arrival in enumerate(arrivals):
            said = Announcement(arrival.operator_key, arrival.port, ip=arrival.ip)
            own = arrival.stake.address
            unsigned = build_announcing(said, own, OutPoint(txid, index), ANNOUNCING_COIN)
            self.node.client.send(arrival.stake.sign(unsigned, [address_script(own)]).raw)
        self.purse.mine()

    def settings(self, number: int, node_address: str) -> Sequence[str]:
        """Have every daemon ask the node."""
        return (f'node = "127.0.0.1:{self.node.port}"', f'node_cookie = "{self.node.cookie.absolute()}"')

    def begin(self) -> None:
        """Mine a block every block time, after the delay."""
        self._mining = Mining(self.node, self.purse.address, self._start_delay, DEVNET.block_seconds)

    def check(self) -> None:
        """Raise when the node, or who mines on it, has ended."""
        if self._node is not None:
            self._node.check()
        if self._mining is not None:
            self._mining.check()

    def stop(self) -> None:
        """End the mining, then the node."""
        if self._mining is not None:
            self._mining.stop()
        if self._node is not None:
            self._node.stop(STOP_SECONDS)


class Mining:
    """A thread that mines on a node at a steady pace."""

    def __init__(self, node: Litecoind, address: str, delay: float, block_seconds: float) -> None:
        """Begin after `delay` seconds."""
        self._client = LitecoinClient(node.port, node.cookie)
        self._address = address
        self._delay = delay
        self._block_seconds = block_seconds
        self._ended = threading.Event()
        self._failed: ZenError | None = None
        self._thread = threading.Thread(target=self._run, name="mining", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `LitecoindFailed` when a block could not be mined."""
        if self._failed is not None:
            raise LitecoindFailed(f"no block can be mined: {self._failed}")

    def stop(self) -> None:
        """End, and wait a while for a block that is being mined."""
        self._ended.set()
        self._thread.join(MINING_STOP_SECONDS)
        if not self._thread.is_alive():
            self._client.close()

    def _run(self) -> None:
        pause = self._delay
        while not self._ended.wait(pause):
            pause = self._block_seconds
            try:
                self._client.mine(1, self._address)
            except ZenError as error:
                self._failed = error
                return
