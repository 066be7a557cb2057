"""K-FAC against kfac-jax 0.0.8, on JAX 0.9.2: factors and five updates of one network, from the same drawn labels.

kfac-jax 0.0.8 imports on JAX 0.9.2, but its tracer unpacks ``Primitive.get_bind_params`` into a pair, which is one dict
there; ``evaluated`` stands in for that one function.
"""

import dataclasses
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.optim.declared import rules_of
from fnn.paths import named_leaves
from fnn.rules.reports import with_reports

kfac_jax = pytest.importorskip(
    "kfac_jax", reason="compares with kfac-jax 0.0.8, which needs JAX 0.9.2", exc_type=ImportError
)

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore")]

LABELS, DRAWN = (np.random.default_rng(seed).integers(0, 4, 32) for seed in range(2))
SETTINGS: dict[str, Any] = {"learning_rate": 0.1, "momentum": 0.9, "damping": 1e-2}


@dataclasses.dataclass(frozen=True)
class Drawn(fnn.CrossEntropy):
    """Draws the labels ``DRAWN``."""

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        return jnp.asarray(DRAWN)


def evaluated(eqn: Any, in_values: list) -> list:
    """The outputs of an equation."""
    found = eqn.primitive.bind(*in_values, **eqn.primitive.get_bind_params(eqn.params))
    return found if isinstance(found, list) else [found]


@pytest.fixture
def theirs(monkeypatch):
    """kfac-jax, drawing ``DRAWN``, able to run."""
    parts = ("loss_functions", "tag_graph_matcher")
    losses, matcher = (importlib.import_module(f"kfac_jax._src.{part}") for part in parts)
    monkeypatch.setattr(matcher, "eval_jaxpr_eqn", evaluated)
    kind = losses.CategoricalLogitsNegativeLogProbLoss
    monkeypatch.setattr(kind, "sample", lambda self, rng: jnp.asarray(DRAWN))
    return kfac_jax


def test_factors_and_updates_agree_to_rounding(theirs):
    with jax.enable_x64(True):
        compare(theirs)


def compare(theirs: Any) -> None:
    x = jax.random.normal(jax.random.key(0), (32, 6))
    model = fnn.Serial(fnn.Dense(7), fnn.Tanh(), fnn.Dense(5), fnn.Tanh(), fnn.Dense(4))
    objective, batch = fnn.Objective(model, Drawn()), (x, jnp.asarray(LABELS))
    params, _ = objective.init(jax.random.key(2), x)

    def loss(params: Any, batch: tuple) -> jax.Array:
        h, labels = batch
        for i in range(3):
            h = h @ params[f"dense_{i}"]["kernel"] + params[f"dense_{i}"]["bias"]
            h = jnp.tanh(h) if i < 2 else h
        theirs.register_softmax_cross_entropy_loss(h, labels)
        return jnp.mean(jnp.log(jnp.exp(h).sum(1)) - jnp.take_along_axis(h, labels[:, None], 1)[:, 0])

    other = theirs.Optimizer(
        jax.value_and_grad(loss),
        l2_reg=0.0,
        use_adaptive_learning_rate=False,
        use_adaptive_momentum=False,
        use_adaptive_damping=False,
        estimation_mode="fisher_gradients",
        inverse_update_period=2,
        norm_constraint=1e-3,
        curvature_ema=0.9,
        num_burnin_steps=0,
        multi_device=False,
        min_damping=1e-12,
    )
    optimizer = optim.kfac(**SETTINGS, decay=0.9, update_every=2, norm_constraint=1e-3)
    rng, moved = jax.random.PRNGKey(3), jax.tree.map(jnp.copy, params)  # it overwrites what it is given
    their_state, state = other.init(moved, rng, batch), optimizer.init(params)
    for _ in range(5):
        moved, their_state, _ = other.step(moved, their_state, rng, batch=batch, **SETTINGS)
        _, grads, reports = with_reports(
            objective, rules_of(optimizer), params, {}, batch, key=None, report_key=jax.random.key(0)
        )
        updates, state = optimizer.update(grads, state, params, reports=reports)
        params = optim.apply_updates(params, updates)
        for path, leaf in named_leaves(params).items():
            np.testing.assert_allclose(leaf, named_leaves(moved)[path], rtol=1e-12, atol=1e-13)
    for i, block in enumerate(their_state.estimator_state.blocks_states):
        for ours, factor in zip(state.known.factors[f"dense_{i}/kernel"], block.factors, strict=True):
            np.testing.assert_allclose(ours / state.known.weight, factor.value, rtol=1e-12, atol=1e-15)
