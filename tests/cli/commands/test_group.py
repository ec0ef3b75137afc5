"""`zenp2p group show`, `why`, `status` and `challenge show` over a node of a network with two groups."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cli import tables
from cli.commands import challenge, group, status, why
from tests.support.command import Run, runner
from tests.support.halves import Halves
from tests.support.operators import Operator

WIDTH = 80


@pytest.fixture(scope="module")
def network() -> Halves:
    """Two groups, of which group 1 has stopped after the first challenge."""
    network = Halves()
    network.mine_to(12)
    network.cut = {one.key for one in network.of("1")[:2]}
    network.mine_to(24)
    return network


@pytest.fixture
def one(network: Halves) -> Operator:
    return network.of("0")[0]


@pytest.fixture
def run(
    network: Halves, one: Operator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    def ask(method: str, params: Any = None) -> Any:
        return network.ask(one, method, params)

    for module in (challenge, group, status, why):
        monkeypatch.setattr(module, "connect", lambda context: SimpleNamespace(call=ask))
    return runner(capsys)


@pytest.mark.parametrize("words", [("group", "show"), ("group", "show", "0"), ("status",), ("why", "2")])
def test_json_is_what_the_node_says(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words, "--json")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert isinstance(json.loads(ended.out), dict)


def test_all_groups_are_a_table_and_what_is_owed_stands_below(run: Run) -> None:
    ended = run("group", "show")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0][:5] == ["group", "state", "members", "voters", "age:members"]
    assert lines[1] == ["0", "runs", "3", "3", "1:3", "1", "1"]
    assert lines[2] == ["1", "stopped", "3", "3", "1:3", "1", "13"]
    assert "! group 1 has stopped: nothing for 13 chain blocks, though it was due" in ended.out
    assert "! group 1: challenge 5 is not judged for 1, due since chain block 23" in ended.out
    assert "members of" not in ended.out


def test_one_group_is_shown_with_its_members_and_ourselves_among_them(
    run: Run, network: Halves, one: Operator
) -> None:
    ended = run("group", "show", "0")
    assert "members of 0" in ended.out and "stopped" not in ended.out
    for member in network.of("0"):
        (line,) = [line for line in ended.out.splitlines() if line.startswith(member.key.hex()[:16])]
        assert line.split()[1:4] == ["1", "yes", "0/2"]
        assert line.endswith("this node") == (member == one)
    assert run("group", "show", "--members").out.count("members of") == 2


@pytest.mark.parametrize("words", [("group", "show", "--members"), ("why", "2")])
def test_eighty_columns_are_enough(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    whole = run(*words).out
    monkeypatch.setattr(tables, "terminal_columns", lambda: WIDTH)
    assert run(*words).out == whole


def test_a_prefix_that_is_none_is_refused(run: Run) -> None:
    assert (run("group", "show", "2").code, run("group", "show", "01").code) == (2, 66)


def test_status_says_where_our_seat_is(run: Run) -> None:
    rows = dict(line.split("  ", 1) for line in run("status").out.splitlines() if "  " in line)
    assert [rows[name].strip() for name in ("seat", "group", "age")] == ["member", "0", "1"]
    out = run("status").out
    assert "events                 0 of 2\n" in out and "votes missed           0 of 1\n" in out
    assert "VALID in challenge" in out and "stopped groups         1\n" in out


def test_why_names_the_group_the_list_and_every_judge(run: Run, network: Halves, one: Operator) -> None:
    told = network.ask(one, "challenge.why", {"seq": 2})
    out = run("why", "2").out
    assert f"judged by group  {told['group']}\n" in out and "list             of period 1" in out
    assert all(judge["judge"][:16] in out for judge in told["judges"]) and "receipt at" in out


def test_why_before_the_verdict_shows_whose_receipts_are_here(
    run: Run, network: Halves, one: Operator
) -> None:
    waiting = [seq for seq in (3, 4, 5) if network.ask(one, "challenge.why", {"seq": seq})["verdict"] is None]
    assert waiting, "the draws have to tell something"
    out = run("why", waiting[0]).out
    assert "none yet" in out and "judged by group  1\n" in out
    assert out.count("received at height") == len(
        network.ask(one, "challenge.why", {"seq": waiting[0]})["receipts"]
    )


def test_a_challenge_is_shown_in_words(run: Run) -> None:
    out = run("challenge", "show", "3").out
    assert "partly judged" in out and "prefix 0, height 4" in out and "verdict VALID" in out
    assert "{" not in out
