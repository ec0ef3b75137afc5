"""Which transactions pay a certified list, and building them unsigned.

Answers for: the division of a list into chunks, which is the same however often a
payment is built again; the order in which chunks are paid along the baton; and the
transaction of a chunk: mark, change that is the next baton, then the entries in the
list's order. What a paymaster must check before signing is `inspection`, signatures are
`payment_file`. Spec: `spec/payment.md`.

A chunk's id is known only when it is signed (legacy transactions), and the next chunk
spends its change: so chunks are built, signed and mined one after the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.chain.encoding import compact_size
from protocol.chain.rules import ChainRules
from protocol.chain.script import address_script, push_data, script_address
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import InvalidPayment, RequestError
from protocol.genesis import Genesis
from protocol.payout.light import VerifiedList
from protocol.payout.list_header import Entry, ListHeader
from protocol.payout.treasury import (
    BatonTrail,
    PaymentMark,
    payment_mark_script,
    redeem_script,
    treasury_address,
)
from protocol.units import Zatoshi, format_amount

OUTPUTS_MAX = 1_000
"""Outputs of one payment: its entries, the mark and the change."""
ENTRIES_MAX = OUTPUTS_MAX - 2
"""Entries of one chunk. Fixed, so that a chunk's number always means the same entries."""
INPUTS_MAX = 50
"""Inputs of one payment: beside 1,000 outputs of 72 bytes that is what stays below 100,000 bytes."""
GATHERED_MAX = 250
"""Inputs of a transaction that only gathers the treasury's small outputs."""
PAYMENT_SIZE_MAX = 100_000
"""Bytes below which a signed payment stays: larger ones are not relayed."""
FEE_RATE_MAX = 100_000
"""Zatoshi for 1,000 bytes: the highest fee that a paymaster's tool builds or signs."""
FEE_RATE_DEFAULT = 1_000
CHANGE_MIN = 10_000
"""Zatoshi that the change holds at least: the baton must be an output that is relayed."""

TRANSACTION_VERSION = 1
_INPUT_SIZE_UNSIGNED = 32 + 4 + 1 + 4
SIGNATURE_SIZE_MAX = 73
"""Bytes of a pushed signature: strict DER with low S, the hash type, the push."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part of a list that one transaction pays."""

    mark: PaymentMark
    entries: tuple[Entry, ...]

    @property
    def total(self) -> Zatoshi:
        """What its entries add up to."""
        return Zatoshi(sum(entry.amount for entry in self.entries))


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output of the treasury. `height` is that of its block, None while it is not mined."""

    outpoint: OutPoint
    amount: int
    height: int | None


def chunk_count(header: ListHeader) -> int:
    """Return how many transactions a list is paid with; none when a response is worth nothing."""
    return -(-header.entries_count // ENTRIES_MAX) if header.per_response else 0


def split_chunks(verified: VerifiedList) -> tuple[Chunk, ...]:
    """Return the chunks of a list, in order. Together they pay every entry exactly once."""
    return tuple(
        Chunk(
            PaymentMark(verified.list_hash, number),
            verified.entries[number * ENTRIES_MAX : (number + 1) * ENTRIES_MAX],
        )
        for number in range(chunk_count(verified.header))
    )


def next_chunk(verified: VerifiedList, trail: BatonTrail) -> Chunk | None:
    """Return the chunk that must be paid next, None when the whole list is paid.

    Raises `InvalidPayment` when the list before is not wholly paid, or when what was paid
    of this one differs from it.
    """
    _check_previous_paid(verified, trail)
    chunks = split_chunks(verified)
    paid = trail.chunks_of(verified.list_hash)
    if len(paid) > len(chunks):
        raise InvalidPayment(
            f"{len(paid)} payments along the baton carry this list's mark, it has {len(chunks)}"
        )
    for chunk, payment in zip(chunks, paid, strict=False):
        if payment.mark != chunk.mark:
            raise InvalidPayment(
                f"chunk {payment.mark.chunk} was paid where chunk {chunk.mark.chunk} came next"
            )
        check_entry_outputs(payment.transaction.outputs, chunk)
    return chunks[len(paid)] if len(paid) < len(chunks) else None


def _check_previous_paid(verified: VerifiedList, trail: BatonTrail) -> None:
    """Raise `InvalidPayment` unless every chunk of the list before stands along the baton."""
    last = verified.trust.last
    if last is None:
        return
    numbers = [payment.mark.chunk for payment in trail.chunks_of(verified.header.previous)]
    if numbers != list(range(chunk_count(last))):
        raise InvalidPayment(
            f"the list of period {last.period} comes first: {len(numbers)} of its {chunk_count(last)} "
            "payments are mined"
        )


def check_entry_outputs(outputs: Sequence[TxOutput], chunk: Chunk) -> None:
    """Raise `InvalidPayment` unless the outputs after mark and change pay the chunk's entries, in order.

    Scripts are compared by address: the replay tail of a mined payment is its own business.
    """
    paid = [(script_address(output.script), output.amount) for output in outputs[2:]]
    wanted = [(entry.address, entry.amount) for entry in chunk.entries]
    if paid != wanted:
        raise InvalidPayment(
            f"a payment along the baton carries the mark of chunk {chunk.mark.chunk} "
            "and does not pay its entries"
        )


def payment_outputs(chunk: Chunk, genesis: Genesis, change: int, tail: bytes = b"") -> tuple[TxOutput, ...]:
    """Return the one list of outputs that pays a chunk: mark, change, then its entries.

    The change comes before the entries, so that it is the first output to the treasury and
    thereby the next baton. `tail` is appended to every script on chains with replay tails.
    """
    mark = TxOutput(0, payment_mark_script(chunk.mark) + tail)
    own = TxOutput(change, address_script(treasury_address(genesis.treasury)) + tail)
    return (mark, own, *(TxOutput(e.amount, address_script(e.address) + tail) for e in chunk.entries))


def build_payment(
    chunk: Chunk,
    genesis: Genesis,
    baton: Coin,
    others: Iterable[Coin],
    *,
    tip_height: int,
    fee_rate: int = FEE_RATE_DEFAULT,
    tail: bytes = b"",
) -> Transaction:
    """Return the unsigned transaction that pays a chunk, spending the baton first.

    Further coins are taken, the largest first, up to `INPUTS_MAX` inputs, so that the treasury's
    small outputs do not pile up. `fee_rate` is in zatoshi for 1,000 bytes. Raises `RequestError`
    when the treasury cannot pay.
    """
    outputs = payment_outputs(chunk, genesis, 0, tail)
    usable = _usable(others, genesis, baton.outpoint, tip_height, fee_rate)
    usable.sort(key=lambda coin: (-coin.amount, coin.outpoint.txid, coin.outpoint.index))
    room = inputs_that_fit(outputs, genesis) - 1
    coins = [baton, *usable[: min(room, INPUTS_MAX - 1)]]
    fee = fee_of(_unsigned(coins, outputs), genesis, fee_rate)
    held = sum(coin.amount for coin in coins)
    change = held - chunk.total - fee
    if change < CHANGE_MIN:
        raise RequestError(
            f"the treasury is short of {format_amount(CHANGE_MIN - change)}: its {len(coins)} spendable "
            f"outputs hold {format_amount(held)}, chunk {chunk.mark.chunk} takes "
            f"{format_amount(chunk.total + fee + CHANGE_MIN)} with fee and change"
        )
    return _unsigned(coins, payment_outputs(chunk, genesis, change, tail))


def build_gathering(
    genesis: Genesis,
    baton: OutPoint,
    coins: Iterable[Coin],
    *,
    tip_height: int,
    fee_rate: int = FEE_RATE_DEFAULT,
    tail: bytes = b"",
) -> Transaction:
    """Return the unsigned transaction that gathers the treasury's smallest outputs into one.

    It leaves the baton alone and pays nobody but the treasury. Raises `RequestError` when
    there is nothing to gather.
    """
    usable = _usable(coins, genesis, baton, tip_height, fee_rate)
    usable.sort(key=lambda coin: (coin.amount, coin.outpoint.txid, coin.outpoint.index))
    outputs = gathering_outputs(genesis, 0, tail)
    chosen = usable[: min(GATHERED_MAX, inputs_that_fit(outputs, genesis))]
    if len(chosen) < 2:
        raise RequestError(
            f"{len(chosen)} spendable outputs of the treasury beside the baton: nothing to gather"
        )
    amount = sum(coin.amount for coin in chosen) - fee_of(_unsigned(chosen, outputs), genesis, fee_rate)
    if amount < CHANGE_MIN:
        raise RequestError(f"gathering {len(chosen)} outputs would leave only {format_amount(amount)}")
    return _unsigned(chosen, gathering_outputs(genesis, amount, tail))


def gathering_outputs(genesis: Genesis, amount: int, tail: bytes = b"") -> tuple[TxOutput, ...]:
    """Return the one output of a gathering transaction."""
    return (TxOutput(amount, address_script(treasury_address(genesis.treasury)) + tail),)


def is_spendable(coin: Coin, genesis: Genesis, tip_height: int) -> bool:
    """Whether a coin is buried, and mature should it be a coinbase's."""
    depth = max(genesis.parameters.burial, genesis.chain.coinbase_maturity)
    return coin.height is not None and tip_height - coin.height >= depth


def signed_size(transaction: Transaction, genesis: Genesis) -> int:
    """Return the bytes that an unsigned transaction of the treasury has at most when it is signed."""
    return len(transaction.raw) + len(transaction.inputs) * (input_size(genesis) - _INPUT_SIZE_UNSIGNED)


def fee_of(transaction: Transaction, genesis: Genesis, fee_rate: int) -> int:
    """Return the fee of an unsigned transaction at a rate in zatoshi for 1,000 bytes, rounded up."""
    return -(-signed_size(transaction, genesis) * fee_rate // 1_000)


def size_limit(rules: ChainRules) -> int:
    """Return the bytes that a signed transaction of the treasury may have at most."""
    return min(PAYMENT_SIZE_MAX - 1, rules.transaction_size_max)


def base_size(outputs: tuple[TxOutput, ...]) -> int:
    """Return the bytes of a transaction with these outputs and no inputs; up to 252 add only their own."""
    return len(_unsigned((), outputs).raw)


def input_size(genesis: Genesis) -> int:
    """Return the bytes of one signed input of the treasury, at most."""
    script = (
        1 + genesis.treasury.required * SIGNATURE_SIZE_MAX + len(push_data(redeem_script(genesis.treasury)))
    )
    return _INPUT_SIZE_UNSIGNED - 1 + len(compact_size(script)) + script


def inputs_that_fit(outputs: tuple[TxOutput, ...], genesis: Genesis) -> int:
    """Return how many signed inputs fit beside the outputs; raises `RequestError` if not even one does."""
    # Up to 252 inputs are counted in one byte, more in three.
    room = size_limit(genesis.chain) - base_size(outputs) - 2
    count = room // input_size(genesis)
    if count < 1:
        raise RequestError(f"{len(outputs)} outputs leave no room for an input")
    return count


def _usable(
    coins: Iterable[Coin], genesis: Genesis, baton: OutPoint, tip_height: int, fee_rate: int
) -> list[Coin]:
    """Return the coins beside the baton that may be spent and are worth more than spending them costs."""
    cost = input_size(genesis) * fee_rate // 1_000
    return [
        coin
        for coin in coins
        if coin.outpoint != baton and is_spendable(coin, genesis, tip_height) and coin.amount > cost
    ]


def _unsigned(coins: Iterable[Coin], outputs: tuple[TxOutput, ...]) -> Transaction:
    return Transaction(TRANSACTION_VERSION, tuple(TxInput(coin.outpoint) for coin in coins), outputs)
