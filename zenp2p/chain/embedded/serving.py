"""Answering what peers ask of the embedded chain.

Answers for: replies that fit into one message, and for reading no more than they need.
How often a peer may ask is `peers`'. Spec: `spec/embedded_chain.md`.
"""

from protocol.units import Hash32, NetworkId
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.embedded.messages import (
    BLOCKS_BYTES_MAX,
    HEADERS_MAX,
    Blocks,
    BlocksRequest,
    Headers,
    HeadersRequest,
    NewTransaction,
    PoolRequest,
)

TRANSACTIONS_SERVED_MAX = 64
"""Transactions that one pool request brings."""

Request = HeadersRequest | BlocksRequest | PoolRequest
Reply = Headers | Blocks | NewTransaction


def answer(request: Request, network: NetworkId, chain: EmbeddedChain, pool: Mempool) -> list[Reply]:
    """Return the replies to a request, in order."""
    match request:
        case HeadersRequest():
            headers = chain.headers_after(request.locator, HEADERS_MAX)
            return [Headers(network=network, headers=tuple(headers))]
        case BlocksRequest():
            return [Blocks(network=network, blocks=_blocks(request, chain))]
        case PoolRequest():
            return _transactions(request, network, pool)


def _blocks(request: BlocksRequest, chain: EmbeddedChain) -> tuple[bytes, ...]:
    """Return the blocks from the first asked for on, up to one that is not held or does not fit."""
    found: list[bytes] = []
    size = 0
    for block_hash in request.hashes:
        raw = chain.block(Hash32(block_hash))
        size += len(raw or b"")
        if raw is None or size > BLOCKS_BYTES_MAX:
            break
        found.append(raw)
    return tuple(found)


def _transactions(request: PoolRequest, network: NetworkId, pool: Mempool) -> list[Reply]:
    """Return kept transactions that the peer did not name, parents before children."""
    known = set(request.known)
    missing = [entry.tx.raw for entry in pool if entry.txid not in known]
    return [NewTransaction(network=network, transaction=raw) for raw in missing[:TRANSACTIONS_SERVED_MAX]]
