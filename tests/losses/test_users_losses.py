"""Losses as users write them, from a function of one example: alone, by a rule of their own, and in all that trains."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.testing import check_loss
from tests.comparing import close
from tests.drawing import drawn
from tests.losses.compiled import by_both
from tests.planted import faulty

pytestmark = pytest.mark.usefixtures("strict_numerics")


@dataclasses.dataclass(frozen=True)
class Softest(fnn.Loss):
    """A user's cross-entropy, of which only the loss of an example is given."""

    scale: float = 1.0

    def per_example(self, prediction: Any, target: Any) -> Any:
        return self.scale * (jax.nn.logsumexp(prediction) - prediction[target])


Z, LABELS, W = drawn("logits", 6, 4), np.array([0, 3, 1, 1, 2, 0]), np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])


def test_a_loss_of_one_example_is_that_of_a_batch():
    close(
        by_both(Softest(2.0), Z, LABELS, W),
        jax.tree.map(lambda leaf: 2 * leaf, by_both(fnn.CrossEntropy(), Z, LABELS, W)),
    )
    assert Softest().rule == "auto"
    assert fnn.CrossEntropy().rule == "hand"


@pytest.mark.full
def test_a_user_checks_a_loss_without_a_rule_and_with_one():
    assert check_loss(Softest(), Z, LABELS, dtypes=(), finite=False).reverse < 1e-14

    def terms_backward(self: Any, cache: Any, dterms: Any) -> Any:
        z, labels = cache["prediction"], cache["target"]
        dz = jax.nn.softmax(z) - jax.nn.one_hot(labels, z.shape[-1], dtype=z.dtype)
        return self.scale * dz * jnp.broadcast_to(dterms, labels.shape)[:, None]

    ruled = faulty(Softest, terms_backward=terms_backward)(1.0)
    assert ruled.rule == "hand"
    assert check_loss(ruled, Z, LABELS, dtypes=(), finite=False).reverse < 1e-12
    wrong = faulty(Softest, terms_backward=lambda *given: 1.01 * terms_backward(*given))()
    with pytest.raises(AssertionError, match=r"backward against jax\.vjp, dprediction: relative error 1\.0e-02"):
        check_loss(wrong, Z, LABELS, dtypes=(), finite=False)


@pytest.mark.full
def test_a_users_loss_trains_and_serves_the_tools_of_examples():
    x = drawn("inputs", 6, 3)
    objective, builtin = (fnn.Objective(fnn.Dense(4), loss) for loss in (Softest(), fnn.CrossEntropy()))
    runs = [
        fnn.fit(each, fnn.optim.sgd(0.1), (x, LABELS, W), epochs=2, batch_size=4, key=jax.random.key(0), progress=False)
        for each in (objective, builtin)
    ]
    close(runs[0], runs[1])
    learned = runs[0].params, runs[0].state, (x, LABELS, W)
    close(fnn.per_example_norms(objective, *learned), fnn.per_example_norms(builtin, *learned))
    report = fnn.compare_gradients(objective, *learned, methods=("manual", "reverse", "forward"))
    assert report.ok
    # What the loss passes back is the same computation by both ways, and says so; the rule of the layer is judged.
    judged = {row.path: {each.method: each.status for each in row.comparisons} for row in report.rows}
    assert judged["kernel"]["manual"] == "ok"
    assert [row.comparisons[0].status for row in report.rows if row.kind != "parameter"] == ["auto"]


@pytest.mark.full
def test_a_function_sees_one_example_in_at_least_float32():
    seen = []

    def half(prediction: Any, target: Any) -> Any:
        seen.append((prediction["mean"].shape, prediction["mean"].dtype, target.shape))
        return jnp.sum(jnp.square(prediction["mean"])) / 2

    prediction = {"mean": jnp.ones((5, 3), jnp.bfloat16), "index": jnp.zeros(5, jnp.int32)}
    loss = fnn.LossOf(half)
    value, cache = loss.forward(prediction, np.zeros((5, 2)))
    gradient = loss.backward(cache)
    assert seen[0] == ((3,), jnp.float32, (2,))
    assert (value.dtype, gradient["mean"].dtype, gradient["index"]) == (jnp.float32, jnp.bfloat16, None)
    close(np.asarray(gradient["mean"], np.float64), np.full((5, 3), 0.2), rtol=1e-2)


def test_functions_are_compared_and_printed_by_name():
    assert fnn.LossOf(abs_error) == fnn.LossOf(abs_error)
    assert repr(fnn.LossOf(abs_error)) == "LossOf(fn=abs_error)"


def abs_error(prediction: Any, target: Any) -> Any:
    return abs(prediction - target)


def test_what_is_no_loss_of_an_example_raises():
    with pytest.raises(TypeError, match=r"fn is a function of \(prediction, target\), got 3"):
        fnn.LossOf(3)
    with pytest.raises(TypeError, match=r"got <class 'fnn\.losses.*Huber'>; did you mean Huber\(…\)\?"):
        fnn.LossOf(fnn.Huber)
    with pytest.raises(TypeError, match=r"fn is called with \(prediction, target\), but .* takes \(p\)"):
        fnn.LossOf(lambda p: p)
    with pytest.raises(TypeError, match=r"returns the loss of one example, a floating number, got int64\[\]"):
        fnn.LossOf(lambda p, y: y)(np.ones(2), np.ones(2, int))
    with pytest.raises(TypeError, match=r"a floating number, got \(float64\[\], float64\[\]\)"):
        fnn.LossOf(lambda p, y: (p, y))(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"one leading axis of N examples, got float64\[3\] and float64\[2\]"):
        fnn.LossOf(abs_error)(np.ones(3), np.ones(2))
    with pytest.raises(TypeError, match=r"fn is hashable, so that losses can be compared; .* is not: write a function"):
        fnn.LossOf(Unhashable())
    with pytest.raises(NotImplementedError, match="Loss defines neither terms nor per_example"):
        fnn.Loss()(np.ones(2), np.ones(2))
    with pytest.raises(NotImplementedError, match="Faulty defines terms without terms_backward"):
        faulty(fnn.Loss, terms=lambda self, p, y: (p, {}))().backward({"share": np.ones(2), "terms": {}})
    with pytest.raises(TypeError, match=r"per_example is called with \(prediction, target\), but takes \(self, p\)"):
        faulty(fnn.Loss, per_example=lambda self, p: p)


class Unhashable:
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, prediction: Any, target: Any) -> Any:
        return prediction


def squared(prediction: Any, target: Any) -> Any:
    return jnp.square(prediction - target)


def test_a_function_in_the_place_of_a_loss_is_told_to_be_one():
    for make in (lambda: fnn.Objective(fnn.Dense(3), squared), lambda: fnn.MultiLoss({"size": squared})):
        with pytest.raises(TypeError, match=r"write fnn\.LossOf\(squared\), with a function of one example"):
            make()


def test_a_number_an_entry_is_no_loss_of_an_example():
    """Their mean was taken in silence."""
    with pytest.raises(ValueError, match=r"returns the loss of one example, .* write \.sum\(\) or \.mean\(\)"):
        jax.eval_shape(fnn.LossOf(squared), Z, Z[:, 0])
    assert jax.eval_shape(fnn.LossOf(squared), Z, Z).shape == ()  # a number a step
