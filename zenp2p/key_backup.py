"""Secret keys in one encrypted file, and back.

Answers for: a backup without its passphrase is worth nothing (Argon2id, then
XSalsa20-Poly1305), a damaged one is refused whole, and restoring never writes over a
key. The vote file is not part of it: a restored node first listens, since an old
backup cannot know what was signed after it. Spec: `spec/keys.md`.
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from protocol.codec import Meta, Text, Wire, decode, encode
from protocol.crypto import NONCE_SIZE, SALT_SIZE, derive_key, open_sealed, seal
from protocol.errors import InvalidSignature, MalformedMessage, RequestError
from zenp2p.data_directory import CannotCreate, DataDirectory, MissingFile
from zenp2p.identity import read_secret, write_secret

KEYS_MAX = 1_000
BACKUP_BYTES_MAX = 1 << 18
PASSPHRASE_CHARACTERS_MIN = 8
OPERATIONS = 3
MEMORY_KIBIBYTES = 256 << 10
"""What a new backup costs to open: about 0.7 s and 256 MiB for each guess."""
OPERATIONS_MAX = 10
MEMORY_KIBIBYTES_MAX = 1 << 20
"""What a backup may ask for: a foreign file must not take the machine's memory."""

KEY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\.(key|seed)")
"""Names of key files: no path, no hidden file."""


class BadBackup(RequestError):
    """Not a backup, damaged, or another passphrase."""


class NamedSecret(Wire):
    """One key file: its name, and its 32 bytes."""

    name: Text
    secret: Annotated[bytes, Meta(min_length=32, max_length=32)]

    def __post_init__(self) -> None:
        """A plain file name, so that restoring stays in the folder of keys."""
        if not KEY_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a key file")


class SecretKeys(Wire, tag="secret-keys"):
    """What a backup holds, sorted by name."""

    keys: Annotated[tuple[NamedSecret, ...], Meta(max_length=KEYS_MAX)]


class KeyBackup(Wire, tag="key-backup"):
    """The file: how the key is made from the passphrase, and the sealed `SecretKeys`."""

    salt: Annotated[bytes, Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    operations: Annotated[int, Meta(ge=1, le=OPERATIONS_MAX)]
    memory_kibibytes: Annotated[int, Meta(ge=8, le=MEMORY_KIBIBYTES_MAX)]
    nonce: Annotated[bytes, Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]
    box: bytes


def collect_keys(directory: DataDirectory) -> SecretKeys:
    """Read every key file of a data directory; raises `MissingFile`, `WrongMode`, `BadKeyFile`."""
    directory.check()
    paths = sorted(path for path in directory.keys.iterdir() if KEY_NAME.fullmatch(path.name))
    if not paths:
        raise MissingFile(f"there are no keys in {directory.keys}")
    return SecretKeys(keys=tuple(NamedSecret(name=path.name, secret=read_secret(path)) for path in paths))


def seal_keys(
    keys: SecretKeys, passphrase: str, operations: int = OPERATIONS, memory_kibibytes: int = MEMORY_KIBIBYTES
) -> bytes:
    """Return the bytes of a backup file; raises `RequestError` for a passphrase that is too short."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise RequestError(f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters")
    salt, nonce = secrets.token_bytes(SALT_SIZE), secrets.token_bytes(NONCE_SIZE)
    key = _key(passphrase, salt, operations, memory_kibibytes)
    box = seal(encode(keys), key, nonce)
    return encode(
        KeyBackup(salt=salt, operations=operations, memory_kibibytes=memory_kibibytes, nonce=nonce, box=box)
    )


def open_keys(data: bytes, passphrase: str) -> SecretKeys:
    """Return the keys in a backup file; raises `BadBackup`."""
    try:
        backup = decode(data, KeyBackup, BACKUP_BYTES_MAX)
    except MalformedMessage as error:
        raise BadBackup(f"not a backup of keys: {error}") from None
    key = _key(passphrase, backup.salt, backup.operations, backup.memory_kibibytes)
    try:
        return decode(open_sealed(backup.box, key, backup.nonce), SecretKeys, BACKUP_BYTES_MAX)
    except (InvalidSignature, MalformedMessage):
        raise BadBackup("another passphrase, or a damaged backup") from None


def restore_keys(keys: SecretKeys, directory: DataDirectory) -> Sequence[str]:
    """Write the keys into a data directory and return their names.

    Raises `CannotCreate`, before anything is written, when one of them is there already.
    """
    directory.create()
    targets = [(directory.keys / key.name, key.secret) for key in keys.keys]
    there = [path for path, _ in targets if path.exists()]
    if there:
        raise CannotCreate(f"{there[0]} is there already and is not written over")
    for path, secret in targets:
        write_secret(path, secret)
    return [path.name for path, _ in targets]


def _key(passphrase: str, salt: bytes, operations: int, memory_kibibytes: int) -> bytes:
    """Return the key that a passphrase makes; typed on another keyboard, an accent is still the same."""
    try:
        return derive_key(
            unicodedata.normalize("NFC", passphrase).encode(), salt, operations, memory_kibibytes << 10
        )
    except ValueError as error:
        raise RequestError(f"the backup's key cannot be derived: {error}") from None
