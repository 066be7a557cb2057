"""The networks of the experiment on regularisation: how they train, and what is left when parts of them are removed."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import augment

SIDE, UNITS, BATCH, WINDOW, MAPS = 8, 64, 25, 3, 8
"""The side of a digit, hidden units, digits in a step; the side of a window, and the units that look at each."""

STRENGTHS: dict[str, tuple[float, ...]] = {
    "none": (),
    "L1": (1e-4, 3e-4, 1e-3),
    "L2": (3e-4, 1e-3, 1e-2),
    "dropout": (0.2, 0.4, 0.6),
    "DropConnect": (0.1, 0.2, 0.4),
    "input noise": (0.2, 0.3, 0.4),
    "augmentation": (0.25, 0.5, 1.0),
}
"""The strengths of the ways that one network has, any of which may be 0."""

NONE, L1, L2, DROPOUT, CONNECT, NOISY, MOVED = STRENGTHS
WHOLE = NONE, L1, L2, DROPOUT, CONNECT
"""Those whose networks are taken apart afterwards."""

EARLY, NORM, UNTIED, TIED = "early stopping", "batch norm", "windows", "tied windows"
PATIENCE = 10
"""Epochs without a lower validation loss after which early stopping stops."""


def network(h: dict[str, Any]) -> fnn.Layer:
    """One hidden layer, with the noise, dropout and DropConnect of these strengths."""
    hidden = fnn.Dense(UNITS), fnn.Relu(), fnn.Dropout(h.get(DROPOUT, 0.0)), fnn.Dense(10)
    noise = (fnn.GaussianNoise(h[NOISY]),) if NOISY in h else ()
    return fnn.Serial(*noise, fnn.DropConnect(fnn.Serial(*hidden), h.get(CONNECT, 0.0)))


def objective_of(h: dict[str, Any]) -> fnn.Objective:
    """What the network minimises, with the penalties of these strengths."""
    return fnn.Objective(network(h), fnn.CrossEntropy(), (fnn.ElasticNet(h.get(L1, 0.0), h.get(L2, 0.0)),))


def motions(strength: Any) -> Callable[..., jax.Array]:
    """Rotations up to 10 degrees and translations up to a pixel, times the strength, of rows of pixels."""
    moved = augment.Affine(degrees=10 * strength, translate=strength / SIDE)
    return lambda key, x: moved(key, x.reshape(-1, SIDE, SIDE, 1)).reshape(x.shape)


def choices(ways: Sequence[str], rates: Sequence[float]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Of every network to train, the way, and the strengths of these ways with the learning rate."""
    tried = {way: STRENGTHS[way] for way in STRENGTHS if way in ways}
    rows = [(way, s, rate) for way, each in tried.items() for s, rate in itertools.product(each or (0.0,), rates)]
    names, strengths, chosen = zip(*rows, strict=True)
    columns = {
        way: np.array([s * (way == name) for name, s in zip(names, strengths, strict=True)], np.float32)
        for way in tried
        if way != NONE
    }
    return list(names), columns | {"rate": np.array(chosen, np.float32)}


@dataclasses.dataclass(frozen=True)
class Windows(fnn.Layer, name="windows"):
    """All windows of an image: (N, 64) → (N, 36, 9), the pixels of each place.

    Forward:   y[n, p, k] = x[n, i(p, k)]
    Backward:  dx[n, i(p, k)] += dy[n, p, k]
    """

    def forward(self, params: Any, state: Any, x: Any, *, train: Any = False, key: Any = None) -> Any:
        return x[:, window_pixels()], state, {}

    def backward(self, cache: Any, dy: jax.Array) -> Any:
        return {}, jnp.zeros((len(dy), SIDE * SIDE), dy.dtype).at[:, window_pixels()].add(dy)


@dataclasses.dataclass(frozen=True)
class Local(fnn.Layer, name="local"):
    """A dense layer for each place, which shares no weights with the others.

    Forward:   y[n, p] = x[n, p] W[p] + b[p]
    Backward:  dW[p] = Σₙ x[n, p]ᵀ dy[n, p],  db[p] = Σₙ dy[n, p],  dx[n, p] = dy[n, p] W[p]ᵀ

    Params: ``kernel`` (P, D, F), ``bias`` (P, F).  Cache: ``x``, ``kernel``.  (N, P, D) → (N, P, F)
    """

    features: int

    def init(self, key: jax.Array, x: Any) -> tuple[Any, Any]:
        _, places, size = x.shape
        # As those of fnn.Dense: by the inputs of one place.
        kernel = fnn.initializers.LecunNormal()(key, (size, places * self.features), x.dtype)
        kernel = kernel.reshape(size, places, self.features).swapaxes(0, 1)
        return {"kernel": kernel, "bias": jnp.zeros((places, self.features), x.dtype)}, {}

    def forward(self, params: Any, state: Any, x: Any, *, train: Any = False, key: Any = None) -> Any:
        y = jnp.einsum("npd,pdf->npf", x, params["kernel"]) + params["bias"][None]
        return y, state, {"x": x, "kernel": params["kernel"]}

    def backward(self, cache: Any, dy: jax.Array) -> Any:
        dkernel = jnp.einsum("npd,npf->pdf", cache["x"], dy)
        return {"kernel": dkernel, "bias": dy.sum(0)}, jnp.einsum("npf,pdf->npd", dy, cache["kernel"])


def window_pixels() -> np.ndarray:
    """The pixels of each window, by place: (36, 9)."""
    starts, pixels = range(SIDE - WINDOW + 1), np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    return np.stack([pixels[i : i + WINDOW, j : j + WINDOW].ravel() for i in starts for j in starts])


def looking(layer: fnn.Layer) -> fnn.Layer:
    """A network whose hidden layer is applied to the windows."""
    return fnn.Serial(Windows(), layer, fnn.Relu(), fnn.Flatten(), fnn.Dense(10))


OTHERS: dict[str, fnn.Layer] = {
    EARLY: fnn.Serial(fnn.Dense(UNITS), fnn.Relu(), fnn.Dense(10)),
    NORM: fnn.Serial(fnn.Dense(UNITS), fnn.BatchNorm(), fnn.Relu(), fnn.Dense(10)),
    UNTIED: looking(Local(MAPS)),
    # A dense layer has the same weights at every place: this is a convolution.
    TIED: looking(fnn.Dense(MAPS)),
}
"""The models of the ways that need a program of their own."""


def accuracies_of(model: fnn.Layer, params: Any, state: Any, parts: Sequence[tuple]) -> jax.Array:
    """The accuracy on each part."""
    return jnp.stack([(model.apply(params, state, x)[0].argmax(-1) == labels).mean() for x, labels in parts])


def trained(epochs: int, samples: int, other: str = "") -> Callable[..., Any]:
    """A compiled function that trains with every choice (its dict of arrays) from every seed.

    It is given the choices, the keys and samples by seed, and the validation and test part, and returns the accuracies
    on these two (seeds, choices, 2), with the parameters, or with the epochs of a way that has its own program.
    """
    steps = epochs * -(-samples // BATCH)
    options: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH}

    def run(h: dict[str, Any], key: jax.Array, data: tuple, held_out: Sequence[tuple]) -> Any:
        optimizer = fnn.optim.adam(fnn.optim.cosine(h["rate"], steps))
        if not other:
            objective = objective_of(h)
            moved = motions(h[MOVED]) if MOVED in h else None
            train = fnn.make_train(objective, optimizer, augment=moved, **options)
            result = train(key, data)
        else:
            objective = fnn.Objective(OTHERS[other], fnn.CrossEntropy())
            stopping = fnn.EarlyStopping(PATIENCE) if other == EARLY else None
            train = fnn.make_train(objective, optimizer, early_stopping=stopping, **options)
            result = train(key, data, validation=held_out[0] if other == EARLY else None)
        accuracies = accuracies_of(objective.model, result.params, result.state, held_out)
        return accuracies, result.epochs_run if other else result.params

    over_choices: Any = jax.vmap(run, in_axes=(0, None, None, None))

    @jax.jit
    def program(choices: Any, keys: jax.Array, data: tuple, held_out: Sequence[tuple]) -> Any:
        # Under lax.map, unlike vmap, random numbers in a loop compile fast.
        return jax.lax.map(lambda each: over_choices(choices, *each, held_out), (keys, data))

    return program
