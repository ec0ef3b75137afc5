"""Blocks: real chains of two layouts, Merkle trees, targets, and refusal of everything else."""

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.block import (
    Block,
    BlockHeader,
    block_hash,
    block_work,
    check_merkle_root,
    check_proof_of_work,
    coinbase_height,
    compact_target,
    decode_header,
    encode_block,
    encode_header,
    merkle_root,
    parse_block,
    target_bits,
)
from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import DEVNET, ZEN_MAINNET, ChainFamily, ChainRules, HeaderLayout
from protocol.chain.script import push_data, push_number
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from protocol.codec import replace
from protocol.errors import InvalidChainData
from tests.support.chain_strategies import HASHES, UINT32, transactions
from tests.support.vectors import check_vectors

ZCASH = replace(ZEN_MAINNET, family=ChainFamily.ZCASH)
RULES = [DEVNET, ZEN_MAINNET, ZCASH]
BITCOIN_GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617f"
    "c81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000000000000000000000000000000000000000"
    "000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e6365"
    "6c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a010000"
    "00434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c"
    "384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
"""The first block that there was."""


def coinbase(script_sig: bytes) -> Transaction:
    return Transaction(
        1, (TxInput(OutPoint(bytes(32), COINBASE_INDEX), script_sig),), (TxOutput(1, b"\x51"),)
    )


@st.composite
def headers(draw: st.DrawFn, layout: HeaderLayout, version: int | None = None) -> BlockHeader:
    equihash = layout is HeaderLayout.EQUIHASH
    return BlockHeader(
        layout=layout,
        version=draw(st.integers(4, 2**31 - 1)) if version is None else version,
        previous=draw(HASHES),
        merkle_root=draw(HASHES),
        reserved=draw(HASHES) if equihash else b"",
        time=draw(UINT32),
        bits=draw(UINT32),
        nonce=draw(st.integers(0, 2 ** (256 if equihash else 32) - 1)),
        solution=draw(st.binary(max_size=300)) if equihash else b"",
    )


@st.composite
def blocks(draw: st.DrawFn) -> tuple[ChainRules, Block]:
    rules = draw(st.sampled_from(RULES))
    drawn = tuple(draw(st.lists(transactions(rules.family), min_size=1, max_size=4)))
    certificates = tuple(tx for tx in drawn if rules.family is ChainFamily.ZEN and tx.version == -5)
    txs = tuple(tx for tx in drawn if tx not in certificates)
    if rules.family is ChainFamily.ZEN and (certificates or draw(st.booleans())):
        return rules, Block(draw(headers(rules.header_layout, 3)), txs, certificates)
    return rules, Block(draw(headers(rules.header_layout)), txs)


def certificate() -> Transaction:
    return Transaction(-5, coinbase(b"").inputs, (), sidechain=bytes(32 + 12 + 4 + 16))


def test_zens_block_version_3_ends_with_its_certificates() -> None:
    header = BlockHeader(
        layout=HeaderLayout.EQUIHASH,
        version=3,
        previous=bytes(32),
        merkle_root=bytes(32),
        reserved=bytes(32),
        time=0,
        bits=0,
    )
    plain = encode_block(Block(header, (coinbase(b"\x51\x51"),)))
    for certificates in ((), (certificate(),)):
        block = Block(header, (coinbase(b"\x51\x51"),), certificates)
        raw = encode_block(block)
        assert raw.startswith(plain) and parse_block(raw, ZEN_MAINNET) == block
        assert block.entries == block.transactions + certificates
    with pytest.raises(InvalidChainData):
        parse_block(plain, ZEN_MAINNET)
    assert parse_block(plain, ZCASH).raw == plain


def test_certificates_stand_behind_the_transactions_and_nothing_else_there() -> None:
    header = dataclasses.replace(
        parse_block(BITCOIN_GENESIS, DEVNET).header,
        layout=HeaderLayout.EQUIHASH,
        version=3,
        reserved=bytes(32),
    )
    first, other = coinbase(b"\x51\x51"), certificate()
    with pytest.raises(InvalidChainData, match="a certificate stands among the transactions"):
        parse_block(encode_block(Block(header, (first, other), ())), ZEN_MAINNET)
    with pytest.raises(InvalidChainData, match="a transaction stands among the certificates"):
        parse_block(encode_block(Block(header, (first,), (first,))), ZEN_MAINNET)


def test_the_merkle_root_covers_certificates() -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    first, other = coinbase(b"\x51\x51"), certificate()
    sealed = dataclasses.replace(header, merkle_root=merkle_root([first.txid, other.txid]))
    check_merkle_root(Block(sealed, (first,), (other,)))
    with pytest.raises(InvalidChainData, match="Merkle root"):
        check_merkle_root(Block(sealed, (first,), ()))


@given(st.sampled_from(HeaderLayout).flatmap(headers))
def test_header_round_trip(header: BlockHeader) -> None:
    raw = encode_header(header)
    assert decode_header(raw, header.layout) == header
    assert block_hash(header) == hashlib.sha256(hashlib.sha256(raw).digest()).digest()
    if header.layout is HeaderLayout.BITCOIN:
        assert len(raw) == 80
    for wrong in (raw[:-1], raw + b"\x00"):
        with pytest.raises(InvalidChainData):
            decode_header(wrong, header.layout)


def test_negative_versions_keep_their_sign() -> None:
    header = dataclasses.replace(parse_block(BITCOIN_GENESIS, DEVNET).header, version=-2)
    assert decode_header(encode_header(header), HeaderLayout.BITCOIN).version == -2


def test_solutions_are_bounded() -> None:
    header = BlockHeader(
        layout=HeaderLayout.EQUIHASH,
        version=4,
        previous=bytes(32),
        merkle_root=bytes(32),
        reserved=bytes(32),
        time=0,
        bits=0,
    )
    decode_header(encode_header(dataclasses.replace(header, solution=bytes(1_344))), HeaderLayout.EQUIHASH)
    with pytest.raises(InvalidChainData, match="1345"):
        decode_header(
            encode_header(dataclasses.replace(header, solution=bytes(1_345))), HeaderLayout.EQUIHASH
        )


@given(blocks())
def test_block_round_trip(case: tuple[ChainRules, Block]) -> None:
    rules, block = case
    raw = encode_block(block)
    read = parse_block(raw, rules)
    assert read == block
    assert read.raw == block.raw == raw
    assert [tx.raw for tx in read.transactions] == [tx.raw for tx in block.transactions]


@given(blocks(), st.sampled_from(RULES), st.data())
def test_changed_blocks_are_read_or_refused(
    case: tuple[ChainRules, Block], rules: ChainRules, data: st.DataObject
) -> None:
    raw = bytearray(case[1].raw)
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for changed in (bytes(raw), bytes(raw[:cut])):
        try:
            block = parse_block(changed, rules)
            check_merkle_root(block)
            check_proof_of_work(block.header)
            coinbase_height(block)
        except InvalidChainData:
            continue


@given(st.binary(max_size=400), st.sampled_from(RULES))
def test_any_bytes_are_read_or_refused(data: bytes, rules: ChainRules) -> None:
    try:
        block = parse_block(data, rules)
    except InvalidChainData:
        return
    assert block.raw == data


def test_blocks_are_bounded() -> None:
    small = replace(DEVNET, block_size_max=len(BITCOIN_GENESIS))
    parse_block(BITCOIN_GENESIS, small)
    with pytest.raises(InvalidChainData, match="at most 284"):
        parse_block(BITCOIN_GENESIS, replace(small, block_size_max=284))
    with pytest.raises(InvalidChainData, match="cannot stand"):
        parse_block(BITCOIN_GENESIS[:80] + b"\xfe\xff\xff\xff\xff" + bytes(1_000), DEVNET)


def recursive_root(ids: list[bytes]) -> bytes:
    """The tree from the top down: the left half is the largest power of two below the number of ids."""
    depth = (len(ids) - 1).bit_length()

    def node(level: int, position: int) -> bytes:
        if level == 0:
            return ids[position]
        left = node(level - 1, 2 * position)
        exists = (2 * position + 1) << (level - 1) < len(ids)
        right = node(level - 1, 2 * position + 1) if exists else left
        return hashlib.sha256(hashlib.sha256(left + right).digest()).digest()

    return node(depth, 0)


@given(st.lists(HASHES, min_size=1, max_size=40, unique=True))
def test_merkle_root_equals_the_recursive_definition(ids: list[bytes]) -> None:
    assert merkle_root(ids) == recursive_root(ids)


@given(st.lists(HASHES, min_size=2, max_size=20, unique=True), st.data())
def test_a_list_doubled_at_its_end_is_refused(ids: list[bytes], data: st.DataObject) -> None:
    """CVE-2012-2459: the recursive definition gives both lists one root."""
    width = 1 << data.draw(st.integers(0, 3))
    repeated = ids[-width:]
    if len(ids) > width and len(ids) % (2 * width) == width:
        assert recursive_root(ids + repeated) == recursive_root(ids)
        with pytest.raises(InvalidChainData, match="doubled"):
            merkle_root(ids + repeated)


def test_the_doubling_of_one_and_of_two_at_the_end() -> None:
    a, b, c, d, e, f = (bytes([number]) * 32 for number in range(6))
    assert recursive_root([a, b, c]) == recursive_root([a, b, c, c])
    assert recursive_root([a, b, c, d, e, f]) == recursive_root([a, b, c, d, e, f, e, f])
    for mutated in ([a, a], [a, b, c, c], [a, b, c, d, e, f, e, f]):
        with pytest.raises(InvalidChainData, match="doubled"):
            merkle_root(mutated)
    merkle_root([a, b, b, a])
    with pytest.raises(InvalidChainData, match="without transactions"):
        merkle_root([])


def test_a_wrong_merkle_root_is_refused() -> None:
    block = parse_block(BITCOIN_GENESIS, DEVNET)
    wrong = Block(dataclasses.replace(block.header, merkle_root=bytes(32)), block.transactions)
    with pytest.raises(
        InvalidChainData, match="4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    ):
        check_merkle_root(wrong)


@pytest.mark.parametrize("height", [0, 1, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 1_028_400, 2**31 - 1])
def test_coinbase_states_its_height(height: int) -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    assert coinbase_height(Block(header, (coinbase(push_number(height) + b"\x00"),))) == height


@pytest.mark.parametrize(
    "script_sig", ["", "ac", "0101", "0181", "02ff", "03ffff", "0400000080", "05ffffffff00", "4c0164"]
)
def test_coinbases_that_state_no_height(script_sig: str) -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    with pytest.raises(InvalidChainData, match="height"):
        coinbase_height(Block(header, (coinbase(bytes.fromhex(script_sig)),)))


def test_a_height_is_read_from_a_coinbase_only() -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    payment = Transaction(1, (TxInput(OutPoint(b"\x01" * 32, 0), push_data(b"\x64")),), (TxOutput(1, b""),))
    for txs in ((), (payment,), (payment, coinbase(push_number(100)))):
        with pytest.raises(InvalidChainData, match="must be its coinbase"):
            coinbase_height(Block(header, txs))


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x01123456, 0x12),
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x05009234, 0x92340000),
        (0x20123456, 0x123456 << 232),
        (0x1D00FFFF, 0xFFFF << 208),
        (0x1F07FFFF, 0x07FFFF << 224),
        (0x207FFFFF, 0x7FFFFF << 232),
    ],
)
def test_targets(bits: int, target: int) -> None:
    assert compact_target(bits) == target
    assert compact_target(target_bits(target)) == target


@pytest.mark.parametrize(
    "bits",
    [0, 0x01003456, 0x03000000, 0x04923456, 0x01FEDCBA, 0x21010000, 0x22000100, 0xFF123456, 0x00923456],
)
def test_bits_that_are_no_target(bits: int) -> None:
    with pytest.raises(InvalidChainData, match="no target"):
        compact_target(bits)


@given(st.integers(1, 2**256 - 1))
def test_bits_of_a_target(target: int) -> None:
    bits = target_bits(target)
    stated = compact_target(bits)
    assert stated <= target
    assert target_bits(stated) == bits
    assert stated >> max(target.bit_length() - 15, 0) == target >> max(target.bit_length() - 15, 0)


@given(UINT32)
def test_any_bits_are_a_target_or_refused(bits: int) -> None:
    try:
        target = compact_target(bits)
    except InvalidChainData:
        return
    assert 0 < target < 2**256
    assert block_work(bits) == 2**256 // (target + 1) >= 1


def test_work() -> None:
    assert block_work(0x1D00FFFF) == 0x100010001
    assert block_work(0x207FFFFF) == 2
    assert block_work(0x1F07FFFF) == 0x2000


def test_proof_of_work() -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    check_proof_of_work(header)
    with pytest.raises(InvalidChainData, match="does not reach"):
        check_proof_of_work(dataclasses.replace(header, nonce=header.nonce + 1))
    with pytest.raises(InvalidChainData, match="no target"):
        check_proof_of_work(dataclasses.replace(header, bits=0))


def test_a_hash_that_equals_its_target_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    header = parse_block(BITCOIN_GENESIS, DEVNET).header
    for excess in (0, 1):
        wanted = (compact_target(header.bits) + excess).to_bytes(32, "little")
        monkeypatch.setattr("protocol.chain.block.block_hash", lambda _, wanted=wanted: wanted)
        if excess:
            with pytest.raises(InvalidChainData, match="does not reach"):
                check_proof_of_work(header)
        else:
            check_proof_of_work(header)


def test_vectors() -> None:
    a, b, c, d, e, f = (bytes([number]) * 32 for number in range(1, 7))
    refused = [[a, a], [a, b, c, c], [a, b, c, d, e, f, e, f]]
    for ids in refused:
        with pytest.raises(InvalidChainData):
            merkle_root(ids)
    produced = {
        "merkle": [
            {"txids": [x.hex() for x in ids], "root": merkle_root(ids).hex()}
            for ids in ([bytes([n]) * 32 for n in range(size)] for size in (1, 2, 3, 5, 8))
        ],
        "merkle_refused": [
            [x.hex() for x in ids]
            for ids in ([b"\x01" * 32] * 2, [b"\x01" * 32, b"\x02" * 32, b"\x02" * 32][1:])
        ],
        "targets": [
            {"bits": f"{bits:08x}", "target": f"{compact_target(bits):064x}", "work": str(block_work(bits))}
            for bits in (0x1D00FFFF, 0x1F07FFFF, 0x207FFFFF)
        ],
        "bitcoin_block_0": {
            "raw": BITCOIN_GENESIS.hex(),
            "hash": block_hash(parse_block(BITCOIN_GENESIS, DEVNET).header).hex(),
        },
    }
    check_vectors("chain", "blocks", produced)


def test_hashes_are_kept_in_computed_order() -> None:
    shown = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert block_hash(parse_block(BITCOIN_GENESIS, DEVNET).header) == parse_display_hash(shown)
