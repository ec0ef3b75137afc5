"""Which waiting transaction of a node spends an output, found by looking through its pool.

Answers for: who is told that a payment conflicts with another one is told which, though no node of the
family up to 0.21 has a question for that. What is done about it is left to others. Spec: `spec/rpc.md`.
"""

from collections.abc import Collection

from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import ChainFamily
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.errors import InvalidChainData
from protocol.units import Hash32
from zenp2p.chain.rpc.client import NodeClient

AT_ONCE = 100
"""Transactions asked for in one request."""
POOL_LOOKED_THROUGH_MAX = 5_000
"""Waiting transactions looked through; in a larger pool the one in the way may stay unnamed."""


async def find_spender(
    client: NodeClient, outpoints: Collection[OutPoint], family: ChainFamily
) -> Hash32 | None:
    """Return the waiting transaction that spends one of the outputs, None when none is found.

    Raises `NodeError` when the node cannot be asked.
    """
    waiting = await client.call("getrawmempool")
    ids = [txid for txid in waiting if isinstance(txid, str)] if isinstance(waiting, list) else []
    for start in range(0, min(len(ids), POOL_LOOKED_THROUGH_MAX), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        answers = await client.batch([("getrawtransaction", [txid]) for txid in part])
        for txid, answer in zip(part, answers, strict=True):
            if isinstance(answer, str) and _spends(answer, outpoints, family):
                return parse_display_hash(txid)
    return None


def _spends(raw: str, outpoints: Collection[OutPoint], family: ChainFamily) -> bool:
    """Whether a transaction spends one of the outputs; what cannot be read does not."""
    try:
        transaction = decode_transaction(bytes.fromhex(raw), family)
    except (ValueError, InvalidChainData):
        return False
    return any(item.previous in outpoints for item in transaction.inputs)
