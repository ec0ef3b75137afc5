"""The real node as a process: it comes up, keeps what it wrote through every end, and is ended by its id."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.litecoind import address_of
from zenp2p.chain.rpc.errors import NodeRefusal, NodeUnreachable
from zenp2p.devnet.litecoind import INSTALL_LINE, Litecoind, LitecoindFailed, LitecoindMissing


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Litecoind]:
    with Litecoind(tmp_path / "node") as node:
        yield node


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_keeps_its_chain_and_gets_another_cookie_when_it_starts_again(node: Litecoind) -> None:
    hashes = node.client.mine(101, address_of("miner"))
    cookie, pid = node.cookie.read_text(), node.pid
    node.stop()
    assert not _is_there(pid)
    node.start()
    assert node.client.height() == 101 and node.client.block_hash(101) == hashes[-1]
    assert node.cookie.read_text() != cookie
    pid = node.pid
    node.kill()
    assert not _is_there(pid)
    node.start()
    assert node.client.height() == 101


def test_it_is_alone_on_loopback_and_without_a_wallet(node: Litecoind) -> None:
    assert node.client.call("getnetworkinfo")["connections"] == 0
    with pytest.raises(NodeRefusal) as refused:
        node.client.call("getbalance")
    assert refused.value.is_unknown_method
    listening = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line}
    assert f"0100007F:{node.port:04X}" in listening and f"00000000:{node.port:04X}" not in listening


def test_blocks_without_a_peg_in_are_mined_past_the_height_where_mweb_would_begin(node: Litecoind) -> None:
    node.client.mine(440, address_of("miner"))
    assert node.client.height() == 440


def test_what_does_not_run_cannot_be_asked(node: Litecoind) -> None:
    node.stop()
    node.stop()
    for ask in (lambda: node.client, lambda: node.pid, lambda: node.port):
        with pytest.raises(NodeUnreachable, match="does not run"):
            ask()


def test_a_node_that_ends_by_itself_is_noticed(node: Litecoind) -> None:
    client = node.client
    os.kill(node.pid, signal.SIGKILL)
    with pytest.raises(NodeUnreachable):
        for _ in range(1_000):
            client.height()
    with pytest.raises(LitecoindFailed, match="exit code -9"):
        for _ in range(100_000):
            node.check()


def test_a_second_start_is_refused(node: Litecoind) -> None:
    with pytest.raises(LitecoindFailed, match="already"):
        node.start()
    node.client.height()


def test_a_node_that_does_not_understand_its_configuration_says_why(tmp_path: Path) -> None:
    node = Litecoind(tmp_path / "node", extra=["rpcthreads"])
    with pytest.raises(LitecoindFailed, match="rpcthreads"):
        node.start()
    with pytest.raises(NodeUnreachable):
        _ = node.pid


def test_without_the_program_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LitecoindMissing, match=INSTALL_LINE):
        Litecoind(tmp_path / "node", program=tmp_path / "litecoind")
    assert not (tmp_path / "node").exists()
