"""Layers that PyTorch may hold in one module or in several, and blocks whose modules have another order."""

import numpy as np
import pytest

import fnn
from fnn.interop import load_torch
from tests.interop.modules import linear, numbered, spec, there_and_back

X = spec(1, 3)
ATTENTION = fnn.Serial(fnn.MultiHeadAttention(1))


def four(*names: str) -> dict[str, np.ndarray]:
    return linear(*(f"attention__{name}" for name in names), sizes=((2, 2),) * 4)


@pytest.mark.parametrize(
    "names", ["q_proj k_proj v_proj out_proj", "k_proj v_proj q_proj o_proj", "query key value dense"]
)
def test_four_projections_are_told_apart_by_their_names(names: str):
    arrays = four(*names.split())
    params, _ = there_and_back(ATTENTION, arrays, spec(1, 3, 2))
    for name in names.split():
        leaf = params["multi_head_attention_0"][{"q": "query", "k": "key", "v": "value"}.get(name[0], "out")]
        np.testing.assert_array_equal(leaf["kernel"].reshape(2, 2), arrays[f"attention.{name}.weight"].T)


def test_four_projections_of_other_names_need_names():
    arrays = four("a", "b", "c", "d")
    with pytest.raises(ValueError, match="fnn's multi_head_attention_0 wants in_proj_weight 6×2"):
        load_torch(ATTENTION, arrays, spec(1, 3, 2))
    parts = dict(zip(("query", "key", "value", "out"), "dacb", strict=True))
    names = {f"multi_head_attention_0/{part}": f"attention.{letter}" for part, letter in parts.items()}
    params, _ = there_and_back(ATTENTION, arrays, spec(1, 3, 2), names=names)
    kernel = params["multi_head_attention_0"]["query"]["kernel"]
    np.testing.assert_array_equal(kernel.reshape(2, 2), arrays["attention.d.weight"].T)


def test_one_projection_may_hold_queries_keys_and_values():
    arrays = linear("qkv", "proj", sizes=((6, 2), (2, 2)))
    params, _ = there_and_back(fnn.MultiHeadAttention(1), arrays, spec(1, 3, 2))
    np.testing.assert_array_equal(params["value"]["kernel"][:, 0], arrays["qkv.weight"][4:].T)


@pytest.mark.parametrize("names", ["gate_proj up_proj", "up gate"])
def test_the_gate_of_a_gated_unit_is_told_by_its_name(names: str):
    arrays = linear(*names.split(), sizes=((4, 3), (4, 3)))
    params, _ = there_and_back(fnn.SwiGLU(4), arrays, X)
    gate = next(key for key in arrays if "gate" in key and "weight" in key)
    np.testing.assert_array_equal(params["gate"]["kernel"], arrays[gate].T)


def test_a_glu_may_be_one_projection_with_the_value_first():
    arrays = linear("fc", sizes=((8, 3),))
    params, _ = there_and_back(fnn.GLU(4), arrays, X)
    np.testing.assert_array_equal(params["value"]["kernel"], arrays["fc.weight"][:4].T)


def test_a_whole_block_is_matched_whether_its_norms_come_first_or_last():
    arrays = {}
    for i in range(2):
        shapes = {
            "self_attn__in_proj_weight": (6, 2),
            "self_attn__in_proj_bias": (6,),
            "self_attn__out_proj__weight": (2, 2),
            "self_attn__out_proj__bias": (2,),
            "linear1__weight": (3, 2),
            "linear1__bias": (3,),
            "linear2__weight": (2, 3),
            "linear2__bias": (2,),
            **{f"norm{n}__{name}": (2,) for n in (1, 2) for name in ("weight", "bias")},
        }
        arrays |= {
            key: array + 100 * i for key, array in numbered(**{f"{i}__{k}": s for k, s in shapes.items()}).items()
        }
    first = fnn.Repeat(fnn.TransformerBlock(1, 3), 2)
    last = fnn.Serial(
        fnn.Residual(fnn.MultiHeadAttention(1)), fnn.LayerNorm(), fnn.Residual(fnn.FeedForward(3)), fnn.LayerNorm()
    )
    params, _ = load_torch(first, arrays, spec(1, 3, 2))
    np.testing.assert_array_equal(params["mlp"]["norm"]["scale"][1], arrays["1.norm2.weight"])
    params, _ = load_torch(fnn.Serial(last, last), arrays, spec(1, 3, 2))
    np.testing.assert_array_equal(params["serial_1"]["layer_norm_1"]["scale"], arrays["1.norm2.weight"])
