"""The legacy signature hash: zend's 1,000 vectors and the definition word for word."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.encoding import display_hash
from protocol.chain.rules import ChainFamily
from protocol.chain.sighash import SignatureHasher, signature_hash
from protocol.chain.transaction import Transaction, TxOutput, decode_transaction, encode_transaction
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData, UnsupportedChainData
from tests.protocol.chain.test_transaction import BITCOIN_BLOCK_170
from tests.support.chain_data import read_cases
from tests.support.chain_strategies import transactions
from tests.support.vectors import check_vectors

LEGACY = st.one_of(
    transactions(ChainFamily.BITCOIN), transactions(ChainFamily.ZEN).filter(lambda tx: not tx.sidechain)
)
CODES = st.binary(max_size=60).map(lambda code: code.replace(b"\xab", b"\xac"))


def by_definition(tx: Transaction, index: int, code: bytes, hash_type: int) -> bytes:
    """Change the transaction as the definition says, write it all out, hash it."""
    base, anyone = hash_type & 0x1F, hash_type & 0x80
    inputs = [dataclasses.replace(spent, script_sig=b"") for spent in tx.inputs]
    outputs = list(tx.outputs)
    if base in (2, 3):
        inputs = [dataclasses.replace(spent, sequence=0) for spent in inputs]
        outputs = [] if base == 2 else [TxOutput(2**64 - 1, b"")] * index + [outputs[index]]
    inputs[index] = dataclasses.replace(tx.inputs[index], script_sig=code)
    trailer = tx.trailer[:-64] + bytes(64) if len(tx.trailer) > 1 else tx.trailer
    kept = tuple(inputs[index : index + 1] if anyone else inputs)
    changed = dataclasses.replace(tx, inputs=kept, outputs=tuple(outputs), trailer=trailer, witness=())
    return sha256d(encode_transaction(changed) + (hash_type & 0xFFFF_FFFF).to_bytes(4, "little"))


def test_zends_thousand_vectors() -> None:
    rows = read_cases("horizen/sighash.json.gz")
    assert len(rows) == 1_000
    for raw, script, index, hash_type, expected in rows:
        tx = decode_transaction(bytes.fromhex(raw), ChainFamily.ZEN)
        assert display_hash(signature_hash(tx, index, bytes.fromhex(script), hash_type)) == expected


@given(
    LEGACY,
    CODES,
    st.one_of(st.sampled_from([1, 2, 3, 0x81, 0x82, 0x83]), st.integers(-(2**31), 2**31 - 1)),
    st.data(),
)
def test_equals_the_definition(tx: Transaction, code: bytes, hash_type: int, data: st.DataObject) -> None:
    hasher = SignatureHasher(tx)
    for index in data.draw(st.permutations(range(len(tx.inputs)))):
        if hash_type & 0x1F == 3 and index >= len(tx.outputs):
            with pytest.raises(InvalidChainData, match="SINGLE"):
                hasher.digest(index, code, hash_type)
        else:
            assert hasher.digest(index, code, hash_type) == by_definition(tx, index, code, hash_type)


@given(LEGACY, st.data())
def test_an_all_signature_covers_everything_but_scripts_and_witness(
    tx: Transaction, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(tx.inputs) - 1))
    digest = signature_hash(tx, index, b"\x51", 1)
    tx = dataclasses.replace(tx, witness=())
    first = tx.inputs[0]
    changes = [
        dataclasses.replace(tx, version=tx.version ^ 4),
        dataclasses.replace(tx, lock_time=tx.lock_time ^ 1),
        dataclasses.replace(tx, outputs=(*tx.outputs, TxOutput(0, b""))),
        dataclasses.replace(tx, inputs=(*tx.inputs, first)),
        dataclasses.replace(
            tx, inputs=(dataclasses.replace(first, sequence=first.sequence ^ 1), *tx.inputs[1:])
        ),
    ]
    for changed in changes:
        assert signature_hash(changed, index, b"\x51", 1) != digest
    signed = dataclasses.replace(first, script_sig=first.script_sig + b"\x51")
    assert (
        signature_hash(dataclasses.replace(tx, inputs=(signed, *tx.inputs[1:])), index, b"\x51", 1) == digest
    )
    assert signature_hash(tx, index, b"\x52", 1) != digest


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("ab", ""),
        ("51ab52abab", "5152"),
        ("01ab51ab", "01ab51"),
        ("4c02abab51ab", "4c02abab51"),
        ("4d0200ababab", "4d0200abab"),
        ("4e02000000ababab", "4e02000000abab"),
        ("ab02ab", "02ab"),
        ("ab4cff", "4cff"),
        ("ab4e", "4e"),
        ("acabac", "acac"),
    ],
)
def test_separators_go_and_pushed_bytes_stay(code: str, kept: str) -> None:
    tx = decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN)
    assert signature_hash(tx, 0, bytes.fromhex(code), 1) == by_definition(tx, 0, bytes.fromhex(kept), 1)


@pytest.mark.parametrize("index", [-1, 1])
def test_there_is_no_hash_for_an_input_that_is_not_there(index: int) -> None:
    tx = decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN)
    with pytest.raises(InvalidChainData, match="no input"):
        signature_hash(tx, index, b"", 1)


def test_overwintered_transactions_have_another_hash() -> None:
    tx = dataclasses.replace(
        decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN),
        version=4,
        version_group=0x892F2085,
        trailer=bytes(15),
    )
    with pytest.raises(UnsupportedChainData):
        signature_hash(tx, 0, b"", 1)


def test_vectors() -> None:
    tx = decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN)
    code = tx.outputs[1].script
    produced = [
        {
            "raw": tx.raw.hex(),
            "input": 0,
            "script_code": code.hex(),
            "hash_type": hash_type,
            "digest": signature_hash(tx, 0, code, hash_type).hex(),
        }
        for hash_type in (1, 2, 3, 0x81, 0x82, 0x83)
    ]
    check_vectors("transaction", "signature_hash", produced)
