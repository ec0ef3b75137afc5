"""Hashes and envelopes: published vectors, and one library's verdict on everything crafted."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto import (
    Signer,
    blake2b,
    check_operator_key,
    envelope_body,
    hash160,
    sha3_256,
    sha256,
    sha256d,
    verify_envelope,
)
from protocol.errors import InvalidSignature, MalformedMessage
from tests.support.crafted_signatures import Crafted, crafted_signatures
from tests.support.edwards import (
    NEUTRAL,
    L,
    P,
    add,
    decode_point,
    encode_point,
    equation_holds,
    multiply,
    torsion_point,
)
from tests.support.vectors import check_vectors, load_vectors

SEEDS = st.binary(min_size=32, max_size=32)
CRAFTED = crafted_signatures()
RFC8032 = load_vectors("signatures", "rfc8032")["cases"]


@pytest.mark.parametrize(
    ("produced", "published"),
    [
        (sha3_256(), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"),
        (sha3_256(b"abc"), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (sha256d(b"hello"), "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"),
        (
            hash160(bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")),
            "751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        (
            blake2b(b"abc", size=64, key=b"", person=b""),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
        ),
    ],
    ids=["sha3 nothing", "sha3 abc", "sha256", "sha256d", "hash160 of the generator", "blake2b of RFC 7693"],
)
def test_hashes_are_the_published_ones(produced: bytes, published: str) -> None:
    assert produced.hex() == published


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_sha3_joins_its_parts(parts: list[bytes]) -> None:
    assert sha3_256(*parts) == sha3_256(b"".join(parts))


def test_blake2b_separates_key_person_and_size() -> None:
    base = blake2b(b"x", size=12, key=b"k", person=b"p")
    assert len(base) == 12
    assert base != blake2b(b"x", size=12, key=b"p", person=b"k")
    assert base != blake2b(b"x", size=32, key=b"k", person=b"p")[:12]


@pytest.mark.parametrize("case", RFC8032, ids=lambda case: case["message"][:8] or "empty")
def test_rfc8032(case: dict[str, str]) -> None:
    seed, message = bytes.fromhex(case["seed"]), bytes.fromhex(case["message"])
    signer = Signer(seed)
    assert signer.operator_key.hex() == case["key"]
    assert signer.sign(message).hex() == case["signature"] + case["message"]
    verify_envelope(signer.sign(message), signer.operator_key)
    check_operator_key(signer.operator_key)


@given(SEEDS, st.binary(min_size=1, max_size=300))
def test_an_envelope_opens_with_its_key_only(seed: bytes, body: bytes) -> None:
    signer = Signer(seed)
    envelope = signer.sign(body)
    verify_envelope(envelope, signer.operator_key)
    assert envelope_body(envelope) == body
    with pytest.raises(InvalidSignature):
        verify_envelope(envelope, Signer(sha256(seed)).operator_key)


@given(SEEDS, st.binary(min_size=1, max_size=60), st.data())
def test_no_bit_of_an_envelope_can_change(seed: bytes, body: bytes, data: st.DataObject) -> None:
    signer = Signer(seed)
    envelope = bytearray(signer.sign(body))
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        verify_envelope(bytes(envelope), signer.operator_key)


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_garbage_is_refused_with_our_own_error(envelope: bytes, key: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_envelope(envelope, key)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """libsodium takes a pointer and reads 32 bytes from it, whatever is there."""
    signer = Signer(bytes(32))
    key = (signer.operator_key * 2)[:length]
    with pytest.raises(InvalidSignature, match=f"a key of {length} bytes"):
        verify_envelope(signer.sign(b"x"), key)
    with pytest.raises(InvalidSignature):
        check_operator_key(key)


@pytest.mark.parametrize("length", [0, 63, 64])
def test_an_envelope_has_a_body(length: int) -> None:
    with pytest.raises(MalformedMessage):
        envelope_body(bytes(length))


def test_a_signer_does_not_show_its_secret() -> None:
    signer = Signer(bytes(range(32)))
    assert bytes(range(32)).hex() not in repr(signer)
    assert signer.operator_key.hex()[:8] in repr(signer)


def test_what_a_signer_derives_depends_on_the_secret_and_on_every_part() -> None:
    signer = Signer(bytes(32))
    assert len({signer.derive(b"a"), signer.derive(b"b"), Signer(bytes(31) + b"\1").derive(b"a")}) == 3
    assert signer.derive(b"a", b"b") == Signer(bytes(32)).derive(b"ab")


def test_the_crafted_vectors_are_what_we_craft() -> None:
    produced: list[dict[str, Any]] = [
        {
            "name": case.name,
            "key": case.key.hex(),
            "envelope": case.envelope.hex(),
            "accepted": case.accepted,
            "key_registrable": case.key_registrable,
            "also_accepted_by": case.others,
        }
        for case in CRAFTED
    ]
    check_vectors("signatures", "crafted", produced)


@pytest.mark.parametrize("case", CRAFTED, ids=lambda case: case.name)
def test_libsodium_decides(case: Crafted) -> None:
    if case.accepted:
        verify_envelope(case.envelope, case.key)
    else:
        with pytest.raises(InvalidSignature):
            verify_envelope(case.envelope, case.key)


@pytest.mark.parametrize("case", CRAFTED, ids=lambda case: case.name)
def test_only_keys_of_prime_order_are_registered(case: Crafted) -> None:
    if case.key_registrable:
        check_operator_key(case.key)
    else:
        with pytest.raises(InvalidSignature):
            check_operator_key(case.key)


@pytest.mark.parametrize("case", CRAFTED, ids=lambda case: case.name)
def test_each_crafted_case_fools_a_cofactored_check(case: Crafted) -> None:
    """Otherwise the vectors would show nothing: every one of them satisfies what a batch computes."""
    assert equation_holds(case.key, case.envelope, cofactor=8)


@pytest.mark.parametrize("name", ["mixed-order key, 8 does not divide h", "mixed-order R"])
def test_the_mixed_cases_part_the_two_equations(name: str) -> None:
    case = next(case for case in CRAFTED if case.name == name)
    assert not equation_holds(case.key, case.envelope, cofactor=1)


def test_every_key_of_small_order_is_refused() -> None:
    point, seen = NEUTRAL, set[bytes]()
    for _ in range(8):
        key = encode_point(point)
        seen.add(key)
        for spelling in (key, (int.from_bytes(key, "little") ^ 1 << 255).to_bytes(32, "little")):
            with pytest.raises(InvalidSignature):
                check_operator_key(spelling)
        point = add(point, torsion_point())
    assert len(seen) == 8


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1, 2])
def test_non_canonical_and_off_curve_keys_are_refused(y: int) -> None:
    with pytest.raises(InvalidSignature):
        check_operator_key(y.to_bytes(32, "little"))


@settings(max_examples=15)
@given(SEEDS, st.integers(1, 7))
def test_an_honest_key_and_never_its_mixed_neighbours(seed: bytes, torsion: int) -> None:
    key = Signer(seed).operator_key
    check_operator_key(key)
    assert multiply(L, decode_point(key)) == NEUTRAL
    with pytest.raises(InvalidSignature):
        check_operator_key(encode_point(add(decode_point(key), multiply(torsion, torsion_point()))))
