"""Characters: can a small transformer and an LSTM predict Python source better than n-grams, and does a gate help?

Claims: both need fewer bits per character than the frequencies of characters give, than an n-gram model, and than a
compressor; the transformer needs fewer than the LSTM of equal size; at equal numbers of parameters, a transformer
needs fewer with a gated feed-forward part (GLU, ReGLU, GEGLU, SwiGLU) than without a gate (ReLU, GELU).

Measure: the text is the source of modules of the running Python: 20 to train on, two to choose by, four to test.
Transformer (width 64, two blocks) and LSTM (128 units) have 117,000 parameters and see 300 batches of 16 windows of 64
characters from anywhere in the training text. Their rates of Adam were chosen among 0.003, 0.01, 0.03 and 0.1 by the
validation text (with one seed, once for all), and so is the length of the n-grams. Test windows begin at every 32nd
character, whatever stands there, and only their second half counts, so that 32 characters at least are known. n-grams
up to nine characters are smoothed by Witten and Bell, and are counted once in the whole training text and once in as
many characters as a network sees. A compressor (the better of xz and bz2) gets the test text after the training text;
what that adds counts. "Fewer" means: in every seed, the 95 % interval of the mean difference over 20 blocks of text is
below 0. Feed-forward parts are compared in a transformer of width 32, one block and windows of 32; all have the same
rate, and the hidden units that bring them to one size.

Result: single characters take 4.43 bits each, the transformer 3.35, the LSTM 2.85, 5-grams of the whole text 2.57, xz
after the training text 1.81 (2.10 without it). With as much text as the networks see, 300,000 characters, 4-grams take
2.86, so the LSTM is as good and the transformer worse. Neither is near a compressor, which may copy long strings from
anywhere before. GEGLU, SwiGLU, ReGLU and GLU take 3.545, 3.554, 3.559 and 3.561 bits on average, GELU 3.570, ReLU
3.585; but one seed differs from another by more, and in one of three the gates are worse. Seeds 0 to 1, and 0 to 2 for
the gates; 78 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np

import fnn
from experiments.claims import Claim
from experiments.sequences import characters_plots, characters_report
from experiments.sequences.characters_claims import ALL, AS_MANY, judged
from experiments.sequences.characters_networks import KINDS, LARGE, SMALL, networks, scored, units_of, written
from experiments.sequences.characters_text import (
    ALPHABET,
    TEST,
    TRAIN,
    VALIDATION,
    compressed_bits,
    gram_bits,
    read,
    text_of,
)
from experiments.sequences.characters_training import compared_kinds, trained
from experiments.study import GRADIENTS, Figures, Study, compared

BLOCKS = 20
"""Blocks of the test text."""


@dataclasses.dataclass(frozen=True)
class Characters(Study):
    """The options of the experiment."""

    name = "characters"
    quick_options: ClassVar = {
        "steps": 30,
        "written": 100,
        "seeds": 1,
        "blocks": 1,
        "networks": ("transformer",),
        "kinds": (),
    }

    steps: int = 300
    """Steps of training of the transformer and the LSTM."""

    seeds: int = 2
    """Networks of both, with the seeds seed, seed + 1, …"""

    blocks: int = 2
    """Blocks of the transformer."""

    networks: tuple[str, ...] = ("transformer", "LSTM")
    """The networks that are compared with n-grams, with compressors and with each other."""

    kinds: tuple[str, ...] = tuple(KINDS)
    """The feed-forward parts that are compared."""

    written: int = 400
    """Characters that each network writes."""

    kind_steps: int = 200
    """Steps of training of each of them."""

    kind_seeds: int = 3
    """Networks with each of them."""

    def measure(self) -> Figures:
        train, validation, test = (read(modules) for modules in (TRAIN, VALIDATION, TEST))
        places = scored(test, LARGE.window)
        seen = min(self.steps * LARGE.batch * LARGE.window, len(train))
        bits, orders = {}, {}
        for name, text in ((ALL, train), (AS_MANY, train[:seen])):
            order = int(gram_bits(text, validation).mean(1).argmin())
            orders[name], bits[name] = order + 1, gram_bits(text, test)[order, places][None]
        often = np.bincount(train, minlength=len(ALPHABET)) + 1
        bits["single characters"] = -np.log2(often / often.sum())[test[places]][None]
        models = {name: model for name, model in networks(self.blocks).items() if name in self.networks}
        losses, learned, samples = {}, {}, {}
        seeds, kind_seeds = (range(self.seed, self.seed + count) for count in (self.seeds, self.kind_seeds))
        for name, model in models.items():
            bits[name], losses[name], learned[name] = trained(name, model, train, test, seeds, self.steps)
            (params, state), key = learned[name], jax.random.key(self.seed)
            samples[name] = text_of(written(model, params, state, test[: LARGE.window // 2], key, self.written))
        # The part of the transformer that the last claim is about; attention and LSTM have their own experiments.
        part = fnn.Serial(fnn.LayerNorm(), fnn.SwiGLU(units_of(SMALL.width, 1)), fnn.Dense(SMALL.width))
        objective, batch = fnn.Objective(part, fnn.MeanSquaredError()), normal(self.seed, 2, 8, SMALL.width)
        shapes, _ = jax.eval_shape(objective.init, jax.random.key(0), batch[0])
        params = jax.tree.map(lambda leaf: normal(self.seed, *leaf.shape), shapes)
        return {
            "characters": [len(each) for each in (train, validation, test)],
            "seen": seen,
            "bits": {name: blocks_of(each).tolist() for name, each in bits.items()},
            "orders": orders,
            "compressed": compressed_bits(train, test),
            "losses": losses,
            "parameters": {
                name: sum(leaf.size for leaf in jax.tree.leaves(params)) for name, (params, _) in learned.items()
            },
            "samples": samples,
            "begins": text_of(test[: LARGE.window // 2]),
            "kinds": compared_kinds(self.kinds, train, test, kind_seeds, self.kind_steps) if self.kinds else {},
            GRADIENTS: compared(objective, params, {}, (batch[0], batch[1])),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        characters_plots.bits(folder / "bits.png", figures)
        captions = {
            "bits.png": "Left: bits per character of the test text (bars: 95 % intervals over 20 blocks of text, of the"
            f" mean of {self.seeds} seeds). Right: of the training windows while the networks learn, shaded over seeds."
        }
        if figures["kinds"]:
            characters_plots.kinds(folder / "kinds.png", figures["kinds"])
            captions["kinds.png"] = "Feed-forward parts of equal size: each seed (points), their mean (bars)."
        return captions

    def tables(self, figures: Figures) -> list[str]:
        return characters_report.sections(figures, self.seed)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def blocks_of(bits: np.ndarray) -> np.ndarray:
    """The means (seeds, blocks) of blocks of text."""
    return np.stack([each.mean(1) for each in np.array_split(bits, BLOCKS, axis=1)], 1)
