"""The pool: what it keeps can be mined in its order, and it has limits."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction
from protocol.errors import InvalidChainData
from protocol.units import COIN
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import Change
from zenp2p.chain.embedded.coinbase import build_coinbase
from zenp2p.chain.embedded.mempool import ANCESTORS_MAX, Mempool, PoolPolicy, Refused
from zenp2p.chain.embedded.miner import build_template

ALICE, BOB = made.address_of("alice"), made.address_of("bob")
PARTS = 20
PART = 10 * COIN


class Pool:
    """A chain in which alice has many coins, and a pool on it."""

    def __init__(self, policy: PoolPolicy | None = None) -> None:
        self.definition = made.definition([(ALICE, PART)] * PARTS)
        self.branch = made.Branch(self.definition)
        self.chain = made.opened(self.definition)
        self.pool = Mempool(self.chain, policy)

    def payment(self, part: int, fee: int = 0, outputs: int = 1) -> Transaction:
        """Return a payment of one of alice's coins to bob."""
        coin = made.allocation(self.definition, 2 + part)
        amounts = [PART - fee - (outputs - 1), *[1] * (outputs - 1)]
        return made.pay("alice", [coin], [(BOB, amount) for amount in amounts])

    def child(self, parent: Transaction, fee: int = 0, index: int = 0) -> Transaction:
        """Return a payment that spends another one's output, bob to bob."""
        amount = parent.outputs[index].amount - fee
        return made.pay("bob", [(OutPoint(parent.txid, index), address_script(BOB))], [(BOB, amount)])

    def keep(self, *transactions: Transaction) -> None:
        """Have the pool accept them."""
        for tx in transactions:
            assert self.pool.accept(tx.raw) is not None

    def mine(self, transactions: Sequence[Transaction] = (), fees: int = 0, salt: int = 0) -> None:
        """Connect a block with these transactions."""
        self.branch.grow(1, transactions, fees=fees, salt=salt)
        self.pool.apply(self.chain.add_block(self.branch.blocks[-1].raw, made.far_future()))

    def ids(self) -> list[bytes]:
        """Return what is kept, in order."""
        return [entry.txid for entry in self.pool]


@pytest.fixture
def kept() -> Pool:
    """An empty pool."""
    return Pool()


class TestAccepting:
    """What is kept and what is not."""

    def test_a_witness_is_refused_also_of_a_transaction_that_is_kept(self, kept: Pool) -> None:
        tx = kept.payment(0)
        witnessed = replace(tx, witness=((b"\x01",),)).raw
        with pytest.raises(InvalidChainData, match="witness"):
            kept.pool.accept(witnessed)
        kept.keep(tx)
        with pytest.raises(InvalidChainData, match="witness"):
            kept.pool.accept(witnessed)
        assert kept.ids() == [tx.txid]

    def test_a_payment_is_kept_with_its_fee(self, kept: Pool) -> None:
        tx = kept.payment(0, fee=500)
        kept.keep(tx)
        entry = kept.pool.get(tx.txid)
        assert entry is not None and entry.fee == 500 and entry.size == len(tx.raw)
        assert kept.pool.spender(tx.inputs[0].previous) == tx.txid
        assert kept.pool.coin(tx.inputs[0].previous) is None
        assert kept.pool.coin(OutPoint(tx.txid, 0)) is not None
        assert kept.pool.coin(OutPoint(tx.txid, 1)) is None

    def test_the_same_twice_is_kept_once(self, kept: Pool) -> None:
        kept.keep(kept.payment(0))
        assert kept.pool.accept(kept.payment(0).raw) is None
        assert len(kept.pool) == 1

    def test_a_conflict_is_refused_whatever_it_pays(self, kept: Pool) -> None:
        kept.keep(kept.payment(0))
        with pytest.raises(Refused, match="spent already"):
            kept.pool.accept(kept.payment(0, fee=COIN).raw)

    def test_children_of_unmined_payments_are_kept(self, kept: Pool) -> None:
        parent = kept.payment(0)
        child = kept.child(parent)
        with pytest.raises(Refused, match="not known here"):
            kept.pool.accept(child.raw)
        kept.keep(parent, child)
        assert kept.ids() == [parent.txid, child.txid]

    def test_long_unmined_chains_are_refused(self, kept: Pool) -> None:
        last = kept.payment(0)
        kept.keep(last)
        for _ in range(ANCESTORS_MAX):
            last = kept.child(last)
            kept.keep(last)
        with pytest.raises(Refused, match="rests on more than"):
            kept.pool.accept(kept.child(last).raw)

    def test_too_small_a_fee_is_refused(self) -> None:
        kept = Pool(PoolPolicy(fee_per_kilobyte=1_000))
        size = len(kept.payment(0).raw)
        with pytest.raises(Refused, match="below 1000"):
            kept.pool.accept(kept.payment(0, fee=size - 2).raw)
        kept.keep(kept.payment(0, fee=size + 2))

    def test_an_output_of_nothing_is_refused(self, kept: Pool) -> None:
        coin = made.allocation(kept.definition, 2)
        with pytest.raises(Refused, match="nothing"):
            kept.pool.accept(made.pay("alice", [coin], [(BOB, 0), (ALICE, PART)]).raw)

    def test_what_the_next_block_cannot_hold_is_refused_without_blame(self, kept: Pool) -> None:
        kept.mine()
        young = made.pay("miner", [kept.branch.coinbase_output(1)], [(BOB, 1)])
        with pytest.raises(Refused, match="blocks on top"):
            kept.pool.accept(young.raw)

    def test_a_broken_rule_is_no_mere_refusal(self, kept: Pool) -> None:
        greedy = made.pay("alice", [made.allocation(kept.definition, 2)], [(BOB, PART + 1)])
        for raw in (greedy.raw, b"nonsense", build_coinbase(kept.definition, 1, 0, BOB, 0).raw):
            with pytest.raises(InvalidChainData) as caught:
                kept.pool.accept(raw)
            assert not isinstance(caught.value, Refused)
        assert len(kept.pool) == 0


class TestLimits:
    """Count, bytes, blocks of waiting."""

    def test_when_full_the_cheapest_goes(self) -> None:
        kept = Pool(PoolPolicy(count_max=3))
        cheap, middle, dear = kept.payment(0, 10), kept.payment(1, 2_000), kept.payment(2, 3_000)
        kept.keep(cheap, middle, dear)
        with pytest.raises(Refused, match="pays as much"):
            kept.pool.accept(kept.payment(3, 10).raw)
        better = kept.payment(3, 2_500)
        kept.keep(better)
        assert set(kept.ids()) == {middle.txid, dear.txid, better.txid}

    def test_what_goes_takes_its_children_along(self) -> None:
        kept = Pool(PoolPolicy(count_max=3))
        parent = kept.payment(0, 10)
        kept.keep(parent, kept.child(parent, 5_000), kept.payment(1, 4_000))
        kept.keep(kept.payment(2, 1_000))
        assert parent.txid not in kept.pool and len(kept.pool) == 2

    def test_room_is_not_made_of_what_one_rests_on(self) -> None:
        kept = Pool(PoolPolicy(count_max=1))
        parent = kept.payment(0, 10)
        kept.keep(parent)
        with pytest.raises(Refused, match="rests on"):
            kept.pool.accept(kept.child(parent, 5_000).raw)
        assert kept.ids() == [parent.txid]

    def test_bytes_are_counted(self) -> None:
        kept = Pool(PoolPolicy(bytes_max=1_000))
        small = kept.payment(0, 10)
        kept.keep(small)
        with pytest.raises(Refused, match="full"):
            kept.pool.accept(kept.payment(1, 5, outputs=20).raw)
        with pytest.raises(Refused, match="full"):
            kept.pool.accept(kept.payment(1, COIN, outputs=60).raw)
        kept.keep(kept.payment(1, COIN, outputs=20))
        assert small.txid not in kept.pool

    def test_what_waits_too_long_is_forgotten(self) -> None:
        kept = Pool(PoolPolicy(lifetime=2))
        tx = kept.payment(0)
        kept.keep(tx)
        for _ in range(2):
            kept.mine()
        assert kept.ids() == [tx.txid]
        kept.mine()
        assert kept.ids() == []
        kept.keep(kept.payment(0, fee=9))  # now another version of the payment has its turn


class TestFollowing:
    """The pool after blocks come and go."""

    def test_mined_and_conflicting_payments_leave(self, kept: Pool) -> None:
        mined, conflicting = kept.payment(0), kept.payment(1)
        kept.keep(mined, conflicting, kept.child(conflicting), kept.payment(2))
        kept.mine([mined, kept.payment(1, fee=0, outputs=2)])
        assert kept.ids() == [kept.payment(2).txid]

    def test_a_reorganisation_brings_payments_back(self, kept: Pool) -> None:
        parent = kept.payment(0)
        child, other = kept.child(parent), kept.payment(1)
        kept.keep(parent, child, other)
        fork = kept.branch.fork(0)
        kept.mine([parent, child])
        fork.grow(2, salt=1)
        for block in fork.blocks[1:]:
            kept.pool.apply(kept.chain.add_block(block.raw, made.far_future()))
        assert kept.ids() == [parent.txid, child.txid, other.txid]

    def test_after_a_reorganisation_conflicts_with_the_new_branch_are_gone(self, kept: Pool) -> None:
        mine, rival = kept.payment(0), kept.payment(0, outputs=2)
        fork = kept.branch.fork(0)
        kept.mine([mine])
        kept.keep(kept.child(mine))
        fork.grow(2, [rival], salt=1)
        for block in fork.blocks[1:]:
            kept.pool.apply(kept.chain.add_block(block.raw, made.far_future()))
        assert kept.ids() == []

    def test_nothing_happens_without_a_change(self, kept: Pool) -> None:
        before = kept.pool.version
        kept.pool.apply(Change())
        assert kept.pool.version == before


class TestSelecting:
    """What a block takes."""

    def test_best_payers_first_and_parents_before_children(self, kept: Pool) -> None:
        parent, other = kept.payment(0, 100), kept.payment(1, 500)
        child = kept.child(parent, 9_000)
        kept.keep(parent, child, other)
        assert [entry.txid for entry in kept.pool.select(10_000)] == [other.txid, parent.txid, child.txid]

    def test_a_child_waits_for_all_its_parents(self, kept: Pool) -> None:
        dear, cheap = kept.payment(0, 5_000), kept.payment(1, 10)
        points = [(OutPoint(parent.txid, 0), address_script(BOB)) for parent in (dear, cheap)]
        child = made.pay("bob", points, [(BOB, PART)])
        kept.keep(dear, cheap, child)
        assert [entry.txid for entry in kept.pool.select(10_000)] == [dear.txid, cheap.txid, child.txid]

    def test_what_does_not_fit_stays_with_its_children(self, kept: Pool) -> None:
        large, small = kept.payment(0, 9_000, outputs=30), kept.payment(1, 10)
        kept.keep(large, kept.child(large), small)
        chosen = kept.pool.select(len(large.raw) - 1)
        assert [entry.txid for entry in chosen] == [small.txid]

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, PARTS - 1), st.integers(0, 9), st.booleans()), max_size=20),
        st.integers(0, 3_000),
    )
    def test_a_selection_is_always_a_valid_block(self, draws: list[tuple[int, int, bool]], size: int) -> None:
        kept = Pool()
        made_so_far: list[Transaction] = []
        for choice, fee, on_top in draws:
            parents = [tx for tx in made_so_far if kept.pool.coin(OutPoint(tx.txid, 0)) is not None]
            tx = (
                kept.child(parents[choice % len(parents)], fee)
                if on_top and parents
                else kept.payment(choice, fee)
            )
            if kept.pool.coin(tx.inputs[0].previous) is not None:
                kept.keep(tx)
                made_so_far.append(tx)
        assert sum(entry.size for entry in kept.pool.select(size)) <= size
        template = build_template(kept.chain, kept.pool, BOB, made.START + 5)
        assert len(template.transactions) == 1 + len(kept.pool)
        kept.pool.apply(kept.chain.add_block(made.mined(kept.definition, template).raw, made.far_future()))
        assert kept.chain.tip()[0] == 1 and len(kept.pool) == 0
