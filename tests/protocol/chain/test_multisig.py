"""Spending: signatures of several people in one input, and what may spend which output."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import AddressKind, pay_to_public_key_hash, pay_to_script_hash
from protocol.chain.multisig import (
    combine_signatures,
    redeem_script_address,
    sign_input,
    sign_p2pkh_input,
    signer_position,
    verify_input,
    verify_input_script,
    verify_inputs,
    verify_p2pkh_input,
)
from protocol.chain.rules import ChainFamily
from protocol.chain.script import (
    address_script,
    match_template,
    multisig_script,
    null_data,
    parse_pushes,
    push_data,
    replay_tail,
)
from protocol.chain.sighash import signature_hash
from protocol.chain.transaction import (
    OutPoint,
    Transaction,
    TxInput,
    TxOutput,
    decode_transaction,
    with_script_sig,
)
from protocol.crypto import ecdsa_sign, secp256k1_public_key
from protocol.errors import InvalidChainData, RequestError
from tests.support.vectors import check_vectors

SECRETS = [bytes([number]) * 32 for number in range(1, 6)]
STRANGER = b"\x77" * 32
KEYS = [secp256k1_public_key(secret) for secret in SECRETS]
REDEEM = multisig_script(2, KEYS)
TREASURY = address_script(pay_to_script_hash(REDEEM))
TAIL = replay_tail(bytes(range(32)), 1_502_800)


def unsigned(inputs: int = 2, outputs: int = 2) -> Transaction:
    return Transaction(
        1,
        tuple(TxInput(OutPoint(bytes([number]) * 32, number)) for number in range(1, inputs + 1)),
        tuple(
            TxOutput(1_000 + number, address_script(b"\x00" + bytes([number]) * 20))
            for number in range(outputs)
        ),
    )


@given(st.permutations(range(5)), st.integers(2, 5), st.booleans())
def test_any_two_of_five_in_any_order(order: list[int], count: int, tail: bool) -> None:
    tx = unsigned()
    signers = order[:count]
    signatures = [sign_input(tx, 1, REDEEM, SECRETS[signer]) for signer in signers]
    assert [signer_position(tx, 1, REDEEM, signature) for signature in signatures] == signers
    script_sig = combine_signatures(tx, 1, REDEEM, signatures)
    first = sorted(signers)[:2]
    assert parse_pushes(script_sig) == (b"", *(signatures[signers.index(s)] for s in first), REDEEM)
    signed = with_script_sig(tx, 1, script_sig)
    verify_input(signed, 1, REDEEM)
    verify_input_script(signed, 1, TREASURY + (TAIL if tail else b""))


def test_clear_errors_when_signatures_do_not_fit() -> None:
    tx = unsigned()
    one, two = (sign_input(tx, 0, REDEEM, secret) for secret in SECRETS[:2])
    other_input = sign_input(tx, 1, REDEEM, SECRETS[1])
    other_outputs = sign_input(dataclasses.replace(tx, outputs=tx.outputs[:1]), 0, REDEEM, SECRETS[1])
    foreign = ecdsa_sign(signature_hash(tx, 0, REDEEM, 1), STRANGER) + b"\x01"
    none_type = ecdsa_sign(signature_hash(tx, 0, REDEEM, 2), SECRETS[1]) + b"\x02"
    cases: list[tuple[list[bytes], str]] = [
        ([], "input 0: 0 of the 2 signatures needed"),
        ([one], "input 0: 1 of the 2 signatures needed"),
        ([one, one], "input 0: key 1 of 5 signed twice"),
        ([one, two, two], "input 0: key 2 of 5 signed twice"),
        ([one, foreign], "no key of the redeem script"),
        ([one, other_input], "no key of the redeem script"),
        ([one, other_outputs], "no key of the redeem script"),
        ([one, none_type], "only ALL"),
        ([one, two[:-1]], "input 0: "),
        ([one, b""], "input 0: signature of 0 bytes"),
    ]
    for signatures, why in cases:
        with pytest.raises(RequestError, match=why):
            combine_signatures(tx, 0, REDEEM, signatures)


def test_only_a_key_holder_signs() -> None:
    with pytest.raises(RequestError, match="none of those"):
        sign_input(unsigned(), 0, REDEEM, STRANGER)


@pytest.mark.parametrize("script", [b"", TREASURY, REDEEM + TAIL, REDEEM[:-1], null_data(b"x")])
def test_only_multisig_scripts_are_redeem_scripts(script: bytes) -> None:
    for attempt in (
        lambda: redeem_script_address(script),
        lambda: sign_input(unsigned(), 0, script, SECRETS[0]),
        lambda: combine_signatures(unsigned(), 0, script, []),
        lambda: verify_input(unsigned(), 0, script),
    ):
        with pytest.raises(RequestError, match="redeem script"):
            attempt()


def test_address_of_the_treasury() -> None:
    assert redeem_script_address(REDEEM) == bytes([AddressKind.P2SH]) + TREASURY[2:22]


def signed_by(
    tx: Transaction, index: int, *signatures: bytes, dummy: bytes = b"", redeem: bytes = REDEEM
) -> Transaction:
    return with_script_sig(tx, index, b"".join(map(push_data, [dummy, *signatures, redeem])))


def test_treasury_inputs_that_are_refused() -> None:
    tx = unsigned()
    one, two, three = (sign_input(tx, 0, REDEEM, secret) for secret in SECRETS[:3])
    verify_input(signed_by(tx, 0, one, two), 0, REDEEM)
    later = multisig_script(2, KEYS[::-1])
    padded = with_script_sig(
        tx,
        0,
        b"\x00" + push_data(one) + push_data(two) + b"\x4d" + len(REDEEM).to_bytes(2, "little") + REDEEM,
    )
    changed_output = dataclasses.replace(signed_by(tx, 0, one, two), outputs=tx.outputs[::-1])
    none_type = ecdsa_sign(signature_hash(tx, 0, REDEEM, 2), SECRETS[1]) + b"\x02"
    cases = [
        (tx, "not the output's"),
        (signed_by(tx, 0, one), "pushes"),
        (signed_by(tx, 0, one, two, three), "pushes"),
        (signed_by(tx, 0, one, two, dummy=b"\x01"), "empty push"),
        (signed_by(tx, 0, two, one), "out of order"),
        (signed_by(tx, 0, one, one), "repeated"),
        (signed_by(tx, 0, one, sign_input(tx, 1, REDEEM, SECRETS[1])), "foreign"),
        (signed_by(tx, 0, one, two, redeem=later), "not the output's"),
        (signed_by(tx, 0, one, two[:-1] + b"\x02"), "foreign"),
        (padded, "pushes"),
        (changed_output, "foreign"),
    ]
    for refused, why in cases:
        with pytest.raises(InvalidChainData, match=why):
            verify_input(refused, 0, REDEEM)
        with pytest.raises(InvalidChainData, match=why):
            verify_input_script(refused, 0, TREASURY)
    lax = signed_by(tx, 0, one, none_type)
    verify_input_script(lax, 0, TREASURY)
    with pytest.raises(InvalidChainData, match="type ALL"):
        verify_input(lax, 0, REDEEM)


@pytest.mark.parametrize("library", ["ecdsa_verify", "ecdsa_verify_second"])
def test_a_treasury_asks_both_libraries(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tx = unsigned()
    signed = signed_by(tx, 0, *(sign_input(tx, 0, REDEEM, secret) for secret in SECRETS[:2]))
    verify_input(signed, 0, REDEEM)
    monkeypatch.setattr(f"protocol.chain.multisig.{library}", lambda *_: False)
    with pytest.raises(InvalidChainData, match="foreign"):
        verify_input(signed, 0, REDEEM)


@pytest.mark.parametrize("tail", [b"", TAIL])
def test_p2pkh(tail: bytes) -> None:
    tx, script = unsigned(), address_script(pay_to_public_key_hash(KEYS[0])) + tail
    signed = with_script_sig(tx, 1, sign_p2pkh_input(tx, 1, script, SECRETS[0]))
    verify_p2pkh_input(signed, 1, script)
    verify_input_script(signed, 1, script)
    signature, public_key = parse_pushes(signed.inputs[1].script_sig)
    other_script = address_script(pay_to_public_key_hash(KEYS[1])) + tail
    cases = [
        (signed, 0, script, "pushes"),
        (signed, 1, other_script, "public key is not the output's"),
        (dataclasses.replace(signed, lock_time=1), 1, script, "does not hold"),
        (with_script_sig(tx, 1, push_data(signature)), 1, script, "pushes"),
        (with_script_sig(tx, 1, signed.inputs[1].script_sig + b"\x51"), 1, script, "pushes"),
        (with_script_sig(tx, 1, b"\x61"), 1, script, "only pushes"),
        (
            with_script_sig(tx, 1, push_data(signature[:-1] + b"\x00") + push_data(public_key)),
            1,
            script,
            "hash type",
        ),
        (with_script_sig(tx, 1, push_data(b"") + push_data(public_key)), 1, script, "not DER"),
    ]
    for refused, index, previous, why in cases:
        with pytest.raises(InvalidChainData, match=why):
            verify_p2pkh_input(refused, index, previous)


def test_a_tail_is_covered_by_the_signature() -> None:
    tx, script = unsigned(), address_script(pay_to_public_key_hash(KEYS[0]))
    signed = with_script_sig(tx, 0, sign_p2pkh_input(tx, 0, script + TAIL, SECRETS[0]))
    with pytest.raises(InvalidChainData, match="does not hold"):
        verify_input_script(signed, 0, script)


def test_only_the_owner_signs_a_p2pkh_input() -> None:
    for script in (address_script(pay_to_public_key_hash(KEYS[1])), TREASURY, b""):
        with pytest.raises(RequestError, match="output of this key"):
            sign_p2pkh_input(unsigned(), 0, script, SECRETS[0])


@pytest.mark.parametrize("hash_type", [1, 2, 3, 0x81, 0x82, 0x83])
def test_each_hash_type_lets_through_what_it_leaves_open(hash_type: int) -> None:
    tx, script = unsigned(2, 2), push_data(KEYS[0]) + b"\xac"
    signature = ecdsa_sign(signature_hash(tx, 0, script, hash_type), SECRETS[0]) + bytes([hash_type])
    signed = with_script_sig(tx, 0, push_data(signature))
    verify_input_script(signed, 0, script)
    own, other = dataclasses.replace(tx.outputs[0], amount=1), dataclasses.replace(tx.outputs[1], amount=1)
    may_change: list[tuple[Transaction, bool]] = [
        (dataclasses.replace(signed, outputs=(own, tx.outputs[1])), hash_type & 0x1F == 2),
        (dataclasses.replace(signed, outputs=(tx.outputs[0], other)), hash_type & 0x1F != 1),
        (dataclasses.replace(signed, inputs=signed.inputs[:1]), bool(hash_type & 0x80)),
    ]
    for changed, allowed in may_change:
        assert may_spend(changed, script) == allowed


def may_spend(tx: Transaction, script: bytes) -> bool:
    """Whether input 0 may spend an output with this script."""
    try:
        verify_input_script(tx, 0, script)
    except InvalidChainData:
        return False
    return True


@pytest.mark.parametrize("script", [b"", b"\x51", null_data(b"x"), REDEEM, b"\x6a", TREASURY[:-1]])
def test_outputs_that_cannot_be_spent(script: bytes) -> None:
    tx = with_script_sig(unsigned(), 0, b"\x51")
    with pytest.raises(InvalidChainData, match="cannot be spent"):
        verify_input_script(tx, 0, script)
    with pytest.raises(InvalidChainData, match="P2PKH"):
        verify_p2pkh_input(tx, 0, script)


def test_redeem_scripts_with_a_tail_or_above_520_bytes_cannot_be_spent() -> None:
    tx = unsigned()
    many = [b"\x04" + bytes([number]) * 64 for number in range(7)]
    large = b"\x51" + b"".join(map(push_data, [KEYS[0], *many, many[0]])) + b"\x59\xae"
    assert len(large) > 520
    for redeem in (large, REDEEM + TAIL):
        digest = signature_hash(tx, 0, redeem, 1)
        count = match_template(redeem).required
        signatures = [ecdsa_sign(digest, secret) + b"\x01" for secret in SECRETS[:count]]
        signed = signed_by(tx, 0, *signatures, redeem=redeem)
        with pytest.raises(InvalidChainData, match="only the redeem script of a multisig"):
            verify_input_script(signed, 0, address_script(pay_to_script_hash(redeem)))


def test_all_inputs_at_once() -> None:
    tx, mine = unsigned(), address_script(pay_to_public_key_hash(KEYS[0]))
    key_script = sign_p2pkh_input(tx, 0, mine, SECRETS[0])
    treasury_script = combine_signatures(tx, 1, REDEEM, [sign_input(tx, 1, REDEEM, s) for s in SECRETS[3:]])
    signed = with_script_sig(with_script_sig(tx, 0, key_script), 1, treasury_script)
    verify_inputs(signed, [mine, TREASURY])
    for scripts in ([TREASURY, mine], [mine], [mine, TREASURY, mine], []):
        with pytest.raises(InvalidChainData):
            verify_inputs(signed, scripts)
    with pytest.raises(InvalidChainData, match="input 1"):
        verify_inputs(with_script_sig(signed, 1, b""), [mine, TREASURY])


@given(
    st.binary(max_size=200),
    st.sampled_from([TREASURY, address_script(b"\x00" + bytes(20)), push_data(KEYS[0]) + b"\xac"]),
)
def test_any_input_script_is_refused_and_nothing_else_happens(script_sig: bytes, script: bytes) -> None:
    with pytest.raises(InvalidChainData):
        verify_input_script(with_script_sig(unsigned(), 0, script_sig), 0, script)


@given(st.data())
def test_a_changed_byte_anywhere_is_refused(data: st.DataObject) -> None:
    tx = unsigned()
    script_sig = combine_signatures(
        tx, 0, REDEEM, [sign_input(tx, 0, REDEEM, secret) for secret in SECRETS[1:3]]
    )
    raw = bytearray(with_script_sig(tx, 0, script_sig).raw)
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_transaction(bytes(raw), ChainFamily.BITCOIN)
    except InvalidChainData:
        return
    assert not may_spend(changed, TREASURY)


def test_vectors() -> None:
    tx = unsigned()
    signatures = [sign_input(tx, 0, REDEEM, SECRETS[signer]) for signer in (4, 1)]
    script_sig = combine_signatures(tx, 0, REDEEM, signatures)
    produced = {
        "required": 2,
        "secrets": [secret.hex() for secret in SECRETS],
        "public_keys": [key.hex() for key in KEYS],
        "redeem_script": REDEEM.hex(),
        "address": redeem_script_address(REDEEM).hex(),
        "unsigned": tx.raw.hex(),
        "input": 0,
        "digest": signature_hash(tx, 0, REDEEM, 1).hex(),
        "signatures": [{"signer": s, "signature": x.hex()} for s, x in zip((4, 1), signatures, strict=True)],
        "script_sig": script_sig.hex(),
        "signed": with_script_sig(tx, 0, script_sig).raw.hex(),
    }
    check_vectors("multisig", "two_of_five", produced)
