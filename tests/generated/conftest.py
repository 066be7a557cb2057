"""What the generated cases found, after the tests."""

from typing import Any

from tests.generated.property import RECORD


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if RECORD.cases:
        terminalreporter.write_sep("-", "generated models")
        terminalreporter.write_line(str(RECORD))
