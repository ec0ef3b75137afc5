"""The paymaster's tool against one node: build, sign by several, combine, send."""

from dataclasses import replace

import pytest

from protocol.chain.multisig import verify_input
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidPayment, ProtocolError, RequestError
from protocol.payout.inspection import tail_of
from protocol.payout.light import VerifiedList
from protocol.payout.payment_file import decode_payment_file, unsigned_transaction
from protocol.payout.treasury import redeem_script
from protocol.units import COIN
from tests.support.ledger_node import LedgerNode
from tests.support.payout_world import (
    PAYMASTERS,
    TREASURY,
    devnet_world,
    many_entries_world,
    verified_first,
)
from tests.support.treasury_ledger import TreasuryLedger
from zenp2p.paymaster import Paymaster, combine_files, count_signers

VERIFIED = verified_first(devnet_world())
GENESIS = VERIFIED.genesis


def node_with(coins: int = 2, verified: VerifiedList = VERIFIED) -> LedgerNode:
    ledger = TreasuryLedger(verified.genesis)
    for number in range(coins):
        ledger.fund(COIN * (number + 1))
    return LedgerNode(ledger)


def pay_next(node: LedgerNode, verified: VerifiedList) -> str:
    """Do everything that the paymasters do for one chunk; the block comes at the end."""
    paymaster = Paymaster(verified.genesis, node)
    file = paymaster.build(verified)
    signed = [paymaster.sign(file, verified, secret) for secret in (PAYMASTERS[4], PAYMASTERS[1])]
    sent = paymaster.broadcast(combine_files(signed, verified.genesis), verified)
    node.mine()
    return sent.txid


def test_a_list_is_paid_by_files() -> None:
    node = node_with()
    txid = pay_next(node, VERIFIED)
    (payment,) = node.ledger.trail().paid
    assert payment.transaction.txid[::-1].hex() == txid
    assert payment.mark.list_hash == VERIFIED.list_hash
    for index in range(len(payment.transaction.inputs)):
        verify_input(payment.transaction, index, redeem_script(TREASURY))
    with pytest.raises(RequestError, match="the list of period 1 is wholly paid already"):
        Paymaster(GENESIS, node).build(VERIFIED)


def test_a_large_list_is_paid_chunk_by_chunk() -> None:
    large = verified_first(many_entries_world(1_500))
    node = node_with(verified=large)
    pay_next(node, large)
    pay_next(node, large)
    assert [paid.mark.chunk for paid in node.ledger.trail().paid] == [0, 1]
    paid = [output for one in node.ledger.trail().paid for output in one.transaction.outputs[2:]]
    assert sum(output.amount for output in paid) == large.header.paid_total
    assert len(paid) == 1_500


def test_two_payments_of_one_chunk_cannot_both_be_mined() -> None:
    """Both are signed; once one is mined, the other is refused, and the chain would refuse it too."""
    node = node_with()
    paymaster = Paymaster(GENESIS, node)
    cheap, dear = paymaster.build(VERIFIED, 1_000), paymaster.build(VERIFIED, 9_000)
    both = [
        combine_files([paymaster.sign(file, VERIFIED, secret) for secret in PAYMASTERS[:2]], GENESIS)
        for file in (cheap, dear)
    ]
    paymaster.broadcast(both[1], VERIFIED)
    node.mine()
    with pytest.raises(InvalidPayment, match="chunk 0 of this list is paid already, by [a-z]+ [0-9a-f]{64}"):
        paymaster.broadcast(both[0], VERIFIED)
    assert node.pool == []


def test_a_reorganised_payment_is_built_again_on_the_same_baton() -> None:
    node = node_with()
    pay_next(node, VERIFIED)
    first = node.ledger.trail().paid[0].transaction
    node.ledger.take_off()
    pay_next(node, VERIFIED)
    again = node.ledger.trail().paid[0].transaction
    assert again.inputs[0] == first.inputs[0]


def test_nothing_is_sent_with_too_few_signatures() -> None:
    node = node_with()
    paymaster = Paymaster(GENESIS, node)
    once = paymaster.sign(paymaster.build(VERIFIED), VERIFIED, PAYMASTERS[0])
    assert count_signers(once, GENESIS) == 1
    with pytest.raises(RequestError, match="signed by 1 paymasters, 2 must sign"):
        paymaster.broadcast(once, VERIFIED)
    assert node.pool == [] and "chain.broadcast" not in node.asked


def test_each_paymaster_asks_its_own_node() -> None:
    """A builder whose node lies about an amount finds no honest paymaster to sign."""
    lying = node_with()
    outpoint = next(point for point, (output, _) in lying.ledger.outputs.items() if output.amount == COIN)
    output, height = lying.ledger.outputs[outpoint]
    lying.ledger.outputs[outpoint] = (replace(output, amount=COIN // 2), height)
    file = Paymaster(GENESIS, lying).build(VERIFIED)
    with pytest.raises(InvalidPayment, match="the fee is 0.5"):
        Paymaster(GENESIS, node_with()).sign(file, VERIFIED, PAYMASTERS[0])


def test_a_node_on_another_chain_is_told() -> None:
    node = node_with()
    node.ledger.outputs.clear()
    with pytest.raises(RequestError, match="does not know [0-9a-f]{64}:0, where the baton should lie"):
        Paymaster(GENESIS, node).build(VERIFIED)


def test_the_fee_rate_is_bounded_by_what_will_be_signed() -> None:
    node = node_with()
    paymaster = Paymaster(GENESIS, node)
    with pytest.raises(InvalidPayment, match="the fee is"):
        paymaster.inspect(paymaster.build(VERIFIED, 200_000), VERIFIED)


def test_small_outputs_are_gathered() -> None:
    node = node_with(coins=6)
    paymaster = Paymaster(GENESIS, node)
    file = paymaster.gather()
    assert paymaster.inspect(file, None).inputs == 6
    signed = [paymaster.sign(file, None, secret) for secret in PAYMASTERS[2:4]]
    paymaster.broadcast(combine_files(signed, GENESIS), None)
    node.mine()
    assert len(node.ledger.unspent()) == 2
    assert node.ledger.trail().paid == ()


def test_damaged_files_are_protocol_errors() -> None:
    node = node_with()
    paymaster = Paymaster(GENESIS, node)
    file = paymaster.sign(paymaster.build(VERIFIED), VERIFIED, PAYMASTERS[0])
    for at in range(0, len(file), 11):
        damaged = file[:at] + bytes([file[at] ^ 0x10]) + file[at + 1 :]
        with pytest.raises(ProtocolError):
            paymaster.sign(damaged, VERIFIED, PAYMASTERS[1])


def test_replay_tails_name_a_block_of_our_own_chain() -> None:
    chain = replace_fields(GENESIS.chain, replay_tail_depth=300)
    genesis = replace_fields(GENESIS, chain=chain)
    terms = replace(VERIFIED.trust.terms, genesis=genesis)
    verified = replace(VERIFIED, trust=replace(VERIFIED.trust, terms=terms))
    node = node_with()
    file = Paymaster(genesis, node).build(verified)
    tail = tail_of(unsigned_transaction(decode_payment_file(file, genesis), genesis))
    assert tail is not None and tail.height == node.ledger.tip_height - 300
    assert Paymaster(genesis, node).inspect(file, verified).entries == 4
