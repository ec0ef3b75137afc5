"""Transactions of three families: real ones, round trips, bounded refusal of everything else."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.encoding import display_hash
from protocol.chain.rules import DEVNET, ZEN_MAINNET, ChainFamily, ChainRules
from protocol.chain.script import ScriptKind, match_template, script_address
from protocol.chain.sidechain import UNRIPE
from protocol.chain.sighash import SignatureHasher
from protocol.chain.transaction import (
    COINBASE_INDEX,
    OutPoint,
    Transaction,
    TxInput,
    TxOutput,
    check_transaction,
    decode_transaction,
    encode_transaction,
    has_shielded_part,
    is_coinbase,
    parse_transaction,
    with_script_sig,
)
from protocol.codec import replace
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData, UnsupportedChainData
from tests.support.chain_data import read_cases, read_json
from tests.support.chain_strategies import transactions
from tests.support.vectors import check_vectors

ZCASH = replace(ZEN_MAINNET, family=ChainFamily.ZCASH)
RULES = {ChainFamily.BITCOIN: DEVNET, ChainFamily.ZCASH: ZCASH, ChainFamily.ZEN: ZEN_MAINNET}
FAMILIES = st.sampled_from(list(ChainFamily))
FAMILY_AND_TRANSACTION = FAMILIES.flatmap(lambda family: st.tuples(st.just(family), transactions(family)))

BITCOIN_BLOCK_170 = bytes.fromhex(
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8"
    "af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac462208"
    "2221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302f"
    "a28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb"
    "8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643"
    "f656b412a3ac00000000"
)
"""The first payment that was ever made in a chain of this kind, 2009-01-12."""


def payment(*amounts: int) -> Transaction:
    """A transaction of one input with outputs of these amounts."""
    return Transaction(
        1, (TxInput(OutPoint(b"\x01" * 32, 0)),), tuple(TxOutput(amount, b"\x51") for amount in amounts)
    )


def coinbase(script_sig: bytes) -> Transaction:
    return Transaction(
        1, (TxInput(OutPoint(bytes(32), COINBASE_INDEX), script_sig),), (TxOutput(1, b"\x51"),)
    )


def test_bitcoins_first_payment() -> None:
    tx = decode_transaction(BITCOIN_BLOCK_170, ChainFamily.BITCOIN)
    assert display_hash(tx.txid) == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    assert [output.amount for output in tx.outputs] == [10 * 10**8, 40 * 10**8]
    assert display_hash(tx.inputs[0].previous.txid).startswith("0437cd7f8525ceed")


@pytest.mark.parametrize("family", ChainFamily)
def test_valid_transactions_of_zends_tests_are_read_and_pass(family: ChainFamily) -> None:
    rows = read_cases("horizen/tx_valid.json")
    assert len(rows) == 32
    for _, raw, _ in rows:
        tx = decode_transaction(bytes.fromhex(raw), family)
        assert encode_transaction(tx).hex() == raw
        check_transaction(tx, RULES[family])


def test_transactions_with_joinsplits_of_zends_tests_come_out_as_they_went_in() -> None:
    versions = [0, 0, 0]  # -3, others with joinsplits, others
    for raw, *_ in read_cases("horizen/sighash.json.gz"):
        tx = decode_transaction(bytes.fromhex(raw), ChainFamily.ZEN)
        assert encode_transaction(tx).hex() == raw
        versions[0 if tx.version == -3 else 1 if has_shielded_part(tx) else 2] += 1
    assert versions == [245, 287, 468]


def test_transactions_of_a_real_block_template() -> None:
    template = read_json("horizen/getblocktemplate.json")
    for shown in template["transactions"]:
        tx, end = parse_transaction(bytes.fromhex(shown["data"]), ChainFamily.ZEN)
        assert display_hash(tx.txid) == shown["hash"]
        assert end == len(shown["data"]) // 2
    for shown in template["certificates"]:
        certificate = decode_transaction(bytes.fromhex(shown["data"]), ChainFamily.ZEN)
        assert encode_transaction(certificate).hex() == shown["data"]
        assert display_hash(certificate.txid) == shown["hash"]
        assert (len(certificate.outputs), certificate.backward) == (3, 2)


@given(FAMILY_AND_TRANSACTION)
def test_round_trip(case: tuple[ChainFamily, Transaction]) -> None:
    family, tx = case
    raw = encode_transaction(tx)
    read = decode_transaction(raw, family)
    assert read == tx
    assert read.raw == raw
    assert read.txid == tx.txid
    if tx.version_group is None or tx.version < 5:
        assert tx.txid == sha256d(encode_transaction(dataclasses.replace(tx, witness=())))


@given(FAMILY_AND_TRANSACTION, st.binary(max_size=9), st.binary(max_size=9))
def test_a_transaction_is_read_from_the_middle(
    case: tuple[ChainFamily, Transaction], before: bytes, after: bytes
) -> None:
    family, tx = case
    read, end = parse_transaction(before + tx.raw + after, family, len(before))
    assert (read, read.raw, end) == (tx, tx.raw, len(before) + len(tx.raw))
    if after:
        with pytest.raises(InvalidChainData, match="too many"):
            decode_transaction(tx.raw + after, family)


@given(FAMILY_AND_TRANSACTION, st.data())
def test_truncation_is_refused(case: tuple[ChainFamily, Transaction], data: st.DataObject) -> None:
    family, tx = case
    cut = data.draw(st.integers(0, len(tx.raw) - 1))
    with pytest.raises(InvalidChainData):
        decode_transaction(tx.raw[:cut], family)


@given(FAMILY_AND_TRANSACTION, FAMILIES, st.data())
def test_changed_bytes_are_read_or_refused(
    case: tuple[ChainFamily, Transaction], family: ChainFamily, data: st.DataObject
) -> None:
    """Whatever is read encodes to the bytes it was read from, under any family."""
    raw = bytearray(case[1].raw)
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        tx = decode_transaction(bytes(raw), family)
    except InvalidChainData:
        return
    assert encode_transaction(tx) == raw


@given(st.binary(max_size=300), FAMILIES)
def test_any_bytes_are_read_or_refused(data: bytes, family: ChainFamily) -> None:
    try:
        tx = decode_transaction(data, family)
    except InvalidChainData:
        return
    assert encode_transaction(tx) == data


@pytest.mark.parametrize(
    ("start", "family", "reason"),
    [
        ("060000800a27a726", ChainFamily.ZCASH, "version 6"),
        ("0f000080ffffffff", ChainFamily.ZCASH, "version 15"),
        ("020000000008", ChainFamily.BITCOIN, "Litecoin's extension blocks"),
        ("020000000009", ChainFamily.BITCOIN, "Litecoin's extension blocks"),
    ],
)
def test_known_kinds_that_are_not_read(start: str, family: ChainFamily, reason: str) -> None:
    with pytest.raises(UnsupportedChainData, match=reason):
        decode_transaction(bytes.fromhex(start) + bytes(100), family)


def test_the_id_does_not_cover_the_witness() -> None:
    """The same transaction with three witnesses: three encodings, one id; BIP 144."""
    plain = payment(5)
    ids, encodings = set(), set()
    for witness in ((), ((b"",),), ((b"\x01" * 72, b"\x02" * 33),)):
        tx = dataclasses.replace(plain, witness=witness)
        read = decode_transaction(tx.raw, ChainFamily.BITCOIN)
        assert read == tx and read.witness == witness
        ids.add(read.txid)
        encodings.add(read.raw)
    assert (ids, len(encodings)) == ({plain.txid}, 3)
    assert with_script_sig(read, 0, b"").txid == plain.txid


def test_a_witness_has_one_spelling() -> None:
    body = payment(5).raw
    with pytest.raises(InvalidChainData, match="holds nothing"):
        decode_transaction(body[:4] + b"\x00\x01" + body[4:-4] + b"\x00" + body[-4:], ChainFamily.BITCOIN)
    for flag in (2, 3, 0x81):
        with pytest.raises(InvalidChainData, match=f"flag {flag:#04x}"):
            decode_transaction(body[:4] + bytes([0, flag]) + body[4:], ChainFamily.BITCOIN)
    for witness in (((),), ((b"\x01",), (b"\x01",))):
        with pytest.raises(ValueError, match="stack for each input"):
            dataclasses.replace(payment(5), witness=witness)


def test_no_other_family_has_a_witness() -> None:
    raw = dataclasses.replace(payment(5), witness=((b"\x01",),)).raw
    for family in (ChainFamily.ZCASH, ChainFamily.ZEN):
        with pytest.raises(InvalidChainData):
            decode_transaction(raw, family)


@pytest.mark.parametrize(
    "start",
    [
        "0300008085202f89",
        "040000807082c403",
        "0000008070 82c403",
        "0100008070 82c403",
        "050000807082c403",
        "100000800a27a726",
    ],
)
def test_version_and_version_group_belong_together(start: str) -> None:
    with pytest.raises(InvalidChainData, match="version group"):
        decode_transaction(bytes.fromhex(start) + bytes(100), ChainFamily.ZCASH)


def test_the_families_read_the_same_bytes_differently() -> None:
    plain = Transaction(2, payment(1).inputs, payment(1).outputs)
    assert decode_transaction(plain.raw, ChainFamily.BITCOIN) == plain
    for family in (ChainFamily.ZCASH, ChainFamily.ZEN):
        with pytest.raises(InvalidChainData):
            decode_transaction(plain.raw, family)
        joined = dataclasses.replace(plain, trailer=b"\x00")
        assert decode_transaction(joined.raw, family) == joined
    sapling = bytes.fromhex("0400008085202f89") + bytes(1 + 1 + 4 + 4 + 8 + 1 + 1 + 1)
    assert decode_transaction(sapling, ChainFamily.ZCASH).version == 4
    with pytest.raises(InvalidChainData):
        decode_transaction(sapling, ChainFamily.ZEN)


@pytest.mark.parametrize("count", ["fdffff", "feffffffff", "ffffffffffffffffff"])
def test_no_count_is_believed(count: str) -> None:
    """A count of anything that cannot fit into the bytes that are left is refused at once."""
    starts = {
        ChainFamily.BITCOIN: [
            "01000000",
            "0100000001" + "00" * 41,
            "010000000001",
            "01000000000101" + "00" * 41 + "00",
        ],
        ChainFamily.ZEN: ["0200000000 00 00000000", "fdffffff00 00 00000000"],
        ChainFamily.ZCASH: [
            "0400008085202f89 00 00" + "00" * 16,
            "0400008085202f89 00 00" + "00" * 17,
            "0400008085202f89 00 00" + "00" * 18,
            "030000807082c403 00 00" + "00" * 8,
        ],
    }
    for family, heads in starts.items():
        for head in heads:
            with pytest.raises(InvalidChainData, match="cannot stand"):
                decode_transaction(bytes.fromhex(head + count) + bytes(1_000), family)


def test_negative_amounts_are_refused_when_read() -> None:
    raw = payment(1).raw.replace((1).to_bytes(8, "little") + b"\x01\x51", b"\xff" * 8 + b"\x01\x51")
    with pytest.raises(InvalidChainData, match="negative"):
        decode_transaction(raw, ChainFamily.BITCOIN)


def test_a_changed_copy_has_its_own_bytes() -> None:
    read = decode_transaction(payment(1, 2).raw, ChainFamily.BITCOIN)
    signed = with_script_sig(read, 0, b"\x51")
    assert signed.inputs[0].script_sig == b"\x51"
    assert signed.raw != read.raw
    assert decode_transaction(signed.raw, ChainFamily.BITCOIN) == signed
    assert signed.txid != read.txid


def test_coinbase() -> None:
    assert is_coinbase(coinbase(b"\x51\x00"))
    assert not is_coinbase(payment(1))
    two = dataclasses.replace(payment(1), inputs=coinbase(b"").inputs + payment(1).inputs)
    assert not is_coinbase(two)
    with pytest.raises(InvalidChainData, match="spends nothing"):
        check_transaction(two, DEVNET)


@pytest.mark.parametrize("size", [0, 1, 101, 10_000])
def test_coinbase_scripts_have_2_to_100_bytes(size: int) -> None:
    check_transaction(coinbase(bytes(2)), DEVNET)
    check_transaction(coinbase(bytes(100)), DEVNET)
    with pytest.raises(InvalidChainData, match="coinbase script"):
        check_transaction(coinbase(bytes(size)), DEVNET)


def test_rules_that_a_transaction_breaks_by_itself() -> None:
    most = DEVNET.money_max
    check_transaction(payment(0, most), DEVNET)
    small = replace(DEVNET, transaction_size_max=len(payment(1).raw))
    check_transaction(payment(1), small)
    cases: list[tuple[Transaction, ChainRules, str]] = [
        (payment(most + 1), DEVNET, "amount is out of range"),
        (payment(most, 1), DEVNET, "sum is out of range"),
        (payment(), DEVNET, "without inputs or without outputs"),
        (dataclasses.replace(payment(1), inputs=()), DEVNET, "without inputs or without outputs"),
        (dataclasses.replace(payment(1), inputs=payment(1).inputs * 2), DEVNET, "twice"),
        (payment(1, 1), small, "bytes"),
        (dataclasses.replace(payment(1), version=0), ZEN_MAINNET, "version 0"),
        (dataclasses.replace(payment(1), version=-7), ZEN_MAINNET, "version -7"),
    ]
    for tx, rules, why in cases:
        with pytest.raises(InvalidChainData, match=why):
            check_transaction(tx, rules)


def test_a_purely_shielded_transaction_needs_no_transparent_part() -> None:
    empty = Transaction(2, (), (), trailer=b"\x00")
    shielded = dataclasses.replace(empty, trailer=b"\x01" + bytes(1_802 + 96))
    sapling = Transaction(4, (), (), 0, 0x892F_2085, bytes(12) + b"\x01" + bytes(384 + 1 + 1 + 64))
    overwinter = Transaction(3, (), (), 0, 0x03C4_8270, bytes(4) + b"\x01" + bytes(1_802 + 96))
    check_transaction(shielded, ZEN_MAINNET)
    for tx in (sapling, overwinter):
        assert decode_transaction(tx.raw, ChainFamily.ZCASH) == tx
        check_transaction(tx, ZCASH)
    for trailer, version, group in (
        (b"\x00", 2, None),
        (bytes(15), 4, 0x892F_2085),
        (bytes(5), 3, 0x03C4_8270),
    ):
        tx = Transaction(version, (), (), 0, group, trailer)
        assert decode_transaction(tx.raw, ChainFamily.ZCASH) == tx
        with pytest.raises(InvalidChainData, match="without inputs"):
            check_transaction(tx, ZCASH)


def test_the_id_of_version_5_covers_neither_scripts_nor_proofs() -> None:
    """Changing any byte changes the id, but in an input's script, a proof or a signature."""
    tx = bundled(1, 1, 1)
    assert with_script_sig(tx, 0, b"\x51\x52").txid == tx.txid
    covered = 0
    for at in range(len(tx.raw)):
        changed = bytearray(tx.raw)
        changed[at] ^= 1
        try:
            covered += decode_transaction(bytes(changed), ChainFamily.ZCASH).txid != tx.txid
        except InvalidChainData:
            covered += 1
    proofs_and_signatures = 192 + 64 + 192 + 64 + 40 + 64 + 64
    assert len(tx.raw) - covered == proofs_and_signatures + len(tx.inputs[0].script_sig)


def bundled(spends: int, outputs: int, actions: int, transparent: int = 1) -> Transaction:
    """A version 5 with so many parts of each kind; no two bytes near one another are equal."""

    def filled(size: int) -> bytes:
        return bytes((at * 7 + at // 251) % 256 for at in range(size))

    sapling = bytes([spends]) + filled(96 * spends) + bytes([outputs]) + filled(756 * outputs)
    if spends or outputs:
        sapling += filled(8 + 32 * (spends > 0) + 256 * spends + 192 * outputs + 64)
    orchard = bytes([actions]) + filled(820 * actions)
    if actions:
        orchard += filled(41) + b"\x28" + filled(40) + filled(64 * actions + 64)
    trailer = bytes.fromhex("b4d0d6c2") + bytes.fromhex("40420f00") + sapling + orchard
    inputs = (TxInput(OutPoint(b"\x05" * 32, 3), b"\x51\x51", 7),) * transparent
    return Transaction(5, inputs, payment(9, 8).outputs * transparent, 12, 0x26A7_270A, trailer)


def test_vectors_of_version_5() -> None:
    shapes = [(0, 0, 0, 1), (1, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (1, 1, 1, 1), (2, 1, 3, 2)]
    produced = []
    for shape in shapes:
        tx = bundled(*shape)
        assert decode_transaction(tx.raw, ChainFamily.ZCASH) == tx
        assert has_shielded_part(tx) == any(shape[:3])
        produced.append({"raw": tx.raw.hex(), "txid": tx.txid.hex()})
    check_vectors("transaction", "zcash_version_5", produced)


def certified() -> Transaction:
    """A certificate with an ordinary output and two backward transfers."""
    head = (
        b"\x0a" * 32 + bytes(12) + b"\x01\xee" + b"\x03\x11\x22\x33" + b"\x01\x01\xaa" + b"\x00" + bytes(16)
    )
    backward = tuple(TxOutput(amount, UNRIPE + bytes([amount]) * 20) for amount in (5, 6))
    return Transaction(-5, payment(1).inputs, payment(4).outputs + backward, sidechain=head, backward=2)


def sidechained() -> Transaction:
    """A sidechain transaction with one part of each kind."""
    withdrawal = bytes(40) + b"\x01\xaa" + bytes(20) + b"\x00\x01\xbb\x00\x00"
    creation = (
        bytes(44) + b"\x00" + b"\x01\x01\xcc" + b"\x01\xdd" + b"\x00" + b"\x01\x08" + b"\x00" + bytes(17)
    )
    request = bytes(32) + b"\x01\x01\xee" + bytes(28)
    parts = b"".join(b"\x01" + part for part in (withdrawal, creation, bytes(92), request))
    return Transaction(-4, payment(1).inputs, payment(4).outputs, 77, sidechain=parts)


def test_backward_transfers_are_nobodys() -> None:
    """They may never become coins, so no script of theirs has an address, whatever the hash is."""
    read = decode_transaction(certified().raw, ChainFamily.ZEN)
    assert [output.amount for output in read.outputs] == [4, 5, 6]
    assert all(script_address(output.script) is None for output in read.outputs[1:])
    for first in range(256):
        script = UNRIPE + bytes([first]) * 20
        assert match_template(script).kind is ScriptKind.NONSTANDARD and script_address(script) is None


def test_vectors_of_sidechains() -> None:
    produced = []
    for name, tx in (("transaction", sidechained()), ("certificate", certified())):
        assert decode_transaction(tx.raw, ChainFamily.ZEN) == tx
        with pytest.raises(UnsupportedChainData):
            SignatureHasher(tx)
        produced.append(
            {
                "name": name,
                "raw": tx.raw.hex(),
                "txid": tx.txid.hex(),
                "outputs": [[o.amount, o.script.hex()] for o in tx.outputs],
                "backward": tx.backward,
                "sidechain": tx.sidechain.hex(),
            }
        )
    check_vectors("transaction", "zen_sidechain", produced)


@pytest.mark.parametrize("mark", [2, 0x80, 0xFF])
def test_an_optional_part_is_there_or_not(mark: int) -> None:
    raw = bytearray(sidechained().raw)
    at = raw.index(b"\x01\x01\xcc")
    raw[at] = mark
    with pytest.raises(InvalidChainData, match="neither there nor missing"):
        decode_transaction(bytes(raw), ChainFamily.ZEN)


def test_vectors() -> None:
    produced = []
    for name, tx in (
        ("one output", payment(4_375_000_000)),
        ("coinbase", coinbase(bytes.fromhex("510101"))),
        (
            "final sequence and lock time",
            dataclasses.replace(payment(1, 0), version=2, lock_time=500_000_000),
        ),
        ("witness", dataclasses.replace(payment(7), version=2, witness=((b"", b"\xaa\xbb"),))),
    ):
        produced.append(
            {
                "name": name,
                "raw": tx.raw.hex(),
                "txid": tx.txid.hex(),
                "displayed": display_hash(tx.txid),
                "version": tx.version,
                "inputs": [
                    [i.previous.txid.hex(), i.previous.index, i.script_sig.hex(), i.sequence]
                    for i in tx.inputs
                ],
                "outputs": [[o.amount, o.script.hex()] for o in tx.outputs],
                "lock_time": tx.lock_time,
                "witness": [[item.hex() for item in stack] for stack in tx.witness],
            }
        )
    check_vectors("transaction", "bitcoin", produced)
