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
from tests.generation.writing import KEY, LENGTH, LENGTHS, MODELS, PROMPT, T, V, made, written

pytestmark = pytest.mark.usefixtures("strict_numerics")

named = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "small" else pytest.mark.full) for name in MODELS]
)


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
