"""Layers on arrays that are sharded over devices along any axis: the results are the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import jax, numpy as np, fnn
from jax.sharding import AxisType, NamedSharding, PartitionSpec
def spread(value, *axes):
    return jax.device_put(value, NamedSharding(mesh, PartitionSpec(*axes)))

mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Explicit,))
draw = np.random.default_rng(0)
x, dy = (draw.standard_normal((2, 4, 6), np.float32) for _ in range(2))
for layer in (fnn.Gelu(), fnn.LayerNorm(), fnn.RMSNorm(), fnn.Softmax(), fnn.LogSoftmax(), fnn.TrainableSwish()):
    params, state = layer.init(jax.random.key(0), x)

    @jax.jit
    def run(params, x, dy):
        y, _, cache = layer.forward(params, state, x)
        return y, layer.backward(cache, dy)

    alone = run(params, x, dy)
    # The first entry of every set, from which LayerNorm sums, cannot be sliced out of sharded features.
    last = () if isinstance(layer, fnn.LayerNorm) else ((None, None, "d"),)
    for axes in (("d",), (None, "d"), *last):
        with jax.set_mesh(mesh):
            sharded = run(params, spread(x, *axes), spread(dy, *axes))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), alone, sharded)

dense = fnn.Dense(6)
params, _ = dense.init(jax.random.key(0), x)
back = jax.jit(lambda x, dy: dense.backward({"x": x, "kernel": params["kernel"]}, dy))
# Where both are sharded alike, JAX asks where the kernel's gradient is to be.
for axes, other in (((None, "d"), ()), ((), (None, "d"))):
    with jax.set_mesh(mesh):
        sharded = back(spread(x, *axes), spread(dy, *other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), back(x, dy), sharded)
print("the same")
"""


@pytest.mark.full
def test_layers_on_a_sharded_axis_are_those_on_one_device():
    """Where all leading axes were merged into one, JAX refused the reshape."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip().endswith("the same"), run.stderr[-2000:]
