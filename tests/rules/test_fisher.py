"""The Kronecker factors of layers against the exact Fisher matrix, summed over all targets that a model may draw."""

import dataclasses
import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import fnn
from fnn import optim
from fnn.optim.declared import rules_of
from fnn.optim.kronecker import Block, blocks_of
from fnn.paths import named_leaves
from fnn.rules._moments import is_known
from fnn.rules.contributions import Joined
from fnn.rules.fisher import Scores
from fnn.rules.outer import Outer
from fnn.rules.reports import with_reports
from fnn.rules.whole import Whole
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
(SAMPLED,), (EMPIRICAL,) = rules_of(optim.kfac(1.0)), rules_of(optim.kfac(1.0, fisher="empirical"))


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def reported(objective: fnn.Objective, params: Any, batch: tuple, rule: Any = SAMPLED, key: Any = KEY) -> Scores:
    """What the rule reports of a batch."""
    return with_reports(objective, (rule,), params, {}, batch, key=KEY, report_key=key)[2][rule]


@dataclasses.dataclass(frozen=True)
class Drawn(fnn.CrossEntropy):
    """Draws the labels that it is given."""

    labels: Any = ()

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        return jnp.array(self.labels)

    @property
    def likelihood(self) -> fnn.CrossEntropy:
        return fnn.CrossEntropy()


def factors(objective: fnn.Objective, params: Any, batch: tuple, block: Block, rule: Any = SAMPLED) -> Any:
    """A and G of a block, in one program."""
    return jax.jit(lambda params, batch: reported(objective, params, batch, rule).factors(block))(params, batch)


def expected(function: Any, model: fnn.Layer, params: Any, x: jax.Array, classes: int, *weights: jax.Array) -> Any:
    """The mean of ``function(report)`` over every combination of labels of the samples, by their probabilities."""

    def one(labels: jax.Array) -> Any:
        chances = jax.nn.softmax(model.apply(params, {}, x)[0])
        objective = fnn.Objective(model, Drawn(labels=labels))
        found = function(reported(objective, params, (x, jnp.zeros(len(x), int), *weights)))
        return jax.tree.map(lambda leaf: chances[jnp.arange(len(x)), labels].prod() * leaf, found)

    every = np.array(list(itertools.product(range(classes), repeat=len(x))))
    return jax.tree.map(lambda leaf: np.sum(leaf, 0), jax.jit(jax.vmap(one))(every))


@partial(jax.jit, static_argnums=0)
def exact_fisher(model: fnn.Layer, params: Any, x: jax.Array, weights: Any = None) -> jax.Array:
    """Σ w Jᵀ (diag p − p pᵀ) J / Σ w by ``jax.jacobian``, for softmax outputs."""
    flat, unravel = ravel_pytree(params)
    logits = lambda flat: model.apply(unravel(flat), {}, x)[0]  # noqa: E731
    jacobian, p = jax.jacobian(logits)(flat), jax.nn.softmax(logits(flat))
    inner = jax.vmap(jnp.diag)(p) - p[:, :, None] * p[:, None, :]
    weights = jnp.ones(len(x)) if weights is None else weights
    return jnp.einsum("n,nip,nij,njq->pq", weights / weights.sum(), jacobian, inner, jacobian)


def block_of(fisher: jax.Array, params: Any, block: Block) -> jax.Array:
    """The part of a Fisher matrix that belongs to a block, in the order of its matrix."""
    flat, unravel = ravel_pytree(params)
    order = block.matrix(named_leaves(unravel(jnp.arange(flat.size, dtype=float)))).reshape(-1).astype(int)
    return fisher[jnp.ix_(order, order)]


def test_the_factors_of_one_sample_are_the_exact_fisher_matrix_of_every_dense_layer():
    model = fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(3), fnn.Sigmoid(), fnn.Dense(3))
    x = normal(1, 1, 2)
    params, _ = compiled.init(model, KEY, x)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    blocks, fisher = blocks_of(params, 99)[0], exact_fisher(model, params, x)
    pairs = expected(lambda report: [report.factors(block) for block in blocks], model, params, x, 3)
    for block, (left, right) in zip(blocks, pairs, strict=True):
        close(jnp.kron(left, right), block_of(fisher, params, block), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("weights", [None, (1.0, 0.0, 2.5)])
def test_the_expected_square_of_a_drawn_gradient_is_the_exact_diagonal(weights):
    model = fnn.Serial(fnn.Dense(3), fnn.LayerNorm(), fnn.Tanh(), fnn.Dense(2))
    x, given = normal(1, 3, 2), () if weights is None else (jnp.array(weights),)
    params, _ = compiled.init(model, KEY, x)
    exact = ravel_pytree(params)[1](jnp.diag(exact_fisher(model, params, x, *given)))
    leaves = named_leaves(params)
    every = lambda report: {path: report.squares(path, leaf) for path, leaf in leaves.items()}  # noqa: E731
    close(expected(every, model, params, x, 2, *given), named_leaves(exact), rtol=1e-10, atol=1e-14)


@dataclasses.dataclass(frozen=True)
class Quadrature(fnn.MeanSquaredError):
    """Targets one standard deviation off, with these signs: all of them together have the moments of a normal one."""

    signs: Any = ()

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        signs = jnp.broadcast_to(jnp.array(self.signs, prediction.dtype), prediction.shape)
        return prediction + np.sqrt(0.5) * signs


@pytest.mark.parametrize("weights", [None, (1.0, 0.0, 2.5, 0.5, 4.0)])
def test_a_single_layer_with_a_squared_error_takes_newtons_step(weights):
    model, x, y = fnn.Dense(2), normal(1, 5, 3), normal(2, 5, 2)
    batch = (x, y) if weights is None else (x, y, jnp.array(weights))
    params, _ = compiled.init(model, KEY, x)
    (block,), _ = blocks_of(params, 99)

    @jax.vmap
    def of_signs(signs: jax.Array) -> Any:
        return reported(fnn.Objective(model, Quadrature(signs=signs)), params, batch).factors(block)

    signs = jnp.array(list(itertools.product((-1, 1), repeat=2)))
    left, right = jax.tree.map(lambda leaf: leaf.mean(0), jax.jit(of_signs)(signs))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    (_, _), grads = objective.value_and_grad(params, {}, batch)
    flat, unravel = ravel_pytree(params)
    hessian = jax.hessian(lambda flat: objective(unravel(flat), {}, batch)[0])(flat)
    newton = unravel(-jnp.linalg.solve(hessian, ravel_pytree(grads)[0]))
    optimizer = optim.kfac(1.0, damping=1e-28, momentum=0.0, norm_constraint=None)

    class Averaged:
        def factors(self, block):
            return left, right

    updates, _ = optimizer.update(grads, optimizer.init(params), params, reports={SAMPLED: Averaged()})
    close(updates, newton, rtol=1e-10, atol=1e-12)


def test_a_convolution_has_the_mean_of_its_windows_and_the_sum_of_its_deltas():
    model = fnn.Serial(fnn.Conv(3, (2, 2), strides=2, padding="VALID"), fnn.Tanh(), fnn.Flatten(), fnn.Dense(2))
    x, labels = normal(1, 4, 4, 4, 2), jnp.zeros(4, int)
    params, _ = compiled.init(model, KEY, x)
    objective = fnn.Objective(model, Drawn(labels=(0, 1, 1, 0)))
    (block, _), _ = blocks_of(params, 99)
    left, right = factors(objective, params, (x, labels), block)
    windows = x.reshape(4, 2, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(16, 8)
    a = jnp.concatenate([windows, jnp.ones((16, 1))], 1)
    close(left, a.T @ a / 16, rtol=1e-12, atol=1e-14)

    def loss(shift):  # a shift of every result of the convolution
        z = fnn.Conv(3, (2, 2), strides=2, padding="VALID").apply(params["conv_0"], {}, x)[0] + shift
        y = fnn.Dense(2).apply(params["dense_0"], {}, jnp.tanh(z).reshape(4, -1))[0]
        return fnn.CrossEntropy()(y, jnp.array((0, 1, 1, 0)))

    deltas = jax.grad(loss)(jnp.zeros((4, 2, 2, 3))).reshape(16, 3) * 2  # √N for the N = 4 samples
    close(right, deltas.T @ deltas, rtol=1e-12, atol=1e-14)


def test_groups_of_channels_share_the_factor_of_inputs_and_have_their_own_of_outputs():
    model = fnn.Conv(4, (1,), groups=2, padding="VALID")
    x = normal(1, 3, 5, 4)
    params, _ = compiled.init(model, KEY, x)
    (block,), _ = blocks_of(params, 99)
    left, right = factors(fnn.Objective(model, fnn.MeanSquaredError()), params, (x, x), block, EMPIRICAL)
    rows = x.reshape(15, 2, 2)
    ones = jnp.ones((15, 2, 1))
    a = jnp.concatenate([rows, ones], -1)
    close(left, jnp.einsum("mgi,mgj->ij", a, a) / 30, rtol=1e-12, atol=1e-14)
    assert (right[:2, 2:] == 0).all()
    assert (jnp.diag(right) > 0).all()


def test_an_embedding_has_the_shares_of_its_indices():
    model = fnn.Serial(fnn.Embedding(5, 2), fnn.Flatten(), fnn.Dense(2))
    x = jnp.array([[0, 1], [1, 1], [4, 0]])
    params, _ = compiled.init(model, KEY, x)
    (_, block), _ = blocks_of(params, 99)
    report = reported(fnn.Objective(model, fnn.CrossEntropy()), params, (x, jnp.zeros(3, int)))
    left, right = report.factors(block)
    assert block.full == (False, True)
    close(left, jnp.array([2, 3, 0, 0, 1]) / 6)
    assert right.shape == (2, 2)


@pytest.mark.parametrize(
    ("model", "batch_first"),
    [(fnn.LSTM(2, return_sequences=False), False), (fnn.Serial(fnn.Dense(2), fnn.GlobalAvgPool()), True)],
)
def test_weights_of_samples_count_for_each_of_their_steps(model, batch_first):
    x, w = normal(1, 2, 3, 2), jnp.array([1.0, 3.0])
    params, _ = compiled.init(model, KEY, x)
    objective, y = fnn.Objective(model, fnn.MeanSquaredError()), normal(2, 2, 2)
    block = blocks_of(params, 99)[0][0]
    left, _ = factors(objective, params, (x, y, w), block)
    a = jnp.concatenate([x, jnp.ones((2, 3, 1))], -1)
    close(left, jnp.einsum("n,nti,ntj->ij", w / 12, a, a), rtol=1e-12, atol=1e-14)


def test_padding_and_samples_without_weight_are_left_out_whatever_they_hold():
    model = fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    x, y, lengths = normal(1, 2, 4, 2), normal(2, 2, 4, 2), jnp.array([3, 1])
    params, _ = compiled.init(model, KEY, x)
    block = blocks_of(params, 99)[0][0]
    left, _ = factors(objective, params, ((x, lengths), y), block)
    valid = jnp.concatenate([jnp.concatenate([x[0, :3], x[1, :1]]), jnp.ones((4, 1))], -1)
    close(left, valid.T @ valid / 4, rtol=1e-12, atol=1e-14)
    masked = factors(objective, params, (x[:, 0], y[:, 0], jnp.array([1.0, 0.0])), block)[0]
    alone = factors(objective, params, (x[:1, 0], y[:1, 0]), block)[0]
    close(masked, alone, rtol=1e-12, atol=1e-14)


def test_stacked_layers_have_the_factors_that_each_has_alone():
    model = fnn.Repeat(fnn.Serial(fnn.Dense(3), fnn.Tanh()), 2)
    x = normal(1, 4, 3)
    params, _ = compiled.init(model, KEY, x)
    (block,), _ = blocks_of(params, 99)
    left, right = factors(fnn.Objective(model, fnn.MeanSquaredError()), params, (x, x), block)
    apart = {
        name: {"dense_0": jax.tree.map(lambda leaf, i=i: leaf[i], dict(params["dense_0"]))}
        for i, name in enumerate(("serial_0", "serial_1"))
    }
    unrolled = fnn.Serial(*[fnn.Serial(fnn.Dense(3), fnn.Tanh())] * 2)
    report = reported(fnn.Objective(unrolled, fnn.MeanSquaredError()), apart, (x, x))
    for i, each in enumerate(blocks_of(apart, 99)[0]):
        close((left[i], right[i]), report.factors(each), rtol=1e-12, atol=1e-14)


def test_uses_of_a_tied_kernel_add_up_in_balance():
    block = Block("kernel", None, 2, 3, (True, True), (), jnp.dtype(float))
    one, other = (Outer(normal(i, 5, 2) * 10.0**i, normal(i + 5, 5, 3), (2, 3)) for i in range(2))
    parts = [Scores({"kernel": each}).factors(block) for each in (one, other)]
    left, right = Scores({"kernel": Joined((one, other))}).factors(block)
    root = sum(jnp.sqrt(jnp.trace(a) * jnp.trace(g)) for a, g in parts)
    close(jnp.trace(left) * jnp.trace(right), root**2, rtol=1e-12)  # (√tr F₁ + √tr F₂)² ≥ E‖ĝ₁ + ĝ₂‖²
    scales = [jnp.sqrt(jnp.trace(g) / 3 / (jnp.trace(a) / 2)) for a, g in parts]
    close(left, sum(a * c for (a, _), c in zip(parts, scales, strict=True)), rtol=1e-12)


def test_a_gradient_that_is_no_product_makes_its_own_factors_of_the_same_size():
    block = Block("kernel", "bias", 3, 2, (True, False), (), jnp.dtype(float))
    kernel, bias = normal(1, 2, 2), normal(2, 2)
    left, right = Scores({"kernel": Whole(kernel), "bias": Whole(bias)}).factors(block)
    v = jnp.concatenate([kernel, bias[None]])
    length = jnp.linalg.norm(v)
    close(left, v @ v.T / length, rtol=1e-12)
    close(right, (v * v).sum(0) / length, rtol=1e-12)
    nothing = Scores({"kernel": Whole(0 * kernel), "bias": Whole(0 * bias)}).factors(block)
    assert not any(jnp.any(each) for each in nothing)


@pytest.mark.parametrize(
    ("loss", "prediction"),
    [
        (fnn.CrossEntropy(label_smoothing=0.1, z_loss=0.1), (1, 3)),
        (fnn.KLDivergence(), (1, 3)),
        (fnn.BinaryCrossEntropy(), (2,)),
        (fnn.MeanSquaredError(), (2,)),
        (fnn.Poisson(), (2,)),
        (fnn.GaussianNLL(), (1, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, fnn.Loss) else "",
)
def test_scores_of_drawn_targets_have_mean_0_and_the_second_moment_of_the_curvature(loss, prediction):
    # E[s sᵀ] is the expected second derivative of the terms: for a likelihood, both are the Fisher matrix.
    z, keys = 0.5 * normal(3, *prediction), jax.random.split(KEY, 40_000)

    def one(key):
        target = loss.drawn(key, z)
        terms = lambda z: loss.likelihood.terms(z, target)[0].sum()  # noqa: E731
        return loss.likelihood.scores(z, target, jnp.ones(())).reshape(-1), jax.hessian(terms)(z).reshape(z.size, -1)

    scores, curvature = jax.jit(jax.vmap(one))(keys)
    spread = scores.std(0) / np.sqrt(len(keys))
    assert (jnp.abs(scores.mean(0)) < 5 * spread).all()
    moment = scores[:, :, None] * scores[:, None, :]
    apart = moment.mean(0) - curvature.mean(0)
    assert (jnp.abs(apart) < 6 * (moment - curvature).std(0) / np.sqrt(len(keys)) + 1e-12).all()


@pytest.mark.parametrize("loss", [fnn.Huber(), fnn.RootMeanSquaredError(), fnn.Hinge(), fnn.Focal()], ids=repr)
def test_a_loss_without_a_likelihood_is_named_and_takes_the_empirical_fisher_matrix(loss):
    model = fnn.Dense(3) if isinstance(loss, fnn.Focal) else fnn.Dense(1)
    x = normal(1, 4, 2)
    targets = {fnn.Hinge: jnp.ones((4, 1)), fnn.Focal: jnp.zeros(4, int)}.get(type(loss), jnp.zeros((4, 1)))
    params, _ = compiled.init(model, KEY, x)
    with pytest.raises(ValueError, match=rf"^{type(loss).__name__}.* is not the likelihood .* fisher='empirical'"):
        reported(fnn.Objective(model, loss), params, (x, targets))
    (block,), _ = blocks_of(params, 99)
    left, right = factors(fnn.Objective(model, loss), params, (x, targets), block, EMPIRICAL)
    assert jnp.isfinite(left).all()
    assert (jnp.diag(right) > 0).any()


def test_a_loss_that_multiplies_by_its_kernel_itself_has_the_scores_of_its_logits():
    hidden, kernel, d = normal(1, 5, 3), normal(2, 3, 4), normal(3, 5)
    loss, labels = fnn.LinearCrossEntropy(4, chunk=2, ignore_index=0, z_loss=0.1), jnp.array([1, 0, 3, 3, 2])
    assert loss.likelihood == fnn.LinearCrossEntropy(4, chunk=2)
    dlogits = fnn.CrossEntropy().scores(hidden @ kernel, labels, d)
    close(loss.likelihood.scores((hidden, kernel), labels, d), (dlogits @ kernel.T, hidden.T @ dlogits))
    sharp = 1e3 * jax.nn.one_hot(jnp.array([2, 0, 1, 1, 3]), 4)
    assert loss.drawn(KEY, (sharp, jnp.eye(4))).tolist() == [2, 0, 1, 1, 3]
    objective = fnn.Objective(fnn.Dense(3), loss)
    params, _ = objective.init(KEY, hidden)
    report = reported(objective, params, (hidden, labels))
    known = {block.kernel: is_known(report.contributions[block.kernel], block) for block in blocks_of(params, 99)[0]}
    assert known == {"dense_0/kernel": True, "loss/kernel": False}


def test_the_empirical_fisher_matrix_is_that_of_the_given_targets():
    model, x, labels = fnn.Dense(3), normal(1, 4, 2), jnp.array([0, 2, 1, 1])
    params, _ = compiled.init(model, KEY, x)
    (block,), _ = blocks_of(params, 99)
    _, right = factors(fnn.Objective(model, fnn.CrossEntropy()), params, (x, labels), block, EMPIRICAL)
    deltas = jax.nn.softmax(model.apply(params, {}, x)[0]) - jax.nn.one_hot(labels, 3)
    close(right, deltas.T @ deltas / 4, rtol=1e-12, atol=1e-14)


def test_a_key_is_needed():
    model, x = fnn.Dense(1), normal(1, 4, 2)
    params, _ = compiled.init(model, KEY, x)
    with pytest.raises(ValueError, match="estimated by random draws and needs a key"):
        reported(fnn.Objective(model, fnn.MeanSquaredError()), params, (x, x[:, :1]), key=None)
