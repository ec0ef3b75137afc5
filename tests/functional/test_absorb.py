"""A group loses two of its five voters: it answers its summons in time; then it does not, and is absorbed.

Ten real daemons in two groups, on the embedded chain, and what people do with the command line. One story,
told in order: each test takes up the network where the one before left it.
"""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from protocol.codec import replace
from protocol.genesis import first_period
from protocol.group.summons import term
from protocol.parameters import DEVNET
from protocol.payout.list_file import decode_list_file
from tests.support.devnet import one_line, run
from tests.support.live_network import LiveNetwork, check_safety
from zenp2p.api.client import RpcClient
from zenp2p.api.errors import NotFound
from zenp2p.devnet.foundry import FEES, Plan, Post
from zenp2p.devnet.paymasters import paid_by, pay_next

pytestmark = pytest.mark.functional

HALF = 5
PARAMETERS = replace(DEVNET, silence=10, period_blocks=48)
"""A group that is well certifies every eighth block; a term of twenty leaves time to answer."""
TERM = term(PARAMETERS)
GONE = 2
"""Of five voters: more than a third."""
MINER = "founder-1"
STEP_SECONDS = 120
HASH = 32
AGE = 4


@dataclass(slots=True)
class Scene:
    """The network, and which of its nodes belongs where."""

    live: LiveNetwork
    scratch: Path
    prefix: str = ""
    """Of the group that stops: the miner is in the other one."""
    members: dict[str, list[str]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    """Killed, and not started again."""
    summoning: bytes = b""
    """Hash of the last summoning block."""
    lists: list[Path] = field(default_factory=list)

    @property
    def staying(self) -> list[str]:
        """Members of the stopping group that are never killed."""
        return [name for name in self.members[self.prefix] if name not in self.gone]

    @property
    def survivor(self) -> str:
        return self.staying[0]

    @property
    def beside(self) -> str:
        return "1" if self.prefix == "0" else "0"

    def say(self, name: str, *words: object) -> Any:
        """Run `zenp2p … --json` beside a node and return its one line's JSON; fails when it fails."""
        path = self.live.nodes[name].directory.path
        ended = run("zenp2p", "--data-dir", path, *words, "--json")
        assert (ended.code, ended.err) == (0, ""), ended
        return json.loads(one_line(ended.out))

    def shown(self, name: str, *words: object) -> str:
        """Return what `zenp2p …` prints for people."""
        ended = run("zenp2p", "--data-dir", self.live.nodes[name].directory.path, *words)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out

    def key(self, name: str) -> str:
        """Return a node's operator key as RPC shows it."""
        return self.live.nodes[name].operator_key.hex()

    def groups(self, name: str = MINER) -> dict[str, dict[str, Any]]:
        """Return the live groups, by prefix."""
        return {each["prefix"]: each for each in self.live.call(name, "group.show")["groups"]}

    def live_groups(self, name: str = MINER) -> list[str]:
        return sorted(self.groups(name))

    def height(self) -> int:
        return self.live.said(MINER, "height")

    def wait_for_summons(self) -> dict[str, Any]:
        """Wait until the group's sibling has summoned it."""
        found: list[dict[str, Any]] = []

        def is_summoned() -> bool:
            found[:] = self.live.call(MINER, "group.summonses")["summonses"]
            return bool(found)

        self.live.wait("a summons", is_summoned, STEP_SECONDS)
        (one,) = found
        assert (one["prefix"], one["by"], one["mined"]) == (self.prefix, self.beside, None)
        return one

    def mark(self, what: str, name: str) -> dict[str, Any]:
        """Have the owner of a node's stake put a mark on the chain, and return how it was built."""
        node = self.live.nodes[name]
        file = self.scratch / f"{what}-{self.height()}"
        stake = ("--stake-address", node.stake_address, "--stake-key", node.stake_key)
        built: dict[str, Any] = self.say(name, "group", what, *stake, "--out", file)
        sent = self.say(name, "group", "send", file)
        assert built["group"] == self.prefix and sent["signed"] == [node.stake_address]
        return built

    def summon(self) -> int:
        """Have the summons mined; return the last height at which it can be answered in time."""
        self.summoning = bytes.fromhex(self.wait_for_summons()["payload"])[-HASH:]
        assert any("zenp2p group absorb" in line for line in self.say(MINER, "status")["problems"])
        assert self.mark("absorb", MINER)["by"] == self.beside
        called: list[dict[str, Any]] = []

        def is_mined() -> bool:
            called[:] = self.live.call(self.survivor, "group.summonses")["called"]
            return bool(called)

        self.live.wait("the summons in the chain", is_mined, STEP_SECONDS)
        assert called[0]["due"] == called[0]["mined"] + TERM
        return int(called[0]["due"])

    def lose(self) -> None:
        """Kill two voters of the group. The paymasters need the first two nodes."""
        voters = {one["operator"] for one in self.groups()[self.prefix]["members"] if one["voter"]}
        assert len(voters) < 3 * GONE, "more than a third"
        names = [name for name in self.members[self.prefix] if self.key(name) in voters]
        self.gone = [name for name in names if name not in self.live.names[:2]][-GONE:]
        for name in self.gone:
            self.live.stop(name, signal.SIGKILL)

    def come_back(self) -> None:
        """Start one of the two again, and wait until the group has let the other go.

        With the fourth voter it certifies what is due, and then the fifth has been silent for too long.
        """
        first, late = self.gone
        self.live.start(first)

        def is_whole() -> bool:
            group = self.groups(self.survivor)[self.prefix]
            return group["members_count"] == HALF - 1 and not group["link_due"]

        self.live.wait("the group certifies again", is_whole, STEP_SECONDS)
        assert self.key(late) in self.groups(self.survivor)[self.prefix]["removed"]
        self.gone = [late]

    def wait_stopped(self) -> dict[str, Any]:
        """Wait until a group is shown as stopped, and return it."""

        def has_stopped() -> bool:
            group = self.groups(self.survivor)[self.prefix]
            return bool(group["condition"] == "stopped")

        self.live.wait(f"group {self.prefix} stops", has_stopped, STEP_SECONDS)
        return self.groups(self.survivor)[self.prefix]

    def settle(self) -> list[str]:
        """Pay the next list and verify it from files alone; return its heads."""
        path = self.fetch_list(first_period(self.live.founded.genesis) + len(self.lists))
        assert self.pay(path) > 0
        wallet = self.scratch / f"wallet-{path.name}"
        wallet.mkdir()
        shutil.copy(self.live.founded.genesis_file, wallet / "genesis")
        for each in self.lists:
            shutil.copy(each, wallet)
        trust = ("--trust", "genesis", "--chain-of-lists", ".")
        assert run("zenp2p", "payout", "verify", path.name, *trust, cwd=wallet).code == 0
        return [head.prefix for head in decode_list_file(path.read_bytes()).header.heads]

    def fetch_list(self, period: int) -> Path:
        """Wait until a period's list is certified, and export it into a file."""
        listed: list[int] = []

        def is_certified() -> bool:
            listed[:] = [one["period"] for one in self.live.call(MINER, "payout.list")]
            return period in listed

        self.live.wait(f"the list of period {period}", is_certified, STEP_SECONDS)
        path = self.scratch / f"list-{period}"
        self.say(MINER, "payout", "export", period, "--out", path)
        return path

    def pay(self, path: Path) -> int:
        """Pay a list after those before it; return what is paid to anybody but the treasury."""
        paid = pay_next(self.live.founded, path, 0, self.lists)
        assert paid.chunks == 1
        self.lists.append(path)
        client = RpcClient(self.live.nodes[MINER].directory.path)

        def is_mined() -> bool:
            with suppress(NotFound):
                return bool(client.call("chain.transaction", {"txid": paid.txid})["confirmations"])
            return False

        self.live.wait("the payment in the chain", is_mined, STEP_SECONDS)
        return paid_by(client, [paid.txid], self.live.founded.genesis)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("absorb")
    posts = [
        Post(f"founder-{n}", "honest", f"127.0.0.{10 + n}", True, DEVNET.stake + FEES)
        for n in range(1, 2 * HALF + 1)
    ]
    plan = Plan(PARAMETERS, AGE, even_halves=True)
    with LiveNetwork(folder, posts, plan=plan) as live:
        live.wait_connected()
        yield Scene(live, folder)


def test_two_groups_of_five(scene: Scene) -> None:
    live = scene.live

    def has_split() -> bool:
        groups = scene.groups()
        return sorted(groups) == ["0", "1"] and not any(one["link_due"] for one in groups.values())

    live.wait("two groups", has_split, STEP_SECONDS)
    by_key = {scene.key(name): name for name in live.names}
    for prefix, group in scene.groups().items():
        scene.members[prefix] = sorted(by_key[member["operator"]] for member in group["members"])
    assert [len(names) for names in scene.members.values()] == [HALF, HALF]
    scene.prefix = "1" if MINER in scene.members["0"] else "0"


def test_a_group_without_two_of_five_stops_and_says_what_it_owes(scene: Scene) -> None:
    scene.lose()
    group = scene.wait_stopped()
    assert group["unjudged"] and group["unjudged"][0]["parts"] == [scene.prefix]
    said = scene.say(scene.survivor, "status")
    assert any(f"group {scene.prefix} has stopped" in line for line in said["problems"])
    assert scene.prefix in scene.say(MINER, "status")["stopped_groups"]
    shown = scene.shown(MINER, "group", "show")
    assert f"! group {scene.prefix} has stopped" in shown
    assert f"is not judged for {scene.prefix}" in shown


def test_it_comes_back_and_shows_its_head_in_time(scene: Scene) -> None:
    live = scene.live
    due = scene.summon()
    problems = scene.say(scene.survivor, "status")["problems"]
    assert any(f"up to block {due}" in line and "zenp2p group cancel" in line for line in problems)
    scene.come_back()
    (called,) = live.call(scene.survivor, "group.summonses")["called"]
    assert bytes.fromhex(called["payload"])[-HASH:] != scene.summoning, "it shows what it certified since"
    assert scene.mark("cancel", scene.survivor)["due"] == due
    live.wait(
        "nobody is called any more",
        lambda: not live.call(scene.survivor, "group.summonses")["called"],
        STEP_SECONDS,
    )
    assert scene.height() <= due, "in time"
    live.wait(
        "the summons is dropped", lambda: not live.call(MINER, "group.summonses")["summonses"], STEP_SECONDS
    )


def test_it_stops_for_good_and_is_summoned_again(scene: Scene) -> None:
    before = scene.groups()[scene.prefix]["height"]
    (late,) = scene.gone
    scene.lose()
    scene.live.start(late)
    scene.summon()
    group = scene.wait_stopped()
    assert group["height"] >= before and group["unjudged"]
    assert f"is not judged for {scene.prefix}" in scene.shown(scene.survivor, "group", "show")


def test_meanwhile_the_list_before_is_paid(scene: Scene) -> None:
    assert scene.settle() == ["0", "1"]


def test_its_sibling_goes_on_without_it(scene: Scene) -> None:
    live = scene.live
    up = [name for name in live.names if name not in scene.gone]
    live.wait(
        "one group everywhere", lambda: all(scene.live_groups(name) == [""] for name in up), STEP_SECONDS
    )
    said = scene.say(scene.survivor, "status")
    assert not said["voter"] and any("with age 2" in line for line in (*said["problems"], said["doing"])), (
        said
    )
    (whole,) = scene.groups().values()
    assert {scene.key(name) for name in scene.gone} <= set(whole["removed"])
    assert set(whole["removed"]) <= {scene.key(name) for name in scene.members[scene.prefix]}


def test_its_surviving_members_come_in_again_without_a_vote(scene: Scene) -> None:
    seen: dict[str, dict[str, Any]] = {}

    def are_back() -> bool:
        for member in scene.groups()[""]["members"]:
            seen.setdefault(member["operator"], member)
        return all(scene.key(name) in seen for name in scene.staying)

    scene.live.wait("those who were left come back", are_back, STEP_SECONDS)
    for name in scene.staying:
        first = seen[scene.key(name)]
        assert not first["voter"] and first["returning_age"] == AGE
    (whole,) = scene.groups().values()
    assert whole["condition"] == "runs"


def test_the_next_list_is_paid(scene: Scene) -> None:
    """On a slow machine the absorption may come after the heads of one list more."""
    heads = scene.settle()
    assert heads == [""] or (heads == ["0", "1"] and scene.settle() == [""])


def test_nobody_said_two_things(scene: Scene, tmp_path: Path) -> None:
    check_safety(scene.live, tmp_path)
