"""What a daemon refuses to start on: one line, an exit code that says what kind of trouble it is."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.devnet import refusal, run
from zenp2p.data_directory import DataDirectory
from zenp2p.devnet.foundry import found_network, standard_posts
from zenp2p.devnet.ground import EmbeddedGround

pytestmark = pytest.mark.functional

REFUSED, BAD_DATA, NO_INPUT, UNAVAILABLE, CANNOT_CREATE, PERMISSION, CONFIG = 64, 65, 66, 69, 73, 77, 78


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A data directory that a daemon would start on."""
    return found_network(tmp_path / "network", standard_posts()[:1], EmbeddedGround(3_600)).nodes[0].directory


def refused(directory: DataDirectory, code: int, *words: object) -> str:
    """Return the line with which `zenp2pd run` refuses; it must leave nothing that clients would read."""
    said = refusal(run("zenp2pd", "run", "--data-dir", directory.path, *words), code)
    assert not directory.cookie.exists() and not directory.rpc_address.exists()
    return said


@contextmanager
def taken(ip: str, port: int = 0) -> Iterator[int]:
    """Listen on a port as another program would."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_a_key_that_others_can_read(directory: DataDirectory) -> None:
    directory.operator_seed.chmod(0o640)
    said = refused(directory, PERMISSION)
    assert f"chmod 600 {directory.operator_seed}" in said
    assert stat.S_IMODE(directory.operator_seed.stat().st_mode) == 0o640  # ours to say, the user's to do


def test_a_directory_that_others_can_enter(directory: DataDirectory) -> None:
    directory.path.chmod(0o755)
    assert f"chmod 700 {directory.path}" in refused(directory, PERMISSION)


def test_an_unknown_setting(directory: DataDirectory) -> None:
    directory.config.write_text(directory.config.read_text().replace("[rpc]", "[rpc]\nprot = 1"))
    said = refused(directory, CONFIG)
    assert "rpc.prot" in said and "rpc.port" in said and str(directory.config) in said


def test_a_setting_of_the_wrong_type_on_the_command_line(directory: DataDirectory) -> None:
    assert "rpc.port" in refused(directory, CONFIG, "--set", "rpc.port=many")


def test_an_rpc_address_that_others_could_reach(directory: DataDirectory) -> None:
    assert "0.0.0.0" in refused(directory, CONFIG, "--set", "rpc.host=0.0.0.0")


def test_no_data_directory(tmp_path: Path) -> None:
    said = refused(DataDirectory(tmp_path / "nothing"), NO_INPUT)
    assert "zenp2pd init" in said
    assert not (tmp_path / "nothing").exists()


def test_no_genesis_file(directory: DataDirectory) -> None:
    directory.genesis.unlink()
    assert str(directory.genesis) in refused(directory, NO_INPUT)


def test_a_damaged_genesis_file(directory: DataDirectory) -> None:
    directory.genesis.write_bytes(directory.genesis.read_bytes()[:-1])
    assert f"{directory.genesis}: not a genesis file" in refused(directory, BAD_DATA)


def test_a_damaged_key(directory: DataDirectory) -> None:
    directory.operator_seed.write_bytes(b"no key")
    assert str(directory.operator_seed) in refused(directory, BAD_DATA)


def test_the_network_port_is_taken(directory: DataDirectory) -> None:
    with taken("127.0.0.11") as port:
        said = refused(directory, UNAVAILABLE, "--set", f"network.port={port}")
    assert f"127.0.0.11:{port}" in said and "another program" in said


def test_the_rpc_port_is_taken(directory: DataDirectory) -> None:
    with taken("127.0.0.1") as port:
        assert f"127.0.0.1:{port}" in refused(directory, UNAVAILABLE, "--set", f"rpc.port={port}")


def test_an_address_of_another_machine(directory: DataDirectory) -> None:
    assert "192.0.2.7" in refused(directory, UNAVAILABLE, "--set", "network.ip=192.0.2.7")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    said = refusal(run("zenp2pd", "init", "--data-dir", tmp_path / "file" / "node"), CANNOT_CREATE)
    assert str(tmp_path / "file") in said


def test_a_devnet_on_a_folder_that_is_there(tmp_path: Path) -> None:
    said = refusal(run("zenp2p", "devnet", "--folder", tmp_path), REFUSED)
    assert str(tmp_path) in said and os.listdir(tmp_path) == []
