"""A chain followed on zend: headers, tails and ages that litecoind cannot show, and its index."""

import pytest

from protocol.chain.address import encode_address
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import ZEN_TESTNET
from protocol.codec import replace
from protocol.crypto import sha256
from protocol.units import Hash32
from tests.support.external_network import Running, external_genesis, running
from tests.support.zend_chain import ZenBranch, address_of
from tests.support.zend_stand_in import ZendStandIn
from zenp2p.chain.rpc.address_answers import parse_unspent
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.dialect import AddressQuery, learn_node
from zenp2p.chain.rpc.service import RpcService
from zenp2p.chain.service import UnspentThere
from zenp2p.store import MemoryStore

STAKES = [address_of(sha256(f"stake {number}".encode())) for number in range(4)]


def service(zend: ZendStandIn) -> RpcService:
    genesis = replace(external_genesis(first_block(zend)), chain=ZEN_TESTNET)
    return RpcService(genesis, MemoryStore(), zend.settings)


def first_block(zend: ZendStandIn) -> Hash32:
    return parse_display_hash(zend.ledger.rpc_getblockhash(0))


def is_at_tip(live: Running, zend: ZendStandIn) -> bool:
    return live.service.index.tip() == (zend.height, parse_display_hash(zend.ledger.rpc_getbestblockhash()))


async def _held_there(zend: ZendStandIn, address: bytes) -> UnspentThere:
    async with NodeClient(zend.settings) as client:
        dialect = (await learn_node(client)).dialect
        method, params = dialect.address_call([encode_address(address, ZEN_TESTNET.prefixes)])
        return parse_unspent(AddressQuery.INDEX, await client.call(method, *params))


@pytest.mark.parametrize("version", ["2.0.24", "3.3.1", "5.0.7", "6.0.0"])
async def test_every_age_is_followed_through_reorganisations(version: str) -> None:
    branch = ZenBranch()
    branch.grow(6)
    agent = "zenai" if version < "4" else "zen"
    with ZendStandIn(branch.raw, version=version, agent=agent, address_index=True) as zend:
        async with running(service(zend)) as live:
            await live.until(lambda: is_at_tip(live, zend) and live.state == "ok")
            zend.connect(branch.grow(3, [branch.spend(1, [(stake, 7_000) for stake in STAKES])]))
            await live.until(lambda: is_at_tip(live, zend))
            other = branch.fork(5)
            zend.reorganise(4, other.grow(6, [branch.spend(2, [(STAKES[0], 9)])], salt=1))
            await live.until(lambda: is_at_tip(live, zend))
            for stake in STAKES:
                theirs = await _held_there(zend, stake)
                ours = live.service.index.unspent(stake)
                assert theirs.unspent == tuple(
                    (each.outpoint, each.output.amount, each.output.height) for each in ours
                )
                assert live.service.index.balance(stake, zend.height) == theirs.balance
            assert theirs.balance == 0 and (await _held_there(zend, STAKES[0])).balance == 9
            condition = live.service.condition()
    assert (condition.dialect, condition.version) == (f"zend-{'2' if version < '3' else '3'}", version)


async def test_a_restart_a_start_that_takes_time_and_lost_blocks_are_states() -> None:
    branch = ZenBranch()
    branch.grow(3)
    with ZendStandIn(branch.raw) as zend:
        async with running(service(zend)) as live:
            await live.until(lambda: is_at_tip(live, zend))
            zend.stop()
            await live.until(lambda: live.state == "unreachable")
            zend.warm_up("Verifying blocks...")
            zend.start()
            await live.until(lambda: live.state == "warming-up")
            zend.warm_up("")
            await live.until(lambda: live.state == "ok")
            zend.prune(10)
            zend.connect(branch.grow(2))
            await live.until(lambda: live.state == "pruned")
            assert live.service.index.tip()[0] == 3
            zend.prune(0)
            await live.until(lambda: is_at_tip(live, zend) and live.state == "ok")
            zend.become(ZenBranch(salt=9).raw)
            await live.until(lambda: live.state == "foreign")
            assert live.service.index.tip()[0] == 5
