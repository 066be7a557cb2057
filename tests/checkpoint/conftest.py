"""A tree to save, and where."""

import jax.numpy as jnp
import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def tree():
    return {"dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.zeros(3, jnp.bfloat16)}, "step": 7}
