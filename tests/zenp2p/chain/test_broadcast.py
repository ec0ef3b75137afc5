"""What nodes say to `sendrawtransaction`, by their own words, and what it means."""

import pytest

from protocol.units import Hash32
from zenp2p.api.errors import BadData, rpc_error
from zenp2p.chain.broadcast import BroadcastRefused, BroadcastState, Refusal, read_refusal

LITECOIND = [
    (-22, "TX decode failed. Make sure the tx has at least one input.", Refusal.INVALID),
    (-25, "bad-txns-inputs-missingorspent", Refusal.MISSING),
    (-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)", Refusal.FEE),
    (-26, "txn-mempool-conflict", Refusal.CONFLICT),
    (-26, "min relay fee not met, 0 < 331", Refusal.FEE),
    (-26, "mempool min fee not met, 100 < 331", Refusal.FEE),
    (-26, "dust", Refusal.DUST),
    (-26, "non-final", Refusal.NOT_FINAL),
    (-26, "tx-size", Refusal.TOO_LARGE),
    (-26, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 4", Refusal.NOT_FINAL),
    (-26, "bad-txns-in-belowout, value in (0.1) < value out (0.2)", Refusal.INVALID),
    (
        -26,
        "non-mandatory-script-verify-flag (Signature must be zero for failed CHECK(MULTI)SIG operation)",
        Refusal.INVALID,
    ),
    (-27, "Transaction already in block chain", BroadcastState.MINED),
]
ZEND = [
    (-25, "Missing inputs", Refusal.MISSING),
    (-26, "18: txn-mempool-conflict", Refusal.CONFLICT),
    (-26, "66: min relay fee not met", Refusal.FEE),
    (-26, "64: dust", Refusal.DUST),
    (-26, "64: tx-size", Refusal.TOO_LARGE),
    (
        -26,
        "16: mandatory-script-verify-flag-failed (Script failed an OP_CHECKBLOCKATHEIGHT operation)",
        Refusal.INVALID,
    ),
    (-27, "transaction already in block chain", BroadcastState.MINED),
    (-40, "hard fork", Refusal.OTHER),
]


@pytest.mark.parametrize(("code", "words", "meaning"), LITECOIND + ZEND)
def test_words_have_their_meaning(code: int, words: str, meaning: Refusal | BroadcastState) -> None:
    assert read_refusal(code, words) is meaning


def test_a_refusal_is_bad_data_with_the_nodes_words() -> None:
    error = BroadcastRefused("txn-mempool-conflict", Refusal.CONFLICT, Hash32(bytes(31) + b"\x01"))
    answer = rpc_error(error)
    assert isinstance(answer, BadData)
    assert "spent by another transaction in the node's pool (01" in str(answer)
    assert "txn-mempool-conflict" in str(answer)
    assert "says nothing more" in str(BroadcastRefused(""))
    assert len(str(BroadcastRefused("x" * 10_000))) < 500
