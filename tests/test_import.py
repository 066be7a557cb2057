"""``import fnn`` imports JAX, NumPy and parts of the standard library, and nothing that takes long."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

COUNT = """
import json, sys
import jax, numpy
before = set(sys.modules)
import fnn
top = lambda names: sorted({name.partition(".")[0] for name in names})
print(json.dumps([top(sys.modules), top(set(sys.modules) - before)]))
"""

LONG = {
    *("IPython", "chex", "hypothesis", "matplotlib", "optax", "pandas", "pytest", "rich", "safetensors", "sklearn"),
    *("tensorboard", "tensorboardX", "tensorflow", "torch", "tyro"),  # and scipy, but that JAX has it
}


def test_importing_fnn_imports_jax_numpy_and_the_standard_library():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    every, beyond_jax = map(set, json.loads(done.stdout))
    assert every.isdisjoint(LONG)
    assert beyond_jax - sys.stdlib_module_names - {"jax", "jaxlib"} == {"fnn"}
    # None of these is large; one that is new here may be.
    small = {"csv", "fractions", "mmap", "queue", "statistics", "tomllib", "unicodedata"}
    assert {name for name in beyond_jax & sys.stdlib_module_names if not name.startswith("_")} <= small
