"""The training of the digits experiment: all seeds in one program, and the choice among them."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from fnn.layer import Params, State
from fnn.train.progress import ProgressBar


class Trained(NamedTuple):
    """Networks and their history, with seeds on the first axis."""

    seeds: tuple[int, ...]
    params: Params
    state: State
    history: dict[str, np.ndarray]
    compile_seconds: float
    train_seconds: float

    def network(self, index: int) -> dict:
        """Parameters and state of one of them."""
        return jax.tree.map(lambda leaf: leaf[index], {"params": self.params, "state": self.state})


class Outcome(NamedTuple):
    """Accuracies (seeds,) in inference, the index of the selected seed, test ``probabilities`` (seeds, N, 10)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    selected: int
    probabilities: np.ndarray


def trained(options: Any, digits: data.Digits) -> Trained:
    """Trains all seeds in one compiled program, on the training and validation parts only."""
    # The data are arguments, so that XLA does not embed them in the program.
    operands = (digits.train.images, digits.train.labels), (digits.validation.images, digits.validation.labels)
    steps = options.epochs * -(-len(digits.train.labels) // options.batch_size)
    rate = fnn.optim.warmup_cosine(options.learning_rate, max(1, steps // 10), steps)
    epochs_done = 0

    def on_epoch(epoch: np.ndarray, values: dict[str, np.ndarray]) -> None:
        # Callbacks may arrive out of order and do not know their seed, so they are counted.
        nonlocal epochs_done
        seed = options.seed + epochs_done // options.epochs
        shown = {"seed": seed, "loss": values["loss"], "validation accuracy": values["validation_accuracy"]}
        bar.epoch(epochs_done, shown)
        epochs_done += 1

    train = fnn.make_train(
        options.objective(),
        fnn.optim.adamw(rate, weight_decay=options.weight_decay),
        epochs=options.epochs,
        batch_size=options.batch_size,
        metrics=(fnn.Accuracy(),),
        augment=data.shift,
        method=options.method,
        on_epoch=on_epoch,
    )

    @jax.jit
    def train_all(keys: jax.Array, samples: tuple, validation: tuple) -> fnn.TrainResult:
        return jax.lax.map(lambda key: train(key, samples, validation=validation), keys)

    seeds = range(options.seed, options.seed + options.seeds)
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds.start, seeds.stop))
    began = time.perf_counter()
    program = train_all.lower(keys, *operands).compile()
    compiled = time.perf_counter()
    with ProgressBar("digits", epochs=options.seeds * options.epochs) as bar:
        result = jax.block_until_ready(program(keys, *operands))
        jax.effects_barrier()
    finished = time.perf_counter()
    history = {name: np.asarray(values) for name, values in result.history.items()}
    return Trained(tuple(seeds), result.params, result.state, history, compiled - began, finished - compiled)


def outcome(model: fnn.Layer, found: Trained, digits: data.Digits) -> Outcome:
    """Chooses a seed, and only then uses the test part."""

    @jax.jit
    def log_probabilities(params: Params, state: State, images: jax.Array) -> jax.Array:
        return jax.lax.map(lambda each: jax.nn.log_softmax(model.apply(each[0], each[1], images)[0]), (params, state))

    def evaluate(part: data.Part) -> np.ndarray:
        return np.asarray(log_probabilities(found.params, found.state, jnp.asarray(part.images)))

    def accuracy(each: np.ndarray, part: data.Part) -> np.ndarray:
        return (each.argmax(-1) == part.labels).mean(-1)

    train, validation = accuracy(evaluate(digits.train), digits.train), evaluate(digits.validation)
    of_labels = validation[:, np.arange(len(digits.validation.labels)), digits.validation.labels]
    validated, certainty = accuracy(validation, digits.validation), of_labels.mean(-1)
    # Ties are likely with 144 images: they are broken by the mean log-probability of the labels.
    selected = max(range(len(found.seeds)), key=lambda i: (validated[i], certainty[i]))
    test = evaluate(digits.test)
    return Outcome(train, validated, accuracy(test, digits.test), selected, np.exp(test))
