"""A test that skips proves nothing: in CI and in the drill, where everything is there that it may want, it fails."""

import os
from collections.abc import Generator

import pytest

from tests.drill.facts import WANTED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of a test as it is, but for a skip where there must be none."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and (os.environ.get("CI") or os.environ.get(WANTED)):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"nothing may be skipped here: {reason}"
    return report
