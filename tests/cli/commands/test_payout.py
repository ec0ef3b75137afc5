"""`zenp2p payout verify`: files alone, the right exit code, and one line for whatever is wrong."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.commands import payout as payout_commands
from cli.main import cli
from cli.output import run_command
from protocol.chain.address import encode_address
from protocol.codec import encode, replace
from protocol.genesis import encode_genesis
from protocol.payout.list_file import decode_list_file, encode_list_file
from protocol.payout.list_header import Entry, entries_root, list_hash
from tests.support.payout_world import SIGNERS, certify, devnet_world, make_genesis, stake_of
from zenp2p.api.errors import NotFound

WORLD = devnet_world()
LIST = WORLD.list()
FILE = WORLD.certified(LIST)
PREFIXES = WORLD.genesis.chain.prefixes


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, output and errors."""
    code = run_command("zenp2p", lambda: cli.main(list(arguments), "zenp2p", standalone_mode=False))
    return code, *capsys.readouterr()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "genesis").write_bytes(encode_genesis(WORLD.genesis))
    (tmp_path / "list").write_bytes(FILE)
    return tmp_path


def verify(
    capsys: pytest.CaptureFixture[str], folder: Path, data: bytes | None = None, *more: str
) -> tuple[int, str, str]:
    if data is not None:
        (folder / "list").write_bytes(data)
    return run(capsys, "payout", "verify", str(folder / "list"), "--trust", str(folder / "genesis"), *more)


def refused(capsys: pytest.CaptureFixture[str], folder: Path, data: bytes, sentence: str) -> None:
    code, out, err = verify(capsys, folder, data)
    assert code == 65
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n") and sentence in err
    assert "Traceback" not in err


def test_a_good_list(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, err = verify(capsys, folder, None, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert json.loads(out) == {
        "valid": True,
        "network_id": LIST.header.network.hex(),
        "period": 1,
        "first_height": 24,
        "last_height": 47,
        "list_hash": list_hash(LIST.header).hex(),
        "pool": 1_050_000_007,
        "paid_total": 1_050_000_000,
        "carried": 7,
        "responses": 12,
        "per_response": 87_500_000,
        "addresses": 4,
        "signers": 4,
        "voters": 4,
        "age_signed": 16,
        "age_total": 16,
    }


def test_what_an_address_gets(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    paid = encode_address(stake_of(WORLD.operators[0]), PREFIXES)
    code, out, _ = verify(capsys, folder, None, "--address", paid, "--json")
    assert code == 0
    assert json.loads(out)["entry"] == {"address": paid, "responses": 3, "amount": 262_500_000}
    other = encode_address(bytes(21), PREFIXES)
    code, out, _ = verify(capsys, folder, None, "--address", other, "--json")
    assert (code, json.loads(out)["entry"]["amount"]) == (0, 0)


def test_lines_for_people(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    paid = encode_address(stake_of(WORLD.operators[0]), PREFIXES)
    code, out, _ = verify(capsys, folder, None, "--address", paid)
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert (rows["pool"], rows["carried"], rows["amount"]) == ("10.50000007", "0.00000007", "2.62500000")
    assert rows["list_hash"] == list_hash(LIST.header).hex()


def test_an_address_of_another_network_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, _, err = verify(capsys, folder, None, "--address", "znX1")
    assert code == 64 and err.count("\n") == 1


def test_changed_bytes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for at in range(0, len(FILE), 7):
        damaged = FILE[:at] + bytes([FILE[at] ^ 0x21]) + FILE[at + 1 :]
        refused(capsys, folder, damaged, "zenp2p: ")


def colluding(entries: Sequence[Entry], **changes: object) -> bytes:
    counts = {"entries_count": len(entries), "entries_root": entries_root(entries)}
    header = replace(LIST.header, **{**counts, **changes})
    return encode_list_file(header, entries, LIST.members, certify(header, SIGNERS[:4]))


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    first = LIST.entries[0]
    greedy = [replace(entry, amount=2 * entry.amount) for entry in LIST.entries]
    refused(capsys, folder, WORLD.certified(LIST, SIGNERS[:2]), "2 of 4 voters are not a quorum")
    refused(capsys, folder, colluding([first, *LIST.entries]), "stands in the list twice")
    refused(capsys, folder, colluding(greedy), "more than the pool of 10.50000007")
    refused(capsys, folder, colluding(LIST.entries[::-1]), "not sorted")
    refused(capsys, folder, FILE[:-1], "not a list file")
    refused(capsys, folder, b"", "not a list file")
    refused(capsys, folder, FILE + bytes(1 << 23), "not a list file")
    refused(capsys, folder, b"\x91" * (7 << 20), "not a list file")


def test_a_foreign_genesis(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "genesis").write_bytes(encode_genesis(make_genesis(carried=8)))
    refused(capsys, folder, FILE, "the genesis file is of")


def test_a_genesis_that_is_none(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for data in (b"", FILE, encode_genesis(WORLD.genesis)[:-1]):
        (folder / "genesis").write_bytes(data)
        refused(capsys, folder, FILE, "not a genesis file")


def test_missing_files(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for name in ("list", "genesis"):
        moved = (folder / name).rename(folder / "elsewhere")
        code, out, err = verify(capsys, folder)
        assert (code, out) == (66, "")
        assert f"{folder / name}: No such file" in err and err.count("\n") == 1
        moved.rename(folder / name)


def test_a_folder_is_no_list(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "list").unlink()
    (folder / "list").mkdir()
    code, _, err = verify(capsys, folder)
    assert code == 66 and err.count("\n") == 1


def test_trust_must_be_named(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, _, err = run(capsys, "payout", "verify", str(folder / "list"))
    assert code == 2 and "--trust" in err


def test_as_a_process(folder: Path) -> None:
    """The same by the installed way: exit code, one line, no traceback."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "payout", "verify"]
    files = [str(folder / "list"), "--trust", str(folder / "genesis")]
    good = subprocess.run([*command, *files], capture_output=True, text=True, timeout=60)
    assert (good.returncode, good.stderr) == (0, "")
    damaged = replace(decode_list_file(FILE), entries=LIST.entries[1:])
    (folder / "list").write_bytes(encode(damaged))
    bad = subprocess.run([*command, *files], capture_output=True, text=True, timeout=60)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (65, "", 1)


SUMMARY = {
    "period": 1,
    "list_hash": list_hash(LIST.header).hex(),
    "pool": 1_050_000_007,
    "paid_total": 1_050_000_000,
    "carried": 7,
    "addresses": 4,
    "signers": 4,
}


class Daemon:
    """Answers the three methods that the commands ask."""

    def call(self, method: str, params: dict[str, int] | None = None) -> object:
        if params and params["period"] != 1:
            raise NotFound(f"no certified list of period {params['period']}")
        entries = [{"address": "zdOne", "responses": 3, "amount": 262_500_000}]
        answers: dict[str, object] = {
            "payout.list": [SUMMARY],
            "payout.show": {**SUMMARY, "entries": entries, "certificate": {"round": 0, "signers": []}},
            "payout.export": {"period": 1, "file": FILE.hex()},
        }
        return answers[method]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payout_commands, "connect", lambda context: Daemon())


@pytest.mark.usefixtures("daemon")
def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "payout", "list", "--json")
    assert (code, json.loads(out)) == (0, {"lists": [SUMMARY]})
    assert "paid 10.50000000  carried 0.00000007" in run(capsys, "payout", "list")[1]
    code, out, _ = run(capsys, "payout", "show", "1", "--json")
    assert (code, json.loads(out)["entries"][0]["amount"]) == (0, 262_500_000)
    assert "zdOne     3  2.62500000" in run(capsys, "payout", "show", "1")[1]
    code, _, err = run(capsys, "payout", "show", "2")
    assert code == 66 and "no certified list of period 2" in err


@pytest.mark.usefixtures("daemon")
def test_export_writes_what_verify_reads(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    path = folder / "exported"
    code, out, _ = run(capsys, "payout", "export", "1", "--out", str(path))
    assert (code, out) == (0, f"{path}\n")
    assert path.read_bytes() == FILE
    code, _, err = run(capsys, "payout", "export", "1", "--out", str(path))
    assert code == 73 and "is not written over" in err
