"""Vectors of announcements: payloads, transactions that carry them, what counts, records of the index.

Formats: `spec/announcement.md`, `spec/index.md`.
"""

from typing import Any

from protocol.chain.block import block_hash
from protocol.chain.script import null_data, replay_tail
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import MalformedMessage
from protocol.parameters import DEVNET
from protocol.tracking.announced import counting_claims
from protocol.tracking.announcement import (
    announcement_ties,
    build_announcing,
    decode_announcement,
    encode_announcement,
    recognise_announcement,
)
from protocol.units import COIN
from tests.support import embedded_chain as made
from tests.support.announcing import announce, purses
from tests.support.operators import operator
from tests.vectors.registry import vectors
from zenp2p.chain.announcement_records import OPERATOR_KEY, SIGHTING_KEY, STAKE_KEY
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

IPV4 = encode_announcement(announce(1, ip=b"\x08\x08\x08\x08"))
HEAD = IPV4[:-4]


@vectors("announcement", "payloads")
def payloads() -> list[dict[str, Any]]:
    cases = {
        "IPv4": IPV4,
        "IPv6": encode_announcement(announce(1, ip=bytes.fromhex("2a0104f8000000000000000000000001"))),
        "host": encode_announcement(announce(1, fqdn="node1.example.org")),
        "host of 4 characters": encode_announcement(announce(1, fqdn="a.io")),
        "host of 16 characters": encode_announcement(announce(1, fqdn="node.example.org")),
        "host of 41 characters": encode_announcement(announce(1, fqdn="a" * 37 + ".org")),
        "a host of 16 characters without the final dot is an address": HEAD + b"node.example.org",
        "a final dot too many": HEAD + b"node1.example.org.",
        "host of 42 characters": HEAD + b"a" * 38 + b".org",
        "host in upper case": HEAD + b"Node1.example.org",
        "host of one label": HEAD + b"localhost",
        "v4-mapped": HEAD + bytes(10) + b"\xff\xff\x08\x08\x08\x08",
        "a byte behind it": IPV4 + b"\x00",
        "no address": HEAD,
        "port 0": HEAD[:-2] + bytes(2) + IPV4[-4:],
        "a key of small order": HEAD[:5] + b"\x01" + bytes(31) + IPV4[37:],
        "a key that is no point": HEAD[:5] + b"\x02" + bytes(31) + IPV4[37:],
        "type 2": IPV4[:4] + b"\x02" + IPV4[5:],
    }
    return [{"name": name, "payload": data.hex(), **_outcome(data)} for name, data in cases.items()]


def _outcome(payload: bytes) -> dict[str, Any]:
    try:
        read = decode_announcement(payload)
    except MalformedMessage:
        return {"announcement": None}
    fields = {"operator_key": read.operator_key.hex(), "port": read.port}
    return {"announcement": {**fields, "ip": read.ip.hex(), "fqdn": read.fqdn}}


@vectors("announcement", "transactions")
def transactions() -> list[dict[str, Any]]:
    coin, announcement = OutPoint(b"c" * 32, 1), announce(1)
    stake = operator(1).stake_address
    built = build_announcing(announcement, stake, coin, COIN)
    tail = replay_tail(b"b" * 32, 300)
    data = TxOutput(0, null_data(encode_announcement(announcement)))
    _, owners = purses("bob")
    signed = owners["bob"].announce(announcement, "carol")
    cases: dict[str, tuple[Transaction, list[bytes | None]]] = {
        "unsigned": (built, [stake]),
        "unsigned, with replay tails": (
            build_announcing(announcement, stake, coin, COIN, tail=tail),
            [stake],
        ),
        "signed by bob, pays carol": (signed, [made.address_of("bob")]),
        "signed by bob, whose coin is not known": (signed, [None]),
        "two data outputs": (Transaction(1, (TxInput(coin),), (data, data)), [stake]),
    }
    return [
        {"name": name, "transaction": tx.raw.hex(), **_tied(tx, spent)} for name, (tx, spent) in cases.items()
    ]


def _tied(tx: Transaction, spent: list[bytes | None]) -> dict[str, Any]:
    ties = announcement_ties(tx, spent)
    return {
        "spent": [address and address.hex() for address in spent],
        "announces": recognise_announcement(tx) is not None,
        "signed": [address.hex() for address in ties.signed],
        "paid": [address.hex() for address in ties.paid],
    }


@vectors("index", "announcements")
def records() -> dict[str, Any]:
    """Three blocks: bob signs, dave pays bob's address twice, bob signs again; carol is paid."""
    branch, owners = purses("bob", "dave")
    branch.grow(1, [owners["bob"].announce(announce(1)), owners["dave"].announce(announce(2), "bob")])
    branch.grow(
        1, [owners["bob"].announce(announce(1, port=9_034)), owners["dave"].announce(announce(3), "bob")]
    )
    branch.grow(1, [owners["dave"].announce(announce(3, fqdn="node.example.org"), "carol")])
    store = MemoryStore()
    index = ChainIndex(store, made.RULES)
    for block in branch.blocks:
        index.connect(block_hash(block.header), block.raw)
    kept = {
        key.hex(): value.hex()
        for prefix in (SIGHTING_KEY, STAKE_KEY, OPERATOR_KEY)
        for key, value in store.iterate(prefix)
    }
    counting = counting_claims(index.announcements.page(), DEVNET)
    return {
        "blocks": [
            {"hash": block_hash(block.header).hex(), "raw": block.raw.hex()} for block in branch.blocks
        ],
        "records": kept,
        "counting": {stake.hex(): claim.sighting.ordinal for stake, claim in counting.items()},
    }
