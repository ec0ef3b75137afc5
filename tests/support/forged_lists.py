"""What a forger would try with a real list file: every byte, and every part of it.

The typed values refuse to exist when they are wrong, so the arrays of the file are changed instead.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

HEADER, ENTRIES, MEMBERS, CERTIFICATE = 2, 3, 4, 5
POOL_EXCEEDED = 8
"""Zatoshi by which a sum is above the pool when the 7 that are carried are not enough."""
PAID_TOTAL, SIGNATURES, AMOUNT = 14, 4, 2
FORGERIES: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "a signer less": (lambda file: file[CERTIFICATE][SIGNATURES].pop(), "not a quorum"),
    "one signer twice": (
        lambda file: file[CERTIFICATE][SIGNATURES].__setitem__(1, file[CERTIFICATE][SIGNATURES][0]),
        "without duplicates",
    ),
    "an entry twice": (lambda file: file[ENTRIES].append(file[ENTRIES][-1]), "twice"),
    "a larger amount": (lambda file: increase(file[ENTRIES][0], AMOUNT), "entries"),
    "a sum above the pool": (lambda file: increase(file[HEADER], PAID_TOTAL), "pool"),
    "a member less": (lambda file: file[MEMBERS].pop(), "members"),
}
"""What a forger does to the arrays of the real file, and what verification says to that."""


def increase(array: list[Any], place: int) -> None:
    array[place] += POOL_EXCEEDED


def forged(data: bytes, name: str) -> bytes:
    """Return a list file with one of the forgeries."""
    arrays = msgpack.unpackb(data)
    assert msgpack.packb(arrays) == data
    FORGERIES[name][0](arrays)
    return bytes(msgpack.packb(arrays))


def changed_copies(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield copies with one byte changed, spread over the whole file, both ends included."""
    for number in range(count):
        place = number * (len(data) - 1) // (count - 1)
        changed = bytearray(data)
        changed[place] ^= 1 << number % 8
        yield place, bytes(changed)
