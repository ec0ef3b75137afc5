"""What a wallet needs to verify payout lists with files only, and nothing else.

Answers for: a file that passes is of a list that was certified by the electorate which the trust
point names, every signature in it is valid, and everything in the file is what was certified. That the
entries are what the network's verdicts give cannot be seen from files: that is what the voters
vouch for, each having computed the list. Spec: `spec/wallet.md`.

A wallet holds a trust point: before its first list the network's genesis file, then the last list
that it verified. Each list commits to the voters who sign the next one, so lists are verified one by one,
each against the one before, and a wallet never goes back behind its trust point, since
the keys of old voters can be bought. Two kinds of file carry a list: the list file with all entries and
members (`verify_list`), and the address file, half as large, with what some addresses
get (`verify_address`); either moves the trust point on. Nothing here reads or writes a disk:

    trust = trust_from_file(genesis_or_trust_bytes)
    for file_bytes in the_lists_since:                 # oldest first
        verified = verify_file(file_bytes, trust)      # raises a ProtocolError: one sentence, what is wrong
        trust = trust_from_list(verified)
    line = verified.line_of("zn…")                     # None: the list gives it nothing
    keep(encode_trust(trust))                          # what the wallet begins with next time

Every function is pure, amounts are integers of zatoshi (1e-8 coin), hashes are bytes in computed order. What
is wrong with a file is a `ProtocolError`, what the wallet's own user did wrong a `RequestError`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.chain.address import decode_address, encode_address
from protocol.codec import encode
from protocol.errors import InvalidBlock, RequestError, WrongNetwork
from protocol.genesis import Genesis
from protocol.group.certificate import Certificate, check_certificate
from protocol.group.membership import Member
from protocol.group.quorum import Electorate
from protocol.payout.address_file import (
    LINES_MAX,
    AddressFile,
    Line,
    check_lines,
    decode_address_file,
    find_line,
    is_address_file,
    number_lines,
    prove_lines,
    shown_line,
)
from protocol.payout.list_certificate import (
    ListCertificate,
    compact_certificate,
    expand_certificate,
    least_certificate,
)
from protocol.payout.list_file import ListFile, decode_list_file
from protocol.payout.list_header import (
    Entry,
    ListHeader,
    check_entries,
    check_header,
    check_members,
    check_voters,
    list_hash,
)
from protocol.payout.trust import TRUST_FILE_SIZE_MAX as TRUST_FILE_SIZE_MAX
from protocol.payout.trust import TrustPoint as TrustPoint
from protocol.payout.trust import encode_trust as encode_trust
from protocol.payout.trust import later_trust as later_trust
from protocol.payout.trust import trust_after
from protocol.payout.trust import trust_from_file as trust_from_file
from protocol.payout.trust import trust_from_genesis as trust_from_genesis
from protocol.units import Hash32


@dataclass(frozen=True, slots=True)
class VerifiedList:
    """A whole list that passed: only `verify_list` makes one. `trust` is what it was verified against."""

    header: ListHeader
    list_hash: Hash32
    entries: tuple[Entry, ...]
    """All that the list pays, by address."""
    members: tuple[Member, ...]
    """Of all groups, by operator key."""
    voters: Electorate
    """Who signs the next list."""
    certificate: Certificate
    trust: TrustPoint

    @property
    def genesis(self) -> Genesis:
        """The genesis file of the list's network."""
        return self.trust.genesis

    @property
    def lines(self) -> tuple[Line, ...]:
        """The entries with their numbers."""
        return number_lines(self.entries)

    def line_of(self, address: str) -> Line | None:
        """Return what an address (as the network writes it) gets, or None; raises `RequestError`."""
        return find_line(self.entries, parse_address(address, self.genesis))

    def address_text(self, entry: Entry) -> str:
        """Return an entry's address as the network writes it."""
        return encode_address(entry.address, self.genesis.chain.prefixes)


@dataclass(frozen=True, slots=True)
class VerifiedAddress:
    """A list that passed, with some of its lines: only `verify_address` makes one."""

    header: ListHeader
    list_hash: Hash32
    lines: tuple[Line, ...]
    """Those that the file shows, by number."""
    voters: Electorate
    """Who signs the next list."""
    certificate: Certificate
    trust: TrustPoint

    @property
    def genesis(self) -> Genesis:
        """The genesis file of the list's network."""
        return self.trust.genesis

    def line_of(self, address: str) -> Line | None:
        """Return what an address gets, or None; raises `RequestError` also when the file does not show it."""
        return _shown(self.lines, self.header, address, self.genesis)


@dataclass(frozen=True, slots=True)
class KnownList:
    """The last list that a wallet verified, from whatever file it came: only `verify_again` makes one."""

    header: ListHeader
    list_hash: Hash32
    lines: tuple[Line, ...]
    """Those that the file shows, by number."""
    genesis: Genesis

    def line_of(self, address: str) -> Line | None:
        """Return what an address gets, or None; raises `RequestError` also when the file does not show it."""
        return _shown(self.lines, self.header, address, self.genesis)


Verified = VerifiedList | VerifiedAddress


def verify_list(file_bytes: bytes, trust: TrustPoint) -> VerifiedList:
    """Return the list that a list file holds, everything in it verified.

    Raises a `ProtocolError` whose text says in one sentence what is wrong.
    """
    file = decode_list_file(file_bytes)
    _check_place(file, trust)
    check_entries(file.header, file.entries)
    voters = check_members(file.header, file.members)
    return VerifiedList(
        header=file.header,
        list_hash=list_hash(file.header),
        entries=file.entries,
        members=file.members,
        voters=voters,
        certificate=_check_certificate(file.header, file.certificate, trust),
        trust=trust,
    )


def verify_address(file_bytes: bytes, trust: TrustPoint) -> VerifiedAddress:
    """Return what an address file holds, everything in it verified.

    It shows that its lines were certified; that the others are sorted with them and add up is what the
    voters vouch for. Raises a `ProtocolError` whose text says in one sentence what is wrong.
    """
    file = decode_address_file(file_bytes)
    _check_place(file, trust)
    lines = check_lines(file)
    voters = _check_voters(file)
    return VerifiedAddress(
        header=file.header,
        list_hash=list_hash(file.header),
        lines=lines,
        voters=voters,
        certificate=_check_certificate(file.header, file.certificate, trust),
        trust=trust,
    )


def verify_file(file_bytes: bytes, trust: TrustPoint) -> Verified:
    """Return the next list from a file of either kind, everything in it verified.

    Raises a `ProtocolError` whose text says in one sentence what is wrong.
    """
    if is_address_file(file_bytes):
        return verify_address(file_bytes, trust)
    return verify_list(file_bytes, trust)


def verify_again(file_bytes: bytes, trust: TrustPoint) -> KnownList:
    """Return the last verified list from a file of it: the same header, and everything else under it.

    Who signed it is not asked again: a trust point names only the voters of the next list. Raises a
    `ProtocolError`, also when it is any other list.
    """
    decode = decode_address_file if is_address_file(file_bytes) else decode_list_file
    file: ListFile | AddressFile = decode(file_bytes)
    if file.header != trust.last or file.network != file.header.network:
        raise InvalidBlock(
            f"the file is not of the list that was verified last, {trust.terms.previous.hex()}"
        )
    if isinstance(file, AddressFile):
        lines = check_lines(file)
        _check_voters(file)
    else:
        check_entries(file.header, file.entries)
        check_members(file.header, file.members)
        lines = number_lines(file.entries)
    return KnownList(file.header, list_hash(file.header), lines, trust.genesis)


def trust_from_list(verified: Verified) -> TrustPoint:
    """Return the trust point after a verified list."""
    return trust_after(verified.trust, verified.header, verified.voters)


def verify_lists(files: Iterable[bytes], trust: TrustPoint) -> tuple[Verified, ...]:
    """Return consecutive lists, oldest first, each verified against the one before.

    Raises the `ProtocolError` of the first that does not pass.
    """
    passed: list[Verified] = []
    for file_bytes in files:
        passed.append(verify_file(file_bytes, trust))
        trust = trust_from_list(passed[-1])
    return tuple(passed)


def prove_address(verified: VerifiedList, *addresses: str) -> bytes:
    """Return the address file of some addresses, each of which need not have a line; raises `RequestError`.

    It holds no more signatures than a quorum needs, the eldest voters' first.
    """
    wanted = [parse_address(address, verified.genesis) for address in addresses]
    lines = prove_lines(verified.entries, wanted)
    if len(lines) > LINES_MAX:
        raise RequestError(f"{len(lines)} lines, at most {LINES_MAX} go into one address file")
    electorate = verified.trust.electorate
    return encode(
        AddressFile(
            network=verified.header.network,
            header=verified.header,
            lines=lines,
            voters=verified.voters.voters,
            certificate=compact_certificate(least_certificate(verified.certificate, electorate), electorate),
        )
    )


def parse_address(address: str, genesis: Genesis) -> bytes:
    """Return the 21 bytes of an address as a network writes it; raises `RequestError`."""
    return decode_address(address, genesis.chain.prefixes)


def _shown(lines: Sequence[Line], header: ListHeader, address: str, genesis: Genesis) -> Line | None:
    """Return an address's line, None when it has none; raises `RequestError` when the lines show neither."""
    try:
        return shown_line(lines, header.entries_count, parse_address(address, genesis))
    except LookupError:
        raise RequestError(f"the file does not show what {address} gets: it was made for another") from None


def _check_place(file: ListFile | AddressFile, trust: TrustPoint) -> None:
    """Raise `WrongNetwork` or `InvalidBlock` unless the list is the trust point's next, and its sums hold."""
    if file.network != file.header.network:
        raise WrongNetwork("the file and its list name different networks")
    check_header(file.header, trust.terms)


def _check_voters(file: AddressFile) -> Electorate:
    """Return the voters of the next list; raises `InvalidBlock` unless the header commits to them."""
    try:
        voters = Electorate(file.voters)
    except ValueError as error:
        raise InvalidBlock(f"the voters for the next list: {error}") from None
    check_voters(file.header, voters)
    return voters


def _check_certificate(header: ListHeader, compact: ListCertificate, trust: TrustPoint) -> Certificate:
    """Return the certificate with its signers; raises `InvalidCertificate` unless a quorum made it."""
    certificate = expand_certificate(compact, trust.electorate, header.period, list_hash(header))
    check_certificate(certificate, header.network, trust.electorate)
    return certificate
