"""Blocks of the data chain by themselves: shapes, orders, sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.errors import MalformedMessage
from protocol.group.blockmaker import build_evidence, build_register
from protocol.group.data_block import (
    BLOCK_SIZE_MAX,
    ENTRIES_MAX,
    PAYLOADS,
    DataBlock,
    EvidencePayload,
    Kind,
    LinkPayload,
    RegisterPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.vote import value_hash
from tests.support.group_world import Group
from tests.support.operators import operator

GROUP = Group()
BODIES = {
    Kind.REGISTER: build_register(GROUP.state, GROUP.chain, [GROUP.registration(operator(9))], []),
    Kind.VERDICT: GROUP.verdict_block(),
    Kind.EVIDENCE: build_evidence(GROUP.state, GROUP.chain, [GROUP.contradiction(GROUP.founders[0])]),
}


def a_block(**change: object) -> DataBlock:
    return replace(decode_block(BODIES[Kind.REGISTER]), **change)


@pytest.mark.parametrize("kind", BODIES)
def test_blocks_and_payloads_come_back(kind: Kind) -> None:
    block = decode_block(BODIES[kind])
    assert block.kind is kind and encode(block) == BODIES[kind]
    payload = decode_payload(block)
    assert type(payload) is PAYLOADS[kind] and encode(payload) == block.payload


@given(st.sampled_from(list(BODIES.values())), st.data())
def test_truncated_and_lengthened_blocks_are_malformed(body: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:cut], body + b"\x00"):
        with pytest.raises(MalformedMessage):
            decode_payload(decode_block(wrong))


def test_a_payload_belongs_to_its_kind() -> None:
    for kind in (Kind.LINK, Kind.VERDICT, Kind.EVIDENCE):
        with pytest.raises(MalformedMessage, match="does not belong"):
            decode_payload(a_block(kind=kind))


def test_every_kind_has_its_payload() -> None:
    assert set(PAYLOADS) == set(Kind) and len(set(PAYLOADS.values())) == len(Kind)


@pytest.mark.parametrize("kind", [0, 13, 255])
def test_unknown_kinds_are_malformed(kind: int) -> None:
    with pytest.raises(MalformedMessage):
        decode_block(encode(a_block(kind=kind)))


def test_the_first_block_has_height_1() -> None:
    for change in ({"height": 0}, {"prefix": "012"}, {"prefix": "x"}):
        with pytest.raises(ValueError, match="prefix and a height"):
            a_block(**change)


def test_entries_are_sorted_and_stand_there_once() -> None:
    for wrong in ((b"b", b"a"), (b"a", b"a")):
        with pytest.raises(ValueError, match="sorted, none twice"):
            RegisterPayload(registrations=wrong, deregistrations=())
        with pytest.raises(ValueError, match="sorted, none twice"):
            RegisterPayload(registrations=(), deregistrations=wrong)


def test_a_block_is_made_for_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RegisterPayload(registrations=(), deregistrations=())
    empty = encode(a_block(kind=Kind.EVIDENCE, payload=encode(EvidencePayload(proofs=()))))
    with pytest.raises(MalformedMessage):
        decode_payload(decode_block(empty))


def test_a_block_has_a_limit_in_entries_and_in_bytes() -> None:
    many = tuple(number.to_bytes(2, "big") for number in range(ENTRIES_MAX + 1))
    payload = encode(RegisterPayload(registrations=many, deregistrations=()))
    with pytest.raises(MalformedMessage):
        decode_payload(a_block(payload=payload))
    with pytest.raises(MalformedMessage, match="at most"):
        decode_block(encode(a_block(payload=bytes(BLOCK_SIZE_MAX))))


def test_a_certified_block_comes_back() -> None:
    certified = GROUP.certified(BODIES[Kind.REGISTER])
    assert decode_certified(encode(certified)) == certified
    assert certified.certificate.block_hash == block_hash(certified.block) == value_hash(certified.block)


def test_links_are_plain() -> None:
    link = LinkPayload(number=1, members_count=3, members_root=b"\x01" * 32)
    assert decode_payload(a_block(kind=Kind.LINK, payload=encode(link))) == link
