"""The same seed gives the same bits on the same machine, and the same numbers everywhere.

The numbers below are what fnn draws from a key. A change of any of them means that keys are used otherwise than before,
and that no run with a stated seed can be repeated.
"""

import functools
import hashlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import initializers
from fnn.layer import named_key
from fnn.train.step import Training

KEY = jax.random.key(0)
X = np.linspace(-1, 1, 42).reshape(14, 3).astype(np.float32) ** 3
Y = np.arange(14) % 2
OBJECTIVE = fnn.Objective(
    fnn.Serial(fnn.Dense(4), fnn.GaussianNoise(0.1), fnn.Tanh(), fnn.Dropout(0.5), fnn.Dense(2)), fnn.CrossEntropy()
)
OPTIONS = {"epochs": 2, "batch_size": 4, "metrics": (fnn.Accuracy(),)}
OPTIMIZER = fnn.optim.adam(0.1)


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Not here: what is compiled again gives the same bits too."""


def trained():
    return jax.jit(fnn.make_train(OBJECTIVE, OPTIMIZER, **OPTIONS))(KEY, (X, Y), validation=(X, Y))


def fitted():
    return fnn.fit(OBJECTIVE, OPTIMIZER, (X, Y), key=KEY, validation=(X, Y), progress=False, **OPTIONS)


@functools.cache
def once(run):
    return run()


def digest(tree):
    """One number for the bits of every leaf."""
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


# ---- bits


@pytest.mark.full  # the numbers of a run, below, are the quick proof's
@pytest.mark.parametrize("run", [trained, fitted])
def test_a_run_gives_the_same_bits_again(run):
    first = digest(once(run))
    jax.clear_caches()
    assert digest(run()) == first


@pytest.mark.full
def test_fresh_processes_give_the_same_bits():
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; from tests.compilation import compile_cheaply; compile_cheaply();"
        f" import {__name__} as here; print(*here.both())"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate()[0].split() for run in runs]
    assert [len(output) for output in outputs] == [2, 2]
    assert outputs[0] == outputs[1]


def both():
    return digest(trained()), digest(fitted())


# ---- numbers

KEYS = {
    "init": [3020537540, 2946840664],
    "epochs": [824670305, 2924140910],
    "order": [207560800, 2075697412],
    "model": [303697408, 1831871300],
    "augment": [1344629774, 4219992126],
    "inner": [4001671412, 2995452312],
    "dense_0": [3124347900, 105373941],
    "kernel": [3520189540, 3212112751],
}
DRAWN = [  # of shape (2, 2)
    (initializers.Normal(1.0), [1.6226422, 2.0252647, -0.4335944, -0.0786173]),
    (initializers.TruncatedNormal(1.0), [1.4559592, 1.7147487, -0.4126754, -0.0750334]),
    (initializers.Uniform(1.0), [0.895334, 0.9571598, -0.335417, -0.0626631]),
    (initializers.VarianceScaling(), [1.1473813, 1.4320784, -0.3065976, -0.0555909]),
    (initializers.GlorotNormal(), [1.1704054, 1.3784391, -0.3317383, -0.0603173]),
    (initializers.GlorotUniform(), [1.0965558, 1.1722765, -0.4108003, -0.0767463]),
    (initializers.HeNormal(), [1.6552032, 1.9494075, -0.4691488, -0.0853016]),
    (initializers.HeUniform(), [1.550764, 1.6578493, -0.5809593, -0.1085356]),
    (initializers.LecunNormal(), [1.1704054, 1.3784391, -0.3317383, -0.0603173]),
    (initializers.LecunUniform(), [1.0965558, 1.1722765, -0.4108003, -0.0767463]),
    (initializers.Orthogonal(), [0.966103, 0.2581573, -0.2581573, 0.9661029]),
]
NOT_DRAWN = {initializers.Zeros, initializers.Ones, initializers.Constant, initializers.Identity}


def equal(found, expected):
    np.testing.assert_allclose(found, np.array(expected), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", KEYS)
def test_the_key_of_a_name(name):
    assert jax.random.key_data(named_key(KEY, name)).tolist() == KEYS[name]


@pytest.mark.parametrize(("initializer", "expected"), DRAWN, ids=lambda each: type(each).__name__)
def test_what_an_initializer_draws(initializer, expected):
    equal(initializer(KEY, (2, 2), jnp.float32).ravel(), expected)


def test_every_initializer_is_here():
    classes = {each for each in vars(initializers).values() if isinstance(each, type)}
    assert {type(each) for each, _ in DRAWN} | NOT_DRAWN == {each for each in classes if "init" in each.__module__}


def test_the_mask_of_dropout():
    y, _ = fnn.Dropout(0.5).apply({}, {}, jnp.ones(12), train=True, key=KEY)
    equal(y, [0, 0, 2, 2, 0, 2, 2, 0, 0, 2, 0, 2])


def test_the_mask_of_drop_connect():
    layer = fnn.DropConnect(fnn.Dense(4, use_bias=False), 0.5)
    y, _ = layer.apply({"kernel": jnp.ones((3, 4))}, {}, jnp.eye(3), train=True, key=KEY)
    equal(y, [[2, 2, 0, 0], [2, 2, 0, 2], [0, 2, 2, 2]])


def test_gaussian_noise():
    y, _ = fnn.GaussianNoise(1.0).apply({}, {}, jnp.zeros(4), train=True, key=KEY)
    equal(y, [1.6226422, 2.0252647, -0.4335944, -0.0786173])


def test_the_order_of_an_epoch():
    order = Training(OBJECTIVE, OPTIMIZER).order(KEY, 14)
    assert order.tolist() == [7, 10, 0, 12, 1, 13, 8, 3, 6, 9, 5, 2, 11, 4]


def test_the_initial_parameters_of_a_model():
    params, _ = OBJECTIVE.init(KEY, X)
    equal(params["dense_0"]["kernel"][0], [-0.6325433, 1.0383924, -0.381441, 0.5283081])
    equal(params["dense_1"]["kernel"][:2].ravel(), [-0.2114259, 0.4196876, -0.2613183, 0.5416449])


@pytest.mark.full
@pytest.mark.parametrize("run", [trained, fitted])
def test_a_whole_run(run):
    result = once(run)
    equal(result.history["loss"], [0.7578505, 0.7016621])
    equal(result.history["accuracy"], [3 / 7, 4 / 7])
    equal(result.history["validation_loss"], [0.6909315, 0.7220668])
    kernel = [[0.499619, -0.3907482], [-0.1472292, -0.604461], [0.4775775, 0.6080796], [0.032086, 0.0535409]]
    equal(result.params["dense_1"]["kernel"], kernel)
    equal(result.params["dense_1"]["bias"], [0.0333052, -0.0333052])
