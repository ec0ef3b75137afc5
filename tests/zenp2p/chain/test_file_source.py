"""Files of raw blocks: real ones, made-up ones, and broken ones."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from protocol.chain.block import block_hash, parse_block
from protocol.chain.script import script_address
from protocol.chain.view import ChainView
from protocol.errors import InvalidChainData
from protocol.units import Hash32
from tests.support import embedded_chain as made
from tests.support.chain_data import chain_data_path, read_hex_lines
from zenp2p.chain import file_source
from zenp2p.chain.file_source import FileSource, FileView, read_blocks
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.known_chains import ZCASH, ZCASH_TESTNET
from zenp2p.store import MemoryStore

CANOPY = "darkside/testnet-canopy_1028400-1028600.txt.gz"


def written(folder: Path, lines: Sequence[str], *, packed: bool = False) -> Path:
    """Write a file of lines and return its path."""
    path = folder / "blocks.txt"
    text = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


def own_blocks(count: int) -> list[bytes]:
    """Return raw blocks of a chain of our own."""
    branch = made.Branch(made.definition())
    branch.grow(count)
    return [block.raw for block in branch.blocks]


class TestReading:
    """Lines of hexadecimal, packed or not."""

    def test_real_files_packed_and_not(self) -> None:
        for name in (CANOPY, "darkside/basic-reorg_before-reorg.txt"):
            assert read_blocks(chain_data_path(name)) == read_hex_lines(name)

    def test_line_ends_and_empty_lines_do_not_matter(self, tmp_path: Path) -> None:
        raws = own_blocks(2)
        lines = [raws[0].hex() + "\r", "", "  " + raws[1].hex().upper() + " ", raws[2].hex(), ""]
        for packed in (False, True):
            assert read_blocks(written(tmp_path, lines, packed=packed)) == raws

    def test_what_is_no_hexadecimal_is_named_by_its_line(self, tmp_path: Path) -> None:
        for bad in ("zz", "abc", "ümlaut"):
            with pytest.raises(InvalidChainData, match="line 2 is not a block"):
                read_blocks(written(tmp_path, ["00", bad]))

    def test_a_packed_file_that_ends_too_soon_is_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path, [own_blocks(1)[1].hex()], packed=True)
        whole = path.read_bytes()
        for broken in (whole[:-9], whole[:12] + b"\x00" * 20 + whole[32:]):
            path.write_bytes(broken)
            with pytest.raises(InvalidChainData, match="cannot be unpacked|not a block"):
                read_blocks(path)

    def test_sizes_are_limited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_source, "BLOCK_BYTES_MAX", 10)
        with pytest.raises(InvalidChainData, match="line 1 holds more than a block"):
            read_blocks(written(tmp_path, ["00" * 11]))
        monkeypatch.setattr(file_source, "FILE_BYTES_MAX", 15)
        with pytest.raises(InvalidChainData, match="more than 15 bytes"):
            read_blocks(written(tmp_path, ["00" * 8, "00" * 8]))

    def test_a_missing_file_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_blocks(tmp_path / "nothing")


class TestSource:
    """A file as a chain."""

    def test_real_blocks_are_linked_and_match(self) -> None:
        source = FileSource(read_hex_lines(CANOPY))
        assert source.rules == ZCASH_TESTNET
        assert (source.first_height, source.tip()[0]) == (1_028_400, 1_028_600)
        assert source.unlinked == () and source.mismatched == ()
        assert source.block_hash(1_028_399) is None and source.block_hash(1_028_601) is None

    def test_made_up_chains_are_taken_and_their_faults_told(self) -> None:
        source = FileSource(read_hex_lines("darkside/basic-reorg_before-reorg.txt"))
        assert source.unlinked == (663_151,)
        assert source.mismatched == tuple(range(663_151, 663_201))

    def test_each_block_follows_the_one_before_it_in_the_file(self) -> None:
        raws = own_blocks(2)
        source = FileSource(raws, made.RULES, 0)
        hashes = [block_hash(parse_block(raw, made.RULES).header) for raw in raws]
        assert [source.block_hash(height) for height in range(3)] == hashes
        assert [source.parent(each) for each in hashes] == [None, *hashes[:-1]]
        assert [source.block(each) for each in hashes] == raws
        assert source.parent(Hash32(bytes(32))) is None and source.block(Hash32(bytes(32))) is None

    def test_heights_come_from_the_coinbases_unless_they_are_given(self) -> None:
        raws = own_blocks(3)
        assert FileSource(raws[1:]).first_height == 1
        assert FileSource(raws[1:], first_height=100).tip()[0] == 102
        with pytest.raises(InvalidChainData, match="block 2 of the file states height 3, 2 would follow"):
            FileSource([raws[1], raws[3]])
        assert FileSource([raws[1], raws[3]], first_height=7).unlinked == (8,)

    def test_nothing_and_a_block_twice_are_no_chain(self) -> None:
        with pytest.raises(InvalidChainData, match="no block"):
            FileSource([])
        raws = own_blocks(1)
        with pytest.raises(InvalidChainData, match="twice"):
            FileSource([raws[1], raws[1]], first_height=0)

    def test_wrong_rules_are_refused(self) -> None:
        with pytest.raises(InvalidChainData):
            FileSource(own_blocks(1), ZCASH)


class TestIndexing:
    """Real blocks through the index: every count and balance recomputed by hand."""

    def test_real_blocks_forth_and_back(self) -> None:
        source = FileSource(read_hex_lines(CANOPY))
        store = MemoryStore()
        index = ChainIndex(store, source.rules, source.first_height)
        follower = Follower(source, index)
        for _ in follower.follow(1_000, until=1_028_500):
            pass
        middle = {key: value for key, value in store.iterate(b"i") if key[:2] not in (b"iE", b"iH")}
        for _ in follower.follow(1_000):
            pass
        assert index.transaction_count(1_028_600) == 237
        assert len(index.events_from(0)) == 201
        for _ in range(100):
            index.disconnect()
        after = {key: value for key, value in store.iterate(b"i") if key[:2] not in (b"iE", b"iH")}
        assert after == middle and index.tip()[0] == 1_028_500

    def test_balances_of_real_addresses(self) -> None:
        source = FileSource(read_hex_lines(CANOPY))
        index = ChainIndex(MemoryStore(), source.rules, source.first_height)
        for _ in Follower(source, index).follow(1_000):
            pass
        coins: dict[tuple[bytes, int], tuple[bytes | None, int]] = {}
        for raw in read_hex_lines(CANOPY):
            for tx in parse_block(raw, source.rules).transactions:
                for spent in tx.inputs:
                    coins.pop((spent.previous.txid, spent.previous.index), None)
                for number, output in enumerate(tx.outputs):
                    coins[tx.txid, number] = (script_address(output.script), output.amount)
        owners = {owner for owner, _ in coins.values() if owner}
        assert len(owners) > 30
        view = FileView(source, 1_028_600)
        for owner in owners:
            held = sum(amount for address, amount in coins.values() if address == owner)
            assert index.balance(owner, 1_028_600) == view.balance(owner, 1_028_600) == held

    def test_the_view_of_a_file_says_what_the_index_says(self) -> None:
        source = FileSource(read_hex_lines(CANOPY))
        index = ChainIndex(MemoryStore(), source.rules, source.first_height)
        for _ in Follower(source, index).follow(1_000, until=1_028_500):
            pass
        view: ChainView = FileView(source, 1_028_500)
        assert (view.tip(), view.family) == (index.tip(), index.family)
        heights = range(1_028_398, 1_028_501)
        for ask in (ChainIndex.block_hash, ChainIndex.transaction_count):
            assert [getattr(view, ask.__name__)(height) for height in heights] == [
                ask(index, height) for height in heights
            ]
        total = index.transaction_count(1_028_500)
        assert [view.transaction(at) for at in range(total)] == [index.transaction(at) for at in range(total)]
        assert view.block_hash(1_028_501) is None
        for out in (
            lambda: view.transaction(total),
            lambda: view.transaction(-1),
            lambda: view.transaction_count(1_028_501),
        ):
            with pytest.raises(IndexError):
                out()
