#!/usr/bin/env bash
# optax 0.2.8, jax 0.9.2, numpy 2.4.6, CPU, Python 3.11 or newer.
#
# The first rectified steps of optax.radam in float32 are off by 1 %, and those after 30 steps by 0.1 %: the length
# of the running mean, ρ = ρ∞ − 2 t bᵗ / (1 − bᵗ), is the difference of two numbers near 2,000 (at b = 0.999), of which
# (ρ − 4)(ρ − 2) is taken where ρ is about 5. 1 − bᵗ by itself has lost three of seven digits before. In float64 the
# same steps are right. The reference is the formula of the paper in Python's floats.
#
# Seen (step: relative error in float32, in float64):
#   5: 3e-07 0e+00
#   6: 1e-02 1e-11
#   7: 9e-03 0e+00
#   30: 9e-04 3e-13
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "optax==0.2.8" "jax==0.9.2" "numpy==2.4.6"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np
import optax

RATE, B1, B2, EPS = 0.01, 0.9, 0.999, 1e-8
grads = np.random.default_rng(0).standard_normal(30).astype(np.float32)


def expected():
    m = v = 0.0
    for t, g in enumerate(grads.astype(float), 1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        limit = 2 / (1 - B2) - 1
        length = limit - 2 * t * B2**t / (1 - B2**t)
        step = -RATE * m / (1 - B1**t)
        if length >= 5:
            r = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)) ** 0.5
            step *= r / ((v / (1 - B2**t)) ** 0.5 + EPS)
        yield step


def found(dtype):
    optimizer = optax.radam(RATE, B1, B2, EPS)
    w = jnp.zeros((), dtype)
    state = optimizer.init(w)
    for g in grads:
        update, state = optimizer.update(jnp.asarray(g, dtype), state, w)
        yield float(update)


right = list(expected())
narrow = list(found("float32"))
jax.config.update("jax_enable_x64", True)
wide = list(found("float64"))
off = {t: [abs(steps[t - 1] / right[t - 1] - 1) for steps in (narrow, wide)] for t in (5, 6, 7, 30)}
for t, errors in off.items():
    print(f"{t}:", *(f"{error:.0e}" for error in errors))
if max(errors[1] for errors in off.values()) > 1e-9 or off[5][0] > 1e-6 or off[6][0] < 1e-3 or off[30][0] < 1e-4:
    raise SystemExit("changed: optax.radam in float32 is no longer off at its first rectified steps")
PY
