"""What a node of the family is called, and how its calls differ from the others'.

Answers for: whoever asks a node need not know which one it is. Spec: `spec/external_chain.md`.
"""

from dataclasses import dataclass
from typing import Any

from zenp2p.chain.rpc.client import NodeClient

Call = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One node's ways."""

    name: str

    def block_call(self, block_hash: str) -> Call:
        """Return the call for a raw block."""
        return "getblock", (block_hash, 0)

    def send_call(self, transaction: str) -> Call:
        """Return the call that hands a transaction in."""
        return "sendrawtransaction", (transaction,)


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Which node it is."""

    dialect: Dialect
    version: str
    chain: str


async def learn_node(client: NodeClient) -> NodeIdentity:
    """Ask a node what it is; raises `NodeError`."""
    network = await client.call("getnetworkinfo")
    chain = await client.call("getblockchaininfo")
    name = str(network["subversion"]).strip("/").partition(":")
    return NodeIdentity(Dialect("litecoind"), name[2], str(chain["chain"]))
