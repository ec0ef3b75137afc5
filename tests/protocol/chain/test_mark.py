"""Marks: the one data output of a transaction, and whose signatures cover it."""

import pytest

from protocol.chain.address import pay_to_script_hash
from protocol.chain.mark import LIFE_MAGIC, SIGNERS_MAX, SUMMONS_MAGIC, find_mark, may_mark
from protocol.chain.script import address_script, null_data, push_data, replay_tail
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from protocol.units import Height
from tests.support.operators import operator

STAKES = [operator(number).stake_address for number in range(12)]
PAYLOAD = SUMMONS_MAGIC + bytes(range(74))


def script_sig(hash_type: int = 1) -> bytes:
    return push_data(b"\x30" * 70 + bytes([hash_type])) + push_data(b"\x02" * 33)


def marking(*payloads: bytes, inputs: int = 1, hash_type: int = 1, tail: bytes = b"") -> Transaction:
    spent = tuple(
        TxInput(OutPoint(bytes([number]) * 32, 0), script_sig(hash_type)) for number in range(inputs)
    )
    data = tuple(TxOutput(0, null_data(payload) + tail) for payload in payloads)
    return Transaction(1, spent, (*data, TxOutput(1, address_script(STAKES[11]))))


def found(tx: Transaction, *spent: bytes | None) -> tuple[bytes, tuple[bytes, ...]] | None:
    mark = find_mark(tx, spent, 7, Height(3))
    return None if mark is None else (mark.payload, mark.signed)


@pytest.mark.parametrize("payload", [PAYLOAD, LIFE_MAGIC + bytes(32), LIFE_MAGIC])
def test_whoever_spends_a_coin_of_his_signs_it(payload: bytes) -> None:
    tx = marking(payload)
    assert may_mark(tx) and found(tx, STAKES[0]) == (payload, (STAKES[0],))
    assert found(marking(payload, tail=replay_tail(b"b" * 32, 300)), STAKES[0]) == (payload, (STAKES[0],))


@pytest.mark.parametrize("payload", [b"zp2p\x01" + bytes(40), b"zp2p\x02" + bytes(34), b"zp2p", b"hello"])
def test_other_data_is_no_mark(payload: bytes) -> None:
    assert found(marking(payload), STAKES[0]) is None


def test_of_two_data_outputs_nobody_knows_which_was_meant() -> None:
    assert found(marking(PAYLOAD, b"more"), STAKES[0]) is None
    assert found(marking(), STAKES[0]) is None


def test_only_signatures_that_cover_all_outputs_count() -> None:
    for hash_type, counts in ((1, True), (0x81, True), (2, False), (3, False), (0x82, False), (0x83, False)):
        assert found(marking(PAYLOAD, hash_type=hash_type), STAKES[0]) == (
            PAYLOAD,
            (STAKES[0],) if counts else (),
        )


def test_nobody_signs_what_is_not_known_or_no_ones_key() -> None:
    assert found(marking(PAYLOAD), None) == (PAYLOAD, ())
    assert found(marking(PAYLOAD), pay_to_script_hash(b"\x51")) == (PAYLOAD, ())
    coinbase = Transaction(
        1, (TxInput(OutPoint(bytes(32), COINBASE_INDEX), script_sig()),), marking(PAYLOAD).outputs
    )
    assert find_mark(coinbase, [], 0, Height(0)) is not None and found(coinbase) == (PAYLOAD, ())


def test_several_sign_one_mark_but_not_too_many() -> None:
    few, many = STAKES[:SIGNERS_MAX], STAKES[: SIGNERS_MAX + 1]
    assert found(marking(PAYLOAD, inputs=len(few)), *few) == (PAYLOAD, tuple(sorted(few)))
    assert found(marking(PAYLOAD, inputs=len(many)), *many) == (PAYLOAD, ())
