"""The list file: one certified payout list with everything that its verification takes.

Answers for: the one canonical file that nodes hand each other, wallets verify and
paymasters pay from: header, entries, the members whose voters sign the next list, and
the certificate. That its parts belong together is checked by `light`.
Spec: `spec/wallet.md`.
"""

from collections.abc import Sequence
from typing import Annotated

from protocol.codec import Bytes32, Decoder, Meta, Wire, encode
from protocol.errors import MalformedMessage
from protocol.group.membership import Member
from protocol.payout.list_certificate import ListCertificate
from protocol.payout.list_header import ENTRIES_MAX, Entry, ListHeader

LIST_FILE_SIZE_MAX = 1 << 23
"""Bytes of the largest list file: 100,000 entries, 10,000 members and 8,192 signatures take 6 MB."""
LIST_MEMBERS_MAX = 10_000
HEADER_START = b"\xdc\x00\x14\xa4list\xc4\x20"
"""What stands before the network in every header: an array of twenty, the tag, the start of 32 bytes."""
START_SIZE = 256
"""Bytes at the start of a list or address file within which the period is told."""
SMALL_NUMBER_MAX = 0x7F
"""The largest MessagePack number that is one byte."""
_NUMBER_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4}
"""First byte of a larger one -> bytes of the number behind it."""


class ListFile(Wire, tag="list-file"):
    """A certified list: `network` is the hash of the genesis file, as in the header."""

    network: Bytes32
    header: ListHeader
    entries: Annotated[tuple[Entry, ...], Meta(max_length=ENTRIES_MAX)]
    members: Annotated[tuple[Member, ...], Meta(max_length=LIST_MEMBERS_MAX)]
    certificate: ListCertificate


_decode: Decoder[ListFile] = Decoder(ListFile, LIST_FILE_SIZE_MAX)


def encode_list_file(
    header: ListHeader, entries: Sequence[Entry], members: Sequence[Member], certificate: ListCertificate
) -> bytes:
    """Return the bytes of a certified list's file."""
    return encode(
        ListFile(
            network=header.network,
            header=header,
            entries=tuple(entries),
            members=tuple(members),
            certificate=certificate,
        )
    )


def period_of(file_start: bytes, network: bytes) -> int | None:
    """Return of which period a list or address file says it is, None when it is no such file of the network.

    Nothing is verified, and the first `START_SIZE` bytes suffice.
    """
    _, found, rest = file_start[:START_SIZE].partition(HEADER_START + network)
    if not found or not rest:
        return None
    if rest[0] <= SMALL_NUMBER_MAX:
        return rest[0]
    width = _NUMBER_WIDTHS.get(rest[0])
    return int.from_bytes(rest[1 : 1 + width], "big") if width else None


def decode_list_file(data: bytes) -> ListFile:
    """Return what a list file holds, nothing of it verified; raises `MalformedMessage`."""
    try:
        return _decode(data)
    except MalformedMessage as error:
        raise MalformedMessage(f"not a list file: {error}") from None
