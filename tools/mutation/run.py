"""Plants one fault after another and runs the rows that use the function."""

import dataclasses
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tools.mutation.equivalent import EQUIVALENT
from tools.mutation.left import LEFT
from tools.mutation.operators import Mutation, mutations
from tools.mutation.subjects import Subject
from tools.mutation.targets import Place, functions, named, planted, source

PATIENCE = 90
"""Seconds of processor time, beyond twice what a row takes without a fault, after which a fault that makes it run
endlessly counts as found."""


class OutOfPatience(BaseException):
    """A row takes too long. No ``Exception``, or a check would record it as what the row found."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A rewriting and where it is planted."""

    place: Place
    mutation: Mutation

    @property
    def description(self) -> tuple[str, str, str, str, str]:
        """How the table of equivalents identifies it: not by line numbers, which move."""
        return self.place.file, self.place.name, self.mutation.operator, self.mutation.before, self.mutation.after

    @property
    def equivalent(self) -> tuple[str, str, str, str, str] | None:
        """Its row in the table of equivalents, if it has one."""
        described = self.place.file, self.place.name, self.mutation.operator
        if described not in {row[:3] for row in EQUIVALENT}:
            return None
        rows = ((*described, *reading) for reading in self.mutation.readings(source(self.place)))
        return next((row for row in rows if row in EQUIVALENT), None)

    def __str__(self) -> str:
        place, m = self.place, self.mutation
        return f"fnn/{place.file}:{m.line} {place.name}, {m.operator}: {m.before}  →  {m.after or 'nothing'}"


@dataclasses.dataclass
class Outcome:
    """What became of the planted faults; ``late`` are those that only the full proof finds."""

    killed: list[tuple[Fault, str, str]] = dataclasses.field(default_factory=list)
    late: list[tuple[Fault, str]] = dataclasses.field(default_factory=list)
    survivors: list[Fault] = dataclasses.field(default_factory=list)
    equivalent: list[Fault] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)

    @property
    def quick(self) -> float:
        """The share of the found faults that the quick proof finds by itself."""
        return 1 - len(self.late) / max(len(self.killed), 1)

    def join(self, other: "Outcome") -> None:
        for field in dataclasses.fields(self):
            getattr(self, field.name).extend(getattr(other, field.name))

    @property
    def good(self) -> bool:
        return not self.survivors and not self.errors

    def counts(self, by: Callable[[Fault], str]) -> Iterator[tuple[str, int, int]]:
        """Numbers of killed and planted faults, without equivalents, grouped by ``by(fault)``."""
        killed = Counter(by(fault) for fault, _, _ in self.killed)
        planted = killed + Counter(map(by, self.survivors))
        for name in sorted(planted):
            yield name, killed[name], planted[name]


class Plan:
    """The faults that can be planted, and the rows that may find each."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self.subjects = list(subjects)
        self._wrong: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        rows = [subject for subject in self.subjects if subject.kind]  # a test does not separate its passes
        forward = set().union(*(row.forward for row in rows))
        backward = set().union(*(row.backward for row in rows))
        self.places = sorted(((backward - forward) & functions().keys()) | named())

    def asked(self, place: Place) -> list[Subject]:
        """The rows whose backward runs this function."""
        return [subject for subject in self.subjects if place in subject.backward]

    def classes(self, place: Place) -> set[str]:
        """The classes whose backward reaches this function."""
        return {subject.kind for subject in self.asked(place)}

    def faults(self, only: str = "") -> list[Fault]:
        """Every fault, or those whose file or function contains ``only``, or that a class of this name reaches."""
        wanted = [place for place in self.places if only in str(place) or only in self.classes(place)]
        return [Fault(place, mutation) for place in wanted for mutation in mutations(source(place))]

    def run(self, faults: Iterable[Fault], seen: Callable[[Fault], Any] = lambda fault: None) -> Outcome:
        """Plants each fault in turn; those in the table of equivalents must survive."""
        outcome = Outcome()
        for fault in faults:
            seen(fault)
            rows = [row for row in self.asked(fault.place) if self._sound(row, outcome)]
            name, line, quick = self._found(fault, sorted(rows, key=lambda row: not row.quick))
            if fault.equivalent:
                outcome.equivalent.append(fault)
                if name:
                    outcome.errors.append(f"listed as equivalent, but found by {name} ({line}): {fault}")
            elif name:
                outcome.killed.append((fault, name, line))
                if not quick:
                    outcome.late.append((fault, name))
            else:
                outcome.survivors.append(fault)
        return outcome

    def _sound(self, row: Subject, outcome: Outcome) -> bool:
        """Whether a row passes without a fault: one that fails would find every fault and prove nothing."""
        if row.name not in self._wrong:
            began = time.process_time()
            self._wrong[row.name] = row.fault()
            self._seconds[row.name] = time.process_time() - began
            if self._wrong[row.name]:
                outcome.errors.append(f"{row.name} fails without a planted fault: {self._wrong[row.name]}")
        return not self._wrong[row.name]

    def _found(self, fault: Fault, rows: list[Subject]) -> tuple[str, str, bool]:
        """The first row that finds a fault, its message, and whether it is in the quick proof."""
        quick = True
        try:
            with planted(fault.place, fault.mutation.planted(source(fault.place))):
                for row in rows:
                    quick = row.quick
                    with patience(PATIENCE + 2 * self._seconds[row.name]):
                        line = row.fault()
                    if line:
                        return row.name, line, quick
        except SyntaxError as error:
            return "the compiler", str(error), True
        except OutOfPatience:
            return (
                "the time limit",
                f"a row took over {PATIENCE} seconds beyond twice its usual time",
                quick,
            )
        return "", "", False


def unexplained(outcome: Outcome) -> list[str]:
    """Where the faults that only the full proof finds differ from the table of reasons."""
    found = {fault.place for fault, _ in outcome.late}
    new = [f"found only by the full proof, and not explained: {place}" for place in found - LEFT.keys()]
    return new + [f"explained, but the quick proof finds every fault there: {place}" for place in LEFT.keys() - found]


def unmatched(faults: Iterable[Fault]) -> list[str]:
    """The rows of the table of equivalents that no longer match a fault."""
    known = {fault.equivalent for fault in faults}
    return [f"no longer matches a fault: {each}" for each in EQUIVALENT if each not in known]


def sampled(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """A random sample of the faults, in their order."""
    chosen = random.Random(seed).sample(range(len(faults)), min(count, len(faults)))
    return [faults[index] for index in sorted(chosen)]


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raises ``OutOfPatience`` inside after so many seconds of processor time."""

    def stop(number: int, frame: Any) -> None:
        raise OutOfPatience

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again every second, in case the first is swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
