"""What a forger would try with a real list file: every byte, and every part of it.

The typed values refuse to exist when they are wrong, so the arrays of the file are changed instead.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

HEADER, ENTRIES, MEMBERS, CERTIFICATE = 2, 3, 4, 5
POOL_EXCEEDED = 8
"""Zatoshi by which a sum is above the pool when the 7 that are carried are not enough."""
PAID_TOTAL, SIGNERS, SIGNATURES, AMOUNT = 14, 1, 2, 2
SIGNATURE_SIZE = 64
FORGERIES: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "a signer less": (lambda file: leave_out_last(file[CERTIFICATE]), "not a quorum"),
    "a signature less": (lambda file: shorten(file[CERTIFICATE]), "bytes of signatures for"),
    "one signer twice": (lambda file: double_first(file[CERTIFICATE]), "a precommit is not valid"),
    "an entry twice": (lambda file: file[ENTRIES].append(file[ENTRIES][-1]), "twice"),
    "a larger amount": (lambda file: increase(file[ENTRIES][0], AMOUNT), "entries"),
    "a sum above the pool": (lambda file: increase(file[HEADER], PAID_TOTAL), "pool"),
    "a member less": (lambda file: file[MEMBERS].pop(), "members"),
}
"""What a forger does to the arrays of the real file, and what verification says to that."""


def increase(array: list[Any], place: int) -> None:
    array[place] += POOL_EXCEEDED


def leave_out_last(certificate: list[Any]) -> None:
    """Take the last signer out, bit and signature."""
    signers = int.from_bytes(certificate[SIGNERS], "big")
    certificate[SIGNERS] = (signers & signers - 1).to_bytes(len(certificate[SIGNERS]), "big")
    shorten(certificate)


def shorten(certificate: list[Any]) -> None:
    """Take the last signature out."""
    certificate[SIGNATURES] = certificate[SIGNATURES][:-SIGNATURE_SIZE]


def double_first(certificate: list[Any]) -> None:
    """Put the first signature in the place of the second, too."""
    signatures = certificate[SIGNATURES]
    first = signatures[:SIGNATURE_SIZE]
    certificate[SIGNATURES] = first + first + signatures[2 * SIGNATURE_SIZE :]


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
