"""The command `zenp2p devnet` itself: when a daemon dies, when it is interrupted, and beside another one."""

import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.devnet import PAID_SECONDS_MAX, Devnet, processes_in, run, wait_for

pytestmark = pytest.mark.functional

UNAVAILABLE, INTERRUPTED = 69, 130
START_SECONDS_MAX = 60


def test_a_daemon_that_dies_ends_the_command_which_names_it(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path / "devnet")
    try:
        names = [f"honest-{number}" for number in range(1, 5)]
        wait_for("the founders answer", lambda: all_there(devnet, names), START_SECONDS_MAX)
        children = devnet.children()
        (victim,) = [pid for pid in children if str(devnet.data_dir("honest-3")) in command_line(pid)]
        os.kill(victim, signal.SIGKILL)
        assert devnet.wait_for_end(START_SECONDS_MAX) == UNAVAILABLE
        said = devnet.printed.splitlines()[-1]
        assert said == "zenp2p: node honest-3 ended with exit code -9; see its log"
        assert processes_in(devnet.folder) == []
        assert not devnet.report_file.exists()
    finally:
        devnet.clean_up()


def test_interrupted_before_the_payment_is_no_success_and_leaves_nobody_behind(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path / "devnet", "--until-paid")
    try:
        wait_for("the first daemon answers", lambda: all_there(devnet, ["honest-1"]), START_SECONDS_MAX)
        assert len(processes_in(devnet.folder)) >= 8
        for number in signal.SIGHUP, signal.SIGINT, signal.SIGINT, signal.SIGTERM:  # people press twice
            devnet.signal(number)
        assert devnet.wait_for_end(START_SECONDS_MAX) == INTERRUPTED
        assert devnet.printed.splitlines()[-1] == "stopping"
        assert processes_in(devnet.folder) == []
        assert not devnet.report_file.exists()
    finally:
        devnet.clean_up()


def all_there(devnet: Devnet, names: Sequence[str]) -> bool | None:
    """Return True once the daemons of these nodes answer, else None."""
    return all((devnet.data_dir(name) / "rpc.cookie").exists() for name in names) or None


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.nightly
def test_two_networks_side_by_side_until_both_have_paid(tmp_path: Path) -> None:
    devnets = [Devnet(tmp_path / name, "--until-paid") for name in ("one", "other")]
    try:
        assert [devnet.wait_for_end(2 * PAID_SECONDS_MAX) for devnet in devnets] == [0, 0]
        reports = [devnet.report for devnet in devnets]
        assert reports[0]["network_id"] != reports[1]["network_id"]
        for report in reports:
            assert report["payment"]["confirmed"] and report["verify"]["exit_code"] == 0
            assert run("zenp2p", *shlex.split(report["verify"]["command"])[1:]).code == 0
    finally:
        for devnet in devnets:
            devnet.clean_up()
