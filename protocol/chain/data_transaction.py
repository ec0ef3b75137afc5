"""A transaction that says something on the chain in its one data output, and spends a coin for it.

Answers for: its two outputs, its fee, and that what goes back is relayed. What is said is left to who hands
the payload in: announcements (`protocol.tracking.announcement`), marks (`protocol.group.summons`). Spec:
`spec/announcement.md`, `spec/absorb.md`.
"""

from protocol.chain.script import address_script, null_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import RequestError
from protocol.units import format_amount

TRANSACTION_VERSION = 1
FEE_RATE_DEFAULT = 1_000
"""Zatoshi for 1,000 bytes."""
FEE_RATE_MAX = 100_000
CHANGE_MIN = 10_000
"""Zatoshi that go back to the address at least: smaller outputs are not relayed."""
INPUT_SIZE_MAX = 32 + 4 + 1 + (1 + 72 + 1) + (1 + 65) + 4
"""Bytes of a signed P2PKH input, at most: an uncompressed key may be the owner's."""


def build_data_transaction(
    payload: bytes,
    address: bytes,
    coin: OutPoint,
    amount: int,
    *,
    fee_rate: int = FEE_RATE_DEFAULT,
    tail: bytes = b"",
) -> Transaction:
    """Return the unsigned transaction that carries a payload, spending one coin of an address.

    All but the fee goes back to it. `amount` is what the coin holds, `fee_rate` is in zatoshi for 1,000
    bytes. Raises `RequestError` when the coin is too small or the rate out of bounds.
    """
    fee = data_fee(payload, address, fee_rate, tail)
    if amount - fee < CHANGE_MIN:
        raise RequestError(
            f"a coin of {format_amount(amount)} is too small: with the fee and what goes back it takes "
            f"{format_amount(fee + CHANGE_MIN)}"
        )
    outputs = _outputs(payload, address, amount - fee, tail)
    return Transaction(TRANSACTION_VERSION, (TxInput(coin),), outputs)


def data_fee(payload: bytes, address: bytes, fee_rate: int = FEE_RATE_DEFAULT, tail: bytes = b"") -> int:
    """Return the fee in zatoshi of such a transaction; raises `RequestError` for an odd rate."""
    if not 0 <= fee_rate <= FEE_RATE_MAX:
        raise RequestError(f"a fee rate is 0 to {FEE_RATE_MAX} zatoshi for 1,000 bytes, not {fee_rate}")
    size = len(Transaction(TRANSACTION_VERSION, (), _outputs(payload, address, 0, tail)).raw) + INPUT_SIZE_MAX
    return -(-size * fee_rate // 1_000)


def _outputs(payload: bytes, address: bytes, change: int, tail: bytes) -> tuple[TxOutput, ...]:
    """Return the OP_RETURN, then the change; `tail` is appended to both on chains with replay tails."""
    return (
        TxOutput(0, null_data(payload) + tail),
        TxOutput(change, address_script(address) + tail),
    )
