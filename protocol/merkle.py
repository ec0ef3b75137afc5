"""Merkle tree over byte strings, in the shape of RFC 6962 (section 2.1) with SHA3-256.

Answers for: the root of an ordered sequence of leaves, and for a proof that one
leaf stands at one place in it. A leaf is hashed behind 0x00, an inner node
behind 0x01, so that neither can be passed off as the other; a tree splits at
the largest power of two below its size, so that no leaf is ever doubled (two
different sequences then never share a root). What the leaves mean, and who vouches for
the root and the size, is left to the callers. Spec: `spec/merkle.md`.

Hashing neighbours level by level, and handing an odd last node up as it is,
builds the same tree as RFC 6962's recursion; the tests hold the two against each other.
"""

from collections.abc import Iterator, Sequence

from protocol.crypto import sha3_256
from protocol.errors import InvalidProof
from protocol.units import Hash32

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def merkle_root(leaves: Sequence[bytes]) -> Hash32:
    """Return the 32-byte root of `leaves`; of none, the hash of nothing (RFC 6962)."""
    if not leaves:
        return sha3_256()
    level = _leaf_hashes(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def merkle_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings on the way from leaf `index` up to the root, lowest first.

    At most 1 + log2(len(leaves)) hashes of 32 bytes. An index outside the leaves is the
    caller's own mistake: `IndexError`.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level = _leaf_hashes(leaves)
    siblings: list[bytes] = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            siblings.append(level[index ^ 1])
        level = _parents(level)
        index >>= 1
    return tuple(siblings)


def verify_merkle_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise `InvalidProof` unless `leaf` is number `index` of the `size` leaves under `root`.

    `size` must come from whoever vouches for `root`: a root alone does not say how many
    leaves it has, and leaf 1 of 2 has the same path as leaf 2 of 3.
    """
    if not 0 <= index < size:
        raise InvalidProof(f"leaf {index} of {size}")
    sides = list(_sides(index, size))
    if len(proof) != len(sides):
        raise InvalidProof(f"{len(proof)} hashes for leaf {index} of {size}, {len(sides)} wanted")
    node = sha3_256(LEAF_PREFIX, leaf)
    for sibling, sibling_is_left in zip(proof, sides, strict=True):
        left, right = (sibling, node) if sibling_is_left else (node, sibling)
        node = sha3_256(NODE_PREFIX, left, right)
    if node != root:
        raise InvalidProof(f"leaf {index} of {size} leads to {node.hex()}, not to the root")


def _sides(index: int, size: int) -> Iterator[bool]:
    """Yield for each sibling on the way up whether it stands on the left."""
    while size > 1:
        if index ^ 1 < size:
            yield bool(index & 1)
        index >>= 1
        size = (size + 1) >> 1


def _leaf_hashes(leaves: Sequence[bytes]) -> list[Hash32]:
    return [sha3_256(LEAF_PREFIX, leaf) for leaf in leaves]


def _parents(level: list[Hash32]) -> list[Hash32]:
    """Return the level above: neighbours hashed in pairs, an odd last node unchanged."""
    paired = len(level) & ~1
    parents = [sha3_256(NODE_PREFIX, level[i], level[i + 1]) for i in range(0, paired, 2)]
    return parents + level[paired:]
