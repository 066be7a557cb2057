"""The way of a batch from ``fit`` into a step is short: the files whose functions are given it."""

import sys
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn

SAMPLES = 7
X = np.ones((SAMPLES, 3), np.float32)
PACKAGE = Path(fnn.__file__).parent
ON_THE_WAY = (str(PACKAGE / "train"), str(PACKAGE / "objective.py"))
"""What a batch passes through; layers, losses, metrics and optimisers are what a step is made of."""


def holds_the_batch(value: Any, depth: int = 0) -> bool:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return tuple(shape)[:1] == (SAMPLES,)
    if isinstance(value, tuple | list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return depth < 3 and any(holds_the_batch(part, depth + 1) for part in parts)
    own = type(value).__module__.startswith("fnn.train") and hasattr(value, "__dict__")
    return own and depth < 3 and any(holds_the_batch(part, depth + 1) for part in vars(value).values())


@pytest.mark.full
@pytest.mark.parametrize("data", [(X, X), [(X, X)]], ids=["arrays", "batches"])
def test_a_batch_visits_at_most_fourteen_files(data):
    visited = set()

    def look(frame: Any, event: str, argument: object) -> None:
        del argument
        if event == "call" and frame.f_code.co_filename.startswith(ON_THE_WAY):
            arguments = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            if any(holds_the_batch(frame.f_locals.get(name)) for name in arguments):
                visited.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))

    objective = fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError())
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        fnn.fit(
            objective, fnn.optim.sgd(0.125), data, epochs=1, batch_size=SAMPLES, key=jax.random.key(0),
            validation=data, metrics=[fnn.R2()], early_stopping=fnn.EarlyStopping(3), progress=False,
        )  # fmt: skip
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert {"objective.py", "train/fit.py", "train/step.py"} <= visited
    assert len(visited) <= 14, visited  # two of them what people have and class weights: converted.py, balance.py
