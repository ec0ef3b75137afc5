"""Crafted Ed25519 keys and signatures on which libraries disagree, as in `tests/vectors/signatures`.

The column `others` says which other libraries accepted the case when it was tried
(OpenSSL 4.0 through cryptography, pycryptodome 4.4): the reason why one library decides.
"""

from dataclasses import dataclass

from tests.support.edwards import (
    BASE,
    NEUTRAL,
    L,
    P,
    Point,
    add,
    challenge_scalar,
    encode_point,
    multiply,
    torsion_point,
)

MESSAGE = b"zenp2p crafted signature"
SECRET = challenge_scalar(b"secret", b"", b"")
NONCE = challenge_scalar(b"nonce", b"", b"")


@dataclass(frozen=True)
class Crafted:
    """A key, an envelope, and what the rules say to them."""

    name: str
    key: bytes
    envelope: bytes
    accepted: bool
    key_registrable: bool
    others: str = "none"


def crafted_signatures() -> list[Crafted]:
    """Return the cases, the same at every call."""
    eighth = torsion_point()
    key_point, nonce_point = multiply(SECRET, BASE), multiply(NONCE, BASE)
    honest = encode_point(key_point)
    mixed = encode_point(add(key_point, eighth))
    neutral = encode_point(NEUTRAL)
    overlong_neutral = (P + 1).to_bytes(32, "little")
    plain = _sign(honest, nonce_point, NONCE, MESSAGE)
    malleated = plain[:32] + (int.from_bytes(plain[32:64], "little") + L).to_bytes(32, "little") + MESSAGE
    no_scalar = neutral + bytes(32) + MESSAGE
    mixed_nonce = _sign(honest, add(nonce_point, eighth), NONCE, MESSAGE)
    return [
        Crafted("honest", honest, plain, True, True, "all"),
        Crafted("small-order key, S = 0", neutral, no_scalar, False, False, "OpenSSL, pycryptodome"),
        Crafted(
            "small-order R", honest, _sign(honest, NEUTRAL, 0, MESSAGE), False, True, "OpenSSL, pycryptodome"
        ),
        Crafted("non-canonical key", overlong_neutral, no_scalar, False, False, "OpenSSL"),
        Crafted(
            "mixed-order key, 8 does not divide h", mixed, _mixed(mixed, False), False, False, "pycryptodome"
        ),
        Crafted("mixed-order key, 8 divides h", mixed, _mixed(mixed, True), True, False, "all"),
        Crafted("mixed-order R", honest, mixed_nonce, False, True, "pycryptodome, batches"),
        Crafted("S + L", honest, malleated, False, True),
    ]


def _sign(key: bytes, nonce_point: Point, nonce: int, message: bytes) -> bytes:
    """Return the envelope with `S = nonce + h * SECRET`, whatever the points are."""
    first = encode_point(nonce_point)
    scalar = (nonce + challenge_scalar(first, key, message) * SECRET) % L
    return first + scalar.to_bytes(32, "little") + message


def _mixed(key: bytes, divisible: bool) -> bytes:
    """Return the first numbered message's envelope whose h is divisible by 8, or is not."""
    for number in range(256):
        message = MESSAGE + bytes([number])
        envelope = _sign(key, multiply(NONCE, BASE), NONCE, message)
        if (challenge_scalar(envelope[:32], key, message) % 8 == 0) == divisible:
            return envelope
    raise AssertionError("256 messages without luck")
