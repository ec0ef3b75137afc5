"""What a node says when it is not well: no height moves for it, nothing ends, and the state says so."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from protocol.chain.encoding import display_hash
from protocol.chain.rules import ZEN_TESTNET
from protocol.codec import replace
from tests.support.external_network import Running, external_genesis, running
from tests.support.scripted_server import Reply, serving
from tests.support.zend_chain import ZenBranch
from tests.support.zend_signing import ZendError
from tests.support.zend_stand_in import ZendStandIn
from zenp2p.chain.broadcast import BroadcastRefused, Refusal
from zenp2p.chain.rpc import client as client_module
from zenp2p.chain.rpc import service as service_module
from zenp2p.chain.rpc.client import ATTEMPTS_MAX, NodeSettings
from zenp2p.chain.rpc.errors import NodeError, NodeUnreachable
from zenp2p.chain.rpc.service import RpcService
from zenp2p.chain.rpc.source import BLOCKS_AT_ONCE_MAX
from zenp2p.chain.source import Connected
from zenp2p.store import MemoryStore


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a node that is asked hundreds of times."""
    monkeypatch.setattr(client_module, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(service_module, "PAUSE_SECONDS_MIN", 0.001)


def grown(height: int, salt: int = 0) -> ZenBranch:
    branch = ZenBranch()
    branch.grow(height, salt=salt)
    return branch


def service(settings: NodeSettings) -> RpcService:
    genesis = replace(external_genesis(ZenBranch().tip), chain=ZEN_TESTNET)
    return RpcService(genesis, MemoryStore(), settings)


def is_at_tip(live: Running, zend: ZendStandIn) -> bool:
    return bool(display_hash(live.service.index.tip()[1]) == zend.ledger.rpc_getbestblockhash())


def refuse(code: int, words: str) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise ZendError(code, words)

    return answer


# Heights that stand still.


async def test_a_node_that_reads_its_blocks_anew_comes_by_stale_ones() -> None:
    """zend connects them in the order of its files: its tip may be a block that lost long ago."""
    branch = grown(30)
    stale = branch.fork(9)
    stale.grow(1, salt=7)
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.service.index.tip()[0] == 30 and live.state == "ok")
            told = list(live.events)
            zend.become(stale.raw)
            await live.until(lambda: live.state == "behind")
            assert live.events == told and live.service.index.tip()[0] == 30
            assert "less work" in live.service.condition().problem
            zend.connect(stale.grow(20, salt=7))  # as long as ours, and the node's: it counts
            await live.until(lambda: live.state == "ok")
            assert live.service.index.tip() == (30, stale.tip)
            assert [event.height for event in live.events[len(told) :]] == [
                *range(30, 9, -1),
                *range(10, 31),
            ]


async def test_without_their_work_said_branches_are_told_apart_by_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    branch = grown(12)
    other = branch.fork(5)
    other.grow(6, salt=7)
    with ZendStandIn(branch.raw) as zend:
        monkeypatch.setattr(zend.ledger, "rpc_getblockheader", refuse(-32601, "Method not found"))
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.service.index.tip()[0] == 12)
            zend.become(other.raw)
            await live.until(lambda: live.state == "behind")
            assert live.service.index.tip()[0] == 12
            zend.connect(other.grow(1, salt=7))
            await live.until(lambda: live.service.index.tip() == (12, other.tip))


async def test_a_block_that_the_node_cannot_read_is_not_well() -> None:
    branch = grown(3)
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.state == "ok")
            zend.ledger.rpc_getblock = refuse(-32603, "Can't read block from disk")  # type: ignore[method-assign]
            zend.connect(branch.grow(2))
            await live.until(lambda: live.state == "confused")
            assert "Can't read block from disk" in live.service.condition().problem
            assert live.service.index.tip()[0] == 3
            del zend.ledger.rpc_getblock
            await live.until(lambda: live.state == "ok" and live.service.index.tip()[0] == 5)


@pytest.mark.parametrize(
    "odd",
    [
        {"blocks": 1e300},
        {"blocks": -1},
        {"blocks": 1 << 40},
        {"blocks": "3"},
        {"blocks": 3.5},
        {"blocks": True},
        {"headers": 1e300},
        {"headers": None},
        {"bestblockhash": None},
        {"bestblockhash": "00" * 31},
        {"bestblockhash": "\ud800"},
    ],
    ids=repr,
)
async def test_nonsense_about_the_chain_is_no_answer(odd: dict[str, Any]) -> None:
    branch = grown(3)
    with ZendStandIn(branch.raw) as zend:
        sane = zend.ledger.rpc_getblockchaininfo
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.state == "ok")
            zend.ledger.rpc_getblockchaininfo = lambda: sane() | odd  # type: ignore[method-assign]
            await live.until(lambda: live.state == "confused")
            assert live.service.index.tip()[0] == 3
            del zend.ledger.rpc_getblockchaininfo
            await live.until(lambda: live.state == "ok")


async def test_a_chain_that_changes_while_it_is_fetched_takes_nothing_back() -> None:
    """Between the search for the fork and the fetch the node went to another branch and back."""
    branch = grown(12)
    other = branch.fork(8)
    other.grow(8, salt=1)
    third = branch.fork(2)
    third.grow(20, salt=2)
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.service.index.tip()[0] == 12)
            told = len(live.events)
            sane = zend.ledger.rpc_getblockheader

            def switch(name: str) -> Any:
                answer = sane(name)
                zend.become(third.raw)
                for height, block in enumerate(other.blocks):
                    zend.ledger.known.setdefault(zend_hash(other, height), (height, block))
                return answer

            zend.ledger.rpc_getblockheader = switch  # type: ignore
            zend.become(other.raw)
            await live.until(lambda: live.service.index.tip() == (22, third.tip))
            heights = [(type(event) is Connected, event.height) for event in live.events[told:]]
            assert heights == [(False, h) for h in range(12, 2, -1)] + [(True, h) for h in range(3, 23)]


def zend_hash(branch: ZenBranch, height: int) -> bytes:
    return branch.fork(height).tip


# A first start.


async def test_a_first_start_ends_though_the_node_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "PREPARE_SECONDS", 0.2)
    with serving(lambda *_: Reply(stall=True)) as server:
        made = service(NodeSettings("127.0.0.1", server.port, user="x", password="y"))
        with pytest.raises(NodeUnreachable, match="does not answer within"):
            await made.prepare()


async def test_a_first_start_without_a_first_block_is_refused() -> None:
    with ZendStandIn(grown(3).raw) as zend:
        zend.ledger.rpc_getblock = refuse(-32603, "Can't read block from disk")  # type: ignore[method-assign]
        made = service(zend.settings)
        with pytest.raises(NodeError, match="Can't read block from disk"):
            await made.prepare()
        assert made.index.head is None


# The log.


async def test_a_node_that_stays_wrong_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ZendStandIn(grown(3).raw) as zend:
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.state == "ok")
            zend.become(ZenBranch(salt=9).raw)
            await live.until(lambda: live.state == "foreign")
            looks = zend.asked.count("getblockchaininfo")
            await live.until(lambda: zend.asked.count("getblockchaininfo") > looks + 6)
    said = [record.getMessage() for record in caplog.records if record.name == service_module.__name__]
    assert said == ["chain node", "chain node is ok", "chain node is foreign"]


async def test_a_node_that_syncs_is_logged_once_however_far_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    branch = grown(2)
    with ZendStandIn(branch.raw) as zend:
        sane = zend.ledger.rpc_getblockchaininfo
        zend.ledger.rpc_getblockchaininfo = lambda: sane() | {"headers": 10_000}  # type: ignore[method-assign]
        async with running(service(zend.settings)) as live:
            for _ in range(3):
                zend.connect(branch.grow(BLOCKS_AT_ONCE_MAX + 5))
                await live.until(lambda: live.service.index.tip() == (zend.height, branch.tip))
                assert live.state == "syncing"
    said = [record.getMessage() for record in caplog.records if record.name == service_module.__name__]
    assert said == ["chain node", "chain node is syncing"]


# After the end.


async def test_who_asks_after_the_end_is_told_so() -> None:
    """A daemon that is read-only answers on, though it follows its node no more."""
    branch = grown(3)
    payment = branch.spend(1, [(bytes([1]) * 21, 1_000)])
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend.settings)) as live:
            await live.until(lambda: live.state == "ok")
        with pytest.raises(NodeUnreachable, match="not asked any more"):
            await live.service.broadcast(payment.raw)


# Sending.


async def test_a_refusal_stays_one_though_nobody_says_who_is_in_the_way() -> None:
    branch = grown(3)
    payment = branch.spend(1, [(bytes([1]) * 21, 1_000)])
    pools: list[Any] = [[], "no pool"]

    def pool() -> Any:
        if not pools:
            raise ZendError(-1, "not now")
        return pools.pop(0)

    with ZendStandIn(branch.raw) as zend:
        zend.ledger.rpc_getrawmempool = pool  # type: ignore[attr-defined]
        zend.ledger.rpc_sendrawtransaction = refuse(-26, "18: txn-mempool-conflict")  # type: ignore
        async with running(service(zend.settings)) as live:
            for _ in range(2):
                with pytest.raises(BroadcastRefused) as refused:
                    await live.service.broadcast(payment.raw)
                assert (refused.value.refusal, refused.value.by) == (Refusal.CONFLICT, None)
                pools.append([])


# Nonsense in every place.

NONSENSE: tuple[object, ...] = (None, True, -1, "zz", "00" * 32, "\ud800\x1b[2J", [None], {}, {"chain": ""})


@pytest.mark.parametrize(
    "method",
    ["getblockchaininfo", "getblockhash", "getblock", "getblockheader", "getnetworkinfo"],
)
async def test_nonsense_from_any_method_ends_nothing(method: str) -> None:
    branch = grown(4)
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend.settings)) as live:
            for salt, nonsense in enumerate(NONSENSE, 1):
                await live.until(lambda: is_at_tip(live, zend) and live.state == "ok")
                used: list[object] = []
                setattr(zend.ledger, f"rpc_{method}", _saying(nonsense, used))
                branch = branch.fork(len(branch.blocks) - 2)
                branch.grow(2, salt=salt)
                zend.become(branch.raw)
                zend.be_busy(ATTEMPTS_MAX)  # so that it is asked anew what it is
                await live.until(lambda seen=used: bool(seen))  # type: ignore[misc]
                delattr(zend.ledger, f"rpc_{method}")


def _saying(nonsense: object, used: list[object]) -> Callable[..., object]:
    def answer(*asked: object) -> object:
        used.append(asked)
        return nonsense

    return answer


BODIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"result": NaN, "error": null, "id": 1}',
    b'{"result": null, "error": {"code": 1e99, "message": 1}, "id": 1}',
    b'{"result": null, "error": "no", "id": 1}',
    b"9" * 10_000,
    "\ud800".encode("utf-16", "surrogatepass"),
    json.dumps({"result": display_hash(bytes(32)), "error": None, "id": True}).encode(),
)


async def test_nonsense_over_http_ends_nothing() -> None:
    branch = grown(2)
    said: list[Reply] = []
    zend = ZendStandIn(branch.raw)
    sane = zend._reply
    zend._reply = lambda *asked: said[0] if said else sane(*asked)  # type: ignore[method-assign]
    with zend:
        async with running(service(zend.settings)) as live:
            for status in (200, 301, 500):
                for body in BODIES:
                    await live.until(lambda: live.state == "ok")
                    said.append(Reply(status, body))
                    await live.until(lambda: live.state in ("confused", "busy"))
                    said.clear()
            assert live.service.index.tip()[0] == 2
