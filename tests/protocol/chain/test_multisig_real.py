"""Spending, held against Bitcoin's first payment and zend's own vectors of valid and invalid inputs."""

from collections.abc import Sequence

import pytest
from ecdsa.util import sigencode_der

from protocol.chain.multisig import verify_input_script, verify_inputs
from protocol.chain.rules import ZEN_MAINNET, ChainFamily
from protocol.chain.script import match_template, parse_pushes, push_data
from protocol.chain.signature import SECP256K1_ORDER, parse_der
from protocol.chain.transaction import (
    OutPoint,
    Transaction,
    TxInput,
    TxOutput,
    check_transaction,
    decode_transaction,
    is_coinbase,
    with_script_sig,
)
from protocol.errors import InvalidChainData
from tests.protocol.chain.test_transaction import BITCOIN_BLOCK_170
from tests.support.chain_data import read_cases
from tests.support.script_text import assemble


def low_s_spelling(signature: bytes) -> bytes:
    """Return a script's signature with low S; what is no signature stays as it is."""
    for s_negated in (False, True):
        try:
            parse_der(signature[:-1])
        except InvalidChainData as error:
            if "high S" not in str(error) or s_negated:
                return signature
            size = signature[3]
            r = int.from_bytes(signature[4 : 4 + size], "big")
            s = int.from_bytes(signature[6 + size : -1], "big")
            signature = sigencode_der(r, SECP256K1_ORDER - s, SECP256K1_ORDER) + signature[-1:]
    return signature


def verdict(tx: Transaction, previous_scripts: Sequence[bytes]) -> str:
    try:
        verify_inputs(tx, previous_scripts)
    except InvalidChainData as error:
        return str(error)
    return "ok"


def previous_scripts_of(prevouts: Sequence[tuple[str, int, str]], tx: Transaction) -> list[bytes]:
    scripts = {OutPoint(bytes.fromhex(h)[::-1], n & 0xFFFF_FFFF): assemble(text) for h, n, text in prevouts}
    return [scripts[spent.previous] for spent in tx.inputs]


def in_low_s(tx: Transaction) -> Transaction:
    """Return the transaction with every signature in its first spelling; hashes do not cover scripts."""
    for index, spent in enumerate(tx.inputs):
        try:
            pushes = parse_pushes(spent.script_sig)
        except InvalidChainData:
            continue
        tx = with_script_sig(tx, index, b"".join(push_data(low_s_spelling(push)) for push in pushes))
    return tx


def test_bitcoins_first_payment_is_signed_by_the_key_that_gets_the_change() -> None:
    tx = decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN)
    verify_input_script(tx, 0, tx.outputs[1].script)
    with pytest.raises(InvalidChainData, match="does not hold"):
        verify_input_script(tx, 0, tx.outputs[0].script)


def test_zends_valid_transactions() -> None:
    """Those whose outputs fill our templates verify, once their signatures are spelled with low S."""
    outcomes: dict[str, int] = {}
    for prevouts, raw, _ in read_cases("horizen/tx_valid.json"):
        tx = decode_transaction(bytes.fromhex(raw), ChainFamily.ZEN)
        if not is_coinbase(tx):
            outcome = verdict(in_low_s(tx), previous_scripts_of(prevouts, tx)).partition(": ")
            outcomes[outcome[2] or outcome[0]] = outcomes.get(outcome[2] or outcome[0], 0) + 1
    assert outcomes == {
        "ok": 4,
        "hash type 0x00 is not defined": 1,
        "a nonstandard output cannot be spent": 20,
        "only the redeem script of a multisig can be spent": 5,
    }


def test_no_invalid_transaction_of_zends_passes() -> None:
    rows = read_cases("horizen/tx_invalid.json")
    assert len(rows) == 54
    for prevouts, raw, _ in rows:
        for repair in (lambda tx: tx, in_low_s):
            with pytest.raises(InvalidChainData):
                tx = repair(decode_transaction(bytes.fromhex(raw), ChainFamily.ZEN))
                check_transaction(tx, ZEN_MAINNET)
                verify_inputs(tx, previous_scripts_of(prevouts, tx))


def test_zends_script_vectors_that_fill_a_template() -> None:
    outcomes = {}
    for row in read_cases("horizen/script_valid.json"):
        script_sig, script = assemble(row[0]), assemble(row[1])
        if match_template(script).kind.value in ("pubkeyhash", "scripthash", "pubkey"):
            credit = Transaction(
                1, (TxInput(OutPoint(bytes(32), 2**32 - 1), b"\0\0"),), (TxOutput(0, script),)
            )
            spend = Transaction(1, (TxInput(OutPoint(credit.txid, 0), script_sig),), (TxOutput(0, b""),))
            outcomes[row[-1]] = verdict(spend, [script]).partition(": ")[2] or verdict(spend, [script])
    not_multisig = "only the redeem script of a multisig can be spent"
    assert outcomes == {
        "P2PK": "ok",
        "P2PKH": "ok",
        "P2PKH OP_CHECKBLOCKATHEIGHT": "ok",
        "P2PK anyonecanpay": "ok",
        "P2SH(2-of-3)": "ok",
        # Valid on Zen; what we ask for on top is said in spec/multisig.md.
        "P2PK with high S but no LOW_S": "it is the second spelling of another one",
        "P2PK with undefined hashtype but no STRICTENC": "hash type 0x05 is not defined",
        "P2PK with unnecessary input but no CLEANSTACK": "not the 1 pushes that its output asks for",
        "P2SH with unnecessary input but no CLEANSTACK": not_multisig,
        "P2SH with CLEANSTACK": not_multisig,
        "P2SH(P2PK)": not_multisig,
        "P2SH(P2PKH), bad sig but no VERIFY_P2SH": not_multisig,
        "Very basic P2SH": not_multisig,
        "P2SH,STRICTENC": not_multisig,
    }
