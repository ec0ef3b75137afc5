"""A local network's node that dies is named, and one that hangs holds nobody up."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.chain.address import pay_to_script_hash
from protocol.parameters import DEVNET
from tests.support.litecoind import key_of
from zenp2p.chain.rpc.errors import NodeUnreachable
from zenp2p.devnet import litecoin_ground
from zenp2p.devnet.ground import Arrival, Stake
from zenp2p.devnet.litecoin_client import TIMEOUT_SECONDS
from zenp2p.devnet.litecoin_ground import LEAD_BLOCKS, LitecoinGround
from zenp2p.devnet.litecoind import LitecoindFailed

STAKE = Stake(key_of("a stake's owner"), 1_000_000)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[LitecoinGround]:
    ground = LitecoinGround(tmp_path / "chain", 0)
    try:
        ground.lay(pay_to_script_hash(b"a treasury"), [STAKE])
        yield ground
    finally:
        ground.stop()


def test_a_node_that_dies_while_newcomers_are_announced_is_named(ground: LitecoinGround) -> None:
    ground.node._process.kill()  # type: ignore[union-attr]
    with pytest.raises(LitecoindFailed, match="litecoind ended with exit code -9"):
        ground.announce([Arrival(STAKE.key, key_of("an operator").address, bytes(4), 1)])  # type: ignore[arg-type]
    with pytest.raises(LitecoindFailed, match="litecoind ended with exit code -9"):
        ground.check()


@pytest.mark.parametrize(("nodes", "height"), [(8, 110), (16, 117), (64, 157)])
def test_as_many_blocks_are_mined_as_pay_for_all_stakes(tmp_path: Path, nodes: int, height: int) -> None:
    ground = LitecoinGround(tmp_path / "chain", 0)
    stakes = [Stake(key_of(f"owner {number}"), DEVNET.stake) for number in range(nodes)]
    try:
        laid = ground.lay(pay_to_script_hash(b"a treasury"), stakes)
        assert ground.node.client.height() == height + DEVNET.burial
    finally:
        ground.stop()
    assert laid.first_challenge % DEVNET.period_blocks == 0
    assert laid.first_challenge - LEAD_BLOCKS >= height + DEVNET.burial


def test_before_anything_is_laid_nothing_has_ended(tmp_path: Path) -> None:
    LitecoinGround(tmp_path / "chain", 0).check()


def test_a_node_that_hangs_while_it_mines_is_not_waited_for(
    ground: LitecoinGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litecoin_ground, "MINING_STOP_SECONDS", 0.2)
    monkeypatch.setattr(litecoin_ground, "STOP_SECONDS", 0.2)
    ground.node._process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    ground.begin()  # it asks for a block at once, and never gets an answer
    began = time.monotonic()
    ground.stop()
    assert time.monotonic() - began < TIMEOUT_SECONDS / 2
    with pytest.raises(NodeUnreachable):
        _ = ground.node.pid
