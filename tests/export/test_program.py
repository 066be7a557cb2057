"""Exported programs: what they compute, in any number of samples and without the model, and what is refused."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import fnn
import fnn.export
from tests import compiled
from tests.cases import LAYERS, QUICK, LayerCase
from tests.comparing import close
from tests.compiled import shape_of

KEY = jax.random.key(0)
MODEL = fnn.Serial(fnn.Dense(3), fnn.Tanh())


def written(model: fnn.Layer, x: Any, path: Path, **options: Any) -> tuple[Any, Any]:
    params, state = compiled.init(model, KEY, x)
    fnn.export.jax(model, params, state, x, path, **options)
    return params, state


NETWORKS = {
    "images": (
        fnn.Serial(fnn.Conv(3, 3), fnn.GroupNorm(1), fnn.MaxPool(2), fnn.Dropout(0.5), fnn.Flatten(), fnn.Dense(2)),
        lambda n: np.random.default_rng(n).standard_normal((n, 4, 4, 2)).astype(np.float32),
    ),
    "words": (
        fnn.Serial(fnn.Embedding(5, 4), fnn.Repeat(fnn.TransformerBlock(2, 8, causal=True), 2), fnn.Dense(5)),
        lambda n: np.random.default_rng(n).integers(0, 5, (n, 6)).astype(np.int32),
    ),
    "sequences with lengths": (
        fnn.Serial(fnn.Bidirectional(fnn.GRU(3)), fnn.GlobalAvgPool()),
        lambda n: (
            np.random.default_rng(n).standard_normal((n, 5, 2)).astype(np.float32),
            np.arange(n, dtype=np.int32) % 5 + 1,
        ),
    ),
}


@pytest.mark.parametrize(
    "name", ["images", *(pytest.param(each, marks=pytest.mark.full) for each in list(NETWORKS)[1:])]
)
def test_a_program_computes_what_the_model_does_for_any_number_of_samples(name: str, tmp_path: Path):
    model, drawn = NETWORKS[name]
    params, state = written(model, drawn(2), tmp_path / "program")
    program = fnn.export.load(tmp_path / "program")
    for n in (1, 5):
        close(program(drawn(n)), compiled.apply(model, params, state, drawn(n))[0], rtol=1e-5, atol=1e-6)
    assert program.platforms == (jax.export.default_export_platform(),)
    assert (program.inputs.startswith("(float32[b"), program.jax_version) == (name[0] == "s", jax.__version__)


@pytest.mark.full
@pytest.mark.usefixtures("strict_numerics")
def test_every_layer_can_be_written_with_a_free_batch_axis(tmp_path: Path):
    """Programs that are traced and written only: compiling is left to the networks above."""
    for case in LAYERS:
        if case.name not in QUICK or case.name == "dense on one vector":  # which is no batch
            continue
        params, state = untrained(case)
        fnn.export.jax(case.layer, params, state, case.input(), tmp_path / "program")
        assert "[b" in fnn.read_metadata(tmp_path / "program")["program"]["inputs"]


def untrained(case: LayerCase) -> tuple[Any, Any]:
    """Parameters and state of a row without compiling anything; counts are one, as after a step."""
    key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    made = jax.eval_shape(case.layer.init, KEY, case.input())
    params, state = jax.tree.map(lambda leaf: KEY if key(leaf) else np.ones(leaf.shape, leaf.dtype), made)
    return params, state


@pytest.mark.full
def test_a_process_without_the_model_runs_it(tmp_path: Path):
    @dataclasses.dataclass(frozen=True)
    class OfThisTestAlone(fnn.Layer):
        def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
            return x * x + 1, state

    written(fnn.Serial(OfThisTestAlone()), shape_of(2, 3, dtype=np.float32), tmp_path / "program")
    code = f"""
import fnn.export, numpy
print(fnn.export.load({str(tmp_path / "program")!r})(numpy.array([[1.0, 2.0, 3.0]])).tolist())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[[2.0, 5.0, 10.0]]\n"


def test_the_arrays_are_readable_by_path(tmp_path: Path):
    params, _ = written(MODEL, np.ones((2, 4), np.float32), tmp_path / "program")
    found = load_file(tmp_path / "program")
    assert sorted(found) == ["params/dense_0/bias", "params/dense_0/kernel", "program"]
    np.testing.assert_array_equal(found["params/dense_0/kernel"], params["dense_0"]["kernel"])
    like = {"params": params}
    np.testing.assert_array_equal(
        fnn.load(tmp_path / "program", like, ignore="*")["params"]["dense_0"]["bias"], params["dense_0"]["bias"]
    )


def test_what_it_takes_is_checked(tmp_path: Path):
    written(MODEL, np.ones((2, 4), np.float32), tmp_path / "program")
    program = fnn.export.load(tmp_path / "program")
    assert program(np.ones((3, 4))).shape == (3, 3)  # NumPy's float64 as everywhere without x64
    for wrong in (np.ones((3, 5)), np.ones(4), np.ones((1, 1, 4))):
        with pytest.raises(ValueError, match=r"^the program takes float32\[b,4\], got float32\["):
            program(wrong)
    with pytest.raises(ValueError, match=r"got float32\[0,4\]; the number of samples is at least 1"):
        program(np.ones((0, 4)))
    for wrong in (np.ones((3, 4), int), (np.ones((3, 4)),), None):
        with pytest.raises(TypeError, match=r"^the program takes float32\[b,4\], got "):
            program(wrong)


def test_parameters_in_float64_of_numpy_are_written_as_the_model_computes(tmp_path: Path):
    x = np.ones((2, 4), np.float32)
    params, state = compiled.init(MODEL, KEY, x)
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    fnn.export.jax(MODEL, wide, state, x, tmp_path / "program")
    close(fnn.export.load(tmp_path / "program")(x), compiled.apply(MODEL, params, state, x)[0], rtol=1e-6)


def test_samples_of_different_numbers_are_refused(tmp_path: Path):
    x = (np.ones((2, 3, 4), np.float32), np.ones(2, np.int32))
    written(fnn.GlobalAvgPool(), x, tmp_path / "program")
    with pytest.raises(ValueError, match=r"takes \(float32\[b,3,4\], int32\[b\]\), got \(float32\[5,3,4\], int32\[4\]"):
        fnn.export.load(tmp_path / "program")((np.ones((5, 3, 4)), np.ones(4, int)))


def test_a_program_in_float64_asks_for_it(tmp_path: Path):
    with jax.enable_x64(True):
        written(MODEL, np.ones((2, 4)), tmp_path / "program")
        assert fnn.export.load(tmp_path / "program")(np.ones((1, 4))).dtype == np.float64
    with pytest.raises((TypeError, ValueError), match="x64"):
        fnn.export.load(tmp_path / "program")(np.ones((1, 4)))


def test_a_layer_that_needs_the_number_of_samples_gets_it(tmp_path: Path):
    model, x = fnn.Lambda(lambda x: x.reshape(len(x), -1)), np.ones((2, 2, 2), np.float32)
    with pytest.raises(TypeError, match="_DimExpr") as raised:
        written(model, x, tmp_path / "program")
    assert any("batch_size=… fixes it" in note for note in raised.value.__notes__)
    written(model, x, tmp_path / "program", batch_size=3)
    program = fnn.export.load(tmp_path / "program")
    assert program(np.ones((3, 2, 2))).shape == (3, 4)
    with pytest.raises(ValueError, match=r"takes float32\[3,2,2\], got float32\[2,2,2\]"):
        program(x)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (
            (np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)),
            {},
            ValueError,
            r"inputs have one leading axis of samples, got \(float32\[2,4\], float32\[3,4\]\); what is not of samples",
        ),
        (np.float32(1), {}, ValueError, r"inputs have a leading axis of samples, got float32\[\]"),
        (np.ones((2, 4), np.float32), {"batch_size": 0}, ValueError, "batch_size is at least 1, got 0"),
        (np.ones((2, 4), np.float32), {"platforms": "cpu"}, TypeError, r"several names, such as \['cpu', 'cuda'\]"),
        (np.ones((2, 4), np.float32), {"platforms": ["gpu"]}, ValueError, "among cpu, cuda, rocm, tpu, got 'gpu'"),
    ],
)
def test_what_cannot_be_written_is_refused(x: Any, options: dict, error: type[Exception], message: str, tmp_path: Path):
    with pytest.raises(error, match=message):
        fnn.export.jax(fnn.Tanh(), {}, {}, x, tmp_path / "program", **options)
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_none_and_statistics_that_are_missing_are_refused(tmp_path: Path):
    x = np.ones((2, 4), np.float32)
    with pytest.raises(TypeError, match=r"takes a model of fnn first, got .*; did you mean Tanh"):
        fnn.export.jax(fnn.Tanh, {}, {}, x, tmp_path / "program")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="params is a nested dict of arrays"):
        fnn.export.jax(MODEL, [], {}, x, tmp_path / "program")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a parameter 'kernel'") as raised:
        fnn.export.jax(MODEL, {"dense_0": {}}, {}, x, tmp_path / "program")
    assert raised.value.__notes__[0].startswith("in dense_0: Dense(features=3), applied to float32[b,4]")
    params, state = compiled.init(fnn.BatchNorm(), KEY, x)
    with pytest.raises(ValueError, match="has no statistics yet"):
        fnn.export.jax(fnn.BatchNorm(), params, state, x, tmp_path / "program")


def test_files_that_are_no_programs_of_this_machine_are_refused(tmp_path: Path):
    path = tmp_path / "program"
    fnn.save(path, {"a": np.ones(2)})
    with pytest.raises(ValueError, match=r"holds no program: write one with fnn\.export\.jax"):
        fnn.export.load(path)
    fnn.save(path, {"a": np.ones(2)}, {"program": {"platforms": 3}})
    with pytest.raises(ValueError, match="describes its program in another way"):
        fnn.export.load(path)
    elsewhere = "tpu" if jax.default_backend() != "tpu" else "cpu"
    written(MODEL, np.ones((2, 4), np.float32), path, platforms=[elsewhere])
    with pytest.raises(
        ValueError, match=rf"was exported for {elsewhere} and .* export it with platforms=\['{elsewhere}'"
    ):
        fnn.export.load(path)
    written(MODEL, np.ones((2, 4), np.float32), path)
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ValueError, match="checksum"):
        fnn.export.load(path)


def test_a_program_that_jax_cannot_read_names_the_version_that_wrote_it(tmp_path: Path):
    params, _ = written(MODEL, np.ones((2, 4), np.float32), tmp_path / "program")
    notes = fnn.read_metadata(tmp_path / "program")
    notes["program"]["jax"] = "99.0"
    tree = {"params": params, "state": {}, "program": np.zeros(9, np.uint8)}
    fnn.save(tmp_path / "program", tree, notes)
    with pytest.raises(ValueError, match=r"was written by JAX 99.0, and JAX .* cannot read its program"):
        fnn.export.load(tmp_path / "program")
