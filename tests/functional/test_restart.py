"""Daemons killed at any moment and started again: same state, one statement a slot, and the network goes on.

Four real daemons, started once for the module; every test leaves all four running.
"""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.chain.address import encode_address
from protocol.codec import decode
from protocol.crypto import envelope_body
from protocol.tracking.registration import Registration
from tests.support.devnet import refusal, run
from tests.support.live_network import LiveNetwork, check_safety, live_network
from zenp2p.devnet.foundry import standard_posts
from zenp2p.devnet.ground import STANDBY_BLOCK_TIMES

pytestmark = pytest.mark.functional

MINER, STANDBY = "honest-1", "honest-2"
FIRST_VERDICTS_SECONDS = 120
NEXT_VERDICTS_SECONDS = 120
CATCH_UP_SECONDS = 60
STOP_SECONDS = 5
TRY_LATER = 75


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("restart"), standard_posts()[:4]) as network:
        network.wait_until("data_height", 1, FIRST_VERDICTS_SECONDS)
        yield network


def data_height(network: LiveNetwork) -> int:
    return max(network.said(name, "data_height") for name in network.names)


def check_goes_on(network: LiveNetwork, scratch: Path) -> None:
    """Everybody takes up one more block, agrees on the whole data chain, and has contradicted nobody."""
    network.wait_until("peers", len(network.names) - 1, CATCH_UP_SECONDS)
    network.wait_until("data_height", data_height(network) + 1, NEXT_VERDICTS_SECONDS)
    network.wait_agreed(CATCH_UP_SECONDS)
    check_safety(network, scratch)


def kill_at_random_moments(network: LiveNetwork, kills: int, seed: int) -> None:
    """Kill one after the other, at any moment of its life, its start included."""
    chance = random.Random(seed)
    for _ in range(kills):
        time.sleep(chance.uniform(0, 4))
        victim = chance.choice(network.names)
        network.stop(victim, signal.SIGKILL)
        time.sleep(chance.uniform(0, 1))
        network.start(victim)


def test_killed_at_random_moments(network: LiveNetwork, tmp_path: Path) -> None:
    kill_at_random_moments(network, kills=5, seed=1)
    check_goes_on(network, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_many_times(network: LiveNetwork, tmp_path: Path, seed: int) -> None:
    kill_at_random_moments(network, kills=20, seed=seed)
    check_goes_on(network, tmp_path)


def test_a_power_cut_loses_nothing_that_was_certified(network: LiveNetwork, tmp_path: Path) -> None:
    network.wait_agreed(CATCH_UP_SECONDS)
    before = {name: network.said(name, "data_height") for name in network.names}
    seqs = [line["seq"] for line in network.log(MINER) if line["event"] == "verdicts"]
    judged = {seq: network.call(MINER, "challenge.show", seq=seq) for seq in seqs}
    for name in network.names:
        network.stop(name, signal.SIGKILL)
    for name in network.names:
        network.start(name)
    for name in network.names:
        network.wait_until("data_height", before[name], CATCH_UP_SECONDS, [name])
        for seq, shown in judged.items():
            assert network.call(name, "challenge.show", seq=seq) == shown
    check_goes_on(network, tmp_path)


def test_the_standby_takes_over_from_a_killed_miner(network: LiveNetwork, tmp_path: Path) -> None:
    network.wait_until("height", network.said(STANDBY, "height") + 2, CATCH_UP_SECONDS)
    earlier = mined_by(network, STANDBY)
    network.stop(MINER, signal.SIGKILL)
    height, since = network.said(STANDBY, "height"), time.monotonic()
    longest = 0.0
    while mined_by(network, STANDBY) <= earlier:
        assert time.monotonic() - since < CATCH_UP_SECONDS, f"nobody mines:\n{network.describe()}"
        longest = max(longest, time.monotonic() - since)
        time.sleep(0.1)
        if network.said(STANDBY, "height") > height and mined_by(network, STANDBY) <= earlier:
            height, since = network.said(STANDBY, "height"), time.monotonic()  # the dead miner's last block
    # Block times are whole seconds, so a second of the silence may lie before the kill.
    assert longest > STANDBY_BLOCK_TIMES - 2
    network.start(MINER)
    check_goes_on(network, tmp_path)
    heights = [network.said(name, "height") for name in network.names]
    assert max(heights) - min(heights) <= 2


def mined_by(network: LiveNetwork, name: str) -> int:
    """Return how many unspent coinbases of the active chain pay a node's own address."""
    genesis, key = network.founded.genesis, network.nodes[name].operator_key
    (envelope,) = [member.registration for member in genesis.members if member.operator_key == key]
    registration = decode(envelope_body(envelope), Registration)
    address = encode_address(registration.node_address, genesis.chain.prefixes)
    return sum(coin["coinbase"] for coin in network.call("honest-3", "chain.unspent", address=address))


def test_a_signal_ends_a_daemon_cleanly_whatever_its_peers_do(network: LiveNetwork, tmp_path: Path) -> None:
    for victim, frozen, number in ("honest-3", ["honest-4"], signal.SIGTERM), ("honest-2", [], signal.SIGINT):
        directory = network.nodes[victim].directory
        network.freeze(*frozen)  # it answers nothing and takes nothing; the others are busy
        code, seconds = network.stop(victim, number)
        network.thaw(*frozen)
        assert (code, seconds < STOP_SECONDS) == (0, True)
        assert network.log(victim)[-1]["event"] == "stopping"
        assert not directory.cookie.exists() and not directory.rpc_address.exists()
        assert directory.lock.read_bytes() == b""
        network.start(victim)
    check_goes_on(network, tmp_path)


def test_a_second_daemon_is_refused_and_told_who_holds_the_directory(network: LiveNetwork) -> None:
    path = network.nodes[STANDBY].directory.path
    said = refusal(run("zenp2pd", "run", "--data-dir", path), TRY_LATER)
    holder = network.pid(STANDBY)
    assert f"{path} is in use by process {holder} " in said and "zenp2pd run" in said
    assert network.status(STANDBY) is not None
