"""A list is paid whole or waits whole: what is still needed is what building then takes, to the zatoshi."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.rules import DEVNET as DEVNET_RULES
from protocol.chain.rules import LITECOIN_REGTEST, ZEN_MAINNET
from protocol.chain.transaction import Transaction
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidPayment, RequestError
from protocol.genesis import Genesis
from protocol.payout.inspection import inspect_payment
from protocol.payout.need import Need, Purse, check_funded, compute_need, make_purse
from protocol.payout.payment import (
    CHANGE_MIN,
    ENTRIES_MAX,
    FEE_RATE_MAX,
    INPUTS_MAX,
    Chunk,
    build_payment,
    input_size,
    split_chunks,
)
from protocol.units import COIN
from tests.support.payout_world import devnet_world, make_genesis, many_entries_world, verified_first
from tests.support.treasury_ledger import TreasuryLedger

SMALL = verified_first(devnet_world())
LARGE = verified_first(many_entries_world(2 * ENTRIES_MAX + 4))
GENESIS = LARGE.genesis
ONE, THREE = split_chunks(SMALL), split_chunks(LARGE)
ONE_INPUT = input_size(GENESIS)

rates = st.sampled_from([0, 1, 999, 1_000, 5_431, FEE_RATE_MAX])
amounts = st.one_of(st.integers(1, 60_000), st.integers(1, 20 * COIN))


def purse_of(ledger: TreasuryLedger) -> Purse:
    return make_purse(ledger.baton(), ledger.unspent(), ledger.genesis, ledger.tip_height)


def need_of(ledger: TreasuryLedger, chunks: tuple[Chunk, ...], fee_rate: int) -> Need:
    return compute_need(chunks, ledger.genesis, purse_of(ledger), fee_rate=fee_rate)


def build(ledger: TreasuryLedger, chunk: Chunk, fee_rate: int) -> Transaction:
    height = ledger.tip_height
    return build_payment(
        chunk, ledger.genesis, ledger.baton(), ledger.unspent(), tip_height=height, fee_rate=fee_rate
    )


def pay_all(ledger: TreasuryLedger, chunks: tuple[Chunk, ...], fee_rates: list[int]) -> int:
    """Build and mine every chunk, and return the fees."""
    fees = 0
    for chunk, fee_rate in zip(chunks, fee_rates, strict=True):
        transaction = build(ledger, chunk, fee_rate)
        held = sum(ledger.outputs[spent.previous][0].amount for spent in transaction.inputs)
        fees += held - sum(output.amount for output in transaction.outputs)
        ledger.mine(transaction)
    return fees


def ledger_with(coins: list[int], baton: int, genesis: Genesis = GENESIS) -> TreasuryLedger:
    ledger = TreasuryLedger(genesis, baton_amount=baton)
    for coin in coins:
        ledger.fund(coin)
    return ledger


@settings(max_examples=40, deadline=None)
@given(st.lists(amounts, max_size=120), st.integers(1, 20 * COIN), rates, st.tuples(rates, rates))
def test_the_shortfall_is_exact_whatever_later_fees_are(
    coins: list[int], baton: int, first: int, later: tuple[int, int]
) -> None:
    """With one more output of the shortfall all are built, at any later fee; with a zatoshi less it waits."""
    ledger = ledger_with(coins, baton)
    need = need_of(ledger, THREE, first)
    if need.shortfall:
        almost = ledger_with([*coins, need.shortfall - 1], baton)
        with pytest.raises(RequestError, match="waits whole|gather them first"):
            check_funded(need_of(almost, THREE, first), purse_of(almost))
        ledger.fund(need.shortfall)
    full = need_of(ledger, THREE, first)
    assert full.shortfall == 0 and (full.fees, full.total) == (need.fees, need.total)
    check_funded(full, purse_of(ledger))
    pay_all(ledger, THREE, [first, *later])


@settings(max_examples=40, deadline=None)
@given(st.lists(amounts, max_size=120), rates)
def test_fees_are_those_of_what_is_built(coins: list[int], fee_rate: int) -> None:
    ledger = ledger_with(coins, 30 * COIN)
    need = need_of(ledger, THREE, fee_rate)
    assert need.to_pay == LARGE.header.paid_total and need.shortfall == 0
    assert pay_all(ledger, THREE, [fee_rate] * 3) == need.fees
    assert need.total == need.to_pay + need.fees + need.reserve + CHANGE_MIN


@given(rates)
def test_one_payment_needs_exactly_what_it_takes(fee_rate: int) -> None:
    """Nothing is held back where nothing follows: the last payment leaves the least change."""
    need = compute_need(ONE, GENESIS, Purse(0, ()), fee_rate=fee_rate)
    exact = compute_need(ONE, GENESIS, Purse(1_000 * COIN, ()), fee_rate=fee_rate).total
    ledger = ledger_with([], exact)
    assert need.reserve == 0 and need_of(ledger, ONE, fee_rate).shortfall == 0
    assert build(ledger, ONE[0], fee_rate).outputs[1].amount == CHANGE_MIN
    with pytest.raises(RequestError, match="short of 0.00000001"):
        build(ledger_with([], exact - 1), ONE[0], fee_rate)


def test_nothing_is_needed_for_nothing() -> None:
    need = compute_need((), GENESIS, Purse(5, ()), fee_rate=1_000)
    assert (need.payments, need.total, need.shortfall, need.gather) == (0, 0, 0, False)


def test_what_is_not_buried_is_not_counted() -> None:
    ledger = ledger_with([COIN], CHANGE_MIN)
    ledger.fund(50 * COIN, height=ledger.tip_height)
    assert purse_of(ledger) == Purse(CHANGE_MIN, (COIN,))
    assert need_of(ledger, ONE, 1_000).shortfall > 0


def test_many_small_outputs_are_gathered_first() -> None:
    """The sum would do, but a payment spends 50 of them: the list waits, and the sentence says what helps."""
    small = LARGE.header.paid_total // (4 * INPUTS_MAX)
    ledger = ledger_with([small] * (5 * INPUTS_MAX), CHANGE_MIN)
    need = need_of(ledger, THREE, 1_000)
    assert need.gather and need.shortfall > 0
    with pytest.raises(RequestError, match="gather them first"):
        check_funded(need, purse_of(ledger))


def test_the_sentence_says_what_lacks() -> None:
    ledger = ledger_with([], COIN)
    need = need_of(ledger, THREE, 1_000)
    with pytest.raises(RequestError) as error:
        check_funded(need, purse_of(ledger))
    assert str(error.value) == (
        f"the treasury is short of {need.shortfall / COIN:.8f}: the list's 3 payments take "
        f"{need.total / COIN:.8f} with fees and change, 1.00000000 can be spent now; an under-funded list "
        "waits whole"
    )


def test_a_first_payment_that_leaves_too_little_is_not_signed() -> None:
    """Whoever built it with another tool: each paymaster's own node knows what is left for the others."""
    ledger = ledger_with([], 1_000 * COIN)
    need = need_of(ledger, THREE, 1_000)
    for amount, ok in ((need.total, True), (need.total - 1, False)):
        poor = ledger_with([], amount)
        payment = build(poor, THREE[0], 1_000)
        if ok:
            inspect_payment(payment, LARGE, poor.view(payment))
            continue
        with pytest.raises(InvalidPayment, match="leave its list half paid: for the other 2 pay"):
            inspect_payment(payment, LARGE, poor.view(payment))


def test_what_the_first_payment_spends_is_not_counted_again() -> None:
    ledger = ledger_with([], 1_000 * COIN)
    need = need_of(ledger, THREE, 1_000)
    poor = ledger_with([need.total // 2], need.total // 2)
    payment = build(poor, THREE[0], 1_000)
    with pytest.raises(InvalidPayment, match="half paid"):
        inspect_payment(payment, LARGE, poor.view(payment))


def test_a_half_paid_list_goes_on_with_what_there_is() -> None:
    """What has begun does not wait for the rest: each payment is due as soon as it can be paid itself."""
    ledger = ledger_with([], 1_000 * COIN)
    ledger.mine(build(ledger, THREE[0], 1_000))
    lost = ledger.trail().baton
    output, height = ledger.outputs[lost]
    ledger.outputs[lost] = (replace(output, amount=THREE[1].total + 100_000), height)
    assert need_of(ledger, THREE[1:], 1_000).shortfall > 0
    payment = build(ledger, THREE[1], 1_000)
    assert inspect_payment(payment, LARGE, ledger.view(payment)).chunk == 1


@pytest.mark.parametrize("rules", [DEVNET_RULES, LITECOIN_REGTEST, ZEN_MAINNET])
def test_an_output_worth_less_than_its_input_is_left_alone(rules: object) -> None:
    genesis = replace_fields(make_genesis(), chain=rules)
    cost = input_size(genesis) * FEE_RATE_MAX // 1_000
    alone = compute_need(ONE, genesis, Purse(100 * COIN, ()), fee_rate=FEE_RATE_MAX)
    assert compute_need(ONE, genesis, Purse(100 * COIN, (cost,)), fee_rate=FEE_RATE_MAX) == alone
    more = compute_need(ONE, genesis, Purse(100 * COIN, (cost + 1,)), fee_rate=FEE_RATE_MAX)
    assert more.fees > alone.fees
