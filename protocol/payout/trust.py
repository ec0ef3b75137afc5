"""Trust points: whose signatures certify the next list, and the file in which a wallet keeps that.

Answers for: trust begins with the genesis file and moves on from list to list, and a wallet that
keeps its trust point needs no earlier list again. That a list moves it on only when everything in
it holds is `light`'s business. Spec: `spec/wallet.md`.
"""

from dataclasses import dataclass
from typing import Annotated

from protocol.codec import Decoder, Meta, Wire, encode
from protocol.errors import InvalidBlock, MalformedMessage, RequestError, WrongNetwork
from protocol.genesis import GENESIS_SIZE_MAX, Genesis, decode_genesis, encode_genesis
from protocol.group.membership import genesis_membership
from protocol.group.quorum import Electorate, Voter
from protocol.payout.list_file import LIST_MEMBERS_MAX
from protocol.payout.list_header import ListHeader, ListTerms, check_voters, first_terms, next_terms

TRUST_FILE_SIZE_MAX = 1 << 23
"""Bytes of the largest trust file: genesis file, header and voters take 6 MB at most."""
TRUST_FILE_START = b"\x94\xa5trust"
"""What a trust file begins with: an array of four, the first of them the tag."""


@dataclass(frozen=True, slots=True)
class TrustPoint:
    """Whose signatures certify the next list (`electorate`), and what that list follows (`terms`).

    `last` is the header of the last verified list, None before the first: its own period, hash and
    remainder are what `terms` repeats.
    """

    terms: ListTerms
    electorate: Electorate
    last: ListHeader | None

    @property
    def genesis(self) -> Genesis:
        """The network's genesis file."""
        return self.terms.genesis


class TrustFile(Wire, tag="trust"):
    """A trust point in a file. Nobody signed it: it is worth what the place is worth where it is kept."""

    genesis: Annotated[bytes, Meta(max_length=GENESIS_SIZE_MAX)]
    """The whole genesis file."""
    last: ListHeader
    """Header of the last verified list."""
    voters: Annotated[tuple[Voter, ...], Meta(max_length=LIST_MEMBERS_MAX)]
    """Who signs the next one, by key: those to whom `last` commits."""


_decode: Decoder[TrustFile] = Decoder(TrustFile, TRUST_FILE_SIZE_MAX)


def trust_from_genesis(genesis_bytes: bytes) -> TrustPoint:
    """Return the trust point before a network's first list; raises `MalformedMessage`."""
    try:
        genesis = decode_genesis(genesis_bytes)
    except RequestError as error:
        raise MalformedMessage(str(error)) from None
    return TrustPoint(first_terms(genesis), genesis_membership(genesis).voters(), None)


def trust_after(trust: TrustPoint, header: ListHeader, electorate: Electorate) -> TrustPoint:
    """Return the trust point after the list that was verified against `trust`."""
    return TrustPoint(next_terms(trust.terms, header), electorate, header)


def trust_from_file(data: bytes) -> TrustPoint:
    """Return the trust point that a genesis file, or a trust file, stands for.

    Raises `MalformedMessage`, or `WrongNetwork` or `InvalidBlock` when a trust file contradicts itself.
    """
    if not data.startswith(TRUST_FILE_START):
        return trust_from_genesis(data)
    try:
        file = _decode(data)
        electorate = Electorate(file.voters)
    except (MalformedMessage, ValueError) as error:
        raise MalformedMessage(f"not a trust file: {error}") from None
    founding = trust_from_genesis(file.genesis)
    if file.last.network != founding.terms.network:
        raise WrongNetwork("the trust file holds a list of another network than its genesis file")
    check_voters(file.last, electorate)
    return trust_after(founding, file.last, electorate)


def encode_trust(trust: TrustPoint) -> bytes:
    """Return the file of a trust point: before the first list that is the genesis file itself."""
    if trust.last is None:
        return encode_genesis(trust.genesis)
    return encode(
        TrustFile(genesis=encode_genesis(trust.genesis), last=trust.last, voters=trust.electorate.voters)
    )


def later_trust(one: TrustPoint, other: TrustPoint) -> TrustPoint:
    """Return the later of two trust points of one network: a wallet never goes back.

    Raises `WrongNetwork`, and `InvalidBlock` when they are of one period and not the same.
    """
    if one.terms.network != other.terms.network:
        raise WrongNetwork(
            f"two trust points of two networks, {one.terms.network.hex()[:16]} and "
            f"{other.terms.network.hex()[:16]}"
        )
    if one.terms.period == other.terms.period and one.terms.previous != other.terms.previous:
        raise InvalidBlock(
            f"two trust points follow two different lists, {one.terms.previous.hex()[:16]} and "
            f"{other.terms.previous.hex()[:16]}, both of period {one.terms.period - 1}"
        )
    return one if one.terms.period >= other.terms.period else other
