"""The frame round every message: a kind byte and a payload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import MESSAGE_SIZE_MAX, decode, encode
from protocol.errors import MalformedMessage
from protocol.node.messages import (
    BLOCKS_BYTES_MAX,
    BLOCKS_MAX,
    FILE_BYTES_MAX,
    PART_BYTES,
    PARTS,
    PLAIN,
    RECEIPTS_MAX,
    RESPONSES_MAX,
    SIGNED,
    Blocks,
    ListAnswer,
    ProofPart,
    Receipts,
    Responses,
    ResponsesRequest,
    group_topic,
    network_topic,
    pack_plain,
    pack_signed,
    unpack,
)
from protocol.tracking.response import RECEIPT_SIZE_MAX, RESPONSE_SIZE_MAX

NETWORK = bytes(range(32))


@given(st.binary(min_size=1, max_size=80))
def test_what_is_packed_is_unpacked(payload: bytes) -> None:
    assert unpack(pack_signed(payload)) == (SIGNED, payload)


@given(st.binary(max_size=40).filter(lambda data: len(data) < 2 or data[0] not in (SIGNED, PLAIN)))
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack(data)


def part(index: int, size: int) -> ProofPart:
    return ProofPart(network=NETWORK, ticket=bytes(32), nonce=2**63 - 1, index=index, data=bytes(size))


@pytest.mark.parametrize(("index", "size"), [(PARTS, PART_BYTES), (0, PART_BYTES - 1), (0, PART_BYTES + 1)])
def test_a_part_of_a_proof_has_one_size_and_one_of_four_places(index: int, size: int) -> None:
    with pytest.raises(MalformedMessage):
        decode(encode(part(index, size)), ProofPart)


def shown(count: int, size: int) -> Receipts:
    return Receipts(network=NETWORK, seq=2**32 - 1, anchor_hash=bytes(32), envelopes=(bytes(size),) * count)


def test_the_largest_answers_fit_into_a_message() -> None:
    largest = [
        ListAnswer(network=NETWORK, file=bytes(FILE_BYTES_MAX)),
        Blocks(network=NETWORK, blocks=(bytes(BLOCKS_BYTES_MAX // BLOCKS_MAX),) * BLOCKS_MAX),
        Responses(
            network=NETWORK,
            seq=2**32 - 1,
            anchor_hash=bytes(32),
            envelopes=(bytes(64 + RESPONSE_SIZE_MAX),) * RESPONSES_MAX,
        ),
        ResponsesRequest(
            network=NETWORK, seq=2**32 - 1, anchor_hash=bytes(32), hashes=(bytes(32),) * RESPONSES_MAX
        ),
        shown(RECEIPTS_MAX, 64 + RECEIPT_SIZE_MAX),
        part(PARTS - 1, PART_BYTES),
    ]
    for message in largest:
        assert len(pack_plain(message)) <= MESSAGE_SIZE_MAX
        assert decode(encode(message), type(message)) == message


@pytest.mark.parametrize("count", [0, RESPONSES_MAX + 1])
def test_answers_of_nothing_and_of_too_much_are_refused(count: int) -> None:
    message = ResponsesRequest(network=NETWORK, seq=1, anchor_hash=bytes(32), hashes=(bytes(32),) * count)
    with pytest.raises(MalformedMessage):
        decode(encode(message), ResponsesRequest)


@pytest.mark.parametrize(
    ("count", "size"), [(0, 0), (RECEIPTS_MAX + 1, 65), (1, 64), (1, 65 + RECEIPT_SIZE_MAX)]
)
def test_too_many_receipts_and_what_can_be_none_are_refused(count: int, size: int) -> None:
    with pytest.raises(MalformedMessage):
        decode(encode(shown(count, size)), Receipts)


def test_topics_name_the_network_and_the_group() -> None:
    assert network_topic(NETWORK) == "0001020304050607/network"
    assert group_topic(NETWORK, "01") == "0001020304050607/group/01" != group_topic(NETWORK, "")
