"""What a wallet needs to verify payout lists with files only, and nothing else.

Answers for: a list that passes was certified by the electorate that the trust point
names, every signature in it is valid, and everything in the file is what was
certified. Trust begins with the genesis file and moves on from list to list: each
commits to the members whose voters sign the next one. A wallet never goes back behind
its trust point, since the keys of old members can be bought. That the entries are what
the network's verdicts give cannot be seen from files; that is what the voters vouch for.
Spec: `spec/payout_list.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.chain.address import decode_address, encode_address
from protocol.codec import U32, Bytes32, Decoder, Meta, Wire, encode
from protocol.errors import InvalidBlock, InvalidProof, MalformedMessage, RequestError, WrongNetwork
from protocol.genesis import Genesis, decode_genesis
from protocol.group.certificate import Certificate, check_certificate
from protocol.group.membership import Member, Membership, genesis_membership
from protocol.group.quorum import Electorate
from protocol.merkle import merkle_proof, verify_merkle_proof
from protocol.payout.list_certificate import ListCertificate, compact_certificate, expand_certificate
from protocol.payout.list_file import decode_list_file
from protocol.payout.list_header import (
    Entry,
    ListHeader,
    ListTerms,
    check_entries,
    check_header,
    check_members,
    entry_leaves,
    first_terms,
    list_hash,
    next_terms,
)
from protocol.units import Hash32

PROOF_DEPTH_MAX = 32
"""Hashes of the longest Merkle proof."""
PROOF_SIZE_MAX = 1 << 21
"""Bytes of the largest entry proof: a header with all its blocks, and a full certificate."""


@dataclass(frozen=True, slots=True)
class TrustPoint:
    """Whose signatures certify the next list, and what it follows. `last` is the list before, if any."""

    terms: ListTerms
    electorate: Electorate
    last: ListHeader | None


@dataclass(frozen=True, slots=True)
class VerifiedList:
    """A list that passed: only `verify_list` makes one. `trust` is what it was verified against."""

    header: ListHeader
    list_hash: Hash32
    entries: tuple[Entry, ...]
    members: tuple[Member, ...]
    certificate: Certificate
    trust: TrustPoint

    @property
    def genesis(self) -> Genesis:
        """The genesis file of the list's network."""
        return self.trust.terms.genesis

    def entry_of(self, address: str) -> Entry | None:
        """Return what an address (as the network writes it) gets, or None; raises `RequestError`."""
        wanted = decode_address(address, self.genesis.chain.prefixes)
        return next((entry for entry in self.entries if entry.address == wanted), None)

    def address_text(self, entry: Entry) -> str:
        """Return an entry's address as the network writes it."""
        return encode_address(entry.address, self.genesis.chain.prefixes)


class EntryProof(Wire, tag="entry-proof"):
    """One line of a certified list, without the other lines."""

    header: ListHeader
    certificate: ListCertificate
    entry: Entry
    index: U32
    proof: Annotated[tuple[Bytes32, ...], Meta(max_length=PROOF_DEPTH_MAX)]
    """Siblings on the way to the entries' root, lowest first."""


_decode_proof: Decoder[EntryProof] = Decoder(EntryProof, PROOF_SIZE_MAX)


def trust_from_genesis(genesis_bytes: bytes) -> TrustPoint:
    """Return the trust point before the first list; raises `MalformedMessage` if it is no genesis file."""
    try:
        genesis = decode_genesis(genesis_bytes)
    except RequestError as error:
        raise MalformedMessage(str(error)) from None
    return TrustPoint(first_terms(genesis), genesis_membership(genesis).voters(), None)


def trust_from_list(verified: VerifiedList) -> TrustPoint:
    """Return the trust point after a verified list."""
    terms = next_terms(verified.trust.terms, verified.header)
    return TrustPoint(terms, Membership(members=verified.members).voters(), verified.header)


def trust_after(file_bytes: bytes, trust: TrustPoint) -> TrustPoint:
    """Return the trust point after a list that the caller has verified before, and kept.

    Who had to sign it cannot be told from it alone, so nothing of it is verified again but that it
    is of the network of `trust`. Raises a `ProtocolError`.
    """
    file = decode_list_file(file_bytes)
    if file.header.network != trust.terms.network:
        raise WrongNetwork("the list to go on from is of another network than the genesis file")
    electorate = check_members(file.header, file.members)
    return TrustPoint(next_terms(trust.terms, file.header), electorate, file.header)


def verify_list(file_bytes: bytes, trust: TrustPoint) -> VerifiedList:
    """Return the list that a file holds, everything in it verified.

    Raises a `ProtocolError` whose text says in one sentence what is wrong.
    """
    file = decode_list_file(file_bytes)
    if file.network != file.header.network:
        raise WrongNetwork("the file and its list name different networks")
    check_header(file.header, trust.terms)
    check_entries(file.header, file.entries)
    check_members(file.header, file.members)
    certificate = _check_certificate(file.header, file.certificate, trust)
    return VerifiedList(
        header=file.header,
        list_hash=list_hash(file.header),
        entries=file.entries,
        members=file.members,
        certificate=certificate,
        trust=trust,
    )


def verify_lists(files: Sequence[bytes], trust: TrustPoint) -> VerifiedList:
    """Return the last of consecutive lists, each verified against the one before; at least one."""
    verified = verify_list(files[0], trust)
    for file_bytes in files[1:]:
        verified = verify_list(file_bytes, trust_from_list(verified))
    return verified


def prove_entry(verified: VerifiedList, address: bytes) -> EntryProof:
    """Return the proof of one address's line; raises `InvalidProof` when the list has none."""
    for index, entry in enumerate(verified.entries):
        if entry.address == address:
            proof = merkle_proof(entry_leaves(verified.entries), index)
            return EntryProof(
                header=verified.header,
                certificate=compact_certificate(verified.certificate, verified.trust.electorate),
                entry=entry,
                index=index,
                proof=proof,
            )
    raise InvalidProof(f"the list has no entry for address {address.hex()}")


def verify_entry(proof_bytes: bytes, trust: TrustPoint) -> EntryProof:
    """Return a proven line of a certified list: its entry is what the address gets.

    It proves that the line was certified, not that the sums of all lines hold. Raises a
    `ProtocolError` whose text says in one sentence what is wrong.
    """
    try:
        proof = _decode_proof(proof_bytes)
    except MalformedMessage as error:
        raise MalformedMessage(f"not an entry proof: {error}") from None
    header = proof.header
    check_header(header, trust.terms)
    if proof.entry.amount != proof.entry.responses * header.per_response:
        raise InvalidBlock("the entry's amount is not its responses at the list's price")
    verify_merkle_proof(
        encode(proof.entry), proof.index, header.entries_count, proof.proof, header.entries_root
    )
    _check_certificate(header, proof.certificate, trust)
    return proof


def _check_certificate(header: ListHeader, compact: ListCertificate, trust: TrustPoint) -> Certificate:
    """Return the certificate with its signers; raises `InvalidCertificate` unless a quorum made it."""
    certificate = expand_certificate(compact, trust.electorate, header.period, list_hash(header))
    check_certificate(certificate, header.network, trust.electorate)
    return certificate
