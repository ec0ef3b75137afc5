"""`treasury status` against a ledger and against the embedded chain: sums, chunks, deposits."""

from protocol.payout.payment import CHANGE_MIN, ENTRIES_MAX
from protocol.units import COIN
from tests.support.ledger_node import LedgerNode
from tests.support.payout_world import (
    PAYMASTERS,
    devnet_world,
    many_entries_world,
    verified_first,
    verified_next,
)
from tests.support.treasury_chain import RealNode, chain_genesis
from tests.support.treasury_ledger import TreasuryLedger
from zenp2p.paymaster import Paymaster, combine_files
from zenp2p.treasury_status import ListStatus, read_status

LARGE = verified_first(many_entries_world(ENTRIES_MAX + 200))
GENESIS = LARGE.genesis


def node_with(baton: int = 1_000 * COIN) -> LedgerNode:
    return LedgerNode(TreasuryLedger(GENESIS, baton_amount=baton))


def list_status(node: LedgerNode) -> ListStatus:
    found = read_status(GENESIS, node, LARGE).list
    assert found is not None
    return found


def pay_next(node: LedgerNode) -> str:
    paymaster = Paymaster(GENESIS, node)
    file = paymaster.build(LARGE)
    signed = [paymaster.sign(file, LARGE, secret) for secret in PAYMASTERS[:2]]
    sent = paymaster.broadcast(combine_files(signed, GENESIS), LARGE)
    node.mine()
    return sent.txid


def test_the_balance_counts_every_output() -> None:
    """Far more than one answer holds, and an outpoint at the border of two pages counts once."""
    node = node_with()
    for number in range(2_345):
        node.ledger.fund(number + 1)
    node.ledger.fund(7 * COIN, height=node.ledger.tip_height)
    for node.page in (1_000, 999, 100):
        balance = read_status(GENESIS, node, None).balance
        assert balance.outputs == 2_347
        assert balance.spendable == 1_000 * COIN + 2_345 * 2_346 // 2
        assert balance.waiting == 7 * COIN


def test_chunks_go_from_waiting_to_mined() -> None:
    node = node_with()
    states = [[chunk.state for chunk in list_status(node).chunks]]
    txids = []
    for _ in range(2):
        txids.append(pay_next(node))
        states.append([chunk.state for chunk in list_status(node).chunks])
    assert states == [["next", "waiting"], ["mined", "next"], ["mined", "mined"]]
    found = list_status(node)
    assert [chunk.txid for chunk in found.chunks] == txids
    assert [chunk.depth for chunk in found.chunks] == [2, 1]
    assert [chunk.height for chunk in found.chunks] == [501, 502]
    assert (found.need.total, found.need.shortfall, found.payable, found.problem) == (0, 0, False, "")


def test_a_list_whose_turn_has_not_come_says_so() -> None:
    world = devnet_world()
    first = verified_first(world)
    world.state = world.list().state
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    second = verified_next(world, first)
    node = LedgerNode(TreasuryLedger(first.genesis))
    found = read_status(first.genesis, node, second).list
    assert found is not None
    assert [chunk.state for chunk in found.chunks] == ["waiting"] and not found.payable
    assert found.problem == "the list of period 1 comes first: 0 of its 1 payments are mined"


def test_a_deposit_of_the_shortfall_makes_the_list_payable() -> None:
    """First it is seen, then it is buried: only then the list begins."""
    node = node_with(baton=5 * COIN)
    short = list_status(node).need.shortfall
    assert short > 0 and not list_status(node).payable and not list_status(node).covered_when_buried
    node.ledger.fund(short, height=node.ledger.tip_height)
    waiting = list_status(node)
    assert (waiting.payable, waiting.covered_when_buried, waiting.need.shortfall) == (False, True, short)
    node.ledger.tip_height += 100
    buried = list_status(node)
    assert (buried.payable, buried.covered_when_buried, buried.need.shortfall) == (True, True, 0)
    assert [pay_next(node) != "" for _ in range(2)] == [True, True]


def test_a_half_paid_list_is_payable_chunk_by_chunk() -> None:
    node = node_with()
    pay_next(node)
    assert list_status(node).payable
    baton = node.ledger.trail().baton
    output, height = node.ledger.outputs[baton]
    node.ledger.outputs[baton] = (node.ledger.own_output(CHANGE_MIN), height)
    poor = list_status(node)
    assert not poor.payable and poor.need.shortfall > poor.need.to_pay - CHANGE_MIN


def test_deposits_are_what_others_paid_in() -> None:
    """Neither coinbase shares nor the treasury's own change and gatherings are deposits."""
    genesis = chain_genesis()
    node = RealNode(genesis)
    node.grow(4)
    paid_in = node.deposit(3 * COIN)
    paymaster = Paymaster(genesis, node)
    young = read_status(genesis, node, None)
    node.grow(6)
    file = paymaster.gather()
    signed = combine_files([paymaster.sign(file, None, secret) for secret in PAYMASTERS[:2]], genesis)
    old = read_status(genesis, node, None)
    paymaster.broadcast(signed, None)
    node.grow(1)
    spent = read_status(genesis, node, None)
    (deposit,) = young.deposits
    assert deposit == {
        "txid": paid_in.txid[::-1].hex(),
        "index": 1,
        "amount": 3 * COIN,
        "height": 5,
        "confirmations": 1,
        "buried": False,
        "spent_by": None,
    }
    assert old.deposits == ({**deposit, "confirmations": 7, "buried": True},)
    txid = paymaster.broadcast(signed, None).txid
    assert spent.deposits == ({**deposit, "confirmations": 8, "buried": True, "spent_by": txid},)
    assert old.balance.waiting == 3 * COIN * 125 // 100
