"""Marks: what a transaction says about data chains in its one data output, and who signed it.

Answers for: which transactions a chain's index keeps as marks, and the stake addresses whose owners
signed one. What a mark says is left to its readers (`protocol.group.summons`). Spec: `spec/absorb.md`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.chain.address import AddressKind
from protocol.chain.script import null_data_payload, parse_pushes
from protocol.chain.transaction import Transaction, is_coinbase
from protocol.errors import InvalidChainData
from protocol.units import Height

SUMMONS_MAGIC = b"zp2p\x03"
"""What the OP_RETURN of a summons begins with: the magic of zenp2p's outputs, and type 3."""
LIFE_MAGIC = b"zp2p\x04"
"""What the OP_RETURN of a sign of life begins with: type 4."""
SIGNERS_MAX = 8
"""Addresses that sign one data output; with more, nobody does."""

_MAGICS = (SUMMONS_MAGIC, LIFE_MAGIC)
_BASE_TYPES = 0x1F
_OTHERS_CHANGE_OUTPUTS = (2, 3)
"""NONE and SINGLE: signatures that leave outputs to somebody else."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mined mark. `ordinal` is its transaction's number by (height, position)."""

    ordinal: int
    height: Height
    payload: bytes
    signed: tuple[bytes, ...]
    """P2PKH addresses, sorted, whose coins are spent by signatures that cover the mark."""


def may_mark(transaction: Transaction) -> bool:
    """Whether a closer look is worth it: a cheap test that lets no mark through."""
    return any(magic in transaction.raw for magic in _MAGICS)


def find_mark(
    transaction: Transaction, spent: Sequence[bytes | None], ordinal: int, height: Height
) -> Mark | None:
    """Return the mark that a transaction carries, None when it carries none.

    It must be the transaction's only data output. `spent` holds the address of the output that each
    input spends, None where it has none or is not known.
    """
    data = only_data(transaction)
    if data is None or not data.startswith(_MAGICS):
        return None
    return Mark(ordinal, height, data, sorted_signers(signing_addresses(transaction, spent)))


def only_data(transaction: Transaction) -> bytes | None:
    """Return the payload of the one data output; None without one, or of two: which was meant?"""
    payloads = [null_data_payload(output.script) for output in transaction.outputs]
    data = [payload for payload in payloads if payload is not None]
    return data[0] if len(data) == 1 else None


def signing_addresses(transaction: Transaction, spent: Sequence[bytes | None]) -> frozenset[bytes]:
    """Return the P2PKH addresses whose owners signed all outputs by spending coins of theirs."""
    inputs = () if is_coinbase(transaction) else zip(transaction.inputs, spent, strict=True)
    return key_addresses(address for item, address in inputs if _covers_outputs(item.script_sig))


def key_addresses(addresses: Iterable[bytes | None]) -> frozenset[bytes]:
    """Return the addresses on which a stake can lie: those of one key."""
    return frozenset(address for address in addresses if address and address[0] == AddressKind.P2PKH)


def sorted_signers(addresses: frozenset[bytes]) -> tuple[bytes, ...]:
    """Return the addresses that sign, sorted; none when they are more than `SIGNERS_MAX`."""
    return tuple(sorted(addresses)) if len(addresses) <= SIGNERS_MAX else ()


def _covers_outputs(script_sig: bytes) -> bool:
    """Whether the signature that an input script begins with covers all outputs."""
    try:
        pushes = parse_pushes(script_sig)
    except InvalidChainData:
        return False
    return bool(pushes and pushes[0]) and pushes[0][-1] & _BASE_TYPES not in _OTHERS_CHANGE_OUTPUTS
