"""The certificate of a list as files carry it: one bit for each voter instead of its key.

Answers for: one set of signatures has one spelling over a known electorate, a third shorter than
with the signers' keys. What a list certificate is for (the list's hash, at its period, by the
electorate "list") is not written either: the header beside it says it. Whether it is a
quorum's, and its signatures valid, is `protocol.group.certificate`'s to say. Spec: `spec/wallet.md`.
"""

from collections.abc import Sequence
from typing import Annotated

from protocol.codec import U32, Meta, Wire, replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import InvalidCertificate
from protocol.group.certificate import SIGNATURES_MAX, Certificate
from protocol.group.quorum import Electorate, Quorum
from protocol.group.vote import LIST_ELECTORATE

SIGNERS_SIZE_MAX = SIGNATURES_MAX // 8
"""Bytes of the largest set of bits: a certificate of more voters does not exist."""


class ListCertificate(Wire):
    """Precommits for a list's hash in one round, in the order of the electorate that must sign it."""

    round: U32
    signers: Annotated[bytes, Meta(max_length=SIGNERS_SIZE_MAX)]
    """A bit for each voter, the first voter's is the highest of the first byte; bits left over are 0."""
    signatures: Annotated[bytes, Meta(max_length=SIGNATURES_MAX * SIGNATURE_SIZE)]
    """64 bytes for each bit that is set, in order."""

    def __post_init__(self) -> None:
        """As many signatures as bits."""
        if len(self.signatures) != self.count() * SIGNATURE_SIZE:
            raise ValueError(f"{len(self.signatures)} bytes of signatures for {self.count()} signers")

    def count(self) -> int:
        """Return how many signed."""
        return int.from_bytes(self.signers, "big").bit_count()


def compact_certificate(certificate: Certificate, electorate: Electorate) -> ListCertificate:
    """Return a list's certificate in the form of files; raises `InvalidCertificate` for a foreign signer."""
    signed = dict(certificate.signatures)
    places = [place for place, key in enumerate(electorate.keys()) if key in signed]
    if len(places) != len(signed):
        raise InvalidCertificate("signed by somebody who has no vote")
    return ListCertificate(
        round=certificate.round,
        signers=_bits(places, len(electorate)),
        signatures=b"".join(signature for _, signature in certificate.signatures),
    )


def expand_certificate(
    compact: ListCertificate, electorate: Electorate, period: int, list_hash: bytes
) -> Certificate:
    """Return the certificate with its signers' keys, nothing of it verified.

    Raises `InvalidCertificate` when its bits are not those of so many voters.
    """
    spelled = "".join(format(byte, "08b") for byte in compact.signers)
    if len(compact.signers) != _size(electorate) or "1" in spelled[len(electorate) :]:
        raise InvalidCertificate(f"the signers are not told by one bit for each of {len(electorate)} voters")
    keys = [key for key, bit in zip(electorate.keys(), spelled, strict=False) if bit == "1"]
    return Certificate(
        electorate=LIST_ELECTORATE,
        height=period,
        round=compact.round,
        block_hash=list_hash,
        signatures=tuple(
            (key, compact.signatures[at * SIGNATURE_SIZE : (at + 1) * SIGNATURE_SIZE])
            for at, key in enumerate(keys)
        ),
    )


def least_certificate(certificate: Certificate, electorate: Electorate) -> Certificate:
    """Return the certificate with the fewest signatures that are a quorum's: those of the eldest signers."""
    eldest = sorted(certificate.signatures, key=lambda signed: (-electorate.age(signed[0]), signed[0]))
    weight, chosen = electorate.weight(), []
    for signer, signature in eldest:
        chosen.append((signer, signature))
        weight.add(signer)
        if weight.reaches(Quorum.FINAL):
            break
    return replace(certificate, signatures=tuple(sorted(chosen)))


def _size(electorate: Electorate) -> int:
    return (len(electorate) + 7) // 8


def _bits(places: Sequence[int], count: int) -> bytes:
    """Return `count` bits, those at `places` set, from the highest of the first byte on."""
    bits = bytearray((count + 7) // 8)
    for place in places:
        bits[place // 8] |= 0x80 >> place % 8
    return bytes(bits)
