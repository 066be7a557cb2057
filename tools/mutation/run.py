"""Plants one fault after another and asks the rows that run the function."""

import dataclasses
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tools.mutation.equivalent import EQUIVALENT
from tools.mutation.left import LEFT
from tools.mutation.operators import Mutation, mutations
from tools.mutation.subjects import Subject
from tools.mutation.targets import Place, functions, named, planted, source

PATIENCE = 30
"""Seconds of computing after which a fault that makes a row run on counts as found: a busy machine is none."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A rewriting and where it is planted."""

    place: Place
    mutation: Mutation

    @property
    def description(self) -> tuple[str, str, str, str, str]:
        """What the table of equivalents may know it by; it does not move with the lines around it."""
        return self.place.file, self.place.name, self.mutation.operator, self.mutation.before, self.mutation.after

    @property
    def equivalent(self) -> tuple[str, str, str, str, str] | None:
        """The row of the table of equivalents that it is, if it is one."""
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
    """What became of the planted faults; ``late`` are those found, but by no row of the quick proof."""

    killed: list[tuple[Fault, str, str]] = dataclasses.field(default_factory=list)
    late: list[tuple[Fault, str]] = dataclasses.field(default_factory=list)
    survivors: list[Fault] = dataclasses.field(default_factory=list)
    equivalent: list[Fault] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)

    @property
    def quick(self) -> float:
        """The part of the faults found that the quick proof finds by itself."""
        return 1 - len(self.late) / max(len(self.killed), 1)

    def join(self, other: "Outcome") -> None:
        for field in dataclasses.fields(self):
            getattr(self, field.name).extend(getattr(other, field.name))

    @property
    def good(self) -> bool:
        return not self.survivors and not self.errors

    def counts(self, by: Callable[[Fault], str]) -> Iterator[tuple[str, int, int]]:
        """Killed and planted, equivalents aside, by what ``by`` says of a fault."""
        killed = Counter(by(fault) for fault, _, _ in self.killed)
        planted = killed + Counter(map(by, self.survivors))
        for name in sorted(planted):
            yield name, killed[name], planted[name]


class Plan:
    """The faults that can be planted, and the rows that may find each."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self.subjects = list(subjects)
        self._wrong: dict[str, str] = {}
        rows = [subject for subject in self.subjects if subject.kind]  # a test does not tell its passes apart
        forward = set().union(*(row.forward for row in rows))
        backward = set().union(*(row.backward for row in rows))
        self.places = sorted(((backward - forward) & functions().keys()) | named())

    def asked(self, place: Place) -> list[Subject]:
        """The rows whose backward runs a function."""
        return [subject for subject in self.subjects if place in subject.backward]

    def classes(self, place: Place) -> set[str]:
        """The classes whose backward reaches a function."""
        return {subject.kind for subject in self.asked(place)}

    def faults(self, only: str = "") -> list[Fault]:
        """Every fault, or those in functions of that name, in files of that name, or reached by a class of it."""
        wanted = [place for place in self.places if only in str(place) or only in self.classes(place)]
        return [Fault(place, mutation) for place in wanted for mutation in mutations(source(place))]

    def run(self, faults: Iterable[Fault], seen: Callable[[Fault], Any] = lambda fault: None) -> Outcome:
        """Plants each fault in turn; a fault of the table of equivalents must survive."""
        outcome = Outcome()
        for fault in faults:
            seen(fault)
            rows = [row for row in self.asked(fault.place) if self._sound(row, outcome)]
            name, line, quick = self._found(fault, sorted(rows, key=lambda row: not row.quick))
            if fault.equivalent:
                outcome.equivalent.append(fault)
                if name:
                    outcome.errors.append(f"called equivalent, but found by {name} ({line}): {fault}")
            elif name:
                outcome.killed.append((fault, name, line))
                if not quick:
                    outcome.late.append((fault, name))
            else:
                outcome.survivors.append(fault)
        return outcome

    def _sound(self, row: Subject, outcome: Outcome) -> bool:
        """Whether a row passes with no fault planted: one that does not finds everything, and proves nothing."""
        if row.name not in self._wrong:
            self._wrong[row.name] = row.fault()
            if self._wrong[row.name]:
                outcome.errors.append(f"{row.name} fails with no fault planted: {self._wrong[row.name]}")
        return not self._wrong[row.name]

    def _found(self, fault: Fault, rows: list[Subject]) -> tuple[str, str, bool]:
        """The first row that finds a fault, what it says, and whether it is one of the quick proof."""
        quick = True
        try:
            with planted(fault.place, fault.mutation.planted(source(fault.place))):
                for row in rows:
                    quick = row.quick
                    with _patience():
                        line = row.fault()
                    if line:
                        return row.name, line, quick
        except SyntaxError as error:
            return "the compiler", str(error), True
        except TimeoutError:
            return "impatience", f"a row computed for more than {PATIENCE} seconds", quick
        return "", "", False


def unexplained(outcome: Outcome) -> list[str]:
    """Where the faults that only the full proof finds are not those of the table that gives the reasons."""
    found = {fault.place for fault, _ in outcome.late}
    new = [f"found by the full proof alone, and not explained: {place}" for place in found - LEFT.keys()]
    return new + [f"explained, but the quick proof finds every fault there: {place}" for place in LEFT.keys() - found]


def unmatched(faults: Iterable[Fault]) -> list[str]:
    """The rows of the table of equivalents that no fault matches any more."""
    known = {fault.equivalent for fault in faults}
    return [f"matches no fault any more: {each}" for each in EQUIVALENT if each not in known]


def sampled(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """Some faults, drawn without repetition, in their order."""
    chosen = random.Random(seed).sample(range(len(faults)), min(count, len(faults)))
    return [faults[index] for index in sorted(chosen)]


@contextmanager
def _patience() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE, 1)  # once more a second, for what swallows the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
