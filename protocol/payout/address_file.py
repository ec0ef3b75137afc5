"""The address file: a certified list with no more of its lines than show what an address gets.

Answers for: the canonical file, half as large as the list file, by which a wallet learns what its
address gets (or that it gets nothing) and can follow to the next list: header, certificate and the
next list's voters are all there. That the header is certified is `light`'s to check.
Spec: `spec/wallet.md`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.codec import U32, Bytes32, Decoder, Meta, Wire, encode
from protocol.errors import InvalidProof, MalformedMessage
from protocol.group.quorum import Voter
from protocol.merkle import merkle_proof, verify_merkle_proof
from protocol.payout.list_certificate import ListCertificate
from protocol.payout.list_file import LIST_MEMBERS_MAX
from protocol.payout.list_header import Entry, ListHeader, check_entry, entry_leaves

PROOF_DEPTH_MAX = 32
"""Hashes of the longest Merkle proof."""
LINES_MAX = 200
"""Lines of one file; an address takes its own, or the two next to its place to show that it has none."""
ADDRESS_FILE_START = b"\x96\xacaddress-file"
"""What an address file begins with: an array of six, the first of them the tag."""
ADDRESS_FILE_SIZE_MAX = 1 << 21
"""Bytes of the largest address file: 16,384 blocks, 10,000 voters and 8,192 signatures take 1.6 MB."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry and its number in the list, from 0."""

    index: int
    entry: Entry


class ProvenLine(Wire):
    """A line of a list with its Merkle proof."""

    index: U32
    entry: Entry
    proof: Annotated[tuple[Bytes32, ...], Meta(max_length=PROOF_DEPTH_MAX)]
    """Siblings on the way to the entries' root, lowest first."""


class AddressFile(Wire, tag="address-file"):
    """A certified list as far as it concerns some addresses."""

    network: Bytes32
    header: ListHeader
    lines: Annotated[tuple[ProvenLine, ...], Meta(max_length=LINES_MAX)]
    """By number: of each address its line; or, when it has none, those next to where it would stand."""
    voters: Annotated[tuple[Voter, ...], Meta(max_length=LIST_MEMBERS_MAX)]
    """Who signs the next list, by key."""
    certificate: ListCertificate


_decode: Decoder[AddressFile] = Decoder(AddressFile, ADDRESS_FILE_SIZE_MAX)


def is_address_file(data: bytes) -> bool:
    """Whether bytes begin as an address file does."""
    return data.startswith(ADDRESS_FILE_START)


def decode_address_file(data: bytes) -> AddressFile:
    """Return what an address file holds, nothing of it verified; raises `MalformedMessage`."""
    try:
        return _decode(data)
    except MalformedMessage as error:
        raise MalformedMessage(f"not an address file: {error}") from None


def number_lines(entries: Sequence[Entry]) -> tuple[Line, ...]:
    """Return all entries of a list with their numbers."""
    return tuple(Line(index, entry) for index, entry in enumerate(entries))


def find_line(entries: Sequence[Entry], address: bytes) -> Line | None:
    """Return an address's line among all entries of a list, None when it has none."""
    return next((line for line in number_lines(entries) if line.entry.address == address), None)


def prove_lines(entries: Sequence[Entry], addresses: Iterable[bytes]) -> tuple[ProvenLine, ...]:
    """Return the lines that show what each address gets, of all entries of a list, by number."""
    wanted: dict[int, None] = {}
    for address in addresses:
        own = find_line(entries, address)
        place = sum(entry.address < address for entry in entries)
        wanted |= dict.fromkeys([own.index] if own else [place - 1, place])
    leaves = entry_leaves(entries)
    return tuple(
        ProvenLine(index=index, entry=entries[index], proof=merkle_proof(leaves, index))
        for index in sorted(wanted)
        if 0 <= index < len(entries)
    )


def check_lines(file: AddressFile) -> tuple[Line, ...]:
    """Return the lines that a file holds, all of them proven to be the header's, by number.

    Raises `InvalidBlock` or `InvalidProof`. That the list's other lines are sorted like these and add up is
    what the voters vouch for.
    """
    for before, after in zip(file.lines, file.lines[1:], strict=False):
        if before.index >= after.index or before.entry.address >= after.entry.address:
            raise InvalidProof("the lines are not sorted by number and address, each once")
    for line in file.lines:
        check_entry(file.header, line.entry)
        verify_merkle_proof(
            encode(line.entry), line.index, file.header.entries_count, line.proof, file.header.entries_root
        )
    return tuple(Line(line.index, line.entry) for line in file.lines)


def shown_line(lines: Sequence[Line], count: int, address: bytes) -> Line | None:
    """Return an address's line among some of a list's `count` lines, None when they show that it has none.

    They do when the two next to its place are there, of which at the ends of a list there is but one.
    Raises `LookupError` when they show neither.
    """
    own = next((line for line in lines if line.entry.address == address), None)
    below = [line.index for line in lines if line.entry.address < address]
    above = [line.index for line in lines if line.entry.address > address]
    place = below[-1] + 1 if below else 0
    if own is None and place != (above[0] if above else count):
        raise LookupError("the lines next to the address's place are not shown")
    return own
