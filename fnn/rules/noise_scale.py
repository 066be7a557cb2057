"""How much the examples' gradients differ: the batch size beyond which larger batches help little."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.backprop import add_gradients
from fnn.layer import Params, State
from fnn.metrics import Metric, ratio
from fnn.objective import Objective
from fnn.paths import named_leaves
from fnn.rules._sums import square_of
from fnn.rules.examples import AXIS, Run, check_batch, count_of, over_examples, prepared
from fnn.rules.per_example import reported, squares_of, total
from fnn.rules.reparameterized import gradients_of


class NoiseScale(NamedTuple):
    """What ``gradient_noise_scale`` returns; its estimates are scalars.

    ``scale``: B = tr Σ / ‖G‖², in examples; ``signal``: ‖G‖²; ``noise``: tr Σ; ``leaves``: (signal, noise) of each
    parameter, by path. Over several batches average signal and noise, and divide then: a mean of ratios is biased.
    """

    scale: jax.Array
    signal: jax.Array
    noise: jax.Array
    leaves: dict[str, tuple[jax.Array, jax.Array]]


def gradient_noise_scale(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    key: jax.Array | None = None,
    train: bool = True,
) -> NoiseScale:
    """The simple noise scale B = tr Σ / ‖G‖² of the examples' gradients, from one forward and one backward pass.

    With g = 1/N Σₙ gₙ and m = 1/N Σₙ ‖gₙ‖² over the N examples of the batch, the unbiased estimates are

        tr Σ = (m − ‖g‖²) N / (N − 1),  the sum of the variances of all parameters' gradients
        ‖G‖² = (N ‖g‖² − m) / (N − 1),  the squared norm of the gradient of all data

    A batch much smaller than B gives steps that are mostly noise; one much larger wastes computation. ‖G‖² may come out
    negative where noise prevails, and so may ``scale``: average signal and noise over batches. At one point late in
    training it can be several times what it is over a run (``python -m experiments noisescale``).

    gₙ is that of ``per_example_norms``, which also says what is refused. An example of weight 0 counts as one without
    gradient, and would make the examples look noisier than they are: leave padding out.

    Errors: those of ``per_example_norms``; ``ValueError`` for fewer than two examples.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> batch = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[2.0], [4.0], [7.0]])
    >>> found = gradient_noise_scale(objective, {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}, {}, batch)
    >>> found.scale > 0
    Array(True, dtype=bool)

    Source: McCandlish et al. 2018, eq. 2.9 and appendix A.1, with batches of one and of N.
    """
    objective, count = prepared(objective, train), count_of(batch)
    if count < 2:
        raise ValueError("a noise scale takes the variance over examples, which needs at least two; got one")
    _, penalty = objective.penalty(params)

    def of_one(run: Run) -> tuple:
        report = reported(objective, run)
        return (
            run.outputs,
            squares_of(report, params, penalty),
            gradients_of(report, jnp.ones(()) / count, AXIS, params),
        )

    outputs, squares, mean = over_examples(objective, params, state, batch, train=train, key=key, of_one=of_one)
    check_batch(objective, outputs, batch)
    gradients = named_leaves(mean if penalty is None else add_gradients(mean, penalty))
    leaves = {path: _estimates(jnp.mean(each), square_of(gradients[path]), count) for path, each in squares.items()}
    signal, noise = (total({path: each[place] for path, each in leaves.items()}) for place in (0, 1))
    return NoiseScale(noise / signal, signal, noise, leaves)


@dataclasses.dataclass(frozen=True)
class GradientNoise(Metric):
    """The simple noise scale of an epoch, as a metric of ``fit`` and ``make_train``: ``noise_scale`` in the history.

        B = Σ tr Σ / Σ ‖G‖²,  the sums over the batches of the epoch, each at the parameters before its step

    in examples, as ``gradient_noise_scale`` estimates both. It tells which batch size would be efficient at this stage
    of training, and grows as the loss falls. Every step then takes one more backward pass over its batch. There is no
    ``validation_noise_scale``.

    Errors: those of ``gradient_noise_scale``, when training starts; ``TypeError`` for a call, and from ``evaluate``.

    >>> import fnn
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> result = fnn.fit(
    ...     fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError()), fnn.optim.sgd(0.1), (x, 3 * x + 1),
    ...     epochs=2, batch_size=10, key=jax.random.key(0), metrics=[GradientNoise()], progress=False,
    ... )
    >>> result.history["noise_scale"].shape
    (2,)
    """

    name = "noise_scale"
    higher_is_better = False
    of_gradients = True

    def measure(self, objective: Objective, params: Params, state: State, batch: tuple, key: jax.Array) -> Any:
        """The sums of one batch."""
        found = gradient_noise_scale(objective, params, state, batch, key=key)
        return {"noise": found.noise.astype(jnp.float32), "signal": found.signal.astype(jnp.float32)}

    def none(self) -> Any:
        """The sums of no batch."""
        return {"noise": jnp.zeros((), jnp.float32), "signal": jnp.zeros((), jnp.float32)}

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        raise TypeError("GradientNoise() measures gradients while fit and make_train run: outputs have none")

    def value(self, sums: Any) -> jax.Array:
        return ratio(sums["noise"], sums["signal"])


def _estimates(mean_square: jax.Array, square_mean: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    signal = (count * square_mean - mean_square) / (count - 1)
    return signal, (mean_square - square_mean) * count / (count - 1)
