"""Addresses and secret keys as text: real ones, round trips, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import address as module
from protocol.chain.address import (
    DEVNET,
    ZEN_MAINNET,
    ZEN_TESTNET,
    AddressKind,
    AddressPrefixes,
    address_kind,
    decode_address,
    decode_base58,
    decode_base58check,
    decode_secret_key,
    encode_address,
    encode_base58,
    encode_base58check,
    encode_secret_key,
    pay_to_public_key_hash,
    pay_to_script_hash,
)
from protocol.chain.signature import SECP256K1_ORDER
from protocol.codec import decode, encode
from protocol.crypto import secp256k1_public_key
from protocol.errors import InvalidChainData, MalformedMessage, RequestError
from tests.support.chain_data import read_json, read_text
from tests.support.chain_strategies import ADDRESSES, SECRETS
from tests.support.vectors import check_vectors

BITCOIN = AddressPrefixes(p2pkh=b"\x00", p2sh=b"\x05", secret_key=b"\x80")
NETWORKS = {"zen": ZEN_MAINNET, "zen-testnet": ZEN_TESTNET, "devnet": DEVNET, "bitcoin": BITCOIN}
ANY_NETWORK = st.sampled_from(sorted(NETWORKS)).map(NETWORKS.__getitem__)


def test_zends_own_address_vectors() -> None:
    kinds = {"pubkey": AddressKind.P2PKH, "script": AddressKind.P2SH}
    rows = read_json("horizen/base58_keys_valid.json")
    assert len(rows) == 50
    for text, payload, facts in rows:
        prefixes = ZEN_TESTNET if facts["isTestnet"] else ZEN_MAINNET
        data = bytes.fromhex(payload)
        if facts["isPrivkey"]:
            assert decode_secret_key(text, prefixes) == (data, facts["isCompressed"])
            assert encode_secret_key(data, prefixes, compressed=facts["isCompressed"]) == text
        else:
            expected = bytes([kinds[facts["addrType"]]]) + data
            assert decode_address(text, prefixes) == expected
            assert encode_address(expected, prefixes) == text


def test_real_node_addresses() -> None:
    texts = read_text("horizen/zn_mainnet_addresses.txt").split()
    assert len(texts) == 32
    for text in texts:
        address = decode_address(text, ZEN_MAINNET)
        assert address_kind(address) is AddressKind.P2PKH
        assert encode_address(address, ZEN_MAINNET) == text


def test_fund_addresses_are_told_apart_by_version_bytes_not_by_letters() -> None:
    by_network = {"zen": 0, "zen-testnet": 0}
    looks_like_testnet = 0
    for text in read_text("horizen/community_fund_addresses.txt").split():
        network = "zen-testnet" if text.startswith("zr") else "zen"
        other = ZEN_MAINNET if network == "zen-testnet" else ZEN_TESTNET
        assert address_kind(decode_address(text, NETWORKS[network])) is AddressKind.P2SH
        with pytest.raises(RequestError, match="not an address of this network"):
            decode_address(text, other)
        by_network[network] += 1
        looks_like_testnet += text.startswith("zt")
    assert by_network == {"zen": 68, "zen-testnet": 67}
    assert looks_like_testnet == 6


def test_vectors() -> None:
    secret = bytes(range(1, 33))
    public_key = secp256k1_public_key(secret)
    key_address, script_address = pay_to_public_key_hash(public_key), pay_to_script_hash(b"\x51")
    produced = {
        name: {
            "p2pkh": {"address": key_address.hex(), "text": encode_address(key_address, prefixes)},
            "p2sh": {"address": script_address.hex(), "text": encode_address(script_address, prefixes)},
            "secret_key": {"secret": secret.hex(), "text": encode_secret_key(secret, prefixes)},
            "public_key": public_key.hex(),
        }
        for name, prefixes in sorted(NETWORKS.items())
    }
    check_vectors("address", "networks", produced)


def test_letters_of_the_devnet() -> None:
    for digest in (bytes(20), b"\xff" * 20):
        assert encode_address(b"\x00" + digest, DEVNET).startswith("zd")
        assert encode_address(b"\x01" + digest, DEVNET).startswith("zp")
    for secret in ((1).to_bytes(32, "big"), (SECP256K1_ORDER - 1).to_bytes(32, "big")):
        assert encode_secret_key(secret, DEVNET).startswith("Q")


@given(ADDRESSES, ANY_NETWORK)
def test_address_round_trip(address: bytes, prefixes: AddressPrefixes) -> None:
    assert decode_address(encode_address(address, prefixes), prefixes) == address


@given(SECRETS, st.booleans(), ANY_NETWORK)
def test_secret_key_round_trip(secret: bytes, compressed: bool, prefixes: AddressPrefixes) -> None:
    text = encode_secret_key(secret, prefixes, compressed=compressed)
    assert decode_secret_key(text, prefixes) == (secret, compressed)


@given(st.binary(max_size=44))
def test_base58_round_trip(data: bytes) -> None:
    assert decode_base58(encode_base58(data)) == data
    if len(data) <= 40:
        assert decode_base58check(encode_base58check(data)) == data


@given(st.text(max_size=70))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (lambda: decode_address(text, DEVNET), lambda: decode_secret_key(text, DEVNET)):
        with pytest.raises(RequestError):
            read()


@given(
    ADDRESSES,
    st.integers(0, 60),
    st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
)
def test_a_mistyped_letter_is_noticed(address: bytes, position: int, letter: str) -> None:
    text = encode_address(address, ZEN_MAINNET)
    position %= len(text)
    wrong = text[:position] + letter + text[position + 1 :]
    if wrong != text:
        with pytest.raises(RequestError):
            decode_address(wrong, ZEN_MAINNET)


def test_addresses_of_another_chain_are_refused() -> None:
    # The t1 prefix of Zcash was Zen's too until 2017; today whoever gives one means the other chain.
    zcash = AddressPrefixes(p2pkh=b"\x1c\xb8", p2sh=b"\x1c\xbd", secret_key=b"\x80")
    for prefixes in (zcash, BITCOIN, ZEN_TESTNET):
        with pytest.raises(RequestError, match="not an address of this network"):
            decode_address(encode_address(b"\x00" + bytes(20), prefixes), ZEN_MAINNET)


@pytest.mark.parametrize("address", [b"", bytes(20), bytes(22), b"\x02" + bytes(20), b"\xff" * 21])
def test_other_bytes_are_no_address(address: bytes) -> None:
    with pytest.raises(InvalidChainData):
        address_kind(address)
    with pytest.raises(InvalidChainData):
        encode_address(address, DEVNET)


@pytest.mark.parametrize("number", [0, SECP256K1_ORDER, 2**256 - 1])
def test_secret_keys_out_of_range(number: int) -> None:
    secret = number.to_bytes(32, "big")
    with pytest.raises(RequestError):
        encode_secret_key(secret, DEVNET)
    with pytest.raises(RequestError):
        decode_secret_key(encode_base58check(DEVNET.secret_key + secret), DEVNET)


@pytest.mark.parametrize(
    "body", [b"", b"\x07" * 31, b"\x07" * 32 + b"\x02", b"\x07" * 32 + b"\x00", b"\x07" * 34]
)
def test_secret_keys_of_other_forms(body: bytes) -> None:
    with pytest.raises(RequestError, match="wallet import format"):
        decode_secret_key(encode_base58check(DEVNET.secret_key + body), DEVNET)


def test_a_secret_key_is_not_repeated_in_an_error() -> None:
    text = encode_secret_key(b"\x07" * 32, DEVNET)
    for wrong in (text[:-1] + "2", encode_secret_key(b"\x07" * 32, ZEN_MAINNET), text[:-1]):
        with pytest.raises(RequestError) as caught:
            decode_secret_key(wrong, DEVNET)
        assert wrong[4:20] not in str(caught.value)


@pytest.mark.parametrize("prefixes", NETWORKS.values(), ids=NETWORKS)
def test_a_secret_key_given_as_an_address_is_not_repeated_either(prefixes: AddressPrefixes) -> None:
    text = encode_secret_key(b"\x07" * 32, prefixes)
    with pytest.raises(RequestError) as caught:
        decode_address(text, prefixes)
    assert str(caught.value) == "not an address"


@pytest.mark.parametrize("size", [0, 1, 19, 20])
def test_short_payloads_are_no_address(size: int) -> None:
    with pytest.raises(RequestError, match="not an address"):
        decode_address(encode_base58check(DEVNET.p2pkh[:1] * size), DEVNET)


def test_long_texts_are_not_decoded() -> None:
    with pytest.raises(RequestError, match="at most 64"):
        decode_base58("2" * (module.BASE58_LENGTH_MAX + 1))


def test_prefixes_stand_in_the_genesis_file() -> None:
    assert decode(encode(DEVNET), AddressPrefixes) == DEVNET
    for p2pkh, p2sh in ((b"\x01", b"\x01"), (b"", b"\x01"), (b"\x01\x02\x03", b"\x01")):
        with pytest.raises((ValueError, MalformedMessage)):
            decode(encode(AddressPrefixes(p2pkh=p2pkh, p2sh=p2sh, secret_key=b"\x80")), AddressPrefixes)
