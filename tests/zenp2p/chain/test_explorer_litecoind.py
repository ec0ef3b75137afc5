"""The explorer equals a real node: before and after reorganisations, and after kill -9 while indexing."""

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.chain.rules import LITECOIN_REGTEST
from tests.support.chain_model import index_in
from tests.support.litecoind import LitecoinNode, litecoin_node
from tests.support.litecoind_source import follow, open_index
from tests.support.node_equality import NodeEquality
from tests.support.varied_chain import VariedChain
from zenp2p.chain.source import Disconnected
from zenp2p.store import LevelStore, MemoryStore

ROOT = Path(__file__).resolve().parents[3]
DEPTHS = range(1, 21)
KILLS = 12
LONGEST_WAIT_SECONDS = 30
BLOCKS_BEFORE_A_KILL = 40

pytestmark = pytest.mark.functional


@pytest.fixture
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        chain = VariedChain(node)
        chain.begin()
        chain.grow(25)
        yield node


def fresh(node: LitecoinNode) -> MemoryStore:
    """Return the store of an index that saw the active chain alone."""
    store = MemoryStore()
    follow(node.client, open_index(store))
    return store


def test_every_answer_is_the_nodes_own_through_reorganisations_of_every_depth(node: LitecoinNode) -> None:
    store = MemoryStore()
    index = open_index(store)
    follow(node.client, index)
    equality = NodeEquality(index, LITECOIN_REGTEST, node.client)
    equality.check()
    assert equality.compared["addresses"] > 20 and equality.compared["outputs"] > 300
    for depth in DEPTHS:
        before = index.head
        assert before is not None
        stale = node.replace(depth) if depth % 2 else node.reorganise(depth, payee=f"miner {depth}")
        follow(node.client, index)
        gone = [event for event in index.events_from(before.events) if isinstance(event, Disconnected)]
        assert len(gone) == depth == len(stale)
        equality.check()
        assert index_in(store) == index_in(fresh(node)), depth


def test_killed_at_any_moment_it_goes_on_and_is_the_same(node: LitecoinNode, tmp_path: Path) -> None:
    """After each kill the store opens; the end is record for record that of one never killed."""
    draw = random.Random(7)
    folder = tmp_path / "store"
    folder_kills = 0
    for number in range(KILLS):
        folder_kills += run_and_kill(node, folder, draw.randint(0, BLOCKS_BEFORE_A_KILL // 2))
        LevelStore(folder, free_bytes_min=0).close()
        if number == KILLS // 2:
            node.replace(9)
        node.mine(BLOCKS_BEFORE_A_KILL // 2)
    assert folder_kills > KILLS // 2
    assert run_and_kill(node, folder, 1_000_000) == 0
    store = LevelStore(folder, free_bytes_min=0)
    index = open_index(store)
    assert index_in(store) == index_in(fresh(node))
    NodeEquality(index, LITECOIN_REGTEST, node.client).check()
    store.close()


def run_and_kill(node: LitecoinNode, folder: Path, blocks: int) -> int:
    """Let a process index so many blocks and kill it; return 1, or 0 when it was done before."""
    node.client.close()
    process = node.process
    module = "tests.support.litecoind_source"
    command = [sys.executable, "-m", module, str(process.port), str(process.cookie), str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    try:
        while said <= blocks:
            ready, _, _ = select.select([child.stdout], [], [], LONGEST_WAIT_SECONDS)
            assert ready, "the child says nothing"
            line = child.stdout.readline()
            assert line, "the child ended by itself"
            if line.strip() == "done":
                assert child.wait(LONGEST_WAIT_SECONDS) == 0
                return 0
            said += 1
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    return 1
