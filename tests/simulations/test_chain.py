"""The simulated chain beside the plain model of the tests, on every branch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.script import address_script, script_address
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.units import COIN
from simulations.chain import MINER, SUBSIDY, SimulatedBlock, View, extend
from tests.support.chain_view import MemoryChain

ALICE, BOB = b"\x00" + b"\xaa" * 20, b"\x00" + b"\xbb" * 20


def spend(block: SimulatedBlock, owner: bytes, to: bytes, amount: int) -> Transaction:
    """Return a transaction that spends all of an owner's coins, the rest going back."""
    coins = block.unspent(owner)
    rest = sum(value for _, value, _ in coins) - amount
    outputs = [TxOutput(amount, address_script(to)), TxOutput(rest, address_script(owner))]
    return Transaction(1, tuple(TxInput(point) for point, _, _ in coins), tuple(outputs))


def grow(view: View, target: SimulatedBlock) -> int:
    """Move a view to a block; return the number of steps."""
    steps = 0
    while view.step_towards(target) is not None:
        steps += 1
    return steps


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * COIN)), max_size=12))
def test_it_answers_what_the_plain_model_answers(moves: list[tuple[bool, int]]) -> None:
    model = MemoryChain(blocks=[])
    first = extend(None, (), pay=[(ALICE, 40 * COIN), (BOB, COIN)])
    tip = first
    bodies = [first.transactions]
    for pays, amount in moves:
        chosen = [spend(tip, ALICE, BOB, amount)] if pays else []
        tip = extend(tip, chosen)
        bodies.append(tip.transactions)
    model = MemoryChain(blocks=[(block.hash, block.transactions) for block in reversed(list(tip.branch()))])
    view = View(tip)
    assert view.tip() == model.tip()
    for height in range(len(bodies)):
        assert view.block_hash(height) == model.block_hash(height)
        assert view.transaction_count(height) == model.transaction_count(height)
        for address in (ALICE, BOB, MINER):
            assert view.balance(address, height) == model.balance(address, height)
    for ordinal in range(view.transaction_count(tip.height)):
        assert view.transaction(ordinal) == model.transaction(ordinal)
    assert view.block_hash(tip.height + 1) is None and view.block_hash(-1) is None


def test_a_view_moves_over_the_common_ancestor_one_block_at_a_time() -> None:
    trunk = extend(extend(None, ()), ())
    old = extend(extend(trunk, ()), (), salt=b"old")
    new = extend(extend(extend(trunk, (), salt=b"new"), ()), ())
    view = View(old)
    way = []
    while (step := view.step_towards(new)) is not None:
        way.append((step[0], step[1].height))
    assert way == [(False, 3), (False, 2), (True, 2), (True, 3), (True, 4)]
    assert [view.block_hash(height) for height in range(5)] == [new.ancestor(at).hash for at in range(5)]
    assert grow(view, trunk) == 3 and view.block is trunk


def test_a_branch_accepts_what_it_has_unspent_and_no_more() -> None:
    first = extend(None, (), pay=[(ALICE, 2 * COIN)])
    paid = spend(first, ALICE, BOB, COIN)
    block = extend(first, [paid])
    assert first.accepts(paid) and not block.accepts(paid)
    assert block.spender(OutPoint(first.transactions[0].txid, 0)) is paid
    coin = block.coin(OutPoint(paid.txid, 0))
    assert coin is not None and (script_address(coin[0].script), coin[1]) == (BOB, 1)
    assert block.balance(ALICE) == block.balance(BOB) == COIN and block.balance(MINER) == SUBSIDY
    greedy = Transaction(1, paid.inputs, (TxOutput(3 * COIN, address_script(BOB)),))
    unknown = Transaction(1, (TxInput(OutPoint(bytes(32), 0)),), paid.outputs)
    assert not first.accepts(greedy) and not first.accepts(unknown)
    with pytest.raises(AssertionError):
        extend(first, [unknown])
