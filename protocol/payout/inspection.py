"""What a paymaster's tool checks before it signs, against its own node and nobody else.

Answers for: a transaction that passes pays exactly one chunk of a certified list, the
one whose turn it is, out of the treasury's own outputs, spends the baton, returns the
rest to the treasury, and costs a bounded fee. A signature does not commit to the
amounts that are spent, so whoever signs what it is handed cannot know the fee: every
previous output is looked up in the signer's own node. Spec: `spec/payment.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.chain.encoding import display_hash
from protocol.chain.script import ReplayTail, match_template, replay_tail, script_address
from protocol.chain.transaction import SEQUENCE_FINAL, OutPoint, Transaction, TxOutput
from protocol.errors import InvalidPayment
from protocol.genesis import Genesis
from protocol.payout.light import VerifiedList
from protocol.payout.need import check_rest_funded, make_purse
from protocol.payout.payment import (
    CHANGE_MIN,
    FEE_RATE_MAX,
    GATHERED_MAX,
    INPUTS_MAX,
    TRANSACTION_VERSION,
    Chunk,
    Coin,
    chunk_count,
    fee_of,
    gathering_outputs,
    is_spendable,
    next_chunk,
    payment_outputs,
    signed_size,
    size_limit,
    split_chunks,
)
from protocol.payout.treasury import BatonTrail, recognise_payment, treasury_address
from protocol.units import Zatoshi, format_amount


@dataclass(frozen=True, slots=True)
class Prevout:
    """An output as our own node knows it. `height` is None while it is not mined."""

    amount: int
    script: bytes
    height: int | None
    spent_by: bytes | None
    """The mined transaction that spends it."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What our own node says about one transaction's surroundings.

    `tail_block` is the hash, on our chain, of the block whose height the outputs' replay tails
    name; None where the chain has no such tails.
    """

    tip_height: int
    prevouts: Mapping[OutPoint, Prevout]
    trail: BatonTrail
    tail_block: bytes | None = None
    coins: tuple[Coin, ...] = ()
    """The treasury's unspent outputs; asked for only where the first of several payments is judged."""


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """What a transaction that passed does. Amounts are zatoshi, sizes bytes when signed."""

    chunk: int | None
    """None for a gathering, which pays nobody."""
    chunks: int
    entries: int
    paid: Zatoshi
    inputs: int
    inputs_total: Zatoshi
    change: Zatoshi
    fee: Zatoshi
    size: int


def inspect_payment(transaction: Transaction, verified: VerifiedList, view: NodeView) -> PaymentReport:
    """Return what an unsigned payment does; raises `InvalidPayment` unless it may be signed."""
    genesis = verified.genesis
    _check_form(transaction, INPUTS_MAX)
    chunk = _check_mark(transaction, verified, view.trail)
    if transaction.inputs[0].previous != view.trail.baton:
        raise InvalidPayment(f"the first input must spend the baton, {_name(view.trail.baton)}")
    coins = _own_coins(transaction, genesis, view)
    change = transaction.outputs[1].amount if len(transaction.outputs) > 1 else 0
    tail = _check_tail(transaction, genesis, view)
    _check_outputs(transaction, payment_outputs(chunk, genesis, change, tail))
    fee = _check_fee(transaction, genesis, coins, change)
    if chunk.mark.chunk == 0:
        _check_rest(transaction, verified, view, tail)
    return PaymentReport(
        chunk=chunk.mark.chunk,
        chunks=chunk_count(verified.header),
        entries=len(chunk.entries),
        paid=chunk.total,
        inputs=len(coins),
        inputs_total=Zatoshi(sum(coin.amount for coin in coins)),
        change=Zatoshi(change),
        fee=fee,
        size=signed_size(transaction, genesis),
    )


def inspect_gathering(transaction: Transaction, genesis: Genesis, view: NodeView) -> PaymentReport:
    """Return what an unsigned gathering does; raises `InvalidPayment` unless it may be signed."""
    _check_form(transaction, GATHERED_MAX)
    if any(spent.previous == view.trail.baton for spent in transaction.inputs):
        raise InvalidPayment("a transaction that pays no list must not spend the baton")
    coins = _own_coins(transaction, genesis, view)
    change = transaction.outputs[0].amount
    tail = _check_tail(transaction, genesis, view)
    _check_outputs(transaction, gathering_outputs(genesis, change, tail))
    fee = _check_fee(transaction, genesis, coins, change)
    return PaymentReport(
        chunk=None,
        chunks=0,
        entries=0,
        paid=Zatoshi(0),
        inputs=len(coins),
        inputs_total=Zatoshi(sum(coin.amount for coin in coins)),
        change=Zatoshi(change),
        fee=fee,
        size=signed_size(transaction, genesis),
    )


def tail_of(transaction: Transaction) -> ReplayTail | None:
    """Return the replay tail of a transaction's first output, if it has one."""
    return match_template(transaction.outputs[0].script).tail if transaction.outputs else None


def _check_form(transaction: Transaction, inputs_max: int) -> None:
    """Raise `InvalidPayment` for anything that no payment of ours has."""
    if not transaction.outputs or not 0 < len(transaction.inputs) <= inputs_max:
        raise InvalidPayment(f"{len(transaction.inputs)} inputs, from 1 to {inputs_max} allowed")
    plain = (TRANSACTION_VERSION, 0, None, b"")
    head = (transaction.version, transaction.lock_time, transaction.version_group, transaction.trailer)
    if head != plain or any(spent.sequence != SEQUENCE_FINAL for spent in transaction.inputs):
        raise InvalidPayment("a payment has version 1, no lock time and final sequence numbers")
    if transaction.witness or any(spent.script_sig for spent in transaction.inputs):
        raise InvalidPayment("a payment is handed on unsigned, signatures beside it")
    if len({spent.previous for spent in transaction.inputs}) != len(transaction.inputs):
        raise InvalidPayment("the payment spends one output twice")


def _check_mark(transaction: Transaction, verified: VerifiedList, trail: BatonTrail) -> Chunk:
    """Return the chunk that the transaction pays; raises `InvalidPayment` unless it is its turn."""
    mark = recognise_payment(transaction)
    if mark is None:
        raise InvalidPayment("the first output does not carry the mark of a payment")
    if mark.list_hash != verified.list_hash:
        raise InvalidPayment(
            f"the payment is for list {mark.list_hash.hex()}, the verified list is {verified.list_hash.hex()}"
        )
    chunk = next_chunk(verified, trail)
    for paid in trail.chunks_of(verified.list_hash):
        if paid.mark == mark:
            raise InvalidPayment(
                f"chunk {mark.chunk} of this list is paid already, by transaction "
                f"{display_hash(paid.transaction.txid)}"
            )
    if chunk is None:
        raise InvalidPayment("every chunk of this list is paid already")
    if mark != chunk.mark:
        raise InvalidPayment(f"the payment is for chunk {mark.chunk}, chunk {chunk.mark.chunk} comes next")
    return chunk


def _check_rest(transaction: Transaction, verified: VerifiedList, view: NodeView, tail: bytes) -> None:
    """Raise `InvalidPayment` when a list's first payment leaves too little for the others.

    Later payments are not held back so: what has begun must be payable as soon as there is money.
    """
    rest = split_chunks(verified)[1:]
    if not rest:
        return
    gone = {spent.previous for spent in transaction.inputs}
    change = Coin(OutPoint(transaction.txid, 1), transaction.outputs[1].amount, None)
    left = (coin for coin in view.coins if coin.outpoint not in gone)
    purse = make_purse(change, left, verified.genesis, view.tip_height)
    check_rest_funded(rest, verified.genesis, purse, tail)


def _own_coins(transaction: Transaction, genesis: Genesis, view: NodeView) -> list[Coin]:
    """Return what the inputs spend, as our own node knows it; raises `InvalidPayment`."""
    return [_own_coin(index, spent.previous, genesis, view) for index, spent in enumerate(transaction.inputs)]


def _own_coin(index: int, outpoint: OutPoint, genesis: Genesis, view: NodeView) -> Coin:
    prevout = view.prevouts.get(outpoint)
    where = f"input {index} spends {_name(outpoint)}, which"
    if prevout is None:
        raise InvalidPayment(f"{where} our node does not know")
    if script_address(prevout.script) != treasury_address(genesis.treasury):
        raise InvalidPayment(f"{where} is not the treasury's")
    if prevout.spent_by is not None:
        raise InvalidPayment(f"{where} is spent already, by transaction {display_hash(prevout.spent_by)}")
    coin = Coin(outpoint, prevout.amount, prevout.height)
    if outpoint != view.trail.baton and not is_spendable(coin, genesis, view.tip_height):
        raise InvalidPayment(f"{where} is not buried deep enough")
    return coin


def _check_tail(transaction: Transaction, genesis: Genesis, view: NodeView) -> bytes:
    """Return the replay tail that every output must carry; raises `InvalidPayment` for a wrong one.

    An output whose tail names a block that is not on the chain can never be spent.
    """
    tail = tail_of(transaction)
    if bool(tail) != bool(genesis.chain.replay_tail_depth):
        raise InvalidPayment("the outputs' replay tails are not as this chain demands")
    if tail is None:
        return b""
    if tail.block_hash != view.tail_block:
        raise InvalidPayment(f"the outputs' replay tails name a block {tail.height} that is not on our chain")
    return replay_tail(tail.block_hash, tail.height)


def _check_outputs(transaction: Transaction, expected: tuple[TxOutput, ...]) -> None:
    """Raise `InvalidPayment` unless the outputs are exactly those expected."""
    if len(transaction.outputs) != len(expected):
        raise InvalidPayment(f"{len(transaction.outputs)} outputs, the list asks for {len(expected)}")
    for index, (output, wanted) in enumerate(zip(transaction.outputs, expected, strict=True)):
        if output.script != wanted.script:
            raise InvalidPayment(f"output {index} does not pay to whom the list says")
        if output.amount != wanted.amount:
            raise InvalidPayment(
                f"output {index} pays {format_amount(output.amount)}, "
                f"the list says {format_amount(wanted.amount)}"
            )


def _check_fee(transaction: Transaction, genesis: Genesis, coins: list[Coin], change: int) -> Zatoshi:
    """Return the fee; raises `InvalidPayment` when fee, change or size are out of bounds."""
    fee = sum(coin.amount for coin in coins) - sum(output.amount for output in transaction.outputs)
    highest = fee_of(transaction, genesis, FEE_RATE_MAX)
    if not 0 <= fee <= highest:
        raise InvalidPayment(f"the fee is {format_amount(fee)}, from 0 to {format_amount(highest)} allowed")
    if change < CHANGE_MIN:
        raise InvalidPayment(
            f"the change is {format_amount(change)}, at least {format_amount(CHANGE_MIN)} wanted"
        )
    if signed_size(transaction, genesis) > size_limit(genesis.chain):
        raise InvalidPayment(
            f"signed it would have {signed_size(transaction, genesis)} bytes, too many to be relayed"
        )
    return Zatoshi(fee)


def _name(outpoint: OutPoint) -> str:
    """Show an outpoint as every wallet does."""
    return f"{display_hash(outpoint.txid)}:{outpoint.index}"
