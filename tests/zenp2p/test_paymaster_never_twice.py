"""Nothing is paid twice and nothing is lost, on litecoind: reorganisations, broadcasts that are cut off."""

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from protocol.errors import InvalidPayment
from protocol.genesis import encode_genesis
from protocol.payout.payment import ENTRIES_MAX
from protocol.units import COIN
from tests.support.litecoind import LitecoinNode, litecoin_node
from tests.support.litecoind_treasury import LitecoindTreasury, NodeView
from zenp2p.api.errors import BadData
from zenp2p.api.methods import Methods
from zenp2p.api.server import RpcServer
from zenp2p.data_directory import DataDirectory
from zenp2p.devnet.processes import script

CALLS_MAX = 40
STANDARD = "acceptnonstdtxn=0"


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node(extra=(STANDARD, "persistmempool=0")) as node:
        yield node


@pytest.fixture
def treasury(node: LitecoinNode, request: pytest.FixtureRequest) -> Iterator[LitecoindTreasury]:
    addresses = getattr(request, "param", 4)
    with closing(LitecoindTreasury(node, request.node.name, 60 * COIN, addresses)) as treasury:
        yield treasury


@pytest.mark.parametrize("depth", [1, 2, 6])
def test_a_payment_that_is_taken_off_goes_back_to_the_pool(treasury: LitecoindTreasury, depth: int) -> None:
    file = treasury.signed()
    sent = treasury.send(file)
    treasury.node.mine(depth)
    assert treasury.paid_chunks() == [0]
    treasury.node.replace(depth)
    assert treasury.paid_chunks() == []
    assert not any(treasury.held([entry.address for entry in treasury.verified.entries]).values())
    assert treasury.send(file) == replace(sent, state="waiting")
    treasury.node.mine()
    assert treasury.send(file).state == "mined"
    treasury.check_paid()


def test_a_payment_that_the_pool_forgot_is_sent_again(treasury: LitecoindTreasury) -> None:
    """The same bytes; and nothing else can stand beside them, for it would spend the same baton."""
    file, other = treasury.signed(), treasury.signed((0, 1))
    sent = treasury.send(file)
    treasury.node.mine()
    treasury.node.replace(1)
    treasury.restart_node()
    assert treasury.node.client.call("getrawmempool") == []
    assert treasury.send(file) == sent
    with pytest.raises(BadData, match=sent.txid):
        treasury.send(other)
    treasury.node.mine()
    treasury.check_paid()


def test_another_version_is_mined_in_the_longer_branch(treasury: LitecoindTreasury) -> None:
    """The one that was mined first can never be mined again, and the answer names the one that was."""
    first, second = treasury.signed((1, 3)), treasury.signed((0, 2), fee_rate=3_000)
    treasury.send(first)
    treasury.node.mine(2)
    treasury.node.replace(2, transactions=[treasury.raw(second)])
    winner = treasury.send(second)
    assert winner.state == "mined" and treasury.paid_chunks() == [0]
    with pytest.raises(InvalidPayment, match=f"paid already, by transaction {winner.txid}"):
        treasury.send(first)
    assert treasury.node.client.call("getrawmempool") == []
    treasury.check_paid()


@pytest.mark.parametrize("treasury", [ENTRIES_MAX + 3], indirect=True)
def test_two_chunks_taken_off_come_back_in_their_order(treasury: LitecoindTreasury) -> None:
    files = []
    for _ in range(2):
        files.append(treasury.signed())
        treasury.send(files[-1])
        treasury.node.mine()
    treasury.node.replace(2)
    treasury.restart_node()
    with pytest.raises(InvalidPayment, match="the payment is for chunk 1, chunk 0 comes next"):
        treasury.send(files[1])
    assert treasury.send(files[0]).state == "sent"
    treasury.node.mine()
    assert (treasury.send(files[0]).state, treasury.send(files[1]).state) == ("mined", "sent")
    treasury.node.mine()
    assert treasury.paid_chunks() == [0, 1]
    treasury.check_paid()


@pytest.mark.parametrize("treasury", [ENTRIES_MAX + 3], indirect=True)
def test_a_chunk_whose_baton_another_version_moved_is_built_again(treasury: LitecoindTreasury) -> None:
    """Chunk 1 hung on the change of a chunk 0 that lost: its file is worth nothing, and says so."""
    first, other = treasury.signed((1, 3)), treasury.signed((0, 2), fee_rate=3_000)
    treasury.send(first)
    treasury.node.mine()
    second = treasury.signed()
    treasury.send(second)
    treasury.node.mine()
    treasury.node.replace(2, transactions=[treasury.raw(other)])
    assert treasury.paid_chunks() == [0]
    with pytest.raises(InvalidPayment, match="the first input must spend the baton"):
        treasury.send(second)
    treasury.send(treasury.signed())
    treasury.node.mine()
    assert treasury.paid_chunks() == [0, 1]
    treasury.check_paid()


def test_two_paymasters_broadcast_at_once(treasury: LitecoindTreasury) -> None:
    """The other one comes between the last check and the sending: the payment waits, no second one does."""
    file, other = treasury.signed((1, 3)), treasury.signed((0, 2))
    rival, view = treasury.view(), treasury.view()
    states: list[str] = []

    def cut_in(method: str) -> None:
        if method == "chain.broadcast":
            states.append(treasury.send(file, rival).state)

    view.before_call = cut_in
    assert treasury.send(file, view).state == "waiting"
    with pytest.raises(BadData, match="spent by another transaction in the node's pool"):
        treasury.send(other, view)
    assert states == ["sent", "waiting"]
    treasury.node.mine()
    treasury.check_paid()


def test_it_is_mined_between_the_check_and_the_sending(treasury: LitecoindTreasury) -> None:
    file, other = treasury.signed((1, 3)), treasury.signed((0, 2))
    rival, view = treasury.view(), treasury.view()

    def cut_in(method: str) -> None:
        if method == "chain.broadcast":
            treasury.send(file, rival)
            treasury.node.mine()

    view.before_call = cut_in
    sent = treasury.send(file, view)
    assert (sent.state, sent.height) == ("mined", treasury.node.client.height())
    treasury.node.replace(1)
    treasury.restart_node()
    with pytest.raises(BadData, match="not known to the node, or spent in a block"):
        treasury.send(other, view)
    assert treasury.paid_chunks() == [0]
    treasury.check_paid()


class Killed(BaseException):
    """The tool ends here, as if its process were killed."""


def kill_at(number: int) -> Callable[[str], None]:
    """Return a hook that kills at the call of that number."""
    calls = itertools.count()

    def hook(method: str) -> None:
        if next(calls) == number:
            raise Killed(method)

    return hook


@pytest.mark.parametrize("mined_between", [False, True])
@pytest.mark.parametrize("hook", ["before_call", "after_call"])
def test_a_broadcast_killed_at_any_call_is_run_again(
    node: LitecoinNode, hook: str, mined_between: bool
) -> None:
    """Before each question, and after each answer that the tool did not see; then simply once more."""
    for number in range(CALLS_MAX):
        with closing(LitecoindTreasury(node, f"{hook} {mined_between} {number}", 60 * COIN)) as treasury:
            file, dying = treasury.signed(), treasury.view()
            setattr(dying, hook, kill_at(number))
            try:
                treasury.send(file, dying)
                break
            except Killed as killed:
                left = (hook, *killed.args) == ("after_call", "chain.broadcast")
            if mined_between:
                node.mine()
            again = treasury.send(file).state
            assert again == ("sent" if not left else "mined" if mined_between else "waiting")
            node.mine()
            assert treasury.send(file).state == "mined" and treasury.paid_chunks() == [0]
            treasury.check_paid()
    assert 4 < number < CALLS_MAX - 1


@dataclass
class HeldDaemon:
    """A node's RPC on loopback, whose answer to `chain.broadcast` is held back at one moment."""

    view: NodeView
    directory: DataDirectory
    moment: str
    held: trio.Event = field(default_factory=trio.Event)
    released: trio.Event = field(default_factory=trio.Event)

    def server(self) -> RpcServer:
        methods = Methods()
        for method in self.view.rpc.methods:
            if "." in method.name and method.name not in ("rpc.methods", "node.version"):
                methods.add(
                    method.name, method.params, self._answered(method.name, method.handler), method.doc
                )
        return RpcServer(methods, self.directory, "127.0.0.1", 0)

    def _answered(self, name: str, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def answer(params: Any) -> object:
            self.view.follow()
            if name == "chain.broadcast" and self.moment == "before":
                await self._hold()
            result = await handler(params)
            if name == "chain.broadcast" and self.moment == "after":
                await self._hold()
            return result

        return answer

    async def _hold(self) -> None:
        self.held.set()
        await self.released.wait()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_real_process_is_killed_while_it_broadcasts(
    treasury: LitecoindTreasury, moment: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    """SIGKILL while the daemon has not handed it on yet, or has, and the answer is on its way."""
    file = await trio.to_thread.run_sync(treasury.signed)
    (tmp_path / "genesis").write_bytes(encode_genesis(treasury.genesis))
    (tmp_path / "list").write_bytes(treasury.world.certified(treasury.world.list()))
    (tmp_path / "payment").write_bytes(file)
    directory = DataDirectory(tmp_path / "node")
    directory.create()
    daemon = HeldDaemon(treasury.view(), directory, moment)
    await nursery.start(daemon.server().serve)
    command = [script("zenp2p"), "treasury", "broadcast", str(tmp_path / "payment")]
    command += ["--list", str(tmp_path / "list"), "--trust", str(tmp_path / "genesis")]
    command += ["--data-dir", str(directory.path), "--json"]
    with trio.fail_after(30):
        process: trio.Process = await nursery.start(_run_quietly, command)
        await daemon.held.wait()
        assert len(treasury.node.client.call("getrawmempool")) == (1 if moment == "after" else 0)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        daemon.released.set()
        daemon.moment = "never"
        await trio.testing.wait_all_tasks_blocked(0.05)
        states = [await _broadcast(command)]
        treasury.node.mine()
        states.append(await _broadcast(command))
    nursery.cancel_scope.cancel()
    assert states[0]["state"] in ("sent", "waiting")
    assert states[1] == {**states[0], "state": "mined", "height": treasury.node.client.height()}


async def _run_quietly(command: list[str], *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    await trio.run_process(command, check=False, capture_stdout=True, task_status=task_status)


async def _broadcast(command: list[str]) -> dict[str, Any]:
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
