"""The challenge: own samples for each operator, an answer that needs the raw chain and cannot be copied."""

import hashlib
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.rules import ChainFamily
from protocol.chain.script import null_data
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput, decode_transaction
from protocol.errors import NotYetKnown, StaleMessage
from protocol.parameters import DEVNET
from protocol.tracking import challenge as module
from protocol.tracking.challenge import (
    challenge_draw,
    compute_answer,
    derive_challenge,
    derive_samples,
    dial_back_digest,
    dial_back_ordinals,
    expected_answer,
    first_address,
    require_anchor,
    sample_ordinals,
    take_sample,
)
from protocol.units import COIN
from tests.support.chain_view import MINER, MemoryChain

KEYS = st.binary(min_size=32, max_size=32)
TOTALS = st.integers(1, 100) | st.integers(1, 2**63 - 1)
ALICE, BOB = b"\x00" + b"a" * 20, b"\x01" + b"b" * 20
KEY = b"k" * 32
NOWHERE = TxInput(OutPoint(b"\x07" * 32, 0))


def spec_ordinals(key: bytes, person: bytes, prefix: bytes, total: int, wanted: int) -> tuple[int, ...]:
    """The page's words, with hashlib alone: one word after the other."""
    taken: list[int] = []
    for number in count():
        data = prefix + number.to_bytes(8, "big")
        block = hashlib.blake2b(data, digest_size=64, key=key, person=person).digest()
        for at in range(0, 64, 8):
            word = int.from_bytes(block[at : at + 8], "big")
            if word < (1 << 64) // total * total and len(taken) < wanted:
                taken.append(word % total)
        if len(taken) == wanted:
            return tuple(taken)
    raise AssertionError


@given(KEYS, KEYS, TOTALS, st.integers(1, 40))
def test_ordinals_are_the_pages_words(anchor: bytes, key: bytes, total: int, wanted: int) -> None:
    drawn = sample_ordinals(anchor, key, total, wanted)
    assert drawn == spec_ordinals(anchor + key, b"zenp2p-samples", b"", total, wanted)
    assert all(0 <= ordinal < total for ordinal in drawn)


@given(KEYS, KEYS, KEYS, TOTALS)
def test_dial_back_ordinals_are_the_pages_words(anchor: bytes, key: bytes, nonce: bytes, total: int) -> None:
    drawn = dial_back_ordinals(anchor, key, nonce, total, 16)
    assert drawn == spec_ordinals(anchor + key, b"zenp2p-nonce", nonce, total, 16)


@given(KEYS, KEYS, st.integers(1, 20), st.integers(21, 60))
def test_more_samples_begin_with_the_same_ones(anchor: bytes, key: bytes, few: int, many: int) -> None:
    assert sample_ordinals(anchor, key, 1 << 40, many)[:few] == sample_ordinals(anchor, key, 1 << 40, few)


@pytest.mark.parametrize(("total", "wanted"), [(0, 1), (-1, 1), (1, 0)])
def test_nothing_to_draw_is_our_own_mistake(total: int, wanted: int) -> None:
    with pytest.raises(ValueError):
        sample_ordinals(b"a" * 32, KEY, total, wanted)


def test_the_stream_ends_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STREAM_BLOCKS_MAX", 1)
    with pytest.raises(RuntimeError):
        sample_ordinals(b"a" * 32, KEY, 10, 9)


def small_chain() -> MemoryChain:
    chain = MemoryChain()
    chain.mine(pay=((ALICE, 50 * COIN), (BOB, COIN)))
    chain.mine(chain.spend(ALICE, ((BOB, COIN),), b"data"))
    chain.mine_to(40)
    return chain


def test_a_challenge_is_its_anchor_block() -> None:
    chain = small_chain()
    challenge = derive_challenge(2, chain, DEVNET)
    assert (challenge.opens, challenge.closes, challenge.judged_at) == (16, 20, 22)
    assert challenge.anchor_hash == chain.block_hash(16)
    assert challenge.transactions == 18
    with pytest.raises(NotYetKnown):
        derive_challenge(6, chain, DEVNET)


def test_blocks_after_the_anchor_change_nothing() -> None:
    chain = small_chain()
    challenge = derive_challenge(2, chain, DEVNET)
    answer = expected_answer(challenge, KEY, chain, DEVNET)
    digest = dial_back_digest(challenge, KEY, KEY, chain, DEVNET)
    chain.mine_to(60)
    assert derive_challenge(2, chain, DEVNET) == challenge
    assert expected_answer(challenge, KEY, chain, DEVNET) == answer
    assert dial_back_digest(challenge, KEY, KEY, chain, DEVNET) == digest


@pytest.mark.parametrize("height", [15, 16, 30])
def test_a_challenge_whose_anchor_left_the_chain_is_void(height: int) -> None:
    chain = small_chain()
    challenge = derive_challenge(2, chain, DEVNET)
    require_anchor(challenge, chain)
    chain.disconnect(27)
    chain.mine_to(height, salt=b"another branch")
    with pytest.raises(StaleMessage):
        require_anchor(challenge, chain)
    for ask in (expected_answer, derive_samples):
        with pytest.raises(StaleMessage):
            ask(challenge, KEY, chain, DEVNET)
    with pytest.raises(StaleMessage):
        dial_back_digest(challenge, KEY, KEY, chain, DEVNET)


def test_another_branch_has_another_challenge() -> None:
    chain = small_chain()
    challenge = derive_challenge(2, chain, DEVNET)
    chain.disconnect(27)
    chain.mine_to(16, salt=b"another branch")
    other = derive_challenge(2, chain, DEVNET)
    assert (other.seq, other.opens) == (challenge.seq, challenge.opens)
    assert other.anchor_hash != challenge.anchor_hash


def test_the_answer_is_the_pages_words() -> None:
    chain = small_chain()
    challenge = derive_challenge(1, chain, DEVNET)
    samples = derive_samples(challenge, KEY, chain, DEVNET)
    assert len(samples) == DEVNET.samples
    data = (1).to_bytes(8, "big")
    for sample in samples:
        raw = chain.transaction(sample.ordinal)
        assert sample.raw == raw
        assert sample.txid == hashlib.sha256(hashlib.sha256(raw).digest()).digest()
        data += b"\x15" + sample.address + len(raw).to_bytes(4, "big") + raw
    wanted = hashlib.blake2b(data, digest_size=12, key=KEY, person=b"zenp2p-answer").digest()
    assert expected_answer(challenge, KEY, chain, DEVNET) == wanted


def test_the_dial_back_is_the_pages_words() -> None:
    chain = small_chain()
    challenge = derive_challenge(1, chain, DEVNET)
    nonce = b"n" * 32
    ordinals = dial_back_ordinals(challenge.anchor_hash, KEY, nonce, challenge.transactions, 16)
    raws = [chain.transaction(ordinal) for ordinal in ordinals]
    data = nonce + b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)
    wanted = hashlib.blake2b(data, digest_size=32, key=KEY, person=b"zenp2p-dialback").digest()
    assert dial_back_digest(challenge, KEY, nonce, chain, DEVNET) == wanted


@given(KEYS, KEYS)
def test_a_copied_answer_is_wrong(one: bytes, other: bytes) -> None:
    chain = small_chain()
    challenge = derive_challenge(1, chain, DEVNET)
    same = expected_answer(challenge, one, chain, DEVNET) == expected_answer(challenge, other, chain, DEVNET)
    assert same == (one == other)


def test_the_answer_needs_raw_bytes_address_and_sequence() -> None:
    chain = small_chain()
    challenge = derive_challenge(1, chain, DEVNET)
    samples = derive_samples(challenge, KEY, chain, DEVNET)
    changed = [
        (2, samples),
        (1, samples[:-1]),
        (1, (*samples[1:], samples[0])),
        (1, (replace(samples[0], raw=samples[0].raw + b"\0"), *samples[1:])),
        (1, (replace(samples[0], address=ALICE[:-1] + b"z"), *samples[1:])),
        (1, (replace(samples[0], address=b""), *samples[1:])),
    ]
    answers = {compute_answer(seq, KEY, of) for seq, of in [(1, samples), *changed]}
    assert len(answers) == 1 + len(changed)


def test_bytes_cannot_move_between_samples() -> None:
    sample = take_sample(small_chain(), 1, 10)
    left = (replace(sample, raw=b"ab"), replace(sample, raw=b"c"))
    right = (replace(sample, raw=b"a"), replace(sample, raw=b"bc"))
    assert compute_answer(1, KEY, left) != compute_answer(1, KEY, right)


def addressless(data: bytes) -> Transaction:
    return Transaction(1, (NOWHERE,), (TxOutput(0, null_data(data)),))


class ListChain(MemoryChain):
    """Nothing but transactions, for questions that concern nothing else."""

    def __init__(self, *transactions: bytes, family: ChainFamily = ChainFamily.BITCOIN) -> None:
        super().__init__(family=family)
        self._ordinals = list(transactions)


PAYING = small_chain().transaction(1)
BARE = addressless(b"none").raw


@pytest.mark.parametrize(
    ("transactions", "ordinal", "taken"),
    [
        ((PAYING, BARE), 0, 0),
        ((BARE, PAYING), 0, 1),
        ((BARE, BARE, PAYING), 0, 2),
        ((PAYING, BARE, BARE), 1, 0),
    ],
)
def test_a_sample_without_address_is_the_next_one_with(
    transactions: tuple[bytes, ...], ordinal: int, taken: int
) -> None:
    sample = take_sample(ListChain(*transactions), ordinal, len(transactions))
    assert (sample.ordinal, sample.address, sample.raw) == (taken, ALICE, transactions[taken])


def test_nobody_stalls_a_challenge_with_transactions_without_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = addressless(b"drawn").raw
    sample = take_sample(ListChain(BARE, BARE, last), 2, 3)
    assert (sample.ordinal, sample.address, sample.raw) == (2, b"", last)
    monkeypatch.setattr(module, "ADDRESS_SEARCH_MAX", 2)
    assert take_sample(ListChain(BARE, BARE, PAYING), 0, 3).address == b""
    assert take_sample(ListChain(BARE, PAYING), 0, 2).address == ALICE


def test_a_sample_is_the_transaction_as_it_stands_in_its_block() -> None:
    """The id leaves the witness out, the answer does not: a chain without witnesses is not enough."""
    plain = decode_transaction(PAYING, ChainFamily.BITCOIN)
    witnessed = replace(plain, witness=((b"\x01",),) * len(plain.inputs))
    with_witness, without = (take_sample(ListChain(raw), 0, 1) for raw in (witnessed.raw, PAYING))
    assert (with_witness.raw, with_witness.txid, with_witness.address) == (witnessed.raw, plain.txid, ALICE)
    assert without.txid == with_witness.txid
    assert compute_answer(1, KEY, [with_witness]) != compute_answer(1, KEY, [without])


def test_the_first_address_is_that_of_the_first_output_with_one() -> None:
    chain = small_chain()
    at = chain.transaction_count(1) + 1
    for ordinal, address in ((at, BOB), (0, MINER)):
        assert first_address(decode_transaction(chain.transaction(ordinal), chain.family)) == address


def test_the_draw_is_of_anchor_and_operator() -> None:
    assert challenge_draw(b"a" * 32, KEY) == hashlib.sha3_256(b"a" * 32 + KEY).digest()
