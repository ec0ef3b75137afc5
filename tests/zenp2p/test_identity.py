"""Key files: made once, for the owner alone, and refused when they are not what they should be."""

import stat
from pathlib import Path

import pytest

from protocol.crypto import verify_envelope
from zenp2p.data_directory import CannotCreate, MissingFile, WrongMode
from zenp2p.identity import BadKeyFile, create_operator, load_operator, new_secret, read_secret, write_secret


def test_operator_signs_the_same_after_a_restart(tmp_path: Path) -> None:
    made = create_operator(tmp_path / "operator.seed")
    loaded = load_operator(tmp_path / "operator.seed")
    assert loaded.operator_key == made.operator_key
    verify_envelope(loaded.sign(b"body"), made.operator_key)
    assert stat.S_IMODE((tmp_path / "operator.seed").stat().st_mode) == 0o600


def test_two_secrets_differ() -> None:
    assert new_secret() != new_secret()


def test_never_written_over(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", bytes(range(32)))
    with pytest.raises(CannotCreate, match="is there already"):
        write_secret(tmp_path / "key", bytes(32))
    assert read_secret(tmp_path / "key") == bytes(range(32))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_open_key_file_is_refused_before_it_is_used(tmp_path: Path, mode: int) -> None:
    write_secret(tmp_path / "key", bytes(32))
    (tmp_path / "key").chmod(mode)
    with pytest.raises(WrongMode, match="chmod 600"):
        read_secret(tmp_path / "key")


@pytest.mark.parametrize(
    "content",
    [b"", b"ab" * 31, b"ab" * 33, b"g" * 64, b"ab" * 31 + b" a", b"\xff" * 64, b"ab" * 32 + b"\n\n"],
)
def test_anything_else_is_no_key_and_is_not_shown(tmp_path: Path, content: bytes) -> None:
    write_secret(tmp_path / "key", bytes(32))
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadKeyFile) as caught:
        read_secret(tmp_path / "key")
    assert "abab" not in str(caught.value) and "\n" not in str(caught.value)


def test_missing_operator_key_names_the_step_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="run: zenp2pd init"):
        load_operator(tmp_path / "operator.seed")


def test_key_in_a_missing_folder_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="No such file"):
        write_secret(tmp_path / "none" / "key", bytes(32))
