"""What paying the rest of a list takes, and whether the treasury has it.

Answers for: a list is paid whole or waits whole. Before its first payment is built or
signed, everything that the list still takes must lie in the treasury, spendable, and
that at the highest fee that paymasters may come to pay for the later payments: so no fee, and
no choice of coins, leaves a list half paid. The payments are gone through as
`payment.build_payment` will build them, so the sums are exact. Spec: `spec/payment.md`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from protocol.errors import InvalidPayment, RequestError
from protocol.genesis import Genesis
from protocol.payout.payment import (
    CHANGE_MIN,
    FEE_RATE_DEFAULT,
    FEE_RATE_MAX,
    INPUTS_MAX,
    Chunk,
    Coin,
    base_size,
    input_size,
    inputs_that_fit,
    is_spendable,
    payment_outputs,
)
from protocol.units import Zatoshi, format_amount


@dataclass(frozen=True, slots=True)
class Purse:
    """What the treasury can spend now, in zatoshi: the baton, and its other outputs, the largest first."""

    baton: int
    coins: tuple[int, ...]

    @property
    def total(self) -> Zatoshi:
        """All of it."""
        return Zatoshi(self.baton + sum(self.coins))


@dataclass(frozen=True, slots=True)
class Need:
    """What paying some chunks one after the other takes, in zatoshi."""

    payments: int
    to_pay: Zatoshi
    """What the entries get."""
    fees: Zatoshi
    """Of all the payments, at the fee rate that was asked for."""
    reserve: Zatoshi
    """What the payments after the first would cost beyond that at `FEE_RATE_MAX`."""
    total: Zatoshi
    """To pay, fees, reserve, and the change that the last payment leaves at least."""
    shortfall: Zatoshi
    """The least that one further spendable output must hold for the payments to begin; 0: nothing lacks."""
    gather: bool
    """The sum would do, but lies in more outputs than payments spend: gathering helps."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One payment: what its entries get, its bytes without inputs, its inputs, its fee rate."""

    paid: int
    size: int
    inputs_max: int
    fee_rate: int


def make_purse(baton: Coin, others: Iterable[Coin], genesis: Genesis, tip_height: int) -> Purse:
    """Return what can be spent at a height: the baton always, other coins once they are buried."""
    amounts = (
        coin.amount
        for coin in others
        if coin.outpoint != baton.outpoint and is_spendable(coin, genesis, tip_height)
    )
    return Purse(baton.amount, tuple(sorted(amounts, reverse=True)))


def compute_need(
    chunks: Sequence[Chunk],
    genesis: Genesis,
    purse: Purse,
    *,
    fee_rate: int = FEE_RATE_DEFAULT,
    tail: bytes = b"",
) -> Need:
    """Return what paying these chunks in order takes, with `fee_rate` in zatoshi for 1,000 bytes.

    The shortfall is exact: with one further output of that size `build_payment` builds them all,
    the later ones at any fee rate up to `FEE_RATE_MAX`, with a zatoshi less the first must wait.
    """
    usual = [_step(chunk, genesis, fee_rate, tail) for chunk in chunks]
    dearest = [*usual[:1], *(replace(step, fee_rate=max(FEE_RATE_MAX, fee_rate)) for step in usual[1:])]
    one_input = input_size(genesis)
    shortfall = _shortfall(dearest, purse, one_input)
    full = _with_output(purse, shortfall) if shortfall else purse
    fees, highest = _fees(usual, full, one_input), _fees(dearest, full, one_input)
    to_pay, reserve = sum(step.paid for step in usual), max(highest - fees, 0)
    total = to_pay + fees + reserve + (CHANGE_MIN if chunks else 0)
    return Need(
        payments=len(chunks),
        to_pay=Zatoshi(to_pay),
        fees=Zatoshi(fees),
        reserve=Zatoshi(reserve),
        total=Zatoshi(total),
        shortfall=Zatoshi(shortfall),
        gather=bool(shortfall) and purse.total >= total,
    )


def check_funded(need: Need, purse: Purse) -> None:
    """Raise `RequestError` unless the treasury can spend what a list takes that is about to begin."""
    if need.gather:
        raise RequestError(
            f"the treasury holds the {format_amount(need.total)} that the list takes, but in so many small "
            f"outputs that its {need.payments} payments cannot spend them: gather them first"
        )
    if need.shortfall:
        raise RequestError(
            f"the treasury is short of {format_amount(need.shortfall)}: the list's {_payments(need)} "
            f"{format_amount(need.total)} with fees and change, {format_amount(purse.total)} can be "
            "spent now; an under-funded list waits whole"
        )


def check_rest_funded(rest: Sequence[Chunk], genesis: Genesis, purse: Purse, tail: bytes = b"") -> None:
    """Raise `InvalidPayment` unless what a first payment leaves covers the list's other payments.

    Whoever signs judges by the highest fee, so that no later fee leaves the list half paid.
    """
    need = compute_need(rest, genesis, purse, fee_rate=FEE_RATE_MAX, tail=tail)
    if need.shortfall:
        raise InvalidPayment(
            f"the payment would leave its list half paid: for the other {need.payments} payments the "
            f"treasury is short of {format_amount(need.shortfall)}; an under-funded list waits whole"
        )


def _payments(need: Need) -> str:
    return "one payment takes" if need.payments == 1 else f"{need.payments} payments take"


def _step(chunk: Chunk, genesis: Genesis, fee_rate: int, tail: bytes) -> _Step:
    outputs = payment_outputs(chunk, genesis, 0, tail)
    inputs_max = min(inputs_that_fit(outputs, genesis), INPUTS_MAX)
    return _Step(chunk.total, base_size(outputs), inputs_max, fee_rate)


def _pay(steps: Sequence[_Step], purse: Purse, one_input: int) -> list[int] | None:
    """Return each payment's fee, or None when the purse does not last; the change is the next baton."""
    held, at = purse.baton, 0
    fees: list[int] = []
    for step in steps:
        cost = one_input * step.fee_rate // 1_000
        taken = [amount for amount in purse.coins[at : at + step.inputs_max - 1] if amount > cost]
        at += len(taken)
        fee = -(-(step.size + (1 + len(taken)) * one_input) * step.fee_rate // 1_000)
        held += sum(taken) - step.paid - fee
        if held < CHANGE_MIN:
            return None
        fees.append(fee)
    return fees


def _fees(steps: Sequence[_Step], purse: Purse, one_input: int) -> int:
    """Return what the payments cost together, out of a purse that lasts at the highest fee."""
    fees = _pay(steps, purse, one_input)
    if fees is None:
        raise AssertionError("what lasts at the highest fee does not last at a lower one")
    return sum(fees)


def _shortfall(steps: Sequence[_Step], purse: Purse, one_input: int) -> int:
    """Return the least amount of one further output with which the purse lasts; 0 when it does as it is."""
    if _pay(steps, purse, one_input) is not None:
        return 0
    low, high = 0, sum(_most(step, one_input) for step in steps) + CHANGE_MIN
    while high - low > 1:
        middle = (low + high) // 2
        if _pay(steps, _with_output(purse, middle), one_input) is None:
            low = middle
        else:
            high = middle
    return high


def _most(step: _Step, one_input: int) -> int:
    """Return more than a payment can take, its fee and the worth of an input that is left alone included."""
    return step.paid + (step.size + (step.inputs_max + 2) * one_input) * step.fee_rate // 1_000 + 1


def _with_output(purse: Purse, amount: int) -> Purse:
    return Purse(purse.baton, tuple(sorted((*purse.coins, amount), reverse=True)))
