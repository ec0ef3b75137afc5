"""What is asked in each dialect, and that litecoind does what it is asked in its own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import encode_secret_key, pay_to_script_hash
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.chain.script import address_script, multisig_script
from protocol.chain.transaction import OutPoint, TxOutput
from protocol.crypto import secp256k1_public_key, sha256
from protocol.errors import RequestError
from protocol.units import COIN
from tests.support.litecoind import LitecoinNode, address_of, key_of, litecoin_node
from zenp2p.chain.rpc.address_answers import parse_balance, parse_unspent
from zenp2p.chain.rpc.answers import Call
from zenp2p.chain.rpc.client import NodeClient
from zenp2p.chain.rpc.dialect import (
    BITCOIND,
    BITCOIND_17,
    DIALECTS,
    LITECOIND,
    LITECOIND_17,
    ZEND_2,
    ZEND_3,
    AddressQuery,
    Dialect,
    Prevout,
    dialect_of,
    learn_node,
)
from zenp2p.chain.rpc.errors import BadAnswer, NodeRefusal

POINT = OutPoint(bytes(range(32)), 7)
SHOWN = bytes(reversed(range(32))).hex()
PREVOUT = Prevout(POINT, b"\xa9", 4_199_999_999, b"\x52")
SECRETS = [sha256(f"paymaster {number}".encode()) for number in range(5)]
PUBLIC_KEYS = [secp256k1_public_key(secret) for secret in SECRETS]
KEYS = [encode_secret_key(secret, LITECOIN_REGTEST.prefixes) for secret in SECRETS]


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node


async def _ask(client: NodeClient, call: Call) -> Any:
    method, params = call
    return await client.call(method, *params)


@pytest.mark.parametrize(
    ("agent", "version", "dialect"),
    [
        ("LitecoinCore", "0.21.2.1", LITECOIND),
        ("LitecoinCore", "0.18.1", LITECOIND_17),
        ("LitecoinCore", "0.16.3", None),
        ("Satoshi", "25.0.0", BITCOIND),
        ("Satoshi", "0.19.0.1", BITCOIND),
        ("Satoshi", "0.18.1", BITCOIND_17),
        ("zen", "2.0.24", ZEND_2),
        ("zenai", "2.0.24", ZEND_2),
        ("zen", "3.0.0-rc1", ZEND_3),
        ("zen", "5.0.7", ZEND_3),
        ("zen", "6.0.99-beta1", ZEND_3),
        ("MagicBean", "6.1.0", None),
        ("satoshi", "25.0.0", None),
        ("", "", None),
    ],
)
def test_a_node_is_known_by_name_and_version(agent: str, version: str, dialect: Dialect | None) -> None:
    assert dialect_of(agent, version) is dialect


@given(st.sampled_from(DIALECTS), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_a_version_speaks_the_newest_dialect_that_it_has_reached(known: Dialect, numbers: list[int]) -> None:
    agent = known.agents[0]
    found = dialect_of(agent, ".".join(map(str, numbers)))
    reached = [each for each in DIALECTS if agent in each.agents and each.since <= tuple(numbers)]
    assert found is (max(reached, key=lambda each: each.since) if reached else None)


def test_names_are_told_apart() -> None:
    assert len({each.name for each in DIALECTS}) == len(DIALECTS)


def test_zend_wants_the_outputs_before_the_keys_and_no_amounts() -> None:
    spent = {"txid": SHOWN, "vout": 7, "scriptPubKey": "a9", "redeemScript": "52"}
    for dialect in (ZEND_2, ZEND_3):
        assert dialect.sign_call("00", [PREVOUT], ["key"]) == (
            "signrawtransaction",
            ("00", [spent], ["key"], "ALL"),
        )
        assert dialect.wallet_sign_call("00") == ("signrawtransaction", ("00",))
    for dialect in (LITECOIND, BITCOIND, BITCOIND_17):
        assert dialect.sign_call("00", [PREVOUT], ["key"]) == (
            "signrawtransactionwithkey",
            ("00", ["key"], [spent | {"amount": "41.99999999"}], "ALL"),
        )
        assert dialect.wallet_sign_call("00") == ("signrawtransactionwithwallet", ("00",))


def test_zend_makes_no_data_outputs() -> None:
    inputs = [{"txid": SHOWN, "vout": 7}]
    assert ZEND_3.create_call([POINT], [("a", 1), ("b", COIN)]) == (
        "createrawtransaction",
        (inputs, {"a": "0.00000001", "b": "1.00000000"}),
    )
    with pytest.raises(RequestError, match="no data outputs"):
        ZEND_3.create_call([POINT], [("a", 1)], b"payload")
    assert LITECOIND.create_call([POINT], [("a", 1)], b"\x01") == (
        "createrawtransaction",
        (inputs, [{"a": "0.00000001"}, {"data": "01"}]),
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_address_stands_once(dialect: Dialect) -> None:
    with pytest.raises(RequestError, match="twice"):
        dialect.create_call([POINT], [("a", 1), ("a", 2)])


def test_blocks_transactions_and_fees_have_their_own_arguments() -> None:
    # 2.0 takes the boolean only, later ones both; 0 is not False to a node.
    assert [each.block_call("h")[1][1] is False for each in (ZEND_2, ZEND_3)] == [True, True]
    assert (
        LITECOIND.block_call("h") == ("getblock", ("h", 0)) and LITECOIND.block_call("h")[1][1] is not False
    )
    assert ZEND_3.transaction_call("t", verbose=True) == ("getrawtransaction", ("t", 1))
    assert ZEND_3.transaction_call("t", verbose=True)[1][1] is not True
    for dialect in DIALECTS:
        assert dialect.send_call("00") == ("sendrawtransaction", ("00",))
    assert ZEND_3.send_call("00", any_fee=True)[1][1] is True
    assert BITCOIND_17.send_call("00", any_fee=True)[1][1] is True
    assert LITECOIND.send_call("00", any_fee=True) == ("sendrawtransaction", ("00", 0))


def test_addresses_are_asked_for_in_each_way() -> None:
    assert LITECOIND.address_call(["a", "b"]) == ("scantxoutset", ("start", ["addr(a)", "addr(b)"]))
    assert LITECOIND.balance_call(["a"]) == LITECOIND.address_call(["a"])
    asked = {"addresses": ["a"], "chainInfo": True}
    assert ZEND_3.address_call(["a"]) == ("getaddressutxos", (asked,))
    assert ZEND_3.balance_call(["a"]) == ("getaddressbalance", ({"addresses": ["a"]},))
    without = replace(ZEND_3, address_query=AddressQuery.NONE)
    for ask in (without.address_call, without.balance_call):
        with pytest.raises(RequestError, match="its index is off"):
            ask(["a"])


async def test_litecoind_is_learnt(node: LitecoinNode) -> None:
    async with NodeClient(node.settings) as client:
        identity = await learn_node(client)
    assert identity.dialect is LITECOIND and not identity.is_nearest
    assert (identity.agent, identity.version) == ("LitecoinCore", "0.21.2.1")
    assert (identity.chain, identity.pruned, identity.txindex) == ("regtest", False, True)
    assert str(identity) == (
        "LitecoinCore 0.21.2.1 on regtest (dialect litecoind, with txindex, address query: scantxoutset)"
    )


async def test_a_node_without_index_and_with_pruning_is_told() -> None:
    with litecoin_node(coins=0, txindex=False, extra=["prune=550"]) as node:
        async with NodeClient(node.settings) as client:
            identity = await learn_node(client)
    assert (identity.pruned, identity.txindex) == (True, False)


async def test_litecoind_creates_signs_and_mines_what_it_is_asked_for(node: LitecoinNode) -> None:
    redeem_script = multisig_script(2, PUBLIC_KEYS)
    script = address_script(pay_to_script_hash(redeem_script))
    funding = node.purse.pay([TxOutput(3 * COIN, script)])
    node.mine()
    prevout = Prevout(OutPoint(parse_display_hash(funding), 0), script, 3 * COIN, redeem_script)
    outputs = [(address_of("one"), COIN), (address_of("two"), 2 * COIN - 50_000)]
    async with NodeClient(node.settings) as client:
        raw = await _ask(client, LITECOIND.create_call([prevout.outpoint], outputs, b"list 1"))
        half = await _ask(client, LITECOIND.sign_call(raw, [prevout], KEYS[3:4]))
        assert not half["complete"]
        full = await _ask(client, LITECOIND.sign_call(half["hex"], [prevout], KEYS[:1]))
        assert full["complete"]
        txid = await _ask(client, LITECOIND.send_call(full["hex"]))
        (block,) = node.mine()
        assert full["hex"] in await _ask(client, LITECOIND.block_call(block))
        assert full["hex"] == await _ask(client, LITECOIND.transaction_call(txid))
        shown = await _ask(client, LITECOIND.transaction_call(txid, verbose=True))
    assert [each["scriptPubKey"]["type"] for each in shown["vout"]] == [
        "pubkeyhash",
        "pubkeyhash",
        "nulldata",
    ]


async def test_litecoinds_guard_against_fees_is_on_until_it_is_turned_off(node: LitecoinNode) -> None:
    coin = node.fund(key_of("rich").address, 2 * COIN)
    node.mine()
    prevout = Prevout(OutPoint(parse_display_hash(coin), 0), address_script(key_of("rich").address), 2 * COIN)
    key = encode_secret_key(sha256(b"rich"), LITECOIN_REGTEST.prefixes)
    async with NodeClient(node.settings) as client:
        raw = await _ask(client, LITECOIND.create_call([prevout.outpoint], [(address_of("poor"), COIN)]))
        signed = await _ask(client, LITECOIND.sign_call(raw, [prevout], [key]))
        with pytest.raises(NodeRefusal, match="-25"):
            await _ask(client, LITECOIND.send_call(signed["hex"]))
        await _ask(client, LITECOIND.send_call(signed["hex"], any_fee=True))


async def test_litecoind_says_what_addresses_hold(node: LitecoinNode) -> None:
    txid = node.fund(key_of("first").address, COIN, 7 * COIN)
    other = node.fund(key_of("second").address, 6_000)
    node.mine()
    height = node.client.height()
    addresses = [address_of("first"), address_of("second"), address_of("nobody")]
    async with NodeClient(node.settings) as client:
        answer = await _ask(client, LITECOIND.address_call(addresses))
        balance = await _ask(client, LITECOIND.balance_call(addresses))
    found = parse_unspent(AddressQuery.SCAN, answer)
    expected = [
        (OutPoint(parse_display_hash(txid), 0), COIN, height),
        (OutPoint(parse_display_hash(txid), 1), 7 * COIN, height),
        (OutPoint(parse_display_hash(other), 0), 6_000, height),
    ]
    assert list(found.unspent) == sorted(expected, key=lambda item: (item[0].txid, item[0].index))
    assert found.height == height and found.block_hash == parse_display_hash(node.active()[height])
    assert found.balance == parse_balance(AddressQuery.SCAN, balance) == 8 * COIN + 6_000


@pytest.mark.parametrize("query", [AddressQuery.SCAN, AddressQuery.INDEX])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"success": False},
        {"success": True, "height": 1, "bestblock": SHOWN},
        {"success": True, "height": -1, "bestblock": SHOWN, "unspents": []},
        {"success": True, "height": 1, "bestblock": "00", "unspents": []},
        {"success": True, "height": 1, "bestblock": SHOWN, "unspents": [None]},
        {"utxos": [], "hash": SHOWN},
        {"utxos": [], "hash": SHOWN, "height": True},
        {
            "utxos": [{"txid": SHOWN, "outputIndex": 2**40, "satoshis": 1, "height": 1}],
            "hash": SHOWN,
            "height": 1,
        },
        {
            "utxos": [{"txid": SHOWN, "outputIndex": 0, "satoshis": "1", "height": 1}],
            "hash": SHOWN,
            "height": 1,
        },
        {"utxos": [{"txid": 5, "outputIndex": 0, "satoshis": 1, "height": 1}], "hash": SHOWN, "height": 1},
    ],
)
def test_what_is_no_answer_about_addresses_is_a_bad_answer(query: AddressQuery, answer: Any) -> None:
    with pytest.raises(BadAnswer):
        parse_unspent(query, answer)
    with pytest.raises(BadAnswer):
        parse_balance(query, answer)
