"""Functions and files stay within their limits."""

from pathlib import Path

from tests.architecture.planting import plant
from tests.architecture.sizes import FILE_LINES_MAX, FUNCTION_LINES_MAX, size_breaches
from tests.architecture.source import ROOT


def test_nothing_is_too_long() -> None:
    assert size_breaches(ROOT) == []


def function(lines: int) -> str:
    return "class A:\n    async def f(self):\n" + "        pass\n" * (lines - 1)


def test_a_planted_long_function_is_seen(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"zenp2p/a.py": function(FUNCTION_LINES_MAX), "tests/b.py": function(FUNCTION_LINES_MAX + 1)},
    )
    assert [line.partition(":")[0] for line in size_breaches(tmp_path)] == ["tests/b.py"]


def test_a_planted_long_file_is_seen(tmp_path: Path) -> None:
    plant(
        tmp_path, {"cli/a.py": "x = 1\n" * FILE_LINES_MAX, "protocol/b.py": "x = 1\n" * (FILE_LINES_MAX + 1)}
    )
    assert [line.partition(":")[0] for line in size_breaches(tmp_path)] == ["protocol/b.py"]
