"""A small transformer that learns to write text, one character after another.

python examples/characters.py [FILE]        without a file, from the source of Python's argparse
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import fnn

WINDOW, WIDTH, HEADS, BLOCKS = 64, 64, 4, 2


def model_of(characters: int) -> fnn.Layer:
    block = fnn.TransformerBlock(HEADS, 4 * WIDTH, causal=True, dropout=0.1)
    return fnn.Serial(
        fnn.Embedding(characters, WIDTH),
        fnn.PositionalEmbedding(WINDOW),
        fnn.Repeat(block, BLOCKS),
        fnn.LayerNorm(),
        fnn.Dense(characters),
    )


def main(path: str = argparse.__file__, *, epochs: int = 10, written: int = 400) -> str:
    text = Path(path).read_text(encoding="utf-8")
    characters = sorted(set(text))
    codes = np.array([characters.index(each) for each in text], np.int32)
    starts = np.arange(0, len(codes) - WINDOW - 1, 61)  # a prime, so that no rhythm of the text keeps its place
    windows = np.stack([codes[start : start + WINDOW + 1] for start in starts])

    model, steps = model_of(len(characters)), epochs * -(-len(windows) // 32)
    rate = fnn.optim.warmup_cosine(1e-2, steps // 10, steps)
    result = fnn.fit(
        fnn.Objective(model, fnn.CrossEntropy()),
        fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adamw(rate)),
        (windows[:, :-1], windows[:, 1:]),
        key=jax.random.key(0),
        epochs=epochs,
        batch_size=32,
    )

    def write(seen: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, _ = model.apply(result.params, result.state, seen[None])
        following = jax.random.categorical(key, logits[0, -1] / 0.8).astype(seen.dtype)
        return jnp.append(seen[1:], following), following

    keys = jax.random.split(jax.random.key(1), written)
    _, codes = jax.jit(lambda seen: jax.lax.scan(write, seen, keys))(jnp.asarray(windows[0, :-1]))
    return "".join(characters[code] for code in np.asarray(codes))


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
