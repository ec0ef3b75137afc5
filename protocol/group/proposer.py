"""Who proposes in which round.

Answers for: everybody names the same proposer, every voter's turn comes once in as
many rounds as there are voters (so some honest voter's turn comes soon whatever the
others do), and nobody can put its accomplices next to each other by choosing keys: the
order is drawn anew for each height. Spec: `spec/consensus.md`.
"""

from protocol.crypto import sha3_256
from protocol.group.quorum import Electorate
from protocol.units import OperatorKey


def proposer_order(network: bytes, name: str, electorate: Electorate, height: int) -> tuple[OperatorKey, ...]:
    """Return the voters in the order in which they propose at `height`, round after round, again and again.

    Sorted by SHA3-256(network, height as 8 big-endian bytes, operator key, electorate name).
    """
    draw = network + height.to_bytes(8, "big")
    return tuple(sorted(electorate.keys(), key=lambda key: sha3_256(draw, key, name.encode())))
