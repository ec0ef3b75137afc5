"""A skip is a failure in CI, in whatever way it is written, and a skip elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.planting import plant
from tests.architecture.source import ROOT

WAYS = {
    "call": "import pytest\ndef test_a():\n    pytest.skip('no browser')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_a(): ...\n",
    "skipif": "import pytest\n@pytest.mark.skipif(True, reason='no browser')\ndef test_a(): ...\n",
    "fixture": (
        "import pytest\n@pytest.fixture\ndef tool():\n    pytest.skip('no browser')\ndef test_a(tool): ...\n"
    ),
    "module": "import pytest\npytest.skip('no browser', allow_module_level=True)\n",
    "import": "import pytest\nno_browser = pytest.importorskip('no_browser')\ndef test_a(): ...\n",
}
GOOD = "import pytest\ndef test_a(): ...\n@pytest.mark.xfail(reason='known')\ndef test_b():\n    assert 0\n"


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one test file for each way of skipping, and a good one, in a pytest of its own."""
    plant(folder, {f"test_{way}.py": text for way, text in WAYS.items()} | {"test_good.py": GOOD})
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.skips", "-q", "-rA", "-c", os.devnull]
    options = ["--continue-on-collection-errors", "-p", "no:cacheprovider", str(folder)]
    plain = {name: value for name, value in os.environ.items() if name != "CI"}
    plain["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        command + options, cwd=ROOT, env=plain | environment, capture_output=True, text=True, timeout=120
    )


def test_a_skip_fails_the_run_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, CI="1")
    assert done.returncode != 0
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert "1 passed, 1 xfailed" in done.stdout  # the good file, and nothing else
    summary = done.stdout.partition("short test summary")[2]
    blamed = [line for line in summary.splitlines() if line.startswith(("FAILED", "ERROR"))]
    for way in WAYS:
        assert any(f"test_{way}.py" in line for line in blamed), way
    assert len(blamed) == len(WAYS)
    assert done.stdout.count("skipped, which CI does not allow: ") >= len(WAYS)


def test_a_skip_elsewhere_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    assert f"1 passed, {len(WAYS)} skipped, 1 xfailed" in done.stdout


def test_the_hooks_are_in_force_here(request: pytest.FixtureRequest) -> None:
    """What the runs above load by name, this run has through its conftest."""
    hooks = request.config.pluginmanager.hook.pytest_runtest_makereport.get_hookimpls()
    assert any(hook.function.__module__ == "tests.support.skips" for hook in hooks)
