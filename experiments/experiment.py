"""The base of all experiments: their options, and how ``--quick`` changes the defaults."""

import dataclasses
import typing
from pathlib import Path
from typing import Any, ClassVar, Self

from experiments import runs

CONFIG = "config.json"
"""The file of a run's folder with its options."""

RESULTS = "results.json"
"""The file with its figures and verdicts: the run is finished."""

PLACES = ("out", "config", "resume")
"""The options that say where a run is, and not what it does."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The base of experiments. A subclass is a frozen dataclass; its fields and their docstrings are the options.

    The first line of the subclass's module docstring appears in the list of experiments.
    """

    name: ClassVar[str] = "experiment"
    quick_options: ClassVar[dict[str, Any]] = {}
    """The defaults with ``--quick``; options given explicitly override them."""

    seed: int = 0
    """The seed of all randomness."""

    out: Path | None = None
    """The folder to write to, new or empty; by default runs/NAME/TIME."""

    quick: bool = False
    """A short run through all the code, with smaller defaults: too short to decide what is claimed."""

    config: Path | None = None
    """The config.json of an earlier run: its options become the defaults, so that the run is repeated."""

    resume: Path | None = None
    """The folder of a run that was cut short: it goes on there, with its options. What had been measured is kept; a run
    that was cut short while it measured measures again."""

    @classmethod
    def quickly(cls, **options: Any) -> Self:
        """The experiment with the smaller defaults of ``--quick``."""
        changed: dict[str, Any] = {**cls.quick_options, "quick": True, **options}
        return cls(**changed)

    @classmethod
    def again(cls, config: Path) -> Self:
        """The experiment with the options that an earlier run wrote to its ``config.json``, but for its folder.

        Errors: ``ValueError`` if this is not such a file, or of another experiment.
        """
        options = runs.read_json(config)
        known = {field.name for field in dataclasses.fields(cls)} - set(PLACES)
        if not isinstance(options, dict) or (of := options.pop("experiment", cls.name)) != cls.name:
            whose = f", but of {of}" if isinstance(options, dict) else ""
            raise ValueError(f"{config} does not hold the options of {cls.name}{whose}")
        options.pop("out", None)
        if unknown := sorted(options.keys() - known):
            raise ValueError(f"{config} has options that {cls.name} does not have: {', '.join(unknown)}")
        kinds = typing.get_type_hints(cls)
        for name, value in options.items():
            if (kind := kinds[name]) in (bool, int, float, str) and not _is_of(kind, value):
                raise ValueError(f"{config}: {name} is of type {kind.__name__}, got {value!r}")
        return cls(**{name: _as_option(value, kinds[name]) for name, value in options.items()})

    @classmethod
    def resumed(cls, folder: Path) -> Self:
        """The experiment of a run that was cut short, to go on in its folder.

        Errors: those of ``again``.
        """
        return dataclasses.replace(cls.again(folder / CONFIG), resume=folder)

    def folder(self) -> Path:
        """The folder to write to: that of the run to go on with, or a new one that holds the options."""
        if self.resume is not None:
            if (self.resume / RESULTS).exists():
                raise ValueError(f"the run in {self.resume} is finished; --config {self.resume / CONFIG} repeats it")
            return self.resume
        folder = runs.new_folder(self.out, self.name)
        self.write_config(folder)
        return folder

    def run(self) -> bool:
        """Runs the experiment, writes its folder, and returns whether its checks passed."""
        raise NotImplementedError(f"{type(self).__name__} does not define run")

    def write_config(self, folder: Path) -> None:
        """Writes ``config.json``, from which ``--config`` repeats the run."""
        runs.write_json(folder / CONFIG, {"experiment": self.name, **self.options()})

    def options(self) -> dict[str, Any]:
        """The options as plain values, for JSON."""
        options = {name: value for name, value in dataclasses.asdict(self).items() if name not in ("config", "resume")}
        return {name: _as_json(value) for name, value in options.items()}


def _is_of(kind: type, value: Any) -> bool:
    """Whether a value of JSON is of that type; an integer is a number, and a truth value is none."""
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _as_option(value: Any, kind: Any) -> Any:
    """A value of JSON as the option that it was."""
    if isinstance(value, str) and Path in (kind, *typing.get_args(kind)):
        return Path(value)
    return tuple(value) if isinstance(value, list) else value
