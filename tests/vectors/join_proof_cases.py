"""Vectors of join proofs and of the messages in which they travel. Formats: `spec/join_proof.md`."""

from typing import Any

from protocol.crypto import sha3_256
from protocol.errors import InvalidProof
from protocol.group.join_proof import NONCE_MAX, JoinProver, chunk, digest, verify
from protocol.node.messages import ALL_PARTS, PART_BYTES, PARTS, ProofHeld, ProofPart, pack_plain
from tests.vectors.registry import vectors

NETWORK = sha3_256(b"a network")
KEY, TICKET = bytes(range(32)), bytes(range(32, 64))
OTHER_KEY, OTHER_TICKET = sha3_256(b"another key"), sha3_256(b"another ticket")
NONCE_OF_20_BITS = 6_603_362
"""The smallest for KEY and TICKET; finding it takes seconds, so it is only checked here."""


def is_proof(key: bytes, ticket: bytes, nonce: int, bits: int) -> bool:
    try:
        verify(key, ticket, nonce, bits)
    except InvalidProof:
        return False
    return True


def most_bits(key: bytes, ticket: bytes, nonce: int) -> int:
    return max(bits for bits in range(257) if is_proof(key, ticket, nonce, bits))


@vectors("join_proof", "proofs")
def proofs() -> list[dict[str, Any]]:
    """For keys, tickets and nonces: the digest and the zero bits that it shows."""
    nonces = (0, 9, 10, 38, 359, 97_363, NONCE_OF_20_BITS, NONCE_MAX)
    return [
        {
            "operator_key": key.hex(),
            "ticket": ticket.hex(),
            "nonce": nonce,
            "digest": digest(key, ticket, nonce).hex(),
            "zero_bits": most_bits(key, ticket, nonce),
        }
        for key, ticket in ((KEY, TICKET), (KEY, OTHER_TICKET), (OTHER_KEY, TICKET))
        for nonce in nonces
    ]


@vectors("join_proof", "searches")
def searches() -> list[dict[str, Any]]:
    """The smallest nonce that shows so many bits."""
    return [
        {
            "operator_key": key.hex(),
            "ticket": ticket.hex(),
            "bits": bits,
            "nonce": JoinProver(key, ticket, bits).search(1 << 20),
        }
        for key, ticket in ((KEY, TICKET), (OTHER_KEY, OTHER_TICKET))
        for bits in (0, 1, 4, 8, 12)
    ]


@vectors("join_proof", "messages")
def messages() -> dict[str, Any]:
    """The messages of one transfer; of the long ones the length, the first bytes and the hash."""
    data = chunk(KEY)
    parts = [
        pack_plain(
            ProofPart(
                network=NETWORK,
                ticket=TICKET,
                nonce=NONCE_OF_20_BITS,
                index=index,
                data=data[index * PART_BYTES : (index + 1) * PART_BYTES],
            )
        )
        for index in range(PARTS)
    ]
    return {
        "network": NETWORK.hex(),
        "operator_key": KEY.hex(),
        "ticket": TICKET.hex(),
        "nonce": NONCE_OF_20_BITS,
        "parts": [
            {"length": len(part), "first_160": part[:160].hex(), "sha3_256": sha3_256(part).hex()}
            for part in parts
        ],
        "held": [
            pack_plain(ProofHeld(network=NETWORK, ticket=TICKET, parts=parts)).hex()
            for parts in (0, 0b0101, ALL_PARTS)
        ],
    }
