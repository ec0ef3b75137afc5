"""Cycles are searched for seldom while a run goes on, and as before after it."""

import gc

import pytest

from simulations.collecting import YOUNG, rare_collections


def test_everything_is_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] == YOUNG > before[0]
    assert gc.get_threshold() == before
    with pytest.raises(ZeroDivisionError), rare_collections():
        _ = 1 // 0
    assert gc.get_threshold() == before
