"""Secret keys on disk: one 32-byte secret a file, as hexadecimal digits, mode 0600.

Answers for: a key is never written over, never readable by others, and never part of
a message. There is no passphrase: the operator's key only signs answers and votes and
is revoked by the stake owner, and a daemon must start by itself. Backups are encrypted
(`zenp2p.key_backup`). Spec: `spec/config.md`.
"""

import secrets
from pathlib import Path

from protocol.crypto import Signer
from protocol.errors import RequestError
from zenp2p.data_directory import CannotCreate, MissingFile, check_private
from zenp2p.durable_file import write_durably

SECRET_SIZE = 32


class BadKeyFile(RequestError):
    """A key file that does not hold 64 hexadecimal digits."""


def new_secret() -> bytes:
    """Return 32 bytes from the system's generator."""
    return secrets.token_bytes(SECRET_SIZE)


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new key file; raises `CannotCreate`, also when there is one already."""
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"a secret of {len(secret)} bytes")
    try:
        write_durably(path, secret.hex().encode() + b"\n", overwrite=False)
    except FileExistsError:
        raise CannotCreate(f"{path} is there already and is not written over") from None
    except OSError as error:
        raise CannotCreate(f"{path} cannot be written: {error.strerror}") from None


def read_secret(path: Path) -> bytes:
    """Return the secret in a key file; raises `MissingFile`, `WrongMode`, `BadKeyFile`."""
    check_private(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}") from None
    digits = text.removesuffix(b"\n")
    if len(digits) != 2 * SECRET_SIZE:
        raise BadKeyFile(f"{path} holds {len(digits)} characters instead of 64 hexadecimal digits")
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise BadKeyFile(f"{path} holds something else than hexadecimal digits") from None


def create_operator(path: Path) -> Signer:
    """Make the operator's key file and return its signer; raises `CannotCreate`."""
    secret = new_secret()
    write_secret(path, secret)
    return Signer(secret)


def load_operator(path: Path) -> Signer:
    """Return the signer of the operator's key file; raises as `read_secret`."""
    try:
        return Signer(read_secret(path))
    except MissingFile:
        raise MissingFile(f"there is no operator key at {path}; run: zenp2pd init") from None
