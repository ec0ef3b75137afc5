"""Registrations: two signatures, one spelling, and every check before anything is believed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.rules import DEVNET as CHAIN
from protocol.chain.rules import ZEN_MAINNET
from protocol.codec import encode, replace
from protocol.crypto import envelope_body, sha3_256, verify_envelope
from protocol.errors import InvalidSignature, MalformedMessage, ProtocolError, WrongNetwork
from protocol.parameters import DEVNET, ZEN
from protocol.tracking.registration import (
    UNSIGNED,
    Registration,
    build_deregistration,
    check_deregistration,
    check_registration,
    content_digest,
    registration_text,
    with_stake_signature,
)
from tests.support.edwards import BASE, L, add, challenge_scalar, encode_point, multiply, torsion_point
from tests.support.operators import NETWORK, operator

ALICE, BOB = operator(1), operator(2)
ENVELOPE = ALICE.envelope(7)
DEREGISTRATION = encode(ALICE.deregistration(8))


def draft(**changes: Any) -> Registration:
    return replace(ALICE.registration(7), **changes)


def signed(entry: Registration) -> bytes:
    """The entry with both right signatures."""
    return ALICE.signer.sign(encode(with_stake_signature(entry, ALICE.sign_text)))


def test_a_registration_passes_and_says_what_was_put_in() -> None:
    entry = check_registration(ENVELOPE, NETWORK, CHAIN, DEVNET)
    assert entry.signer == ALICE.key
    assert (entry.stake_address, entry.stake_sequence) == (ALICE.stake_address, 7)
    assert (entry.ip, entry.port, entry.fqdn, entry.tls_port) == (ALICE.ip, 9033, "", 0)


def test_the_owner_signs_one_line_that_is_the_hash_of_everything_else() -> None:
    entry = ALICE.registration(7)
    digest = sha3_256(encode(replace(entry, stake_signature=bytes(65))))
    assert registration_text(entry) == f"zenp2p registration {digest.hex()}"
    gone = ALICE.deregistration(8)
    digest = sha3_256(encode(replace(gone, stake_signature=bytes(65))))
    assert registration_text(gone) == f"zenp2p deregistration {digest.hex()}"


def test_one_content_signed_twice_is_no_difference() -> None:
    """A wallet that draws its nonce at random gives another signature each time."""
    entry = ALICE.registration(7)
    assert content_digest(entry) == content_digest(replace(entry, stake_signature=b"\x1f" * 65))
    for change in (
        {"network": bytes(32)},
        {"operator_key": BOB.key},
        {"stake_sequence": 8},
        {"port": 1},
        {"fqdn": "a.example", "tls_port": 443},
        {"ip": b"\x7f\0\0\x09"},
    ):
        assert content_digest(entry) != content_digest(replace(entry, **change))


@pytest.mark.parametrize(
    "changes",
    [
        {"stake_address": b"\x01" + bytes(20)},
        {"stake_address": b"\x02" + bytes(20)},
        {"node_address": b"\x02" + bytes(20)},
        {"ip": b"\x7f\0\0\0\x01"},
        {"ip": bytes(10) + b"\xff\xff\x7f\0\0\x01"},
        {"port": 0},
        {"fqdn": "a.example"},
        {"tls_port": 443},
        {"fqdn": "A.example", "tls_port": 443},
        {"fqdn": "127.1", "tls_port": 443},
    ],
)
def test_what_is_wrong_on_every_network_cannot_be_built(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        draft(**changes)


def test_what_cannot_be_built_cannot_be_read() -> None:
    body = envelope_body(ENVELOPE)
    assert body.count(b"\xcd\x23\x49") == 1
    portless = ALICE.signer.sign(body.replace(b"\xcd\x23\x49", b"\x00"))
    with pytest.raises(MalformedMessage):
        check_registration(portless, NETWORK, CHAIN, DEVNET)


@pytest.mark.parametrize("address", ["7f000001", "0a000001", "00000000000000000000000000000001"])
def test_only_a_local_network_takes_local_addresses(address: str) -> None:
    envelope = ALICE.envelope(ip=bytes.fromhex(address))
    check_registration(envelope, NETWORK, CHAIN, DEVNET)
    with pytest.raises(MalformedMessage, match="routable"):
        check_registration(envelope, NETWORK, CHAIN, replace(DEVNET, loopback_allowed=False))


def test_where_tls_is_required_a_host_must_be_named() -> None:
    public = b"\x08\x08\x08\x08"
    with pytest.raises(MalformedMessage, match="TLS"):
        check_registration(ALICE.envelope(ip=public), NETWORK, CHAIN, ZEN)
    named = ALICE.envelope(ip=public, fqdn="node.example.org")
    assert check_registration(named, NETWORK, CHAIN, ZEN).tls_port == 443


def test_another_network_is_refused_before_any_signature() -> None:
    foreign = b"\0" * 64 + envelope_body(ALICE.envelope(network=bytes(32)))
    with pytest.raises(WrongNetwork):
        check_registration(foreign, NETWORK, CHAIN, DEVNET)
    with pytest.raises(WrongNetwork):
        check_deregistration(DEREGISTRATION, bytes(32), CHAIN)


def test_somebody_elses_operator_signature_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        check_registration(BOB.signer.sign(envelope_body(ENVELOPE)), NETWORK, CHAIN, DEVNET)


def test_an_operator_cannot_take_a_stake_without_its_owner() -> None:
    theft = replace(ALICE.registration(7), stake_address=BOB.stake_address)
    for entry in (theft, with_stake_signature(theft, ALICE.sign_text)):
        with pytest.raises(InvalidSignature):
            check_registration(ALICE.signer.sign(encode(entry)), NETWORK, CHAIN, DEVNET)


def test_an_owner_cannot_name_an_operator_that_does_not_agree() -> None:
    entry = with_stake_signature(replace(BOB.registration(7), operator_key=ALICE.key), BOB.sign_text)
    with pytest.raises(InvalidSignature):
        check_registration(BOB.signer.sign(encode(entry)), NETWORK, CHAIN, DEVNET)


def test_the_owners_signature_is_of_this_chain() -> None:
    with pytest.raises(InvalidSignature):
        check_registration(ENVELOPE, NETWORK, ZEN_MAINNET, DEVNET)


def test_an_operator_key_of_small_order_is_refused() -> None:
    """The identity point verifies nothing by our rule, and must not be registered either."""
    entry = with_stake_signature(draft(operator_key=b"\x01" + bytes(31)), ALICE.sign_text)
    with pytest.raises(InvalidSignature):
        check_registration(ALICE.signer.sign(encode(entry)), NETWORK, CHAIN, DEVNET)


def test_an_operator_key_of_mixed_order_is_refused_though_its_signature_holds() -> None:
    """One time in eight such a key's signature passes, and some libraries pass it always."""
    secret, nonce = 1_234_567, 7_654_321
    key = encode_point(add(multiply(secret, BASE), torsion_point()))
    first = encode_point(multiply(nonce, BASE))
    for sequence in range(256):
        entry = with_stake_signature(draft(operator_key=key, stake_sequence=sequence), ALICE.sign_text)
        scalar = challenge_scalar(first, key, encode(entry))
        if scalar % 8 == 0:
            break
    envelope = first + ((nonce + scalar * secret) % L).to_bytes(32, "little") + encode(entry)
    verify_envelope(envelope, key)
    with pytest.raises(InvalidSignature, match="prime order"):
        check_registration(envelope, NETWORK, CHAIN, DEVNET)


def test_an_unsigned_draft_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        check_registration(ALICE.signer.sign(encode(draft(stake_signature=UNSIGNED))), NETWORK, CHAIN, DEVNET)


@given(st.integers(0, len(ENVELOPE) * 8 - 1))
def test_no_bit_of_a_registration_can_be_changed(bit: int) -> None:
    data = bytearray(ENVELOPE)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        check_registration(bytes(data), NETWORK, CHAIN, DEVNET)


@given(st.integers(0, len(DEREGISTRATION) * 8 - 1))
def test_no_bit_of_a_deregistration_can_be_changed(bit: int) -> None:
    data = bytearray(DEREGISTRATION)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        check_deregistration(bytes(data), NETWORK, CHAIN)


@given(st.integers(0, len(ENVELOPE) - 1))
def test_a_cut_registration_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError):
        check_registration(ENVELOPE[:size], NETWORK, CHAIN, DEVNET)


@given(st.binary(max_size=400))
def test_garbage_costs_a_peer_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_registration(data, NETWORK, CHAIN, DEVNET)
    with pytest.raises(ProtocolError):
        check_deregistration(data, NETWORK, CHAIN)


def test_a_deregistration_is_the_owners_alone() -> None:
    assert check_deregistration(DEREGISTRATION, NETWORK, CHAIN) == ALICE.deregistration(8)
    forged = build_deregistration(
        BOB.sign_text,
        network=NETWORK,
        operator_key=ALICE.key,
        stake_address=ALICE.stake_address,
        stake_sequence=8,
    )
    with pytest.raises(InvalidSignature):
        check_deregistration(forged, NETWORK, CHAIN)


def test_a_deregistration_is_no_registration() -> None:
    with pytest.raises(MalformedMessage):
        check_registration(ALICE.signer.sign(DEREGISTRATION), NETWORK, CHAIN, DEVNET)
    with pytest.raises(MalformedMessage):
        check_deregistration(envelope_body(ENVELOPE), NETWORK, CHAIN)


def test_a_right_envelope_is_what_signing_again_gives() -> None:
    assert signed(draft(stake_signature=UNSIGNED)) == ENVELOPE
