"""Lookups of the index, its limits, and blocks that do not fit."""

import pytest

from protocol.chain.block import block_hash
from protocol.chain.multisig import sign_p2pkh_input
from protocol.chain.rules import ChainFamily
from protocol.chain.script import address_script, null_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, with_script_sig
from protocol.chain.view import ChainView
from protocol.errors import InvalidChainData
from protocol.units import COIN, Hash32
from tests.support import embedded_chain as made
from tests.support.chain_model import check_index
from zenp2p.chain.index import ChainIndex, Unspent
from zenp2p.chain.source import Connected, Disconnected
from zenp2p.ports import Store
from zenp2p.store import MemoryStore

ALICE, BOB, CAROL = (made.address_of(name) for name in ("alice", "bob", "carol"))


def indexed(branch: made.Branch, store: Store | None = None, first_height: int = 0) -> ChainIndex:
    """Return an index of the branch's blocks from a height on."""
    index = ChainIndex(store or MemoryStore(), made.RULES, first_height)
    for block in branch.blocks[first_height:]:
        index.connect(block_hash(block.header), block.raw)
    return index


def busy_branch() -> tuple[made.Branch, Transaction, Transaction]:
    """Return a branch with a payment at height 2 and one that spends it at height 4."""
    branch = made.Branch(made.definition())
    coin = made.allocation(branch.chain)
    first = made.pay("alice", [coin], [(BOB, 300 * COIN), (ALICE, 700 * COIN)])
    second = made.pay(
        "bob", [(OutPoint(first.txid, 0), address_script(BOB))], [(CAROL, 100 * COIN), (BOB, 200 * COIN)]
    )
    branch.grow(1)
    branch.grow(2, [first])
    branch.grow(2, [second])
    return branch, first, second


class TestLookups:
    """What the rules and wallets ask."""

    def test_it_is_a_chain_view(self) -> None:
        view: ChainView = indexed(busy_branch()[0])
        assert view.family is ChainFamily.BITCOIN

    def test_everything_agrees_with_a_replay(self) -> None:
        branch, _, _ = busy_branch()
        check_index(indexed(branch), branch.blocks)

    def test_a_transaction_by_id(self) -> None:
        branch, first, _ = busy_branch()
        index = indexed(branch)
        found = index.transaction_by_id(first.txid)
        assert found is not None and (found.height, found.ordinal, found.raw) == (2, 3, first.raw)
        assert index.transaction_by_id(bytes(32)) is None

    def test_an_output_and_what_spends_it(self) -> None:
        branch, first, second = busy_branch()
        index = indexed(branch)
        spent, kept = OutPoint(first.txid, 0), OutPoint(first.txid, 1)
        output = index.output(spent)
        assert output is not None
        assert (output.amount, output.address, output.height, output.coinbase) == (300 * COIN, BOB, 2, False)
        spending = index.spender(spent)
        assert spending is not None and (spending.txid, spending.input_index, spending.height) == (
            second.txid,
            0,
            4,
        )
        assert index.output(kept) is not None and index.spender(kept) is None
        assert (
            index.output(OutPoint(first.txid, 2)) is None and index.spender(OutPoint(first.txid, 2)) is None
        )

    def test_an_output_without_an_address_is_an_output_too(self) -> None:
        branch = made.Branch(made.definition())
        coin, script = made.allocation(branch.chain)
        tx = Transaction(
            1, (TxInput(coin),), (TxOutput(0, null_data(b"hello")), TxOutput(5, address_script(BOB)))
        )
        signature = sign_p2pkh_input(tx, 0, script, made.secret_of("alice"))
        tx = with_script_sig(tx, 0, signature)
        branch.grow(1, [tx], fees=1_000 * COIN - 5)
        output = indexed(branch).output(OutPoint(tx.txid, 0))
        assert output is not None and output.address is None and output.amount == 0

    def test_a_coinbase_is_marked(self) -> None:
        branch, _, _ = busy_branch()
        outpoint, _ = branch.coinbase_output(1)
        output = indexed(branch).output(outpoint)
        assert output is not None and output.coinbase

    def test_balances_change_at_the_height_of_the_change(self) -> None:
        branch, _, _ = busy_branch()
        index = indexed(branch)
        assert [index.balance(BOB, height) // COIN for height in range(6)] == [0, 0, 300, 300, 200, 200]
        assert index.balance(made.address_of("nobody"), 5) == 0

    def test_history_comes_in_pages(self) -> None:
        branch, _, _ = busy_branch()
        index = indexed(branch)
        whole = index.history(BOB)
        assert [(change.height, change.balance // COIN) for change in whole] == [(2, 300), (4, 200)]
        assert index.history(BOB, 0, 1) + index.history(BOB, 1, 1) == whole
        assert index.history(BOB, 2) == () == index.history(made.address_of("nobody"))
        account = index.account(BOB)
        assert account is not None and (account.changes, account.balance) == (2, 200 * COIN)

    def test_unspent_outputs_are_limited(self) -> None:
        branch = made.Branch(made.definition([(BOB, 1)] * 5))
        index = indexed(branch)
        assert len(index.unspent(BOB)) == 5
        assert index.unspent(BOB, 2) == index.unspent(BOB)[:2]
        assert index.unspent(made.address_of("nobody")) == ()

    def test_unspent_outputs_come_in_pages(self) -> None:
        """A page begins behind the last outpoint of the one before, also when that was spent meanwhile."""
        index = indexed(made.Branch(made.definition([(BOB, 1)] * 5)))
        whole = index.unspent(BOB)
        for size in range(1, 6):
            pages, after = list[Unspent](), None
            for _ in range(6):
                page = index.unspent(BOB, size, after)
                pages += page
                after = page[-1].outpoint if page else after
            assert tuple(pages) == whole
        between = OutPoint(whole[1].outpoint.txid, whole[1].outpoint.index + 1)
        assert index.unspent(BOB, 9, OutPoint(bytes(32), 0)) == whole
        assert index.unspent(BOB, 9, between) == tuple(
            coin for coin in whole if coin.outpoint.index > between.index
        )

    def test_outside_of_the_chain_there_is_nothing(self) -> None:
        branch, _, _ = busy_branch()
        index = indexed(branch)
        assert index.block_hash(6) is None and index.block_hash(-1) is None
        for ask in (
            lambda: index.transaction(index.transaction_count(5)),
            lambda: index.transaction_count(6),
            lambda: index.balance(BOB, 6),
            lambda: index.balance(BOB, -1),
            lambda: ChainIndex(MemoryStore(), made.RULES).tip(),
            lambda: ChainIndex(MemoryStore(), made.RULES).balance(BOB, 0),
        ):
            with pytest.raises(IndexError):
                ask()

    def test_a_balance_costs_a_logarithm_of_the_changes(self) -> None:
        """An address that changed 300 times is not scanned."""
        branch = made.Branch(made.definition())
        branch.grow(300)
        store = CountingStore()
        index = indexed(branch, store)
        miner = made.address_of("miner")
        worst = 0
        for height in range(301):
            store.reads = 0
            index.balance(miner, height)
            worst = max(worst, store.reads)
        assert worst <= 12
        store.reads = 0
        index.balance(miner, 300)
        assert store.reads == 1

    def test_a_transaction_costs_one_read(self) -> None:
        store = CountingStore()
        index = indexed(busy_branch()[0], store)
        store.reads = 0
        index.transaction(4)
        assert store.reads == 1


class CountingStore(MemoryStore):
    """Counts its reads."""

    reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)


class TestEvents:
    """The numbered series of events."""

    def test_events_are_numbered_and_kept(self) -> None:
        branch, _, _ = busy_branch()
        store = MemoryStore()
        index = indexed(branch, store)
        gone = index.disconnect()
        back = index.connect(gone.block_hash, branch.blocks[5].raw)
        assert gone == Disconnected(6, gone.height, gone.block_hash) and back.number == 7
        events = ChainIndex(store, made.RULES).events_from(5)
        assert events == (Connected(5, gone.height, gone.block_hash), gone, back)
        assert index.events_from(8) == () and len(index.events_from(0, 3)) == 3

    def test_the_first_block_stays(self) -> None:
        index = indexed(made.Branch(made.definition()))
        with pytest.raises(InvalidChainData, match="first block"):
            index.disconnect()


class TestMisfits:
    """Blocks that do not fit onto what is indexed change nothing."""

    @pytest.mark.parametrize("which", ["twice", "spent twice", "not on the chain"])
    def test_a_misfit_is_refused(self, which: str) -> None:
        branch, first, _ = busy_branch()
        store = MemoryStore()
        index = indexed(branch, store)
        before = dict(store.iterate(b"i"))
        misfit = made.Branch(branch.chain, list(branch.blocks))
        again = made.pay("alice", [made.allocation(branch.chain)], [(CAROL, 1)])
        unknown = made.pay("alice", [(OutPoint(b"?" * 32, 0), address_script(ALICE))], [(CAROL, 1)])
        tx = {"twice": first, "spent twice": again, "not on the chain": unknown}[which]
        misfit.grow(1, [tx])
        with pytest.raises(InvalidChainData, match=which):
            index.connect(misfit.tip, misfit.blocks[-1].raw)
        assert dict(store.iterate(b"i")) == before and index.tip()[0] == 5


class TestPartial:
    """A chain whose beginning is missing."""

    def test_it_counts_from_its_own_beginning(self) -> None:
        branch, first, second = busy_branch()
        index = indexed(branch, first_height=3)
        assert index.first_height == 3 and index.tip()[0] == 5
        assert [index.transaction_count(height) for height in (0, 2, 3, 4, 5)] == [0, 0, 1, 3, 4]
        assert index.transaction(2) == second.raw
        assert index.transaction_by_id(first.txid) is None
        assert index.balance(BOB, 4) == 200 * COIN  # what was made before is not known to be spent

    def test_it_goes_back_as_exactly(self) -> None:
        branch, _, _ = busy_branch()
        store, shorter = MemoryStore(), MemoryStore()
        index = indexed(branch, store, first_height=3)
        index.disconnect()
        index.disconnect()
        indexed(made.Branch(branch.chain, branch.blocks[:4]), shorter, first_height=3)
        kept = [
            {k: v for k, v in each.iterate(b"i") if k[:2] not in (b"iE", b"iH")} for each in (store, shorter)
        ]
        assert kept[0] == kept[1]

    def test_balances_below_it_are_not_known(self) -> None:
        index = indexed(busy_branch()[0], first_height=3)
        with pytest.raises(IndexError):
            index.balance(BOB, 2)


def test_an_index_opens_where_it_was() -> None:
    branch, _, _ = busy_branch()
    store = MemoryStore()
    indexed(branch, store)
    again = ChainIndex(store, made.RULES)
    check_index(again, branch.blocks)
    branch.grow(1)
    again.connect(Hash32(branch.tip), branch.blocks[-1].raw)
    check_index(again, branch.blocks)


class TestBlocks:
    """Blocks by hash, and what stands in them."""

    def test_a_block_by_its_hash(self) -> None:
        branch, first, _ = busy_branch()
        index = indexed(branch)
        assert [index.height_of(block_hash(block.header)) for block in branch.blocks] == list(range(6))
        assert index.height_of(bytes(32)) is None
        assert list(index.block_ordinals(2)) == [2, 3] and index.transaction(3) == first.raw
        assert index.header(2) == (len(branch.blocks[2].raw), branch.blocks[2].header)
        for ask in (index.header, index.block_ordinals):
            for height in (-1, 6):
                with pytest.raises(IndexError):
                    ask(height)

    def test_a_block_that_is_gone_has_no_height(self) -> None:
        branch, _, _ = busy_branch()
        index = indexed(branch)
        gone = index.disconnect()
        assert index.height_of(gone.block_hash) is None and index.height_of(index.tip()[1]) == 4


class TestFirstBlock:
    """What block 0 pays is nobody's on a real chain."""

    def test_it_is_kept_and_not_owned(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(2)
        index = ChainIndex(MemoryStore(), made.RULES, first_coins=False)
        for block in branch.blocks:
            index.connect(block_hash(block.header), block.raw)
        coin, _ = made.allocation(branch.chain)
        assert index.balance(ALICE, 2) == 0 and index.output(coin) is None
        assert index.transaction(0) == branch.blocks[0].transactions[0].raw
        assert index.output(branch.coinbase_output(1)[0]) is not None
