"""The pool of a period, and that dividing it loses and invents nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import rules
from protocol.codec import replace
from protocol.payout.formula import divide_pool, period_pool
from protocol.units import COIN
from tests.support.vectors import check_vectors

POOLS = st.integers(0, 21_000_000 * COIN)


@given(POOLS, st.integers(0, 10**6))
def test_paid_and_carried_are_the_pool(pool: int, responses: int) -> None:
    per_response, carried = divide_pool(pool, responses)
    assert responses * per_response + carried == pool
    assert per_response >= 0 and carried >= 0


@given(POOLS, st.integers(1, 10**6))
def test_what_is_carried_could_not_be_paid(pool: int, responses: int) -> None:
    """Nothing is held back: one zatoshi more for each response would overdraw the pool."""
    per_response, carried = divide_pool(pool, responses)
    assert carried < responses
    assert (per_response + 1) * responses > pool


@given(POOLS)
def test_without_responses_everything_is_carried(pool: int) -> None:
    assert divide_pool(pool, 0) == (0, pool)


@given(st.lists(st.tuples(POOLS, st.integers(0, 1_000)), max_size=20))
def test_over_many_periods_nothing_is_lost(periods: list[tuple[int, int]]) -> None:
    paid = carried = 0
    for rewards, responses in periods:
        per_response, carried_out = divide_pool(rewards + carried, responses)
        paid, carried = paid + responses * per_response, carried_out
    assert paid + carried == sum(rewards for rewards, _ in periods)


@pytest.mark.parametrize(("pool", "responses"), [(-1, 1), (1, -1)])
def test_nonsense_is_our_own_mistake(pool: int, responses: int) -> None:
    with pytest.raises(ValueError, match="responses"):
        divide_pool(pool, responses)


def test_the_devnet_example() -> None:
    """24 blocks of 0.4375 and 7 zatoshi carried in, over 12 responses."""
    pool = period_pool(rules.DEVNET, 24, 47) + 7
    assert pool == 24 * 43_750_000 + 7
    assert divide_pool(pool, 12) == (87_500_000, 7)


def test_a_week_of_zen() -> None:
    assert period_pool(rules.ZEN_MAINNET, 4_032, 8_063) == 1_764 * COIN


@given(st.integers(0, 3_000), st.integers(0, 200), st.integers(0, 200))
def test_neighbouring_periods_add_up(first: int, one: int, other: int) -> None:
    halving = replace(rules.DEVNET, halving_interval=50)
    whole = period_pool(halving, first, first + one + other - 1)
    assert whole == sum(
        period_pool(halving, low, high - 1)
        for low, high in ((first, first + one), (first + one, first + one + other))
    )


def test_the_share_follows_the_halving() -> None:
    """A fixed 0.4375 a block would overdraw the treasury from the first halving on."""
    halving = replace(rules.DEVNET, halving_interval=10)
    assert period_pool(halving, 8, 11) == 2 * 43_750_000 + 2 * 21_875_000


def test_the_first_block_pays_nobody() -> None:
    assert period_pool(rules.DEVNET, 0, 1) == period_pool(rules.DEVNET, 1, 1)


def test_each_height_is_rounded_by_itself() -> None:
    odd = replace(rules.DEVNET, initial_subsidy=99, node_reward_thousandths=35)
    assert period_pool(odd, 1, 10) == 10 * (99 * 35 // 1000) == 30


def test_vectors() -> None:
    produced = [
        {
            "rules": chain.name,
            "first_height": first,
            "last_height": last,
            "carried_in": carried_in,
            "responses": responses,
            "rewards": period_pool(chain, first, last),
            "per_response": divide_pool(period_pool(chain, first, last) + carried_in, responses)[0],
            "carried_out": divide_pool(period_pool(chain, first, last) + carried_in, responses)[1],
        }
        for chain, first, last, carried_in, responses in (
            (rules.DEVNET, 24, 47, 7, 12),
            (rules.DEVNET, 48, 71, 7, 0),
            (rules.DEVNET, 0, 23, 0, 11),
            (rules.ZEN_MAINNET, 4_032, 8_063, 0, 35_000),
            (rules.ZEN_MAINNET, 838_656, 842_687, 12_345, 34_999),
            (rules.ZEN_MAINNET, 1_680_000, 1_684_031, 1, 3),
        )
    ]
    check_vectors("payout", "pool", produced)
