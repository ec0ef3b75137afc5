"""When an entry could be too small to be relayed: the numbers on the page, computed."""

import pytest

from protocol.chain.rules import ZEN_MAINNET, block_subsidy
from protocol.parameters import ZEN
from protocol.payout.formula import divide_pool, period_pool
from protocol.payout.list_file import LIST_FILE_SIZE_MAX
from protocol.payout.payment import CHANGE_MIN

MEMBER_BYTES_MIN = 1 + (2 + 32) + 1 + (2 + 32) + 1 + 9
"""Array, operator key, age, name, prefix, joined."""
MEMBERS_MAX = LIST_FILE_SIZE_MAX // MEMBER_BYTES_MIN
CHALLENGES = 2 * ZEN.period_blocks // ZEN.challenge_every
"""A period's, and as many late ones."""
ZEND, LITECOIND = 66, 5_460


def per_response(halving: int, responses: int) -> int:
    first = ZEN_MAINNET.slow_start // 2 + halving * ZEN_MAINNET.halving_interval
    pool = period_pool(ZEN_MAINNET, first, first + ZEN.period_blocks - 1)
    return divide_pool(pool, responses)[0]


def test_the_largest_list() -> None:
    assert MEMBERS_MAX < 105_000
    assert per_response(0, 105_000 * CHALLENGES) == 120_000
    assert block_subsidy(ZEN_MAINNET, ZEN_MAINNET.halving_interval * 11) > 0


@pytest.mark.parametrize(
    ("dust", "responses", "halving"),
    [
        (ZEND, 105_000 * CHALLENGES, 11),
        (LITECOIND, 105_000 * CHALLENGES, 5),
        (ZEND, 10_000 * CHALLENGES // 2, 16),
        (LITECOIND, 10_000 * CHALLENGES // 2, 9),
    ],
)
def test_no_entry_is_dust_before_this_halving(dust: int, responses: int, halving: int) -> None:
    found = next(number for number in range(64) if per_response(number, responses) < dust)
    assert found == halving


def test_the_change_is_never_dust() -> None:
    assert CHANGE_MIN > LITECOIND
