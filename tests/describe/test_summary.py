"""A summary is computed from shapes and agrees with numbers worked by hand."""

import jax
import numpy as np

import fnn

IMAGE = jax.ShapeDtypeStruct((2, 4, 4, 3), "float32")
MODEL = fnn.Serial(
    fnn.Conv(5, (3, 3), padding="VALID"),
    fnn.Flatten(),
    fnn.Repeat(fnn.Residual(fnn.Serial(fnn.Dense(20), fnn.Relu())), 3),
    head=fnn.Dense(2, use_bias=False),
)


def test_rows_follow_the_wiring():
    rows = fnn.summary(MODEL, IMAGE).rows
    assert [row.path for row in rows] == ["conv_0", "flatten_0", "repeat_0/dense_0", "repeat_0/relu_0", "head"]
    assert [row.output for row in rows][0::4] == ["float32[2,2,2,5]", "float32[2,2]"]
    assert [row.times for row in rows] == [1, 1, 3, 3, 1]


def test_parameters_are_counted_repeats_included():
    result = fnn.summary(MODEL, IMAGE)
    assert [row.parameters for row in result.rows] == [3 * 3 * 3 * 5 + 5, 0, 3 * (20 * 20 + 20), 0, 20 * 2]
    params, _ = jax.eval_shape(MODEL.init, jax.random.key(0), IMAGE)
    assert result.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_flops_and_cache_of_a_dense_layer_are_those_worked_by_hand():
    row = fnn.summary(MODEL, IMAGE).rows[-1]
    assert row.forward_flops == 2 * 2 * 20 * 2
    assert row.backward_flops == 2 * (2 * 2 * 20 * 2)
    assert row.cache_bytes == 4 * (2 * 20 + 20 * 2)


def test_the_rule_of_a_layer_without_one_is_auto():
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Double(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return 2 * x, state

    rows = fnn.summary(fnn.Serial(fnn.Relu(), Double()), IMAGE).rows
    assert [row.rule for row in rows] == ["hand", "auto"]


def test_the_table_shows_every_layer_and_the_total():
    text = str(fnn.summary(MODEL, IMAGE))
    for word in ("conv_0", "repeat_0/dense_0 ×3", "float32[2,2,2,5]", "total", "1,440", "hand"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


def test_models_with_state_and_remat_have_a_summary():
    model = fnn.Remat(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dropout(0.5)))
    rows = fnn.summary(model, np.zeros((3, 2), np.float32)).rows
    assert [row.path for row in rows] == ["dense_0", "batch_norm_0", "dropout_0"]


def test_a_convolution_with_one_integer_says_over_how_many_axes_it_ran():
    """It takes images without channels for sequences, which the summary did not show."""
    model = fnn.Serial(fnn.Conv(4, 3), fnn.MaxPool(2), fnn.Conv(3, (3,)), fnn.Relu())
    result = fnn.summary(model, jax.ShapeDtypeStruct((2, 8, 6), "float32"))
    assert [row.seen for row in result.rows] == [
        "1-D over 8, 6 channels",
        "1-D over 8, 4 channels",
        "1-D over 4, 4 channels",
        "",
    ]
    assert "1-D over 8, 6 channels" in str(result)
    image = fnn.summary(fnn.DepthwiseConv(3), jax.ShapeDtypeStruct((2, 9, 8, 1), "float32"))
    assert image.rows[0].seen == "2-D over 9×8, 1 channel"


def test_a_separable_convolution_counts_the_products_of_both_parts():
    # Depthwise: 4 × 4 outputs of 2 channels with 9 products and 8 sums, then 1×1: 2 · 16 · 2 · 3 products.
    layer = fnn.SeparableConv(3, 3, strides=2, use_bias=False)
    rows = fnn.summary(layer, jax.ShapeDtypeStruct((1, 8, 8, 2), "float32")).rows
    assert [row.forward_flops for row in rows] == [4 * 4 * 2 * (9 + 8), 2 * 16 * 2 * 3]
    # dkernel 2 · 16 · 2 · 9; dx of 16 positions each: 4 products and 3 sums, 2 and 1 twice, 1; then both products.
    assert [row.backward_flops for row in rows] == [
        2 * 16 * 2 * 9 + 16 * 2 * (4 + 3 + 2 * (2 + 1) + 1),
        2 * (2 * 16 * 2 * 3),
    ]


def test_inside_remat_the_backward_pass_has_the_forward_pass_again():
    def rows(model):
        row = fnn.summary(model, jax.ShapeDtypeStruct((3, 4), "float32")).rows[0]
        return row.forward_flops, row.backward_flops

    forward, backward = rows(fnn.Dense(4))
    assert rows(fnn.Remat(fnn.Dense(4))) == (forward, backward + forward)
    assert rows(fnn.Remat(fnn.Repeat(fnn.Remat(fnn.Dense(4)), 3))) == (3 * forward, 3 * (backward + 2 * forward))


def test_an_unknown_count_is_shown_as_a_question_mark():
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Doubled(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: 2 * x, x), state

        def backward(self, cache, dy):
            return {}, dy

    result = fnn.summary(fnn.Serial(fnn.Dense(4), Doubled()), jax.ShapeDtypeStruct((3, 4), "float32"))
    assert np.isnan(result.forward_flops)
    assert result.backward_flops == result.rows[0].backward_flops
    assert [line.split().count("?") for line in str(result).splitlines() if "oubled" in line or "total" in line] == [
        1,
        1,
    ]
