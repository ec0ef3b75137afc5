"""Coins: their records, and changes that can be taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint
from protocol.errors import InvalidChainData
from protocol.units import COIN, Height, Zatoshi
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.coins import (
    Coin,
    CoinChanges,
    decode_coin,
    decode_undo,
    encode_coin,
    encode_undo,
    outpoint_key,
    read_outpoint_key,
)

COINS = st.builds(
    Coin,
    st.integers(0, 21_000_000 * COIN).map(Zatoshi),
    st.binary(max_size=100),
    st.integers(0, 2**32 - 1).map(Height),
    st.booleans(),
)
BOB = made.address_of("bob")


class Below:
    """Some coins, as a chain has them."""

    def __init__(self, coins: dict[OutPoint, Coin]) -> None:
        self.coins = coins

    def coin(self, outpoint: OutPoint) -> Coin | None:
        return self.coins.get(outpoint)


@given(COINS)
def test_a_coin_is_read_as_it_was_written(coin: Coin) -> None:
    assert decode_coin(encode_coin(coin)) == coin


@given(st.lists(COINS, max_size=10))
def test_an_undo_record_is_read_as_it_was_written(coins: list[Coin]) -> None:
    assert decode_undo(encode_undo(coins)) == tuple(coins)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_an_outpoint_key_is_read_as_it_was_written(txid: bytes, index: int) -> None:
    assert read_outpoint_key(outpoint_key(OutPoint(txid, index))) == OutPoint(txid, index)


def test_reverting_undoes_applying_also_within_one_block() -> None:
    """A coin that a block makes and spends is gone either way."""
    definition = made.definition()
    start, script = made.allocation(definition)
    below = Below({start: Coin(Zatoshi(1_000 * COIN), script, Height(0), True)})
    parent = made.pay("alice", [(start, script)], [(BOB, 600 * COIN), (BOB, 400 * COIN)])
    child = made.pay("bob", [(OutPoint(parent.txid, 1), address_script(BOB))], [(BOB, 400 * COIN)])
    changes = CoinChanges(below)
    spent = [*changes.apply(parent, Height(1)), *changes.apply(child, Height(1))]
    assert changes.coin(start) is None and changes.coin(OutPoint(parent.txid, 1)) is None
    assert changes.coin(OutPoint(child.txid, 0)) is not None
    changes.revert((child, parent), spent)
    assert {point: coin for point, coin in changes.changed.items() if coin} == below.coins


def test_a_missing_coin_and_one_that_is_there_twice_are_refused() -> None:
    definition = made.definition()
    start, script = made.allocation(definition)
    payment = made.pay("alice", [(start, script)], [(BOB, 1)])
    with pytest.raises(InvalidChainData, match="does not exist"):
        CoinChanges(Below({})).apply(payment, Height(1))
    coin = Coin(Zatoshi(1), script, Height(0), False)
    again = Below({start: coin, OutPoint(payment.txid, 0): coin})
    with pytest.raises(InvalidChainData, match="mined before"):
        CoinChanges(again).apply(payment, Height(1))


def test_an_undo_record_of_another_block_is_noticed() -> None:
    definition = made.definition()
    start, script = made.allocation(definition)
    coin = Coin(Zatoshi(1_000 * COIN), script, Height(0), True)
    payment = made.pay("alice", [(start, script)], [(BOB, 1)])
    with pytest.raises(AssertionError, match="too many"):
        CoinChanges(Below({})).revert((payment,), (coin, coin))
