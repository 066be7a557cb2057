"""A step by the hand-derived rules against one by ``jax.grad``, and single layers both ways.

Claim: a compiled training step by hand is not slower than the automatic one, on the digits network and on a
multi-layer perceptron; inside a compiled loop over steps, a convolutional network is many times faster on a CPU, where
XLA runs the kernel gradient that ``jax.grad`` builds on a slow path (see ``fnn/layers/conv/_sums.py``).

Result: by hand, a step of the digits network takes 1 % less time and 14 % more temporary memory, four steps in a loop
22× less time; the perceptron 2 % less time, in a loop 1 % more. A convolution of four groups takes 24× less time, the
other layers between 17 % less and 4 % more; batch and layer norm need half the temporary memory. Two CPU cores, Python
3.11.7, jax 0.9.2.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.bench import pictures
from experiments.bench.measuring import Row, Settings, Turns, compiled, rows_in_turn
from experiments.bench.sections import Section
from experiments.digits import Digits
from experiments.in_turn import LEAST, against
from fnn.train.step import Learned, Training

METHODS = ("manual", "auto")
HEADINGS = ("", "ms by hand", "auto", "by hand", "MB by hand", "auto", "by hand")


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to run both ways: ``program(method)`` is the function of ``operands`` to compile."""

    name: str
    program: Callable[[str], Callable[..., Any]]
    operands: tuple[Any, ...]


def measure(settings: Settings, *, loop: int, width: int) -> list[Section]:
    """Whole training steps, single and ``loop`` of them in a loop, and layers alone, with ``width`` channels."""
    turns = settings.turns._replace(least=LEAST)
    rows, results = [], []
    for case in cases(settings.seed, loop=loop, width=width):
        with settings.console.status(case.name):
            measured, result = compare(case, turns)
        rows.append(measured)
        results.append(result)
    draw = functools.partial(
        pictures.bars,
        names=[result["name"] for result in results],
        ratios=[result["auto_over_manual"] for result in results],
        title="Time by hand against jax.grad",
        subtitle="medians of runs in turn",
        winner="by hand",
    )
    words = "Medians; what the hand-derived rules take against `jax.grad`: less is better."
    lines = [row(result) for result in results]
    title, details = "A step by hand and by jax.grad", {"results": results}
    return [Section(title, words, HEADINGS, lines, rows=rows, picture="ratios.png", draw=draw, details=details)]


def cases(seed: int, *, loop: int, width: int) -> list[Case]:
    """What is run both ways."""
    draw = np.random.default_rng(seed)
    images, rows = drawn((64, 16, 16, width), draw), drawn((256, 16 * width), draw)
    layers = {
        "Conv 3×3": (fnn.Conv(width, (3, 3)), images),
        "Conv 3×3, 4 groups": (fnn.Conv(width, (3, 3), groups=4), images),
        "Conv 3×3, stride 2": (fnn.Conv(width, (3, 3), strides=2), images),
        "BatchNorm": (fnn.BatchNorm(), images),
        "MaxPool": (fnn.MaxPool(2), images),
        "MaxPool, overlapping": (fnn.MaxPool(3, strides=2), images),
        "AvgPool": (fnn.AvgPool(2), images),
        "Dense": (fnn.Dense(16 * width), rows),
        "LayerNorm": (fnn.LayerNorm(), rows),
        "Gelu": (fnn.Gelu(), rows),
        "Softmax": (fnn.Softmax(), rows),
        "Dropout": (fnn.Dropout(0.5), rows),
    }
    steps = []
    digits = fnn.Objective(Digits(width=width).model(), fnn.CrossEntropy())
    hidden = (fnn.Dense(16 * width), fnn.Relu())
    perceptron = fnn.Objective(fnn.Serial(*hidden, *hidden, fnn.Dense(10)), fnn.CrossEntropy())
    for name, objective, shape in (
        ("digits network", digits, (64, 8, 8, 1)),
        ("perceptron", perceptron, (128, 784)),
    ):
        batch = drawn(shape, draw), jnp.arange(shape[0]) % 10
        steps += [step_case(f"{name}, a step", objective, batch, 1, draw)]
        steps += [step_case(f"{name}, {loop} steps in a loop", objective, batch, loop, draw)]
    return steps + [layer_case(name, layer, x, draw) for name, (layer, x) in layers.items()]


def compare(case: Case, turns: Turns) -> tuple[Row, dict[str, Any]]:
    """Median seconds, temporary bytes and FLOPs of both programs, run in turn."""
    programs = {method: compiled(case.program(method), *case.operands) for method in METHODS}
    automatic = {"jax.grad": programs["auto"]}
    (measured,) = rows_in_turn("rules", case.name, programs["manual"], automatic, turns=turns)
    result: dict[str, Any] = {"name": case.name, "auto_over_manual": measured.time.median}
    for (method, program), seconds in zip(programs.items(), (measured.ours, measured.theirs), strict=True):
        costs: Any = program.call
        result[method] = {
            "seconds": seconds,
            "temporary_bytes": program.temporary_bytes,
            "flops": (costs.cost_analysis() or {}).get("flops"),
        }
    return measured, result


def drawn(shape: tuple[int, ...], draw: np.random.Generator, scale: float = 1.0) -> jax.Array:
    """Random numbers from NumPy: to compile JAX's own for every shape would take longer than all measurements."""
    return jnp.asarray(scale * draw.standard_normal(shape), jnp.float32)


def start(layer: fnn.Layer, x: jax.Array, draw: np.random.Generator) -> tuple[Any, Any]:
    """Parameters and state of the right shapes; their values do not change the time of a step."""
    params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), state)
    return jax.tree.map(lambda leaf: drawn(leaf.shape, draw, 0.05), params), ones


def layer_case(name: str, layer: fnn.Layer, x: jax.Array, draw: np.random.Generator) -> Case:
    """Forward and backward of one layer in training."""
    key = jax.random.key(0)
    params, state = start(layer, x, draw)
    y = jax.eval_shape(lambda params, x: layer.apply(params, state, x, train=True, key=key)[0], params, x)
    dy = drawn(y.shape, draw)

    def program(method: str) -> Callable[..., Any]:
        def manual(params: Any, state: Any, x: Any, dy: Any, key: Any) -> Any:
            y, new_state, cache = layer.forward(params, state, x, train=True, key=key)
            return y, new_state, layer.backward(cache, dy)

        def auto(params: Any, state: Any, x: Any, dy: Any, key: Any) -> Any:
            def apply(params: Any, x: Any) -> Any:
                return layer.apply(params, state, x, train=True, key=key)

            y, vjp, new_state = jax.vjp(apply, params, x, has_aux=True)
            return y, new_state, vjp(dy)

        return manual if method == "manual" else auto

    return Case(name, program, (params, state, x, dy, key))


def step_case(name: str, objective: fnn.Objective, batch: tuple, steps: int, draw: np.random.Generator) -> Case:
    """Training steps with Adam: one alone, or several in a scan."""
    optimizer, key = fnn.optim.adam(1e-3), jax.random.key(0)
    params, state = start(objective.model, batch[0], draw)

    def program(method: str) -> Callable[..., Any]:
        training = Training(objective, optimizer, method="manual" if method == "manual" else "auto")

        def run(learned: Any, batch: tuple, key: jax.Array) -> Any:
            if steps == 1:
                return training.step(learned, batch, key)[0]
            keys = jax.random.split(key, steps)
            return jax.lax.scan(lambda learned, key: (training.step(learned, batch, key)[0], None), learned, keys)[0]

        return run

    return Case(name, program, (Learned(params, state, optimizer.init(params)), batch, key))


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    manual, auto = result["manual"], result["auto"]
    verdict = against(1, result["auto_over_manual"])
    times = (f"{1e3 * manual['seconds']:.2f}", f"{1e3 * auto['seconds']:.2f}", verdict)
    if not manual["temporary_bytes"] or auto["temporary_bytes"] is None:
        return (result["name"], *times, "–", "–", "–")
    one, other = manual["temporary_bytes"], auto["temporary_bytes"]
    return (result["name"], *times, f"{one / 1e6:.2f}", f"{other / 1e6:.2f}", against(one, other))
