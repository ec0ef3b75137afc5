"""A daemon's node is frozen, killed, set back, replaced: heights stand still, and status says why.

One daemon of a network on litecoind. Where litecoind cannot be made to misbehave, the stand-in answers at its
port with its blocks. One story, told in order: each test takes up the node where the one before left it.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.devnet import run
from tests.support.litecoind import RULES, address_of
from tests.support.live_network import LiveNetwork
from tests.support.zend_stand_in import ZendStandIn
from zenp2p.api.client import AccessDenied, DaemonUnreachable
from zenp2p.api.errors import RpcError
from zenp2p.devnet.foundry import standard_posts
from zenp2p.devnet.litecoin_ground import LitecoinGround
from zenp2p.devnet.litecoind import Litecoind

pytestmark = pytest.mark.functional

NAME = "honest-1"
STEP_SECONDS = 60
STOP_SECONDS = 5


class Scene:
    """One daemon, and the node that it asks."""

    def __init__(self, live: LiveNetwork, ground: LitecoinGround) -> None:
        self.live = live
        self.ground = ground
        self.port = ground.node.port

    @property
    def node(self) -> Litecoind:
        """The node's process."""
        return self.ground.node

    def mine(self, blocks: int = 1) -> None:
        """Have the node mine."""
        self.node.client.mine(blocks, self.ground.purse.address)

    def chain(self) -> tuple[str, list[str]]:
        """Return the chain's state and every problem that the daemon names."""
        status = self.status()
        return status["chain"]["state"], status["problems"]

    def status(self) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        return dict(self.live.call(NAME, "node.status"))

    def wait(self, state: str, height: int) -> None:
        """Wait until the daemon names a state of its chain, at a height, being told to look."""

        def holds() -> bool:
            with suppress(DaemonUnreachable, AccessDenied, RpcError):
                self.live.call(NAME, "chain.notify")
                status = self.status()
                return (status["chain"]["state"], status["height"]) == (state, height)
            return False

        self.live.wait(f"{state} at {height}", holds, STEP_SECONDS)
        assert any("chain node" in problem for problem in self.chain()[1]) == (state != "ok")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("chain-node")
    ground = LitecoinGround(folder / "chain", 0)
    try:
        live = LiveNetwork(folder, standard_posts()[:4], ground=ground)
        scene = Scene(live, ground)
        try:
            live.start(NAME)
            yield scene
        finally:
            live.__exit__(None, None, None)
    finally:
        ground.stop()


@pytest.fixture
def height(scene: Scene) -> int:
    """The node's height when the test begins, which the daemon has."""
    top = scene.node.client.height()
    scene.wait("ok", top)
    return top


def test_it_follows_and_says_what_it_asks(scene: Scene, height: int) -> None:
    scene.mine(2)
    scene.wait("ok", height + 2)
    shown = scene.status()["chain"]
    assert (shown["kind"], shown["dialect"]) == ("external", "litecoind") and shown["version"].startswith(
        "0."
    )


def test_a_frozen_node_holds_up_neither_answers_nor_the_end(scene: Scene, height: int) -> None:
    scene.node._process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    try:
        scene.live.call(NAME, "chain.notify")
        assert scene.status()["height"] == height
        code, seconds = scene.live.stop(NAME)
        assert (code, seconds < STOP_SECONDS) == (0, True)
        scene.live.start(NAME)  # its index is enough to start on
        scene.wait("connecting", height)
    finally:
        scene.node._process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    scene.mine()
    scene.wait("ok", height + 1)


def test_a_killed_node_is_waited_for(scene: Scene, height: int) -> None:
    scene.node.kill()
    scene.wait("unreachable", height)
    assert any(f"127.0.0.1:{scene.port}" in problem for problem in scene.chain()[1])
    scene.live.stop(NAME, signal.SIGKILL)
    scene.live.start(NAME)
    scene.wait("unreachable", height)
    scene.node.start(scene.port)
    top = scene.node.client.height()  # a killed node may have lost blocks: then it is behind
    scene.wait("ok" if top == height else "behind", height)
    scene.mine(height - top + 1)
    scene.wait("ok", height + 1)


def test_a_node_that_was_set_back_takes_nothing_back(scene: Scene, height: int) -> None:
    client = scene.node.client
    dropped = client.block_hash(height - 4)
    client.invalidate(dropped)
    scene.wait("behind", height)
    client.mine(2, address_of("another miner"))
    scene.wait("behind", height)
    scene.live.wait("a lighter branch", lambda: "less work" in str(scene.chain()[1]), STEP_SECONDS)
    assert scene.status()["height"] == height
    client.reconsider(dropped)
    scene.wait("ok", height)


def test_pruned_blocks_and_another_chain_at_the_same_port(scene: Scene, height: int) -> None:
    scene.node.stop()
    scene.node.start()
    scene.mine(2)
    client = scene.node.client
    blocks = [client.raw_block(client.block_hash(at)) for at in range(height + 3)]
    scene.node.stop()
    scene.wait("unreachable", height)
    other = ZendStandIn(blocks, rules=RULES, cookie=scene.node.cookie)
    other._port = scene.port
    other.prune(height + 3)
    with other:
        scene.wait("pruned", height)
        other.become(blocks[1:])
        scene.wait("foreign", height)
        said = run("zenp2p", "--data-dir", scene.live.nodes[NAME].directory.path, "status").out
        assert "on another chain, nothing is taken from it" in said
        other.become(blocks)
        other.warm_up("Loading block index...")
        scene.wait("warming-up", height)
        other.warm_up("")
        other.prune(0)
        scene.wait("ok", height + 2)
        assert scene.status()["chain"]["dialect"] == "zend-3"
    scene.wait("unreachable", height + 2)
    scene.node.start(scene.port)
    scene.wait("ok", height + 2)


def test_the_log_says_each_change_once_and_no_secret(scene: Scene) -> None:
    log = scene.live.nodes[NAME].directory.log
    """Of each state of the story there is a handful of lines, though the node was asked hundreds of times."""
    lines = scene.live.log(NAME)
    states = Counter(line["event"] for line in lines if line["event"].startswith("chain node is"))
    assert {"chain node is foreign", "chain node is pruned"} < states.keys() and max(states.values()) < 15
    assert "error" not in {line["level"] for line in lines}
    secret = scene.node.cookie.read_text().partition(":")[2]
    assert secret not in Path(log).read_text()
    assert scene.live.stop(NAME)[0] == 0
