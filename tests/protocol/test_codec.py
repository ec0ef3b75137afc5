"""One value, one encoding: everything else is refused, quickly, and msgpack agrees on what is left."""

from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.codec import (
    ERROR_TEXT_MAX,
    MESSAGE_SIZE_MAX,
    U8,
    U32,
    U64,
    Bytes32,
    Decoder,
    IpBytes,
    Meta,
    Text,
    Wire,
    bounded,
    decode,
    encode,
)
from protocol.errors import MalformedMessage
from tests.support.hostile import CPU_SECONDS_MAX, MEMORY_MAX, SEVEN_MIB, cost_of, hostile_frames
from tests.support.vectors import check_vectors


class Part(Wire):
    """An inner value without a tag of its own."""

    number: U32
    label: Text


class Sample(Wire, tag="sample"):
    """Every kind of field that messages are made of."""

    height: U64
    age: U8
    key: Bytes32
    name: Text
    ip: IpBytes | None
    live: bool
    part: Part
    parts: Annotated[tuple[Part, ...], Meta(max_length=20)]
    scores: Annotated[tuple[U8, ...], Meta(max_length=40)]
    blob: Annotated[bytes, Meta(max_length=70_000)]

    def __post_init__(self) -> None:
        bounded(self.parts, 6, "parts")


class Other(Wire, tag="other"):
    """Same first field, another tag."""

    height: U64


EITHER: Decoder[Sample | Other] = Decoder(Sample | Other)
PARTS = st.builds(Part, number=st.integers(0, 2**32 - 1), label=st.text(max_size=60))
SAMPLES = st.builds(
    Sample,
    height=st.integers(0, 2**63 - 1)
    | st.sampled_from([127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32]),
    age=st.integers(0, 255),
    key=st.binary(min_size=32, max_size=32),
    name=st.text(max_size=40),
    ip=st.none() | st.binary(min_size=4, max_size=16),
    live=st.booleans(),
    part=PARTS,
    parts=st.lists(PARTS, max_size=6).map(tuple),
    scores=st.lists(st.integers(0, 255), max_size=40).map(tuple),
    blob=st.binary(max_size=300) | st.sampled_from([bytes(255), bytes(256), bytes(65_535), bytes(65_536)]),
)
PLAIN = Sample(
    height=1,
    age=2,
    key=bytes(32),
    name="n",
    ip=None,
    live=True,
    part=Part(number=3, label=""),
    parts=(),
    scores=(5,),
    blob=b"\6",
)
FIELDS = 11
"""Of `Sample` on the wire: the tag and its ten fields."""


def plain(value: Any) -> Any:
    """The value as msgpack knows it: arrays, tag first."""
    if isinstance(value, Wire):
        tag = [value.__struct_config__.tag] if value.__struct_config__.tag else []
        return tag + [plain(getattr(value, name)) for name in value.__struct_fields__]
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def with_field(index: int, raw: bytes) -> bytes:
    """The plain sample with the bytes of one field replaced."""
    items = [pack(item) for item in plain(PLAIN)]
    items[index] = raw
    return bytes([0x90 | len(items)]) + b"".join(items)


@given(SAMPLES)
def test_decoding_gives_back_what_was_encoded(sample: Sample) -> None:
    assert decode(encode(sample), Sample) == sample == EITHER(encode(sample))


@given(SAMPLES)
def test_msgpack_writes_and_reads_the_same_bytes(sample: Sample) -> None:
    assert pack(plain(sample)) == encode(sample)
    assert msgpack.unpackb(encode(sample), strict_map_key=True) == plain(sample)


@given(SAMPLES, st.data())
def test_whatever_is_accepted_is_the_only_encoding_of_its_value(sample: Sample, data: st.DataObject) -> None:
    """Random damage to valid bytes: what still decodes is exactly what msgpack makes of the new value."""
    raw = bytearray(encode(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(raw) - 1, 120)))
        action = data.draw(st.sampled_from(["set", "insert", "delete", "cut"]))
        if action == "set":
            raw[place] = data.draw(st.integers(0, 255))
        elif action == "insert":
            raw[place:place] = data.draw(st.binary(min_size=1, max_size=5))
        else:
            del raw[place : place + 1 if action == "delete" else None]
        if not raw:
            break
    try:
        value = EITHER(bytes(raw))
    except MalformedMessage:
        return
    assert pack(plain(value)) == bytes(raw)


@given(st.binary(max_size=120))
@example(b"")
def test_garbage_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        EITHER(raw)


@given(SAMPLES, st.data())
def test_every_truncation_and_every_trailing_byte_is_refused(sample: Sample, data: st.DataObject) -> None:
    raw = encode(sample)
    with pytest.raises(MalformedMessage):
        EITHER(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(MalformedMessage):
        EITHER(raw + data.draw(st.binary(min_size=1, max_size=4)))


def test_the_plain_sample_is_valid() -> None:
    """What the cases below start from; so each is refused for what it changes."""
    assert EITHER(with_field(1, pack(1))) == PLAIN


REFUSED = {
    "wrong tag": with_field(0, pack("simple")),
    "tag of another message": with_field(0, pack("other")),
    "tag as bytes": with_field(0, pack(b"sample")),
    "tag in a long header": with_field(0, b"\xd9\x06sample"),
    "no tag": bytes([0x90 | FIELDS - 1]) + encode(PLAIN)[8:],
    "integer of 2 bytes for 1": with_field(1, b"\xcc\x01"),
    "integer of 3 bytes for 1": with_field(1, b"\xcd\x00\x01"),
    "integer of 5 bytes for 1": with_field(1, b"\xce\x00\x00\x00\x01"),
    "integer of 9 bytes for 1": with_field(1, b"\xcf" + (1).to_bytes(8, "big")),
    "signed spelling of 1": with_field(1, b"\xd0\x01"),
    "signed spelling of 200": with_field(1, b"\xd1\x00\xc8"),
    "negative integer": with_field(1, b"\xff"),
    "integer of 2**63": with_field(1, pack(2**63)),
    "age of 256": with_field(2, pack(256)),
    "float for an integer": with_field(1, pack(1.0)),
    "true for an integer": with_field(1, b"\xc3"),
    "nil for an integer": with_field(1, b"\xc0"),
    "text for an integer": with_field(1, pack("1")),
    "1 for true": with_field(6, b"\x01"),
    "text for bytes": with_field(3, pack("x" * 32)),
    "31 bytes for 32": with_field(3, pack(bytes(31))),
    "33 bytes for 32": with_field(3, pack(bytes(33))),
    "bytes in a long header": with_field(10, b"\xc5\x00\x01\x06"),
    "bytes in the longest header": with_field(10, b"\xc6\x00\x00\x00\x01\x06"),
    "text in a long header": with_field(4, b"\xd9\x01n"),
    "text that is not UTF-8": with_field(4, b"\xa1\xff"),
    "a surrogate in text": with_field(4, b"\xa3\xed\xa0\x80"),
    "an overlong UTF-8 letter": with_field(4, b"\xa2\xc1\x81"),
    "text of 254 letters": with_field(4, pack("x" * 254)),
    "bytes for text": with_field(4, pack(b"n")),
    "an address of 3 bytes": with_field(5, pack(bytes(3))),
    "an address of 17 bytes": with_field(5, pack(bytes(17))),
    "array in a long header": with_field(9, b"\xdc\x00\x01\x05"),
    "array in the longest header": with_field(9, b"\xdd\x00\x00\x00\x01\x05"),
    "message in a long header": b"\xdc\x00\x0b" + encode(PLAIN)[1:],
    "41 scores for 40": with_field(9, pack([1] * 41)),
    "7 parts for 6": with_field(8, pack([[1, ""]] * 7)),
    "inner value with an extra field": with_field(7, pack([3, "", 1])),
    "inner value with a missing field": with_field(7, pack([3])),
    "inner value as a map": with_field(7, pack({"number": 3, "label": ""})),
    "map for an array": pack({"type": "sample", "height": 1}),
    "a map that says it twice": b"\x82\xa6height\x01\xa6height\x02",
    "extra field": bytes([0x90 | FIELDS + 1]) + encode(PLAIN)[1:] + b"\x01",
    "missing field": bytes([0x90 | FIELDS - 1]) + encode(PLAIN)[1:-3],
    "two messages": encode(PLAIN) + encode(PLAIN),
    "trailing nil": encode(PLAIN) + b"\xc0",
    "extension for bytes": with_field(10, b"\xd4\x01\x06"),
    "timestamp for an integer": with_field(1, b"\xd6\xff\x00\x00\x00\x01"),
    "nothing": b"",
    "an unused byte": b"\xc1",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(MalformedMessage):
        EITHER(REFUSED[name])
    with pytest.raises(MalformedMessage):
        decode(REFUSED[name], Sample)


def test_vectors() -> None:
    other = Other(height=300)
    accepted = [{"bytes": encode(value).hex(), "fields": repr(value)} for value in (PLAIN, other)]
    refused = [{"why": why, "bytes": raw.hex()} for why, raw in REFUSED.items()]
    check_vectors("wire", "canonical", {"accepted": accepted, "refused": refused})


FRAMES = {
    **hostile_frames(),
    **{f"{name} behind a tag": frame for name, frame in hostile_frames(b"\x9b\xa6sample").items()},
    **{
        f"{name} as an extra field": frame
        for name, frame in hostile_frames(b"\x9c" + encode(PLAIN)[1:]).items()
    },
    **{f"{name} as a list": frame for name, frame in hostile_frames(with_field(9, b"")[:-2]).items()},
}


@pytest.mark.parametrize("name", FRAMES)
def test_seven_mib_are_refused_in_bounded_time_and_memory(name: str) -> None:
    """By the types alone: the size limit is put out of the way."""
    patient: Decoder[Sample | Other] = Decoder(Sample | Other, size_max=2 * SEVEN_MIB)

    def refuse() -> None:
        with pytest.raises(MalformedMessage):
            patient(FRAMES[name])

    cost = cost_of(refuse)
    assert cost.memory < MEMORY_MAX
    assert cost.cpu < CPU_SECONDS_MAX


def test_the_meter_sees_an_untyped_decoder() -> None:
    """A sixth of such a frame through msgpack's own decoder breaks the limit: it means something."""
    items = 600_000
    frame = b"\xdd" + items.to_bytes(4, "big") + b"\x91\x01" * items
    assert cost_of(lambda: msgpack.unpackb(frame)).memory > MEMORY_MAX


@pytest.mark.parametrize("excess", [0, 1])
def test_the_size_limit_is_exact_and_comes_first(excess: int) -> None:
    limit = len(encode(PLAIN)) - excess
    if excess:
        with pytest.raises(MalformedMessage, match=f"at most {limit} allowed"):
            decode(encode(PLAIN), Sample, limit)
    else:
        assert decode(encode(PLAIN), Sample, limit) == PLAIN


def test_the_default_limit_is_one_mib() -> None:
    with pytest.raises(
        MalformedMessage, match=f"{MESSAGE_SIZE_MAX + 1} bytes, at most {MESSAGE_SIZE_MAX} allowed"
    ):
        EITHER(bytes(MESSAGE_SIZE_MAX + 1))


@pytest.mark.parametrize("letter", ["x", "\n", "\x1b", "\u202e"])
def test_an_error_quotes_little_and_on_one_line(letter: str) -> None:
    """The decoder's own text would carry a peer's megabyte, or its terminal codes, into our log."""
    with pytest.raises(MalformedMessage) as caught:
        EITHER(with_field(0, pack(letter * 100_000)))
    assert len(str(caught.value)) <= ERROR_TEXT_MAX
    assert str(caught.value).isprintable()


def test_an_error_hides_what_caused_it() -> None:
    with pytest.raises(MalformedMessage) as caught:
        EITHER(b"\xc1")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_values_are_frozen_and_hashable() -> None:
    with pytest.raises(AttributeError):
        PLAIN.height = 2  # type: ignore[misc]
    assert {PLAIN, decode(encode(PLAIN), Sample)} == {PLAIN}


@pytest.mark.parametrize(("count", "limit", "fits"), [(0, 0, True), (3, 3, True), (4, 3, False)])
def test_bounded(count: int, limit: int, fits: bool) -> None:
    if fits:
        bounded([0] * count, limit, "votes")
    else:
        with pytest.raises(ValueError, match="4 votes, at most 3 allowed"):
            bounded([0] * count, limit, "votes")
