"""Deriving a challenge from a file: against a second implementation, written from the spec page alone."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.chain.block import Block, block_hash, parse_block
from protocol.chain.script import script_address
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidChainData, RequestError
from tests.support import embedded_chain as made
from tests.support.chain_data import chain_data_path, read_hex_lines
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.known_chains import ZCASH_TESTNET
from zenp2p.chain.offline import derive_from_file, describe

CANOPY = "darkside/testnet-canopy_1028400-1028600.txt.gz"
FIRST = 1_028_400
KEY = hashlib.sha256(b"operator").digest()


def naive(
    blocks: list[Block], anchor: int, seq: int, key: bytes
) -> tuple[list[tuple[int, bytes, bytes]], bytes]:
    """Return the samples (ordinal, id, address) and the answer, as plainly as can be."""
    raws = [tx for block in blocks[: anchor + 1] for tx in block.transactions]
    anchor_hash = block_hash(blocks[anchor].header)
    words: list[int] = []
    number = 0
    while len(words) < 4:
        message = number.to_bytes(8, "big")
        block = hashlib.blake2b(
            message, digest_size=64, key=anchor_hash + key, person=b"zenp2p-samples"
        ).digest()
        number += 1
        for at in range(0, 64, 8):
            word = int.from_bytes(block[at : at + 8], "big")
            if word < 2**64 - 2**64 % len(raws):
                words.append(word % len(raws))
    samples = []
    message = seq.to_bytes(8, "big")
    for ordinal in words[:4]:
        while not any(script_address(output.script) for output in raws[ordinal].outputs):
            ordinal = (ordinal + 1) % len(raws)
        tx = raws[ordinal]
        address = next(found for output in tx.outputs if (found := script_address(output.script)))
        samples.append((ordinal, bytes(tx.txid), address))
        message += b"\x15" + address + len(tx.raw).to_bytes(4, "big") + tx.raw
    return samples, hashlib.blake2b(message, digest_size=12, key=key, person=b"zenp2p-answer").digest()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anchor=st.integers(0, 200), seq=st.integers(0, 2**63 - 1), key=st.binary(min_size=32, max_size=32))
def test_real_blocks_against_a_second_implementation(anchor: int, seq: int, key: bytes) -> None:
    blocks = [parse_block(raw, ZCASH_TESTNET) for raw in read_hex_lines(CANOPY)]
    derived = derive_from_file(
        chain_data_path(CANOPY), anchor_height=FIRST + anchor, seq=seq, operator_key=key
    )
    samples, answer = naive(blocks, anchor, seq, key)
    assert derived.challenge.transactions == sum(len(block.transactions) for block in blocks[: anchor + 1])
    assert [(one.ordinal, one.txid, one.address) for one in derived.samples] == samples
    assert derived.answer == answer


def test_blocks_above_the_anchor_do_not_matter(tmp_path: Path) -> None:
    lines = [raw.hex() for raw in read_hex_lines(CANOPY)]
    path = tmp_path / "blocks.txt"
    path.write_text("\n".join(lines[:101]))
    short = derive_from_file(path, anchor_height=FIRST + 100, seq=3, operator_key=KEY)
    whole = derive_from_file(chain_data_path(CANOPY), anchor_height=FIRST + 100, seq=3, operator_key=KEY)
    assert (short.samples, short.answer) == (whole.samples, whole.answer)


def test_other_heights_move_the_anchor_and_nothing_else() -> None:
    path = chain_data_path(CANOPY)
    named = derive_from_file(path, anchor_height=150, seq=3, operator_key=KEY, first_height=50)
    stated = derive_from_file(path, anchor_height=FIRST + 100, seq=3, operator_key=KEY)
    assert named.first_height == 50
    assert (named.samples, named.answer) == (stated.samples, stated.answer)


def test_an_anchor_outside_of_the_file_is_the_users_mistake() -> None:
    for anchor in (FIRST - 1, FIRST + 201):
        with pytest.raises(RequestError, match="holds heights 1028400 to 1028600"):
            derive_from_file(chain_data_path(CANOPY), anchor_height=anchor, seq=1, operator_key=KEY)


def test_faults_above_the_anchor_are_not_told() -> None:
    path = chain_data_path("darkside/basic-reorg_before-reorg.txt")
    at_real = derive_from_file(path, anchor_height=663_150, seq=1, operator_key=KEY)
    above = derive_from_file(path, anchor_height=663_152, seq=1, operator_key=KEY)
    assert (at_real.unlinked, at_real.mismatched) == ((), ())
    assert (above.unlinked, above.mismatched) == ((663_151,), (663_151, 663_152))


def test_a_file_without_any_address_has_samples_without_one(tmp_path: Path) -> None:
    """Nobody can keep a challenge from being derived by paying for transactions without addresses."""
    definition = made.definition()
    start = replace_fields(definition.start, allocations=())
    bare = ChainDefinition(definition.rules, start, definition.treasury)
    path = tmp_path / "blocks.txt"
    path.write_text(bare.genesis.raw.hex())
    derived = derive_from_file(path, anchor_height=0, seq=1, operator_key=KEY)
    shown = describe(derived, KEY)
    assert shown["samples"][0]["address"] is None and len(derived.answer) == 12


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "blocks.txt"
    path.write_text("not hex")
    with pytest.raises(InvalidChainData, match="line 1"):
        derive_from_file(path, anchor_height=0, seq=1, operator_key=KEY)
