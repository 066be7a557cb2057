"""What the guard of xla.py costs here: a few computations, timed with its flag and without it.

XLA reads its flags once in a process, so that each way has a process of its own: ``python -m fnn.platform.cost`` prints
the milliseconds of one way as JSON, and ``costs`` runs both. Without the flag, results may be wrong; only their time
is looked at.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.platform import xla
from fnn.platform.probes import normal

REPETITIONS = 9
LIMIT = 120
"""Seconds for one process."""


class Cost(NamedTuple):
    """Medians in milliseconds."""

    workload: str
    with_flag: float
    without_flag: float


def costs() -> tuple[Cost, ...]:
    """Each workload with the flag and without it, in two new processes on the CPU.

    Raises ``RuntimeError`` if one of them fails.
    """
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag != xla.SETTING]
    without = in_new_process({"XLA_FLAGS": " ".join(flags), xla.SWITCH: "1"})
    guarded = in_new_process({"XLA_FLAGS": " ".join([*flags, xla.SETTING])})
    return tuple(Cost(name, guarded[name], without[name]) for name in WORKLOADS)


def in_new_process(environment: dict[str, str]) -> dict[str, float]:
    """The milliseconds of each workload in a process with these variables."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-m", "fnn.platform.cost"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise RuntimeError(str(said).strip().splitlines()[-1]) from error


def batch_norm(x: jax.Array, dy: jax.Array) -> Any:
    """Batch norm over all axes but the last, as it is written in textbooks, and its gradient by ``jax.vjp``."""

    def normalise(x: jax.Array) -> jax.Array:
        centred = x - jnp.mean(x, (0, 1, 2), keepdims=True)
        return centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), (0, 1, 2), keepdims=True) + 1e-5)

    y, vjp = jax.vjp(normalise, x)
    return y, vjp(dy)


def softmax(x: jax.Array, dy: jax.Array) -> Any:
    """Softmax over the last axis, and its gradient by ``jax.vjp``."""
    y, vjp = jax.vjp(jax.nn.softmax, x)
    return y, vjp(dy)


WORKLOADS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "batch norm as in textbooks, 64×28×28×32": (batch_norm, (64, 28, 28, 32), (64, 28, 28, 32)),
    "softmax, 4096×512": (softmax, (4096, 512), (4096, 512)),
    "product of matrices, 512×512×512": (jnp.matmul, (512, 512), (512, 512)),
}


def milliseconds(operation: Callable[..., Any], *operands: Any) -> float:
    """The median time of the compiled operation."""
    compiled, times = jax.jit(operation), []
    jax.block_until_ready(compiled(*operands))
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*operands))
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Times every workload and prints the milliseconds by name as JSON."""
    times = {
        name: milliseconds(operation, *(jnp.asarray(normal(0, *shape)) for shape in shapes))
        for name, (operation, *shapes) in WORKLOADS.items()
    }
    print(json.dumps(times))


if __name__ == "__main__":
    main()
