"""What our purse signs is mined by a real node, and our addresses and signed messages are that node's own."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from protocol.chain.address import (
    encode_address,
    encode_secret_key,
    pay_to_public_key_hash,
    pay_to_script_hash,
)
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.chain.script import address_script, multisig_script, null_data
from protocol.chain.signed_message import (
    decode_signature,
    encode_signature,
    verify_message,
)
from protocol.chain.transaction import TxOutput
from protocol.crypto import secp256k1_public_key, sha256
from protocol.errors import InvalidSignature, RequestError
from protocol.units import COIN
from tests.support.litecoind import LitecoinNode, address_of, key_of, litecoin_node
from zenp2p.chain.rpc.amounts import to_zatoshi
from zenp2p.devnet.coins import Purse

PREFIXES = LITECOIN_REGTEST.prefixes
SECRETS = [sha256(f"secret {number}".encode()) for number in range(5)]


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node


def _held(node: LitecoinNode, address: str) -> list[Decimal]:
    scan = node.client.call("scantxoutset", "start", [f"addr({address})"])
    return sorted(item["amount"] for item in scan["unspents"])


def test_a_payment_is_taken_and_mined(node: LitecoinNode) -> None:
    txid = node.fund(key_of("payee").address, 42 * COIN, 6_000)
    block = node.client.call("getblock", node.mine()[0], 2)
    assert txid in [tx["txid"] for tx in block["tx"]]
    assert _held(node, address_of("payee")) == [Decimal("0.00006"), Decimal(42)]


def test_a_payload_and_a_script_address_are_paid_too(node: LitecoinNode) -> None:
    treasury = pay_to_script_hash(multisig_script(2, [secp256k1_public_key(each) for each in SECRETS]))
    outputs = [TxOutput(0, null_data(b"\x00" * 80)), TxOutput(75 * COIN, address_script(treasury))]
    txid = node.purse.pay(outputs)
    node.mine()
    shown = node.client.call("getrawtransaction", txid, True)["vout"]
    assert [output["scriptPubKey"]["type"] for output in shown] == ["nulldata", "scripthash", "pubkeyhash"]
    assert _held(node, encode_address(treasury, PREFIXES)) == [75]


def test_payments_that_wait_do_not_spend_the_same_coin(node: LitecoinNode) -> None:
    before = node.purse.spendable()
    txids = {node.fund(key_of("twice").address, COIN) for _ in range(4)}
    assert len(txids) == 4 and node.purse.spendable() < before - 4 * COIN
    node.mine()
    assert _held(node, address_of("twice")) == [1] * 4


def test_after_a_reorganisation_the_purse_holds_what_the_chain_says(node: LitecoinNode) -> None:
    node.fund(key_of("gone").address, 3 * COIN)
    node.mine()
    stale = node.replace(1)
    assert len(stale) == 1 and stale[0] not in node.active()
    assert _held(node, address_of("gone")) == []
    node.fund(key_of("again").address, 2 * COIN)
    node.mine()
    assert _held(node, address_of("gone")) == [3] and _held(node, address_of("again")) == [2]


def test_more_than_there_is_cannot_be_paid(node: LitecoinNode) -> None:
    purse = node.purse
    with pytest.raises(RequestError, match="the purse can spend"):
        purse.pay([TxOutput(purse.spendable(), address_script(key_of("payee").address))])
    stranger = Purse(node.client, LITECOIN_REGTEST, sha256(b"stranger"))
    with pytest.raises(RequestError, match="the purse can spend 0.00000000"):
        stranger.pay([TxOutput(1, b"")])


def test_a_purse_is_filled_by_mining_up_to_a_limit(node: LitecoinNode) -> None:
    purse = Purse(node.client, LITECOIN_REGTEST, sha256(b"new miner"))
    assert purse.fill(100 * COIN) >= 100 * COIN
    with pytest.raises(RequestError, match="do not bring"):
        purse.fill(1_000_000 * COIN, blocks_max=100)


def test_every_coin_is_counted_however_many(node: LitecoinNode) -> None:
    owner = Purse(node.client, LITECOIN_REGTEST, sha256(b"many"))
    node.purse.fill(10 * COIN)
    node.fund(owner.key.address, *[number * 100_000 for number in range(1, 122)])
    node.mine()
    assert owner.spendable() == sum(range(1, 122)) * 100_000
    assert owner.build([TxOutput(12_000_000, b"")]).inputs


@pytest.mark.parametrize("secret", SECRETS)
def test_addresses_and_keys_are_written_as_the_node_writes_them(node: LitecoinNode, secret: bytes) -> None:
    key = encode_secret_key(secret, PREFIXES)
    public_key = secp256k1_public_key(secret)
    descriptor = node.client.call("getdescriptorinfo", f"pkh({key})")["descriptor"]
    assert public_key.hex() in descriptor
    (theirs,) = node.client.call("deriveaddresses", descriptor)
    address = pay_to_public_key_hash(public_key)
    assert encode_address(address, PREFIXES) == theirs
    assert node.client.call("validateaddress", theirs)["scriptPubKey"] == address_script(address).hex()


def test_a_treasurys_address_is_the_nodes(node: LitecoinNode) -> None:
    keys = [secp256k1_public_key(secret) for secret in SECRETS]
    theirs = node.client.call("createmultisig", 2, [key.hex() for key in keys], "legacy")
    ours = multisig_script(2, keys)
    assert ours.hex() == theirs["redeemScript"]
    assert encode_address(pay_to_script_hash(ours), PREFIXES) == theirs["address"]


@pytest.mark.parametrize("text", ["", "zenp2p", "ü" * 40, "x" * 300])
def test_signed_messages_hold_on_both_sides(node: LitecoinNode, text: str) -> None:
    magic = LITECOIN_REGTEST.message_magic
    secret = SECRETS[0]
    key, address = key_of("signer"), address_of("signer")
    ours = encode_signature(key.sign_message(text, magic))
    assert node.client.call("verifymessage", address, ours, text)
    assert not node.client.call("verifymessage", address, ours, text + "!")
    theirs = node.client.call("signmessagewithprivkey", encode_secret_key(secret, PREFIXES), text)
    own = pay_to_public_key_hash(secp256k1_public_key(secret))
    verify_message(text, decode_signature(theirs), own, magic)
    with pytest.raises(InvalidSignature):
        verify_message(text + "!", decode_signature(theirs), own, magic)


def test_amounts_of_the_node_are_exact(node: LitecoinNode) -> None:
    node.fund(key_of("exact").address, 4_199_999_999)
    node.mine()
    assert [to_zatoshi(amount) for amount in _held(node, address_of("exact"))] == [4_199_999_999]
