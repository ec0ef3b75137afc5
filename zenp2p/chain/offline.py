"""A challenge derived from a file of blocks, without a node: what anybody can check.

Answers for: the same rules as a daemon's (`protocol.tracking.challenge`), with the file as
the whole chain: T counts the file's transactions up to the anchor. Reading the file is
`file_source`'s, showing the result the command line's. Spec: `spec/challenge.md`,
`spec/index.md`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import parameters
from protocol.chain.address import encode_address
from protocol.chain.encoding import display_hash
from protocol.chain.rules import ChainRules
from protocol.codec import replace
from protocol.errors import RequestError
from protocol.tracking.challenge import Challenge, Sample, compute_answer, derive_samples
from protocol.units import ChallengeSeq, Hash32, Height
from zenp2p.chain.file_source import FileSource, FileView, read_blocks


@dataclass(frozen=True, slots=True)
class Derived:
    """One operator's part in a challenge, derived from a file."""

    challenge: Challenge
    samples: tuple[Sample, ...]
    answer: bytes
    rules: ChainRules
    first_height: Height
    unlinked: tuple[Height, ...]
    mismatched: tuple[Height, ...]


def derive_from_file(
    path: Path,
    *,
    anchor_height: int,
    seq: int,
    operator_key: bytes,
    first_height: int | None = None,
    samples: int = parameters.ZEN.samples,
    rules: ChainRules | None = None,
) -> Derived:
    """Derive challenge `seq`, anchored at `anchor_height`, for a 32-byte operator key.

    Raises `OSError` and `InvalidChainData` for the file, `RequestError` for an anchor outside of it.
    """
    source = FileSource(read_blocks(path), rules, first_height)
    anchor_hash = source.block_hash(anchor_height)
    if anchor_hash is None:
        last = source.tip()[0]
        raise RequestError(f"the file holds heights {source.first_height} to {last}, not {anchor_height}")
    view = FileView(source, anchor_height)
    challenge = _challenge(seq, anchor_height, anchor_hash, view.transaction_count(anchor_height))
    asked = replace(parameters.ZEN, samples=samples)
    found = derive_samples(challenge, operator_key, view, asked)
    return Derived(
        challenge,
        found,
        compute_answer(seq, operator_key, found),
        source.rules,
        source.first_height,
        tuple(height for height in source.unlinked if height <= anchor_height),
        tuple(height for height in source.mismatched if height <= anchor_height),
    )


def describe(derived: Derived, operator_key: bytes) -> dict[str, Any]:
    """Return the derivation as JSON shows it.

    Block and transaction hashes as wallets show them, the rest as plain hexadecimal.
    """
    return {
        "seq": derived.challenge.seq,
        "anchor_height": derived.challenge.anchor_height,
        "anchor_hash": display_hash(derived.challenge.anchor_hash),
        "operator": operator_key.hex(),
        "chain": derived.rules.name,
        "first_height": derived.first_height,
        "T": derived.challenge.transactions,
        "samples": [_describe_sample(sample, derived.rules) for sample in derived.samples],
        "answer": derived.answer.hex(),
        "linked": not derived.unlinked,
        "merkle_roots_match": not derived.mismatched,
    }


def _describe_sample(sample: Sample, rules: ChainRules) -> dict[str, Any]:
    return {
        "ordinal": sample.ordinal,
        "txid": display_hash(sample.txid),
        "address": encode_address(sample.address, rules.prefixes) if sample.address else None,
        "address_hex": sample.address.hex() or None,
        "bytes": len(sample.raw),
    }


def _challenge(seq: int, height: int, anchor_hash: Hash32, transactions: int) -> Challenge:
    rules = parameters.ZEN
    closes = height + rules.response_window
    return Challenge(
        ChallengeSeq(seq),
        Height(height),
        anchor_hash,
        transactions,
        Height(closes),
        Height(closes + rules.burial),
    )
