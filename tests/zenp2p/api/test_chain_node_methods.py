"""Our index beside a real node's own answers, asked as a client of the daemon asks."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from protocol.chain.encoding import parse_display_hash
from protocol.chain.script import address_script, push_data
from protocol.chain.transaction import TxOutput
from protocol.crypto import secp256k1_public_key, sha256
from protocol.units import COIN
from tests.support.external_network import Running, external_genesis, running
from tests.support.litecoind import LitecoinNode, address_of, key_of, litecoin_node
from zenp2p.api.chain_node_methods import AddressParams, ChainNodeMethods
from zenp2p.api.errors import NotReady, Refused
from zenp2p.api.methods import NoParams
from zenp2p.chain.rpc.service import RpcService
from zenp2p.store import MemoryStore


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node


def methods(live: Running) -> ChainNodeMethods:
    genesis = external_genesis(b"\0" * 32)
    context: Any = SimpleNamespace(node=SimpleNamespace(genesis=genesis), chain=live.service)
    return ChainNodeMethods(context)


def service(node: LitecoinNode) -> RpcService:
    first = parse_display_hash(node.client.block_hash(0))
    return RpcService(external_genesis(first), MemoryStore(), node.settings)


async def compared(live: Running, name: str) -> dict[str, Any]:
    answer: Any = await methods(live).compare(AddressParams(address_of(name)))
    assert isinstance(answer, dict)
    return answer


async def test_index_and_node_are_of_one_mind(node: LitecoinNode) -> None:
    node.fund(key_of("alice").address, COIN, 2 * COIN)
    bare = push_data(secp256k1_public_key(sha256(b"alice"))) + b"\xac"
    node.mine()
    node.purse.pay([TxOutput(5 * COIN, bare)])
    node.mine()
    async with running(service(node)) as live:
        await live.until(lambda: live.state == "ok")
        alice = await compared(live, "alice")
        assert (alice["balance"], alice["outputs"], alice["equal"]) == (3 * COIN, 2, True)
        held = live.service.index.balance(key_of("alice").address, live.service.index.tip()[0])
        assert held == 8 * COIN, "the bare key's output is the address's too, and left out above"
        miner = await compared(live, "miner")
        assert miner["equal"] and miner["outputs"] > 100 and miner["balance"] == miner["node_balance"]
        assert (await compared(live, "nobody"))["outputs"] == 0


async def test_a_difference_is_named(node: LitecoinNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index lacks an output: what the node has beside it is told."""
    node.fund(key_of("bob").address, COIN)
    node.mine()
    async with running(service(node)) as live:
        await live.until(lambda: live.state == "ok")
        monkeypatch.setattr(live.service.index, "unspent", lambda *arguments: ())
        told = await compared(live, "bob")
    assert not told["equal"] and told["only_ours"] == []
    (missing,) = told["only_node"]
    assert missing["amount"] == COIN
    assert address_script(key_of("bob").address)  # it is a plain P2PKH output
    assert node.client.call("gettxout", missing["txid"], missing["index"])["value"] == 1


async def test_two_heights_are_not_compared(node: LitecoinNode) -> None:
    stopped = service(node)
    await stopped.prepare()
    with pytest.raises(NotReady, match="our index at 0"):
        await compared(Running(stopped), "alice")


async def test_a_hint_makes_it_look_at_once(node: LitecoinNode) -> None:
    async with running(service(node)) as live:
        await live.until(lambda: live.state == "ok")
        told = await methods(live).notify(NoParams())
        assert told == {"height": node.client.height()}
        assert live.service._hint.is_set()


async def test_an_embedded_chain_has_nothing_beside_it(node: LitecoinNode) -> None:
    class Alone:
        index = service(node).index

        async def unspent_there(self, address: str) -> None:
            """There is no other node."""

    genesis = external_genesis(b"\0" * 32)
    context: Any = SimpleNamespace(node=SimpleNamespace(genesis=genesis), chain=Alone())
    with pytest.raises(Refused, match="no other node"):
        await ChainNodeMethods(context).compare(AddressParams(address_of("alice")))
