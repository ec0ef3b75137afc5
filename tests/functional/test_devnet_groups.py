"""A real network of sixteen daemons in groups: nodes join, move, crash and come back, and two lists are paid.

One devnet on each chain, started once; every test looks at both.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from protocol.genesis import decode_genesis
from protocol.group.membership import genesis_membership
from protocol.group.name import matches
from protocol.payout.list_header import ListHeader
from tests.support.devnet import Devnet, processes_in, refusal, run, running_devnet

pytestmark = pytest.mark.functional

BAD_DATA = 65
GROUP_SIZE = 4
FOUNDERS, NEWCOMERS = 12, 4
HEADER, MEMBERS = 2, 4
MEMBERS_ROOT, VOTERS_ROOT, PREVIOUS = "members_root", "voters_root", "previous"


@pytest.fixture(scope="module", params=["embedded", pytest.param("litecoind", marks=pytest.mark.nightly)])
def devnet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    options = ("--nodes", str(FOUNDERS + NEWCOMERS), "--group-size", str(GROUP_SIZE))
    folder = tmp_path_factory.mktemp("groups")
    with running_devnet(folder, *options, "--chain", request.param) as devnet:
        yield devnet


@pytest.fixture
def report(devnet: Devnet) -> dict[str, Any]:
    return devnet.report


def test_the_founders_names_fall_six_and_six(report: dict[str, Any]) -> None:
    genesis = decode_genesis(Path(report["payout"]["genesis_file"]).read_bytes())
    names = [member.name for member in genesis_membership(genesis).members]
    assert (len(names), sum(matches("0", name) for name in names)) == (FOUNDERS, FOUNDERS // 2)


def test_everybody_has_a_place_in_one_of_several_groups(report: dict[str, Any]) -> None:
    groups = report["groups"]
    assert len(groups) >= 2
    for each in groups:
        assert each["members"] == len(each["ages"]) >= GROUP_SIZE
    places = sum(each["members"] for each in groups)
    under_way = FOUNDERS + NEWCOMERS - places
    assert 0 <= under_way <= len(groups) + 1, (
        "at most one that each group has sent on, and one that has asked"
    )


def test_each_kind_of_move_was_seen(report: dict[str, Any]) -> None:
    moves = report["relocations"]
    assert {move["kind"] for move in moves} == {"first", "aged", "rejoin"}
    nodes = {node["operator"]: node["name"] for node in report["nodes"]}
    for move in moves:
        assert set(move) == {"kind", "operator", "from", "to", "age"}
        assert move["operator"] in nodes
        assert move["kind"] != "first" or move["age"] == 1
    (back,) = [move for move in moves if move["kind"] == "rejoin"]
    assert nodes[back["operator"]] == f"founder-{FOUNDERS}", "the one that was killed"
    assert report["links"] >= len(moves)


def test_lists_are_paid_one_after_the_other(report: dict[str, Any]) -> None:
    first, second = report["lists"][:2]
    assert second["period"] == first["period"] + 1
    for each in report["lists"]:
        assert set(each) == {"period", "list_hash", "heads", "paid_total", "txids", "verify_exit_code"}
        assert each["verify_exit_code"] == 0 and each["txids"] and each["paid_total"] > 0
    assert report["verify"]["exit_code"] == 0
    responses = sum(entry["responses"] for entry in report["payout"]["entries"])
    assert report["payout"]["carried"] < responses, "a rest that did not divide"


def test_two_lists_verify_in_a_folder_with_nothing_else(report: dict[str, Any], tmp_path: Path) -> None:
    copy_lists(report, tmp_path)
    trust = ("--trust", "genesis")
    assert run("zenp2p", "payout", "verify", "list-1", *trust, cwd=tmp_path).code == 0
    assert run("zenp2p", "payout", "verify", "list-1", "list-2", *trust, cwd=tmp_path).code == 0
    assert (
        run("zenp2p", "payout", "verify", "list-2", *trust, "--chain-of-lists", ".", cwd=tmp_path).code == 0
    )
    behind = ("--remember", "mine")
    done = run("zenp2p", "payout", "verify", "list-1", "list-2", *trust, *behind, cwd=tmp_path)
    assert done.code == 0
    said = refusal(run("zenp2p", "payout", "verify", "list-1", "--trust", "mine", cwd=tmp_path), BAD_DATA)
    assert "behind the trust point" in said


@pytest.mark.parametrize("what", ["previous list", "member's age", "members' root", "voters' root", "heads"])
def test_each_tampering_with_the_second_list_is_refused(
    what: str, report: dict[str, Any], tmp_path: Path
) -> None:
    copy_lists(report, tmp_path)
    path = tmp_path / "list-2"
    path.write_bytes(tampered(path.read_bytes(), what))
    ended = run("zenp2p", "payout", "verify", "list-1", "list-2", "--trust", "genesis", cwd=tmp_path)
    refusal(ended, BAD_DATA)


def copy_lists(report: dict[str, Any], to: Path) -> None:
    """Copy the genesis file and the first two lists as list-1 and list-2, and nothing else."""
    genesis = Path(report["payout"]["genesis_file"])
    shutil.copy(genesis, to / "genesis")
    for number, each in enumerate(report["lists"][:2], start=1):
        shutil.copy(genesis.parent / f"list-{each['period']}", to / f"list-{number}")


def tampered(data: bytes, what: str) -> bytes:
    """Return a list file with one field changed."""
    file = msgpack.unpackb(data)
    place = {name: at for at, name in enumerate(ListHeader.__struct_fields__, start=1)}
    header = file[HEADER]
    match what:
        case "member's age":
            file[MEMBERS][0][1] += 1
        case "heads":
            header[place["heads"]][0][1] += 1
        case _:
            field = {"previous list": PREVIOUS, "members' root": MEMBERS_ROOT, "voters' root": VOTERS_ROOT}[
                what
            ]
            header[place[field]] = bytes(32)
    changed = msgpack.packb(file)
    assert changed != data
    return bytes(changed)


def test_nothing_is_left_running(devnet: Devnet) -> None:
    code, _ = devnet.stop()
    assert code == 0
    assert processes_in(devnet.folder) == []
