"""Times forward and backward of every row of the table, by hand and by ``jax.vjp``.

    python -m tools.speed                  all rows
    python -m tools.speed --below 0.95     the limit under which a row is listed again at the end
    python -m tools.speed --only conv      rows with this in their name

The rows' inputs are repeated along the batch axis up to ``--entries`` numbers, unless a row brings an input worth
timing. Both programs are compiled, take every operand as an argument and run in turn; the ratio is automatic over
manual, the median of the pairs with the quartiles, so more than 1 means that by hand is faster. The megabytes are what
each program needs beside its operands and results. A measurement, no test.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.in_turn import seconds_in_turn
from fnn.gradients.arrays import cast
from fnn.layer import floating_leaves
from tests.cases import LAYERS, LOSSES, PENALTIES, LayerCase, LossCase, PenaltyCase
from tests.points import drawn_point

DTYPE = "float32"

_ATTENTION = "the weights are computed again, block by block, so that memory grows with T and not with T²"
_NORM = "the standardised input is computed again, not kept"
_OUTPUT = "the slope is found from y, which the next layer keeps anyway, so that nothing is kept for it"
_PLACE = "the gradient of the kernel is one convolution, as fast inside loops; jax.vjp sums place by place"

REASONS = {
    "attention": _ATTENTION,
    "transformer": _ATTENTION,
    "first of the whole": _ATTENTION,
    **{f"{kind} norm": _NORM for kind in ("batch", "layer", "rms", "group", "instance")},
    "softplus": _OUTPUT,
    "log s": _OUTPUT,
    "depthwise": _PLACE,
    "separable": _PLACE,
    "conv transpose": "XLA:CPU's speed depends on the layout: this is as fast inside loops; over three axes none is",
    "conv 3-D, 2 groups": "jax.vjp sums place by place, faster where XLA:CPU has no fast convolution, and less exact",
    "bilinear": "each gradient is contracted in its own best order: for unequal sizes that saves more than sharing one",
    "ctc": "beta is a recursion of logarithms of its own, and of the one forward nothing is kept but alpha",
}
"""Why the rule by hand is slower, by a part of the row's name: what it saves instead."""


class Programs(NamedTuple):
    """What is timed: two functions of the same operands."""

    name: str
    manual: Callable[..., Any]
    automatic: Callable[..., Any]
    operands: tuple


class Timing(NamedTuple):
    """Seconds by hand, and how many times as long ``jax.vjp`` takes: quartiles over the pairs; the memory of both."""

    name: str
    seconds: float
    low: float
    ratio: float
    high: float
    megabytes: float
    automatic_megabytes: float

    def __str__(self) -> str:
        time = f"{1e3 * self.seconds:9.3f}  {self.ratio:6.2f}  [{self.low:5.2f}, {self.high:5.2f}]"
        return f"{time}  {self.megabytes:8.2f}  {self.automatic_megabytes:8.2f}  {self.name}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.speed", description=str(__doc__).splitlines()[0])
    parser.add_argument("--below", type=float, default=0.95, help="list the rows with a smaller ratio again")
    parser.add_argument("--only", default="", metavar="NAME", help="rows with this in their name")
    parser.add_argument("--entries", type=int, default=2**17, help="numbers in an input")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds a row")
    options = parser.parse_args()
    rows: list[tuple[Callable, Any]] = [(layer_programs, case) for case in LAYERS]
    rows += [(loss_programs, case) for case in LOSSES] + [(penalty_programs, case) for case in PENALTIES]
    timings = []
    print("ms by hand   ratio       quartiles   MB hand   MB auto  row")
    for make, case in rows:
        if options.only in case.name:
            try:
                programs = make(case, options.entries)
            except ValueError as error:
                if "float64" not in str(error):
                    raise
                print(f"{'not timed':>55}  {case.name}: {error}")
                continue
            timings.append(timed(programs, options.limit))
            print(timings[-1], flush=True)
            jax.clear_caches()
    below = [timing for timing in timings if timing.ratio < options.below]
    print(f"\n{len(below)} of {len(timings)} rows below {options.below}")
    for timing in below:
        reasons = [reason for part, reason in REASONS.items() if part in timing.name]
        print(timing, *reasons[:1], sep=": ")


def timed(programs: Programs, limit: float) -> Timing:
    """Both programs compiled and run in turn."""
    compiled = {
        name: jax.jit(function).lower(*programs.operands).compile()
        for name, function in (("manual", programs.manual), ("automatic", programs.automatic))
    }
    seconds = seconds_in_turn(compiled, programs.operands, turns=1000, limit=limit)
    ratios = [theirs / ours for ours, theirs in zip(seconds["manual"], seconds["automatic"], strict=True)]
    memory: list[Any] = [each.memory_analysis() for each in compiled.values()]
    megabytes = [each.temp_size_in_bytes / 1e6 for each in memory]
    return Timing(programs.name, statistics.median(seconds["manual"]), *statistics.quantiles(ratios, n=4), *megabytes)


def layer_programs(case: LayerCase, entries: int) -> Programs:
    """Forward and backward of a layer in training."""
    x = repeated(case.input(), entries) if case.large is None else case.large(np.random.default_rng(0))
    point = drawn_point(case.layer, x, train=True, trained=False, dtype=DTYPE)
    layer = case.layer

    def manual(params: Any, state: Any, x: Any, key: Any, dy: Any) -> Any:
        y, new_state, cache = layer.forward(params, state, x, train=True, key=key)
        return y, new_state, layer.backward(cache, dy)

    def automatic(params: Any, state: Any, x: Any, key: Any, dy: Any) -> Any:
        leaves, rebuild = floating_leaves((params, x))

        def function(leaves: list) -> Any:
            y, new_state = layer.apply(rebuild(leaves)[0], state, rebuild(leaves)[1], train=True, key=key)
            return floating_leaves(y)[0], (y, new_state)

        _, vjp, (y, new_state) = jax.vjp(function, leaves, has_aux=True)
        return y, new_state, vjp(jax.tree.leaves(dy))

    return Programs(case.name, manual, automatic, (*point.arguments, point.output_gradient()))


def loss_programs(case: LossCase, entries: int) -> Programs:
    """Value and gradient of a loss."""
    batch = case.batch()
    rows = jax.tree.leaves((batch[1], batch[0]))[0].shape[0]  # a loss may have no target
    batch = cast(repeated(batch, entries, rows), DTYPE)

    def manual(prediction: Any, target: Any, *weights: Any) -> Any:
        value, cache = case.loss.forward(prediction, target, *weights)
        return value, case.loss.backward(cache)

    def automatic(prediction: Any, target: Any, *weights: Any) -> Any:
        leaves, rebuild = floating_leaves(prediction)
        return jax.value_and_grad(lambda leaves: case.loss(rebuild(leaves), target, *weights))(leaves)

    return Programs(case.name, manual, automatic, tuple(batch))


def penalty_programs(case: PenaltyCase, entries: int) -> Programs:
    """Value and gradient of a penalty."""
    penalty, params = case.penalty, cast(repeated(case.params(), entries), DTYPE)

    def manual(params: Any) -> Any:
        value, cache = penalty.forward(params)
        return value, penalty.backward(cache)

    return Programs(case.name, manual, jax.value_and_grad(penalty), (params,))


def repeated(tree: Any, entries: int, rows: int | None = None) -> Any:
    """Every array (of so many rows) as often along its first axis as brings the largest to that many entries."""
    largest = max(np.size(leaf) for leaf in jax.tree.leaves(tree))
    times = max(1, entries // largest)

    def each(leaf: Any) -> Any:
        one = np.ndim(leaf) == 0 or rows not in (None, len(leaf))
        return leaf if one else np.tile(leaf, (times, *(1 for _ in leaf.shape[1:])))

    return jax.tree.map(each, tree)


if __name__ == "__main__":
    main()
