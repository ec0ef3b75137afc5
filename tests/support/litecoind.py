"""A real node for tests: one for a module, on a chain of its own, with coins and reorganisations to order.

@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protocol.chain.address import encode_address
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.chain.script import address_script
from protocol.chain.transaction import TxOutput
from protocol.crypto import sha256
from zenp2p.chain.embedded.wallet import WalletKey
from zenp2p.chain.rpc.client import NodeSettings
from zenp2p.devnet.coins import Purse
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.devnet.litecoind import Litecoind

RULES = LITECOIN_REGTEST
FIRST_COINS = 120
"""Blocks mined at the start: 20 coins of 50 that can be spent."""


def key_of(name: str) -> WalletKey:
    """Return the key that belongs to a name."""
    return WalletKey(sha256(name.encode()))


def address_of(name: str) -> str:
    """Return the text of a name's P2PKH address."""
    return encode_address(key_of(name).address, RULES.prefixes)


class LitecoinNode:
    """A running node, and somebody who mines on it."""

    def __init__(self, process: Litecoind, owner: str = "miner") -> None:
        self.process = process
        self.owner = owner

    @property
    def client(self) -> LitecoinClient:
        """The blocking way to the node as it runs now."""
        return self.process.client

    @property
    def purse(self) -> Purse:
        """The miner's coins."""
        return Purse(self.client, RULES, sha256(self.owner.encode()))

    @property
    def settings(self) -> NodeSettings:
        """What a daemon needs to know of the node as it runs now."""
        return NodeSettings("127.0.0.1", self.process.port, cookie=self.process.cookie)

    def fund(self, address: bytes, *amounts: int) -> str:
        """Pay amounts to a 21-byte address in one transaction that is not mined yet; return its id."""
        return self.purse.pay([TxOutput(amount, address_script(address)) for amount in amounts])

    def mine(self, blocks: int = 1) -> list[str]:
        """Mine what waits, and return the blocks' hashes."""
        return self.purse.mine(blocks)

    def active(self) -> list[str]:
        """Return the hashes of the active chain, by height."""
        client = self.client
        return client.batch([("getblockhash", [height]) for height in range(client.height() + 1)])

    def reorganise(self, depth: int, *, longer: int = 1, payee: str = "another miner") -> list[str]:
        """Replace the last `depth` blocks by `depth + longer` others; return the blocks that went stale.

        What was in them goes back to the waiting transactions and is mined again, unless the branch is
        emptied with `replace`.
        """
        client = self.client
        top = client.height()
        stale = client.batch([("getblockhash", [height]) for height in range(top - depth + 1, top + 1)])
        client.invalidate(stale[0])
        client.mine(depth + longer, address_of(payee))
        return stale

    def replace(self, depth: int, *, longer: int = 1, transactions: Sequence[bytes] = ()) -> list[str]:
        """Replace the last `depth` blocks by ones that hold `transactions` in the first and nothing else.

        What the stale blocks held waits on, so the next `mine` brings it back if it still fits.
        """
        client = self.client
        top = client.height()
        stale = client.batch([("getblockhash", [height]) for height in range(top - depth + 1, top + 1)])
        client.invalidate(stale[0])
        for number in range(depth + longer):
            inside = [raw.hex() for raw in transactions] if number == 0 else []
            client.call("generateblock", address_of(f"replacing miner {top}"), inside)
        return stale


@contextmanager
def litecoin_node(
    *, coins: int = FIRST_COINS, txindex: bool = True, extra: Sequence[str] = ()
) -> Iterator[LitecoinNode]:
    """Run a node in a folder of its own, with `coins` blocks mined, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="zenp2p-litecoind-"))
    try:
        with Litecoind(folder / "node", txindex=txindex, extra=extra) as process:
            node = LitecoinNode(process)
            if coins:
                node.mine(coins)
            yield node
    finally:
        shutil.rmtree(folder)
