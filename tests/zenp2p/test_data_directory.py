"""Modes are decided by their bits (the tests may run as root), and the refusal gives the line to run."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from zenp2p.data_directory import CannotCreate, DataDirectory, MissingFile, WrongMode, check_private


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "new" / "node")
    directory.create()
    return directory


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_is_made_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "node")
    umask = os.umask(0)
    try:
        directory.create()
    finally:
        os.umask(umask)
    assert _mode(directory.path) == _mode(directory.keys) == 0o700
    directory.create()


def test_missing_directory_names_the_step_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="run: zenp2pd init"):
        DataDirectory(tmp_path / "none").check()


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreate, match="Not a directory"):
        DataDirectory(tmp_path / "file" / "node").create()


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o770])
@pytest.mark.parametrize("name", ["path", "keys"])
def test_open_folder_is_refused(directory: DataDirectory, name: str, mode: int) -> None:
    folder: Path = getattr(directory, name)
    folder.chmod(mode)
    with pytest.raises(WrongMode, match=f"{folder} is open to others .mode {mode:04o}.*chmod 700"):
        directory.check()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
@pytest.mark.parametrize("name", ["operator_seed", "votes", "cookie", "log"])
def test_open_file_is_refused(directory: DataDirectory, name: str, mode: int) -> None:
    path: Path = getattr(directory, name)
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(WrongMode, match=f"{path} is open.*chmod 600 {path}"):
        directory.check()
    path.chmod(0o400)
    directory.check()


def test_genesis_and_configuration_are_no_secrets(directory: DataDirectory) -> None:
    for path in (directory.genesis, directory.config):
        path.write_text("")
        path.chmod(0o644)
    directory.check()


def test_line_to_run_mends_everything(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "a 'quoted' name")
    directory.create()
    for path in (directory.votes, directory.operator_seed):
        path.write_text("secret")
        path.chmod(0o644)
    directory.keys.chmod(0o755)
    with pytest.raises(WrongMode) as caught:
        directory.check()
    line = str(caught.value).partition("run: ")[2]
    assert [word for word in shlex.split(line) if word == "chmod"] == ["chmod"] * 2
    subprocess.run(line, shell=True, check=True)
    directory.check()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="No such file"):
        check_private(tmp_path / "none")
