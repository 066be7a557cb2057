"""Faults that were found by trying to break the library; each test names its own."""

import dataclasses
import pickle
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.metrics import Metric
from fnn.train.step import Training

KEY = jax.random.key(0)


def value_and_gradient(loss: Any, prediction: Any, target: Any) -> Any:
    def both(prediction: Any, target: Any) -> Any:
        value, cache = loss.forward(prediction, target)
        return value, loss.backward(cache)

    return jax.jit(both)(prediction, target)


class TestCrossEntropy:
    def test_a_masked_class_of_logit_minus_infinity_gave_nan(self):
        logits, labels = np.array([[0.0, 1.0, -np.inf]]), np.array([1])
        value, gradient = value_and_gradient(fnn.CrossEntropy(), logits, labels)
        assert value == pytest.approx(np.log1p(np.exp(-1)), rel=1e-12)
        assert gradient.tolist()[0][2] == 0

    def test_large_logits_lost_digits(self):
        logits, labels = np.array([[10000.0, 10001.0]], np.float32), np.array([1])
        value, gradient = value_and_gradient(fnn.CrossEntropy(), logits, labels)
        assert float(value) == pytest.approx(np.log1p(np.exp(-1)), rel=1e-6)
        assert gradient[0] == pytest.approx(np.array([1, -1]) / (1 + np.e), rel=1e-6)

    def test_an_integer_one_hot_target_with_ignore_index_was_masked_entry_by_entry(self, random):
        loss, one_hot = fnn.CrossEntropy(ignore_index=0), np.eye(3, dtype=int)[np.array([0, 0, 1])]
        values = jax.jit(lambda logits, targets: [loss(logits, target) for target in targets])
        one, other = values(random(3, 3), (one_hot, one_hot.astype(float)))
        assert one == other

    def test_a_sure_and_right_binary_answer_had_no_gradient(self):
        value, gradient = value_and_gradient(fnn.BinaryCrossEntropy(), np.array([20.0], np.float32), np.array([1]))
        assert float(value) == pytest.approx(np.log1p(np.exp(-20)), rel=1e-6)
        assert gradient[0] == pytest.approx(-1 / (1 + np.exp(20)), rel=1e-6)


class TestMetrics:
    def test_accuracy_of_single_logits_was_meaningless(self):
        with pytest.raises(ValueError, match="two or more classes"):
            fnn.Accuracy()(jnp.array([[-5.0], [5.0]]), jnp.array([1, 0]))
        assert float(fnn.Accuracy()(jnp.array([-5.0, 5.0]), jnp.array([1, 1]))) == 0.5

    def test_two_metrics_of_one_name_became_one(self):
        objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
        with pytest.raises(ValueError, match="need different names"):
            Training(objective, fnn.optim.sgd(0.1), (fnn.Accuracy(), fnn.Accuracy()))

    @pytest.mark.parametrize("name", ["loss", "validation_x"])
    def test_a_metric_took_a_name_of_the_history(self, name):
        metric = type("Named", (Metric,), {"name": name})()
        objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
        with pytest.raises(ValueError, match="need different names"):
            Training(objective, fnn.optim.sgd(0.1), (metric,))


class TestLayers:
    def test_a_class_with_its_own_init_passed_for_another_under_jit(self):
        class Times(fnn.Layer):
            def __init__(self, factor):
                self.factor = factor

        with pytest.raises(TypeError, match="Times is not a frozen dataclass: write @dataclasses"):
            Times(2)

    def test_a_forgotten_decorator_had_an_obscure_error(self):
        class Times(fnn.Layer):
            factor: int

        with pytest.raises(TypeError, match="Times is not a frozen dataclass"):
            cast(Any, Times)(2)

    def test_a_decorator_that_makes_the_class_again_lost_its_name(self):
        @dataclasses.dataclass(frozen=True, slots=True)
        class Slotted(fnn.Layer, name="its_own_name"):
            size: int = 1

        assert Slotted.snake_name == "its_own_name"

    def test_an_apply_without_state_was_unpacked_along_the_batch(self):
        class OutputAlone(fnn.Layer):
            def apply(self, params, state, x, *, train=False, key=None):
                return cast(Any, x)

        with pytest.raises(TypeError, match=r"OutputAlone.apply returns \(y, state\)"):
            OutputAlone().forward({}, {}, jnp.ones((2, 3)))

    @pytest.mark.parametrize("layer", [fnn.Conv(8, cast(Any, [3, 3])), fnn.MaxPool(cast(Any, [2, 2]))], ids=repr)
    def test_lists_of_sizes_made_a_layer_unhashable(self, layer):
        assert hash(layer) == hash(dataclasses.replace(layer))

    @pytest.mark.parametrize("make", [lambda: fnn.Conv(8, cast(Any, 3.0)), lambda: fnn.MaxPool(cast(Any, 2.0))])
    def test_a_size_that_is_no_integer_spoke_of_len(self, make):
        with pytest.raises(TypeError, match="is an integer or a tuple with one per axis"):
            make()

    def test_an_integer_as_shape_spoke_of_iterables(self):
        with pytest.raises(TypeError, match=r"a shape is a tuple, got 6; write \(6,\)"):
            fnn.Reshape(cast(Any, 6))


class TestCombinators:
    def test_a_residual_promoted_dtypes(self):
        class Wider(fnn.Layer):
            def apply(self, params, state, x, *, train=False, key=None):
                return x.astype(jnp.float32), state

        with pytest.raises(ValueError, match="they differ"):
            fnn.Residual(Wider()).apply({}, {}, jnp.ones((2, 3), jnp.bfloat16))

    def test_a_residual_forgot_the_type_of_a_named_tuple(self):
        class Pair(NamedTuple):
            x: Any
            mask: Any

        class First(fnn.Layer):
            def apply(self, params, state, x, *, train=False, key=None):
                return Pair(2 * x.x, x.mask), state

        given = Pair(jnp.ones((2, 3)), jnp.ones(2, bool))
        y, _, cache = fnn.Residual(First()).forward({}, {}, given)
        _, dx = fnn.Residual(First()).backward(cache, Pair(jnp.ones((2, 3)), None))
        assert type(y) is type(dx) is Pair
        assert dx.mask is None
        np.testing.assert_array_equal(dx.x, 3)

    @pytest.mark.parametrize("merge", ["concatenate", "multiply"])
    def test_the_backward_of_merged_integers_crashed(self, merge):
        model = fnn.Serial(fnn.Parallel(fnn.Flatten(), fnn.Flatten(), merge=merge), fnn.Embedding(5, 2))
        x = jnp.ones((3, 2), int)
        params, state = model.init(KEY, x)
        y, _, cache = model.forward(params, state, x)
        assert model.backward(cache, jnp.ones_like(y))[1] is None

    def test_a_repr_put_a_positional_layer_behind_a_keyword(self):
        model = fnn.Serial(head=fnn.Dense(3), dense_0=fnn.Dense(4))
        assert eval(repr(model), {"Serial": fnn.Serial, "Dense": fnn.Dense}) == model

    def test_a_name_with_the_characters_of_a_glob_could_not_be_selected(self):
        with pytest.raises(ValueError, match="a name is a non-empty string"):
            fnn.Serial(**cast(Any, {"a[0]": fnn.Dense(3)}))

    def test_an_error_from_inside_a_model_could_not_be_sent_to_another_process(self):
        with pytest.raises(ValueError, match="expected") as caught:
            fnn.Serial(fnn.Conv(2, (3, 3))).init(KEY, jnp.ones((2, 3)))
        notes = pickle.loads(pickle.dumps(caught.value.__notes__))
        assert any(note.startswith("in conv_0: Conv(") for note in notes)


class TestErrorsOfTraining:
    DATA = (np.ones((4, 2), np.float32), np.array([0, 1, 0, 1]))

    def fit(self, **options: Any) -> Any:
        options = {
            "objective": fnn.Objective(fnn.Dense(2), fnn.CrossEntropy()),
            "optimizer": fnn.optim.sgd(0.1),
        } | options
        data = options.pop("data", self.DATA)
        options = {"epochs": 1, "batch_size": 2, "key": KEY, "progress": False} | options
        return fnn.fit(options.pop("objective"), options.pop("optimizer"), data, **options)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"metrics": [fnn.Accuracy]}, r"did you mean Accuracy\(…\)\?"),
            ({"metrics": fnn.Accuracy()}, "metrics is a list, got one Accuracy"),
            ({"optimizer": fnn.optim.adam}, r"such as adam first: adam\(1e-3\)"),
            ({"objective": fnn.Dense(2)}, r"expected an Objective\(model, loss\)"),
            ({"key": 0}, r"write jax.random.key\(0\)"),
            ({"data": ([[1.0, 2.0], [3.0]], [0, 1])}, "its rows have different lengths: pad them to one length"),
            ({"data": (np.ones((2, 2), np.float32), np.array(["a", "b"]))}, "encode them as integers"),
        ],
    )
    def test_mistakes_of_newcomers_are_answered(self, options, match):
        with pytest.raises(TypeError, match=match):
            self.fit(**options)

    @pytest.mark.parametrize("penalties", [[fnn.L2], fnn.L2(0.1), (0.1,)])
    def test_penalties_are_penalties(self, penalties):
        with pytest.raises(TypeError, match=r"penalties (holds objects of Penalty|is a list)"):
            fnn.Objective(fnn.Dense(2), fnn.CrossEntropy(), penalties)

    def test_an_error_spoke_of_one_sample_where_there_were_twenty(self):
        objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
        with pytest.raises(ValueError, match=r"must have the same shape, got float\d+\[20,1\] and float\d+\[20\]"):
            self.fit(objective=objective, data=(np.ones((20, 3), np.float32), np.ones(20, np.float32)))

    def test_data_that_are_constants_of_a_trace_could_not_be_checked(self):
        data = (jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]))
        train = fnn.make_train(
            fnn.Objective(fnn.Dense(2), fnn.CrossEntropy()), fnn.optim.sgd(0.1), epochs=1, batch_size=2
        )
        assert jnp.isfinite(jax.jit(lambda key: train(key, data))(KEY).history["loss"]).all()
        bad = (jnp.full((4, 2), jnp.nan), data[1])
        with pytest.raises(ValueError, match="not finite in sample 0"):
            jax.jit(lambda key: train(key, bad))(KEY)
