"""Data blocks as the record holds them: whole, or pruned.

Answers for: a pruned block is one that this node had checked; what was decided is kept as it was, and what
proves it to others is gone. So it leads to the same state as the whole one, and is of use to nobody else.
When a block is pruned is `pruning`'s business. Spec: `spec/node.md`.
"""

from protocol.codec import MESSAGE_SIZE_MAX, Bytes32, Decoder, Wire, encode, replace
from protocol.group.data_block import (
    Blob,
    CertifiedBlock,
    Payload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)


class PrunedBlock(Wire, tag="pruned"):
    """A data block without its certificate; a VERDICT block also without what its verdicts follow from."""

    block_hash: Bytes32
    """Of the whole block."""
    block: Blob


StoredBlock = CertifiedBlock | PrunedBlock

_decode: Decoder[StoredBlock] = Decoder(StoredBlock, MESSAGE_SIZE_MAX)


def decode_stored(data: bytes) -> StoredBlock:
    """Return the block that a record holds; raises `MalformedMessage`."""
    return _decode(data)


def pruned(certified: CertifiedBlock) -> PrunedBlock:
    """Return what is kept of a block: what it says."""
    block = decode_block(certified.block)
    payload = without_evidence(decode_payload(block))
    return PrunedBlock(
        block_hash=block_hash(certified.block), block=encode(replace(block, payload=encode(payload)))
    )


def without_evidence(payload: Payload) -> Payload:
    """Return a payload without what its verdicts follow from, if it has any."""
    if not isinstance(payload, VerdictPayload):
        return payload
    return replace(payload, observations=(), receipts=(), responses=())
