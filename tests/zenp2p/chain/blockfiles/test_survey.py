"""One block read as far as it goes: unread kinds, other layouts, bytes that are no block."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.block import Block, block_hash, encode_block, encode_header, merkle_root
from protocol.chain.encoding import compact_size
from protocol.chain.rules import ChainFamily, HeaderLayout
from protocol.chain.transaction import Transaction
from tests.support.block_files import chain_of, coinbase, payment, sealed
from tests.support.chain_strategies import transactions
from zenp2p.chain.blockfiles.survey import LAYOUTS, MALFORMED, TRAILING, Layout, Root, survey_block

EQUIHASH = HeaderLayout.EQUIHASH
EMPTY_BUNDLES = bytes(4 + 4 + 3)


def written(block: Block, *raws: bytes) -> bytes:
    """The block's header with these bytes as its transactions."""
    return encode_header(block.header) + compact_size(len(raws)) + b"".join(raws)


@pytest.mark.parametrize("first", LAYOUTS)
@given(st.sampled_from(ChainFamily), st.data())
def test_the_layout_is_told_from_the_bytes(first: Layout, family: ChainFamily, data: st.DataObject) -> None:
    """Whatever is tried first: all of the block is read, and its root is right."""
    layout = HeaderLayout.BITCOIN if family is ChainFamily.BITCOIN else EQUIHASH
    trailer = b"\x00" if family is not ChainFamily.BITCOIN else b""
    kinds = transactions(family).filter(lambda tx: tx.version != -5)
    drawn: list[Transaction] = data.draw(st.lists(kinds, max_size=3, unique_by=lambda tx: tx.txid))
    block = sealed(b"\x01" * 32, [coinbase(7, 2, trailer), *drawn], layout)
    survey = survey_block(encode_block(block), first)
    assert survey is not None and (survey.reason, survey.root) == ("", Root.RIGHT)
    assert survey.block_hash == block_hash(block.header) and survey.height == 7
    assert survey.transactions == 1 + len(drawn)
    assert survey.outputs == sum(len(tx.outputs) for tx in block.transactions)


def test_version_5_is_read_and_a_later_one_skipped() -> None:
    group = 0x26A7_270A
    five = coinbase(9, 5, EMPTY_BUNDLES, group)
    block = sealed(bytes(32), [five], EQUIHASH)
    survey = survey_block(encode_block(block))
    assert survey is not None and (survey.reason, survey.root, survey.height) == ("", Root.RIGHT, 9)
    six = b"\x06" + five.raw[1:]
    for raws, transactions_read in (((six,), 0), ((five.raw, six, five.raw), 1)):
        survey = survey_block(written(block, *raws))
        assert survey is not None and "version 6" in survey.reason
        assert (survey.root, survey.transactions) == (Root.UNCHECKED, transactions_read)
        assert survey.skipped == len(raws) - transactions_read


def test_litecoins_extension_block_is_told_and_not_read() -> None:
    first, last = coinbase(9), payment(1)
    block = sealed(bytes(32), [first, last])
    hogex = last.raw[:4] + b"\x00\x08" + last.raw[4:-4] + b"\x00" + last.raw[-4:]
    survey = survey_block(written(block, first.raw, hogex) + b"\x01extension block")
    assert survey is not None and "extension blocks" in survey.reason
    assert (survey.transactions, survey.skipped, survey.root) == (1, 1, Root.UNCHECKED)


def test_bytes_behind_the_transactions() -> None:
    survey = survey_block(chain_of(1)[0] + b"more")
    assert survey is not None and (survey.reason, survey.root) == (TRAILING, Root.RIGHT)


def test_a_header_with_a_proof_of_merged_mining() -> None:
    """As Namecoin's and Dogecoin's: other coinbase, hash, two branches, other header."""
    plain = sealed(bytes(32), [coinbase(9), payment(1)])
    header = dataclasses.replace(plain.header, version=0x0062_0104)
    proof = coinbase(5).raw + bytes(32) + b"\x02" + bytes(64) + bytes(4) + b"\x00" + bytes(4) + bytes(80)
    body = written(dataclasses.replace(plain, header=header), *[tx.raw for tx in plain.transactions])
    survey = survey_block(body[:80] + proof + body[80:])
    assert survey is not None and (survey.reason, survey.root, survey.height) == ("", Root.RIGHT, 9)
    assert survey.block_hash == block_hash(header)
    ordinary = survey_block(body)
    assert ordinary is not None and (ordinary.reason, ordinary.transactions) == ("", 2)


def test_bitcoin_gold_has_equihash_and_witnesses() -> None:
    other = dataclasses.replace(payment(1, 2), witness=((b"\x01",),))
    block = sealed(bytes(32), [coinbase(9, 2), other], EQUIHASH)
    survey = survey_block(encode_block(block))
    assert survey is not None and survey.layout == Layout(EQUIHASH, ChainFamily.BITCOIN)
    assert survey.root is Root.RIGHT


def test_a_root_of_other_transactions_is_wrong() -> None:
    block = sealed(bytes(32), [coinbase(9), payment(1)])
    for raws in (
        [coinbase(9).raw],
        [coinbase(9).raw, payment(2).raw],
        [coinbase(9).raw] + [payment(1).raw] * 2,
    ):
        survey = survey_block(written(block, *raws))
        assert survey is not None and survey.root is Root.WRONG
    assert merkle_root([tx.txid for tx in block.transactions]) == block.header.merkle_root


def test_a_block_without_a_coinbase_is_none() -> None:
    assert survey_block(encode_block(sealed(bytes(32), [payment(1)]))) is None
    assert survey_block(written(sealed(bytes(32), [payment(1)]))) is None


@given(st.integers(0, 10_000))
def test_a_block_that_breaks_off(cut: int) -> None:
    """With its coinbase it is a block whose rest is missing, before that it is none."""
    raw = chain_of(1)[0]
    whole = 81 + len(coinbase(1).raw)
    end = min(cut, len(raw) - 1)
    survey = survey_block(raw[:end])
    if end < whole:
        assert survey is None
    else:
        assert survey is not None and (survey.reason, survey.transactions, survey.skipped) == (
            MALFORMED,
            1,
            1,
        )


@given(st.binary(max_size=600))
def test_random_bytes_are_no_block(data: bytes) -> None:
    assert survey_block(data) is None


def test_old_coinbases_state_no_height() -> None:
    first = sealed(bytes(32), [coinbase(0x1D00_FFFF)])
    survey = survey_block(encode_block(first))
    assert survey is not None and survey.height == 0
    later = sealed(b"\x01" * 32, [coinbase(0x1D00_FFFF)])
    survey = survey_block(encode_block(later))
    assert survey is not None and survey.height is None
