"""The waiting transaction that is in the way is named, among others, on a real node."""

from collections.abc import Iterator

import pytest

from protocol.chain.encoding import parse_display_hash
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.units import COIN
from tests.support.litecoind import RULES, LitecoinNode, key_of, litecoin_node
from zenp2p.chain.rpc import pool
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.pool import find_spender


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node


async def test_each_waiting_transaction_is_found_by_what_it_spends(
    node: LitecoinNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AT_ONCE", 2)
    txids = [node.fund(key_of("payee").address, COIN) for _ in range(5)]
    async with NodeClient(node.settings) as client:
        for txid in txids:
            raw = bytes.fromhex(node.client.call("getrawtransaction", txid))
            spent = decode_transaction(raw, RULES.family).inputs[0].previous
            assert await find_spender(client, [spent], RULES.family) == parse_display_hash(txid)
        unknown = OutPoint(bytes(32), 0)
        assert await find_spender(client, [unknown], RULES.family) is None
        monkeypatch.setattr(pool, "POOL_LOOKED_THROUGH_MAX", 0)
        assert await find_spender(client, [spent], RULES.family) is None
        node.mine()
        assert await find_spender(client, [spent], RULES.family) is None
