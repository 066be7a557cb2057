"""Digests cover all bytes of an array, whatever its layout in memory."""

import jax.numpy as jnp
import numpy as np
import pytest

from fnn.canonical.digest import array_digest


def digests(array):
    return {array_digest(array), array_digest(array.copy()), array_digest(np.asfortranarray(array))}


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (5, 4, 3)])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, jnp.bfloat16, complex])
def test_digests_are_of_the_numbers(shape, dtype, monkeypatch):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    (whole,) = digests(array)
    monkeypatch.setattr("fnn.canonical.digest.CHUNK", 16)
    assert digests(array) == {whole}
    assert {array_digest(jnp.asarray(array))} == {whole} or dtype is complex


def test_an_array_on_several_devices_is_read_piece_by_piece(monkeypatch):
    class Elsewhere:
        platform = "gpu"

    array = jnp.arange(100.0)
    before = array_digest(array)
    monkeypatch.setattr("fnn.canonical.digest.CHUNK", 96)
    monkeypatch.setattr(type(array), "devices", lambda self: {Elsewhere()})
    assert array_digest(array) == before


def test_a_large_mapped_file_is_sampled_with_both_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("fnn.canonical.digest.WHOLE", 1000)
    monkeypatch.setattr("fnn.canonical.digest.SAMPLED", 3)
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=(5_000_000,))
    found = set()
    for place in (None, 0, -1, 2_500_000):
        mapped[:] = 0
        if place is not None:
            mapped[place] = 1
        found.add(array_digest(mapped))
    assert len(found) == 4
