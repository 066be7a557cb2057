"""What a trained model writes after a prompt."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.backprop import check_children
from fnn.errors import describe, instance_hint, integer_array, is_concrete, positive
from fnn.generation.sampling import NO_TOKEN, Sampling
from fnn.guards.options import one_key
from fnn.guards.ranges import NOT_NEGATIVE, Range, in_range, is_number
from fnn.layer import Layer, Params, State
from fnn.objective import Objective
from fnn.sequences.lengths import checked_lengths
from fnn.takes_logits import TWICE, last_layer
from fnn.train.checks import check_indices, check_statistics
from fnn.train.compiled import compiled_tokens

PART = Range("a number in (0, 1]", lambda value: (value > 0) & (value <= 1))


def generate(
    model: Layer | Objective,
    params: Params,
    state: State,
    prompt: Any,
    *,
    length: int,
    key: jax.Array | None = None,
    temperature: Any = 1.0,
    top_k: Any = None,
    top_p: Any = None,
    stop: int | Iterable[int] | None = None,
) -> jax.Array:
    """The ``length`` tokens that a model writes after each prompt: int32 (N, length), without the prompt.

    ``prompt`` is integers (N, T), or ``(prompt, lengths)`` for rows of different lengths, padded at their ends, with at
    least one token each. The model makes logits (N, T, V) of tokens, or (N, V) of their last step; it runs one step
    after another with a cache, in inference, which gives what its full pass gives, to rounding. It is causal: what
    looks at later steps raises and says so (fnn/sequences/stepwise.py). State is only read. Each row gets the tokens
    that it would get alone in that place of the batch.

    A token is drawn from softmax(logits / ``temperature``), cut to the ``top_k`` most likely and then to the fewest
    that have the probability ``top_p`` together (fnn/generation/sampling.py); with ``temperature=0`` it is the most
    likely one, which needs no ``key``. After a ``stop`` token, one or several, the rest of the row is that token.

    Prompt and continuation are one compiled program, one scan; a later call with an equal model, shapes, ``length``
    and ``stop`` compiles nothing, whatever the key and the numbers are; ``fnn.clear_compiled()`` releases it. Inside
    ``jit`` and ``vmap`` all arrays and numbers may be traced, but for ``length`` and ``stop``; what would raise for a
    known value gives −1 there: a length outside [1, T], a number out of range, logits that are not finite, as those of
    a token past its table. An ``Objective`` in the place of the model gives the logits of a loss with a head.

    Errors: ``ValueError`` for sampling without a key or behind a softmax, a layer that cannot run over single steps,
    more than its ``PositionalEmbedding`` has positions for, numbers out of range and logits that are not finite;
    ``TypeError`` for tokens that are not integers.

    >>> import fnn
    >>> model = fnn.Serial(fnn.Embedding(5, 8), fnn.LSTM(8), fnn.Dense(5))
    >>> prompt, lengths = jnp.array([[3, 1, 4], [2, 0, 0]]), jnp.array([3, 1])
    >>> params, state = model.init(jax.random.key(0), prompt)
    >>> options = {"length": 4, "temperature": 0.8, "top_p": 0.9, "stop": 0}
    >>> fnn.generate(model, params, state, (prompt, lengths), key=jax.random.key(1), **options).shape
    (2, 4)
    >>> likeliest = fnn.generate(model, params, state, prompt[:1], length=1, temperature=0)
    >>> bool(likeliest[0, 0] == model.apply(params, state, prompt[:1])[0][0, -1].argmax())
    True
    """
    positive("length", length)
    layer = model.model if isinstance(model, Objective) else model
    if not isinstance(layer, Layer):
        raise TypeError(f"generate takes a model, which is a layer, got {model!r}{instance_hint(model)}")
    check_children("params", params, [""])
    check_statistics(layer, state)
    tokens, lengths = _checked_prompt(prompt)
    how = _checked_sampling(layer, temperature, top_k, top_p)
    if how is None:
        key = None
    elif key is None:
        raise ValueError(
            "drawing tokens needs a key: generate(…, key=jax.random.key(0)); with temperature=0 the most likely ones"
            " need none"
        )
    else:
        one_key(key)
    program = compiled_tokens(model).tokens
    found = program(params, state, tokens, lengths, key, how, length=length, stop=_checked_stop(stop))
    if is_concrete(found) and (np.asarray(found) == NO_TOKEN).any():
        _explain(layer, params, state, (tokens, lengths), np.asarray(found))
    return found


def _checked_prompt(prompt: Any) -> tuple[jax.Array, jax.Array]:
    """The tokens (N, T) as int32, and the lengths (N,)."""
    given, lengths = prompt if type(prompt) is tuple and len(prompt) == 2 else (prompt, None)
    tokens = integer_array(given, "the tokens of a prompt")
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(
            f"a prompt is tokens (N, T), N rows of at least one token, got {describe(tokens)}; a single row is"
            f" prompt[None]"
        )
    rows, size = tokens.shape
    lengths = jnp.full(rows, size, jnp.int32) if lengths is None else checked_lengths(lengths, rows, size)
    if is_concrete(lengths):
        if not np.asarray(lengths).all():
            raise ValueError(
                f"a prompt has at least one token, from which the model goes on, got the lengths {lengths.tolist()}"
            )
        if is_concrete(tokens):
            within = np.asarray(tokens)[np.arange(size)[None] < np.asarray(lengths)[:, None]]
            if within.min() < 0 or within.max() > np.iinfo(np.int32).max:
                raise ValueError(
                    f"tokens are at least 0 and fit into 32 bits, got values from {within.min()} to {within.max()}"
                )
    return tokens.astype(jnp.int32), lengths


def _checked_sampling(layer: Layer, temperature: Any, top_k: Any, top_p: Any) -> Sampling | None:
    """The options as arrays, so that other numbers need no other program; ``None`` for the most likely tokens."""
    temperature = in_range("temperature", _one("temperature", temperature), NOT_NEGATIVE)
    if top_k is not None:
        top_k = _one("top_k", top_k)
        if is_concrete(top_k):
            positive("top_k", top_k)
            top_k = min(top_k, np.iinfo(np.int32).max)
        elif not jnp.issubdtype(top_k.dtype, jnp.integer):
            raise TypeError(f"top_k is an integer, got the traced {describe(top_k)}")
        top_k = jnp.asarray(top_k, jnp.int32)
    if top_p is not None:
        top_p = jnp.asarray(in_range("top_p", _one("top_p", top_p), PART), jnp.zeros(()).dtype)
    if is_number(temperature) and temperature == 0:
        return None
    path, last = last_layer(layer)
    if isinstance(last, TWICE["softmax"]):
        place = f"ends in {path}: {last!r}" if path else f"is {last!r}"
        raise ValueError(f"generate draws from logits, but the model {place}; leave that layer out of the model")
    return Sampling(jnp.asarray(temperature, jnp.zeros(()).dtype), top_k, top_p)


def _one(name: str, value: Any) -> Any:
    """One number, Python's if its value is known; raises for several."""
    if np.ndim(value):
        raise ValueError(f"{name} is one number, got {describe(value)}; map over several with jax.vmap")
    return value.item() if hasattr(value, "dtype") and is_concrete(value) else value


def _checked_stop(stop: Any) -> tuple[int, ...]:
    if hasattr(stop, "shape") and is_concrete(stop):
        stop = np.asarray(stop).reshape(-1)
    tokens = () if stop is None else tuple(stop) if isinstance(stop, Iterable) else (stop,)
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int | np.integer):
            raise TypeError(f"stop is a token or several, Python integers, got {stop!r}")
        if token < 0:
            raise ValueError(f"tokens are at least 0, got stop={stop!r}")
    return tuple(int(token) for token in tokens)


def _explain(layer: Layer, params: Params, state: State, prompt: tuple, found: np.ndarray) -> None:
    """Raises for tokens that could not be decided: for a token of the prompt past its table, if that is why."""
    if layer.why_no_step() is None:
        check_indices(layer, params, state, prompt, "prompt")
    row = int((found == NO_TOKEN).any(1).argmax())
    raise ValueError(
        f"the logits for new token {int((found[row] == NO_TOKEN).argmax())} of row {row} are not finite: the parameters"
        f" are not, or the model wrote a token that its Embedding has no vector for"
    )
