"""The data chain: what may follow, what it changes, and that everything else is refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.errors import (
    InvalidBlock,
    InvalidCertificate,
    NotYetKnown,
    ProtocolError,
    RequestError,
    StaleMessage,
)
from protocol.genesis import founding_id
from protocol.group.blockmaker import build_evidence, build_link, build_register
from protocol.group.data_block import (
    DataBlock,
    EvidencePayload,
    Kind,
    RegisterPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import CHECKED_MAX, DataChain
from protocol.group.vote import (
    EVIDENCE_SIZE_MAX,
    EquivocationProof,
    Proposal,
    check_equivocation,
    equivocation_proof,
)
from protocol.tracking.registration import build_deregistration
from tests.support.founding import founded_by
from tests.support.group_world import Group, changed, repacked
from tests.support.operators import Operator, operator, operators

NEW = operator(9)


def register_block(group: Group, *envelopes: bytes) -> bytes:
    return build_register(group.state, group.chain, envelopes or [group.registration(NEW)], [])


# The beginning.


def test_the_data_chain_begins_with_the_genesis_file() -> None:
    group = Group()
    state = group.state
    assert (state.height, state.head, state.link, state.stamp_height) == (0, group.network, 0, 0)
    assert list(state.electorate.keys()) == [one.key for one in group.founders]
    assert list(state.book.in_force(8)) == [one.key for one in group.founders]
    assert state.electorate_name == "group:" and not state.judged and not state.holders


def test_a_founder_may_vote_without_a_registration() -> None:
    genesis = founded_by(operators(3), bystanders=[NEW], parameters=Group().genesis.parameters)
    state = DataChain.from_genesis(genesis)
    assert NEW.key in state.electorate and NEW.key not in state.book.in_force(8)


def test_founders_that_cannot_be_are_refused() -> None:
    genesis = Group().genesis
    network = founding_id(genesis)
    first, second = Group().founders[:2]
    wrong = {
        "another's registration": second.envelope(network=network),
        "an entry of network": first.envelope(network=b"\x01" * 32),
        "shares another's IP": first.envelope(network=network, ip=second.ip),
        "one stake address": first.envelope(network=network, stake_of=second),
        "not signed": bytes(64) + first.envelope(network=network)[64:],
    }
    for reason, envelope in wrong.items():
        members = (replace(genesis.members[0], registration=envelope), *genesis.members[1:])
        with pytest.raises(RequestError, match=reason):
            DataChain.from_genesis(replace(genesis, members=members))


# Where a block stands.


def test_a_certified_block_moves_the_chain_on() -> None:
    group = Group()
    body = register_block(group)
    group.advance(body)
    assert (group.state.height, group.state.head) == (1, block_hash(body))
    assert group.state.stamp_height == 12, "the last block that is buried"
    assert NEW.key in group.state.book.in_force(16)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"network": b"\x01" * 32}, InvalidBlock, "of network"),
        ({"prefix": "0"}, InvalidBlock, "of group '0'"),
        ({"height": 2}, NotYetKnown, "we are at 0"),
        ({"previous": b"\x01" * 32}, InvalidBlock, "does not follow"),
        ({"stamp_height": 13}, NotYetKnown, "not buried"),
        ({"stamp_height": 1 << 40}, NotYetKnown, "not buried"),
        ({"stamp_height": 11}, InvalidBlock, "another one here"),
        ({"stamp_hash": b"\x01" * 32}, InvalidBlock, "another one here"),
        ({"kind": Kind.ABSORB}, InvalidBlock, "does not belong into a block of kind ABSORB"),
        ({"payload": b""}, InvalidBlock, "truncated"),
    ],
)
def test_a_block_in_the_wrong_place_is_refused(
    change: dict[str, Any], error: type[ProtocolError], reason: str
) -> None:
    group = Group()
    with pytest.raises(error, match=reason):
        group.state.check_block(changed(register_block(group), **change), group.chain)


def test_a_decided_height_is_stale_and_stamps_never_go_back() -> None:
    group = Group()
    body = register_block(group)
    group.advance(body)
    with pytest.raises(StaleMessage, match="decided"):
        group.state.check_block(body, group.chain)
    older = {"stamp_height": 11, "stamp_hash": group.chain.block_hash(11)}
    following = register_block(group, group.registration(operator(10)))
    group.state.check_block(following, group.chain)
    with pytest.raises(InvalidBlock, match="stamps go back from 12 to 11"):
        group.state.check_block(changed(following, **older), group.chain)


def test_what_was_too_early_is_accepted_when_the_chain_has_grown() -> None:
    group = Group()
    body = register_block(group)
    short = group.chain.copy()
    short.disconnect(2)
    with pytest.raises(NotYetKnown):
        group.state.check_block(body, short)
    for _, transactions in group.chain.blocks[13:]:
        short.mine(*transactions[1:])
    group.state.check_block(body, short)


@pytest.mark.parametrize("kind", ["register", "verdict", "evidence", "link"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bit_of_a_block_can_change(kind: str, data: st.DataObject) -> None:
    group, body = BLOCKS[kind]
    group.state.check_block(body, group.chain)
    wrong = bytearray(body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    wrong[bit // 8] ^= 1 << bit % 8
    with pytest.raises((InvalidBlock, StaleMessage, NotYetKnown)):
        group.state.check_block(bytes(wrong), group.chain)


def _one_of_each() -> dict[str, tuple[Group, bytes]]:
    plain, linked = Group(), Group()
    linked.advance(conviction(linked, 0))
    return {
        "register": (plain, register_block(plain)),
        "verdict": (plain, plain.verdict_block()),
        "evidence": (plain, conviction(plain, 1)),
        "link": (linked, build_link(linked.state, linked.chain)),
    }


def conviction(group: Group, number: int) -> bytes:
    """The EVIDENCE block against one founder."""
    return build_evidence(group.state, group.chain, [group.contradiction(group.founders[number])])


BLOCKS = _one_of_each()


def test_proofs_that_do_not_fit_wait_for_the_next_block() -> None:
    """Members that contradict themselves at length stop nobody: one large proof fits always."""
    group = Group(count=12)
    proofs = [large_contradiction(group, number) for number in range(3)]
    assert all(len(proof.first) + len(proof.second) == EVIDENCE_SIZE_MAX for proof in proofs)
    small = group.contradiction(group.founders[3])
    body = build_evidence(group.state, group.chain, [*proofs, small])
    group.state.check_block(body, group.chain)
    payload = decode_payload(decode_block(body))
    assert isinstance(payload, EvidencePayload)
    assert payload.proofs == tuple(sorted((*proofs[:2], small), key=lambda proof: guilty(group, proof)))


def guilty(group: Group, proof: EquivocationProof) -> bytes:
    return check_equivocation(proof, group.state.network)


def large_contradiction(group: Group, number: int) -> EquivocationProof:
    """Two proposals of one founder for one slot, as large as a proof may be."""
    one, size = group.founders[number], EVIDENCE_SIZE_MAX // 2
    fill = size - len(proposal(group, one, bytes(size // 2))) + size // 2
    proof = equivocation_proof(*(proposal(group, one, bytes([letter]) * fill) for letter in (1, 2)))
    assert proof is not None
    return proof


def proposal(group: Group, one: Operator, value: bytes) -> bytes:
    said = Proposal(
        network=group.state.network,
        electorate="group:",
        height=1,
        round=0,
        valid_round=0,
        proof=(),
        proposer=one.key,
        value=value,
    )
    return one.signer.sign(encode(said))


# Certificates.


def test_only_the_voters_of_the_block_before_certify() -> None:
    group = Group()
    body = register_block(group)
    for signers in (group.founders[:2], [*group.founders, NEW], [NEW]):
        with pytest.raises(InvalidCertificate):
            group.state.apply(group.certified(body, signers), group.chain)
    assert group.state.apply(group.certified(body, group.founders[1:]), group.chain).height == 1


def test_a_certificate_belongs_to_its_block_and_height() -> None:
    group = Group()
    body, other = register_block(group), register_block(group, group.registration(operator(10)))
    with pytest.raises(InvalidCertificate, match="other bytes"):
        group.state.apply(replace(group.certified(body), block=other), group.chain)
    certified = group.certified(body)
    group.advance(body)
    with pytest.raises(InvalidCertificate, match="certifies height"):
        group.state.apply(certified, group.chain)


def test_a_quorum_cannot_make_an_invalid_block_valid() -> None:
    group = Group()
    body = changed(register_block(group), stamp_hash=b"\x01" * 32)
    with pytest.raises(InvalidBlock):
        group.state.apply(group.certified(body), group.chain)


def test_a_certified_block_that_changes_nothing_contradicts_us() -> None:
    group = Group()
    body = register_block(group)
    group.advance(body)
    again = changed(body, height=2, previous=group.state.head)
    with pytest.raises(InvalidBlock, match="certified, though"):
        group.state.apply(group.certified(again), group.chain)


def test_a_state_never_changes() -> None:
    group = Group()
    before, summary = group.state, repr(group.state)
    group.advance(register_block(group))
    group.advance(group.verdict_block())
    assert repr(before) == summary and before.height == 0


def test_a_newcomer_gets_the_same_state_from_the_genesis_file_and_the_blocks() -> None:
    group = whole_story()
    state = DataChain.from_genesis(group.genesis)
    for data in group.blocks:
        state = state.apply(decode_certified(data), group.chain)
    assert state == group.state and state.height == 5


def whole_story() -> Group:
    """A registration, two challenges, a conviction and its link."""
    group = Group(tip=22)
    group.advance(register_block(group))
    group.advance(group.verdict_block(1))
    group.advance(conviction(group, 2))
    group.advance(build_link(group.state, group.chain))
    group.advance(group.verdict_block(2))
    return group


def test_accepted_blocks_are_remembered_but_not_without_end() -> None:
    group = Group()
    for number in range(CHECKED_MAX + 3):
        group.state.check_block(register_block(group, group.registration(operator(9 + number))), group.chain)
    assert len(group.state._checked) <= CHECKED_MAX


# REGISTER.


def test_a_registration_that_changes_nothing_is_stale() -> None:
    group = Group()
    again = register_block(group)
    group.advance(again)
    with pytest.raises(StaleMessage, match="no entry"):
        register_block(group)
    follower = changed(again, height=2, previous=group.state.head)
    with pytest.raises(StaleMessage, match="used already"):
        group.state.check_block(follower, group.chain)


def test_a_registration_that_is_not_signed_makes_the_block_invalid() -> None:
    group = Group()
    good = group.registration(NEW)
    for wrong in (
        bytes(64) + good[64:],
        good[:-1] + bytes([good[-1] ^ 1]),
        NEW.envelope(network=b"\x01" * 32),
    ):
        body = repacked(register_block(group), registrations=(wrong,))
        with pytest.raises(InvalidBlock):
            group.state.check_block(body, group.chain)


def test_the_block_maker_leaves_out_what_is_of_no_use() -> None:
    group = Group()
    good, used = group.registration(NEW), group.genesis.members[0].registration
    strange = NEW.envelope(network=b"\x01" * 32)
    body = build_register(group.state, group.chain, [b"junk", used, strange, good, good], [b"junk"])
    payload = decode_payload(decode_block(body))
    assert payload == RegisterPayload(registrations=(good,), deregistrations=())
    group.state.check_block(body, group.chain)


def test_a_deregistration_ends_a_registration() -> None:
    group = Group()
    group.advance(register_block(group))
    data = deregistration(group, 2)
    group.advance(build_register(group.state, group.chain, [], [data]))
    assert NEW.key not in group.state.book.in_force(16)
    with pytest.raises(StaleMessage, match="no entry"):
        build_register(group.state, group.chain, [group.registration(NEW)], [data])


def deregistration(group: Group, sequence: int) -> bytes:
    return build_deregistration(
        NEW.sign_text,
        network=group.network,
        operator_key=NEW.key,
        stake_address=NEW.stake_address,
        stake_sequence=sequence,
    )


# EVIDENCE and LINK.


def test_who_contradicts_itself_loses_its_place_and_a_link_says_so() -> None:
    group = Group()
    guilty = group.founders[1]
    group.advance(build_evidence(group.state, group.chain, [group.contradiction(guilty)]))
    assert guilty.key not in group.state.electorate and guilty.key not in group.state.membership
    assert group.state.link_due and len(group.state.electorate) == 3
    with pytest.raises(StaleMessage, match="LINK block is due"):
        register_block(group)
    body = build_link(group.state, group.chain)
    with pytest.raises(InvalidCertificate, match="no vote"):
        group.state.apply(group.certified(body, group.founders), group.chain)
    group.advance(body)
    assert (group.state.link, group.state.link_due) == (1, False)
    assert guilty.key in group.state.book.in_force(8), "its node may still answer and be paid"


def test_only_a_due_link_is_made_and_only_a_link_then() -> None:
    group = Group()
    with pytest.raises(StaleMessage, match="no LINK"):
        build_link(group.state, group.chain)
    _, link = BLOCKS["link"]
    early = changed(link, height=1, previous=group.state.head)
    with pytest.raises(InvalidBlock, match="follows a change"):
        group.state.check_block(early, group.chain)
    body = register_block(group)
    group.advance(conviction(group, 1))
    with pytest.raises(InvalidBlock, match="follows a change"):
        group.state.check_block(changed(body, height=2, previous=group.state.head), group.chain)


def test_a_link_names_the_members_that_there_are() -> None:
    group, body = BLOCKS["link"]
    for change in ({"number": 2}, {"members_count": 4}, {"members_root": b"\x01" * 32}):
        with pytest.raises(InvalidBlock, match="other members"):
            group.state.check_block(repacked(body, **change), group.chain)


def test_evidence_that_convicts_nobody_here_is_refused() -> None:
    group = Group()
    stranger = group.contradiction(NEW)
    with pytest.raises(StaleMessage, match="nobody to convict"):
        build_evidence(group.state, group.chain, [stranger])
    guilty = group.contradiction(group.founders[0])
    body = build_evidence(group.state, group.chain, [guilty, stranger, guilty])
    assert decode_payload(decode_block(body)) == EvidencePayload(proofs=(guilty,))
    with pytest.raises(StaleMessage, match="no member"):
        group.state.check_block(repacked(body, proofs=(stranger,)), group.chain)
    with pytest.raises(InvalidBlock, match="sorted by the member"):
        group.state.check_block(repacked(body, proofs=(guilty, guilty)), group.chain)


def test_the_last_voters_are_not_removed() -> None:
    group = Group()
    proofs = [group.contradiction(one) for one in group.founders]
    with pytest.raises(InvalidBlock, match="without voters"):
        group.state.check_block(build_evidence(group.state, group.chain, proofs), group.chain)
    group.state.check_block(build_evidence(group.state, group.chain, proofs[1:]), group.chain)


def test_a_block_maker_waits_until_something_is_buried() -> None:
    group = Group()
    group.advance(register_block(group))
    short = group.chain.copy()
    short.disconnect(5)
    with pytest.raises(NotYetKnown, match="buried"):
        build_register(group.state, short, [group.registration(operator(10))], [])


def test_types_are_what_they_are_called() -> None:
    assert isinstance(Group().state.check_block(BLOCKS["register"][1], Group().chain), DataBlock)
