"""Telling chains apart by reading every block to its last byte."""

import pytest

from protocol.chain import rules
from protocol.chain.block import block_hash, encode_block
from protocol.errors import InvalidChainData
from tests.support import embedded_chain as made
from tests.support.chain_data import read_hex_lines, read_json, read_text
from zenp2p.chain.known_chains import KNOWN_CHAINS, ZCASH, ZCASH_TESTNET, recognise_chain


def test_real_blocks_are_recognised() -> None:
    assert recognise_chain(read_hex_lines("darkside/testnet-canopy_1028400-1028600.txt.gz")) == ZCASH_TESTNET
    assert recognise_chain(read_hex_lines("darkside/basic-reorg_663150.txt")) == ZCASH
    assert (
        recognise_chain([bytes.fromhex(read_json("electrumx-blocks/zcash_mainnet_1000.json")["block"])])
        == ZCASH
    )


def test_made_up_blocks_without_a_target_are_of_the_main_net() -> None:
    assert recognise_chain(read_hex_lines("darkside/basic-reorg_after-small-reorg.txt")) == ZCASH


def test_our_own_blocks_are_recognised() -> None:
    branch = made.Branch(made.definition())
    branch.grow(2)
    raws = [encode_block(block) for block in branch.blocks]
    assert recognise_chain(raws) == rules.DEVNET
    assert [block_hash(block.header) for block in branch.blocks]


def test_what_nobody_can_read_is_refused_with_what_stopped_it() -> None:
    good = read_hex_lines("darkside/testnet-canopy_1028400-1028600.txt.gz")[:2]
    with pytest.raises(InvalidChainData, match="block 3 of the file is of no known chain"):
        recognise_chain([*good, good[1][:-1]])
    with pytest.raises(InvalidChainData, match="block 1 of the file"):
        recognise_chain([good[0][:-1]])


def test_a_block_with_certificates_is_of_zens_test_net() -> None:
    certificates = bytes.fromhex(read_text("horizen/block_with_v0_and_v1_certificates.hex").strip())
    assert recognise_chain([certificates]) == rules.ZEN_TESTNET


def test_names_are_unique() -> None:
    assert list(KNOWN_CHAINS) == ["zen", "zen-testnet", "zcash", "zcash-testnet", "devnet"]
