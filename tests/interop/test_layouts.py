"""Every layout, entry by entry, from a state dict of NumPy arrays, and back again bit for bit."""

import jax
import numpy as np
import pytest

import fnn
from fnn.interop import load_torch, store_torch
from tests.interop.modules import Module, numbered, spec, there_and_back

D, F, G, H = 3, 4, 2, 2


def test_a_dense_kernel_is_transposed():
    arrays = numbered(weight=(F, D), bias=(F,))
    params, _ = there_and_back(fnn.Dense(F), arrays, spec(1, D))
    np.testing.assert_array_equal(params["kernel"], arrays["weight"].T)
    np.testing.assert_array_equal(params["bias"], arrays["bias"])


@pytest.mark.parametrize(("window", "axes"), [((3,), (2, 1, 0)), ((3, 2), (2, 3, 1, 0)), ((2, 3, 1), (2, 3, 4, 1, 0))])
def test_a_convolution_has_its_axes_in_another_order(window: tuple, axes: tuple):
    arrays = numbered(weight=(4, 3, *window), bias=(4,))
    layer = fnn.Conv(4, window, groups=2, padding=0)
    params, _ = there_and_back(layer, arrays, spec(1, *(5,) * len(window), 6))
    np.testing.assert_array_equal(params["kernel"], arrays["weight"].transpose(axes))


def test_a_depthwise_convolution_is_one_with_a_group_a_channel():
    arrays = numbered(weight=(6, 1, 3), bias=(6,))
    params, _ = there_and_back(fnn.DepthwiseConv((3,), multiplier=2), arrays, spec(1, 5, 3))
    np.testing.assert_array_equal(params["kernel"], arrays["weight"].transpose(2, 1, 0))


def test_a_transposed_convolution_is_exchanged_within_its_groups():
    arrays = numbered(weight=(4, 3, 2), bias=(6,))
    params, _ = there_and_back(fnn.ConvTranspose(6, (2,), groups=G, padding=0), arrays, spec(1, 5, 4))
    for k, c, f in np.ndindex(2, 2, 6):
        group = f // 3
        assert params["kernel"][k, c, f] == arrays["weight"][group * 2 + c, f - group * 3, k]


def test_a_bilinear_kernel_has_its_outputs_last():
    arrays = numbered(weight=(F, D, 2), bias=(F,))
    params, _ = there_and_back(fnn.Bilinear(F), arrays, (spec(1, D), spec(1, 2)))
    np.testing.assert_array_equal(params["kernel"], arrays["weight"].transpose(1, 2, 0))


@pytest.mark.parametrize("key", ["1.weight", "positions", "encoder.positions"])
def test_embeddings_stay_as_they_are_and_positions_may_be_a_parameter(key: str):
    model = fnn.Serial(fnn.Embedding(7, D), fnn.PositionalEmbedding(5), fnn.Dense(F))
    arrays = numbered(**{"0__weight": (7, D), key.replace(".", "__"): (5, D), "2__weight": (F, D), "2__bias": (F,)})
    params, _ = there_and_back(model, arrays, spec(1, 4, dtype=np.int32))
    np.testing.assert_array_equal(params["embedding_0"]["embedding"], arrays["0.weight"])
    np.testing.assert_array_equal(params["positional_embedding_0"]["embedding"], arrays[key])


def test_positions_may_have_a_batch_axis():
    params, _ = there_and_back(fnn.PositionalEmbedding(5), numbered(positions=(1, 5, D)), spec(1, 4, D))
    assert params["embedding"].shape == (5, D)


def test_a_running_variance_is_copied_as_it_is_and_the_count_is_at_least_1():
    arrays = numbered(weight=(F,), bias=(F,), running_mean=(F,), running_var=(F,))
    arrays["num_batches_tracked"] = np.array(0)
    params, state = load_torch(fnn.BatchNorm(), arrays, spec(2, F))
    np.testing.assert_array_equal(params["scale"], arrays["weight"])
    np.testing.assert_array_equal(state["mean"], arrays["running_mean"])
    np.testing.assert_array_equal(state["var"], arrays["running_var"])
    assert (int(state["count"]), state["count"].dtype) == (1, np.int32)
    module = Module({key: array.copy() for key, array in arrays.items()})
    store_torch(fnn.BatchNorm(), params, state, module)
    assert module.arrays["num_batches_tracked"] == 0  # loading it again would give the same
    store_torch(fnn.BatchNorm(), params, state | {"count": np.int32(7)}, module)
    assert module.arrays["num_batches_tracked"] == 7
    del arrays["num_batches_tracked"]  # as in old checkpoints
    assert int(load_torch(fnn.BatchNorm(), arrays, spec(2, F))[1]["count"]) == 1


def test_a_slope_for_all_channels_is_spread():
    params, _ = there_and_back(fnn.PRelu(), numbered(weight=(1,)), spec(1, F))
    np.testing.assert_array_equal(params["slope"], np.ones(F))
    with pytest.raises(
        ValueError, match="slope has a number for each of 4 channels, but the other library one for all"
    ):
        store_torch(fnn.PRelu(), {"slope": np.arange(4.0)}, {}, Module(numbered(weight=(1,))))


def recurrent(gates: int, suffix: str = "_l0") -> dict[str, np.ndarray]:
    shapes = {
        "weight_ih": (gates * H, D),
        "weight_hh": (gates * H, H),
        "bias_ih": (gates * H,),
        "bias_hh": (gates * H,),
    }
    return numbered(**{name + suffix: shape for name, shape in shapes.items()})


@pytest.mark.parametrize(("layer", "gates"), [(fnn.SimpleRNN(H), 1), (fnn.LSTM(H), 4)])
@pytest.mark.parametrize("suffix", ["_l0", ""])  # nn.LSTM, nn.LSTMCell
def test_of_the_two_biases_of_a_recurrence_the_sum_counts(layer: fnn.Layer, gates: int, suffix: str):
    arrays = recurrent(gates, suffix)
    params, _ = there_and_back(layer, arrays, spec(1, 5, D))
    np.testing.assert_array_equal(params["kernel"], arrays[f"weight_ih{suffix}"].T)
    np.testing.assert_array_equal(params["recurrent_kernel"], arrays[f"weight_hh{suffix}"].T)
    np.testing.assert_array_equal(params["bias"], arrays[f"bias_ih{suffix}"] + arrays[f"bias_hh{suffix}"])


def test_a_gru_keeps_both_biases():
    arrays = recurrent(3)
    params, _ = there_and_back(fnn.GRU(H), arrays, spec(1, 5, D))
    np.testing.assert_array_equal(params["bias"], arrays["bias_ih_l0"])
    np.testing.assert_array_equal(params["recurrent_bias"], arrays["bias_hh_l0"])


def test_a_module_without_biases_holds_only_biases_of_0():
    arrays = {key: array for key, array in recurrent(4).items() if "bias" not in key}
    params, _ = there_and_back(fnn.LSTM(H), arrays, spec(1, 5, D))
    assert not np.any(params["bias"])
    with pytest.raises(ValueError, match="bias is not 0, but PyTorch's module has bias=False"):
        store_torch(fnn.LSTM(H), params | {"bias": np.ones(4 * H)}, {}, Module(arrays))


def test_layers_and_directions_of_one_module_are_layers_of_their_own():
    model = fnn.Serial(*(fnn.Bidirectional(fnn.GRU(H)) for _ in range(2)))
    arrays = {}
    for number, inputs in enumerate((D, 2 * H)):
        for which in ("", "_reverse"):
            shapes = {"weight_ih": (6, inputs), "weight_hh": (6, H), "bias_ih": (6,), "bias_hh": (6,)}
            arrays |= numbered(**{f"rnn__{name}_l{number}{which}": shape for name, shape in shapes.items()})
    arrays["rnn.weight_ih_l1_reverse"] += 100
    params, _ = there_and_back(model, arrays, spec(1, 5, D))
    kernel = params["bidirectional_1"]["backward"]["kernel"]
    np.testing.assert_array_equal(kernel, arrays["rnn.weight_ih_l1_reverse"].T)


def test_stacked_layers_of_a_repeat_are_filled_one_by_one():
    arrays = numbered(
        **{f"layers__{i}__{name}": shape for i in range(3) for name, shape in (("weight", (D, D)), ("bias", (D,)))}
    )
    params, _ = there_and_back(fnn.Repeat(fnn.Dense(D), 3), arrays, spec(1, D))
    assert isinstance(params, fnn.Stacked)
    for i in range(3):
        np.testing.assert_array_equal(params["kernel"][i], arrays[f"layers.{i}.weight"].T)


def test_the_rows_behind_a_flatten_go_from_channels_first_to_channels_last():
    model = fnn.Serial(fnn.Conv(2, (1, 1), padding=0), fnn.Flatten(), fnn.BatchNorm(), fnn.Dense(F))
    sizes = {"weight": (12,), "bias": (12,), "running_mean": (12,), "running_var": (12,)}
    arrays = numbered(
        **{"0__weight": (2, 1, 1, 1), "0__bias": (2,)}, **{f"2__{name}": size for name, size in sizes.items()}
    )
    arrays |= numbered(**{"3__weight": (F, 12), "3__bias": (F,)})
    params, _ = there_and_back(model, arrays, spec(1, 2, 3, 1))
    for h, w, c in np.ndindex(2, 3, 2):
        here, there = (h * 3 + w) * 2 + c, (c * 2 + h) * 3 + w
        np.testing.assert_array_equal(params["dense_0"]["kernel"][here], arrays["3.weight"][:, there])
        assert params["batch_norm_0"]["scale"][here] == arrays["2.weight"][there]


def test_the_columns_before_a_reshape_to_an_image_too():
    model = fnn.Serial(fnn.Dense(12), fnn.Relu(), fnn.Reshape((2, 3, 2)), fnn.Conv(1, (1, 1)))
    arrays = numbered(**{"0__weight": (12, D), "0__bias": (12,), "1__weight": (1, 2, 1, 1), "1__bias": (1,)})
    params, _ = there_and_back(model, arrays, spec(1, D))
    for h, w, c in np.ndindex(2, 3, 2):
        here, there = (h * 3 + w) * 2 + c, (c * 2 + h) * 3 + w
        np.testing.assert_array_equal(params["dense_0"]["kernel"][:, here], arrays["0.weight"][there])
        assert params["dense_0"]["bias"][here] == arrays["0.bias"][there]


def test_sequences_and_images_without_channels_are_flattened_in_the_same_order():
    arrays = numbered(weight=(F, 6), bias=(F,))
    params, _ = load_torch(fnn.Serial(fnn.Flatten(), fnn.Dense(F)), arrays, spec(1, 2, 3))
    np.testing.assert_array_equal(params["dense_0"]["kernel"], arrays["weight"].T)


def test_weight_norm_has_a_length_and_a_direction_under_both_spellings():
    layer, x = fnn.WeightNorm(fnn.Conv(F, (3,), padding=0)), spec(1, 5, D)
    older = numbered(bias=(F,), weight_g=(F, 1, 1), weight_v=(F, D, 3))
    params, _ = there_and_back(layer, older, x)
    np.testing.assert_array_equal(params["kernel_scale"], older["weight_g"].ravel())
    np.testing.assert_array_equal(params["kernel"], older["weight_v"].transpose(2, 1, 0))
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    newer = {names.get(key, key): array for key, array in older.items()}
    jax.tree.map(np.testing.assert_array_equal, there_and_back(layer, newer, x)[0], params)


def test_spectral_norm_keeps_u_and_computes_v():
    layer, x = fnn.SpectralNorm(fnn.Dense(F)), spec(1, D)
    arrays = numbered(parametrizations__weight__original=(F, D), parametrizations__weight__0___u=(F,), bias=(F,))
    v = arrays["parametrizations.weight.original"].T @ arrays["parametrizations.weight.0._u"]
    arrays["parametrizations.weight.0._v"] = v / np.linalg.norm(v)
    params, state = there_and_back(layer, arrays, x)
    np.testing.assert_array_equal(params["inner"]["kernel"], arrays["parametrizations.weight.original"].T)
    np.testing.assert_array_equal(state["u"]["kernel"], arrays["parametrizations.weight.0._u"])


def test_a_tied_head_may_be_there_twice_or_once_but_not_otherwise():
    inner = fnn.Serial(embedding=fnn.Embedding(7, D), head=fnn.Dense(7, use_bias=False))
    model = fnn.Tied(inner, {"head/kernel": "embedding/embedding"}, transform="transpose")
    arrays, x = numbered(tokens__weight=(7, D)), spec(1, 4, dtype=np.int32)
    twice = arrays | {"head.weight": arrays["tokens.weight"]}
    for each in (arrays, twice):
        params, _ = there_and_back(model, each, x)
        assert list(params) == ["embedding"]
    with pytest.raises(
        ValueError, match="the model ties 'head/kernel' to another parameter, but the arrays to load differ"
    ):
        load_torch(model, arrays | {"head.weight": arrays["tokens.weight"] + 1}, x)


def test_ties_inside_a_repeat_are_those_of_each_layer():
    inner = fnn.Serial(a=fnn.Dense(D, use_bias=False), b=fnn.Dense(D, use_bias=False))
    model = fnn.Repeat(fnn.Tied(inner, {"b/kernel": "a/kernel"}), 2)
    arrays = numbered(**{f"{i}__weight": (D, D) for i in (0, 2)})
    twice = {f"{i}.weight": arrays[f"{i - i % 2}.weight"] for i in range(4)}
    params, _ = there_and_back(model, twice, spec(1, D))
    np.testing.assert_array_equal(params["a"]["kernel"][1], arrays["2.weight"].T)


def test_a_layer_of_ones_own_has_the_same_names_in_both():
    params, _ = there_and_back(fnn.TrainableSwish(), numbered(beta=(F,)), spec(1, F))
    np.testing.assert_array_equal(params["beta"], np.arange(1, F + 1))


def test_parameters_have_the_dtype_of_the_input():
    arrays = numbered(weight=(F, D), bias=(F,))
    assert load_torch(fnn.Dense(F), arrays, spec(1, D, dtype="bfloat16"))[0]["kernel"].dtype == "bfloat16"
    with jax.enable_x64(True):
        assert load_torch(fnn.Dense(F), arrays, spec(1, D, dtype="float64"))[0]["kernel"].dtype == "float64"
