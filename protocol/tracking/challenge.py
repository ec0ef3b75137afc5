"""The challenge: F(last block), the samples it asks each operator for, and the answer.

Answers for: a challenge is a pure function of its anchor block, each operator has its
own uniform samples of all transactions up to it, and the answer commits to their raw
bytes, so that it can neither be copied nor be made from an index of addresses. Reading
the chain is the `ChainView`'s business, who answers for whom `response`'s, and what
follows from an answer `verdict`'s. Spec: `spec/challenge.md`.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.chain.script import script_address
from protocol.chain.transaction import Transaction, decode_transaction
from protocol.chain.view import ChainView
from protocol.crypto import blake2b, sha3_256
from protocol.errors import NotYetKnown, StaleMessage
from protocol.parameters import Parameters
from protocol.units import ChallengeSeq, Hash32, Height

ANSWER_SIZE = 12
DIGEST_SIZE = 32
NONCE_SIZE = 32
SAMPLES_PERSON = b"zenp2p-samples"
"""BLAKE2b personalisations; BLAKE2 pads them to 16 bytes with zeros."""
ANSWER_PERSON = b"zenp2p-answer"
NONCE_PERSON = b"zenp2p-nonce"
DIAL_BACK_PERSON = b"zenp2p-dialback"
ADDRESS_SEARCH_MAX = 1_024
"""Transactions looked at for a first address; a sample without one in reach has none."""

_STREAM_BLOCKS_MAX = 1 << 16
_BLOCK_SIZE = 64
_WORDS = struct.Struct(">8Q")
_WORD_VALUES = 1 << 64


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge, identified by (seq, anchor hash). Heights are chain heights.

    A response is on time when the judge received it while its tip was below `closes`.
    """

    seq: ChallengeSeq
    anchor_height: Height
    anchor_hash: Hash32
    transactions: int
    """T: the transactions in the blocks 0 to the anchor; samples are ordinals below it."""
    closes: Height
    """Height of the block at whose connection the challenge closes."""
    judged_at: Height
    """Height of the tip at which the close is buried and the challenge is judged."""

    @property
    def opens(self) -> Height:
        """Height of the block that opens the challenge: its anchor."""
        return self.anchor_height


@dataclass(frozen=True, slots=True)
class Sample:
    """One transaction that an operator is asked for."""

    ordinal: int
    txid: Hash32
    address: bytes
    """The transaction's first address (21 bytes), or empty when none was in reach."""
    raw: bytes
    """The transaction as it stands in its block, witness included: the id does not cover that."""


def anchor_height(seq: int, parameters: Parameters) -> Height:
    """Return the height of challenge `seq`'s anchor block."""
    return Height(seq * parameters.challenge_every)


def derive_challenge(seq: int, chain: ChainView, parameters: Parameters) -> Challenge:
    """Return challenge `seq` of this chain; raises `NotYetKnown` while its anchor is not connected."""
    height = anchor_height(seq, parameters)
    anchor_hash = chain.block_hash(height)
    if anchor_hash is None:
        raise NotYetKnown(f"challenge {seq} opens with block {height}")
    closes = height + parameters.response_window
    return Challenge(
        ChallengeSeq(seq),
        height,
        anchor_hash,
        chain.transaction_count(height),
        Height(closes),
        Height(closes + parameters.burial),
    )


def require_anchor(challenge: Challenge, chain: ChainView) -> None:
    """Raise `StaleMessage` unless the challenge's anchor is still on the chain."""
    if chain.block_hash(challenge.anchor_height) != challenge.anchor_hash:
        raise StaleMessage(f"the anchor of challenge {challenge.seq} is not on the chain")


def challenge_draw(anchor_hash: bytes, operator_key: bytes) -> Hash32:
    """Return an operator's draw in a challenge: which group judges it, and its rank among equal claims.

    Nobody can choose it, and it changes with every anchor.
    """
    return sha3_256(anchor_hash, operator_key)


def sample_ordinals(anchor_hash: bytes, operator_key: bytes, total: int, count: int) -> tuple[int, ...]:
    """Return `count` ordinals below `total`, uniform and independent: one may come twice."""
    return _draw_ordinals(anchor_hash + operator_key, b"", SAMPLES_PERSON, total, count)


def dial_back_ordinals(
    anchor_hash: bytes, operator_key: bytes, nonce: bytes, total: int, count: int
) -> tuple[int, ...]:
    """Return the ordinals that a dial-back with this 32-byte nonce asks for."""
    return _draw_ordinals(anchor_hash + operator_key, nonce, NONCE_PERSON, total, count)


def _draw_ordinals(key: bytes, data: bytes, person: bytes, total: int, count: int) -> tuple[int, ...]:
    """Cut the keyed stream into 64-bit words and keep those that fold onto `total` evenly."""
    if total < 1 or count < 1:
        raise ValueError(f"{count} ordinals of {total}")
    even = _WORD_VALUES - _WORD_VALUES % total
    ordinals: list[int] = []
    for number in range(_STREAM_BLOCKS_MAX):
        block = blake2b(data + number.to_bytes(8, "big"), size=_BLOCK_SIZE, key=key, person=person)
        ordinals.extend([word % total for word in _WORDS.unpack(block) if word < even])
        if len(ordinals) >= count:
            return tuple(ordinals[:count])
    raise RuntimeError("the sample stream ran dry")  # at most half of the words are refused: 2**-40000


def first_address(tx: Transaction) -> bytes | None:
    """Return the 21-byte address of the first output that has one, or None."""
    return next((found for output in tx.outputs if (found := script_address(output.script))), None)


def take_sample(chain: ChainView, ordinal: int, total: int) -> Sample:
    """Return the transaction `ordinal`, or the next one, wrapping, that has a first address.

    The search is bounded; where it finds nothing the sample is the transaction that was drawn,
    without an address. That is no error: else whoever pays for enough transactions without
    addresses could keep a challenge from being judged.
    """
    for step in range(min(total, ADDRESS_SEARCH_MAX)):
        at = (ordinal + step) % total
        tx = decode_transaction(chain.transaction(at), chain.family)
        address = first_address(tx)
        if address is not None:
            return Sample(at, tx.txid, address, tx.raw)
    tx = decode_transaction(chain.transaction(ordinal), chain.family)
    return Sample(ordinal, tx.txid, b"", tx.raw)


def derive_samples(
    challenge: Challenge, operator_key: bytes, chain: ChainView, parameters: Parameters
) -> tuple[Sample, ...]:
    """Return the samples of one operator; raises `StaleMessage` when the anchor left the chain."""
    require_anchor(challenge, chain)
    total = challenge.transactions
    ordinals = sample_ordinals(challenge.anchor_hash, operator_key, total, parameters.samples)
    return tuple([take_sample(chain, ordinal, total) for ordinal in ordinals])


def compute_answer(seq: int, operator_key: bytes, samples: Iterable[Sample]) -> bytes:
    """Return the 12-byte answer that `operator_key` gives for its samples."""
    parts = [seq.to_bytes(8, "big")]
    for sample in samples:
        parts.append(len(sample.address).to_bytes(1, "big") + sample.address)
        parts.append(len(sample.raw).to_bytes(4, "big") + sample.raw)
    return blake2b(b"".join(parts), size=ANSWER_SIZE, key=operator_key, person=ANSWER_PERSON)


def expected_answer(
    challenge: Challenge, operator_key: bytes, chain: ChainView, parameters: Parameters
) -> bytes:
    """Return the one right answer of an operator; raises `StaleMessage` when the anchor left the chain."""
    samples = derive_samples(challenge, operator_key, chain, parameters)
    return compute_answer(challenge.seq, operator_key, samples)


def dial_back_digest(
    challenge: Challenge, operator_key: bytes, nonce: bytes, chain: ChainView, parameters: Parameters
) -> bytes:
    """Return the 32-byte reply to a dial-back: fast access to the chain, whoever holds it.

    Raises `StaleMessage` when the anchor left the chain.
    """
    require_anchor(challenge, chain)
    ordinals = dial_back_ordinals(
        challenge.anchor_hash,
        operator_key,
        nonce,
        challenge.transactions,
        parameters.dial_back_transactions,
    )
    parts = [nonce]
    for ordinal in ordinals:
        raw = chain.transaction(ordinal)
        parts.append(len(raw).to_bytes(4, "big") + raw)
    return blake2b(b"".join(parts), size=DIGEST_SIZE, key=operator_key, person=DIAL_BACK_PERSON)
