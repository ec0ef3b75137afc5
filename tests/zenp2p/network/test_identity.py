"""Operators' keys and libp2p's peer ids are one thing in two dresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.rsa import create_new_key_pair as new_rsa
from libp2p.crypto.secp256k1 import create_new_key_pair as new_secp256k1
from libp2p.peer.id import ID

from protocol.crypto import Signer
from zenp2p.network.identity import key_pair, operator_key, peer_id
from zenp2p.ports import TransportError


@given(st.binary(min_size=32, max_size=32))
def test_libp2p_derives_the_same_key_and_the_peer_id_goes_both_ways(seed: bytes) -> None:
    key = Signer(seed).operator_key
    keys = key_pair(seed)
    assert keys.public_key.to_bytes() == key
    assert ID.from_pubkey(keys.public_key) == peer_id(key)
    assert operator_key(peer_id(key)) == key


def test_a_known_peer_id() -> None:
    key = Signer(bytes(32)).operator_key
    assert peer_id(key).to_base58() == "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


@pytest.mark.parametrize(
    "peer",
    [
        ID.from_pubkey(new_secp256k1().public_key),
        ID.from_pubkey(new_rsa(1024).public_key),
        ID(b""),
        ID(bytes.fromhex("002408011220") + bytes(31)),
        ID(bytes.fromhex("002408011220") + bytes(33)),
        ID(bytes.fromhex("002408021220") + bytes(32)),
    ],
    ids=["secp256k1", "RSA", "nothing", "short", "long", "another kind"],
)
def test_other_kinds_of_key_are_no_operators(peer: ID) -> None:
    with pytest.raises(TransportError, match="Ed25519"):
        operator_key(peer)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key_pair(bytes(size))
