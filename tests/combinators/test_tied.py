"""Shared parameters: one array, its gradient the sum over its places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.backprop import backprop
from tests import compiled

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
PAIR = fnn.Serial(a=fnn.Dense(2, use_bias=False), b=fnn.Dense(2, use_bias=False))


def test_a_shared_kernel_by_hand():
    # y = x W W with W = [[1, 2], [3, 4]], x = (1, 0): xW = (1, 2), y = (7, 10). For dy = (1, 0):
    # at b: (xW)ᵀ dy = [[1, 0], [2, 0]], and back dy Wᵀ = (1, 3); at a: xᵀ (1, 3) = [[1, 3], [0, 0]].
    tied = fnn.Tied(PAIR, {"b/kernel": "a/kernel"})
    params = {"a": {"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0]])}}
    y, _, cache = compiled.forward(tied, params, {}, jnp.array([[1.0, 0.0]]))
    assert y.tolist() == [[7, 10]]
    dparams, dx = tied.backward(cache, jnp.array([[1.0, 0.0]]))
    assert dparams["a"]["kernel"].tolist() == [[2, 3], [2, 0]]
    assert list(dparams) == ["a"]
    assert dx.tolist() == [[7, 15]]


def test_the_embedding_as_the_last_kernel():
    model = fnn.Serial(symbols=fnn.Embedding(4, 3), out=fnn.Dense(4, use_bias=False))
    tied = fnn.Tied(model, {"out/kernel": "symbols/embedding"}, transform="transpose")
    x = jnp.array([[1, 3]])
    params, state = compiled.init(tied, KEY, x)
    table = params["symbols"]["embedding"]
    np.testing.assert_allclose(compiled.apply(tied, params, state, x)[0], table[x] @ table.T, rtol=1e-14)


def test_initial_values_are_those_of_the_model_untied():
    x = np.ones((1, 2))
    whole, _ = compiled.init(PAIR, KEY, x)
    tied, _ = compiled.init(fnn.Tied(PAIR, {"b/kernel": "a/kernel"}), KEY, x)
    assert (tied["a"]["kernel"] == whole["a"]["kernel"]).all()


def test_ties_inside_deeper_paths_and_one_name():
    model = fnn.Serial(encoder=PAIR, decoder=PAIR)
    params, _ = jax.eval_shape(fnn.Tied(model, {"decoder": "encoder"}).init, KEY, np.ones((1, 2)))
    assert list(params) == ["encoder"]
    params, _ = jax.eval_shape(fnn.Tied(model, {"decoder/b": "encoder/a"}).init, KEY, np.ones((1, 2)))
    assert {name: list(part) for name, part in params.items()} == {"encoder": ["a", "b"], "decoder": ["a"]}


def test_a_tap_passes_unchanged():
    tied = fnn.Tied(PAIR, {"b/kernel": "a/kernel"})
    params, state = compiled.init(tied, KEY, np.ones((1, 2)))
    y, _, cache = compiled.forward(tied, params, state, np.ones((1, 2)))
    taps, _ = backprop(tied, cache, y, lambda path, layer, cache, dy: (dy, layer.backward(cache, dy)[1]))
    assert list(taps) == ["a", "b"]


def test_the_rule_is_auto_where_jax_differentiates_the_transform():
    assert fnn.Tied(PAIR, {"b": "a"}).rule == "hand"
    assert fnn.Tied(PAIR, {"b/kernel": "a/kernel"}, transform="transpose").rule == "hand"
    assert fnn.Tied(PAIR, {"b/kernel": "a/kernel"}, transform=jnp.exp).rule == "auto"


def test_equal_ties_are_equal_layers():
    one, other = (fnn.Tied(PAIR, {"b": "a"}) for _ in range(2))
    assert (one, hash(one), repr(one)) == (other, hash(other), repr(other))
    assert one != fnn.Tied(PAIR, {"a": "b"})


@pytest.mark.parametrize(
    ("ties", "message"),
    [
        ({"b/kernel": "c/kernel"}, "no parameter at 'c/kernel'; there are"),
        ({"b/weight": "a/kernel"}, "no parameter at 'b/weight'; there are"),
        ({"b": "a/kernel"}, r"'b' is \{kernel: .*\}, but its source 'a/kernel' gives float64\[3,2\]"),
        ({"b/kernel": "a/kernel"}, r"'b/kernel' is float64\[2,2\], but its source 'a/kernel' gives float64\[3,2\]"),
    ],
)
def test_ties_that_do_not_fit(ties: dict, message: str):
    with pytest.raises(ValueError, match=message):
        fnn.Tied(PAIR, ties).init(KEY, np.ones((1, 3)))


@pytest.mark.parametrize("ties", [{"a": "a"}, {"b": "a", "a": "c"}, {"a": "a/kernel"}, {"a/kernel": "a"}])
def test_a_target_is_no_source(ties: dict):
    with pytest.raises(ValueError, match="is tied to another parameter and overlaps the source"):
        fnn.Tied(PAIR, ties)


def test_ties_and_transforms_of_another_kind():
    with pytest.raises(TypeError, match="ties are a dict"):
        fnn.Tied(PAIR, {})
    with pytest.raises(TypeError, match="ties are a dict"):
        fnn.Tied(PAIR, "a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="transform is None, 'transpose' or a function of one array, got 'flip'"):
        fnn.Tied(PAIR, {"b": "a"}, transform="flip")  # type: ignore[arg-type]


def test_parameters_of_the_model_untied_are_refused():
    tied = fnn.Tied(PAIR, {"b/kernel": "a/kernel"})
    whole, state = compiled.init(PAIR, KEY, np.ones((1, 2)))
    with pytest.raises(ValueError, match="'b/kernel' is tied to 'a/kernel' and must not be in the parameters"):
        tied.apply(whole, state, np.ones((1, 2)))


@pytest.mark.parametrize("ties", [{"b": "a", "b/kernel": "c"}, {"b/kernel": "c", "b": "a"}])
def test_targets_do_not_lie_in_each_other(ties: dict):
    with pytest.raises(ValueError, match="'b/kernel' lies in 'b', and both are targets; remove one"):
        fnn.Tied(PAIR, ties)


def test_a_summary_counts_a_shared_parameter_once():
    model = fnn.Tied(PAIR, {"b/kernel": "a/kernel"})
    assert fnn.summary(model, np.ones((1, 2))).parameters == 4
    assert fnn.summary(fnn.WeightNorm(fnn.Dense(3)), np.ones((1, 2))).parameters == 6 + 3 + 3
