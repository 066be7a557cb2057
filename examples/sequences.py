"""Sequences of different lengths: is the largest value in the first half? Padding changes nothing.

python examples/sequences.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn

LONGEST = 30


def draw(random: np.random.Generator, count: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Padded sequences (N, T, 1) with their lengths (N,), and for each whether its largest value comes early."""
    lengths = random.integers(4, LONGEST + 1, count)
    x = random.standard_normal((count, LONGEST, 1)).astype(np.float32)
    inside = np.arange(LONGEST) < lengths[:, None]
    x[~inside] = 0
    largest = np.where(inside, x[..., 0], -np.inf).argmax(1)
    return (x, lengths.astype(np.int32)), (2 * largest < lengths).astype(np.int32)


def main(epochs: int = 15) -> float:
    random = np.random.default_rng(0)
    train, held_out = draw(random, 4000), draw(random, 1000)
    # A model that is given (x, lengths) hands the lengths on: the LSTM returns what it has after each one's last step.
    model = fnn.Serial(fnn.Bidirectional(fnn.LSTM(32, return_sequences=False)), fnn.Dense(2))
    result = fnn.fit(
        fnn.Objective(model, fnn.CrossEntropy()),
        fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adam(3e-3)),
        train,
        key=jax.random.key(0),
        epochs=epochs,
        batch_size=64,
        validation=held_out,
        metrics=[fnn.Accuracy()],
    )
    accuracy = float(result.history["validation_accuracy"][-1])
    print(f"validation accuracy {accuracy:.3f}")

    (x, lengths), _ = held_out
    short = jnp.asarray(x[:1, : lengths[0]]), jnp.asarray(lengths[:1])
    longer = jnp.pad(short[0], ((0, 0), (0, 7), (0, 0)), constant_values=9.9), short[1]
    alone, padded = (model.apply(result.params, result.state, each)[0] for each in (short, longer))
    print("one sequence, alone and with 7 steps of padding:", alone[0], padded[0])
    return accuracy


if __name__ == "__main__":
    main()
