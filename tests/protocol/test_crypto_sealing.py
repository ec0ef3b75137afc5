"""Keys from passphrases and sealed boxes: published vectors and a second implementation."""

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto import derive_key, open_sealed, seal
from protocol.errors import InvalidSignature
from tests.support.vectors import load_vectors

NACL = load_vectors("sealing", "nacl_secretbox")


@settings(max_examples=20, deadline=None)
@given(
    passphrase=st.binary(max_size=40),
    salt=st.binary(min_size=16, max_size=16),
    operations=st.integers(1, 4),
    kibibytes=st.integers(8, 64),
)
def test_derived_key_is_argon2id(passphrase: bytes, salt: bytes, operations: int, kibibytes: int) -> None:
    second = Argon2id(salt=salt, length=32, iterations=operations, lanes=1, memory_cost=kibibytes)
    assert derive_key(passphrase, salt, operations, kibibytes << 10) == second.derive(passphrase)


@pytest.mark.parametrize(("operations", "memory_bytes"), [(0, 8_192), (1, 8_191), (1, 0)])
def test_numbers_that_are_too_small_are_refused(operations: int, memory_bytes: int) -> None:
    with pytest.raises(ValueError):
        derive_key(b"passphrase", bytes(16), operations, memory_bytes)


def test_box_is_the_published_one() -> None:
    key, nonce = bytes.fromhex(NACL["key"]), bytes.fromhex(NACL["nonce"])
    box = seal(bytes.fromhex(NACL["message"]), key, nonce)
    assert box.hex() == NACL["box"]
    assert open_sealed(box, key, nonce).hex() == NACL["message"]


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    parts = [data.draw(st.binary(max_size=64)), bytes(range(32)), bytes(range(24))]
    parts[0] = seal(parts[0], parts[1], parts[2])
    which = data.draw(st.integers(0, 2))
    changed = bytearray(parts[which])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    parts[which] = bytes(changed)
    with pytest.raises(InvalidSignature):
        open_sealed(*parts)


@pytest.mark.parametrize("box", [b"", bytes(15), bytes(16)])
def test_box_that_is_too_short_is_refused(box: bytes) -> None:
    with pytest.raises(InvalidSignature):
        open_sealed(box, bytes(32), bytes(24))
