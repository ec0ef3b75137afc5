"""The join proof: what an operator computes and sends at each joining of a group.

Answers for: which nonce proves a ticket, checking it, and looking for it a bounded number
of tries at a time. To whom the megabyte travels, and by when, is left to
`protocol.node.proofs`; what a ticket is to the group's blocks. Spec: `spec/join_proof.md`.
"""

import hashlib
from functools import lru_cache

from protocol.errors import InvalidProof
from protocol.units import Hash32

KEY_BYTES = TICKET_BYTES = 32
COPIES = 32_768
"""How often the key stands in the message."""
CHUNK_BYTES = COPIES * KEY_BYTES
"""1 MiB: what the joining operator sends to each member."""
NONCE_MAX = (1 << 63) - 1
"""The largest nonce that an ADMIT holds."""
DIGEST_BITS = 256
MIDSTATES_MAX = 8_192
"""Keys whose midstate is remembered, some 400 bytes each: their next proof takes a microsecond, not 2 ms."""


def chunk(operator_key: bytes) -> bytes:
    """Return the 1 MiB that a proof begins with: the 32-byte key, 32,768 times."""
    if len(operator_key) != KEY_BYTES:
        raise ValueError(f"an operator key of {len(operator_key)} bytes")
    return operator_key * COPIES


@lru_cache(maxsize=MIDSTATES_MAX)
def _midstate(operator_key: bytes) -> "hashlib._Hash":
    """Return the state of the hash after the key's megabyte; only ever copied."""
    return hashlib.sha3_256(chunk(operator_key))


def _after_ticket(operator_key: bytes, ticket: bytes) -> "hashlib._Hash":
    """Return the state of the hash before the nonce."""
    if len(ticket) != TICKET_BYTES:
        raise ValueError(f"a ticket of {len(ticket)} bytes")
    state = _midstate(operator_key).copy()
    state.update(ticket)
    return state


def _ceiling(bits: int) -> bytes:
    """Return the greatest digest with `bits` leading zero bits."""
    if not 0 <= bits <= DIGEST_BITS:
        raise ValueError(f"{bits} zero bits of {DIGEST_BITS}")
    return ((1 << DIGEST_BITS - bits) - 1).to_bytes(DIGEST_BITS // 8, "big")


def digest(operator_key: bytes, ticket: bytes, nonce: int) -> Hash32:
    """Return SHA3-256(key × 32,768 ‖ ticket ‖ nonce as ASCII decimal)."""
    state = _after_ticket(operator_key, ticket)
    state.update(b"%d" % nonce)
    return Hash32(state.digest())


def verify(operator_key: bytes, ticket: bytes, nonce: int, bits: int) -> None:
    """Raise `InvalidProof` unless the nonce gives the ticket's digest `bits` leading zero bits."""
    if not 0 <= nonce <= NONCE_MAX or digest(operator_key, ticket, nonce) > _ceiling(bits):
        raise InvalidProof(f"the nonce {nonce} gives no {bits} zero bits")


class JoinProver:
    """Looks for the smallest nonce that proves a ticket, a bounded number of tries at a time."""

    def __init__(self, operator_key: bytes, ticket: bytes, bits: int) -> None:
        """Have tried nothing yet."""
        self._state = _after_ticket(operator_key, ticket)
        self._ceiling = _ceiling(bits)
        self.trials = 0
        """Nonces tried so far, from 0 on."""

    def search(self, tries: int) -> int | None:
        """Return the first nonce among the next `tries` that proves the ticket, or None.

        2^bits tries are needed on average. A later call goes on behind the last nonce tried.
        """
        copy, ceiling = self._state.copy, self._ceiling
        end = min(self.trials + tries, NONCE_MAX + 1)
        for nonce in range(self.trials, end):
            state = copy()
            state.update(b"%d" % nonce)
            if state.digest() <= ceiling:
                self.trials = nonce + 1
                return nonce
        self.trials = end
        return None
