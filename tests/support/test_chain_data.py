"""The rule for missing chain data: a skip with a reason at home, a failure in CI."""

from pathlib import Path

import pytest

from tests.support.chain_data import ENVIRONMENT, chain_data_path, read_cases, read_hex_lines


@pytest.mark.parametrize("ci", [False, True])
def test_missing_data_skips_at_home_and_fails_in_ci(
    ci: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    if ci:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)
    outcome = pytest.fail.Exception if ci else pytest.skip.Exception
    with pytest.raises(outcome, match=f"none.json not found .* set {ENVIRONMENT}"):
        chain_data_path("none.json")


def test_the_environment_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    (tmp_path / "blocks.txt").write_text("00ff\n01\n")
    (tmp_path / "cases.json").write_text('[["a comment"], [1, 2], ["another"]]')
    assert read_hex_lines("blocks.txt") == [b"\x00\xff", b"\x01"]
    assert read_cases("cases.json") == [[1, 2]]
