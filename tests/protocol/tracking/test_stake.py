"""The stake: the lowest balance over every height from anchor to close."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import NotYetKnown
from protocol.parameters import DEVNET
from protocol.tracking.challenge import derive_challenge
from protocol.tracking.stake import stake_over_window
from protocol.units import COIN
from tests.support.chain_view import MINER, MemoryChain

OWNER, OTHER = b"\x00" + b"o" * 20, b"\x00" + b"p" * 20
STAKE = DEVNET.stake


def chain_that_moves(at: int, back: int | None = None) -> MemoryChain:
    """The owner gets its stake in block 1, moves it away in block `at` and has it back in block `back`."""
    chain = MemoryChain()
    chain.mine(pay=((OWNER, STAKE),))
    for height in range(2, 31):
        if height == at:
            chain.mine(chain.spend(OWNER, ((OTHER, STAKE),)))
        elif height == back:
            chain.mine(chain.spend(OTHER, ((OWNER, STAKE),)))
        else:
            chain.mine()
    return chain


def stake(chain: MemoryChain, owner: bytes = OWNER) -> int:
    return stake_over_window(chain, owner, derive_challenge(2, chain, DEVNET), DEVNET)


@pytest.mark.parametrize("at", range(2, 31))
def test_moving_the_stake_at_any_height_of_the_window_is_seen(at: int) -> None:
    """Anchor 16, close 20: what is there at the end of each of these blocks counts."""
    assert stake(chain_that_moves(at)) == (STAKE if at > 20 else 0)


@pytest.mark.parametrize(("at", "back"), [(16, 17), (17, 18), (19, 20), (20, 21), (15, 17)])
def test_lending_it_for_a_block_is_seen(at: int, back: int) -> None:
    assert stake(chain_that_moves(at, back)) == 0


@pytest.mark.parametrize(("at", "back"), [(14, 16), (10, 15), (21, 22)])
def test_what_happens_outside_the_window_is_nobodys_business(at: int, back: int) -> None:
    assert stake(chain_that_moves(at, back)) == STAKE


def test_the_same_coins_never_count_for_two() -> None:
    for at in range(2, 31):
        chain = chain_that_moves(at)
        assert stake(chain, OWNER) + stake(chain, OTHER) <= STAKE


def test_nobody_is_judged_before_the_close_is_buried() -> None:
    chain = MemoryChain()
    chain.mine_to(22)
    assert stake(chain) == 0
    chain.disconnect()
    with pytest.raises(NotYetKnown):
        stake(chain)


@given(st.lists(st.integers(1, 9 * COIN), min_size=1, max_size=12))
def test_it_is_the_lowest_of_all_balances(amounts: list[int]) -> None:
    chain = MemoryChain()
    for height, amount in enumerate(amounts * 3):
        spent = chain.balance(OWNER, chain.tip()[0])
        moved = [chain.spend(OWNER, ((MINER, spent),))] if height % 4 == 3 and spent else []
        chain.mine(*moved, pay=((OWNER, amount),))
    chain.mine_to(30)
    assert stake(chain) == min(chain.balance(OWNER, height) for height in (16, 17, 18, 19, 20))
