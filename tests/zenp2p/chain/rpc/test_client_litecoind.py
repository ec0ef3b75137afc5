"""The client and a real node: results, refusals, a restart, and too many questions at once."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
import trio

from tests.support.litecoind import LitecoinNode, litecoin_node
from zenp2p.chain.rpc.client import NodeClient, NodeSettings
from zenp2p.chain.rpc.errors import NodeBusy, NodeCode, NodeDenied, NodeRefusal, NodeUnreachable


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node(coins=12) as node:
        yield node


async def test_a_batch_of_blocks_is_what_single_calls_return(node: LitecoinNode) -> None:
    async with NodeClient(node.settings) as client:
        hashes = await client.batch([("getblockhash", [height]) for height in range(13)])
        blocks = await client.batch([("getblock", [each, 0]) for each in hashes])
        for height in (0, 7, 12):
            assert hashes[height] == await client.call("getblockhash", height)
            assert blocks[height] == await client.call("getblock", hashes[height], 0)
    assert [bytes.fromhex(block) for block in blocks] == [node.client.raw_block(each) for each in hashes]


async def test_amounts_are_decimals(node: LitecoinNode) -> None:
    async with NodeClient(node.settings) as client:
        block = await client.call("getblock", node.active()[1], 2)
    value = block["tx"][0]["vout"][0]["value"]
    assert value == Decimal(50) and isinstance(value, Decimal)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getblock", ["00" * 32], NodeCode.UNKNOWN_BLOCK_OR_TRANSACTION),
        ("getrawtransaction", ["11" * 32, True], NodeCode.UNKNOWN_BLOCK_OR_TRANSACTION),
        ("getblockhash", [10**6], NodeCode.WRONG_PARAMETER),
        ("getblockhash", ["x"], NodeCode.MISCELLANEOUS),
        ("getblockhash", [], NodeCode.MISCELLANEOUS),
        ("getinfo", [], NodeCode.METHOD_NOT_FOUND),
        ("sendrawtransaction", ["00"], -22),
    ],
)
async def test_refusals_have_their_number_alone_and_in_a_batch(
    node: LitecoinNode, method: str, params: list[object], code: int
) -> None:
    async with NodeClient(node.settings) as client:
        with pytest.raises(NodeRefusal) as refused:
            await client.call(method, *params)
        in_batch, height = await client.batch([(method, params), ("getblockcount", [])])
    assert refused.value.code == code and refused.value.message
    assert isinstance(in_batch, NodeRefusal) and in_batch.code == code
    assert height == 12


async def test_a_wrong_password_is_denied(node: LitecoinNode) -> None:
    wrong = NodeSettings("127.0.0.1", node.process.port, user="__cookie__", password="guess")
    async with NodeClient(wrong) as client:
        with pytest.raises(NodeDenied, match="user and password"):
            await client.call("getblockcount")


async def test_many_tasks_ask_at_once(node: LitecoinNode) -> None:
    heights: list[int] = []

    async def ask() -> None:
        heights.append(await client.call("getblockcount"))

    async with NodeClient(node.settings) as client, trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(ask)
    assert heights == [12] * 40


async def test_a_node_that_restarts_is_asked_again_with_its_new_cookie() -> None:
    with litecoin_node(coins=3) as node:
        port = node.process.port
        async with NodeClient(node.settings) as client:
            assert await client.call("getblockcount") == 3
            await trio.to_thread.run_sync(node.process.stop)
            with pytest.raises(NodeUnreachable):
                await client.call("getblockcount")
            await trio.to_thread.run_sync(lambda: node.process.start(port=port))
            assert await client.call("getblockcount") == 3


async def test_a_node_whose_queue_is_full_is_busy() -> None:
    with litecoin_node(coins=0, extra=["rpcthreads=1", "rpcworkqueue=1"]) as node:
        busy: list[NodeBusy] = []
        async with NodeClient(node.settings) as client, trio.open_nursery() as nursery:

            async def wait() -> None:
                try:
                    await client.call("waitfornewblock", 3_000)
                except NodeBusy as error:
                    busy.append(error)
                    nursery.cancel_scope.cancel()

            for _ in range(3):
                nursery.start_soon(wait)
        assert busy and all("Work queue depth exceeded" in str(error) for error in busy)


async def test_nothing_secret_is_in_what_the_client_says_of_itself(node: LitecoinNode) -> None:
    secret = node.process.cookie.read_text().partition(":")[2]
    async with NodeClient(node.settings) as client:
        await client.call("getblockcount")
        assert secret not in f"{client!r} {node.settings!r}"
        assert secret not in json.dumps({"settings": str(client.settings)})
