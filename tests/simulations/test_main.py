"""The command: one JSON line, an exit code, clear refusals."""

import json

import pytest

from simulations.__main__ import main, parse_faults
from simulations.options import ALL_FAULTS, Fault

FIELDS = ["violations", "stalled", "events", "trace_hash", "lists_paid", "faults"]
FAULTS = [
    "lost",
    "delayed",
    "reordered",
    "partitions",
    "crashes",
    "restarts",
    "reorganisations",
    "byzantine_votes",
]


def test_a_clean_run_prints_one_line_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "--nodes", "4", "--seeds", "1", "--first-seed", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and err == ""
    report = json.loads(out)
    assert list(report) == FIELDS and list(report["faults"]) == FAULTS
    assert report["violations"] == report["stalled"] == 0 and len(report["trace_hash"]) == 64


def test_a_breach_is_told_with_its_seed_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cluster", "--seeds", "1", "--first-seed", "4", "--plant", "send-before-persist", "--json"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["violations"] > 0
    assert "seed 4: VIOLATION recorded_before_said: " in err and "--first-seed 4 --seeds 1" in err


def test_an_error_of_our_own_is_a_violation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("simulations.report.run_seed", fail)
    assert main(["cluster", "--seeds", "1", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["violations"] == 1 and "ZeroDivisionError: planted" in err


def test_residence_is_told_by_age(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["residence", "--events", "80", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["events"] == 80 and told["ages"]["4"]["shortest"] == told["ages"]["4"]["longest"] == 16


def test_a_list_that_all_machines_have_is_told_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "list",
        "--voters",
        "30",
        "--machines",
        "4",
        "--dishonest",
        "silent",
        "--seed",
        "2",
        "--json",
    ]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert out.count("\n") == 1 and err == ""
    assert (told["voters"], told["machines"], told["dishonest"], told["values"]) == (30, 4, 9, 1)
    assert told["violations"] == 0 and len(told["trace_hash"]) == 64


def test_without_agreement_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulations.list_run.ListRun._is_over", lambda _: True)
    assert main(["list", "--voters", "7", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["decided"] == 0 and "0 of 7 machines have 0 different lists" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--voters", "3"],
        ["list", "--voters", "5001"],
        ["list", "--percent", "34"],
        ["list", "--dishonest", "lazy"],
        [],
        ["residence", "--events", "0"],
        ["cluster", "--nodes", "3"],
        ["cluster", "--nodes", "x"],
        ["cluster", "--seeds", "0"],
        ["cluster", "--faults", "loss,earthquake"],
        ["cluster", "--plant", "kindness"],
        ["cluster", "--first-seed", "-1"],
    ],
)
def test_what_cannot_be_run_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2 and capsys.readouterr().err


def test_faults_are_all_none_or_a_list() -> None:
    assert parse_faults("all") == ALL_FAULTS and parse_faults("none") == frozenset()
    assert parse_faults("loss,crashes") == {Fault.LOSS, Fault.CRASHES}
    assert parse_faults("all,deep-reorganisations") == frozenset(Fault) > ALL_FAULTS
    assert parse_faults("deep-reorganisations") == {Fault.DEEP_REORGANISATIONS}
