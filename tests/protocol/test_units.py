"""Amounts are integers that are written and read without a float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RequestError
from protocol.units import COIN, format_amount, parse_amount

AMOUNTS = st.integers(0, 10**10 * COIN - 1)


@given(AMOUNTS)
def test_an_amount_survives_being_written(amount: int) -> None:
    assert parse_amount(format_amount(amount)) == amount


@given(st.integers(-(2**63), 2**63))
def test_an_amount_is_written_as_decimal_arithmetic_has_it(amount: int) -> None:
    assert Decimal(format_amount(amount)) == Decimal(amount) / COIN
    assert len(format_amount(amount).partition(".")[2]) == 8


@given(st.integers(0, 10**10 - 1), st.text("0123456789", min_size=1, max_size=8))
def test_fewer_decimals_mean_trailing_zeros(whole: int, part: str) -> None:
    assert parse_amount(f"{whole}.{part}") == Decimal(f"{whole}.{part}") * COIN


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("42", 42 * COIN),
        ("0.00000001", 1),
        ("41.99999999", 4_199_999_999),
        ("0.4375", 43_750_000),
        ("007", 7 * COIN),
        ("9999999999.99999999", 10**18 - 1),
    ],
)
def test_amounts(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(("amount", "text"), [(-1, "-0.00000001"), (-COIN, "-1.00000000"), (0, "0.00000000")])
def test_differences_have_a_sign(amount: int, text: str) -> None:
    assert format_amount(amount) == text


@pytest.mark.parametrize(
    "text",
    [
        *["", ".", "1.", ".5", "-1", "+1", " 1", "1 ", "1. 2", "1.-2", "1.2.3", "1,5", "1_000", "1e3", "0x1"],
        *["1.000000001", "12345678901", "٤٢", "1.٤", "²", "nan", "inf", "1" * 5_000],
    ],
)
def test_what_is_no_amount_is_the_users_error(text: str) -> None:
    with pytest.raises(RequestError):
        parse_amount(text)


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_the_users_error(text: str) -> None:
    try:
        amount = parse_amount(text)
    except RequestError:
        return
    assert Decimal(text) * COIN == amount
