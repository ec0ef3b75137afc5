"""Votes, proposals and equivocation proofs: what passes, and that every other thing does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode, replace
from protocol.crypto import Signer
from protocol.errors import InvalidProof, InvalidSignature, MalformedMessage, WrongNetwork
from protocol.group.vote import (
    EVIDENCE_SIZE_MAX,
    LIST_ELECTORATE,
    NIL,
    EquivocationProof,
    Phase,
    Proposal,
    Slot,
    Vote,
    check_equivocation,
    check_signed,
    content_hash,
    decode_statement,
    decode_vote,
    equivocation_proof,
    group_electorate,
    is_electorate_name,
    proposal_content,
    vote_body,
    vote_content,
    voted_hash,
)

NETWORK = b"\x07" * 32
ALICE, BOB = Signer(b"\x01" * 32), Signer(b"\x02" * 32)
SLOT = Slot(NETWORK, "group:", 5, 2, Phase.PREVOTE)
ONE, TWO = b"\x11" * 32, b"\x22" * 32


def vote(signer: Signer = ALICE, block_hash: bytes = ONE, slot: Slot = SLOT) -> bytes:
    return signer.sign(vote_body(slot, block_hash, signer.operator_key))


def proposal(value: bytes = b"value", signer: Signer = ALICE) -> bytes:
    return signer.sign(
        encode(
            Proposal(
                network=NETWORK,
                electorate="group:",
                height=5,
                round=2,
                valid_round=0,
                proof=(),
                proposer=signer.operator_key,
                value=value,
            )
        )
    )


def test_a_vote_comes_back_as_it_was_cast() -> None:
    cast = check_signed(vote(), NETWORK)
    assert isinstance(cast, Vote)
    assert (cast.slot, cast.signer, cast.block_hash) == (SLOT, ALICE.operator_key, ONE)
    assert decode_vote(vote()[64:]) == cast


def test_a_proposal_comes_back_as_it_was_made() -> None:
    made = check_signed(proposal(), NETWORK)
    assert isinstance(made, Proposal)
    assert (made.slot.phase, made.signer, made.value) == (Phase.PROPOSE, ALICE.operator_key, b"value")


@given(st.data())
def test_no_bit_of_an_envelope_can_change(data: st.DataObject) -> None:
    envelope = bytearray(data.draw(st.sampled_from((vote(), proposal()))))
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MalformedMessage, InvalidSignature, WrongNetwork)):
        check_signed(bytes(envelope), NETWORK)


def test_anothers_signature_is_refused() -> None:
    body = vote_body(SLOT, ONE, BOB.operator_key)
    with pytest.raises(InvalidSignature):
        check_signed(ALICE.sign(body), NETWORK)


def test_another_network_is_told_before_the_signature_is_looked_at() -> None:
    with pytest.raises(WrongNetwork):
        check_signed(bytes(64) + vote()[64:], b"\x08" * 32)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": Phase.PROPOSE},
        {"block_hash": b"\x11" * 31},
        {"block_hash": b"\x11" * 33},
        {"electorate": "group:012"},
        {"electorate": "lists"},
        {"electorate": ""},
    ],
)
def test_impossible_votes_do_not_exist(change: dict[str, object]) -> None:
    cast = decode_vote(vote()[64:])
    with pytest.raises(ValueError, match=r"vote|electorate"):
        replace(cast, **change)


@pytest.mark.parametrize("electorate", ["", "group:2", "liszt"])
def test_a_vote_of_no_electorate_is_malformed(electorate: str) -> None:
    wrong = vote_body(SLOT, ONE, ALICE.operator_key).replace(b"\xa6group:", _text(electorate))
    with pytest.raises(MalformedMessage):
        decode_statement(wrong)


def _text(text: str) -> bytes:
    return bytes([0xA0 + len(text)]) + text.encode()


def test_a_lock_without_proof_and_a_proof_without_lock_do_not_exist() -> None:
    made = decode_statement(proposal()[64:])
    assert isinstance(made, Proposal)
    proof = ((ALICE.operator_key, bytes(64)),)
    for change in ({"valid_round": 1}, {"proof": proof}, {"valid_round": 3, "proof": proof}):
        with pytest.raises(ValueError, match="valid round"):
            replace(made, **change)
    assert replace(made, valid_round=2, proof=proof).valid_round == 2


def test_a_proof_names_each_signer_once_in_order() -> None:
    made = decode_statement(proposal()[64:])
    pair = sorted([ALICE.operator_key, BOB.operator_key])
    for signers in (pair[::-1], [pair[0], pair[0]]):
        with pytest.raises(ValueError, match="sorted"):
            replace(made, valid_round=1, proof=tuple((signer, bytes(64)) for signer in signers))


def test_electorate_names() -> None:
    assert is_electorate_name(LIST_ELECTORATE)
    assert is_electorate_name(group_electorate("")) and is_electorate_name(group_electorate("0110"))
    assert (
        not is_electorate_name("group:01x") and not is_electorate_name("group") and not is_electorate_name("")
    )


def test_a_vote_can_be_rebuilt_from_its_record() -> None:
    for block_hash in (ONE, NIL):
        cast = decode_vote(vote(block_hash=block_hash)[64:])
        recorded = content_hash(cast, encode(cast))
        assert recorded == vote_content(block_hash) and len(recorded) == 32
        assert vote_body(cast.slot, voted_hash(recorded), cast.voter) == encode(cast)


def test_a_proposal_is_recorded_by_its_whole_body() -> None:
    body = proposal()[64:]
    assert content_hash(decode_statement(body), body) == proposal_content(body)
    assert proposal_content(body) != proposal_content(proposal(b"another")[64:])


# Equivocation.


@pytest.mark.parametrize(
    ("one", "other"),
    [(vote(), vote(block_hash=TWO)), (vote(), vote(block_hash=NIL)), (proposal(), proposal(b"another"))],
)
def test_two_statements_in_one_slot_convict(one: bytes, other: bytes) -> None:
    proof = equivocation_proof(one, other)
    assert proof is not None and proof == equivocation_proof(other, one)
    assert check_equivocation(proof, NETWORK) == ALICE.operator_key
    assert decode(encode(proof), EquivocationProof) == proof


def other_slot(**change: object) -> Slot:
    fields = {"height": 5, "round": 2, "phase": Phase.PREVOTE, "electorate": "group:"} | change
    return Slot(NETWORK, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        vote(block_hash=TWO, slot=other_slot(height=6)),
        vote(block_hash=TWO, slot=other_slot(round=3)),
        vote(block_hash=TWO, slot=other_slot(phase=Phase.PRECOMMIT)),
        vote(block_hash=TWO, slot=other_slot(electorate="group:0")),
        vote(block_hash=TWO, slot=other_slot(electorate="list")),
        vote(BOB, TWO),
        proposal(),
    ],
)
def test_statements_of_two_slots_or_signers_convict_nobody(other: bytes) -> None:
    proof = equivocation_proof(vote(), other)
    assert proof is not None
    with pytest.raises(InvalidProof, match="two slots or two signers"):
        check_equivocation(proof, NETWORK)


def test_one_statement_under_two_signatures_convicts_nobody() -> None:
    """Ed25519 signatures can be made in many ways; the statement is what counts."""
    once = vote()
    with pytest.raises(ValueError, match="differ"):
        EquivocationProof(first=once, second=once)
    forged = bytes(64) + once[64:]
    proof = equivocation_proof(once, forged)
    assert proof is not None
    with pytest.raises(InvalidProof):
        check_equivocation(proof, NETWORK)


@given(st.data())
def test_no_bit_of_a_proof_can_change(data: st.DataObject) -> None:
    proof = equivocation_proof(vote(), vote(block_hash=TWO))
    assert proof is not None
    packed = bytearray(encode(proof))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    try:
        changed = decode(bytes(packed), EquivocationProof)
    except MalformedMessage:
        return
    with pytest.raises(InvalidProof):
        check_equivocation(changed, NETWORK)


def test_a_proof_of_another_network_convicts_nobody() -> None:
    proof = equivocation_proof(vote(), vote(block_hash=TWO))
    assert proof is not None
    with pytest.raises(InvalidProof, match="network"):
        check_equivocation(proof, b"\x08" * 32)


def test_evidence_that_fits_into_no_block_is_not_made() -> None:
    large = bytes(EVIDENCE_SIZE_MAX // 2)
    assert equivocation_proof(proposal(large), proposal(large + b"\x01")) is None
    with pytest.raises(ValueError, match="at most"):
        EquivocationProof(first=b"\x00" * EVIDENCE_SIZE_MAX, second=b"\x01" * 65)
    with pytest.raises(ValueError, match="longer than its signature"):
        EquivocationProof(first=b"", second=b"\x01" * 65)
