"""The treasury's address, the mark of a payment, and where the baton goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import rules
from protocol.chain.address import encode_address
from protocol.chain.script import address_script, null_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.crypto import hash160
from protocol.errors import InvalidPayment
from protocol.payout import treasury
from protocol.payout.treasury import (
    PAYMENT_MAGIC,
    PaymentMark,
    baton_after,
    follow_baton,
    payment_mark_script,
    recognise_payment,
    redeem_script,
    treasury_address,
)
from protocol.units import Hash32
from tests.support.payout_world import TREASURY, hash_of, make_genesis
from tests.support.treasury_ledger import TreasuryLedger

STRANGER = b"\x00" + b"\x55" * 20


def spend(ledger: TreasuryLedger, outpoint: OutPoint, *outputs: TxOutput) -> Transaction:
    transaction = Transaction(1, (TxInput(outpoint),), outputs)
    ledger.mine(transaction)
    return transaction


def test_the_treasury_is_a_p2sh_address_of_its_keys_in_their_order() -> None:
    script = redeem_script(TREASURY)
    assert script[0] == 0x52 and script[-2:] == b"\x55\xae"
    assert script[1:-2] == b"".join(b"\x21" + key for key in TREASURY.public_keys)
    assert treasury_address(TREASURY) == b"\x01" + hash160(script)
    assert encode_address(treasury_address(TREASURY), rules.DEVNET.prefixes).startswith("zp")


@given(st.binary(min_size=32, max_size=32), st.integers(0, 0xFFFF))
def test_a_mark_is_read_as_it_was_written(list_hash: bytes, chunk: int) -> None:
    mark = PaymentMark(Hash32(list_hash), chunk)
    script = payment_mark_script(mark)
    assert script == b"\x6a\x27" + PAYMENT_MAGIC + list_hash + chunk.to_bytes(2, "big")
    assert recognise_payment(Transaction(1, (), (TxOutput(0, script),))) == mark


@pytest.mark.parametrize(
    "script",
    [
        b"",
        address_script(STRANGER),
        null_data(b"zp2p\x01" + bytes(34)),
        null_data(b"zp2q\x02" + bytes(34)),
        null_data(PAYMENT_MAGIC + bytes(33)),
        null_data(PAYMENT_MAGIC + bytes(35)),
        payment_mark_script(PaymentMark(hash_of(b"list"), 1)) + b"\x00",
    ],
)
def test_anything_else_is_no_mark(script: bytes) -> None:
    assert recognise_payment(Transaction(1, (), (TxOutput(0, script),))) is None


def test_a_mark_counts_in_the_first_output_only() -> None:
    mark = TxOutput(0, payment_mark_script(PaymentMark(hash_of(b"list"), 0)))
    assert recognise_payment(Transaction(1, (), (TxOutput(1, address_script(STRANGER)), mark))) is None
    assert recognise_payment(Transaction(1, (), ())) is None


def test_the_baton_is_the_first_output_to_the_treasury() -> None:
    ledger = TreasuryLedger(make_genesis())
    stranger = TxOutput(1, address_script(STRANGER))
    transaction = Transaction(1, (), (stranger, ledger.own_output(5), ledger.own_output(9)))
    assert baton_after(transaction, treasury_address(TREASURY)) == OutPoint(transaction.txid, 1)
    assert baton_after(Transaction(1, (), (stranger,)), treasury_address(TREASURY)) is None


def test_an_unspent_baton_stays_where_genesis_put_it() -> None:
    ledger = TreasuryLedger(make_genesis())
    trail = ledger.trail()
    assert trail.baton == OutPoint(ledger.genesis.baton.txid, ledger.genesis.baton.index)
    assert trail.paid == ()


def test_the_trail_goes_through_payments_and_whatever_else_spent_it() -> None:
    ledger = TreasuryLedger(make_genesis())
    first, second = (PaymentMark(hash_of(b"list"), number) for number in range(2))
    one = spend(ledger, ledger.trail().baton, TxOutput(0, payment_mark_script(first)), ledger.own_output(9))
    foreign = spend(ledger, ledger.trail().baton, TxOutput(1, b"\x51"), ledger.own_output(8))
    two = spend(ledger, ledger.trail().baton, TxOutput(0, payment_mark_script(second)), ledger.own_output(7))
    trail = ledger.trail()
    assert trail.baton == OutPoint(two.txid, 1)
    assert [(paid.mark, paid.transaction.txid) for paid in trail.paid] == [
        (first, one.txid),
        (second, two.txid),
    ]
    assert ledger.spenders[OutPoint(one.txid, 1)] is foreign
    assert [paid.mark for paid in trail.chunks_of(hash_of(b"list"))] == [first, second]
    assert trail.chunks_of(hash_of(b"other")) == ()


def test_a_marked_transaction_beside_the_baton_counts_for_nothing() -> None:
    ledger = TreasuryLedger(make_genesis())
    other = ledger.fund(100)
    mark = PaymentMark(hash_of(b"list"), 0)
    spend(ledger, other, TxOutput(0, payment_mark_script(mark)), ledger.own_output(9))
    assert ledger.trail().paid == ()


def test_a_baton_that_was_paid_away_is_told() -> None:
    ledger = TreasuryLedger(make_genesis())
    last = spend(ledger, ledger.trail().baton, TxOutput(1, address_script(STRANGER)))
    with pytest.raises(InvalidPayment, match=f"{last.txid[::-1].hex()} spent the baton and left none"):
        ledger.trail()


def test_an_endless_trail_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that answers every question with the same transaction does not hold the tool for ever."""
    ledger = TreasuryLedger(make_genesis())
    loop = Transaction(1, (), (ledger.own_output(1),))
    monkeypatch.setattr(treasury, "TRAIL_MAX", 100)
    with pytest.raises(InvalidPayment, match="more than 100 times"):
        follow_baton(ledger.genesis, lambda outpoint: loop)
