"""Blocks of several families, and the files that nodes and people keep them in."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.chain.block import Block, BlockHeader, block_hash, encode_block, merkle_root
from protocol.chain.encoding import display_hash
from protocol.chain.rules import HeaderLayout
from protocol.chain.script import address_script, push_number
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from protocol.crypto import sha256d
from zenp2p.chain.blockfiles.walk import BlockFormat, walk_file

MAGIC = bytes.fromhex("f9beb4d9")
ALICE, BOB = b"\x00" + b"a" * 20, b"\x01" + b"b" * 20


def coinbase(height: int, version: int = 1, trailer: bytes = b"", group: int | None = None) -> Transaction:
    """A coinbase that states its height and pays alice."""
    spent = TxInput(OutPoint(bytes(32), COINBASE_INDEX), push_number(height) + b"\x00")
    return Transaction(version, (spent,), (TxOutput(5, address_script(ALICE)),), 0, group, trailer)


def payment(number: int, version: int = 1, trailer: bytes = b"") -> Transaction:
    """A payment to bob, and one that nobody owns."""
    spent = TxInput(OutPoint(number.to_bytes(32, "big"), 0))
    return Transaction(
        version, (spent,), (TxOutput(3, address_script(BOB)), TxOutput(0, b"\x6a\x01x")), 0, None, trailer
    )


def sealed(
    previous: bytes, transactions: Sequence[Transaction], layout: HeaderLayout = HeaderLayout.BITCOIN
) -> Block:
    """A block with the Merkle root of its transactions, without work."""
    equihash = layout is HeaderLayout.EQUIHASH
    header = BlockHeader(
        layout=layout,
        version=4,
        previous=previous,
        merkle_root=merkle_root([tx.txid for tx in transactions]),
        reserved=bytes(32) if equihash else b"",
        time=1,
        bits=0x1D00_FFFF,
        solution=b"s" * 100 if equihash else b"",
    )
    return Block(header, tuple(transactions))


def chain_of(count: int, layout: HeaderLayout = HeaderLayout.BITCOIN) -> list[bytes]:
    """Raw blocks in a row, from height 1 on, each with a payment."""
    raws: list[bytes] = []
    previous = b"\x77" * 32
    for height in range(1, count + 1):
        block = sealed(previous, (coinbase(height), payment(height)), layout)
        raws.append(encode_block(block))
        previous = block_hash(block.header)
    return raws


def framed(raws: Sequence[bytes], magic: bytes = MAGIC) -> bytes:
    """The blocks as a node keeps them."""
    return b"".join(magic + len(raw).to_bytes(4, "little") + raw for raw in raws)


def masked(data: bytes, key: bytes) -> bytes:
    """The file as newer nodes keep it."""
    return bytes(byte ^ key[at % len(key)] for at, byte in enumerate(data))


def hex_text(raws: Sequence[bytes]) -> bytes:
    """One block in hexadecimal a line."""
    return b"".join(raw.hex().encode() + b"\n" for raw in raws)


def as_json(raws: Sequence[bytes], shape: str) -> bytes:
    """The blocks in one of the shapes of a node's JSON."""
    items: list[Any] = [{"hash": "00" * 32, "hex": raw.hex()} for raw in raws]
    for item, raw in zip(items, raws, strict=True):
        item["hash"] = display_hash(sha_of(raw))
    if shape == "strings":
        return json.dumps([raw.hex() for raw in raws], indent=1).encode()
    if shape == "lines":
        return b"\n".join(json.dumps(item).encode() for item in items)
    if shape == "answers":
        answers = [{"result": item["hex"], "error": None, "id": at} for at, item in enumerate(items)]
        return json.dumps(answers).encode()
    assert shape == "list"
    return json.dumps(items, indent=2).encode()


def sha_of(raw: bytes) -> bytes:
    """The hash of a block with Bitcoin's header."""
    return sha256d(raw[:80])


def walk(
    folder: Path, data: bytes, kind: BlockFormat | None = None, *, packed: bool = False
) -> dict[str, Any]:
    """Write a file, walk it, return the summary; what always holds is asserted."""
    path = folder / "blocks.file"
    path.write_bytes(gzip.compress(data) if packed else data)
    return checked(walk_file(path, kind).summary)


def checked(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the summary after asserting what holds for every file."""
    roots = summary["merkle_ok"] + summary["mismatched"] + summary["merkle_unchecked"]
    assert roots == summary["blocks"] == summary["linked"] + summary["unlinked"]
    assert summary["no_address"] <= summary["transactions"] and summary["addresses"] <= summary["outputs"]
    assert sum(summary["versions"].values()) <= summary["transactions"]
    assert all(count > 0 for count in summary["unsupported"].values())
    json.dumps(summary)
    return summary
