"""What all tests share: cheap compilation, the quick and the full proof, and strict numerics.

This folder and those of ``STRICT`` run in float64 with strict promotion. The others run at JAX's own settings, as
programs do, and ask for strict numerics by name where they want them: ``pytest.mark.usefixtures("strict_numerics")``.
"""

import gc
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from tests.compilation import compile_cheaply

pytest_plugins = ("tests.drawing", "tests.folders", "tests.generated.summary")

HERE = Path(__file__).parent
STRICT = frozenset({".", "describe", "guards", "metrics", "platform", "sequences", "testing"})


# ---- compilation


compile_cheaply()


@pytest.fixture
def users_compilation() -> Iterator[None]:
    """XLA with all its passes, for tests of what it makes of a program: its memory, its loops, its bits.

    A function that was compiled before stays as it is: JAX does not know a program by this setting. On jaxlib before
    0.10 kernels are still written in the older way: ``USERS_OPTIONS`` change that too, and ``FNN_USERS_COMPILATION=1``
    for a whole run.
    """
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True)
def _bounded_caches() -> Iterator[None]:
    """Forgets the compiled programs when there are many: they fill the memory, and forgetting them costs seconds.

    A program takes several of the 65,530 maps of memory that Linux grants a process; without any left, XLA aborts.
    """
    yield
    if many_programs(next(FINISHED)):
        jax.clear_caches()


FINISHED = itertools.count()
MAPS = Path("/proc/self/maps")


def many_programs(finished: int) -> bool:
    """Whether there are more than 20,000 maps; where the system does not tell, after every thousand tests."""
    if not MAPS.exists():
        return finished % 1000 == 999
    return finished % 50 == 49 and MAPS.read_bytes().count(b"\n") > 20_000


# ---- garbage collection


def pytest_collection_finish() -> None:
    """What importing and collecting made stays: the collector need not walk over it, nor over the rest so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


# ---- numerics


@pytest.fixture
def strict_numerics() -> Iterator[None]:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(autouse=True)
def _strict_here(request: pytest.FixtureRequest) -> None:
    if request.path.parent.relative_to(HERE).as_posix() in STRICT:
        request.getfixturevalue("strict_numerics")


# ---- the quick and the full proof

LEFT_OUT: Counter[str] = Counter()
"""How many tests of the full proof the quick one leaves out, by folder."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test is part of the full proof, and of the quick one unless it is marked ``full`` or needs PyTorch."""
    for item in items:
        if item.get_closest_marker("generated") or item.get_closest_marker("slow"):
            continue
        if not item.get_closest_marker("full") and not item.path.stem.endswith("_torch"):
            item.add_marker("quick")
        item.add_marker("full")


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("full") and not item.get_closest_marker("quick"):
            LEFT_OUT[item.path.relative_to(HERE).parts[0].removeprefix("test_").removesuffix(".py")] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist
        output["left_out"] = dict(LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    LEFT_OUT.update({} if LEFT_OUT else getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if LEFT_OUT and config.option.markexpr == "quick" and not config.option.keyword:
        folders = ", ".join(f"{name} {count}" for name, count in LEFT_OUT.most_common())
        terminalreporter.write_line(
            f"This was the quick proof. Tests left to `pytest -m full -n 2`: {LEFT_OUT.total():,} ({folders})."
        )
