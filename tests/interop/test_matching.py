"""Which layer gets which arrays, what raises, and what is said."""

import jax
import numpy as np
import pytest

import fnn
from fnn.interop import load_torch, store_torch
from tests.interop.modules import Module, linear, numbered, spec, there_and_back

X = spec(1, 3)
MLP = fnn.Serial(fnn.Dense(4), fnn.Relu(), fnn.Dense(4), fnn.Dense(2))


def kernels(params: dict) -> list[np.ndarray]:
    return [np.asarray(layer["kernel"]) for layer in params.values()]


def test_names_need_not_agree_in_order(capsys: pytest.CaptureFixture):
    arrays = linear("fc1", "net__fc2", "head")
    params, _ = load_torch(MLP, arrays, X)
    for kernel, key in zip(kernels(params), ("fc1", "net.fc2", "head"), strict=True):
        np.testing.assert_array_equal(kernel, arrays[f"{key}.weight"].T)
    shown = capsys.readouterr().out.splitlines()
    assert shown[4].split() == ["dense_1", "←", "net.fc2", "kernel", "4×4", "(transposed);", "bias"]


def test_shapes_decide_where_the_order_is_another():
    arrays = linear("head", "fc2", "fc1", sizes=((2, 4), (4, 4), (4, 3)))
    params, _ = there_and_back(MLP, arrays, X)
    for kernel, key in zip(kernels(params), ("fc1", "fc2", "head"), strict=True):
        np.testing.assert_array_equal(kernel, arrays[f"{key}.weight"].T)


NORMS = fnn.Serial(fnn.Dense(4), fnn.LayerNorm(), fnn.Dense(4), fnn.LayerNorm())


def dense_first() -> dict[str, np.ndarray]:
    arrays = linear("a", "b", sizes=((4, 3), (4, 4)))
    return arrays | numbered(n__weight=(4,), n__bias=(4,)) | numbered(m__weight=(4,), m__bias=(4,))


def test_an_ambiguous_match_raises_and_asks_for_names():
    message = (
        "the order of the arrays is not that of the layers, and shapes do not decide which belong where: n, m fit"
        r" layer_norm_0, layer_norm_1; say it with names=\{'layer_norm_0': 'n', …\}"
    )
    with pytest.raises(ValueError, match=message):
        load_torch(NORMS, dense_first(), X)
    params, _ = there_and_back(NORMS, dense_first(), X, names={"layer_norm_0": "m"})
    np.testing.assert_array_equal(params["layer_norm_0"]["scale"], dense_first()["m.weight"])


def test_a_glob_of_names_selects_several_layers():
    model = fnn.Serial(one=fnn.Serial(fnn.Dense(3), fnn.Dense(3)), two=fnn.Serial(fnn.Dense(3), fnn.Dense(3)))
    square = ((3, 3),) * 4
    arrays = linear("decoder__0", "decoder__1", "encoder__0", "encoder__1", sizes=square)
    for number, array in enumerate(arrays.values()):
        array += 100 * number
    params, _ = there_and_back(model, arrays, X, names={"one/*": "encoder", "two/*": "decoder"})
    np.testing.assert_array_equal(params["one"]["dense_1"]["kernel"], arrays["encoder.1.weight"].T)
    np.testing.assert_array_equal(params["two"]["dense_0"]["kernel"], arrays["decoder.0.weight"].T)


def test_layers_and_arrays_that_are_left_over_raise_with_both_shapes():
    arrays = linear("fc1", "fc2", "head", sizes=((4, 3), (4, 4), (5, 4)))
    message = (
        r"layers and arrays are left over.*strict=False.*\n  fnn's dense_2 wants weight 2×4, bias 2 for its bias 2,"
        r" kernel 4×2\n  PyTorch has head\.weight 5×4, head\.bias 5"
    )
    with pytest.raises(ValueError, match=message):
        load_torch(MLP, arrays, X)
    module = Module({key: array.copy() for key, array in arrays.items()})
    params, state = load_torch(MLP, linear("fc1", "fc2", "head"), X)
    with pytest.raises(ValueError, match=r"left over, so nothing was stored; .*\n  fnn's dense_2 wants weight 2×4"):
        store_torch(MLP, params, state, module)
    for key, array in arrays.items():
        np.testing.assert_array_equal(module.arrays[key], array)


def test_what_finds_nothing_keeps_its_initial_values_if_not_strict(capsys: pytest.CaptureFixture):
    arrays = linear("fc1", "fc2", "head", sizes=((4, 3), (4, 4), (5, 4)))
    params, _ = load_torch(MLP, arrays, np.ones((1, 3), np.float32), strict=False)
    initial, _ = MLP.init(jax.random.key(0), np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(params["dense_0"]["kernel"], arrays["fc1.weight"].T)
    np.testing.assert_array_equal(params["dense_2"]["kernel"], initial["dense_2"]["kernel"])
    shown = capsys.readouterr().out
    assert "dense_2     none     as init draws them" in shown
    assert "none        head     not used: weight, bias" in shown


def test_a_layer_in_the_model_that_the_arrays_lack_raises_even_if_its_shape_is_elsewhere():
    with pytest.raises(ValueError, match="shapes do not decide"):
        load_torch(fnn.Serial(fnn.Dense(3), fnn.Dense(3)), linear("one", sizes=((3, 3),)), X, strict=False)


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["a"], TypeError, r"names is a dict from globs of paths to prefixes of keys, got \['a'\]"),
        ({"dense_7": "fc1"}, ValueError, "the glob 'dense_7' matches none of the paths"),
        ({"dense_0": "fc9"}, ValueError, "names has the prefix 'fc9', but no key lies in it; there are fc1, fc2, head"),
        (
            {"dense_*": "fc1", "*_0": "fc2"},
            ValueError,
            r"'dense_\*' and '\*_0' of names both match the layer 'dense_0'",
        ),
    ],
)
def test_names_are_checked(names: dict, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        load_torch(MLP, linear("fc1", "fc2", "head"), X, names=names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("model.pt", r"load_torch takes a torch.nn.Module or its state_dict\(\), got str"),
        ({"model": {"weight": np.ones(2)}}, "names and tensors, got 'model': .*; give its entry 'model'; a checkpoint"),
        ({"epoch": 3}, "a state dict has names and tensors, got 'epoch': int; a checkpoint often holds"),
    ],
)
def test_what_is_no_state_dict_raises(given: object, message: str):
    with pytest.raises(TypeError, match=message):
        load_torch(MLP, given, X)


def test_the_model_comes_first():
    with pytest.raises(TypeError, match=r"load_torch takes a model of fnn first, got <class 'fnn.*Dense'>; did"):
        load_torch(fnn.Dense, {}, X)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="store_torch takes a model of fnn first, got 3"):
        store_torch(3, {}, {}, Module({}))  # type: ignore[arg-type]


def test_store_takes_a_module():
    with pytest.raises(TypeError, match=r"store_torch takes a torch.nn.Module, got \{fc1.weight: float32"):
        store_torch(MLP, {}, {}, linear("fc1", sizes=((4, 3),)))


def test_weights_are_floating():
    arrays = linear("fc1", "fc2", "head") | {"fc1.bias": np.ones(4, np.int8)}
    with pytest.raises(
        TypeError, match=r"dense_0/bias is float32, but fc1 holds int8\[4\]; give the weights as floating"
    ):
        load_torch(MLP, arrays, X)


def test_buffers_of_integers_are_left_out():
    arrays = linear("fc1", "fc2", "head") | {"position_ids": np.arange(4)}
    there_and_back(MLP, arrays, X)


def test_channels_that_nobody_knows_are_asked_for():
    model = fnn.Serial(fnn.Flatten(), fnn.Dense(2))
    params, state = load_torch(model, linear("fc", sizes=((2, 12),)), spec(1, 2, 2, 3))
    module = Module({"fc.weight": np.zeros((2, 12)), "fc.bias": np.zeros(2)})
    with pytest.raises(ValueError, match=r"dense_0 reads axes that were flattened.*not known; give x="):
        store_torch(model, params, state, module)
    store_torch(model, params, state, module, x=spec(1, 2, 2, 3))
    np.testing.assert_array_equal(module.arrays["fc.weight"], linear("fc", sizes=((2, 12),))["fc.weight"])


def test_a_sum_of_flattened_axes_and_outputs_has_no_order():
    model = fnn.Serial(fnn.Flatten(), fnn.Residual(fnn.Dense(12)), fnn.Dense(2))
    arrays = linear("one", "two", sizes=((12, 12), (2, 12)))
    with pytest.raises(ValueError, match="dense_0 reads a sum of flattened axes and of outputs of a dense layer"):
        load_torch(model, arrays, spec(1, 2, 2, 3))


def test_what_a_lambda_makes_of_flattened_axes_has_no_known_order():
    model = fnn.Serial(fnn.Flatten(), fnn.Lambda(jax.numpy.sin), fnn.Dense(2))
    with pytest.raises(ValueError, match="dense_0 reads axes that were flattened"):
        load_torch(model, linear("one", sizes=((2, 12),)), spec(1, 2, 2, 3))


def test_flattened_axes_one_behind_the_other_have_no_known_order():
    nodes = {
        "flat": (fnn.Flatten(), "image"),
        "both": (fnn.Concatenate(), ("flat", "age")),
        "kind": (fnn.Dense(2), "both"),
    }
    x = {"image": spec(1, 2, 2, 3), "age": spec(1, 1)}
    with pytest.raises(ValueError, match="kind reads axes that were flattened"):
        load_torch(fnn.Graph(nodes, outputs="kind"), linear("one", sizes=((2, 13),)), x)


def test_a_lambda_before_a_flatten_may_change_the_channels():
    model = fnn.Serial(fnn.Lambda(jax.numpy.sin), fnn.Flatten(), fnn.Dense(2))
    with pytest.raises(ValueError, match="put what changes the channels before the Flatten into layers of fnn instead"):
        load_torch(model, linear("one", sizes=((2, 12),)), spec(1, 2, 2, 3))
