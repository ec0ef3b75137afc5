"""Arithmetic on edwards25519 (RFC 8032, 5.1), to craft keys and signatures that no honest signer makes.

Slow and not constant-time: for tests only. Points are affine pairs of integers modulo P.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point."""
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(one: Point, two: Point) -> Point:
    """The complete addition law, which is doubling too."""
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def multiply(factor: int, point: Point) -> Point:
    """The point added to itself `factor` times; factors are not reduced, small orders count."""
    result = NEUTRAL
    for bit in bin(factor)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def encode_point(point: Point) -> bytes:
    """The canonical 32 bytes: y, and the parity of x in the highest bit."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(data: bytes) -> Point:
    """The point that the bytes encode, non-canonical y included; `ValueError` off the curve."""
    number = int.from_bytes(data, "little")
    y, parity = (number & (1 << 255) - 1) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square:
        raise ValueError("not on the curve")
    return (P - x if x & 1 != parity else x) % P, y


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def torsion_point() -> Point:
    """A point of order 8: a point of the curve times L, the first that has the full order."""
    for y in range(2, 100):
        try:
            point = multiply(L, decode_point(y.to_bytes(32, "little")))
        except ValueError:
            continue
        if multiply(4, point) != NEUTRAL:
            return point
    raise AssertionError("no point of order 8 below y = 100")


def challenge_scalar(nonce_point: bytes, key: bytes, message: bytes) -> int:
    """SHA-512(R, A, M) modulo L."""
    return int.from_bytes(hashlib.sha512(nonce_point + key + message).digest(), "little") % L


def equation_holds(key: bytes, envelope: bytes, cofactor: int) -> bool:
    """Whether `cofactor * (S B) = cofactor * (R + h A)`: 1 is libsodium's equation, 8 what batches check."""
    nonce_point, scalar, message = envelope[:32], envelope[32:64], envelope[64:]
    h = challenge_scalar(nonce_point, key, message)
    right = add(decode_point(nonce_point), multiply(h, decode_point(key)))
    left = multiply(int.from_bytes(scalar, "little"), BASE)
    return multiply(cofactor, left) == multiply(cofactor, right)
