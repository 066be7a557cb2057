"""The base of all experiments: their options, and how ``--quick`` changes the defaults."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Self


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

    epochs: int = 1
    """Passes over the training data."""

    out: Path | None = None
    """The folder to write to, new or empty; by default runs/NAME/TIME."""

    quick: bool = False
    """A short run through all the code, with smaller defaults; its results prove nothing."""

    @classmethod
    def quickly(cls, **options: Any) -> Self:
        """The experiment with the smaller defaults of ``--quick``."""
        changed: dict[str, Any] = {**cls.quick_options, "quick": True, **options}
        return cls(**changed)

    def run(self) -> bool:
        """Runs the experiment, writes its folder, and returns whether its checks passed."""
        raise NotImplementedError(f"{type(self).__name__} does not define run")

    def options(self) -> dict[str, Any]:
        """The options as plain values, for JSON."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(self).items()
        }
