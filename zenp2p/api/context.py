"""What RPC methods may look at and ask for.

Answers for: one typed handle on the running daemon's parts, so that methods know
nothing of how it is put together. Spec: `spec/rpc.md`.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

from protocol.chain.address import AddressPrefixes, encode_address
from protocol.node.machine import Node
from zenp2p.chain.service import ChainService
from zenp2p.ports import Network

_HASH = re.compile("[0-9a-fA-F]{64}")
ADDRESSES_KEPT = 1 << 14
"""Texts of addresses that are kept."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one daemon. `submit` hands a packed registration to the node machine."""

    node: Node
    chain: ChainService
    network: Network
    submit: Callable[[bytes], Awaitable[None]]
    problems: Callable[[], list[str]]
    """What the shell has to complain of."""
    proof_trials: Callable[[], int] = lambda: 0
    """How often our join proof was tried so far."""

    def address(self, address: bytes) -> str:
        """Return the text of a 21-byte address; empty for none."""
        return address_text(address, self.node.genesis.chain.prefixes) if address else ""


@lru_cache(ADDRESSES_KEPT)
def address_text(address: bytes, prefixes: AddressPrefixes) -> str:
    """Return the text of a 21-byte address; writing Base58 anew each time is most of what an answer costs."""
    return encode_address(address, prefixes)


def display(chain_hash: bytes) -> str:
    """Return a block or transaction hash as people write it: reversed, in hex."""
    return chain_hash[::-1].hex()


def computed(text: str) -> bytes:
    """Return the 32 bytes of a displayed hash in computed order; raises `ValueError`."""
    if not _HASH.fullmatch(text):
        raise ValueError(f"a hash has 64 hexadecimal digits: {text}")
    return bytes.fromhex(text)[::-1]
