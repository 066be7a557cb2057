#!/usr/bin/env bash
# jax 0.9.2, numpy 2.4.6, CPU, Python 3.11 or newer.
#
# Compiling the draw of a random matrix takes XLA on a CPU far longer than compiling the draw of the same numbers in one
# row with a reshape behind it, and under vmap longer still, though the numbers are bit for bit the same and 640 of them
# are nothing to compute. One would guess that the shape of the result does not matter to a counter-based generator. So
# a model with many small kernels spends seconds on compiling its initialisation.
#
# Seen (processor seconds to compile, the shape (64, 10), four keys under vmap):
#   alone: as a matrix 1.39, in a row 0.25
#   vmap:  as a matrix 3.92, in a row 0.36
# With jax 0.12.0.1 on Python 3.13: alone 0.49 and 0.15, vmap 1.48 and 0.21.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "jax==0.9.2" "numpy==2.4.6"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import time

import jax


def matrix(key):
    return jax.random.normal(key, (64, 10))


def row(key):
    return jax.random.normal(key, (640,)).reshape(64, 10)


def compiled(draw, keys):
    lowered = jax.jit(draw).lower(keys)
    began = time.process_time()
    program = lowered.compile()
    return time.process_time() - began, program(keys)


one, four = jax.random.key(0), jax.random.split(jax.random.key(0), 4)
compiled(lambda key: jax.random.uniform(key, (3,)), one)  # what the first compilation of a process sets up
ratios = []
for name, keys, wrap in (("alone", one, lambda draw: draw), ("vmap", four, jax.vmap)):
    (slow, first), (fast, second) = (compiled(wrap(draw), keys) for draw in (matrix, row))
    if not (first == second).all():
        raise SystemExit("changed: the numbers differ")
    print(f"{name}: as a matrix {slow:.2f} s, in a row {fast:.2f} s")
    ratios.append(slow / fast)
if min(ratios) < 2:
    raise SystemExit("changed: the matrix compiles about as fast as the row")
PY
