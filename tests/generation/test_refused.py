"""What ``generate`` refuses, and the words of each refusal."""

import jax
import numpy as np
import pytest

import fnn
from fnn.train.generate import _checked_sampling, _checked_stop
from tests.generation.writing import KEY, LENGTHS, MODELS, PROMPT, V, made

pytestmark = pytest.mark.usefixtures("strict_numerics")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"length": 0}, ValueError, "length is at least 1, got 0"),
        ({"length": 2.0}, TypeError, r"length is an integer, got 2\.0"),
        (
            {"temperature": 1.0},
            ValueError,
            "drawing tokens needs a key: .* temperature=0 the most likely ones need none",
        ),
        ({"temperature": -1}, ValueError, "temperature is a finite number of at least 0, got -1"),
        ({"temperature": "hot"}, TypeError, "temperature is a number, got 'hot'"),
        ({"temperature": 1.0, "key": 3}, TypeError, r"key is a random key, got 3; write jax\.random\.key\(3\)"),
        (
            {"temperature": np.ones(2)},
            ValueError,
            r"temperature is one number, got float64\[2\]; map over several with",
        ),
        ({"temperature": np.float32(-1)}, ValueError, r"temperature is a finite number of at least 0, got -1\.0"),
        ({"top_k": 0}, ValueError, "top_k is at least 1, got 0"),
        ({"top_k": 2.0}, TypeError, r"top_k is an integer, got 2\.0"),
        ({"top_p": 0.0}, ValueError, r"top_p is a number in \(0, 1\], got 0\.0"),
        ({"top_p": 1.1}, ValueError, r"top_p is a number in \(0, 1\], got 1\.1"),
        ({"stop": "end"}, TypeError, "stop is a token or several, Python integers, got 'end'"),
        ({"stop": 1.0}, TypeError, r"stop is a token or several, Python integers, got 1\.0"),
        ({"stop": [2, -1]}, ValueError, r"tokens are at least 0, got stop=\[2, -1\]"),
        ({"stop": [2, V]}, ValueError, r"stop lies in \[0, 7\), the tokens that the model may write, got \[2, 7\]"),
        (
            {"prompt": PROMPT[0]},
            ValueError,
            r"a prompt is tokens \(N, T\), .* got int32\[4\]; a single row is prompt\[N",
        ),
        ({"prompt": PROMPT[:, :0]}, ValueError, r"N rows of at least one token, got int32\[3,0\]"),
        ({"prompt": PROMPT / 2}, TypeError, r"the tokens of a prompt are integers, got float64\[3,4\]"),
        ({"prompt": [[1, 2], [3]]}, ValueError, "got rows of different lengths, .* pad them to one length"),
        ({"prompt": -PROMPT - 1}, ValueError, "tokens are at least 0 and fit into 32 bits, got values from -7 to -2"),
        (
            {"prompt": PROMPT + np.int64(2**40)},
            ValueError,
            "tokens are at least 0 and fit into 32 bits, got values from 10995",
        ),
        ({"prompt": (PROMPT, LENGTHS * 2)}, ValueError, r"lengths lie in \[0, 4\], got values from 2 to 8"),
        (
            {"prompt": (PROMPT, LENGTHS - 1)},
            ValueError,
            r"a prompt has at least one token, .* got the lengths \[3, 0, 1\]",
        ),
        ({"prompt": (PROMPT, LENGTHS * 1.0)}, TypeError, "expected integer lengths"),
        ({"prompt": PROMPT + 3}, ValueError, r"indices lie in \[0, 7\), got values from 4 to 9"),
        ({"params": {}}, ValueError, "expected a parameter 'kernel'"),
        ({"params": {"gru_7": {}}}, ValueError, r"params hold \['gru_7'\], but the layers here are"),
        ({"params": None}, TypeError, "params is a nested dict as init returns it, got None|params are a nested"),
        ({"model": fnn.LSTM}, TypeError, r"generate takes a model, which is a layer, got .*; did you mean LSTM\(…\)\?"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(options: dict, error: type, message: str):
    model = options.pop("model", MODELS["small"])
    params, state = made(MODELS["small"])
    params, prompt = options.pop("params", params), options.pop("prompt", PROMPT)
    with pytest.raises(error, match=message):
        fnn.generate(model, params, state, prompt, **{"length": 2, "temperature": 0, **options})


REFUSED = [
    (fnn.MultiHeadAttention(1), r"MultiHeadAttention\(num_heads=1\) cannot run over single steps: .*causal=True"),
    (fnn.PositionalEmbedding(4), "expected at most 4 positions, got length=5"),
    (
        fnn.TimeDistributed(fnn.Reshape((2, 2))),
        r"makes logits \(N, V\) of every step, got float64\[3,2,2\] of 3",
    ),
    (fnn.Remat(fnn.Softmax()), r"draws from logits, but the model ends in remat_0: Softmax\(\); leave that layer out"),
]


@pytest.mark.parametrize(("layer", "message"), REFUSED, ids=lambda each: repr(each)[:40])
def test_a_model_that_cannot_write_is_refused(layer: fnn.Layer, message: str):
    model = fnn.Serial(fnn.Embedding(V, 4), layer)
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(model.init, KEY, PROMPT)[0])
    with pytest.raises(ValueError, match=message):
        fnn.generate(model, params, {}, PROMPT, length=2, key=KEY)
    if model.layers[-1] == fnn.Remat(fnn.Softmax()):  # whose likeliest tokens are those of its logits
        assert fnn.generate(model, params, {}, PROMPT, length=2, temperature=0).shape == (3, 2)
        with pytest.raises(ValueError, match=r"but the model is Softmax\(\); leave"):
            fnn.generate(fnn.Softmax(), {}, {}, PROMPT, length=2, key=KEY)


def test_a_token_that_cannot_be_decided_is_an_error_that_says_why():
    model = fnn.Serial(fnn.Embedding(V, 4), fnn.Dense(V + 1))
    params, _ = made(model)
    with pytest.raises(ValueError, match="the model's output is not finite for sample 0 of the prompt"):
        fnn.generate(model, jax.tree.map(lambda leaf: np.nan * leaf, params), {}, PROMPT, length=2, temperature=0)
    params["dense_0"]["bias"][V] = 1e3  # it has no vector for its last token
    with pytest.raises(ValueError, match=r"the logits for new token 1 of row 0 are not finite: .*no vector for"):
        fnn.generate(model, params, {}, PROMPT, length=2, temperature=0)


def test_traced_numbers_are_of_the_right_type_and_known_ones_may_be_arrays():
    with pytest.raises(TypeError, match=r"top_k is an integer, got the traced float"):
        jax.eval_shape(
            lambda k: fnn.generate(MODELS["small"], *made(MODELS["small"]), PROMPT, length=2, key=KEY, top_k=k), 2.0
        )
    assert _checked_stop(np.array(3)) == _checked_stop(jax.numpy.array([3])) == _checked_stop({3}) == (3,)
    how = _checked_sampling(MODELS["small"], 1.0, 2**40, None)
    assert how is not None
    assert how.top_k == 2**31 - 1
