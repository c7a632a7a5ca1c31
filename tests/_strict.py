"""A pytest plugin that makes a skipped test a failure, for CI: nobody reads what a green run left out.

The Makefile loads it (`-p tests._strict`); it does nothing unless HERCLE_STRICT_SKIPS=1.
"""

from __future__ import annotations

import os

import pytest


class StrictSkips:
    """Collects every skip, of a test or of a whole module, and fails the session if there was one."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that was skipped as a whole."""
        self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test; an expected failure is none."""
        if not hasattr(report, "wasxfail"):
            self._note(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn success into failure."""
        if self.skipped and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List what was skipped, and why."""
        if not self.skipped:
            return
        terminalreporter.section("skipped, which HERCLE_STRICT_SKIPS=1 forbids", red=True, bold=True)
        for name, reason in self.skipped.items():
            terminalreporter.line(f"{name}: {reason}")

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skipped[report.nodeid] = reason.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    """Switch the plugin on where the environment asks for it."""
    if os.environ.get("HERCLE_STRICT_SKIPS") == "1":
        config.pluginmanager.register(StrictSkips(), "strict-skips")
