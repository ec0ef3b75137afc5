"""Vectors of the messages with which nodes follow all groups. Format: `spec/node.md`."""

from typing import Any

from protocol.codec import Wire, encode
from protocol.crypto import Signer, sha3_256
from protocol.group.data_block import decode_certified
from protocol.node.messages import (
    Blocks,
    BlocksRequest,
    Forward,
    ListAnswer,
    ListRequest,
    Receipts,
    Status,
    Want,
    pack_plain,
)
from protocol.node.stored_block import pruned
from protocol.tracking.challenge import Challenge
from protocol.tracking.response import build_receipt
from protocol.units import ChallengeSeq, Height
from tests.vectors.group_cases import story
from tests.vectors.registry import vectors

NETWORK = sha3_256(b"a network")
SENDER = sha3_256(b"a sender")


def _shown(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case tuple():
            return [_shown(item) for item in value]
        case Wire():
            return {name: _shown(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            return value


def _receipts() -> tuple[bytes, ...]:
    """Two judges' receipts for one response."""
    challenge = Challenge(ChallengeSeq(7), Height(56), sha3_256(b"anchor"), 1, Height(60), Height(62))
    judges = (Signer(sha3_256(b"a judge")), Signer(sha3_256(b"another")))
    return tuple(build_receipt(judge, NETWORK, challenge, SENDER, b"a response", 56) for judge in judges)


@vectors("node", "messages")
def messages() -> list[dict[str, Any]]:
    """Each message with its fields and the bytes that travel."""
    said: list[Wire] = [
        Status(network=NETWORK, sender=SENDER, heads=sha3_256(b"heads"), blocks=0, pruned=0, lists=0),
        Status(
            network=NETWORK,
            sender=SENDER,
            heads=sha3_256(b"heads"),
            blocks=2**63 - 1,
            pruned=9,
            lists=2**32 - 1,
        ),
        BlocksRequest(network=NETWORK, wants=(Want(prefix="", first=1),)),
        BlocksRequest(
            network=NETWORK,
            wants=(Want(prefix="0", first=2), Want(prefix="10", first=300), Want(prefix="11", first=2**40)),
        ),
        Blocks(network=NETWORK, blocks=(b"one block", b"another")),
        Forward(network=NETWORK, sender=SENDER, certified=b"a certified block"),
        ListRequest(network=NETWORK, period=7),
        ListAnswer(network=NETWORK, file=b"a list file"),
        Receipts(network=NETWORK, seq=7, anchor_hash=sha3_256(b"anchor"), envelopes=_receipts()),
    ]
    return [
        {"kind": type(one).__name__, "fields": _shown(one), "packed": pack_plain(one).hex()} for one in said
    ]


@vectors("node", "pruned")
def pruned_blocks() -> list[dict[str, str]]:
    """The certified blocks of `data_chain/story.json`, and what is kept of them."""
    found = [
        (one["certified"], decode_certified(bytes.fromhex(one["certified"]))) for one in story()["blocks"]
    ]
    return [{"certified": data, "pruned": encode(pruned(certified)).hex()} for data, certified in found]
