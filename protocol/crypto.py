"""Hashes and signatures; the only importer of nacl, coincurve and ecdsa.

Answers for: one library decides each verdict. Ed25519 is libsodium's strict
cofactorless rule through PyNaCl (other libraries accept keys and signatures that
libsodium refuses, and batch verification is not deterministic on crafted input);
secp256k1 is libsecp256k1's through coincurve, and every treasury signature is
verified a second time by the independent `ecdsa`. Which bytes are signed is left
to the callers: an envelope is `signature(64) + body`, and every body begins with
its type tag and the network id. Spec: `spec/signatures.md`.
"""

import hashlib

import coincurve
import ecdsa
from ecdsa.util import sigdecode_der
from nacl import bindings, exceptions

from protocol.errors import InvalidSignature, MalformedMessage
from protocol.units import Hash32, OperatorKey

SIGNATURE_SIZE = 64
KEY_SIZE = 32
SALT_SIZE = bindings.crypto_pwhash_SALTBYTES
NONCE_SIZE = bindings.crypto_secretbox_NONCEBYTES

_sign_open = bindings.crypto_sign_open
_BAD_SIGNATURE = exceptions.BadSignatureError


def sha3_256(*parts: bytes) -> Hash32:
    """SHA3-256 of the concatenated parts: every protocol hash that is not the chain's."""
    return Hash32(hashlib.sha3_256(b"".join(parts)).digest())


def sha256(data: bytes) -> Hash32:
    """SHA-256."""
    return Hash32(hashlib.sha256(data).digest())


def sha256d(data: bytes) -> Hash32:
    """SHA-256 twice: the chain's block and transaction hash, in computed byte order."""
    return Hash32(hashlib.sha256(hashlib.sha256(data).digest()).digest())


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256: 20 bytes."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def blake2b(data: bytes, *, size: int, key: bytes, person: bytes) -> bytes:
    """Keyed, personalised BLAKE2b of `size` bytes (RFC 7693)."""
    return hashlib.blake2b(data, digest_size=size, key=key, person=person).digest()


class Signer:
    """An Ed25519 key pair that signs envelopes. Keep it where secrets are kept."""

    __slots__ = ("_secret", "operator_key")

    def __init__(self, seed: bytes) -> None:
        """Derive the pair from its 32-byte seed."""
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.operator_key = OperatorKey(public)

    def sign(self, body: bytes) -> bytes:
        """Return the envelope `signature(64) + body`."""
        return bindings.crypto_sign(body, self._secret)

    def derive(self, *parts: bytes) -> bytes:
        """Return 32 bytes that only the holder of the key can tell from noise (a MAC under the secret)."""
        return blake2b(b"".join(parts), size=32, key=self._secret[:32], person=b"zenp2p-derive")

    def __repr__(self) -> str:
        return f"Signer({self.operator_key.hex()[:8]}…)"


def envelope_body(envelope: bytes) -> bytes:
    """Return the unverified body of an envelope; raises `MalformedMessage` if too short."""
    if len(envelope) <= SIGNATURE_SIZE:
        raise MalformedMessage(f"envelope of {len(envelope)} bytes")
    return envelope[SIGNATURE_SIZE:]


def verify_envelope(envelope: bytes, key: bytes) -> None:
    """Raise `InvalidSignature` unless the body was signed by `key`."""
    if len(key) != KEY_SIZE:  # libsodium would read on behind a short key
        raise InvalidSignature(f"a key of {len(key)} bytes")
    try:
        _sign_open(envelope, key)
    except (_BAD_SIGNATURE, ValueError):
        raise InvalidSignature(f"not signed by {key.hex()[:16]}") from None


def check_operator_key(key: bytes) -> None:
    """Raise `InvalidSignature` unless `key` is a canonical point of prime order.

    Done once, when a key is registered: it costs twice a verification.
    """
    if len(key) != KEY_SIZE or not bindings.crypto_core_ed25519_is_valid_point(key):
        raise InvalidSignature(f"not an Ed25519 key of prime order: {key.hex()}")


def derive_key(passphrase: bytes, salt: bytes, operations: int, memory_bytes: int) -> bytes:
    """Return 32 bytes of Argon2id (RFC 9106) with one lane; `salt` has `SALT_SIZE` bytes.

    Takes `memory_bytes` and, on purpose, time. Numbers that libsodium refuses (fewer than one
    operation, less than 8 KiB) or memory that is not to be had raise `ValueError`.
    """
    try:
        return bindings.crypto_pwhash_alg(
            KEY_SIZE, passphrase, salt, operations, memory_bytes, bindings.crypto_pwhash_ALG_ARGON2ID13
        )
    except exceptions.CryptoError as error:
        raise ValueError(f"Argon2id with {operations} operations, {memory_bytes} bytes: {error}") from None


def seal(data: bytes, key: bytes, nonce: bytes) -> bytes:
    """Encrypt and authenticate (XSalsa20-Poly1305); a nonce of `NONCE_SIZE` is used once for a key."""
    return bindings.crypto_secretbox(data, nonce, key)


def open_sealed(box: bytes, key: bytes, nonce: bytes) -> bytes:
    """Return what was sealed; raises `InvalidSignature` for any other key, nonce or byte."""
    try:
        return bindings.crypto_secretbox_open(box, nonce, key)
    except exceptions.CryptoError:
        raise InvalidSignature("not sealed with this key, or changed since") from None


def secp256k1_public_key(secret: bytes) -> bytes:
    """Return the 33-byte compressed public key of a 32-byte secret."""
    return coincurve.PrivateKey(secret).public_key.format()


def ecdsa_sign(digest: bytes, secret: bytes) -> bytes:
    """Return a DER signature (RFC 6979, low S) over a 32-byte digest."""
    return coincurve.PrivateKey(secret).sign(digest, hasher=None)


def ecdsa_verify(digest: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether libsecp256k1 accepts the DER signature."""
    try:
        return bool(coincurve.PublicKey(public_key).verify(signature, digest, hasher=None))
    except ValueError:
        return False


def ecdsa_verify_second(digest: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the independent pure-Python library accepts the DER signature too."""
    try:
        key = ecdsa.VerifyingKey.from_string(public_key, curve=ecdsa.SECP256k1)
        return bool(key.verify_digest(signature, digest, sigdecode=sigdecode_der))
    except (ecdsa.BadSignatureError, ecdsa.MalformedPointError):
        return False


def ecdsa_sign_recoverable(digest: bytes, secret: bytes) -> bytes:
    """Return the 65-byte `r || s || recovery id` signature over a digest."""
    return coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)


def ecdsa_recover(digest: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Return the (compressed, uncompressed) public key that made `r || s || recovery id`.

    Raises `InvalidSignature`.
    """
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        raise InvalidSignature("no public key can be recovered") from None
    return key.format(), key.format(compressed=False)
