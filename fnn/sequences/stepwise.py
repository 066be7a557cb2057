"""A model that runs one time step after another, and remembers in a carry what the steps so far leave behind.

    c₀        =  layer.start(N, length=L, params=θ, state=s)       the carry of N sequences with no step yet
    y_t, c_t  =  layer.step(θ, c_(t−1), x_t, state=s)              t = 1 … L

    y_t = f(x₁ … x_t; θ, s)_t,  the last step of the full pass, in inference, over the steps so far

x_t (N, …) is one step of x (N, T, …), and y_t of y; if f removes the time axis (``return_sequences=False``), y_t is all
of its output. What the carry holds depends on the layer:

    each step alone       y_t = f(x_t): nothing, {}          Dense, Embedding, activations, norms over features, …
    recurrent             (h_t, …), the carry
    positions             t, which gives y_t = x_t + P[t] and the like
    causal attention      keys k₁ … k_t and values v₁ … v_t in arrays (N, L, …), and t
    causal convolution    the last (k − 1) · d inputs, zeros at first: those in front of the sequence
    combinator            those of its children under their names;  ``Repeat`` stacks them

A layer that says ``over_time = "each step"`` takes part by itself; if its y_t depends on t, it defines both methods.
Where y_t depends on later steps, ``why_no_step`` says so, and the layer raises with its path: attention that is not
causal, layers that reverse, windows and pools over time, whatever merges the steps.

All sequences of a batch begin together, and padding stands behind them. At step t each has then seen its own first t
steps and nothing else, as it would alone: one position, an integer, serves all, and no mask is needed. After its length
a sequence is given anything; its outputs are no longer read, and no other sequence sees them. (Padding in front would
need a position and a mask for every sequence, and a recurrent layer would have to stand still.)
"""

from typing import Any

import jax
import jax.numpy as jnp


class Stepwise:
    """The base of ``Layer`` that holds this form of it. A size, ``length`` or ``batch_size``, is a Python integer."""

    def start(self: Any, batch_size: int, *, length: int, params: Any, state: Any = None) -> Any:
        """The carry that ``batch_size`` sequences of at most ``length`` steps start from."""
        refuse_steps(self)
        return {}

    def step(self: Any, params: Any, carry: Any, x: Any, *, state: Any = None) -> tuple[Any, Any]:
        """The output of the next step x (N, …), in inference, and the new carry; state is only read."""
        refuse_steps(self)
        y, _ = self.apply(params, {} if state is None else state, jax.tree.map(as_sequence, x))
        return jax.tree.map(as_step, y), carry

    def why_no_step(self: Any) -> str | None:
        """Why the layer cannot run one step at a time; ``None`` if it can."""
        if self.over_time == "each step" or type(self).step is not Stepwise.step:
            return None
        if self.over_time is None:
            return (
                'it does not say how it treats them: if each alone, write over_time = "each step" in its class (an'
                " option of Lambda), else define start and step (fnn/sequences/stepwise.py)"
            )
        return "it mixes those of a sequence; if it is meant for each of them alone, put it in a TimeDistributed"


def refuse_steps(layer: Any) -> None:
    """Raises ``ValueError`` if the layer cannot run one step at a time."""
    why = layer.why_no_step()
    if why is not None:
        raise ValueError(f"{layer!r} cannot run over single steps: {why}")


def as_sequence(x: Any) -> jax.Array:
    """(N, …) → (N, 1, …), a sequence of one step."""
    return jnp.expand_dims(jnp.asarray(x), 1)


def as_step(y: jax.Array) -> jax.Array:
    """(N, 1, …) → (N, …)."""
    return y.squeeze(1)
