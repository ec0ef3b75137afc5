"""zend's own ways, in every age that differs: learnt, asked, signed with, and read.

A stand-in answers (no package brings zend); that it shows blocks as zend does is held against
what a real one showed.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.chain.address import encode_address, encode_secret_key, pay_to_script_hash
from protocol.chain.block import parse_block
from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.rules import ZEN_TESTNET
from protocol.chain.script import address_script, multisig_script
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.crypto import secp256k1_public_key, sha256
from protocol.units import COIN
from tests.support.chain_data import read_hex_lines, read_json
from tests.support.scripted_server import Reply, serving
from tests.support.zend_chain import ZenBranch, address_of
from tests.support.zend_json import block_json
from tests.support.zend_stand_in import ZendStandIn
from tests.support.zmq_publisher import Publisher
from zenp2p.chain.rpc.address_answers import parse_balance, parse_unspent
from zenp2p.chain.rpc.answers import Call
from zenp2p.chain.rpc.client import NodeClient, NodeSettings
from zenp2p.chain.rpc.dialect import (
    BITCOIND,
    LITECOIND,
    ZEND_2,
    ZEND_3,
    AddressQuery,
    Dialect,
    Prevout,
    learn_node,
)
from zenp2p.chain.rpc.errors import ForeignNode, NodeBusy, NodeRefusal, NodeUnreachable, NodeWarmingUp
from zenp2p.chain.rpc.hints import listen

RULES = ZEN_TESTNET
SECRETS = [sha256(f"paymaster {number}".encode()) for number in range(5)]
KEYS = [encode_secret_key(secret, RULES.prefixes) for secret in SECRETS]
REDEEM_SCRIPT = multisig_script(2, [secp256k1_public_key(secret) for secret in SECRETS])
TREASURY = pay_to_script_hash(REDEEM_SCRIPT)
STAKE = address_of(sha256(b"stake"))


def text_of(address: bytes) -> str:
    return encode_address(address, RULES.prefixes)


@pytest.fixture
def branch() -> ZenBranch:
    branch = ZenBranch()
    branch.grow(4)
    return branch


@pytest.fixture
def zend(branch: ZenBranch) -> Iterator[ZendStandIn]:
    with ZendStandIn(branch.raw, address_index=True) as zend:
        yield zend


async def _ask(client: NodeClient, call: Call) -> Any:
    method, params = call
    return await client.call(method, *params)


@pytest.mark.parametrize(
    ("agent", "version", "index", "dialect", "query", "txindex"),
    [
        ("zen", "2.0.24", False, "zend-2", AddressQuery.NONE, None),
        ("zenai", "2.0.24", True, "zend-2", AddressQuery.INDEX, True),
        ("zenai", "2.0.24", False, "zend-2", AddressQuery.NONE, None),
        ("zen", "3.0.0", False, "zend-3", AddressQuery.NONE, None),
        ("zenai", "3.3.1", True, "zend-3", AddressQuery.INDEX, True),
        ("zen", "5.0.7", False, "zend-3", AddressQuery.NONE, None),
        ("zen", "6.0.0", True, "zend-3", AddressQuery.INDEX, True),
    ],
)
async def test_each_age_is_learnt_with_the_index_that_it_has(
    branch: ZenBranch,
    agent: str,
    version: str,
    index: bool,
    dialect: str,
    query: AddressQuery,
    txindex: bool | None,
) -> None:
    with ZendStandIn(branch.raw, agent=agent, version=version, address_index=index) as zend:
        async with NodeClient(zend.settings) as client:
            identity = await learn_node(client)
    assert (identity.dialect.name, identity.dialect.address_query) == (dialect, query)
    assert (identity.agent, identity.version, identity.chain) == (agent, version, "regtest")
    assert (identity.txindex, identity.pruned, identity.is_nearest) == (txindex, False, False)


async def test_an_old_transaction_that_is_not_found_means_no_index(branch: ZenBranch) -> None:
    branch.grow(1, [branch.spend(1, [(STAKE, 1)])])
    with ZendStandIn(branch.raw) as zend:
        async with NodeClient(zend.settings) as client:
            assert (await learn_node(client)).txindex is False


@pytest.mark.parametrize(("version", "nearest"), [("1.0.14", ZEND_2), ("6.1.0", ZEND_3)])
async def test_a_stranger_of_the_family_gets_the_nearest_dialect(
    branch: ZenBranch, version: str, nearest: Dialect
) -> None:
    with ZendStandIn(branch.raw, agent="MagicBean", version=version, address_index=True) as zend:
        async with NodeClient(zend.settings) as client:
            identity = await learn_node(client)
    assert identity.is_nearest and identity.dialect.name == nearest.name
    assert f"unknown, asked as {nearest.name}" in str(identity)


Names = dict[str, Any]


def _server(known: Names) -> AbstractContextManager[Any]:
    """Serve fixed results; what is not among them is an unknown method."""

    def answer(_: str, body: bytes) -> Reply:
        request = json.loads(body)
        document: Names = {"result": None, "error": None, "id": request["id"]}
        if request["method"] in known:
            document["result"] = known[request["method"]]
            return Reply(200, json.dumps(document).encode())
        document["error"] = {"code": -32601, "message": "Method not found"}
        return Reply(404, json.dumps(document).encode())

    return serving(answer)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "getblockchaininfo"),
        ({"getblockchaininfo": {"chain": "main"}}, "it speaks none of the known dialects"),
        (
            {
                "getnetworkinfo": {"subversion": "/Shibetoshi:1.14.6/"},
                "getblockchaininfo": {"chain": "main"},
                "signrawtransaction": "",
            },
            "Shibetoshi 1.14.6 speaks none",
        ),
        ({"getinfo": {"version": 2_002_450}, "getblockchaininfo": {"chain": "main"}}, "2.0.24 speaks none"),
    ],
)
async def test_what_is_none_of_the_family_is_refused_in_one_line(known: Names, reason: str) -> None:
    with _server(known) as server:
        async with NodeClient(NodeSettings("127.0.0.1", server.port, user="u")) as client:
            with pytest.raises(ForeignNode, match=reason) as refused:
                await learn_node(client)
    assert str(refused.value).isprintable()


async def test_a_stranger_that_signs_with_keys_is_asked_as_bitcoind() -> None:
    known = {
        "getnetworkinfo": {"subversion": "/Newcoin:31.0.0/"},
        "getblockchaininfo": {"chain": "main", "pruned": True},
        "signrawtransactionwithkey": "",
        "getindexinfo": {},
    }
    with _server(known) as server:
        async with NodeClient(NodeSettings("127.0.0.1", server.port, user="u")) as client:
            identity = await learn_node(client)
    assert identity.dialect is BITCOIND and identity.is_nearest
    assert (identity.agent, identity.pruned, identity.txindex) == ("Newcoin", True, False)


@pytest.mark.parametrize(("version", "dialect"), [("2.0.24", ZEND_2), ("5.0.7", ZEND_3)])
async def test_blocks_come_raw_in_every_age(branch: ZenBranch, version: str, dialect: Dialect) -> None:
    with ZendStandIn(branch.raw, version=version) as zend:
        async with NodeClient(zend.settings) as client:
            hashes = await client.batch([("getblockhash", [height]) for height in range(5)])
            blocks = await client.batch([dialect.block_call(each) for each in hashes])
            assert [bytes.fromhex(block) for block in blocks] == branch.raw
            assert await client.call("getblock", "3") == await client.call("getblock", hashes[3], True)
            with pytest.raises(NodeRefusal, match="-8"):
                await client.call("getblock", "5")
            if dialect is ZEND_2:
                with pytest.raises(NodeRefusal, match="not a boolean"):
                    await _ask(client, LITECOIND.block_call(hashes[0]))


async def test_a_payment_of_two_paymasters_in_zends_order_is_mined(
    branch: ZenBranch, zend: ZendStandIn
) -> None:
    funding = branch.spend(1, [(TREASURY, 5 * COIN)])
    zend.connect(branch.grow(1, [funding]))
    prevout = Prevout(OutPoint(funding.txid, 0), funding.outputs[0].script, 5 * COIN, REDEEM_SCRIPT)
    async with NodeClient(zend.settings) as client:
        raw = await _ask(client, ZEND_3.create_call([prevout.outpoint], [(text_of(STAKE), 4 * COIN)]))
        paid = decode_transaction(bytes.fromhex(raw), RULES.family).outputs[0]
        assert paid.script == address_script(STAKE) + branch.tail() and paid.amount == 4 * COIN
        with pytest.raises(NodeRefusal, match="-22"):
            await client.call("signrawtransaction", raw, KEYS[:1], [])  # litecoind's order
        with pytest.raises(NodeRefusal, match="-32601"):
            await _ask(client, LITECOIND.sign_call(raw, [prevout], KEYS[:1]))
        half = await _ask(client, ZEND_3.sign_call(raw, [prevout], KEYS[4:]))
        assert not half["complete"]
        with pytest.raises(NodeRefusal, match="-26"):
            await _ask(client, ZEND_3.send_call(half["hex"]))
        full = await _ask(client, ZEND_3.sign_call(half["hex"], [prevout], KEYS[1:2]))
        assert full["complete"]
        with pytest.raises(NodeRefusal, match="Expected type bool"):
            await _ask(client, LITECOIND.send_call(full["hex"], any_fee=True))
        txid = await _ask(client, ZEND_3.send_call(full["hex"]))
        assert txid == await _ask(client, ZEND_3.send_call(full["hex"], any_fee=True))
        (waiting,) = zend.waiting()
        zend.connect(branch.grow(1, [decode_transaction(waiting, RULES.family)]))
        with pytest.raises(NodeRefusal, match="-27"):
            await _ask(client, ZEND_3.send_call(full["hex"]))
        shown = await _ask(client, ZEND_3.transaction_call(txid, verbose=True))
        with pytest.raises(NodeRefusal, match="not an integer"):
            await client.call("getrawtransaction", txid, True)
    assert zend.waiting() == [] and shown["confirmations"] == 1
    assert shown["vout"][0]["scriptPubKey"]["type"] == "pubkeyhashreplay"


async def test_after_the_hard_fork_it_makes_no_transactions(branch: ZenBranch) -> None:
    with ZendStandIn(branch.raw, version="6.0.0") as zend:
        zend.ledger.transactions_stopped = True
        async with NodeClient(zend.settings) as client:
            with pytest.raises(NodeRefusal, match="hard fork") as refused:
                await _ask(client, ZEND_3.create_call([OutPoint(bytes(32), 0)], [(text_of(STAKE), 1)]))
            with pytest.raises(NodeRefusal, match="-26"):
                await _ask(client, ZEND_3.send_call(branch.spend(1, [(STAKE, 1)]).raw.hex()))
    assert refused.value.code == -40


async def test_what_addresses_hold_is_read_as_the_chain_has_it(branch: ZenBranch, zend: ZendStandIn) -> None:
    funding = branch.spend(1, [(STAKE, 42 * 10**6), (TREASURY, 7), (STAKE, 1)])
    zend.connect(branch.grow(1, [funding]))
    asked = [text_of(STAKE), text_of(TREASURY)]
    async with NodeClient(zend.settings) as client:
        answer = await _ask(client, ZEND_3.address_call(asked))
        balance = await _ask(client, ZEND_3.balance_call(asked))
    found = parse_unspent(AddressQuery.INDEX, answer)
    amounts = (42 * 10**6, 7, 1)
    assert found.unspent == tuple((OutPoint(funding.txid, at), amounts[at], 5) for at in range(3))
    assert (found.height, found.block_hash) == (5, branch.tip)
    assert parse_balance(AddressQuery.INDEX, balance) == found.balance == 42 * 10**6 + 8


async def test_a_reorganisation_leaves_stale_blocks_readable(branch: ZenBranch, zend: ZendStandIn) -> None:
    stale, payment = branch.tip, branch.spend(1, [(STAKE, 5)])
    other = branch.fork(2)
    zend.connect(branch.grow(1, [payment]))
    zend.reorganise(3, other.grow(4, salt=1))
    async with NodeClient(zend.settings) as client:
        assert await client.call("getblockcount") == 6
        assert await client.call("getbestblockhash") == display_hash(other.tip)
        shown = await client.call("getblock", display_hash(stale))
        assert shown["confirmations"] == -1
        assert bytes.fromhex(await _ask(client, ZEND_3.block_call(display_hash(stale)))) == branch.raw[4]
    assert zend.waiting() == [payment.raw]


async def test_a_pruned_block_is_refused_in_zends_words(branch: ZenBranch, zend: ZendStandIn) -> None:
    zend.prune(3)
    async with NodeClient(zend.settings) as client:
        hashes = await client.batch([("getblockhash", [height]) for height in (2, 3)])
        lost, kept = await client.batch([ZEND_3.block_call(each) for each in hashes])
        assert (await learn_node(client)).pruned
    assert isinstance(lost, NodeRefusal) and "pruned" in lost.message
    assert bytes.fromhex(kept) == branch.raw[3]


async def test_a_start_takes_its_time_and_a_full_queue_is_told(zend: ZendStandIn) -> None:
    async with NodeClient(zend.settings) as client:
        zend.warm_up("Loading block index...")
        with pytest.raises(NodeWarmingUp, match="Loading block index..."):
            await client.call("getblockcount")
        with pytest.raises(NodeWarmingUp):
            await client.batch([("getblockcount", [])])
        zend.warm_up("")
        zend.be_busy(1)
        assert await client.call("getblockcount") == 4
        zend.be_busy(1)
        with pytest.raises(NodeBusy, match="Work queue depth exceeded"):
            await client.call("sendrawtransaction", "00")


async def test_a_restart_hangs_up_and_brings_another_cookie(branch: ZenBranch, tmp_path: Path) -> None:
    with ZendStandIn(branch.raw, cookie=tmp_path / ".cookie") as zend:
        async with NodeClient(zend.settings) as client:
            assert await client.call("getblockcount") == 4
            zend.stop()
            with pytest.raises(NodeUnreachable):
                await client.call("getblockcount")
            zend.start()
            assert await client.call("getblockcount") == 4


async def test_another_chain_has_other_blocks_from_the_first_on(branch: ZenBranch, zend: ZendStandIn) -> None:
    foreign = ZenBranch(salt=7)
    foreign.grow(2)
    zend.become(foreign.raw)
    async with NodeClient(zend.settings) as client:
        first = await client.call("getblockhash", 0)
    assert parse_display_hash(first) == ZenBranch(salt=7).tip != ZenBranch().tip


async def test_its_new_blocks_are_hints(branch: ZenBranch, zend: ZendStandIn) -> None:
    heard = trio.Event()
    with Publisher() as publisher:
        zend.on_block = publisher.hash_block
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, publisher.endpoint, heard.set)
            await trio.to_thread.run_sync(publisher.wait_for_listener)
            zend.connect(branch.grow())
            with trio.fail_after(30):
                await heard.wait()
            nursery.cancel_scope.cancel()


async def test_a_real_block_with_certificates_is_served(branch: ZenBranch) -> None:
    (raw,) = read_hex_lines("horizen/block_with_v0_and_v1_certificates.hex")
    block = parse_block(raw, RULES)
    with ZendStandIn([*branch.raw, raw]) as zend:
        async with NodeClient(zend.settings) as client:
            best = await client.call("getbestblockhash")
            assert bytes.fromhex(await _ask(client, ZEND_3.block_call(best))) == raw
            shown = await client.call("getblock", best, 1)
    assert block.certificates
    assert shown["cert"] == [display_hash(each.txid) for each in block.certificates]


def _shape(value: Any) -> Any:
    """Return the kind of a JSON value: amounts are numbers, marked or not."""
    if isinstance(value, str) and value.startswith("\0"):
        return "number"
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.mark.parametrize(
    ("name", "verbosity", "pick"),
    [
        ("horizen/block-with-certificates.json", 1, lambda block: block),
        ("horizen/block-with-certificates-expanded.json", 2, lambda block: block["tx"][0]),
        ("horizen/block-with-certificates-expanded.json", 2, lambda block: block["tx"][0]["vout"][0]),
        (
            "horizen/block-with-certificates-expanded.json",
            2,
            lambda block: block["tx"][0]["vout"][0]["scriptPubKey"],
        ),
    ],
)
def test_every_field_is_one_that_a_real_zend_shows(
    branch: ZenBranch, name: str, verbosity: int, pick: Callable[[Any], Any]
) -> None:
    real = read_json(name)
    ours = block_json(branch.blocks[-1], 4, 1, verbosity, RULES)
    recorded = pick(real.get("result", real))
    for key, value in pick(ours).items():
        assert key in recorded, key
        assert _shape(value) == _shape(recorded[key]), key
