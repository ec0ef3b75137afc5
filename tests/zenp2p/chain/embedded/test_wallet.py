"""Paying and proving from a key."""

import pytest

from protocol.chain.script import null_data, script_address
from protocol.chain.signed_message import verify_message
from protocol.errors import InvalidSignature, RequestError
from protocol.units import COIN, Zatoshi
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.embedded.wallet import Payee, WalletKey, choose_coins, spendable
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

ALICE, BOB = WalletKey(made.secret_of("alice")), WalletKey(made.secret_of("bob"))
MINER = WalletKey(made.secret_of("miner"))


def node(blocks: int = 0) -> tuple[ChainIndex, Mempool]:
    """Return the index and the pool of a chain of so many blocks."""
    branch = made.Branch(made.definition([(ALICE.address, 3 * COIN)]))
    branch.grow(blocks)
    chain = made.opened(branch.chain)
    made.feed(chain, branch.blocks)
    index = ChainIndex(MemoryStore(), made.RULES)
    for _ in Follower(chain, index).follow(1_000):
        pass
    return index, Mempool(chain)


def test_a_payment_is_valid_and_the_rest_comes_back() -> None:
    index, pool = node()
    payees = [Payee(BOB.address, Zatoshi(42 * COIN)), Payee(made.TREASURY, Zatoshi(7))]
    tx = ALICE.pay(index.unspent(ALICE.address), payees, fee=100)
    entry = pool.accept(tx.raw)
    assert entry is not None and entry.fee == 100
    paid = [(script_address(output.script), output.amount) for output in tx.outputs]
    assert paid == [(BOB.address, 42 * COIN), (made.TREASURY, 7), (ALICE.address, 958 * COIN - 107)]


def test_many_coins_are_signed_each() -> None:
    index, pool = node()
    tx = ALICE.pay(index.unspent(ALICE.address), [Payee(BOB.address, Zatoshi(1_003 * COIN))])
    assert len(tx.inputs) == 2 and len(tx.outputs) == 1
    assert pool.accept(tx.raw) is not None


def test_a_payload_goes_into_an_op_return() -> None:
    index, pool = node()
    tx = ALICE.pay(index.unspent(ALICE.address), [Payee(BOB.address, Zatoshi(1))], payload=b"hello")
    assert tx.outputs[1].script == null_data(b"hello") and tx.outputs[1].amount == 0
    assert pool.accept(tx.raw) is not None


def test_too_little_is_a_clear_refusal() -> None:
    index, _ = node()
    coins = index.unspent(ALICE.address)
    with pytest.raises(RequestError, match=r"1003\.00000001 to pay, .* hold 1003\.00000000"):
        ALICE.pay(coins, [Payee(BOB.address, Zatoshi(1_003 * COIN))], fee=1)
    with pytest.raises(RequestError):
        choose_coins((), 0)


def test_somebody_elses_coins_cannot_be_signed() -> None:
    index, _ = node()
    with pytest.raises(RequestError, match="not spend a P2PKH output of this key"):
        BOB.sign(
            ALICE.pay(index.unspent(ALICE.address), []), [b"\x76\xa9\x14" + ALICE.address[1:] + b"\x88\xac"]
        )


def test_coinbases_count_when_they_are_mature() -> None:
    index, pool = node(blocks=4)
    coins = index.unspent(MINER.address)
    ready = spendable(coins, 5, made.RULES)
    assert sorted(coin.output.height for coin in coins) == [1, 2, 3, 4]
    assert sorted(coin.output.height for coin in ready) == [1, 2]
    assert pool.accept(MINER.pay(ready, [Payee(BOB.address, Zatoshi(24 * COIN))]).raw) is not None
    assert spendable(index.unspent(ALICE.address), 1, made.RULES) == index.unspent(ALICE.address)


def test_a_signed_message_proves_the_address() -> None:
    magic = made.RULES.message_magic
    signature = ALICE.sign_message("zenp2p registration", magic)
    verify_message("zenp2p registration", signature, ALICE.address, magic)
    with pytest.raises(InvalidSignature):
        verify_message("zenp2p registration", signature, BOB.address, magic)


def test_a_secret_is_not_shown() -> None:
    assert made.secret_of("alice").hex() not in repr(ALICE)
    with pytest.raises(RequestError):
        WalletKey(bytes(32))
