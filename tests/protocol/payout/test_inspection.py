"""What a paymaster's tool refuses to sign, each by a clear sentence."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.chain.script import address_script, replay_tail
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidPayment
from protocol.payout.inspection import (
    NodeView,
    PaymentReport,
    inspect_gathering,
    inspect_payment,
    tail_of,
)
from protocol.payout.payment import (
    CHANGE_MIN,
    FEE_RATE_MAX,
    build_gathering,
    build_payment,
    fee_of,
    next_chunk,
    payment_outputs,
    split_chunks,
)
from protocol.payout.treasury import PaymentMark, payment_mark_script
from protocol.units import COIN
from tests.support.payout_world import devnet_world, hash_of, many_entries_world, verified_first
from tests.support.treasury_ledger import TreasuryLedger, block_of

VERIFIED = verified_first(devnet_world())
GENESIS = VERIFIED.genesis
STRANGER = address_script(b"\x00" + b"\x55" * 20)


def ledger_with(coins: int = 3) -> TreasuryLedger:
    ledger = TreasuryLedger(GENESIS)
    for number in range(coins):
        ledger.fund(COIN * (number + 1))
    return ledger


def payment_of(ledger: TreasuryLedger, fee_rate: int = 1_000) -> Transaction:
    chunk = next_chunk(VERIFIED, ledger.trail())
    assert chunk is not None
    return build_payment(
        chunk, GENESIS, ledger.baton(), ledger.unspent(), tip_height=ledger.tip_height, fee_rate=fee_rate
    )


LEDGER = ledger_with()
PAYMENT = payment_of(LEDGER)


def inspect(transaction: Transaction, ledger: TreasuryLedger = LEDGER) -> PaymentReport:
    return inspect_payment(transaction, VERIFIED, ledger.view(transaction))


def refused(transaction: Transaction, sentence: str, ledger: TreasuryLedger = LEDGER) -> None:
    with pytest.raises(InvalidPayment, match=sentence) as caught:
        inspect(transaction, ledger)
    assert "\n" not in str(caught.value)


def with_output(at: int, output: TxOutput) -> Transaction:
    return replace(PAYMENT, outputs=(*PAYMENT.outputs[:at], output, *PAYMENT.outputs[at + 1 :]))


def test_our_own_payment_passes_and_is_reported() -> None:
    report = inspect(PAYMENT)
    held = 1_006 * COIN
    assert (report.chunk, report.chunks, report.entries, report.inputs) == (0, 1, 4, 4)
    assert (report.paid, report.inputs_total) == (VERIFIED.header.paid_total, held)
    assert report.change + report.paid + report.fee == held
    assert report.fee == fee_of(PAYMENT, GENESIS, 1_000)


@pytest.mark.parametrize("fee_rate", [0, 1, FEE_RATE_MAX])
def test_fees_up_to_the_bound_pass(fee_rate: int) -> None:
    transaction = payment_of(LEDGER, fee_rate)
    assert inspect(transaction).fee == fee_of(transaction, GENESIS, fee_rate)


def test_a_higher_fee_is_refused() -> None:
    """Somebody who cannot take the money could still burn it."""
    refused(payment_of(LEDGER, FEE_RATE_MAX + 1), "the fee is 0.00168802, from 0 to 0.00168800 allowed")


def test_paying_more_than_is_spent_is_refused() -> None:
    change = PAYMENT.outputs[1]
    refused(with_output(1, replace(change, amount=change.amount + COIN)), "the fee is -0.9999")


@pytest.mark.parametrize("at", range(2, 6))
def test_another_amount_is_refused(at: int) -> None:
    output = PAYMENT.outputs[at]
    refused(
        with_output(at, replace(output, amount=output.amount + 1)),
        f"output {at} pays 2.62500001, the list says 2.62500000",
    )


@pytest.mark.parametrize("at", range(1, 6))
def test_another_recipient_is_refused(at: int) -> None:
    refused(
        with_output(at, replace(PAYMENT.outputs[at], script=STRANGER)), f"output {at} does not pay to whom"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda o: (*o, TxOutput(1, STRANGER)), "7 outputs, the list asks for 6"),
        (lambda o: o[:-1], "5 outputs, the list asks for 6"),
        (lambda o: o[:1], "1 outputs, the list asks for 6"),
        (lambda o: (*o[:2], o[3], o[2], *o[4:]), "output 2 does not pay to whom the list says"),
        (lambda o: (o[0], *o[2:], o[1]), "output 1 does not pay to whom the list says"),
        (lambda o: (*o[1:], o[0]), "the first output does not carry the mark"),
        (lambda o: (replace(o[0], amount=5), *o[1:]), "output 0 pays 0.00000005, the list says 0.00000000"),
    ],
)
def test_other_outputs_are_refused(
    change: Callable[[tuple[TxOutput, ...]], tuple[TxOutput, ...]], sentence: str
) -> None:
    refused(replace(PAYMENT, outputs=change(PAYMENT.outputs)), sentence)


def test_change_that_no_node_would_relay_is_refused() -> None:
    chunk = split_chunks(VERIFIED)[0]
    ledger = TreasuryLedger(GENESIS, baton_amount=chunk.total + 5_000)
    transaction = Transaction(1, (TxInput(ledger.trail().baton),), payment_outputs(chunk, GENESIS, 4_000))
    refused(transaction, "the change is 0.00004000, at least 0.00010000 wanted", ledger)


def test_change_that_is_just_relayed_passes() -> None:
    chunk = split_chunks(VERIFIED)[0]
    ledger = TreasuryLedger(GENESIS, baton_amount=chunk.total + CHANGE_MIN)
    outputs = payment_outputs(chunk, GENESIS, CHANGE_MIN)
    transaction = Transaction(1, (TxInput(ledger.trail().baton),), outputs)
    assert inspect(transaction, ledger).change == CHANGE_MIN


def test_a_payment_too_large_to_be_relayed_is_refused() -> None:
    """The builder keeps below the limit; whoever builds by hand is stopped here."""
    large = verified_first(many_entries_world(998))
    chunk = split_chunks(large)[0]
    ledger = TreasuryLedger(large.genesis)
    transaction = build_payment(chunk, large.genesis, ledger.baton(), (), tip_height=500)
    view = ledger.view(transaction)
    size = inspect_payment(transaction, large, view).size
    for limit, passes in ((size, True), (size - 1, False)):
        chain = replace_fields(large.genesis.chain, transaction_size_max=limit)
        genesis = replace_fields(large.genesis, chain=chain)
        terms = replace(large.trust.terms, genesis=genesis)
        verified = replace(large, trust=replace(large.trust, terms=terms))
        if passes:
            assert inspect_payment(transaction, verified, view).size == size
        else:
            with pytest.raises(InvalidPayment, match=f"signed it would have {size} bytes"):
                inspect_payment(transaction, verified, view)


def test_another_list_is_refused() -> None:
    mark = TxOutput(0, payment_mark_script(PaymentMark(hash_of(b"list"), 0)))
    refused(with_output(0, mark), f"the verified list is {VERIFIED.list_hash.hex()}")


def test_another_chunk_is_refused() -> None:
    mark = TxOutput(0, payment_mark_script(PaymentMark(VERIFIED.list_hash, 1)))
    refused(with_output(0, mark), "the payment is for chunk 1, chunk 0 comes next")


def test_a_second_payment_of_a_list_is_refused() -> None:
    """A copy that spends the new baton pays nobody twice: the mined one is on the trail."""
    ledger = ledger_with()
    ledger.mine(payment_of(ledger))
    again = replace(PAYMENT, inputs=(TxInput(ledger.trail().baton),))
    first = ledger.trail().paid[0].transaction.txid[::-1].hex()
    refused(again, f"chunk 0 of this list is paid already, by transaction {first}", ledger)


def test_a_payment_past_the_baton_is_refused() -> None:
    turned = replace(PAYMENT, inputs=(*PAYMENT.inputs[1:], PAYMENT.inputs[0]))
    refused(turned, "the first input must spend the baton, [0-9a-f]{64}:0")
    refused(replace(PAYMENT, inputs=PAYMENT.inputs[1:]), "the first input must spend the baton")


def test_inputs_that_our_node_does_not_know_are_refused() -> None:
    foreign = TxInput(OutPoint(hash_of(b"unknown"), 3))
    refused(
        replace(PAYMENT, inputs=(*PAYMENT.inputs, foreign)),
        r"input 4 spends [0-9a-f]{64}:3, which our node does",
    )


def test_inputs_of_others_are_refused() -> None:
    ledger = ledger_with()
    outpoint = OutPoint(hash_of(b"stranger"), 0)
    ledger.outputs[outpoint] = (TxOutput(COIN, STRANGER), 10)
    transaction = replace(PAYMENT, inputs=(*PAYMENT.inputs, TxInput(outpoint)))
    refused(transaction, "which is not the treasury's", ledger)


def test_spent_and_unburied_inputs_are_refused() -> None:
    ledger = ledger_with()
    spent, young = ledger.fund(COIN), ledger.fund(COIN, height=450)
    ledger.spenders[spent] = PAYMENT
    refused(replace(PAYMENT, inputs=(*PAYMENT.inputs, TxInput(spent))), "which is spent already", ledger)
    refused(replace(PAYMENT, inputs=(*PAYMENT.inputs, TxInput(young))), "is not buried deep enough", ledger)


def test_a_spent_baton_is_refused() -> None:
    """The node's view may be older than its trail by a block: then the prevout says so."""
    view = LEDGER.view(PAYMENT)
    baton = LEDGER.trail().baton
    stale = {**view.prevouts, baton: replace(view.prevouts[baton], spent_by=hash_of(b"other"))}
    with pytest.raises(InvalidPayment, match="which is spent already"):
        inspect_payment(PAYMENT, VERIFIED, replace(view, prevouts=stale))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 2}, "has version 1, no lock time"),
        ({"lock_time": 1}, "has version 1, no lock time"),
        ({"inputs": (TxInput(PAYMENT.inputs[0].previous, sequence=0),)}, "final sequence numbers"),
        ({"inputs": (TxInput(PAYMENT.inputs[0].previous, script_sig=b"\x00"),)}, "handed on unsigned"),
        ({"witness": ((b"\x00",),) * len(PAYMENT.inputs)}, "handed on unsigned"),
        ({"inputs": PAYMENT.inputs * 2}, "spends one output twice"),
        ({"inputs": ()}, "0 inputs, from 1 to 50 allowed"),
        ({"inputs": PAYMENT.inputs * 13}, "52 inputs, from 1 to 50 allowed"),
        ({"outputs": ()}, "4 inputs, from 1 to 50 allowed"),
    ],
)
def test_other_forms_are_refused(changes: dict[str, object], sentence: str) -> None:
    refused(replace(PAYMENT, **changes), sentence)  # type: ignore[arg-type]


def test_amounts_come_from_our_own_node_only() -> None:
    """The transaction does not carry the spent amounts: another amount is another fee, and it shows."""
    view = LEDGER.view(PAYMENT)
    last = PAYMENT.inputs[-1].previous
    richer = {**view.prevouts, last: replace(view.prevouts[last], amount=2 * COIN)}
    with pytest.raises(InvalidPayment, match="the fee is 1.0000"):
        inspect_payment(PAYMENT, VERIFIED, replace(view, prevouts=richer))


def test_a_payment_of_a_later_chunk_waits_for_the_earlier() -> None:
    large = verified_first(many_entries_world(1_000))
    ledger = TreasuryLedger(large.genesis)
    first, second = split_chunks(large)
    transaction = build_payment(second, large.genesis, ledger.baton(), (), tip_height=500)
    with pytest.raises(InvalidPayment, match="the payment is for chunk 1, chunk 0 comes next"):
        inspect_payment(transaction, large, ledger.view(transaction))
    ledger.mine(build_payment(first, large.genesis, ledger.baton(), (), tip_height=500))
    transaction = build_payment(second, large.genesis, ledger.baton(), (), tip_height=501)
    assert inspect_payment(transaction, large, ledger.view(transaction)).entries == 2


def gathering(ledger: TreasuryLedger = LEDGER) -> Transaction:
    return build_gathering(GENESIS, ledger.trail().baton, ledger.unspent(), tip_height=ledger.tip_height)


def test_a_gathering_passes_and_pays_nobody() -> None:
    transaction = gathering()
    report = inspect_gathering(transaction, GENESIS, LEDGER.view(transaction))
    assert (report.chunk, report.paid, report.entries) == (None, 0, 0)
    assert report.change + report.fee == report.inputs_total == 6 * COIN


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: replace(t, outputs=(replace(t.outputs[0], script=STRANGER),)), "output 0 does not pay"),
        (lambda t: replace(t, outputs=(*t.outputs, TxOutput(1, STRANGER))), "2 outputs, the list asks for 1"),
        (
            lambda t: replace(t, outputs=(replace(t.outputs[0], amount=COIN),)),
            "the fee is 5.00000000",
        ),
        (lambda t: replace(t, inputs=(PAYMENT.inputs[0], *t.inputs[1:])), "must not spend the baton"),
    ],
)
def test_a_gathering_that_does_more_is_refused(
    change: Callable[[Transaction], Transaction], sentence: str
) -> None:
    transaction = change(gathering())
    with pytest.raises(InvalidPayment, match=sentence):
        inspect_gathering(transaction, GENESIS, LEDGER.view(transaction))


TAILED = replace_fields(GENESIS, chain=replace_fields(GENESIS.chain, replay_tail_depth=300))


def tailed(tail: bytes) -> tuple[Transaction, NodeView]:
    """Return a payment on a chain with replay tails; only the genesis file differs."""
    ledger = ledger_with()
    transaction = build_payment(
        split_chunks(VERIFIED)[0], TAILED, ledger.baton(), ledger.unspent(), tip_height=500, tail=tail
    )
    return transaction, ledger.view(transaction)


def inspect_tailed(transaction: Transaction, view: NodeView) -> PaymentReport:
    terms = replace(VERIFIED.trust.terms, genesis=TAILED)
    verified = replace(VERIFIED, trust=replace(VERIFIED.trust, terms=terms))
    return inspect_payment(transaction, verified, view)


def test_replay_tails_are_checked_against_our_own_chain() -> None:
    """An output whose tail names a block that is not on the chain could never be spent."""
    transaction, view = tailed(replay_tail(block_of(200), 200))
    found = tail_of(transaction)
    assert found is not None and found.height == 200
    assert inspect_tailed(transaction, view).entries == 4
    wrong, view = tailed(replay_tail(hash_of(b"elsewhere"), 200))
    with pytest.raises(InvalidPayment, match="name a block 200 that is not on our chain"):
        inspect_tailed(wrong, view)


def test_replay_tails_stand_where_the_chain_demands_and_only_there() -> None:
    transaction, view = tailed(b"")
    with pytest.raises(InvalidPayment, match="not as this chain demands"):
        inspect_tailed(transaction, view)
    transaction, view = tailed(replay_tail(block_of(200), 200))
    with pytest.raises(InvalidPayment, match="not as this chain demands"):
        inspect_payment(transaction, VERIFIED, view)


def test_one_output_with_another_tail_is_refused() -> None:
    transaction, view = tailed(replay_tail(block_of(200), 200))
    bare = replace(transaction.outputs[3], script=address_script(VERIFIED.entries[1].address))
    mixed = replace(transaction, outputs=(*transaction.outputs[:3], bare, *transaction.outputs[4:]))
    with pytest.raises(InvalidPayment, match="output 3 does not pay to whom"):
        inspect_tailed(mixed, view)
