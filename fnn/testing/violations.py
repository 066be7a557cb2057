"""What a checker found wrong: collected line by line, raised as one error."""

import copy
import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np


class Violations:
    """The violations of one subject. A check adds lines and goes on; ``finish`` raises if there are any."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.lines: list[str] = []
        self.mode = ""
        self.cause: Exception | None = None

    def add(self, line: str) -> None:
        line = f"{self.mode}: {line}" if self.mode else line
        if line not in self.lines:
            self.lines.append(line)

    def expect(self, holds: Any, line: str) -> bool:
        """Adds the line unless it holds; says whether it does."""
        if not holds:
            self.add(line)
        return bool(holds)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Turns an exception into a violation, so that the checks that do not depend on it still run."""
        try:
            yield
        except Exception as error:
            self.cause = self.cause or error
            message = str(error).strip().splitlines()
            self.add(f"{what}: raised {type(error).__name__}: {message[0] if message else ''}")

    def finish(self) -> None:
        """Raises one ``AssertionError`` with every line, from the first exception met."""
        if self.lines:
            count = "1 violation" if len(self.lines) == 1 else f"{len(self.lines)} violations"
            listed = "\n".join(f"  - {line}" for line in self.lines)
            raise AssertionError(f"{self.subject}: {count} of the contract\n{listed}") from self.cause


def check_record(found: Violations, record: Any) -> None:
    """A layer, loss or penalty is a frozen dataclass of configuration: hashable, comparable, printable, no arrays."""
    frozen = dataclasses.is_dataclass(record) and type(record).__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not found.expect(frozen, "a frozen dataclass expected: decorate the class @dataclasses.dataclass(frozen=True)"):
        return
    with found.step("hash"):
        hash(record)
    _check_repr(found, record)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        found.expect(
            not any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(value)),
            f"field {field.name!r}: expected configuration, got an array; arrays belong into params or state",
        )
    with found.step("made again from its fields"):
        if type(record).__dataclass_params__.init:  # type: ignore[attr-defined]
            again = type(record)(**{f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.init})
            equal = again == record and hash(again) == hash(record)
            found.expect(equal, f"made again from its fields: expected an equal record, got {again!r}")


def check_value(found: Violations, optimizer: Any) -> None:
    """An optimiser that is a dataclass prints, hashes and compares; with an array in it, it equals itself alone."""
    if not dataclasses.is_dataclass(optimizer):
        return
    _check_repr(found, optimizer)
    with found.step("equal to itself"):
        found.expect(optimizer == optimizer, "equal to itself: expected True")
    with found.step("hash"):
        hash(optimizer)
        fields = [getattr(optimizer, field.name) for field in dataclasses.fields(optimizer) if field.compare]
        if not any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(fields)):
            again = copy.copy(optimizer)
            equal = again == optimizer and hash(again) == hash(optimizer)
            found.expect(equal, "a copy: expected an equal optimiser, or one made again is compiled again")


def _check_repr(found: Violations, record: Any) -> None:
    with found.step("repr"):
        found.expect(
            not re.search(r"\bat 0x[0-9a-f]+", repr(record)),
            f"repr: expected no memory address, got {record!r}; make that value a frozen dataclass",
        )
