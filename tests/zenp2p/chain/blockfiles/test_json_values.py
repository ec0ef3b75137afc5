"""JSON of nodes: whole, decoded, wrapped, broken, in pieces."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.block import parse_block
from protocol.chain.encoding import display_hash
from protocol.chain.rules import LITECOIN_REGTEST
from tests.support.block_files import chain_of, walk
from tests.support.chain_data import read_json
from tests.support.vectors import load_vectors
from zenp2p.chain.blockfiles.json_values import (
    BROKEN_MAX,
    NO_BLOCK,
    NO_HEX,
    NO_JSON,
    TOO_MANY,
    Broken,
    json_values,
)
from zenp2p.chain.blockfiles.survey import STATED
from zenp2p.chain.blockfiles.tally import WRONG_HASH

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Dribble(io.BytesIO):
    """A file that hands out a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 7) if size is not None and size > 0 else 7)


@given(st.lists(VALUES, max_size=5), st.sampled_from(["list", "lines", "indented"]))
def test_values_are_read_whole_however_they_arrive(values: list[Any], shape: str) -> None:
    if shape == "list":
        text = json.dumps(values)
    else:
        text = "\n".join(json.dumps(value, indent=2 if shape == "indented" else None) for value in values)
        if text.lstrip().startswith("["):
            return  # the first value being a list, its items are taken instead
    for kind in (io.BytesIO, Dribble):
        assert list(json_values(kind(text.encode()))) == values


@given(st.binary(max_size=200))
def test_any_bytes_end(data: bytes) -> None:
    assert len(list(json_values(Dribble(data)))) <= len(data) + 1


def test_amounts_stay_text() -> None:
    assert list(json_values(io.BytesIO(b'[{"value": 41.99999999}, NaN]'))) == [
        {"value": "41.99999999"},
        "NaN",
    ]


def test_a_broken_value_costs_its_line() -> None:
    values = list(json_values(io.BytesIO(b'{"a": 1}\n{"b": tru, "c": 2}\n{"d": 4}\n')))
    assert [value for value in values if not isinstance(value, Broken)] == [{"a": 1}, {"d": 4}]
    assert [value.reason for value in values if isinstance(value, Broken)] == [NO_JSON]


def test_text_that_is_no_json_is_given_up() -> None:
    values = list(json_values(io.BytesIO(b"x\n" * 10_000)))
    assert [value.reason for value in values] == [NO_JSON] * BROKEN_MAX + [TOO_MANY]


def decoded(raw: bytes) -> dict[str, Any]:
    """A block as `getblock` with verbosity 2 shows it."""
    block = parse_block(raw, LITECOIN_REGTEST)
    header = block.header
    return {
        "hash": load_vectors("chain", "witness_block")["hash"],
        "height": 112,
        "version": header.version,
        "merkleroot": display_hash(header.merkle_root),
        "previousblockhash": display_hash(header.previous),
        "time": header.time,
        "bits": f"{header.bits:08x}",
        "nonce": header.nonce,
        "tx": [{"txid": display_hash(tx.txid), "hex": tx.raw.hex()} for tx in block.transactions],
    }


def test_a_decoded_block_with_whole_transactions_is_put_together_again(tmp_path: Path) -> None:
    raw = bytes.fromhex(load_vectors("chain", "witness_block")["raw"])
    found = walk(tmp_path, json.dumps({"result": decoded(raw), "error": None, "id": 1}).encode())
    assert (found["blocks"], found["merkle_ok"], found["unsupported"]) == (1, 1, {})
    assert found["sizes"]["blocks"] == len(raw)


def test_a_hash_that_is_not_that_of_the_bytes_is_told(tmp_path: Path) -> None:
    wrong = {**decoded(bytes.fromhex(load_vectors("chain", "witness_block")["raw"])), "hash": "ab" * 32}
    found = walk(tmp_path, json.dumps(wrong).encode())
    assert (found["blocks"], found["unsupported"]) == (1, {WRONG_HASH: 1})


def test_of_a_decoded_block_links_and_root_are_checked_and_the_rest_told(tmp_path: Path) -> None:
    shown = read_json("horizen/block-with-certificates-expanded.json")
    following = {**shown, "hash": "01" * 32, "previousblockhash": shown["hash"], "merkleroot": "02" * 32}
    found = walk(tmp_path, json.dumps([shown, following]).encode())
    assert (found["blocks"], found["linked"], found["merkle_ok"], found["mismatched"]) == (2, 1, 1, 1)
    assert (found["transactions"], found["certificates"], found["unsupported"]) == (8, 4, {STATED: 2})


def test_backward_transfers_are_nobodys_in_json_too(tmp_path: Path) -> None:
    shown = read_json("horizen/block-with-certificates-expanded.json")
    certificate = read_json("horizen/certificate-with-backward-transfer.json")
    found = walk(tmp_path, json.dumps({**shown, "tx": [], "cert": [certificate]}).encode())
    assert (found["transactions"], found["outputs"], found["addresses"]) == (1, 3, 1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"hex": "xyz"}, NO_HEX),
        ({"tx": ["ab"], "hash": "cd", "merkleroot": ""}, NO_BLOCK),
        ({"tx": "abc", "hash": 5}, NO_BLOCK),
        ({"tx": [{"vout": [None], "txid": "00" * 32}], "hash": "00" * 32, "merkleroot": "00" * 32}, NO_BLOCK),
        ({"tx": [{"hex": 5}], "version": 1}, NO_BLOCK),
        (17, NO_BLOCK),
        ({"result": None, "error": {"code": -5}}, NO_BLOCK),
    ],
)
def test_other_shapes_are_no_block(tmp_path: Path, value: object, reason: str) -> None:
    found = walk(tmp_path, json.dumps([value, {"hex": chain_of(1)[0].hex()}]).encode())
    assert (found["blocks"], found["unsupported"]) == (1, {reason: 1})


@given(st.lists(VALUES, max_size=4))
def test_any_values_make_records(values: list[Any]) -> None:
    from zenp2p.chain.blockfiles.json_values import json_records

    keys = ("hex", "block", "result", "tx", "cert", "hash", "merkleroot")
    shaped = [dict.fromkeys(keys, value) for value in values]
    for record in json_records(io.BytesIO(json.dumps([*values, *shaped]).encode())):
        assert (record.raw is not None) + (record.stated is not None) + bool(record.reason) == 1
