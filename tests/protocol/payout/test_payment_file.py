"""Paymasters' files: signatures of several people, put together in any order, verified twice."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import multisig
from protocol.chain.multisig import verify_input
from protocol.chain.script import parse_pushes
from protocol.chain.transaction import TxOutput, decode_transaction
from protocol.codec import replace as replace_fields
from protocol.crypto import secp256k1_public_key, sha256
from protocol.errors import InvalidPayment, MalformedMessage, ProtocolError, RequestError
from protocol.payout.payment import build_gathering, build_payment, signed_size, split_chunks
from protocol.payout.payment_file import (
    KeySignatures,
    PaymentFile,
    combine_payments,
    decode_payment_file,
    encode_payment_file,
    finish_payment,
    inspect_file,
    new_payment_file,
    sign_payment,
    unsigned_transaction,
)
from protocol.payout.treasury import redeem_script
from protocol.units import COIN
from tests.support.payout_world import PAYMASTERS, TREASURY, devnet_world, make_genesis, verified_first
from tests.support.treasury_ledger import TreasuryLedger
from tests.support.vectors import check_vectors

VERIFIED = verified_first(devnet_world())
GENESIS = VERIFIED.genesis
LEDGER = TreasuryLedger(GENESIS)
FUNDED = LEDGER.fund(COIN)
TRANSACTION = build_payment(
    split_chunks(VERIFIED)[0], GENESIS, LEDGER.baton(), LEDGER.unspent(), tip_height=LEDGER.tip_height
)
VIEW = LEDGER.view(TRANSACTION)
FILE = new_payment_file(TRANSACTION, GENESIS)


def signed_by(*numbers: int) -> PaymentFile:
    file = FILE
    for number in numbers:
        file = sign_payment(file, GENESIS, VERIFIED, VIEW, PAYMASTERS[number])
    return file


SIGNED = [signed_by(number) for number in range(5)]


def refused(file: PaymentFile, sentence: str) -> None:
    with pytest.raises(InvalidPayment, match=sentence) as caught:
        decode_payment_file(encode_payment_file(file), GENESIS)
    assert "\n" not in str(caught.value)


def test_a_file_survives_its_way_between_paymasters() -> None:
    for file in (FILE, SIGNED[2], signed_by(4, 0)):
        assert decode_payment_file(encode_payment_file(file), GENESIS) == file
    assert unsigned_transaction(FILE, GENESIS) == TRANSACTION


@pytest.mark.parametrize("pair", list(combinations(range(5), 2)))
def test_any_two_of_five_can_pay(pair: tuple[int, int]) -> None:
    combined = combine_payments([SIGNED[number] for number in pair], GENESIS)
    signed = finish_payment(combined, GENESIS)
    for index in range(len(signed.inputs)):
        verify_input(signed, index, redeem_script(TREASURY))
    assert [output for output in signed.outputs] == list(TRANSACTION.outputs)
    assert len(signed.raw) <= signed_size(TRANSACTION, GENESIS)
    assert decode_transaction(signed.raw, GENESIS.chain.family).txid == signed.txid


def test_the_order_of_files_does_not_matter() -> None:
    results = {
        finish_payment(combine_payments(files, GENESIS), GENESIS).raw
        for files in permutations([SIGNED[0], SIGNED[3], SIGNED[1]])
    }
    assert len(results) == 1


def test_signing_one_after_the_other_is_the_same() -> None:
    assert signed_by(3, 1) == combine_payments([SIGNED[1], SIGNED[3]], GENESIS) == signed_by(1, 3)


def test_signatures_beyond_those_required_are_left_out() -> None:
    three = finish_payment(signed_by(0, 2, 4), GENESIS)
    assert three.raw == finish_payment(signed_by(0, 2), GENESIS).raw
    assert len(parse_pushes(three.inputs[0].script_sig)) == 4


def test_a_partial_file_cannot_be_finished() -> None:
    with pytest.raises(RequestError, match="signed by 1 paymasters, 2 must sign"):
        finish_payment(SIGNED[0], GENESIS)
    with pytest.raises(RequestError, match="signed by 0 paymasters"):
        finish_payment(FILE, GENESIS)


def test_a_repeated_signature_is_told() -> None:
    with pytest.raises(RequestError, match="key 2 of 5 has signed in two of the files"):
        combine_payments([SIGNED[1], SIGNED[0], SIGNED[1]], GENESIS)
    with pytest.raises(RequestError, match="key 2 of 5 has signed this file already"):
        sign_payment(SIGNED[1], GENESIS, VERIFIED, VIEW, PAYMASTERS[1])
    twice = replace_fields(FILE, signatures=SIGNED[1].signatures * 2)
    refused(twice, "key 2 of 5 has signed twice")


def test_signatures_out_of_order_are_told() -> None:
    turned = replace_fields(FILE, signatures=(*SIGNED[3].signatures, *SIGNED[0].signatures))
    refused(turned, "out of order")


def test_a_foreign_key_is_told() -> None:
    secret = sha256(b"nobody")
    with pytest.raises(RequestError, match="this key is none of the treasury's"):
        sign_payment(FILE, GENESIS, VERIFIED, VIEW, secret)
    own = SIGNED[0].signatures[0]
    foreign = replace_fields(own, public_key=secp256k1_public_key(secret))
    refused(replace_fields(FILE, signatures=(foreign,)), "whose key is none of the treasury's")


def test_a_signature_under_another_paymasters_name_is_told() -> None:
    stolen = replace_fields(SIGNED[0].signatures[0], public_key=TREASURY.public_keys[1])
    refused(replace_fields(FILE, signatures=(stolen,)), "key 2 of 5 has not signed input 0 of transaction")


def test_a_signature_of_another_transaction_is_told() -> None:
    dearer = build_payment(
        split_chunks(VERIFIED)[0], GENESIS, LEDGER.baton(), LEDGER.unspent(), tip_height=500, fee_rate=2_000
    )
    moved = replace_fields(new_payment_file(dearer, GENESIS), signatures=SIGNED[0].signatures)
    refused(moved, "key 1 of 5 has not signed input 0")
    with pytest.raises(RequestError, match="file 2 is of another transaction than file 1"):
        combine_payments([SIGNED[0], moved], GENESIS)


def test_signatures_for_the_inputs_in_another_order_are_told() -> None:
    own = SIGNED[0].signatures[0]
    turned = replace_fields(own, signatures=own.signatures[::-1])
    refused(replace_fields(FILE, signatures=(turned,)), "key 1 of 5 has not signed input 0")


def test_missing_inputs_are_told() -> None:
    own = SIGNED[0].signatures[0]
    short = replace_fields(own, signatures=own.signatures[:1])
    refused(replace_fields(FILE, signatures=(short,)), "key 1 of 5 has signed 1 of 2 inputs")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s[:-1] + b"\x02", "with type 0x02, only ALL counts"),
        (lambda s: s[:-1] + b"\x81", "with type 0x81, only ALL counts"),
        (lambda s: s[:-1] + b"\x00", "hash type 0x00 is not defined"),
        (lambda s: s[:-2] + s[-1:], "is not DER"),
        (lambda s: s[:-2] + bytes([s[-2] ^ 1]) + s[-1:], "has not signed input 0"),
    ],
)
def test_a_damaged_signature_is_told(change: Callable[[bytes], bytes], sentence: str) -> None:
    own = SIGNED[0].signatures[0]
    damaged = replace_fields(own, signatures=(change(own.signatures[0]), *own.signatures[1:]))
    refused(replace_fields(FILE, signatures=(damaged,)), sentence)


def test_nothing_is_signed_that_fails_the_inspection() -> None:
    greedy = replace(
        TRANSACTION, outputs=(*TRANSACTION.outputs[:-1], TxOutput(COIN, TRANSACTION.outputs[2].script))
    )
    file = new_payment_file(greedy, GENESIS)
    with pytest.raises(InvalidPayment, match="output 5 does not pay to whom the list says"):
        sign_payment(file, GENESIS, VERIFIED, LEDGER.view(greedy), PAYMASTERS[0])
    with pytest.raises(InvalidPayment, match="together with its list"):
        sign_payment(FILE, GENESIS, None, VIEW, PAYMASTERS[0])


def test_a_gathering_is_signed_without_a_list() -> None:
    ledger = TreasuryLedger(GENESIS)
    for _ in range(4):
        ledger.fund(COIN)
    transaction = build_gathering(GENESIS, ledger.trail().baton, ledger.unspent(), tip_height=500)
    file, view = new_payment_file(transaction, GENESIS), ledger.view(transaction)
    assert inspect_file(file, GENESIS, None, view).chunk is None
    for secret in PAYMASTERS[3:]:
        file = sign_payment(file, GENESIS, None, view, secret)
    ledger.mine(finish_payment(file, GENESIS))
    assert len(ledger.unspent()) == 2


@pytest.mark.parametrize("library", ["ecdsa_verify", "ecdsa_verify_second"])
def test_either_library_alone_can_stop_a_payment(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaves complete on the word of one library."""
    file = signed_by(0, 1)
    calls = []

    def doubt(digest: bytes, der: bytes, key: bytes) -> bool:
        calls.append(key)
        return False

    monkeypatch.setattr(multisig, library, doubt)
    with pytest.raises((InvalidPayment, RequestError)):
        finish_payment(file, GENESIS)
    assert calls


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(InvalidPayment, match="another one"):
        decode_payment_file(encode_payment_file(FILE), make_genesis(carried=8))


def test_combining_nothing_is_told() -> None:
    with pytest.raises(RequestError, match="no payment file"):
        combine_payments([], GENESIS)


@pytest.mark.parametrize("raw", [bytes(10), b"\xff" * 60, TRANSACTION.raw[:-1], TRANSACTION.raw + b"\0"])
def test_bytes_that_are_no_transaction_are_told(raw: bytes) -> None:
    with pytest.raises(InvalidPayment):
        file = decode_payment_file(encode_payment_file(replace_fields(FILE, transaction=raw)), GENESIS)
        inspect_file(file, GENESIS, VERIFIED, VIEW)


@given(st.data())
def test_a_changed_byte_is_never_signed_or_sent(data: st.DataObject) -> None:
    """Whatever byte of a half-signed file changes: it is refused, at the latest by the inspection."""
    original = encode_payment_file(signed_by(0))
    at = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        file = decode_payment_file(bytes(damaged), GENESIS)
        inspect_file(file, GENESIS, VERIFIED, VIEW)


@given(st.binary(max_size=400))
def test_garbage_is_no_payment_file(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not a payment file"):
        decode_payment_file(data, GENESIS)


def test_vectors() -> None:
    finished = finish_payment(combine_payments([SIGNED[1], SIGNED[3]], GENESIS), GENESIS)
    check_vectors(
        "payment",
        "devnet",
        {
            "paymaster_secrets": [secret.hex() for secret in PAYMASTERS],
            "redeem_script": redeem_script(TREASURY).hex(),
            "unsigned": TRANSACTION.raw.hex(),
            "prevouts": [
                {"txid": spent.previous.txid.hex(), "index": spent.previous.index}
                | {"amount": VIEW.prevouts[spent.previous].amount}
                for spent in TRANSACTION.inputs
            ],
            "file": encode_payment_file(FILE).hex(),
            "signed_by_2": encode_payment_file(SIGNED[1]).hex(),
            "signed_by_4": encode_payment_file(SIGNED[3]).hex(),
            "finished": finished.raw.hex(),
            "txid": finished.txid[::-1].hex(),
        },
    )


def test_a_signer_signs_every_input() -> None:
    (own,) = SIGNED[0].signatures
    assert isinstance(own, KeySignatures) and len(own.signatures) == len(TRANSACTION.inputs) == 2
