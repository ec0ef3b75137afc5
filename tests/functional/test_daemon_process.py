"""One real daemon, founded and asked by commands as processes: its ends, its holder, its restarts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 5
LINES_MAX = 200
"""Of the log; it mines a block a second, so a few minutes."""
CLI = [sys.executable, "-c", "from cli.main import main; main()"]
DAEMON = [sys.executable, "-c", "from cli.daemon import main; main()"]

DESCRIPTION = """
name = "alone"
preset = "minimal"
chain = "devnet"
first_challenge_height = 4
[treasury]
required = 1
public_keys = ["{treasury}"]
[start]
time = {time}
bits = 0x207fffff
minimum_spacing = 1
treasury_share = 100
allocations = [["{stake}", 4200000000]]
[[members]]
operator_key = "{operator}"
age = 4
registration = "{registration}"
"""

pytestmark = pytest.mark.functional


def _run(program: list[str], *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def _json(program: list[str], *arguments: object) -> dict[str, Any]:
    ended = _run(program, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the only member of a network."""
    folder = tmp_path_factory.mktemp("alone")
    node = folder / "node"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = ("--data-dir", node)
    stake = _json(CLI, "keys", "new", "stake", "--chain", "devnet", *place)
    settings = (
        f"network.port={port}",
        "rpc.port=0",
        "chain.mine=true",
        f"chain.miner_address={stake['address']}",
    )
    given = [word for setting in settings for word in ("--set", setting)]
    texts = {
        "operator": _json(DAEMON, "init", *given, *place)["operator"],
        "stake": stake["address"],
        "treasury": _json(CLI, "keys", "new", "treasury", *place)["public_key"],
        "time": int(time.time()),
    }
    description = folder / "network.toml"
    description.write_text(DESCRIPTION.format(**texts, registration=""))
    wish = ("--stake-address", texts["stake"], "--stake-key", node / "keys" / "stake.key")
    made = _json(CLI, "keys", "register", "--founding", description, *wish, *place)
    description.write_text(DESCRIPTION.format(**texts, registration=made["registration"]))
    _json(CLI, "genesis", "new", description, "--out", folder / "genesis")
    _json(DAEMON, "init", "--genesis", folder / "genesis", *place)
    return node


def _start(node: Path) -> "subprocess.Popen[str]":
    """Start the daemon and wait until it answers."""
    process = subprocess.Popen(
        [*DAEMON, "run", "--data-dir", str(node)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + START_SECONDS_MAX
    while _run(CLI, "status", "--data-dir", node).returncode:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)
    return process


def _end(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """Ask the daemon to stop; return its log."""
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    _, log = process.communicate(timeout=STOP_SECONDS_MAX)
    assert process.returncode == 0
    return [json.loads(line) for line in log.splitlines()]


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def test_daemon_is_asked_killed_succeeded_and_stopped(node: Path) -> None:
    daemon = _start(node)
    try:
        before = _asked_by_every_command(node)
        cookie = (node / "rpc.cookie").read_text()
        _second_is_refused(node, daemon.pid)
    finally:
        _kill(daemon)
    stale = _run(CLI, "status", "--data-dir", node)
    assert stale.returncode == 69 and "no daemon answers" in stale.stderr

    daemon = _start(node)
    try:
        after = _json(CLI, "status", "--data-dir", node)
        assert after["height"] >= before["height"] and after["data_height"] >= before["data_height"]
        assert after["operator"] == before["operator"] and (node / "rpc.cookie").read_text() != cookie
        log = _end(daemon)
    finally:
        _kill(daemon)
    assert [line["event"] for line in log if line["event"] in ("started", "stopping")] == [
        "started",
        "stopping",
    ]
    assert not [line for line in log if line["level"] == "error" or "traceback" in line]
    assert not (node / "rpc.cookie").exists() and not (node / "rpc.address").exists()
    gone = _run(CLI, "status", "--data-dir", node)
    assert gone.returncode == 69 and "start it with: zenp2pd run" in gone.stderr


def _asked_by_every_command(node: Path) -> dict[str, Any]:
    place = ("--data-dir", node)
    status = _json(CLI, "status", *place)
    assert status["voter"] is True and status["network"] == "alone"
    assert _run(CLI, "--data-dir", node, "status").stdout.startswith("version ")
    methods = json.loads(_run(CLI, "rpc", "rpc.methods", *place, ZENP2P_DATA_DIR="/nonexistent").stdout)
    assert {"node.status", "challenge.current", "challenge.why"} <= {method["name"] for method in methods}

    deadline = time.monotonic() + START_SECONDS_MAX
    while _run(CLI, "challenge", "current", *place).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    challenge = _json(CLI, "challenge", "current", *place)
    assert {"seq", "anchor_height", "anchor_hash", "txids", "opens", "closes", "due_seconds"} <= set(
        challenge
    )
    why = _json(CLI, "why", challenge["seq"], *place)
    assert why["seq"] == challenge["seq"] and why["reason"]
    assert _run(CLI, "why", challenge["seq"], *place).stdout.startswith("seq ")
    missing = _run(CLI, "challenge", "show", 999, *place)
    assert missing.returncode == 66 and missing.stderr == "zenp2p: challenge 999 is not known here\n"
    return status


def _second_is_refused(node: Path, holder: int) -> None:
    for command in ("run", "init"):
        second = _run(DAEMON, command, "--data-dir", node)
        assert second.returncode == 75 and second.stderr.count("\n") == 1
        assert f"process {holder} " in second.stderr


def test_a_registration_made_while_the_daemon_runs_is_handed_in(node: Path) -> None:
    """The daemon need not be started anew; what no network would take is refused for good."""
    daemon = _start(node)
    try:
        (node / "new").write_bytes(b"no registration")
        (node / "new").rename(node / "registration")
        assert daemon.stderr is not None
        heard = (json.loads(line)["event"] for line in islice(daemon.stderr, LINES_MAX))
        assert "registration done" in heard
        _end(daemon)
    finally:
        _kill(daemon)
        (node / "registration").unlink()


def test_taken_port_keeps_a_daemon_from_starting(node: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = _run(DAEMON, "run", "--data-dir", node, "--set", f"rpc.port={port}")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert ended.returncode == 69
    assert lines == [f"zenp2pd: RPC cannot listen on 127.0.0.1:{port}: Address already in use"]
