"""Entropy: which chain block it is, and how long a verdict is good for a move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import NotYetKnown
from protocol.group.entropy import entropy_height, is_fresh, move_entropy
from protocol.parameters import DEVNET, PRESETS, ZEN
from protocol.tracking.challenge import derive_challenge
from tests.support.chain_view import MemoryChain


def test_it_is_two_burials_above_the_close() -> None:
    assert entropy_height(1, DEVNET) == 8 + 4 + 2 * 2
    assert entropy_height(7, ZEN) == 7 * 576 + 24 + 2 * 100


def test_it_is_the_hash_of_that_block_and_not_known_before() -> None:
    chain = MemoryChain()
    chain.mine_to(15)
    with pytest.raises(NotYetKnown, match="chain block 16"):
        move_entropy(1, chain, DEVNET)
    chain.mine()
    assert move_entropy(1, chain, DEVNET) == chain.tip()[1]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_nobody_knows_it_when_the_challenge_can_first_be_judged(preset: str) -> None:
    parameters = PRESETS[preset]
    chain = MemoryChain()
    chain.mine_to(parameters.challenge_every)
    assert entropy_height(1, parameters) > derive_challenge(1, chain, parameters).judged_at


@given(seq=st.integers(1, 1 << 20), offset=st.integers(-3_000, 3_000))
def test_a_verdict_is_fresh_for_two_challenges(seq: int, offset: int) -> None:
    stamp = entropy_height(seq, ZEN) + offset
    assert is_fresh(seq, stamp, ZEN) == (0 <= offset < 2 * ZEN.challenge_every)
