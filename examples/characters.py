"""A small transformer that learns to write text, one character after another.

python examples/characters.py [FILE]        without a file, from the source of Python's argparse
"""

import argparse
import sys
from pathlib import Path

import jax
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

    # There are positions for one window: half of it is given, and half is written.
    seen, half = windows[:1, : WINDOW // 2], WINDOW // 2
    for part in range(-(-written // half)):
        options = {"length": half, "key": jax.random.key(part), "temperature": 0.8}
        following = fnn.generate(model, result.params, result.state, seen[:, -half:], **options)
        seen = np.concatenate((seen, following), 1)
    return "".join(characters[code] for code in seen[0, half : half + written])


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
