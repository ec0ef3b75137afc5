"""The certificate: one round's precommits of a quorum, as somebody who was not there verifies them.

Answers for: a certificate that passes was signed by FINAL (more than two thirds of
the voters and of their age) of the electorate handed in, every signature in it valid.
Whose electorate that is, and that `block_hash` belongs to the thing at hand, is left to
the callers (`data_chain`, the payout list). Spec: `spec/consensus.md`.
"""

from typing import Annotated

from protocol.codec import U32, U64, Bytes32, Meta, Text, Wire
from protocol.errors import InvalidCertificate, InvalidProof, InvalidSignature
from protocol.group.quorum import Electorate
from protocol.group.vote import (
    Phase,
    Proposal,
    Signed,
    Slot,
    check_signed_list,
    check_vote_signatures,
    is_electorate_name,
    value_hash,
    vote_body,
)

SIGNATURES_MAX = 8192
"""Signatures in one certificate; more than any electorate that one certificate can carry."""


class Certificate(Wire):
    """Precommits for `block_hash` in one round, each as (voter, signature), sorted by voter."""

    electorate: Text
    height: U64
    round: U32
    block_hash: Bytes32
    signatures: Annotated[tuple[Signed, ...], Meta(max_length=SIGNATURES_MAX)]

    def __post_init__(self) -> None:
        """One set of signatures has one spelling."""
        if not is_electorate_name(self.electorate):
            raise ValueError(f"no electorate: {self.electorate!r}")
        if len(self.signatures) > SIGNATURES_MAX:
            raise ValueError(f"{len(self.signatures)} signatures, at most {SIGNATURES_MAX} allowed")
        check_signed_list(self.signatures)

    def signers(self) -> tuple[bytes, ...]:
        """Return the signers' keys in order."""
        return tuple(signer for signer, _ in self.signatures)

    def vote_of(self, network: bytes, voter: bytes) -> bytes | None:
        """Return the precommit of one of the signers, as its envelope; None of anybody else."""
        slot = Slot(network, self.electorate, self.height, self.round, Phase.PRECOMMIT)
        signature = dict(self.signatures).get(voter)
        return None if signature is None else signature + vote_body(slot, self.block_hash, voter)


def check_certificate(certificate: Certificate, network: bytes, electorate: Electorate) -> None:
    """Raise `InvalidCertificate` unless FINAL of `electorate` signed it and nobody else did."""
    signers = certificate.signers()
    for signer in signers:
        if signer not in electorate:
            raise InvalidCertificate(f"signed by {signer.hex()[:16]}, who has no vote")
    if not electorate.is_final(signers):
        raise InvalidCertificate(f"{len(signers)} of {len(electorate)} voters are not a quorum")
    slot = Slot(network, certificate.electorate, certificate.height, certificate.round, Phase.PRECOMMIT)
    try:
        check_vote_signatures(slot, certificate.block_hash, certificate.signatures)
    except InvalidSignature as error:
        raise InvalidCertificate(f"a precommit is not valid: {error}") from None


def check_certifies(
    certificate: Certificate,
    network: bytes,
    electorate: Electorate,
    *,
    name: str,
    height: int,
    block_hash: bytes,
) -> None:
    """Raise `InvalidCertificate` unless it certifies this very hash, at this height, by this electorate."""
    if (certificate.electorate, certificate.height) != (name, height):
        raise InvalidCertificate(
            f"certifies height {certificate.height} of {certificate.electorate}, not {height} of {name}"
        )
    if certificate.block_hash != block_hash:
        raise InvalidCertificate("certifies other bytes")
    check_certificate(certificate, network, electorate)


def check_lock_proof(proposal: Proposal, electorate: Electorate) -> None:
    """Raise `InvalidProof` unless FINAL prevoted the value in the valid round that the proposal claims.

    The prevotes' certificate, as it were: who has it needs nobody's old votes.
    """
    if not proposal.valid_round:
        return
    signers = [signer for signer, _ in proposal.proof]
    if any(signer not in electorate for signer in signers) or not electorate.is_final(signers):
        raise InvalidProof("the proof of a lock is not by a quorum")
    network, name, height = proposal.network, proposal.electorate, proposal.height
    slot = Slot(network, name, height, proposal.valid_round - 1, Phase.PREVOTE)
    try:
        check_vote_signatures(slot, value_hash(proposal.value), proposal.proof)
    except InvalidSignature as error:
        raise InvalidProof(f"the proof of a lock does not hold: {error}") from None
