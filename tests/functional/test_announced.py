"""Real daemons that find each other by what stands on the chain, and by nothing else.

Four founders, and a newcomer that has no configured peer and is never told where members listen. Tests build
on each other, in their order.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import inet_aton
from typing import Any

import pytest

from protocol.chain.encoding import parse_display_hash
from protocol.chain.transaction import OutPoint
from protocol.tracking.announcement import Announcement, build_announcing
from protocol.units import COIN, OperatorKey
from tests.support.devnet import one_line, run
from tests.support.live_network import CONTRADICTIONS, LiveNetwork
from zenp2p.devnet.foundry import Post, free_ports, standard_posts
from zenp2p.devnet.ground import Arrival, EmbeddedGround
from zenp2p.devnet.launcher import NOT_NOW
from zenp2p.durable_file import write_durably
from zenp2p.identity import write_secret

pytestmark = pytest.mark.functional

ROOT = Path(__file__).resolve().parents[2]
STAKE = standard_posts()[0].stake + COIN
"""A coin more than it takes, for fees."""
FOUNDERS = ("honest-1", "honest-2", "honest-3", "honest-4")
FOUND_SECONDS = 60
CATCH_UP_SECONDS = 60
REGISTERED_SECONDS = 90
JUDGED_SECONDS = 120
REDIRECTED_SECONDS = 90


class OwnersGround(EmbeddedGround):
    """The embedded chain; who announces does so later, by the owner's key."""

    def __init__(self) -> None:
        super().__init__(0, 8)
        self.arrivals: Sequence[Arrival] = ()

    def announce(self, arrivals: Sequence[Arrival]) -> None:
        """Keep the keys of the stakes."""
        self.arrivals = arrivals


class Scene(LiveNetwork):
    """The founders, the newcomer, and a stake that is too small, all with their owners' keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ground = OwnersGround()
        founders = [Post(p.name, p.role, p.ip, True, STAKE) for p in standard_posts()[:4]]
        newcomer = Post("newcomer", "honest", "127.0.0.21", False, STAKE, announced=True)
        small = Post("small", "honest", "127.0.0.22", False, COIN, announced=True)
        moved = [Post(p.name, p.role, p.ip, True, STAKE, announced=p.name == "honest-3") for p in founders]
        super().__init__(folder, [*moved, newcomer, small], ground=ground)
        names = ("honest-3", "newcomer", "small")
        self.owners = {name: arrival.stake for name, arrival in zip(names, ground.arrivals, strict=True)}
        for name, owner in self.owners.items():
            write_secret(folder / f"{name}.key", owner._secret)

    def __enter__(self) -> "Scene":
        for name in FOUNDERS:
            self.start(name)
        self.start_deaf("newcomer")
        return self

    def start_deaf(self, name: str) -> None:
        """Start a node that is never told where members listen."""
        self.start(
            name, [sys.executable, "-m", "tests.support.deaf_node", str(self.nodes[name].directory.path)]
        )

    def command(self, name: str, *words: object) -> dict[str, Any]:
        ended = run("zenp2p", *words, "--data-dir", self.nodes[name].directory.path, "--json")
        assert (ended.code, ended.err) == (0, ""), ended
        answer: dict[str, Any] = json.loads(one_line(ended.out))
        return answer

    def announce(self, name: str, stake: str, port: int, out: str) -> dict[str, Any]:
        """Announce a node by the owner of a stake, sent through the first founder; wait until it is mined."""
        self.command(
            name,
            *("announce", "build", "--stake-address", self.nodes[stake].stake_address),
            *("--stake-key", self.folder / f"{stake}.key"),
            *("--ip", self.nodes[name].post.ip, "--port", port, "--out", self.folder / out),
        )
        sent = self.command("honest-1", "announce", "send", self.folder / out)
        self.wait(
            "the announcement is mined", lambda: sent["txid"] in self.announced("honest-1"), FOUND_SECONDS
        )
        return sent

    def announced(self, name: str) -> list[str]:
        """The transactions that announce, as one node knows them."""
        return [each["txid"] for each in self.call(name, "chain.announcements")]

    def dialled(self, name: str) -> set[str]:
        """Whom a node has dialled because of an announcement."""
        return {line["operator"] for line in self.log(name) if line["event"] == "announced operator dialled"}

    def move(self, name: str, port: int) -> None:
        """Have a node that is down listen at another port."""
        node = self.nodes[name]
        text = node.directory.config.read_text()
        assert f"\nport = {node.port}\n" in text
        text = text.replace(f"\nport = {node.port}\n", f"\nport = {port}\n")
        write_durably(node.directory.config, text.encode(), overwrite=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:  # the deaf node is the tests' own program
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        with Scene(tmp_path_factory.mktemp("announced")) as scene:
            yield scene


def test_nobody_knows_the_newcomer_and_it_knows_nobody(scene: Scene) -> None:
    scene.wait_until("height", 4, CATCH_UP_SECONDS, FOUNDERS)
    assert (scene.said("newcomer", "peers"), scene.said("newcomer", "height")) == (0, 0)


def test_a_small_stake_announces_in_vain(scene: Scene) -> None:
    """Our own command does not build it, so it is built by hand."""
    address = scene.nodes["small"].stake_address
    words = ("announce", "build", "--stake-address", address, "--out", scene.folder / "never")
    ended = run("zenp2p", *words, "--data-dir", scene.nodes["newcomer"].directory.path)
    assert ended.code == 64 and "pay it something first" in ended.err
    owner, newcomer = scene.owners["small"], scene.nodes["newcomer"]
    announcement = Announcement(
        OperatorKey(newcomer.operator_key), newcomer.port, ip=inet_aton(newcomer.post.ip)
    )
    (coin,) = scene.call("honest-1", "chain.unspent", address=address)
    outpoint = OutPoint(parse_display_hash(coin["txid"]), coin["index"])
    built = build_announcing(announcement, owner.address, outpoint, coin["amount"])
    signed = owner.sign(built, [bytes.fromhex(coin["script"])])
    scene.call("honest-1", "chain.broadcast", transaction=signed.raw.hex())
    scene.wait("it is mined", lambda: bool(scene.announced("honest-1")), FOUND_SECONDS)
    (shown,) = scene.call("honest-1", "chain.announcements")
    assert [tie["counts"] for tie in shown["stakes"]] == [False]
    scene.wait_until("height", shown["height"] + 4, CATCH_UP_SECONDS, FOUNDERS)
    assert scene.said("newcomer", "peers") == 0
    assert not any(scene.dialled(name) for name in FOUNDERS)


def test_it_is_found_from_its_announcement_alone(scene: Scene) -> None:
    newcomer = scene.nodes["newcomer"]
    sent = scene.announce("newcomer", "newcomer", newcomer.port, "announcement")
    assert sent["signed"] == [newcomer.stake_address]
    scene.wait_until("peers", 1, FOUND_SECONDS, ["newcomer"])
    assert any(newcomer.operator_key.hex() in scene.dialled(name) for name in FOUNDERS)
    assert scene.dialled("newcomer") == set()  # it was found, and has not found anybody


def test_it_catches_up_and_registers(scene: Scene) -> None:
    height = scene.said("honest-1", "height")
    scene.wait_until("height", height, CATCH_UP_SECONDS, ["newcomer"])
    scene.wait_until("registered", 1, REGISTERED_SECONDS, ["newcomer"])


def test_it_is_judged_like_everybody(scene: Scene) -> None:
    key = scene.nodes["newcomer"].operator_key.hex()

    def valid() -> bool:
        try:
            seq = scene.call("honest-1", "challenge.current")["seq"]
            shown = [scene.call("honest-1", "challenge.show", seq=seq - back) for back in (2, 3)]
        except NOT_NOW:
            return False
        return any(one.get("verdicts", {}).get(key, {}).get("verdict") == "VALID" for one in shown)

    scene.wait("the newcomer is VALID", valid, JUDGED_SECONDS)


def test_it_finds_the_network_by_the_announcement_of_another(scene: Scene) -> None:
    """A founder moved, and said so on the chain; the newcomer moved too, and told nobody."""
    moved = scene.nodes["honest-3"]
    ports = free_ports([moved.post.ip, scene.nodes["newcomer"].post.ip])
    sent = scene.announce("honest-3", "honest-3", ports[0], "moved")
    scene.wait("the newcomer knows", lambda: sent["txid"] in scene.announced("newcomer"), CATCH_UP_SECONDS)
    for name, port in zip(("honest-3", "newcomer"), ports, strict=True):
        scene.stop(name)
        scene.move(name, port)
    scene.start("honest-3")
    scene.start_deaf("newcomer")
    scene.wait_until("peers", 1, REDIRECTED_SECONDS, ["newcomer"])
    assert scene.dialled("newcomer") == {moved.operator_key.hex()}
    scene.wait_until("height", scene.said("honest-1", "height"), CATCH_UP_SECONDS, ["newcomer"])


def test_nobody_contradicted_himself(scene: Scene) -> None:
    for name in FOUNDERS:
        assert scene.events(name).isdisjoint(CONTRADICTIONS)
