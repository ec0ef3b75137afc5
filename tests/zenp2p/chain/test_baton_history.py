"""What is remembered of the baton's way is what following it from the beginning finds, on every branch."""

import pytest

from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.payout.payment import ENTRIES_MAX
from protocol.payout.treasury import PaymentMark, payment_mark_script
from tests.support import embedded_chain as made
from tests.support.embedded_chain import Branch
from tests.support.treasury_chain import RealNode
from tests.zenp2p.test_paymaster_on_chain import GENESIS, LIST, signed_file, trail_of, verified_list
from zenp2p.api.context import computed
from zenp2p.chain import baton_history
from zenp2p.chain.baton_history import BatonHistory
from zenp2p.paymaster import Paymaster


def paid_node(blocks: int = 10) -> tuple[RealNode, bytes]:
    """Return a node on whose chain a list is paid, and the payment's id."""
    node = RealNode(GENESIS)
    node.grow(blocks)
    paymaster = Paymaster(GENESIS, node)
    sent = paymaster.broadcast(signed_file(paymaster, LIST), LIST)
    node.grow(1)
    return node, computed(sent.txid)


def chunks(history: BatonHistory) -> list[int]:
    return [step.mark.chunk for step in history.payments_of(LIST.list_hash) if step.mark is not None]


def test_a_payment_is_found_by_id_list_and_height() -> None:
    node, txid = paid_node()
    history = BatonHistory(GENESIS, node.index)
    step = history.step(txid)
    assert step is not None and step.mark == PaymentMark(LIST.list_hash, 0) and step.height == 11
    assert history.payments_of(LIST.list_hash) == (step,) == history.payments_at(11)
    assert history.step(bytes(32)) is None and history.payments_at(10) == ()
    assert chunks(history) == trail_of(node)


def test_it_goes_on_where_it_stood_and_forgets_a_branch_that_is_gone() -> None:
    node = RealNode(GENESIS)
    node.grow(10)
    before = node.branch.fork(10)
    history = BatonHistory(GENESIS, node.index)
    assert chunks(history) == []
    paymaster = Paymaster(GENESIS, node)
    sent = paymaster.broadcast(signed_file(paymaster, LIST), LIST)
    node.grow(1)
    assert chunks(history) == [0]
    other = Branch(before.chain, list(before.blocks))
    other.grow(3, salt=9)
    node.take(other)
    assert node.index.tip()[0] == 13 and trail_of(node) == []
    assert (
        chunks(history) == [] and history.step(computed(sent.txid)) is None and history.payments_at(11) == ()
    )
    node.branch = other
    node.grow(1)
    assert chunks(history) == trail_of(node) == [0]
    assert history.payments_at(14) != ()


def test_a_mark_that_anybody_wrote_is_not_on_the_baton() -> None:
    node = RealNode(GENESIS)
    node.grow(4)
    coin, script = node.branch.coinbase_output(1)
    amount = node.branch.blocks[1].transactions[0].outputs[0].amount
    mark = payment_mark_script(PaymentMark(LIST.list_hash, 0))
    tx = Transaction(1, (TxInput(OutPoint(coin.txid, 0)),), (TxOutput(0, mark), TxOutput(amount, script)))
    tx = with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, script, made.secret_of("miner")))
    node.pool.accept(tx.raw)
    node.grow(1)
    assert node.index.transaction_by_id(tx.txid) is not None
    history = BatonHistory(GENESIS, node.index)
    assert history.step(tx.txid) is None and chunks(history) == []


def two_payments() -> RealNode:
    """Return a node on whose chain a list of two chunks is paid."""
    large = verified_list(GENESIS, addresses=ENTRIES_MAX + 1)
    node = RealNode(GENESIS)
    node.grow(10)
    for _ in range(2):
        paymaster = Paymaster(GENESIS, node)
        paymaster.broadcast(signed_file(paymaster, large), large)
        node.grow(1)
    assert trail_of(node) == [0, 1]
    return node


def test_one_question_follows_and_remembers_a_bounded_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the way is followed by the next questions; the oldest is forgotten first."""
    node = two_payments()
    monkeypatch.setattr(baton_history, "STEPS_MAX", 1)
    history = BatonHistory(GENESIS, node.index)
    assert [len(history.payments_at(12)) for _ in range(3)] == [0, 1, 1]
    assert len(history.payments_at(11)) == 1
    monkeypatch.setattr(baton_history, "STEPS_MAX", 1_000)
    monkeypatch.setattr(baton_history, "KEPT_MAX", 1)
    short = BatonHistory(GENESIS, node.index)
    assert (len(short.payments_at(11)), len(short.payments_at(12))) == (0, 1)
    (kept,) = short.payments_at(12)
    assert kept.mark is not None and short.payments_of(kept.mark.list_hash) == (kept,)
