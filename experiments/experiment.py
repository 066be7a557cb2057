"""The base of all experiments: their options, and how ``--quick`` changes the defaults."""

import dataclasses
import json
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
    """A short run through all the code, with smaller defaults; its results prove nothing."""

    config: Path | None = None
    """The config.json of an earlier run: its options become the defaults, so that the run is repeated."""

    resume: Path | None = None
    """The folder of a run that was cut short: it goes on there, with its options."""

    @classmethod
    def quickly(cls, **options: Any) -> Self:
        """The experiment with the smaller defaults of ``--quick``."""
        changed: dict[str, Any] = {**cls.quick_options, "quick": True, **options}
        return cls(**changed)

    @classmethod
    def again(cls, config: Path) -> Self:
        """The experiment with the options that an earlier run wrote to its ``config.json``, but for its folder.

        Errors: ``ValueError`` if this is not such a file, or of another experiment, and ``FileNotFoundError``.
        """
        try:
            options = json.loads(config.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{config} is not JSON: {error}") from None
        known = {field.name for field in dataclasses.fields(cls)} - set(PLACES)
        if not isinstance(options, dict) or options.pop("experiment", cls.name) != cls.name:
            raise ValueError(f"{config} does not hold the options of {cls.name}")
        options.pop("out", None)
        if unknown := sorted(options.keys() - known):
            raise ValueError(f"{config} has options that {cls.name} does not have: {', '.join(unknown)}")
        kinds = typing.get_type_hints(cls)
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


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _as_option(value: Any, kind: Any) -> Any:
    """A value of JSON as the option that it was."""
    if isinstance(value, str) and Path in (kind, *typing.get_args(kind)):
        return Path(value)
    return tuple(value) if isinstance(value, list) else value
