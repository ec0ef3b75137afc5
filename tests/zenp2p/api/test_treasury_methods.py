"""What others paid the treasury, told of one branch however the chain moves while it is looked up."""

from typing import Any

import pytest
import trio

from protocol.units import COIN
from tests.support.embedded_chain import Branch
from tests.support.treasury_chain import RealNode
from tests.zenp2p.test_paymaster_on_chain import GENESIS
from zenp2p.api import treasury_methods
from zenp2p.api.errors import NotReady
from zenp2p.api.methods import NoParams
from zenp2p.api.treasury_methods import TreasuryMethods


def two_branches() -> tuple[RealNode, Branch]:
    """Return a node whose last block pays into the treasury, and a longer branch without that."""
    node = RealNode(GENESIS)
    node.grow(4)
    other = node.branch.fork(4)
    node.deposit(3 * COIN)
    other.grow(3, salt=9)
    return node, other


def test_a_branch_that_comes_meanwhile_leaves_nothing_of_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treasury_methods, "CHANGES_AT_ONCE", 1)
    node, other = two_branches()
    methods = TreasuryMethods(node.rpc.context)
    assert trio.run(methods.deposits, NoParams()) != []

    async def moved() -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            return await methods.deposits(NoParams())

    async def take() -> None:
        node.take(other)

    assert trio.run(moved) == [] == trio.run(methods.deposits, NoParams())


def test_blocks_that_come_meanwhile_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treasury_methods, "CHANGES_AT_ONCE", 1)
    node, _ = two_branches()
    methods = TreasuryMethods(node.rpc.context)
    before = trio.run(methods.deposits, NoParams())

    async def grown() -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grow)
            return await methods.deposits(NoParams())

    async def grow() -> None:
        node.grow(1)

    assert trio.run(grown) == before != trio.run(methods.deposits, NoParams())


def test_a_chain_that_never_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treasury_methods, "CHANGES_AT_ONCE", 1)
    node, _ = two_branches()
    monkeypatch.setattr(node.index, "block_hash", lambda height: bytes(32))
    with pytest.raises(NotReady, match="branch"):
        trio.run(TreasuryMethods(node.rpc.context).deposits, NoParams())
