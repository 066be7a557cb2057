"""Bench: is a step by the hand-derived rules as fast as one by ``jax.grad``, and as lean?

Claim: a compiled training step by hand is not slower than the automatic one, on the digits network and on a
multi-layer perceptron; inside a compiled loop over steps, a convolutional network is many times faster on a CPU, where
XLA runs the kernel gradient that ``jax.grad`` builds on a slow path (see ``fnn/layers/conv/_sums.py``).

Measure: both programs are compiled once and run in turn, in one process, with every operand passed as an argument; the
figures are medians. Memory and FLOPs are XLA's own counts for the compiled program.

Result: by hand, a step of the digits network takes 1 % less time and 14 % more temporary memory, four steps in a loop
22× less time; the perceptron 2 % less time, in a loop 1 % more. A convolution of four groups takes 24× less time, the
other layers between 17 % less and 4 % more; batch and layer norm need half the temporary memory. Two CPU cores, Python
3.11.7, jax 0.9.2.
"""

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import plots, runs
from experiments.digits import Digits
from experiments.experiment import Experiment
from experiments.in_turn import against, seconds_in_turn
from fnn.train.step import Learned, Training

METHODS = ("manual", "auto")
HEADINGS = ("", "ms by hand", "auto", "by hand", "MB by hand", "auto", "by hand")


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to run both ways: ``program(method)`` is the function of ``operands`` to compile."""

    name: str
    program: Callable[[str], Callable[..., Any]]
    operands: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Bench(Experiment):
    """The options of the experiment."""

    name = "bench"
    quick_options: ClassVar = {"repetitions": 3, "width": 4}

    epochs: int = 1
    """How often every case is measured; the measurements are put together."""

    repetitions: int = 200
    """Pairs of runs of every case, unless the limit comes first."""

    limit: float = 1.0
    """Seconds after which a case is run no more, once it has run five times each way."""

    loop: int = 4
    """Steps in a compiled loop."""

    width: int = 32
    """Channels of the digits network, and a sixteenth of the features of the perceptron."""

    def run(self) -> bool:
        folder, console = runs.new_folder(self.out, self.name), runs.wide_console()
        results = []
        for case in self.cases():
            with console.status(case.name):
                results.append(self.measure(case))
        rows = [row(result) for result in results]
        console.print(runs.rich_table("A step by hand and by jax.grad", HEADINGS, rows))
        runs.write_json(folder / "results.json", {"machine": runs.machine(), "results": results})
        table = runs.markdown_table(HEADINGS, rows)
        runs.write_report(
            folder / "report.md",
            "# A step by hand and by jax.grad",
            "Medians; what the hand-derived rules take against `jax.grad`: less is better.",
            table,
            "![Ratios](ratios.png)",
            runs.machine_section(),
        )
        picture(folder / "ratios.png", results)
        console.print(f"Table and picture: {folder}", soft_wrap=True)
        return True

    def cases(self) -> list[Case]:
        """Whole training steps, single and in a loop, and layers alone."""
        width, draw = self.width, np.random.default_rng(self.seed)
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
        cases = []
        digits = fnn.Objective(Digits(width=width).model(), fnn.CrossEntropy())
        hidden = (fnn.Dense(16 * width), fnn.Relu())
        perceptron = fnn.Objective(fnn.Serial(*hidden, *hidden, fnn.Dense(10)), fnn.CrossEntropy())
        for name, objective, shape in (
            ("digits network", digits, (64, 8, 8, 1)),
            ("perceptron", perceptron, (128, 784)),
        ):
            batch = drawn(shape, draw), jnp.arange(shape[0]) % 10
            cases += [step_case(f"{name}, a step", objective, batch, 1, draw)]
            cases += [step_case(f"{name}, {self.loop} steps in a loop", objective, batch, self.loop, draw)]
        return cases + [layer_case(name, layer, x, draw) for name, (layer, x) in layers.items()]

    def measure(self, case: Case) -> dict[str, Any]:
        """Median seconds, temporary bytes and FLOPs of both programs, run in turn."""
        compiled = {method: jax.jit(case.program(method)).lower(*case.operands).compile() for method in METHODS}
        seconds = seconds_in_turn(
            compiled, case.operands, turns=self.epochs * self.repetitions, limit=self.epochs * self.limit
        )
        ratios = [auto / manual for manual, auto in zip(seconds["manual"], seconds["auto"], strict=True)]
        result: dict[str, Any] = {"name": case.name, "auto_over_manual": statistics.median(ratios)}
        for method, program in compiled.items():
            memory: Any = program.memory_analysis()
            result[method] = {
                "seconds": statistics.median(seconds[method]),
                "temporary_bytes": None if memory is None else memory.temp_size_in_bytes,
                "flops": (program.cost_analysis() or {}).get("flops"),
            }
        return result


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


def picture(path: Any, results: list[dict[str, Any]]) -> None:
    """How many times faster by hand, as bars from 1 on a logarithmic axis; within 5 % of 1 a bar is grey."""
    figure = plots.new_figure(8, 0.32 * len(results) + 1.4)
    axes = figure.subplots()
    names = [result["name"] for result in results][::-1]
    ratios = [result["auto_over_manual"] for result in results][::-1]
    colours = [plots.BLUE if r > 1.05 else plots.ORANGE if 1 / r > 1.05 else plots.GREY for r in ratios]
    axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=colours, height=0.65)
    axes.set_xscale("log")
    low, high = min(0.5, *ratios) * 0.9, max(2, *ratios) * 1.7
    axes.set_xlim(low, high)
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.axvline(1, color=plots.INK, linewidth=1)
    for place, ratio in enumerate(ratios):
        times, side = max(ratio, 1 / ratio), "faster" if ratio > 1 else "slower"
        words = f"{times:.2g}× {side}" if times > 1.05 else "the same"
        axes.text(max(ratio, 1) * 1.03, place, words, va="center", fontsize=8, color=plots.INK)
    plots.clean(axes)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    subtitle = "medians of runs in turn; bars to the right: by hand is faster; grey: within 5 %"
    plots.title(figure, "Time by hand against jax.grad", subtitle)
    plots.save(figure, path)
