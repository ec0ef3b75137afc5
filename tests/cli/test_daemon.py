"""What keeps a daemon from starting is one line, the right code and the line to run."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cli import daemon
from tests.support.command import Run, runner
from zenp2p import key_backup


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def node(run: Run, tmp_path: Path) -> Path:
    assert run("zenp2pd", "init", "--data-dir", tmp_path / "node").code == 0
    return tmp_path / "node"


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (["rpc.host=0.0.0.0"], 78, "rpc.host: '0.0.0.0' is no loopback address"),
        (["rpc.prot=1"], 78, "unknown setting 'rpc.prot' in command line; is rpc.port meant?"),
        (["rpc.port=-1"], 78, "rpc.port"),
        (["data_dir=/nonexistent/x"], 66, "run: zenp2pd init"),
        ([], 66, "there is no genesis file at"),
    ],
)
def test_refusal_is_one_line(run: Run, node: Path, settings: list[str], code: int, said: str) -> None:
    given = [word for setting in settings for word in ("--set", setting)]
    place = [] if any("data_dir" in setting for setting in settings) else ["--data-dir", node]
    ended = run("zenp2pd", "run", *place, *given)
    assert ended.code == code and said in ended.err
    assert ended.err.startswith("zenp2pd: ") and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "mode"), [("keys/operator.seed", 0o644), ("votes", 0o604), ("keys", 0o750), (".", 0o755)]
)
def test_open_file_is_refused_with_the_line_to_run(run: Run, node: Path, name: str, mode: int) -> None:
    path = node / name
    path.chmod(mode)
    ended = run("zenp2pd", "run", "--data-dir", node)
    assert ended.code == 77 and f"run: chmod {'700' if path.is_dir() else '600'} {path}" in ended.err


def test_bug_is_in_the_log_with_its_traceback(node: Path, tmp_path: Path) -> None:
    from zenp2p.logs import configure_logging

    configure_logging("info", tmp_path / "log")
    try:
        raise KeyError("a bug")
    except KeyError as error:
        assert daemon._log_bug(error) == "the traceback is in the log"
    [line] = (tmp_path / "log").read_text().splitlines()
    logged = json.loads(line)
    assert logged["level"] == "critical" and "KeyError: 'a bug'" in logged["traceback"]


def test_configuration_is_checked_and_dumped(run: Run, node: Path) -> None:
    assert run("config", "check", "--data-dir", node).out == "the configuration is valid\n"
    checked = run("config", "check", "--json", "--data-dir", node)
    assert json.loads(checked.out) == {"valid": True, "data_dir": str(node)}
    dumped = run("config", "dump", "--data-dir", node, "--set", "rpc.port=7")
    assert "port = 7  # command line" in dumped.out
    (node / "zenp2p.toml").write_text(dumped.out)
    settings = json.loads(run("config", "dump", "--json", "--data-dir", node).out)
    assert settings["rpc.port"] == {"value": 7, "source": str(node / "zenp2p.toml")}
    (node / "zenp2p.toml").write_text("[rpc]\nprot = 1")
    for command in (("config", "check"), ("config", "dump"), ("status",)):
        ended = run(*command, "--data-dir", node)
        assert ended.code == 78 and "rpc.prot" in ended.err and ended.err.count("\n") == 1
    assert run("config", "check", "--config", node / "none").code == 66


def test_keys_go_through_a_backup(
    run: Run, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap = partial(key_backup.seal_keys, operations=1, memory_kibibytes=8)
    monkeypatch.setattr(key_backup, "seal_keys", cheap)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    backup = ("keys", "backup", tmp_path / "backup", "--passphrase-file", passphrase, "--data-dir", node)
    assert run(*backup).code == 77, "the passphrase file is open to others"
    passphrase.chmod(0o600)
    assert json.loads(run(*backup, "--json").out)["keys"] == ["operator.seed"]
    assert run(*backup).code == 73
    restore = ("keys", "restore", tmp_path / "backup", "--passphrase-file", passphrase)
    assert run(*restore, "--data-dir", node).code == 73
    assert run(*restore, "--data-dir", tmp_path / "other").code == 0
    restored = (tmp_path / "other" / "keys" / "operator.seed").read_bytes()
    assert restored == (node / "keys" / "operator.seed").read_bytes()
    passphrase.write_text("another\n")
    assert run(*restore, "--data-dir", tmp_path / "third").code == 65
    assert not (tmp_path / "third").exists()
