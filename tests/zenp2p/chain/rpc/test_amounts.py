"""Amounts keep every zatoshi on the way from and to a node's JSON."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RequestError
from protocol.units import COIN
from zenp2p.chain.rpc.amounts import amount_text, to_zatoshi
from zenp2p.chain.rpc.errors import BadAnswer

ZATOSHI = st.integers(min_value=0, max_value=84_000_000 * COIN)


@given(ZATOSHI)
def test_an_amount_comes_back_as_it_was_sent(amount: int) -> None:
    text = amount_text(amount)
    assert to_zatoshi(text) == amount
    assert to_zatoshi(json.loads(text, parse_float=Decimal)) == amount


@pytest.mark.parametrize(
    ("number", "zatoshi"),
    [
        ("41.99999999", 4_199_999_999),
        ("42", 42 * COIN),
        ("1e-8", 1),
        ("0.00000000", 0),
        ("2.5E+3", 2_500 * COIN),
    ],
)
def test_numbers_as_nodes_write_them(number: str, zatoshi: int) -> None:
    assert to_zatoshi(json.loads(number, parse_float=Decimal)) == zatoshi


@pytest.mark.parametrize(
    "amount",
    [
        Decimal("0.000000001"), Decimal("-0.1"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999"),
        Decimal("1E-999999"), Decimal("10000000000.00000001"), 10**40, "", "coins", "0x10", 0.5,
        True, None, [1],
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(BadAnswer):
        to_zatoshi(amount)


def test_nothing_below_zero_is_sent() -> None:
    with pytest.raises(RequestError):
        amount_text(-1)
