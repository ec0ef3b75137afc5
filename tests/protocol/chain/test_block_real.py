"""Blocks of real chains: linked, with their Merkle roots and work, as their own nodes show them."""

import pytest

from protocol.chain.address import AddressPrefixes, encode_address
from protocol.chain.block import (
    Block,
    block_hash,
    check_merkle_root,
    check_proof_of_work,
    coinbase_height,
    encode_block,
    merkle_root,
    parse_block,
)
from protocol.chain.encoding import display_hash
from protocol.chain.rules import DEVNET, LITECOIN_REGTEST, ZEN_MAINNET, ZEN_TESTNET
from protocol.chain.script import null_data, script_address
from protocol.chain.transaction import encode_transaction, is_coinbase
from protocol.crypto import sha256d
from protocol.errors import InvalidChainData
from tests.protocol.chain.test_block import BITCOIN_GENESIS, ZCASH
from tests.support.chain_data import read_hex_lines, read_json
from tests.support.vectors import load_vectors


def test_bitcoins_first_block() -> None:
    block = parse_block(BITCOIN_GENESIS, DEVNET)
    assert encode_block(Block(block.header, block.transactions)) == BITCOIN_GENESIS
    assert (
        display_hash(block_hash(block.header))
        == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    )
    check_merkle_root(block)
    check_proof_of_work(block.header)
    owner = script_address(block.transactions[0].outputs[0].script)
    assert owner is not None
    bitcoin = AddressPrefixes(p2pkh=b"\x00", p2sh=b"\x05", secret_key=b"\x80")
    assert encode_address(owner, bitcoin) == "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"


def test_a_block_with_witnesses_that_litecoind_made() -> None:
    """Ids and hashes as the node shows them; and the coinbase commits to every witness (BIP 141)."""
    shown = load_vectors("chain", "witness_block")
    block = parse_block(bytes.fromhex(shown["raw"]), LITECOIN_REGTEST)
    assert encode_block(Block(block.header, block.transactions)).hex() == shown["raw"]
    assert display_hash(block_hash(block.header)) == shown["hash"]
    assert [display_hash(tx.txid) for tx in block.transactions] == shown["txids"]
    assert [display_hash(sha256d(encode_transaction(tx))) for tx in block.transactions] == shown[
        "hashes_with_witness"
    ]
    check_merkle_root(block)
    assert coinbase_height(block) == shown["height"]
    coinbase, *rest = block.transactions
    root = merkle_root([bytes(32), *[sha256d(tx.raw) for tx in rest]])
    committed = null_data(bytes.fromhex("aa21a9ed") + sha256d(root + coinbase.witness[0][0]))
    assert committed in [output.script for output in coinbase.outputs]


def test_201_linked_blocks_of_the_zcash_test_net() -> None:
    raws = read_hex_lines("darkside/testnet-canopy_1028400-1028600.txt.gz")
    assert len(raws) == 201
    previous, counts = None, {"transactions": 0, "coinbases": 0, "outputs": 0, "owned": 0}
    owners = set()
    for height, raw in enumerate(raws, start=1_028_400):
        block = parse_block(raw, ZCASH)
        assert encode_block(Block(block.header, block.transactions)) == raw
        check_merkle_root(block)
        check_proof_of_work(block.header)
        assert coinbase_height(block) == height
        assert previous in (None, block.header.previous)
        previous = block_hash(block.header)
        for tx in block.transactions:
            counts["transactions"] += 1
            counts["coinbases"] += is_coinbase(tx)
            for output in tx.outputs:
                owner = script_address(output.script)
                counts["outputs"] += 1
                counts["owned"] += owner is not None
                owners.add(owner)
    assert counts == {"transactions": 237, "coinbases": 201, "outputs": 673, "owned": 673}
    assert len(owners) == 49


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        ("zcash_mainnet_1000", [1, 2]),
        ("zcash_testnet_242100", [3, 3, 3]),
        ("zclassic_mainnet_1001", [1, 1, 1, 2, 2]),
    ],
)
def test_single_real_blocks_as_their_nodes_show_them(name: str, versions: list[int]) -> None:
    shown = read_json(f"electrumx-blocks/{name}.json")
    block = parse_block(bytes.fromhex(shown["block"]), ZCASH)
    check_merkle_root(block)
    check_proof_of_work(block.header)
    assert display_hash(block_hash(block.header)) == shown["hash"]
    assert coinbase_height(block) == shown["height"]
    assert [display_hash(tx.txid) for tx in block.transactions] == shown["tx"]
    assert sorted(tx.version for tx in block.transactions) == versions
    assert display_hash(block.header.previous) == shown["previousblockhash"]
    assert (block.header.time, f"{block.header.bits:08x}") == (shown["time"], shown["bits"])
    assert display_hash(block.header.nonce.to_bytes(32, "little")) == shown["nonce"]
    assert len(block.header.solution) == 1_344
    if name.startswith("zclassic"):  # the only node of the three that shows it
        assert block.header.solution.hex() == shown["solution"]


def test_the_block_before_zen_is_read_as_zens_family_too() -> None:
    """Zen was forked from Zclassic: versions 1 and 2 are laid out alike."""
    raw = bytes.fromhex(read_json("electrumx-blocks/zclassic_mainnet_1001.json")["block"])
    assert parse_block(raw, ZEN_MAINNET) == parse_block(raw, ZCASH)


@pytest.mark.parametrize(
    ("name", "first", "count", "genuine"),
    [
        ("663150", 663_150, 1, 1),
        ("before-reorg", 663_150, 51, 1),
        ("after-small-reorg", 663_195, 56, 0),
        ("after-large-reorg", 663_180, 71, 0),
        ("after-large-large", 663_151, 100, 0),
    ],
)
def test_generated_reorganisations_are_read_but_their_merkle_roots_are_refused(
    name: str, first: int, count: int, genuine: int
) -> None:
    raws = read_hex_lines(f"darkside/basic-reorg_{name}.txt")
    assert len(raws) == count
    matching = 0
    for height, raw in enumerate(raws, start=first):
        block = parse_block(raw, ZCASH)
        assert coinbase_height(block) == height
        assert encode_block(Block(block.header, block.transactions)) == raw
        try:
            check_merkle_root(block)
            check_proof_of_work(block.header)
            matching += 1
        except InvalidChainData:
            assert height != 663_150
    assert matching == genuine


def test_two_branches_fork_where_they_say() -> None:
    def hashes(name: str) -> dict[int, bytes]:
        read = [parse_block(raw, ZCASH) for raw in read_hex_lines(f"darkside/basic-reorg_{name}.txt")]
        return {coinbase_height(block): block_hash(block.header) for block in read}

    before, after = hashes("before-reorg"), hashes("after-large-large")
    same = [height for height in before if before[height] == after.get(height)]
    assert (same[0], same[-1], len(same)) == (663_151, 663_179, 29)


def test_a_zen_block_with_a_sidechain_transaction_and_certificates() -> None:
    (raw,) = read_hex_lines("horizen/block_with_v0_and_v1_certificates.hex")
    block = parse_block(raw, ZEN_TESTNET)
    assert encode_block(Block(block.header, block.transactions, block.certificates)) == raw
    assert [encode_transaction(tx) for tx in block.entries] == [tx.raw for tx in block.entries]
    assert [tx.version for tx in block.entries] == [1, -4, -5, -5]
    check_merkle_root(block)
    assert coinbase_height(block) == 461
    with pytest.raises(InvalidChainData):
        check_merkle_root(Block(block.header, block.transactions))
