"""Names and keywords of other libraries: each raises with what to write here, which exists."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn.guards.elsewhere import NAMES, OPTIMIZERS

anything: Any = fnn


@pytest.mark.parametrize("name", [*NAMES, *OPTIMIZERS])
def test_what_is_written_instead_exists(name: str):
    module = "fnn" if name in NAMES else "fnn.optim"
    holder = anything if name in NAMES else fnn.optim
    with pytest.raises(AttributeError, match=rf"module '{module}' has no attribute '{name}'; write ") as raised:
        getattr(holder, name)
    for path in re.findall(r"fnn\.(?:optim\.)?\w+", str(raised.value).partition("write")[2]):
        found: Any = fnn
        for part in path.split(".")[1:]:
            found = getattr(found, part)
    assert raised.value.name == name


def test_a_name_that_nobody_has_is_plainly_missing_and_a_misspelt_one_is_found():
    with pytest.raises(AttributeError, match=r"^module 'fnn' has no attribute 'Zzz'$"):
        anything.Zzz  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'Dens'; write fnn.Dense$"):
        anything.Dens  # noqa: B018
    assert not hasattr(fnn, "__wrapped__")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: anything.Dense(8, activation="relu"),
            "no option 'activation': put the activation behind it",
        ),
        (
            lambda: anything.Conv(3, 3, stride=2),
            "Conv has no option 'stride': write strides=…; it has",
        ),
        (lambda: anything.Dense(in_features=3, out_features=4), "no option 'in_features': leave it out: the size of"),
        (lambda: anything.Dense(8, use_bais=False), "Dense has no option 'use_bais': write use_bias=…"),
        (lambda: anything.Dense(8, zzz=1), "Dense has no option 'zzz'; it has features, use_bias"),
        (
            lambda: anything.Dense(3, 4),
            "takes features without a name, got 3, 4; .* sizes of inputs are inferred",
        ),
        (lambda: anything.Tanh(3), "Tanh takes nothing without a name, got 3"),
        (
            lambda: anything.optim.adam(lr=0.1),
            "missing a required argument: 'learning_rate'; write learning_rate=",
        ),
        (lambda: anything.optim.adamw(0.1, wd=0.1), "unexpected keyword argument 'wd'; write weight_decay=…, of adamw"),
        (lambda: anything.optim.sgd(0.1, weight_decay=0.1), "unexpected keyword argument 'weight_decay'; write adamw"),
        (
            lambda: anything.Serial(anything.Dense(3), jax.nn.relu),
            r"got .*; write Lambda\(relu\), or the layer of that",
        ),
    ],
)
def test_other_ways_to_write_it_say_what_to_write(call: Any, message: str):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_layer_is_not_called():
    layer: Any = fnn.Serial(fnn.Dense(3))
    with pytest.raises(TypeError, match=r"Serial holds no parameters, so it cannot be called: write y, state = layer"):
        layer(jnp.ones((2, 3)))
    assert fnn.Relu()(jnp.ones(2)).shape == (2,)


def test_names_of_children_are_no_options():
    assert list(fnn.Serial(activation=fnn.Relu(), bias=fnn.Dense(3)).children()) == ["activation", "bias"]
