"""Certificates: a quorum's passes, and nothing that was touched, moved, added or taken away does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode, replace
from protocol.crypto import Signer
from protocol.errors import InvalidCertificate, InvalidProof, MalformedMessage
from protocol.group.certificate import Certificate, check_certificate, check_certifies, check_lock_proof
from protocol.group.quorum import Electorate, Voter
from protocol.group.vote import Phase, Proposal, Slot, Vote, check_signed, value_hash, vote_body

NETWORK = b"\x07" * 32
SIGNERS = sorted((Signer(bytes([n + 1]) * 32) for n in range(7)), key=lambda signer: signer.operator_key)
ELECTORATE = Electorate.of(
    Voter(operator_key=signer.operator_key, age=n + 1) for n, signer in enumerate(SIGNERS)
)
STRANGER = Signer(b"\x99" * 32)
HASH = value_hash(b"value")


def signatures(
    signers: list[Signer], round_: int = 1, phase: Phase = Phase.PRECOMMIT, block_hash: bytes = HASH
) -> tuple[tuple[bytes, bytes], ...]:
    slot = Slot(NETWORK, "group:", 4, round_, phase)
    signed = [
        (signer.operator_key, signer.sign(vote_body(slot, block_hash, signer.operator_key))[:64])
        for signer in signers
    ]
    return tuple(sorted(signed))


def certificate(signers: list[Signer] = SIGNERS[1:]) -> Certificate:
    return Certificate(
        electorate="group:", height=4, round=1, block_hash=HASH, signatures=signatures(signers)
    )


def check(given_one: Certificate) -> None:
    check_certifies(given_one, NETWORK, ELECTORATE, name="group:", height=4, block_hash=HASH)


def test_a_quorums_certificate_passes() -> None:
    check(certificate())
    check(certificate(SIGNERS))
    assert decode(encode(certificate()), Certificate) == certificate()
    assert certificate().signers() == tuple(signer.operator_key for signer in SIGNERS[1:])


@given(st.data())
def test_no_bit_of_it_can_change(data: st.DataObject) -> None:
    packed = bytearray(encode(certificate()))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MalformedMessage, InvalidCertificate)):
        check(decode(bytes(packed), Certificate))


@given(st.sets(st.integers(0, 6)))
def test_it_passes_exactly_with_a_quorum(numbers: set[int]) -> None:
    chosen = [SIGNERS[number] for number in sorted(numbers)]
    if ELECTORATE.is_final(signer.operator_key for signer in chosen):
        check(certificate(chosen))
    else:
        with pytest.raises(InvalidCertificate, match="not a quorum"):
            check(certificate(chosen))


def test_heads_without_age_and_age_without_heads_are_no_quorum() -> None:
    """28 years in all: the five youngest have 15, the four eldest 22 of them."""
    for chosen in (SIGNERS[:5], SIGNERS[3:]):
        with pytest.raises(InvalidCertificate, match="not a quorum"):
            check(certificate(chosen))


def test_a_strangers_signature_spoils_it() -> None:
    with pytest.raises(InvalidCertificate, match="no vote"):
        check(certificate([*SIGNERS, STRANGER]))


def test_a_signer_stands_there_once() -> None:
    once = certificate().signatures
    for wrong in (once[:1] + once, once[::-1]):
        with pytest.raises(ValueError, match="sorted"):
            replace(certificate(), signatures=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        signatures(SIGNERS, round_=2),
        signatures(SIGNERS, phase=Phase.PREVOTE),
        signatures(SIGNERS, block_hash=b""),
        signatures(SIGNERS, block_hash=b"\x11" * 32),
        signatures(SIGNERS[:6]) + tuple((key, bytes(64)) for key, _ in signatures(SIGNERS)[6:]),
    ],
)
def test_votes_for_anything_else_do_not_count(wrong: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(InvalidCertificate, match="precommit is not valid"):
        check(replace(certificate(), signatures=wrong))


def test_precommits_of_two_rounds_do_not_add_up() -> None:
    mixed = sorted(signatures(SIGNERS[:3], round_=1) + signatures(SIGNERS[3:], round_=2))
    for round_ in (1, 2):
        with pytest.raises(InvalidCertificate, match="precommit is not valid"):
            check(replace(certificate(), round=round_, signatures=tuple(mixed)))


def test_it_certifies_one_thing_at_one_height_of_one_electorate() -> None:
    for change in ({"height": 5}, {"electorate": "group:0"}, {"electorate": "list"}):
        with pytest.raises(InvalidCertificate, match="certifies height"):
            check(replace(certificate(), **change))
    with pytest.raises(InvalidCertificate, match="other bytes"):
        check(replace(certificate(), block_hash=b"\x11" * 32))
    with pytest.raises(InvalidCertificate, match="precommit is not valid"):
        check_certificate(certificate(), b"\x08" * 32, ELECTORATE)


def test_a_signers_vote_can_be_taken_out_of_it() -> None:
    made = certificate()
    for signer in SIGNERS[1:]:
        vote = check_signed(made.vote_of(NETWORK, signer.operator_key) or b"", NETWORK)
        assert isinstance(vote, Vote) and (vote.signer, vote.block_hash) == (signer.operator_key, HASH)
        assert vote.slot == Slot(NETWORK, "group:", 4, 1, Phase.PRECOMMIT)
    assert made.vote_of(NETWORK, SIGNERS[0].operator_key) is None


def test_signatures_have_a_limit() -> None:
    many = tuple((number.to_bytes(32, "big"), bytes(64)) for number in range(8193))
    with pytest.raises(ValueError, match="at most 8192"):
        replace(certificate(), signatures=many)


# The proof of a lock.


def proposal(proof: tuple[tuple[bytes, bytes], ...], valid_round: int = 2) -> Proposal:
    return Proposal(
        network=NETWORK,
        electorate="group:",
        height=4,
        round=3,
        valid_round=valid_round,
        proof=proof,
        proposer=SIGNERS[0].operator_key,
        value=b"value",
    )


def test_a_lock_is_proven_by_a_quorum_of_its_rounds_prevotes() -> None:
    check_lock_proof(proposal(signatures(SIGNERS, phase=Phase.PREVOTE)), ELECTORATE)
    check_lock_proof(proposal((), 0), ELECTORATE)


@pytest.mark.parametrize(
    "proof",
    [
        signatures(SIGNERS),
        signatures(SIGNERS, round_=2, phase=Phase.PREVOTE),
        signatures(SIGNERS, phase=Phase.PREVOTE, block_hash=b""),
        signatures(SIGNERS[:4], phase=Phase.PREVOTE),
        signatures([*SIGNERS, STRANGER], phase=Phase.PREVOTE),
    ],
)
def test_nothing_else_proves_a_lock(proof: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(InvalidProof, match="proof of a lock"):
        check_lock_proof(proposal(proof), ELECTORATE)
