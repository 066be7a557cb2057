"""Frozen layers: what stays, what passes, and that training around one leaves it as it was."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.backprop import backprop
from fnn.combinators.frozen import frozen_layers
from fnn.layer import Layer
from fnn.paths import named_leaves
from tests import compiled
from tests.cases.users import Restless
from tests.comparing import close, same

pytestmark = [pytest.mark.usefixtures("strict_numerics"), pytest.mark.full]

KEY = jax.random.key(0)
INNER = fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dropout(0.5), fnn.Tanh())


def pretrained(layer: Layer, x: Any) -> tuple[Any, Any]:
    """Parameters, and a state that has seen a step of training."""
    params, state = compiled.init(layer, KEY, x)
    return params, compiled.apply(layer, params, state, x, train=True, key=KEY)[1]


# ---- what it computes


def test_in_training_it_is_the_inner_layer_in_inference_with_a_gradient_of_zero_for_parameters(random: Any):
    x, dy = random(6, 3), random(6, 4)
    params, state = pretrained(INNER, x)
    y, new_state, cache = compiled.forward(fnn.Frozen(INNER), params, state, x, train=True)
    dparams, dx = compiled.backward(fnn.Frozen(INNER), cache, dy)
    expected, _, inner_cache = compiled.forward(INNER, params, state, x)
    _, expected_dx = compiled.backward(INNER, inner_cache, dy)
    same((y, new_state, dx), (expected, state, expected_dx))
    same(dparams, jax.tree.map(np.zeros_like, params))


def test_numbers_worked_by_hand():
    # y = 3 (2x − 4)/√(9 + 0) + 1 = 2x − 3 at mean 4 and variance 9, and dx = 2 dy.
    layer = fnn.Frozen(fnn.Serial(fnn.Dense(1, use_bias=False), fnn.BatchNorm(epsilon=0.0)))
    params = {
        "dense_0": {"kernel": jnp.array([[2.0]])},
        "batch_norm_0": {"scale": jnp.array([3.0]), "bias": jnp.array([1.0])},
    }
    state = {"batch_norm_0": {"mean": jnp.array([4.0]), "var": jnp.array([9.0]), "count": jnp.array(1)}}
    y, _, cache = layer.forward(params, state, jnp.array([[1.0], [5.0]]), train=True)
    dx = layer.backward(cache, jnp.array([[1.0], [-2.0]]))[1]
    close((y, dx), (np.array([[-1.0], [7.0]]), np.array([[2.0], [-4.0]])))


def test_a_state_that_moves_in_inference_stays_too():
    layer, x = fnn.Frozen(Restless()), jnp.ones((2, 3))
    _, state = layer.init(KEY, x)
    same(layer.apply({}, state, x, train=True)[1], state)
    same(layer.forward({}, state, x, train=True)[1], state)


def test_a_batch_norm_that_was_never_trained_is_an_error_to_be_told():
    model = fnn.Serial(encoder=fnn.Frozen(INNER), head=fnn.Dense(2))
    params, state = compiled.init(model, KEY, np.ones((4, 3)))
    with pytest.raises(ValueError, match="this batch norm has no statistics yet") as raised:
        model.apply(params, state, jnp.ones((4, 3)), train=True)
    assert raised.value.__notes__[0].startswith("in encoder/batch_norm_0: BatchNorm()")


def test_parameters_are_constants_to_derivatives_of_second_order(random: Any):
    layer, x = fnn.Frozen(fnn.Serial(fnn.Dense(3), fnn.Tanh())), random(2, 3)
    params, state = compiled.init(layer, KEY, x)

    def dx(params: Any) -> Any:
        y, _, cache = layer.forward(params, state, x)
        return layer.backward(cache, jnp.ones_like(y))[1]

    same(jax.jit(lambda params: jax.jvp(dx, (params,), (params,))[1])(params), np.zeros((2, 3)))


# ---- rules


def test_a_report_like_the_parameters_is_zero_and_any_other_passes(random: Any):
    layer, x = fnn.Frozen(fnn.Serial(fnn.Dense(4), fnn.LayerNorm())), random(3, 4)
    params, state = compiled.init(layer, KEY, x)
    y, _, cache = compiled.forward(layer, params, state, x)
    seen = []

    def tap(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        seen.append(path)
        return dy, layer.backward(cache, dy)[1]

    def doubled(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return jax.tree.map(lambda leaf: 2 * leaf, dparams), dx

    def norms(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return jax.tree.map(jnp.linalg.norm, dparams), dx

    taps, dx = backprop(layer, cache, y, tap)
    assert seen == ["layer_norm_0", "dense_0"]
    same(taps["layer_norm_0"], y)
    assert (taps["dense_0"] != 0).any()
    same(dx, layer.backward(cache, y)[1])  # eagerly, as the fold: compiled, it may round otherwise
    same(backprop(layer, cache, y, doubled)[0], jax.tree.map(np.zeros_like, params))
    assert all(leaf > 0 for leaf in jax.tree.leaves(backprop(layer, cache, y, norms)[0]))


def test_an_integer_input_has_no_dx(random: Any):
    layer = fnn.Frozen(fnn.Embedding(5, 3))
    params, state = compiled.init(layer, KEY, np.array([[1, 2]]))
    y, _, cache = compiled.forward(layer, params, state, np.array([[1, 2]]))
    dparams, dx = compiled.backward(layer, cache, y)
    assert dx is None
    same(dparams, {"embedding": np.zeros((5, 3))})


# ---- names


def test_the_paths_are_the_same_with_and_without():
    frozen, plain = (fnn.Serial(encoder=each, head=fnn.Dense(2)) for each in (fnn.Frozen(INNER), INNER))
    x = compiled.shape_of(4, 3)
    made = [jax.eval_shape(model.init, KEY, x) for model in (frozen, plain)]
    assert made[0] == made[1]
    same(*(compiled.init(model, KEY, x) for model in (frozen, plain)))


def test_the_layers_that_are_frozen():
    inside = fnn.Repeat(fnn.Serial(fnn.Frozen(fnn.Dense(3)), fnn.Dense(3)), 2)
    model = fnn.Serial(encoder=fnn.Frozen(fnn.Serial(fnn.Frozen(fnn.Dense(3)))), body=inside, head=fnn.Dense(2))
    assert frozen_layers(model) == ["encoder", "body/frozen_0"]
    assert frozen_layers(fnn.Frozen(fnn.Dense(3))) == [""]
    assert frozen_layers(fnn.Dense(3)) == []


def test_the_summary_and_the_derivation_show_the_layers_inside():
    model = fnn.Serial(encoder=fnn.Frozen(INNER), head=fnn.Dense(2))
    summary = fnn.summary(model, compiled.shape_of(4, 3))
    assert [row.path for row in summary.rows][:2] == ["encoder/dense_0", "encoder/batch_norm_0"]
    assert "encoder/dense_0" in str(summary)
    derivation = fnn.derivation(model)
    assert "### encoder: `Frozen(…)`" in derivation
    assert r"\mathrm{d}\theta = 0" in derivation


# ---- training around it

X = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int32)


def around(encoder: Layer) -> fnn.Objective:
    return fnn.Objective(fnn.Serial(encoder=encoder, head=fnn.Dense(2)), fnn.CrossEntropy())


@pytest.mark.parametrize(
    "wrap",
    [
        fnn.Frozen,
        pytest.param(lambda inner: fnn.Remat(fnn.Frozen(inner)), marks=pytest.mark.full),
        pytest.param(lambda inner: fnn.Frozen(fnn.Repeat(fnn.Serial(inner, fnn.Dense(3)), 2)), marks=pytest.mark.full),
        pytest.param(lambda inner: fnn.Repeat(fnn.Frozen(fnn.Serial(inner, fnn.Dense(3))), 2), marks=pytest.mark.full),
    ],
    ids=["alone", "in remat", "of repeat", "in repeat"],
)
def test_fit_leaves_its_parameters_state_and_output_as_they_were(wrap: Any):
    with jax.enable_x64(False):
        encoder = wrap(INNER)
        objective = around(encoder)
        params, state = compiled.init(objective.model, KEY, X)
        state = jax.tree.map(lambda leaf: leaf + 1, state)
        output = compiled.apply(encoder, params["encoder"], state["encoder"], X)[0]
        result = fnn.fit(
            objective,
            fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adam(0.01), fnn.optim.ema(0.9)),
            (X, Y),
            epochs=2,
            batch_size=8,
            key=KEY,
            params=params,
            state=state,
            progress=False,
        )
        same((result.params["encoder"], result.state), (params["encoder"], state))
        same(compiled.apply(encoder, result.params["encoder"], result.state["encoder"], X)[0], output)
        assert (result.params["head"]["kernel"] != params["head"]["kernel"]).any()


def test_it_can_stand_behind_a_layer_that_trains(random: Any):
    x = random(6, 3)
    model = fnn.Serial(adapter=fnn.Dense(3), encoder=fnn.Frozen(INNER))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = compiled.init(model, KEY, x)
    state = jax.tree.map(lambda leaf: leaf + 1, state)
    (_, aux), grads = jax.jit(lambda *given: objective.value_and_grad(*given, key=KEY))(
        params, state, (x, random(6, 4))
    )
    same(grads["encoder"], jax.tree.map(np.zeros_like, params["encoder"]))
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(grads["adapter"]))
    same(aux.state, state)


@pytest.mark.full
def test_a_whole_run_under_vmap_leaves_it_as_init_made_it():
    with jax.enable_x64(False):
        objective = around(fnn.Frozen(fnn.Serial(fnn.Dense(4), fnn.BatchNorm())))
        train = fnn.make_train(objective, fnn.optim.adam(0.01), epochs=2, batch_size=8)
        keys = jax.random.split(KEY, 2)
        result = jax.jit(jax.vmap(lambda key: train(key, (X, Y))))(keys)
        assert (result.state["encoder"]["batch_norm_0"]["count"] == 0).all()
        frozen = result.params["encoder"]
        same(frozen["batch_norm_0"], {"bias": np.zeros((2, 4), np.float32), "scale": np.ones((2, 4), np.float32)})
        assert np.isfinite(result.history["loss"]).all()


@pytest.mark.parametrize(
    "optimizer", [fnn.optim.adamw(0.1, weight_decay=0.1), fnn.optim.schedule_free_adamw(0.1)], ids=["decay", "averages"]
)
def test_a_run_takes_no_step_of_it_whatever_decay_and_penalties_say(optimizer: Any):
    with jax.enable_x64(False):
        model = fnn.Serial(encoder=fnn.Frozen(fnn.Dense(4)), head=fnn.Dense(2))
        objective = fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(0.1),))
        params, state = compiled.init(model, KEY, X)
        result = fnn.fit(
            objective, optimizer, (X, Y), epochs=2, batch_size=8, key=KEY, params=params, state=state, progress=False
        )
        same(result.params["encoder"], params["encoder"])
        assert (result.params["head"]["kernel"] != params["head"]["kernel"]).any()


def test_a_batch_norm_that_was_never_trained_is_refused():
    model = fnn.Serial(encoder=fnn.Frozen(fnn.Serial(fnn.Dense(4), fnn.BatchNorm())), head=fnn.Dense(2))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    with pytest.raises(ValueError, match=r"the batch norm at encoder/batch_norm_0 has no statistics yet"):
        fnn.fit(objective, fnn.optim.sgd(0.1), (X, Y), epochs=1, batch_size=8, key=KEY, progress=False)
    plain = fnn.Objective(fnn.Serial(fnn.BatchNorm(), fnn.Dense(2)), fnn.CrossEntropy())
    with pytest.raises(ValueError, match=r"the batch norm at batch_norm_0 has no statistics yet"):
        fnn.evaluate(plain, *plain.init(KEY, X), (X, Y))


def test_weight_decay_moves_it_in_a_loop_of_ones_own_and_a_group_does_not():
    """As the documentation says."""
    with jax.enable_x64(False):
        objective, adamw = around(fnn.Frozen(fnn.Dense(4))), fnn.optim.adamw(0.1, weight_decay=0.1)
        grouped = fnn.optim.groups({"encoder/*": None, "*": adamw}, show=False)
        for optimizer, moves in ((adamw, True), (grouped, False)):
            params, state = compiled.init(objective.model, KEY, X)
            _, grads = jax.jit(lambda *given: objective.value_and_grad(*given))(params, state, (X, Y))
            updates, _ = optimizer.update(grads, optimizer.init(params), params)
            assert bool((updates["encoder"]["kernel"] != 0).any()) == moves


# ---- the report of gradients


@pytest.mark.parametrize(
    "methods", [("manual", "reverse"), pytest.param(None, marks=pytest.mark.full)], ids=["two", "all"]
)
def test_the_report_of_gradients(methods: Any):
    model = fnn.Serial(fnn.Dense(3), encoder=fnn.Frozen(INNER), head=fnn.Dense(2))
    objective = fnn.Objective(
        model, fnn.CrossEntropy(), (fnn.L2(0.1),)
    )  # the penalty has a gradient there, which is kept
    params, state = objective.init(KEY, X)
    state = jax.tree.map(lambda leaf: leaf + 1, state)
    options = {} if methods is None else {"methods": methods}
    report = fnn.compare_gradients(objective, params, state, (X, Y), key=KEY, cost=False, **options)
    assert report.ok, str(report)
    assert {row.path for row in report.rows if row.kind == "delta"} >= {"encoder/dense_0", "encoder/tanh_0", "head"}
    assert report["encoder/dense_0/bias"].norm == 0
    assert report["encoder/dense_0/kernel"].norm > 0
    if methods is None:
        assert report["encoder/dense_0/kernel"]["finite"].status == "frozen"
        assert report["head/kernel"]["finite"].status == "ok"
        assert "4 frozen, not judged" in report.verdict
        assert "frozen: differences would move what is a constant to derivatives" in str(report)


@pytest.mark.full
def test_a_report_against_differences_alone():
    objective = around(fnn.Frozen(fnn.Dense(3)))
    params, state = objective.init(KEY, X)
    report = fnn.compare_gradients(objective, params, state, (X, Y), methods=("manual", "finite"), cost=False)
    assert report["encoder/kernel"]["manual"].status == "frozen"
    assert report["head/kernel"]["manual"].status == "ok"
    # Differences do not judge what is a constant to derivatives.
    assert [row.path for row in report.unconfirmed] == ["encoder/bias", "encoder/kernel"]
    assert not report.ok


# ---- cost


def products(encoder: Layer) -> int:
    """The matrix products in the compiled step of a model with this encoder."""
    model = fnn.Serial(adapter=fnn.Dense(8), encoder=encoder)
    x = jax.ShapeDtypeStruct((16, 8), jnp.float32)
    params, state = jax.eval_shape(model.init, KEY, x)

    def step(params: Any, x: Any, dy: Any) -> Any:
        _, _, cache = model.forward(params, state, x, train=True)
        return model.backward(cache, dy)[0]

    text = str(jax.jit(step).lower(params, x, x).compile().as_text())
    return sum(" dot(" in line or "matmul" in line for line in text.splitlines())


@pytest.mark.usefixtures("users_compilation")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="products are counted in the text of XLA on CPU")
def test_no_weight_gradient_is_computed_in_the_compiled_program():
    inner = fnn.Serial(fnn.Dense(8), fnn.Tanh(), fnn.Dense(8))
    assert products(inner) - products(fnn.Frozen(inner)) == 2


def test_every_leaf_of_the_gradient_is_there_for_the_optimiser(random: Any):
    layer, x = fnn.Frozen(INNER), random(6, 3)
    params, state = pretrained(INNER, x)
    _, manual, automatic = compiled.gradients(layer, params, state, x, random(6, 4), train=True)
    assert named_leaves(manual[0]).keys() == named_leaves(params).keys()
    close(manual, automatic)
