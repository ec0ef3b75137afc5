"""Which branch is active, what changes, and what others may ask about it."""

from dataclasses import replace

import pytest

from protocol.chain.block import block_hash, block_work, encode_header
from protocol.errors import InvalidChainData
from protocol.units import Hash32
from tests.support import embedded_chain as made
from tests.support.chain_model import check_chain
from zenp2p.chain.embedded.chain import Change, EmbeddedChain, UnknownParent
from zenp2p.chain.embedded.records import HEADERS_CACHED_MAX, ChainRecords
from zenp2p.store import MemoryStore


def hashes(branch: made.Branch, first: int) -> tuple[Hash32, ...]:
    """Return the hashes of a branch's blocks from a height on."""
    return tuple(block_hash(block.header) for block in branch.blocks[first:])


class TestBranches:
    """Most work wins, the first seen of equals stays."""

    def test_a_new_chain_stands_at_its_first_block(self) -> None:
        definition = made.definition()
        chain = made.opened(definition)
        assert chain.tip() == (0, definition.genesis_hash)
        assert chain.block(definition.genesis_hash) == definition.genesis.raw
        assert chain.parent(definition.genesis_hash) is None

    def test_each_block_on_the_tip_extends_it(self) -> None:
        definition = made.definition()
        branch = made.Branch(definition)
        branch.grow(2)
        chain = made.opened(definition)
        first = chain.add_block(branch.blocks[1].raw, made.far_future())
        assert first == Change(connected=hashes(branch, 1)[:1])
        chain.add_block(branch.blocks[2].raw, made.far_future())
        assert [chain.block_hash(height) for height in range(4)] == [
            definition.genesis_hash,
            *hashes(branch, 1),
            None,
        ]
        assert chain.tip_record.work == 3 * block_work(made.EASY_BITS)

    def test_a_block_twice_changes_nothing(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(1)
        chain = made.opened(branch.chain)
        made.feed(chain, branch.blocks)
        assert not chain.add_block(branch.blocks[1].raw, made.far_future())

    def test_of_two_equal_branches_the_first_seen_stays(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(2)
        other = branch.fork(0)
        other.grow(2, salt=1)
        chain = made.opened(branch.chain)
        made.feed(chain, branch.blocks)
        for block in other.blocks[1:]:
            assert not chain.add_block(block.raw, made.far_future())
        assert chain.tip()[1] == branch.tip

    def test_the_longer_branch_takes_over(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(3)
        other = branch.fork(1)
        other.grow(3, salt=1)
        store = MemoryStore()
        chain = made.opened(branch.chain, store)
        made.feed(chain, [*branch.blocks, *other.blocks[:-1]])
        change = chain.add_block(other.blocks[-1].raw, made.far_future())
        assert change == Change(tuple(reversed(hashes(branch, 2))), hashes(other, 2))
        check_chain(chain, store)

    def test_stale_blocks_are_still_served(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(1)
        other = branch.fork(0)
        other.grow(2, salt=1)
        chain = made.opened(branch.chain)
        made.feed(chain, [*branch.blocks, *other.blocks])
        stale = block_hash(branch.blocks[1].header)
        record = chain.record(stale)
        assert chain.block(stale) == branch.blocks[1].raw
        assert record is not None and not chain.is_active(record)

    def test_an_unknown_parent_is_no_offence(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(2)
        chain = made.opened(branch.chain)
        with pytest.raises(UnknownParent):
            chain.add_block(branch.blocks[2].raw, made.far_future())


class TestInvalidBranches:
    """A branch that turns out invalid leaves everything as it was, and is not tried again."""

    def build(self) -> tuple[made.Branch, made.Branch, EmbeddedChain, MemoryStore]:
        """Return a chain of two blocks, and a longer branch whose middle block is invalid."""
        branch = made.Branch(made.definition())
        branch.grow(2)
        other = branch.fork(0)
        other.grow(1, salt=1)
        other.grow(1, salt=2, fees=1)
        other.grow(1, salt=3)
        store = MemoryStore()
        chain = made.opened(branch.chain, store)
        made.feed(chain, branch.blocks)
        return branch, other, chain, store

    def test_the_old_branch_stays(self) -> None:
        branch, other, chain, store = self.build()
        made.feed(chain, other.blocks[1:3])
        with pytest.raises(InvalidChainData, match="subsidy and fees"):
            chain.add_block(other.blocks[3].raw, made.far_future())
        assert chain.tip()[1] == branch.tip
        check_chain(chain, store)

    def test_what_comes_on_top_of_it_is_refused_at_once(self) -> None:
        branch, other, chain, store = self.build()
        made.feed(chain, other.blocks[1:3])
        with pytest.raises(InvalidChainData):
            chain.add_block(other.blocks[3].raw, made.far_future())
        other.grow(1)
        for _ in range(2):
            with pytest.raises(InvalidChainData, match="known to be invalid"):
                chain.add_block(other.blocks[4].raw, made.far_future())
            chain = made.opened(branch.chain, store)

    def test_a_branch_on_the_invalid_block_that_was_stored_before_is_refused_too(self) -> None:
        branch, other, chain, _ = self.build()
        branch.grow(2)
        made.feed(chain, branch.blocks)
        twin = other.fork(2)
        twin.grow(3, salt=9)
        made.feed(chain, [*other.blocks[1:], *twin.blocks[3:5]])
        longer = other.blocks[-1]
        for number in range(2):
            longer = made.make_block(branch.chain, longer, 4 + number)
            if number == 0:
                made.feed(chain, [longer])
        with pytest.raises(InvalidChainData):
            chain.add_block(longer.raw, made.far_future())
        with pytest.raises(InvalidChainData, match="contains an invalid block|known to be invalid"):
            chain.add_block(twin.blocks[5].raw, made.far_future())
        assert chain.tip()[1] == branch.tip

    def test_an_invalid_block_on_the_tip_is_not_stored(self) -> None:
        branch, _, chain, _ = self.build()
        bad = made.make_block(branch.chain, branch.blocks[-1], 3, fees=1)
        for reason in ("subsidy and fees", "known to be invalid"):
            with pytest.raises(InvalidChainData, match=reason):
                chain.add_block(bad.raw, made.far_future())
        assert chain.record(block_hash(bad.header)) is None

    def test_the_good_part_of_the_branch_can_be_built_on(self) -> None:
        branch, other, chain, store = self.build()
        made.feed(chain, other.blocks[1:3])
        with pytest.raises(InvalidChainData):
            chain.add_block(other.blocks[3].raw, made.far_future())
        good = other.fork(1)
        good.grow(2, salt=8)
        made.feed(chain, good.blocks)
        assert chain.tip()[1] == good.tip
        check_chain(chain, store)


class TestQuestions:
    """Locators, headers, restarts."""

    def grown(self, count: int) -> tuple[made.Branch, EmbeddedChain]:
        """Return a branch and a chain that has it."""
        branch = made.Branch(made.definition())
        branch.grow(count)
        chain = made.opened(branch.chain)
        made.feed(chain, branch.blocks)
        return branch, chain

    def test_a_locator_thins_out_towards_the_first_block(self) -> None:
        branch, chain = self.grown(60)
        heights = [hashes(branch, 0).index(each) for each in chain.locator()]
        assert heights == [60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 49, 45, 37, 21, 0]

    def test_a_locator_of_a_new_chain_is_its_first_block(self) -> None:
        branch, chain = self.grown(0)
        assert chain.locator() == (branch.chain.genesis_hash,)

    def test_headers_follow_the_first_known_hash(self) -> None:
        branch, chain = self.grown(5)
        raw = [encode_header(block.header) for block in branch.blocks]
        known = hashes(branch, 0)
        assert chain.headers_after([known[2]], 100) == raw[3:]
        assert chain.headers_after([b"?" * 32, known[4], known[1]], 100) == raw[5:]
        assert chain.headers_after([known[0]], 2) == raw[1:3]
        assert chain.headers_after([known[5]], 100) == []
        assert chain.headers_after([b"?" * 32], 100) == []

    def test_headers_after_a_stale_block_begin_at_the_next_hash_that_is_active(self) -> None:
        branch, chain = self.grown(3)
        other = branch.fork(1)
        other.grow(1, salt=1)
        made.feed(chain, other.blocks)
        stale = block_hash(other.blocks[2].header)
        found = chain.headers_after([stale, hashes(branch, 0)[1]], 100)
        assert found == [encode_header(block.header) for block in branch.blocks[2:]]

    def test_a_chain_opens_where_it_was(self) -> None:
        branch = made.Branch(made.definition())
        branch.grow(4)
        store = MemoryStore()
        made.feed(made.opened(branch.chain, store), branch.blocks)
        again = made.opened(branch.chain, store)
        assert again.tip() == (4, branch.tip)
        branch.grow(1)
        made.feed(again, branch.blocks)
        assert again.tip() == (5, branch.tip)

    def test_the_cache_of_headers_is_bounded(self) -> None:
        branch, chain = self.grown(3)
        store = MemoryStore()
        records = ChainRecords(store)
        record = chain.tip_record
        numbers = range(HEADERS_CACHED_MAX + 10)
        for number in numbers:
            named = replace(record, block_hash=Hash32(number.to_bytes(32, "big")))
            store.write(records.put_header(named), sync=False)
        for number in numbers:
            found = records.header(number.to_bytes(32, "big"))
            assert found is not None and found.work == record.work
        assert len(records._headers) == HEADERS_CACHED_MAX
