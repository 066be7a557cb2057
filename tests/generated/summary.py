"""What the generated models found, after the tests."""

from typing import Any

import pytest

from tests.generated.property import Record

TOTAL = Record()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, value in report.user_properties:
            if name == "record":
                TOTAL.add(Record(**value))  # type: ignore[arg-type]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TOTAL.models:
        terminalreporter.write_line(f"Generated: {TOTAL}")
