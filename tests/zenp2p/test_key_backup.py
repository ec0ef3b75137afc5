"""A backup opens with its passphrase alone, whole or not at all, and writes over nothing."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.errors import RequestError
from tests.support.vectors import load_vectors
from zenp2p.data_directory import CannotCreate, DataDirectory, MissingFile, WrongMode
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.identity import create_operator, load_operator, read_secret, write_secret
from zenp2p.key_backup import (
    BACKUP_BYTES_MAX,
    MEMORY_KIBIBYTES_MAX,
    BadBackup,
    KeyBackup,
    NamedSecret,
    SecretKeys,
    collect_keys,
    open_keys,
    restore_keys,
    seal_keys,
)
from zenp2p.key_folder import make_chain_key, make_operator_key

CHEAP = {"operations": 1, "memory_kibibytes": 8}
KEYS = SecretKeys(keys=(NamedSecret(name="operator.seed", secret=bytes(range(32))),))
BACKUP = seal_keys(KEYS, "long enough", **CHEAP)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "node")
    directory.create()
    return directory


def test_keys_come_back_in_another_place(directory: DataDirectory, tmp_path: Path) -> None:
    operator = create_operator(directory.operator_seed)
    write_secret(directory.keys / "stake.key", bytes(range(32)))
    data = seal_keys(collect_keys(directory), "long enough", **CHEAP)
    other = DataDirectory(tmp_path / "other")
    assert restore_keys(open_keys(data, "long enough"), other) == ["operator.seed", "stake.key"]
    assert load_operator(other.operator_seed).operator_key == operator.operator_key
    assert read_secret(other.keys / "stake.key") == bytes(range(32))
    assert not other.votes.exists(), "a restored node must not believe that it never voted"


def test_backup_of_an_earlier_program_opens() -> None:
    vector = load_vectors("keys", "backup")
    keys = open_keys(bytes.fromhex(vector["backup"]), vector["passphrase"])
    assert {key.name: key.secret.hex() for key in keys.keys} == vector["keys"]


def test_backup_shows_nothing_of_the_keys() -> None:
    assert bytes(range(32)) not in BACKUP and b"operator" not in BACKUP
    assert seal_keys(KEYS, "long enough", **CHEAP) != BACKUP, "salt and nonce are new each time"


@pytest.mark.parametrize("passphrase", ["", "long enougH", "long enough ", "another one"])
def test_other_passphrase_opens_nothing(passphrase: str) -> None:
    with pytest.raises(BadBackup, match="another passphrase, or a damaged backup") as caught:
        open_keys(BACKUP, passphrase)
    assert exit_code(caught.value) is ExitCode.BAD_DATA


def test_accents_are_the_same_however_they_were_typed() -> None:
    assert open_keys(seal_keys(KEYS, "caf\u00e9 au lait", **CHEAP), "cafe\u0301 au lait") == KEYS


def test_short_passphrase_is_refused() -> None:
    with pytest.raises(RequestError, match="at least 8 characters"):
        seal_keys(KEYS, "1234567", **CHEAP)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_backup_is_refused_whole(data: st.DataObject) -> None:
    changed = bytearray(BACKUP)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = bytes(changed)[: data.draw(st.just(len(changed)) | st.integers(0, len(changed) - 1))]
    with pytest.raises(BadBackup):
        open_keys(cut, "long enough")


@pytest.mark.parametrize("number", ["memory_kibibytes", "operations"])
def test_foreign_file_cannot_take_the_machine(number: str) -> None:
    backup = KeyBackup(salt=bytes(16), operations=1, memory_kibibytes=8, nonce=bytes(24), box=b"")
    greedy = encode(replace(backup, **{number: MEMORY_KIBIBYTES_MAX + 1}))
    with pytest.raises(BadBackup, match="not a backup"):
        open_keys(greedy, "long enough")
    with pytest.raises(BadBackup, match="not a backup"):
        open_keys(bytes(BACKUP_BYTES_MAX + 1), "long enough")


def test_restoring_writes_over_nothing_and_then_writes_nothing(directory: DataDirectory) -> None:
    write_secret(directory.keys / "b.key", bytes(32))
    keys = SecretKeys(keys=tuple(NamedSecret(name=f"{name}.key", secret=b"\1" * 32) for name in "abc"))
    with pytest.raises(CannotCreate, match="b.key is there already"):
        restore_keys(keys, directory)
    assert [path.name for path in directory.keys.iterdir()] == ["b.key"]
    assert read_secret(directory.keys / "b.key") == bytes(32)


@pytest.mark.parametrize(
    "name", ["../a.key", "/a.key", ".a.key", "a", "A.key", "a.txt", "a/b.key", ".key", "a\n.key"]
)
def test_key_names_stay_in_their_folder(name: str, directory: DataDirectory) -> None:
    with pytest.raises(ValueError, match="no name of a key file"):
        NamedSecret(name=name, secret=bytes(32))
    with pytest.raises(RequestError, match="no name for a key"):
        make_chain_key(directory, name.removesuffix(".key") if name != "a" else "A", None)


def test_nothing_to_back_up(directory: DataDirectory) -> None:
    with pytest.raises(MissingFile, match="there are no keys"):
        collect_keys(directory)


def test_open_key_is_not_backed_up_silently(directory: DataDirectory) -> None:
    create_operator(directory.operator_seed)
    directory.operator_seed.chmod(0o644)
    with pytest.raises(WrongMode):
        collect_keys(directory)


def test_new_operator_key_comes_with_its_vote_file_once(directory: DataDirectory) -> None:
    told = make_operator_key(directory)
    assert told["operator"] == load_operator(directory.operator_seed).operator_key.hex()
    assert directory.votes.exists()
    with pytest.raises(CannotCreate):
        make_operator_key(directory)
    directory.votes.unlink()
    with pytest.raises(CannotCreate):
        make_operator_key(directory)
    assert not directory.votes.exists(), "the old key may have voted"


def test_new_chain_key_tells_its_public_side_only(directory: DataDirectory) -> None:
    told = make_chain_key(directory, "stake", None)
    secret = read_secret(directory.keys / "stake.key")
    assert secret.hex() not in str(told)
    assert set(told) == {"file", "public_key", "address_hash"}
