"""Amounts in a node's JSON, which are decimal coins, to and from zatoshi.

Answers for: no amount ever goes through a float. A node writes `41.99999999` as a JSON
number, so answers are parsed with decimals; what we send is text, which every node of
the family reads. Spec: `spec/external_chain.md`.
"""

import decimal
from decimal import Decimal

from protocol.errors import RequestError
from protocol.units import COIN, Zatoshi, format_amount
from zenp2p.chain.rpc.errors import BadAnswer

COINS_MAX = 10**10
"""More coins than any chain of the family has."""
_EXACT = decimal.Context(
    prec=28, Emin=-20, Emax=20, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow]
)
"""Arithmetic that raises where something would be lost."""


def to_zatoshi(amount: Decimal | int | str) -> Zatoshi:
    """Return an answer's amount of coins in zatoshi, exactly.

    Raises `BadAnswer` for what is no amount: a float, a negative or endless number, a ninth decimal.
    """
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise BadAnswer(f"not an amount of coins: {type(amount).__name__}")
    try:
        coins = _EXACT.create_decimal(amount)
        is_possible = 0 <= coins <= COINS_MAX
        zatoshi = _EXACT.to_integral_exact(_EXACT.multiply(coins, Decimal(COIN)))
    except decimal.DecimalException:
        raise BadAnswer("not an amount of coins with at most 8 decimals") from None
    if not is_possible:
        raise BadAnswer("an amount of coins that cannot be")
    return Zatoshi(int(zatoshi))


def amount_text(amount: int) -> str:
    """Return zatoshi as the text of coins in which a node takes them; raises `RequestError` below 0."""
    if amount < 0:
        raise RequestError(f"{amount} zatoshi cannot be sent")
    return format_amount(amount)
