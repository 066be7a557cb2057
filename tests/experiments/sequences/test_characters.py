"""A quick run on characters: what little training reaches, that each rule can say no, and numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.sequences.characters import BLOCKS, blocks_of
from experiments.sequences.characters_claims import ALL, AS_MANY, mean_of
from experiments.sequences.characters_networks import (
    KINDS,
    LARGE,
    SMALL,
    bits_of,
    chosen_feed_forward,
    feed_forward_parameters,
    held_out_windows,
    networks,
    scored,
    starts_of,
    units_of,
)
from experiments.sequences.characters_report import fenced, sections
from experiments.sequences.characters_text import (
    ALPHABET,
    ORDERS,
    TEST,
    TRAIN,
    VALIDATION,
    codes_of,
    compressed_bits,
    gram_bits,
    grams,
    read,
    text_of,
)

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_short_training_beats_single_characters_and_n_grams_of_all_the_text_beat_that(run):
    bits = {name: np.array(each) for name, each in run.figures["bits"].items()}
    assert all(each.shape[1] == BLOCKS for each in bits.values())
    assert bits[ALL].mean() < bits[AS_MANY].mean() < bits["single characters"].mean()
    assert 3 < bits["transformer"].mean() < bits["single characters"].mean() < 5
    losses = np.array(run.figures["losses"]["transformer"])
    assert (losses[:, -1] < losses[:, 0] - 1).all()
    assert len(run.figures["samples"]["transformer"]) == run.study.written
    assert fenced(run.figures["begins"]) in (run.folder / "report.md").read_text()


def test_every_rule_can_say_the_opposite(run):
    # Blocks that differ among themselves, so that only differences in pairs have short intervals.
    blocks = np.linspace(2, 4, BLOCKS)
    names = (ALL, AS_MANY, "single characters")

    def verdict(claim: str, transformer: float, lstm: float, kinds: dict | None = None, least: float = 3.0) -> str:
        bits = dict.fromkeys(names, blocks[None])
        bits |= {"transformer": np.stack([blocks, blocks]) + transformer, "LSTM": np.stack([blocks, blocks]) + lstm}
        return run.verdict(
            claim,
            bits={name: each.tolist() for name, each in bits.items()},
            losses={"transformer": [], "LSTM": []},
            compressed={"xz": {"after the training text": least}, "bz2": {"after the training text": 9.0}},
            kinds={name: {"bits": each} for name, each in (kinds or {}).items()},
        )

    for rival in ("frequencies", "n-grams of the whole", "n-grams of as much"):
        assert verdict(rival, -0.01, -0.01) == "holds"
        assert verdict(rival, -0.01, 0.01) == "holds only when the network is the transformer"
        assert verdict(rival, 0.01, -0.01) == "holds only when the network is the LSTM"
        assert verdict(rival, 0, 0) == "does not hold"
    assert verdict("compressor", -1, -1) == "holds"
    # A mean of 2.9 is not below 3 for certain where blocks differ by 2.
    assert verdict("compressor", -0.1, -0.1) == "does not hold"
    assert verdict("compressor", -1, -1, least=1.5) == "does not hold"
    assert verdict("The transformer needs", -0.01, 0) == "holds"
    assert verdict("The transformer needs", 0, 0) == "does not hold"
    plain = {"ReLU": [2.0, 3.0], "GELU": [3.0, 2.0]}
    low, high = [1.9, 1.9], [1.9, 2.1]
    gated = ("GLU", "ReGLU", "GEGLU", "SwiGLU")
    assert verdict("gated", 0, 0, plain | dict.fromkeys(gated, low)) == "holds"
    assert verdict("gated", 0, 0, plain | dict.fromkeys(gated, high)) == "does not hold"
    mixed = plain | dict.fromkeys(gated, high) | {"GLU": low}
    assert verdict("gated", 0, 0, mixed) == "holds only when it is GLU"


def test_all_kinds_in_one_program_are_the_layers_of_the_library():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    shapes = [feed_forward_parameters(SMALL.width, units_of(SMALL.width, gated), gated) for _, gated in KINDS.values()]
    # 2 · 32 · 128 weights and 160 biases; 3 · 32 · 85 weights and 202 biases.
    assert shapes == [8352] * 2 + [8362] * 4
    library = {"ReLU": fnn.Relu(), "GELU": fnn.Gelu()}
    for name, (gate, gated) in KINDS.items():
        units = units_of(4, gated)
        chosen = chosen_feed_forward(4, gate, gated, units)
        params, state = chosen.init(jax.random.key(0), x)
        branches, out = params["parallel_0"], params["dense_0"]
        first, value = branches["gate"]["dense_0"], branches["value"]["dense_0"]
        cut = [jax.tree.map(lambda leaf, units=units: leaf[..., :units], each) for each in (first, value)]
        out = {"kernel": out["kernel"][:units], "bias": out["bias"]}
        if gated:
            layer = fnn.Serial(gated=getattr(fnn, name)(units), out=fnn.Dense(4))
            found, _ = layer.apply({"gated": {"gate": cut[0], "value": cut[1]}, "out": out}, {}, x)
        else:
            found, _ = fnn.FeedForward(units, activation=library[name]).apply({"hidden": cut[0], "out": out}, {}, x)
        np.testing.assert_allclose(chosen.apply(params, state, x)[0], found, atol=1e-6)


def test_the_report_shows_units_sizes_and_the_bits_of_each_seed(run):
    found = {"units": 85, "parameters": 8362, "bits": [3.5, 3.25]}
    assert len(sections(run.figures, 4)) == len(run.figures["samples"]) + 2
    *_, table = sections(run.figures | {"kinds": {"GLU": found}}, 4)
    assert "bits, seed 4 | bits, seed 5" in table
    assert "| GLU | 85 | 8,362 | 3.500 | 3.250 |" in table


def test_the_parts_of_the_text_have_no_module_in_common():
    assert len({*TRAIN, *VALIDATION, *TEST}) == len(TRAIN) + len(VALIDATION) + len(TEST)
    text = read(("textwrap",))
    assert text_of(text).startswith('"""Text wrapping and filling.')
    assert text_of(codes_of("a\té\n")) == "a\ufffd\ufffd\n"
    # Lines begin at any place of the test windows.
    windows = held_out_windows(read(TEST), LARGE.window)
    assert np.bincount(np.argwhere(windows == 0)[:, 2], minlength=LARGE.window + 1).min() > 20


def test_windows_count_every_character_once_with_half_a_window_before_it():
    text = np.arange(5000)
    windows, places = held_out_windows(text, 64), scored(text, 64)
    assert windows.shape[1:] == (64, 65)
    assert (places == places[0] + np.arange(len(places))).all()
    assert places[0] == 13 + 33
    starts = starts_of(0, 4, LARGE, 1000)
    assert starts.shape == (4, LARGE.batch)
    assert starts.min() >= 0
    assert starts.max() + LARGE.window < 1000
    # A model that finds all characters equally likely.
    even = fnn.Lambda(lambda x: jnp.zeros((*x.shape, len(ALPHABET))))
    bits = bits_of(even, {}, {}, jnp.zeros((2, 64, 65), jnp.int32))
    assert bits.shape == (2 * 64 * 32,)
    np.testing.assert_allclose(bits, np.log2(len(ALPHABET)), rtol=1e-6)


def test_n_grams_worked_by_hand():
    train = codes_of("abab" + "c" * 5)
    bits = gram_bits(train, codes_of("b"))
    size = len(ALPHABET)
    # Of 9 characters 2 are b, and 3 different ones occur: (2 + 3 / 97) / 12.
    single = (2 + 3 / size) / 12
    np.testing.assert_allclose(bits[0, 0], -np.log2(single))
    # Before the b stands the last c, after which only c follows, 4 times: (0 + 1 · single) / (4 + 1).
    np.testing.assert_allclose(bits[1, 0], -np.log2(single / 5))
    assert bits.shape == (len(ORDERS), 1)
    # The chances of all characters add up to 1.
    chances = [2.0 ** -gram_bits(train, np.array([code], np.int32))[:, 0] for code in range(size)]
    np.testing.assert_allclose(np.sum(chances, 0), 1)
    assert grams(np.array([1, 2, 3]), 2).tolist() == [size + 2, 2 * size + 3]
    # An unknown context counts for nothing.
    unknown = gram_bits(train, codes_of("zb"))[:, 1]
    np.testing.assert_allclose(unknown, unknown[0])


def test_compressors_and_other_figures_worked_by_hand():
    text = np.random.default_rng(0).integers(0, 97, 3000)
    found = compressed_bits(text, text)
    # Nothing foretells random characters, of log₂ 97 = 6.6 bits, but having seen them before does.
    assert 6.6 < found["xz"]["alone"] < 7.2
    assert found["xz"]["after the training text"] < 0.3
    assert blocks_of(np.arange(40.0)[None]).tolist() == [(np.arange(0, 40, 2) + 0.5).tolist()]
    assert mean_of(np.array([[1.0, 3.0], [1.0, 3.0]])) == "2.00 ± 1.96"
    # Embedding, 4 gates of 128 units that see 64 values and 128 outputs, and the output.
    model = networks(2)["LSTM"]
    shapes, _ = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64), "int32"))
    size = len(ALPHABET)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == size * 64 + 4 * 128 * (64 + 128 + 1) + 129 * size
