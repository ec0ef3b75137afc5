"""A certified list paid on the real embedded chain, through the daemon's own RPC methods.

Nothing here is a double but the node machine (the list comes from a `World`): blocks have
proof of work, the pool and the chain judge the signatures, the index answers the paymasters.
"""

from typing import Any

import pytest

from protocol.chain.transaction import Transaction, decode_transaction
from protocol.errors import InvalidPayment, RequestError
from protocol.genesis import Genesis
from protocol.payout.light import VerifiedList
from protocol.payout.payment import next_chunk
from protocol.payout.treasury import follow_baton
from protocol.units import COIN
from tests.support.payout_world import PAYMASTERS, World, valid, verified_first
from tests.support.treasury_chain import RealNode, chain_genesis
from zenp2p.api import treasury_methods
from zenp2p.api.errors import BadData
from zenp2p.paymaster import Paymaster, combine_files


def verified_list(genesis: Genesis, addresses: int = 4) -> VerifiedList:
    world = World(genesis=genesis)
    keys = sorted(bytes([number % 256, number // 256]) * 16 for number in range(addresses))
    for seq in (3, 4, 5):
        world.judge(seq, [valid(key) for key in keys])
    world.bury(1)
    return verified_first(world)


def signed_file(paymaster: Paymaster, verified: VerifiedList, fee_rate: int = 1_000) -> bytes:
    file = paymaster.build(verified, fee_rate)
    signed = [paymaster.sign(file, verified, secret) for secret in (PAYMASTERS[3], PAYMASTERS[0])]
    return combine_files(signed, verified.genesis)


GENESIS = chain_genesis()
LIST = verified_list(GENESIS)


def trail_of(node: RealNode) -> list[int]:
    def spender(outpoint: Any) -> Transaction | None:
        spending = node.index.spender(outpoint)
        found = node.index.transaction_by_id(spending.txid) if spending else None
        return decode_transaction(found.raw, node.index.family) if found else None

    return [paid.mark.chunk for paid in follow_baton(node.genesis, spender).paid]


def test_the_chain_takes_the_payment_and_the_stakes_have_it() -> None:
    node = RealNode(GENESIS)
    node.grow(10)
    paymaster = Paymaster(GENESIS, node)
    sent = paymaster.broadcast(signed_file(paymaster, LIST), LIST)
    assert [entry.txid[::-1].hex() for entry in node.pool] == [sent.txid]
    node.grow(1)
    assert len(node.pool) == 0
    height = node.index.tip()[0]
    for entry in LIST.entries:
        assert node.index.balance(entry.address, height) == entry.amount
    assert trail_of(node) == [0]
    assert node.call("treasury.baton")["paid"][0]["list_hash"] == LIST.list_hash.hex()
    with pytest.raises(RequestError, match="wholly paid already"):
        paymaster.build(LIST)


def test_coinbase_shares_are_gathered_by_payments() -> None:
    """After ten blocks seven shares are ripe: they go into the payment beside the baton."""
    node = RealNode(GENESIS)
    node.grow(10)
    paymaster = Paymaster(GENESIS, node)
    file = signed_file(paymaster, LIST)
    report = paymaster.inspect(file, LIST)
    assert report.inputs == 1 + 7
    assert report.inputs_total == 100 * COIN + 7 * COIN * 125 // 100
    paymaster.broadcast(file, LIST)
    node.grow(1)
    assert trail_of(node) == [0]


def test_a_dearer_version_conflicts_in_the_pool() -> None:
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    cheap, dear = signed_file(paymaster, LIST), signed_file(paymaster, LIST, 9_000)
    paymaster.broadcast(cheap, LIST)
    with pytest.raises(BadData, match="spent already by"):
        paymaster.broadcast(dear, LIST)
    node.grow(1)
    with pytest.raises(InvalidPayment, match="paid already"):
        paymaster.broadcast(dear, LIST)


def test_a_payment_that_a_reorganisation_took_off_is_paid_again_once() -> None:
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    file = signed_file(paymaster, LIST)
    fork = node.branch.fork(5)
    paymaster.broadcast(file, LIST)
    node.grow(1)
    assert trail_of(node) == [0]
    fork.grow(3, salt=1)
    node.take(fork)
    assert trail_of(node) == []
    node.branch = fork
    node.grow(1)
    assert trail_of(node) == [0], "the pool had kept the very same payment"


def test_several_chunks_follow_each_other_on_the_chain() -> None:
    large = verified_list(GENESIS, addresses=1_100)
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    for number in range(2):
        paymaster.broadcast(signed_file(paymaster, large), large)
        node.grow(1)
        assert trail_of(node) == list(range(number + 1))
    height = node.index.tip()[0]
    assert all(node.index.balance(entry.address, height) == entry.amount for entry in large.entries)
    trail = follow_baton(GENESIS, lambda outpoint: None)
    assert next_chunk(large, trail) is not None


def test_gathering_on_the_chain_leaves_the_baton() -> None:
    node = RealNode(GENESIS)
    node.grow(12)
    paymaster = Paymaster(GENESIS, node)
    before = node.call("treasury.baton")
    file = paymaster.gather()
    signed = combine_files([paymaster.sign(file, None, secret) for secret in PAYMASTERS[:2]], GENESIS)
    paymaster.broadcast(signed, None)
    node.grow(1)
    assert len(node.pool) == 0
    assert node.call("treasury.baton") == before


def test_the_record_of_payments_comes_in_pages() -> None:
    """The newest without a number, each page oldest first; raw bytes are `chain.transaction`'s."""
    large = verified_list(GENESIS, addresses=1_100)
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    txids = []
    for _ in range(2):
        txids.append(paymaster.broadcast(signed_file(paymaster, large), large).txid)
        node.grow(1)
    whole = node.call("treasury.baton")
    assert (whole["txid"], whole["index"], whole["payments"], whole["first"]) == (txids[1], 1, 2, 0)
    assert whole["paid"] == [
        {"list_hash": large.list_hash.hex(), "chunk": chunk, "txid": txid} for chunk, txid in enumerate(txids)
    ]
    for params, first, paid in (
        ({"limit": 1}, 1, txids[1:]),
        ({"first": 0, "limit": 1}, 0, txids[:1]),
        ({"first": 1}, 1, txids[1:]),
        ({"first": 2}, 2, []),
    ):
        page = node.call("treasury.baton", params)
        assert (page["first"], page["payments"]) == (first, 2), params
        assert [one["txid"] for one in page["paid"]] == paid, params


def test_a_record_that_changes_while_it_is_read_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reorganisation takes the payment off while other tasks have their turn."""
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    fork = node.branch.fork(5)
    paymaster.broadcast(signed_file(paymaster, LIST), LIST)
    node.grow(1)
    fork.grow(3, salt=1)
    checkpoints = 0

    async def checkpoint() -> None:
        nonlocal checkpoints
        checkpoints += 1
        node.take(fork)

    monkeypatch.setattr(treasury_methods, "checkpoint", checkpoint)
    monkeypatch.setattr(treasury_methods, "PAYMENTS_AT_ONCE", 1)
    record = node.call("treasury.baton")
    assert (record["payments"], record["paid"], checkpoints) == (0, [], 2)
    assert (record["txid"], record["index"]) == (GENESIS.baton.txid[::-1].hex(), GENESIS.baton.index)
