"""Folders in memory, for tests that write thousands of files, and for what has been compiled."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


def folder_in_memory() -> tempfile.TemporaryDirectory:
    """On a disk, where the system offers no other, each file written over or synced is waited for."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    with folder_in_memory() as name:
        yield Path(name)


@pytest.fixture(scope="session")
def compilations() -> Iterator[Path]:
    with folder_in_memory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def compiled_once(compilations: Path) -> Iterator[None]:
    """Programs that another module has compiled are read (and still counted as compiled by who counts)."""
    settings = {
        "jax_compilation_cache_dir": str(compilations),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
