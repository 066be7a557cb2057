"""Cheap compilation, for tests and tools: most of their time goes into compiling, and few depend on how it is done."""

import itertools
import os
import threading
from typing import Any

import jax
import jaxlib.version
from jax._src.interpreters import mlir
from jaxlib.mlir import ir

import fnn.platform.xla

USERS_OPTIONS = None if fnn.platform.xla.affected(jaxlib.version.__version__) else {"xla_cpu_use_fusion_emitters": True}
"""``compiler_options`` of a program whose kernels are to be written as users have them, with ``users_compilation``."""


def compile_cheaply() -> None:
    """XLA without its costly passes from now on; to be called before JAX computes anything.

    ``FNN_USERS_COMPILATION=1`` leaves everything as users have it.

    Before 0.10 jaxlib can also write its kernels in an older way, which takes half the time. XLA reads that flag when
    the backend starts; the environment is then put back, so that what a test starts runs as users run it.
    """
    if os.environ.get("FNN_USERS_COMPILATION", "0") not in ("", "0"):
        return
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_traceback_in_locations_limit", 0)  # where an operation was written: 5 % of tracing
    if not hasattr(mlir, "_thread_local_context"):
        mlir.make_ir_context = ReusedContexts(mlir.make_ir_context)
    before = os.environ.get("XLA_FLAGS")
    # What does not start with a dash names a file of flags.
    if not fnn.platform.xla.affected(jaxlib.version.__version__) and (before or "-").startswith("-"):
        os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {before or ''}".rstrip()
    jax.devices()
    os.environ.pop("XLA_FLAGS", None)
    if before is not None:
        os.environ["XLA_FLAGS"] = before


class ReusedContexts(threading.local):
    """MLIR contexts used for many programs each, as JAX does itself from 0.12 on.

    One takes 8 ms to make, a sixth of the time of the tests; what it interns it keeps until it is given up. A program
    that is compiled while another one is being lowered gets a context of its own: in that of the other one its copy,
    from which the key of JAX's cache on disk is made, would become part of the other program.
    """

    def __init__(self, make: Any, times: int = 20) -> None:
        self.make = make
        self.contexts = (context for _ in itertools.count() for context in itertools.repeat(make(), times))

    def __call__(self) -> Any:
        try:
            _ = ir.Context.current
        except ValueError:  # there is none
            return next(self.contexts)
        return self.make()
