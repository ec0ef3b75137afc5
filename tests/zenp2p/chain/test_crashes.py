"""Chain and index after a crash: at every write, with every fault, and killed by the system at any moment."""

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from protocol.chain.block import Block, parse_block
from protocol.errors import InvalidChainData
from protocol.units import Hash32
from tests.support import embedded_chain as made
from tests.support.chain_model import active_blocks, check_chain, check_index, check_node
from tests.support.chain_run import STEPS_MAX, live, longer_story, story
from tests.support.faulty_store import FaultyStore, every_fault
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.records import ChainRecords
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.ports import Store, StoreError
from zenp2p.store import LevelStore, MemoryStore

KILLS = 4
LONGEST_WAIT_SECONDS = 30
ROOT = Path(__file__).resolve().parents[3]


def check_index_alone(index: ChainIndex, chain: EmbeddedChain) -> None:
    """Assert that an index, which may be behind its chain, is that of the blocks it names."""
    if index.head is None:
        return
    hashes = [index.block_hash(height) for height in range(index.head.height + 1)]
    raws = [chain.block(each) for each in hashes if each is not None]
    blocks = [parse_block(raw, made.RULES) for raw in raws if raw is not None]
    assert len(blocks) == len(hashes)
    check_index(index, blocks)


def test_every_fault_at_every_write() -> None:
    """Whatever was written when it struck: chain and index are whole, and going on leads to the same end."""
    definition, blocks = story()
    expected, _ = live(definition, blocks, MemoryStore())
    for at, fault, store in every_fault(lambda store: void(live(definition, blocks, store))):
        survivor = store.survivor()
        chain = EmbeddedChain(definition, survivor)
        check_chain(chain, survivor)
        assert chain.tip_record.work == most_work(survivor), (at, fault)
        check_index_alone(ChainIndex(survivor, definition.rules), chain)
        chain, index = live(definition, blocks, survivor)
        assert chain.tip() == expected.tip(), (at, fault)
        check_node(chain, index, survivor)


def most_work(store: Store) -> int:
    """Return the work of the best stored block that is not known to be invalid."""
    return max(record.work for record in ChainRecords(store).headers() if not record.invalid)


def void(_: object) -> None:
    """Take a result and give none."""


class HiccupStore(MemoryStore):
    """Refuses one write and then goes on, as a full disk does on which somebody makes room."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self.left -= 1
        if self.left == 0:
            raise StoreError("no room for a moment")
        super().write(batch, sync=sync)


def hiccups(writes: int) -> Iterator[tuple[int, HiccupStore]]:
    """Yield a store for each write at which it can happen."""
    for at in range(1, writes + 1):
        yield at, HiccupStore(at)


def test_a_write_that_fails_once_is_made_up_for_in_the_same_process() -> None:
    """The objects in memory never run ahead of the store: whoever retries gets to the same end."""
    definition, blocks = story()
    expected, _ = live(definition, blocks, MemoryStore())
    clean = FaultyStore()
    live(definition, blocks, clean)
    failed = 0
    for at, store in hiccups(clean.writes):
        try:
            chain = EmbeddedChain(definition, store)
        except StoreError:
            continue  # a chain that cannot begin is no object
        index = ChainIndex(store, definition.rules)
        follower = Follower(chain, index)
        told = [chain.tip()[1]]
        for block in blocks:
            failed += retried(partial(follow_changes, chain, block, told))
            failed += retried(partial(exhaust, follower))
            assert chain.tip_record.work == most_work(store), at
            assert told == [chain.block_hash(height) for height in range(len(told))]
            assert told[-1] == chain.tip()[1]
        assert chain.tip() == expected.tip(), at
        check_node(chain, index, store)
    assert failed > clean.writes // 2


def follow_changes(chain: EmbeddedChain, block: Block, told: list[Hash32]) -> None:
    """Add a block and do to a list of hashes what the chain says that it did."""
    try:
        change = chain.add_block(block.raw, made.far_future())
    except InvalidChainData:
        return
    for gone in change.disconnected:
        assert told.pop() == gone
    told.extend(change.connected)


def exhaust(follower: Follower) -> None:
    """Let the index catch up."""
    for _ in follower.follow(STEPS_MAX):
        pass


def retried(act: Callable[[], object]) -> int:
    """Do it, and once more if the store refused; return how often it did."""
    try:
        act()
    except StoreError:
        act()
        return 1
    return 0


@pytest.mark.functional
@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_any_moment(seed: int, tmp_path: Path) -> None:
    """After kill -9 the store opens, and holds a chain and an index that are whole."""
    folder = tmp_path / "store"
    last = run_and_kill(folder, random.Random(seed).randrange(5, 700))
    definition, blocks = longer_story(400)
    store = LevelStore(folder, free_bytes_min=0)
    chain = EmbeddedChain(definition, store)
    index = ChainIndex(store, definition.rules)
    reached = max(block.header.time for block in blocks[: last + 1])
    assert chain.tip_record.header.time >= reached - 1, "a block that was taken is gone"
    check_chain(chain, store)
    check_index_alone(index, chain)
    exhaust(Follower(chain, index))
    assert index.tip() == chain.tip()
    check_index(index, active_blocks(chain))
    store.close()


def run_and_kill(folder: Path, blocks: int) -> int:
    """Let a process live until it has taken so many blocks, kill it, and return its last word."""
    command = [sys.executable, "-m", "tests.support.chain_run", str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    last = -1
    try:
        while last < blocks:
            ready, _, _ = select.select([child.stdout], [], [], LONGEST_WAIT_SECONDS)
            assert ready, "the child says nothing"
            last = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        rest = [line for line in child.stdout.read().split() if line.isdigit()]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    return int(rest[-1]) if rest else last


def test_a_store_of_another_chain_is_refused() -> None:
    """The chain in the store must be the one that the genesis file names."""
    store = MemoryStore()
    EmbeddedChain(made.definition(), store)
    with pytest.raises(StoreError, match="another chain"):
        EmbeddedChain(made.definition([(made.address_of("bob"), 1)]), store)


def test_an_index_of_another_part_of_the_chain_is_refused() -> None:
    """An index that begins at 0 is not taken for one that begins higher."""
    definition, blocks = story()
    store: Store = MemoryStore()
    live(definition, blocks[:2], store)
    with pytest.raises(StoreError, match="begin at height 7"):
        ChainIndex(store, definition.rules, first_height=7)
