#!/usr/bin/env bash
# jax 0.9.2, numpy 2.4.6, CPU, Python 3.11 or newer.
#
# The derivative of jnp.abs at exactly 0 is 1 by reverse and by forward mode, though jnp.sign(0) is 0, the slope with
# which a penalty of absolute values (L1) is usually written. So jax.grad of sum(abs(w)) pushes a weight that is exactly
# 0 away from it, and a mean absolute error pulls on a prediction that is right. Negative zero gives 1 too.
#
# Seen:
#   grad of abs at -1, -0, 0, 1: [-1.0, 1.0, 1.0, 1.0]
#   sign:                        [-1.0, -0.0, 0.0, 1.0]
#   jvp of abs at 0: 1.0
#   one step of sgd(0.1) on |w| from w = 0: -0.1
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "jax==0.9.2" "numpy==2.4.6"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp

points = jnp.array([-1.0, -0.0, 0.0, 1.0])
slopes = jax.grad(lambda w: jnp.abs(w).sum())(points).tolist()
forward = float(jax.jvp(jnp.abs, (jnp.float32(0),), (jnp.float32(1),))[1])
step = float(0 - 0.1 * jax.grad(jnp.abs)(0.0))
print("grad of abs at -1, -0, 0, 1:", slopes)
print("sign:                       ", jnp.sign(points).tolist())
print("jvp of abs at 0:", forward)
print("one step of sgd(0.1) on |w| from w = 0:", round(step, 6))
if slopes != [-1.0, 1.0, 1.0, 1.0] or forward != 1.0 or jnp.sign(points).tolist() != [-1.0, 0.0, 0.0, 1.0]:
    raise SystemExit("changed: the derivative of abs at 0 is no longer 1")
PY
