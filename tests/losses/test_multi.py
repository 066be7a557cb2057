"""A loss for each output: their sum, absent targets, what is refused, and what is exact over many batches."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import CrossEntropy, MeanAbsoluteError, MeanSquaredError, MultiLoss
from tests.comparing import close, same
from tests.drawing import drawn, generator

pytestmark = pytest.mark.usefixtures("strict_numerics")

LOSS = MultiLoss({"size": MeanSquaredError(), "kind": CrossEntropy()}, weights={"size": 0.5})
P = {"size": drawn("sizes", 6, 2), "kind": drawn("kinds", 6, 3)}
T = {"size": drawn("targets", 6, 2), "kind": generator("labels").integers(0, 3, 6)}
W = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 0.0])


def by_both(loss: fnn.Loss, p: Any, t: Any, w: Any = None) -> tuple[Any, Any, Any]:
    """The value, and the gradient of three times it by hand and by ``jax.grad``; targets and weights are constants."""

    @jax.jit
    def run(p: Any) -> tuple[Any, Any, Any]:
        value, cache = loss.forward(p, t, w)
        return value, loss.backward(cache, 3.0), jax.grad(lambda p: 3 * loss(p, t, w), allow_int=True)(p)

    return run(p)


def by_hand_of(loss: fnn.Loss, p: Any, t: Any) -> tuple[Any, Any]:
    @jax.jit
    def run(p: Any) -> tuple[Any, Any]:
        value, cache = loss.forward(p, t)
        return value, loss.backward(cache)

    return run(p)


@pytest.mark.parametrize(
    "weights",
    [
        {"size": W, "kind": np.ones(6)},
        *[pytest.param(each, marks=pytest.mark.full) for each in (None, W, {"size": W}, {})],
    ],
    ids=["all", "none", "one", "some", "empty"],
)
def test_it_is_the_weighted_sum_of_the_losses(weights: Any):
    value, by_hand, automatic = by_both(LOSS, P, T, weights)
    own = weights if isinstance(weights, dict) else dict.fromkeys(P, weights)
    size = MeanSquaredError()(P["size"], T["size"], own.get("size"))
    close(value, 0.5 * size + CrossEntropy()(P["kind"], T["kind"], own.get("kind")))
    close(by_hand, automatic)


def test_a_row_without_a_target_changes_nothing_there():
    weights = {"size": np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0])}
    other = {**T, "size": np.where(weights["size"][:, None] > 0, T["size"], 7.0)}
    unknown = {**P, "size": np.where(weights["size"][:, None] > 0, P["size"], np.nan)}
    expected, found = by_both(LOSS, P, T, weights), by_both(LOSS, unknown, other, weights)
    same(found[:2], expected[:2])
    assert not np.asarray(expected[1]["size"])[[0, 3]].any()
    assert expected[1]["kind"].all()


def test_one_that_nobody_has_is_zero():
    value, by_hand, _ = by_both(LOSS, P, T, {"size": np.zeros(6)})
    close(value, CrossEntropy()(P["kind"], T["kind"]))
    assert not by_hand["size"].any()


@pytest.mark.full
def test_sequences_bring_their_own_lengths():
    loss = MultiLoss({"tags": CrossEntropy(), "whole": MeanSquaredError()})
    tags, lengths, labels = drawn("tags", 2, 3, 4), np.array([3, 1]), np.array([[0, 1, 2], [3, 9, 9]])
    p, t = {"tags": (tags, lengths), "whole": P["size"]}, {"tags": labels, "whole": T["size"]}
    value, by_hand = by_hand_of(loss, p, t)
    rows = np.array([[True] * 3, [True, False, False]])
    close(value, CrossEntropy()(tags[rows], labels[rows]) + MeanSquaredError()(P["size"], T["size"]))
    assert by_hand["tags"][1] is None
    assert not by_hand["tags"][0][1, 1:].any()
    # One array of lengths beside all outputs, as of a model that treats each step alone.
    both = MultiLoss({"a": CrossEntropy(), "b": CrossEntropy()})
    targets = {"a": labels, "b": labels}
    together = by_hand_of(both, ({"a": tags, "b": 2 * tags}, lengths), targets)
    apart = by_hand_of(both, {"a": (tags, lengths), "b": (2 * tags, lengths)}, targets)
    same(together[0], apart[0])
    same(together[1], ({name: each[0] for name, each in apart[1].items()}, None))


def test_a_traced_weight_is_checked_in_the_graph():
    @jax.jit
    def value(a: Any) -> Any:
        return MultiLoss(dict(LOSS.losses), weights={"size": a})(P, T)

    close(value(0.5), LOSS(P, T))
    assert jnp.isnan(value(-0.5))


REFUSED = [
    (MeanSquaredError(), {}, TypeError, r"MultiLoss takes its losses by name, \{'name': loss\}, got MeanSquaredError"),
    ({}, {}, TypeError, r"MultiLoss takes its losses by name, \{'name': loss\}, got \{\}"),
    ({"a": MeanSquaredError}, {}, TypeError, r"the loss 'a' is a loss by its name, got .*; did you mean Mean.*\?"),
    ({1: MeanSquaredError()}, {}, TypeError, "the loss 1 is a loss by its name, got MeanSquaredError"),
    ({"a": fnn.LinearCrossEntropy(3)}, {}, TypeError, "the loss 'a', LinearCrossEntropy.*, brings a layer of its own"),
    ({"a": MeanSquaredError()}, 2.0, TypeError, r"the weights of a MultiLoss are a dict by name, got 2\.0"),
    ({"a": MeanSquaredError()}, {"b": 1.0}, ValueError, r"there are weights for \['b'\], but the losses are \['a'\]"),
    ({"a": MeanSquaredError()}, {"a": -1.0}, ValueError, r"the weight of 'a' is a finite number of at least 0, got -1"),
    ({"a": MeanSquaredError()}, {"a": "1"}, TypeError, "the weight of 'a' is a number, got '1'"),
]


@pytest.mark.parametrize(("losses", "weights", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_losses_that_are_none(losses: Any, weights: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        MultiLoss(losses, weights=weights)


UNFIT = [
    (P["size"], T, None, TypeError, r"MultiLoss takes the prediction by name, a dict with \['size', 'kind'\], got flo"),
    (P, T["size"], None, TypeError, "MultiLoss takes the target by name, a dict with"),
    ({"kind": P["kind"]}, T, None, ValueError, r"the prediction lacks \['size'\], of which there are losses; got"),
    (P, {"size": T["size"]}, None, ValueError, r"the target lacks \['kind'\], of which there are losses; got"),
    (
        {**P, "age": W},
        T,
        None,
        ValueError,
        r"the prediction has \['age'\], but the losses are \['size', 'kind'\]; leav",
    ),
    (P, {**T, "age": W}, None, ValueError, r"the target has \['age'\], but the losses are \['size', 'kind'\]; leave"),
    (P, T, {"age": W}, ValueError, r"there are weights of examples for \['age'\], but the losses are \['size', 'kind'"),
    (P, T, {"size": -W}, ValueError, r"weights are at least 0, got \[-2\.0, -1\.0, -0\.5\]"),
]


@pytest.mark.parametrize(("p", "t", "w", "kind", "message"), UNFIT, ids=range(len(UNFIT)))
def test_predictions_targets_and_weights_that_do_not_fit(p: Any, t: Any, w: Any, kind: type[Exception], message: str):
    for function in (LOSS, LOSS.forward, LOSS.weight) if "at least 0" not in message else (LOSS, LOSS.forward):
        with pytest.raises(kind, match=message):
            function(p, t, w)


def test_an_error_of_one_loss_says_of_which():
    for function in (LOSS, LOSS.forward, LOSS.check):
        with pytest.raises(ValueError, match=r"labels lie in \[0, 3\), got \[3\]") as raised:
            function(P, {**T, "kind": np.array([0, 1, 3, 0, 0, 0])})
        assert any(note.startswith("in kind: CrossEntropy(") for note in raised.value.__notes__)


def two_headed(b: fnn.Layer | None = None) -> fnn.Graph:
    return fnn.Graph({"a": (fnn.Dense(3), "x"), "b": (b or fnn.Dense(3), "x")}, outputs=("a", "b"))


# ---- logits, and kinks


def test_an_output_that_ends_in_a_softmax_is_warned_of_by_name():
    squashed = two_headed(fnn.Serial(fnn.Dense(3), fnn.Softmax()))
    with pytest.warns(
        UserWarning, match=r"CrossEntropy takes logits, .* has the output 'b', which ends in b/softmax_0"
    ):
        fnn.Objective(squashed, MultiLoss({"a": MeanSquaredError(), "b": CrossEntropy()}))
    fnn.Objective(squashed, MultiLoss({"a": CrossEntropy(), "b": MeanSquaredError()}))  # silent
    named = fnn.Graph(
        {"h": (fnn.Dense(3), "x"), "p": (fnn.Sigmoid(), "h"), "q": (fnn.Identity(), "p")},
        outputs={"yes": "q", "size": "h"},
    )
    for model in (named, fnn.Serial(fnn.Tanh(), fnn.Remat(named))):
        with pytest.warns(
            UserWarning, match=r"has the output 'yes', which ends in (graph_0|remat_0/)?/?p: Sigmoid\(\)"
        ):
            fnn.Objective(model, MultiLoss({"yes": fnn.BinaryCrossEntropy(), "size": MeanSquaredError()}))
    with pytest.warns(UserWarning, match=r"the model ends in p: Sigmoid\(\)"):
        fnn.Objective(fnn.Graph(dict(named.nodes), outputs="q"), fnn.BinaryCrossEntropy())


def test_kinks_are_counted_over_all_losses():
    loss = MultiLoss({"a": MeanAbsoluteError(), "b": MeanSquaredError(), "c": MeanAbsoluteError()})
    p = {"a": np.array([1.0, 2.0]), "b": np.zeros(2), "c": (np.ones((2, 2, 1)), np.array([2, 1]))}
    t = {"a": np.array([1.0, 0.0]), "b": np.zeros(2), "c": np.ones((2, 2, 1))}
    found = loss.kinks_at(p, t)
    assert found is not None
    assert (found.count, found.total) == (1 + 3, 2 + 3)
    assert found.what.count("(a)") == found.what.count("(c)") == 1
    assert MultiLoss({"b": MeanSquaredError()}).kinks_at({"b": p["b"]}, {"b": t["b"]}) is None


def test_the_rule_is_by_hand_if_those_of_all_losses_are():
    def squared(prediction: Any, target: Any) -> Any:
        return (prediction - target) ** 2

    assert MultiLoss({"kind": CrossEntropy(), "size": MeanSquaredError()}).rule == "hand"
    assert MultiLoss({"kind": CrossEntropy(), "size": fnn.LossOf(squared)}).rule == "auto"
    assert fnn.LinearCrossEntropy(5).rule == "hand"  # which defines backward itself
