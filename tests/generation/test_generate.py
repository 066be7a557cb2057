"""What a model writes: the tokens that its full pass gives, drawn from the distribution that is asked for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import fnn
from fnn.calls import start_of, step_of
from fnn.generation.sampling import Sampling, drawn_tokens
from fnn.train.compiled import compiled_tokens
from tests import compiled
from tests.comparing import close, same
from tests.drawing import generator

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
V, T, LENGTH = 7, 4, 4
PROMPT = generator("prompts").integers(0, V, (3, T)).astype(np.int32)
LENGTHS = np.array([4, 1, 2], np.int32)
HEAD = fnn.Dense(V, use_bias=False)
MODELS = {
    "small": fnn.Serial(fnn.Embedding(V, 4), fnn.SimpleRNN(5), HEAD),
    "transformer": fnn.Serial(
        fnn.Embedding(V, 8),
        fnn.PositionalEmbedding(T + LENGTH - 1),
        fnn.Repeat(fnn.TransformerBlock(2, 8, causal=True, rotary=True), 2),
        fnn.LayerNorm(),
        HEAD,
    ),
    "LSTM": fnn.Serial(fnn.Embedding(V, 4), fnn.BatchNorm(use_bias=False), fnn.LSTM(9), HEAD),
    "last step": fnn.Serial(fnn.Embedding(V, 4), fnn.GRU(5, return_sequences=False), HEAD),
}
named = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "small" else pytest.mark.full) for name in MODELS]
)


def made(model: Any) -> tuple[Any, Any]:
    """Large random parameters, so that tokens differ, and a state that is not that of init."""
    params, state = jax.eval_shape(model.init, KEY, PROMPT)
    draw = generator(repr(model))
    params = jax.tree.map(lambda leaf: draw.standard_normal(leaf.shape), params)
    return params, jax.tree.map(lambda leaf: np.full(leaf.shape, 2, leaf.dtype), state)


def written(prompt: Any, name: str = "small", **options: Any) -> np.ndarray:
    model = MODELS[name]
    params, state = made(model)
    return np.asarray(fnn.generate(model, params, state, prompt, **{"length": LENGTH, "temperature": 0, **options}))


@named
def test_the_likeliest_tokens_are_those_of_the_full_pass_on_what_stands_before_them(name: str):
    tokens = written(PROMPT, name)
    assert tokens.shape == (3, LENGTH)
    assert tokens.dtype == np.int32
    assert len(np.unique(tokens)) > 1
    whole, (params, state) = np.concatenate((PROMPT, tokens), 1), made(MODELS[name])
    carry = start_of(MODELS[name], 3, length=T + LENGTH - 1, params=params, state=state)
    step = jax.jit(lambda carry, x: step_of(MODELS[name], params, carry, x, state=state))
    for t in range(T + LENGTH - 1):
        logits, carry = step(carry, whole[:, t])
        if t >= T - 1:
            full = compiled.apply(MODELS[name], params, state, whole[:, : t + 1])[0]
            full = full[:, -1] if full.ndim == 3 else full
            close(logits, full, rtol=1e-10, atol=1e-10)
            same(tokens[:, t + 1 - T], full.argmax(-1).astype(np.int32))


@pytest.mark.parametrize(
    ("name", "rows"), [("small", (0, 1, 2)), pytest.param("transformer", (1,), marks=pytest.mark.full)]
)
def test_rows_of_different_lengths_are_continued_as_each_is_alone(name: str, rows: tuple):
    padded = np.where(np.arange(T) < LENGTHS[:, None], PROMPT, -7)
    together = written((padded, LENGTHS), name)
    for row in rows:
        size = LENGTHS[row]
        same(together[row : row + 1], written(PROMPT[row : row + 1, :size], name))


def test_what_a_row_draws_does_not_depend_on_the_lengths_of_others():
    options = {"key": KEY, "temperature": 2.0}
    together = written((PROMPT, LENGTHS), **options)
    same(together[1:2], written((PROMPT, np.array([1, 1, 3])), **options)[1:2])
    same(together[:1], written(PROMPT[:1], **options))
    assert (together != written((PROMPT, LENGTHS), key=jax.random.key(1), temperature=2.0)).any()


def test_one_program_serves_every_key_and_number_and_a_row_cut_to_one_token_is_the_likeliest():
    fnn.clear_compiled()
    likeliest = written(PROMPT)
    program: Any = compiled_tokens(MODELS["small"]).tokens
    assert program._cache_size() == 1
    same(written(PROMPT, key=KEY, temperature=1.5, top_k=1, top_p=1.0), likeliest)
    same(written(PROMPT, key=jax.random.key(3), temperature=0.5, top_k=5, top_p=1e-9), likeliest)
    same(written(PROMPT, key=KEY, temperature=jnp.zeros(()), top_k=np.int64(9), top_p=0.5), likeliest)
    same(written(PROMPT, key=KEY, temperature=1e-300, top_k=3, top_p=1), likeliest)
    assert program._cache_size() == 2
    assert compiled_tokens(MODELS["small"]).tokens is program
    fnn.clear_compiled()
    assert compiled_tokens(MODELS["small"]).tokens is not program


# ---- the distribution


LOGITS = np.array([0.3, -1.0, 1.2, 0.0, 1.1, -0.4, -np.inf])


def truncated(temperature: float, top_k: int | None, top_p: float | None) -> np.ndarray:
    """The probabilities by their definition."""
    p = np.exp(LOGITS / temperature)
    order = np.argsort(-p, kind="stable")
    if top_k is not None:
        p[order[top_k:]] = 0
    p /= p.sum()
    if top_p is not None:
        count = next(i for i in range(1, V + 1) if p[order[:i]].sum() >= top_p - 1e-12)
        p[order[count:]] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        pytest.param(0.7, None, None, marks=pytest.mark.full),
        pytest.param(1.5, 3, None, marks=pytest.mark.full),
        pytest.param(1.3, None, 0.8, marks=pytest.mark.full),
        (1.1, 4, 0.75),
    ],
)
def test_tokens_have_the_frequencies_of_the_cut_distribution(temperature: float, top_k: Any, top_p: Any):
    model = fnn.Serial(fnn.Embedding(V, 1), fnn.Dense(V))
    params = {
        "embedding_0": {"embedding": np.zeros((V, 1))},
        "dense_0": {"kernel": np.ones((1, V)), "bias": LOGITS},
    }
    options = {"key": jax.random.key(5), "temperature": temperature, "top_k": top_k, "top_p": top_p}
    tokens = np.asarray(fnn.generate(model, params, {}, np.zeros((4000, 1), int), length=5, **options))
    expected, found = truncated(temperature, top_k, top_p), np.bincount(tokens.ravel(), minlength=V)
    possible = expected > 0
    assert not found[~possible].any()
    assert scipy.stats.chisquare(found[possible], tokens.size * expected[possible]).pvalue > 0.01
    # Two tokens of a row, and of neighbouring rows, are independent.
    for pairs in (V * tokens[:, 0] + tokens[:, 1], V * tokens[1:, 0] + tokens[:-1, 0]):
        both = np.outer(expected, expected).ravel()
        counts = np.bincount(pairs, minlength=V * V)[both > 0]
        assert scipy.stats.chisquare(counts, len(pairs) * both[both > 0]).pvalue > 0.01


def test_of_equal_logits_the_first_are_kept():
    keys = jax.random.split(KEY, 200)
    logits = jnp.tile(jnp.array([[-1.0, 2.0, 0.0, 2.0, 2.0]]), (200, 1))

    @jax.jit
    def drawn(top_k: Any, top_p: Any) -> Any:
        return drawn_tokens(logits, keys, Sampling(1.0, top_k, top_p))

    assert set(np.asarray(drawn(1, 1.0)).tolist()) == {1}
    assert set(np.asarray(drawn(2, 1.0)).tolist()) == {1, 3}
    # The three have 0.31 each, the others 0.04 and 0.02.
    for top_p, kept in ((0.3, {1}), (0.5, {1, 3}), (0.7, {1, 3, 4})):
        assert set(np.asarray(drawn(5, top_p)).tolist()) == kept


# ---- stop


def test_after_a_stop_token_a_row_is_filled_with_it():
    plain = written(PROMPT)
    stop = tuple({int(plain[0, 1]), int(plain[1, 2])})
    stopped = written(PROMPT, stop=stop)
    for before, after in zip(plain, stopped, strict=True):
        end = next((i for i, token in enumerate(before) if token in stop), LENGTH)
        same(after[: end + 1], before[: end + 1])
        assert (after[end + 1 :] == before[min(end, LENGTH - 1)]).all()
    assert (stopped != plain).any()


@pytest.mark.full
def test_one_stop_token_stands_alone_and_those_of_the_prompt_do_not_count():
    plain = written(PROMPT[:1])
    last = int(plain[0, 0])
    prompt = np.full((1, T), last, np.int32)
    plain = written(prompt)
    unused = next(token for token in range(V) if token not in plain)
    same(written(prompt, stop=unused), plain)
    same(written(prompt, stop=np.int64(plain[0, 0])), np.full((1, LENGTH), plain[0, 0]))
    if last not in plain:
        same(written(prompt, stop=[last]), plain)


# ---- other models, and inside programs


@pytest.mark.full
def test_an_objective_gives_the_logits_of_a_loss_with_a_head():
    model = fnn.Serial(fnn.Embedding(V, 4), fnn.LSTM(6))
    objective = fnn.Objective(model, fnn.LinearCrossEntropy(V))
    params, state = made(objective.model)
    tokens = np.asarray(fnn.generate(objective, params, state, PROMPT, length=3, temperature=0))
    whole = np.concatenate((PROMPT, tokens), 1)
    hidden, kernel = compiled.apply(objective.model, params, state, whole)[0]
    same(tokens, np.asarray(hidden @ kernel).argmax(-1)[:, T - 1 : -1].astype(np.int32))


@pytest.mark.full
def test_it_runs_inside_jit_and_vmap():
    model = MODELS["small"]
    params, state = made(model)

    @jax.jit
    def many(params: Any, prompt: Any, lengths: Any, keys: Any, temperatures: Any) -> Any:
        def one(key: Any, temperature: Any) -> Any:
            options = {"length": LENGTH, "key": key, "temperature": temperature, "top_k": jnp.int32(4)}
            return fnn.generate(model, params, state, (prompt, lengths), **options)

        return jax.vmap(one)(keys, temperatures)

    keys, temperatures = jax.random.split(KEY, 3), np.array([0.5, 3.0, 0.0])
    found = many(params, PROMPT, LENGTHS, keys, temperatures)
    for each, key, temperature in zip(found, keys, temperatures, strict=True):
        alone = written((PROMPT, LENGTHS), key=key, temperature=float(temperature), top_k=4)
        same(each, alone)


def test_what_cannot_be_decided_inside_a_program_is_no_token():
    model = MODELS["small"]
    params, state = made(model)

    @jax.jit
    def inside(prompt: Any, lengths: Any, temperature: Any, top_k: Any, top_p: Any) -> Any:
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return fnn.generate(model, params, state, (prompt, lengths), length=2, key=KEY, **options)

    sound = np.asarray(inside(PROMPT, LENGTHS, 1.0, 2, 0.5))
    assert (sound >= 0).all()
    other = PROMPT.copy()
    other[0, 2] = V  # past its table; behind the end of the second row it is padding
    other[1, 3] = V
    found = np.asarray(inside(other, LENGTHS, 1.0, 2, 0.5))
    same(found, np.concatenate((np.full((1, 2), -1, np.int32), sound[1:])))
    found = np.asarray(inside(PROMPT, np.array([0, 5, 2], np.int32), 1.0, 2, 0.5))
    same(found, np.concatenate((np.full((2, 2), -1, np.int32), sound[2:])))
    for options in ((-1.0, 2, 0.5), (1.0, 0, 0.5), (1.0, 2, 0.0), (1.0, 2, 1.5), (np.nan, 2, 0.5), (np.inf, 2, 0.5)):
        assert (np.asarray(inside(PROMPT, LENGTHS, *options)) == -1).all(), options


def test_state_is_only_read_and_a_batch_norm_without_statistics_is_refused():
    params, state = made(MODELS["LSTM"])
    fresh = {"batch_norm_0": {**state["batch_norm_0"], "count": np.int32(0)}}
    with pytest.raises(ValueError, match="the batch norm at batch_norm_0 has no statistics yet"):
        fnn.generate(MODELS["LSTM"], params, fresh, PROMPT, length=1, temperature=0)


# ---- errors


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
