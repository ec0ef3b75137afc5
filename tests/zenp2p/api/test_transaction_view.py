"""What a decoded transaction says where coins come from, or go to, elsewhere than inputs and outputs."""

from dataclasses import replace

from protocol.chain.transaction import Transaction
from tests.zenp2p.chain.test_index_certificates import NO_PARTS, chain, indexed
from zenp2p.api.transaction_view import TransactionParts, TransactionView

FORWARD = bytes(2) + b"\x01" + bytes(8 + 32 + 32 + 20) + bytes(1)
"""A sidechain part with one forward transfer."""


def described(tx: Transaction) -> TransactionParts:
    index, _ = indexed(chain())
    return TransactionView(index, bytes.hex).describe(tx)


def test_a_certificate_pays_a_fee_from_its_own_inputs_alone() -> None:
    """Its backward transfers are the sidechain's coins."""
    _, block, _ = chain()
    (certificate,) = block.certificates or ()
    assert certificate.backward == 2
    assert described(certificate).fee == 60 - 50


def test_the_fee_of_a_transaction_that_gives_to_a_sidechain_is_not_known() -> None:
    _, block, _ = chain()
    crossing = block.transactions[1]
    assert crossing.sidechain == NO_PARTS and described(crossing).fee == 100 - 60
    assert described(replace(crossing, sidechain=FORWARD)).fee is None
