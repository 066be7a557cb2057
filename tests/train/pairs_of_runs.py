"""Pairs of runs that are not the same: the part that differs, and what makes it in the one and in the other."""

import enum
import functools
import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnn
from fnn import optim
from fnn.train.fingerprint import data_digest, fingerprint

X = np.arange(180.0, dtype=np.float32).reshape(60, 3)
Y = X[:, :1] * 2


def scaled(scale):
    def augment(key, inputs):
        return inputs * scale

    return augment


def with_default(value):
    return lambda key, inputs, scale=value: inputs * scale


def with_keyword(value):
    def augment(key, inputs, *, scale=value):
        return inputs * scale

    return augment


class Colour(enum.Enum):
    RED, BLUE = 1, 2


class Pair(NamedTuple):
    first: Any
    second: Any


class Slotted:
    __slots__ = ("content",)

    def __init__(self, content):
        self.content = content


class Noise:
    strength = 0.5

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, key, inputs):
        return inputs + self.scale * self.strength

    def method(self, key, inputs):
        return inputs


def changed(data, place):
    changed = data.copy()
    changed[place] += 1
    return changed


def custom(slope):
    @jax.custom_jvp
    def rule(x):
        return x

    rule.defjvp(lambda primals, tangents: (primals[0], slope * tangents[0]))
    return rule


def in_the_name_of_sine(scale):
    @functools.wraps(jnp.sin)
    def wrapper(x):
        return scale * jnp.sin(x)

    return wrapper


def two(first, second):
    return optim.chain(first, second)


def of_lambda(function):
    return fnn.Serial(fnn.Dense(4), fnn.Lambda(function))


PAIRS = {
    "momentum": ("optimizer", lambda: optim.momentum(0.1), lambda: optim.nesterov(0.1)),
    "nadam": ("optimizer", lambda: optim.adam(0.1), lambda: optim.nadam(0.1)),
    "radam": ("optimizer", lambda: optim.adam(0.1), lambda: optim.radam(0.1)),
    "rate": ("optimizer", lambda: optim.adam(0.1), lambda: optim.adam(np.nextafter(0.1, 1))),
    "number of another type": ("optimizer", lambda: optim.sgd(1), lambda: optim.sgd(1.0)),
    "array": ("optimizer", lambda: optim.sgd(jnp.float32(1)), lambda: optim.sgd(jnp.float32(2))),
    "schedule": (
        "optimizer",
        lambda: optim.sgd(optim.cosine(1e-3, 1000)),
        lambda: optim.sgd(optim.cosine(1e-3, 2000)),
    ),
    "schedule of one's own": (
        "optimizer",
        lambda: optim.sgd(lambda step: 0.1 / (1 + step)),
        lambda: optim.sgd(lambda step: 0.1 / (2 + step)),
    ),
    "decay paths": (
        "optimizer",
        lambda: optim.adamw(0.1, weight_decay=0.1, paths="*/kernel"),
        lambda: optim.adamw(0.1, weight_decay=0.1, paths="*"),
    ),
    "kind of clipping": (
        "optimizer",
        lambda: two(optim.clip_by_norm(1.0), optim.sgd(0.1)),
        lambda: two(optim.clip_by_global_norm(1.0), optim.sgd(0.1)),
    ),
    "clipping to values": (
        "optimizer",
        lambda: two(optim.clip_by_norm(1.0), optim.sgd(0.1)),
        lambda: two(optim.clip_by_value(1.0), optim.sgd(0.1)),
    ),
    "order": (
        "optimizer",
        lambda: two(optim.clip_by_norm(1.0), optim.sgd(0.1)),
        lambda: two(optim.sgd(0.1), optim.clip_by_norm(1.0)),
    ),
    "accumulation": (
        "optimizer",
        lambda: optim.accumulate(optim.sgd(0.1), 2),
        lambda: optim.accumulate(optim.sgd(0.1), 4),
    ),
    "lookahead": (
        "optimizer",
        lambda: optim.lookahead(optim.sgd(0.1), 6),
        lambda: optim.lookahead(optim.sgd(0.1), 3),
    ),
    "plateau": (
        "optimizer",
        lambda: two(optim.sgd(0.1), optim.reduce_on_plateau(0.1, 10)),
        lambda: two(optim.sgd(0.1), optim.reduce_on_plateau(0.1, 5)),
    ),
    "groups": (
        "optimizer",
        lambda: optim.groups({"*/kernel": optim.sgd(0.1), "*": optim.sgd(0.2)}),
        lambda: optim.groups({"*/kernel": optim.sgd(0.1), "*": optim.sgd(0.3)}),
    ),
    "optax": ("optimizer", lambda: optax.adam(1e-3), lambda: optax.adam(1e-1)),
    "optax, nesterov": (
        "optimizer",
        lambda: optax.sgd(0.1, momentum=0.9),
        lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    ),
    "optax in a chain": (
        "optimizer",
        lambda: two(optax.clip(1.0), optim.sgd(0.1)),
        lambda: two(optax.clip(2.0), optim.sgd(0.1)),
    ),
    "optax, a schedule and groups": (
        "optimizer",
        lambda: optax.multi_transform({"a": optax.adamw(optax.cosine_decay_schedule(0.1, 9))}, lambda params: "a"),
        lambda: optax.multi_transform({"a": optax.adamw(optax.cosine_decay_schedule(0.1, 8))}, lambda params: "a"),
    ),
    "optax, injected": (
        "optimizer",
        lambda: optax.inject_hyperparams(optax.sgd)(0.1),
        lambda: optax.inject_hyperparams(optax.sgd)(0.2),
    ),
    "lambda": ("model", lambda: of_lambda(lambda x: x * 1), lambda: of_lambda(lambda x: x * 3)),
    "which lambda": (
        "model",
        lambda: fnn.Serial(*map(fnn.Lambda, [a := lambda x: x + 1, lambda x: x + 2, a])),
        lambda: fnn.Serial(*map(fnn.Lambda, [lambda x: x + 1, b := lambda x: x + 2, b])),
    ),
    "function of JAX": ("model", lambda: of_lambda(jnp.max), lambda: of_lambda(jax.lax.max)),
    "activation": ("model", lambda: of_lambda(jax.nn.relu), lambda: of_lambda(jax.nn.gelu)),
    "partial": (
        "model",
        lambda: of_lambda(functools.partial(jnp.clip, min=1)),
        lambda: of_lambda(functools.partial(jnp.clip, min=2)),
    ),
    "in another's name": (
        "model",
        lambda: of_lambda(in_the_name_of_sine(1)),
        lambda: of_lambda(in_the_name_of_sine(2)),
    ),
    "initializer": (
        "model",
        lambda: fnn.Dense(4, kernel_init=jax.nn.initializers.normal(0.1)),
        lambda: fnn.Dense(4, kernel_init=jax.nn.initializers.normal(0.2)),
    ),
    "rule of one's own": ("model", lambda: of_lambda(custom(1.0)), lambda: of_lambda(custom(2.0))),
    "loss": ("loss", lambda: fnn.Huber(1.0), lambda: fnn.Huber(2.0)),
    "captured": ("augment", lambda: scaled(1.0), lambda: scaled(3.0)),
    "captured array": ("augment", lambda: scaled(X), lambda: scaled(changed(X, (59, 2)))),
    "captured shape": ("augment", lambda: scaled(np.zeros(20)), lambda: scaled(np.zeros((4, 5)))),
    "captured dtype": ("augment", lambda: scaled(np.zeros(20)), lambda: scaled(np.zeros(20, int))),
    "captured by a captured one": ("augment", lambda: scaled(scaled(1)), lambda: scaled(scaled(2))),
    "compiled": ("augment", lambda: jax.jit(scaled(1.0)), lambda: jax.jit(scaled(3.0))),
    "vectorised": ("augment", lambda: jax.vmap(scaled(1.0)), lambda: jax.vmap(scaled(3.0))),
    "remembered": ("augment", lambda: functools.lru_cache(scaled(1)), lambda: functools.lru_cache(scaled(3))),
    "default": ("augment", lambda: with_default(1), lambda: with_default(3)),
    "default of a keyword": ("augment", lambda: with_keyword(1), lambda: with_keyword(3)),
    "object": ("augment", lambda: Noise(1), lambda: Noise(3)),
    "method": ("augment", lambda: Noise(1).method, lambda: Noise(3).method),
    "strength": ("augment", lambda: fnn.augment.Noise(0.1), lambda: fnn.augment.Noise(0.2)),
    "validation data": ("validation", lambda: data_digest((X, Y)), lambda: data_digest((X, changed(Y, 0)))),
    "no validation data": ("validation", lambda: data_digest((X, Y)), lambda: None),
    "tail": ("data", lambda: data_digest((X, Y)), lambda: data_digest((changed(X, (59, 2)), Y))),
    "samples": ("data", lambda: data_digest((X, Y)), lambda: data_digest((np.r_[X, X[:2]], np.r_[Y, Y[:2]]))),
    "dtype": ("data", lambda: data_digest((X, Y)), lambda: data_digest((X, Y.astype(np.float16)))),
    "list": ("data", lambda: data_digest([(X, Y), (X, Y)]), lambda: data_digest([(X, Y), (X, changed(Y, 59))])),
    "early stopping": ("early_stopping", lambda: fnn.EarlyStopping(3), lambda: fnn.EarlyStopping(4)),
    "metrics": ("metrics", lambda: (fnn.Accuracy(),), lambda: ()),
    "method of gradients": ("method", lambda: "manual", lambda: "auto"),
    "set": ("setting", lambda: {"a", "b", ("c", 1)}, lambda: {"a", "b", ("c", 2)}),
    "set of functions": (
        "setting",
        lambda: {scaled(1), with_default(1), Noise, Pair},
        lambda: {scaled(1), with_default(2), Noise, Pair},
    ),
    "named tuple": ("setting", lambda: Pair(1, 2), lambda: Pair(1, 3)),
    "slots": ("setting", lambda: Slotted(1), lambda: Slotted(2)),
    "enum": ("setting", lambda: Colour.RED, lambda: Colour.BLUE),
    "key": ("setting", lambda: jax.random.key(0), lambda: jax.random.key(1)),
    "weak type": ("setting", lambda: jnp.asarray(1.0), lambda: jnp.asarray(1.0, jnp.float32)),
    "shape": ("setting", lambda: jax.ShapeDtypeStruct((2,), float), lambda: jax.ShapeDtypeStruct((3,), float)),
}  # fmt: skip


def printed():
    """The fingerprints of all pairs, as lines of JSON."""
    made = {case: [fingerprint(**{part: make()}) for make in makes] for case, (part, *makes) in PAIRS.items()}
    return {case: json.dumps(each) for case, each in made.items()}
