#!/usr/bin/env bash
# jax 0.9.2, numpy 2.4.6, CPU, Python 3.11 or newer.
#
# jax.grad of tanh(x) · x², whose slope at large −x is −2x, loses digits as −x grows and is exactly 0 from about 1e8 on,
# though the value and its slope are far inside float32 and forward mode has them right. For positive x it is right.
#
# By reading the derivative rule: the slope of tanh is written g · (1 + y) · (1 − y) with g + g · y as its first factor.
# Forward, at y = −1, that is g − g = 0. Transposed, each of the two terms is added to the cotangent of x by itself, and
# x² is so much larger than 2x that what stands beside them is absorbed before they cancel.
#
# Seen (x, reverse, forward, −2x; float32):
#   -1000000.0 1966080.0 2000000.0 2000000.0
#   -100000000.0 0.0 200000000.0 200000000.0
#   100000000.0 200000000.0 200000000.0 200000000.0
# jax 0.12.0.1 gives the right slope in all of them.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "jax==0.9.2" "numpy==2.4.6"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp


def f(x):
    return jnp.tanh(x) * x * x


rows = []
for x in (-1e6, -1e8, 1e8):
    row = [x, float(jax.grad(f)(x)), float(jax.jvp(f, (x,), (1.0,))[1]), 2 * abs(x)]
    print(*row)
    rows.append(row)
right = all(abs(forward / slope - 1) < 1e-6 for _, _, forward, slope in rows)
if not right or rows[0][1] / rows[0][3] > 0.99 or rows[1][1] != 0 or rows[2][1] != rows[2][3]:
    raise SystemExit("changed: reverse mode beside tanh is no longer absorbed at large negative x")
PY
