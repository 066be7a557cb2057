"""An image classifier from a folder that holds one folder of images for each class.

python examples/images.py FOLDER [SIZE]
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import fnn
from fnn import augment


def read(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images (N, size, size, 3) from 0 to 1, the places of their classes, and the names of the classes."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    images = [np.asarray(Image.open(path).convert("RGB").resize((size, size))) / 255 for path, _ in files]
    return np.array(images, np.float32), np.array([label for _, label in files]), classes


def main(folder: str, size: str = "32") -> None:
    images, labels, classes = read(Path(folder), int(size))
    order = np.random.default_rng(0).permutation(len(images))
    held_out, kept = np.split(order, [len(order) // 5])

    def block(features: int) -> fnn.Layer:
        return fnn.Serial(fnn.Conv(features, (3, 3), use_bias=False), fnn.BatchNorm(), fnn.Relu(), fnn.MaxPool(2))

    model = fnn.Serial(block(16), block(32), block(64), fnn.GlobalAvgPool(), fnn.Dense(len(classes)))
    result = fnn.fit(
        fnn.Objective(model, fnn.CrossEntropy(label_smoothing=0.1)),
        fnn.optim.adamw(fnn.optim.warmup_cosine(3e-3, 20, 30 * -(-len(kept) // 32))),
        (images[kept], labels[kept]),
        key=jax.random.key(0),
        epochs=30,
        batch_size=32,
        validation=(images[held_out], labels[held_out]),
        metrics=[fnn.Accuracy()],
        augment=augment.Compose(augment.FlipHorizontal(), augment.Rotate(10)),
        checkpoint="runs/images",
    )
    logits, _ = model.apply(result.params, result.state, jnp.asarray(images[held_out]))
    for place, guess in list(zip(held_out, np.asarray(logits).argmax(-1), strict=True))[:5]:
        print(f"{classes[labels[place]]} is taken for {classes[guess]}")
    print(f"validation accuracy {result.history['validation_accuracy'][-1]:.3f}; checkpoints in runs/images")


if __name__ == "__main__":
    main(*sys.argv[1:])
