"""In CI (the environment variable CI is set) a skipped test is a failed one.

A tool or data that is missing there would otherwise turn its tests off without a
word. A reason that may be skipped all the same is entered in `ALLOWED_REASONS`.
An expected failure (`xfail`) is no skip.
"""

import os
from collections.abc import Generator

import pytest

ALLOWED_REASONS: frozenset[str] = frozenset()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See every test's report after all other hooks."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """See every module's report: a module can skip itself whole."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if reason not in ALLOWED_REASONS:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"
