"""Where the node machine keeps what it must not forget: key families and the reader.

Keys sort by family, then by number, so that one prefix scan restores one machine.
What is written is always the input as it came (an envelope, a certified block, a list
file), never a digest of state: replaying the records rebuilds the state.
Spec: `spec/node.md`.
"""

from collections.abc import Iterator
from typing import Protocol

from protocol.codec import U32, U64, Bytes32, Text, Wire, decode, encode
from protocol.crypto import sha3_256
from protocol.group.vote import Phase, Slot

BLOCK = b"d/"
"""Certified data blocks of all groups, by the order in which they were applied."""
LIST = b"l/"
"""List files by period."""
LIST_STATE = b"m/"
"""What the last certified list leaves for the next one."""
PROOF = b"e/"
"""Equivocation proofs that wait for their block, by hash."""
REGISTRATION = b"r/"
"""Registrations that wait for a block, by hash of the entry."""
BALLOT = b"b/"
"""Consensus envelopes of heights that are not decided yet, by electorate, height and hash."""
RESPONSE = b"p/"
"""Responses of challenges that are not judged yet, by challenge and hash."""
OBSERVATION = b"o/"
"""Observations of challenges that are not judged yet, by challenge and judge."""
SIGHTING = b"s/"
"""Outcomes of our own dial-backs, by challenge and operator."""
VOID = b"v/"
"""Challenges whose window had closed before their anchors joined the chain."""
RECEIPT = b"q/"
"""Receipts for our own responses, by challenge and judge."""


class Records(Protocol):
    """The persisted records, read synchronously."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the (key, value) pairs under `prefix` in key order."""


class SlotRecord(Wire, tag="slot"):
    """A slot as the vote file keeps it."""

    network: Bytes32
    electorate: Text
    height: U64
    round: U32
    phase: Phase


def encode_slot(slot: Slot) -> bytes:
    """Return the vote file's form of a slot."""
    return encode(
        SlotRecord(
            network=slot.network,
            electorate=slot.electorate,
            height=slot.height,
            round=slot.round,
            phase=slot.phase,
        )
    )


def decode_slot(data: bytes) -> Slot:
    """Return the slot of a vote file's record; raises `MalformedMessage`."""
    record = decode(data, SlotRecord)
    return Slot(record.network, record.electorate, record.height, record.round, record.phase)


def block_key(order: int) -> bytes:
    """Key of the certified data block that was applied as number `order`, from 0 on."""
    return BLOCK + order.to_bytes(8, "big")


def block_order(key: bytes) -> int:
    """Return the number in the key of a certified data block."""
    return int.from_bytes(key[len(BLOCK) :], "big")


def list_key(period: int) -> bytes:
    """Key of the list file of `period`."""
    return LIST + period.to_bytes(4, "big")


def registration_key(entry: bytes) -> bytes:
    """Key of a waiting registration or deregistration."""
    return REGISTRATION + sha3_256(entry)


def ballot_prefix(electorate: str, height: int) -> bytes:
    """Prefix of the consensus envelopes of one undecided height."""
    return BALLOT + electorate.encode() + b"/" + height.to_bytes(8, "big")


def challenge_prefix(family: bytes, seq: int, anchor_hash: bytes) -> bytes:
    """Prefix of what `family` holds of one challenge; 4 + 32 bytes after the family."""
    return family + seq.to_bytes(4, "big") + anchor_hash


def split_challenge_key(family: bytes, key: bytes) -> tuple[int, bytes, bytes]:
    """Return (seq, anchor hash, rest) of a key under `family`."""
    body = key[len(family) :]
    return int.from_bytes(body[:4], "big"), body[4:36], body[36:]
