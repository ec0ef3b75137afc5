"""Names and prefixes: where a member belongs.

Answers for: a name is assigned from the member's age, its key and entropy that nobody
chose, so nobody can make keys until one falls where it wants; a prefix is a string of
bits, and the group of a name is the one whose prefix the name begins with. Which
prefixes exist is the groups' business. Spec: `spec/group.md`.
"""

from protocol.crypto import sha3_256
from protocol.units import Hash32

NAME_BITS = 256
PREFIX_BITS_MAX = 247
"""Bits of the longest prefix: an electorate's name ("group:" and the bits) is at most 253 characters."""


def assign_name(age: int, operator_key: bytes, entropy: bytes) -> Hash32:
    """Return SHA3-256(age as one byte, operator key, entropy)."""
    return sha3_256(age.to_bytes(1, "big"), operator_key, entropy)


def home_draw(operator_key: bytes) -> Hash32:
    """Return SHA3-256 of an operator key: the group with this prefix holds the seat of who never joined."""
    return sha3_256(operator_key)


def is_prefix(text: str) -> bool:
    """Whether `text` is a string of at most 247 characters 0 and 1."""
    return len(text) <= PREFIX_BITS_MAX and not text.strip("01")


def bits(name: bytes, count: int) -> str:
    """Return the first `count` bits of a 32-byte name, most significant first."""
    return format(int.from_bytes(name, "big") >> NAME_BITS - count, f"0{count}b") if count else ""


def matches(prefix: str, name: bytes) -> bool:
    """Whether a 32-byte name (or any 32-byte hash) falls to the group with this prefix."""
    return not prefix or int.from_bytes(name, "big") >> NAME_BITS - len(prefix) == int(prefix, 2)


def sibling(prefix: str) -> str:
    """Return the prefix that differs in the last bit; the empty prefix has none (`ValueError`)."""
    if not prefix:
        raise ValueError("the whole network has no sibling")
    return prefix[:-1] + ("1" if prefix[-1] == "0" else "0")


def distance(one: bytes, other: bytes) -> int:
    """Return the XOR distance of two 32-byte names."""
    return int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
