"""Runs side by side and one after another: how long both take, and which of them ``fnn.sweep`` chooses."""

import statistics
from collections.abc import Callable
from typing import Any

import jax

import fnn
from experiments.in_turn import against, seconds_in_turn

HEADINGS = ("model", "runs", "ms a run, vmap", "map", "time of map", "chosen")

HYPERPARAMETERS: dict[str, Any] = {"learning_rate": 0.01, "momentum": 0.9}
"""Those of every run."""


def timed(train: Callable[..., fnn.TrainResult], keys: jax.Array, samples: tuple, turns: int) -> dict[str, Any]:
    """Median seconds of a run in both layouts, compiled once and measured in turn, and the median of their ratios."""

    def beside(keys: jax.Array, samples: tuple) -> fnn.TrainResult:
        return jax.vmap(lambda key: train(key, samples, HYPERPARAMETERS))(keys)

    def after(keys: jax.Array, samples: tuple) -> fnn.TrainResult:
        return jax.lax.map(lambda key: train(key, samples, HYPERPARAMETERS), keys)

    operands = keys, samples
    programs = {
        name: jax.jit(program).lower(*operands).compile() for name, program in (("vmap", beside), ("map", after))
    }
    seconds = seconds_in_turn(programs, operands, turns=turns, limit=60.0)
    ratios = [after / beside for beside, after in zip(seconds["vmap"], seconds["map"], strict=True)]
    medians = {layout: statistics.median(each) / len(keys) for layout, each in seconds.items()}
    return {"runs": len(keys), **medians, "map_over_vmap": statistics.median(ratios)}


def chosen(train: Callable[..., fnn.TrainResult], key: jax.Array, samples: tuple) -> str:
    """The layout that ``sweep`` chooses for this training; it depends on the model, not on how long it trains."""
    layout = fnn.sweep(train, key, samples, seeds=2, **HYPERPARAMETERS).layout
    return "map" if layout.parallel == 1 else "vmap"


def row(measured: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table of layouts."""
    times = (f"{1e3 * measured[method]:.1f}" for method in ("vmap", "map"))
    return (measured["model"], str(measured["runs"]), *times, against(measured["map_over_vmap"], 1), measured["chosen"])
