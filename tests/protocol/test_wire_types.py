"""Every message type of `protocol`, found by looking, holds what the wire rules ask of all of them."""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec.inspect as inspect
import pytest

import protocol
from protocol.codec import U8, Decoder, Meta, Text, Wire
from protocol.errors import MalformedMessage
from tests.support.hostile import CPU_SECONDS_MAX, MEMORY_MAX, SEVEN_MIB, cost_of, hostile_frames


def wire_types() -> list[type[Wire]]:
    """Return every subclass of `Wire` that a module of `protocol` defines, sorted by name."""
    for module in pkgutil.walk_packages(protocol.__path__, "protocol."):
        importlib.import_module(module.name)
    ours = [kind for kind in subclasses(Wire) if kind.__module__.partition(".")[0] == "protocol"]
    return sorted(ours, key=qualified)


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def qualified(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def unlimited(kind: type[Wire]) -> list[str]:
    """Return the fields of a message type whose size or range the decoder does not limit."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return [f"{qualified(kind)}.{field.name}" for field in info.fields if not is_limited(field.type)]


def is_limited(kind: inspect.Type) -> bool:
    match kind:
        case inspect.IntType():
            return kind.ge is not None and kind.le is not None
        case inspect.BytesType() | inspect.StrType():
            return kind.max_length is not None
        case inspect.VarTupleType():
            return kind.max_length is not None and is_limited(kind.item_type)
        case inspect.TupleType():
            return all(is_limited(item) for item in kind.item_types)
        case inspect.UnionType():
            return all(is_limited(item) for item in kind.types)
    return isinstance(kind, inspect.StructType | inspect.NoneType | inspect.BoolType | inspect.EnumType)


WIRE_TYPES = wire_types()


def test_there_are_message_types() -> None:
    assert len(WIRE_TYPES) > 10


@pytest.mark.parametrize("kind", WIRE_TYPES, ids=qualified)
def test_every_field_is_limited_before_it_is_decoded(kind: type[Wire]) -> None:
    """A limit in `__post_init__` comes too late: the items exist by then."""
    assert unlimited(kind) == []


def test_every_tag_is_one_type_alone() -> None:
    """The tag is the domain of a signature: two types with one tag could be taken for each other."""
    tags = Counter(
        kind.__struct_config__.tag for kind in WIRE_TYPES if kind.__struct_config__.tag is not None
    )
    assert tags
    assert [tag for tag, count in tags.items() if count > 1] == []


@pytest.mark.parametrize("kind", WIRE_TYPES, ids=qualified)
def test_every_decoder_refuses_hostile_frames_cheaply(kind: type[Wire]) -> None:
    tag = kind.__struct_config__.tag
    count = len(kind.__struct_fields__) + (tag is not None)
    start = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    if isinstance(tag, str):
        start += bytes([0xA0 | len(tag)]) + tag.encode()
    decoder: Decoder[Wire] = Decoder(kind, size_max=2 * SEVEN_MIB)
    frames = [*hostile_frames().values(), *hostile_frames(start).values()]

    def refuse() -> None:
        for frame in frames:
            with pytest.raises(MalformedMessage):
                decoder(frame)

    cost = cost_of(refuse)
    assert cost.memory < MEMORY_MAX
    assert cost.cpu < CPU_SECONDS_MAX


class Nested(Wire):
    """Limited inside, for the plants below."""

    number: U8


@pytest.mark.parametrize(
    ("annotation", "limited"),
    [
        (bytes, False),
        (str, False),
        (int, False),
        (float, False),
        (Any, False),
        (dict[str, int], False),
        (list[U8], False),
        (tuple[U8, ...], False),
        (Annotated[int, Meta(ge=0)], False),
        (bytes | None, False),
        (tuple[U8, bytes], False),
        (Annotated[tuple[bytes, ...], Meta(max_length=3)], False),
        (Annotated[tuple[Nested, ...], Meta(max_length=3)], True),
        (tuple[U8, Text] | None, True),
        (Nested | None, True),
        (bool, True),
    ],
)
def test_a_planted_unlimited_field_is_seen(annotation: Any, limited: bool) -> None:
    planted = type("Planted", (Wire,), {"__annotations__": {"field": annotation}})
    assert (unlimited(planted) == []) == limited
