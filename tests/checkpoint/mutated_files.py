"""Loads mutated checkpoints, thousands in one process, and prints as JSON what came of them.

    python mutated_files.py files FOLDER SEED COUNT    small files, mutated at random
    python mutated_files.py large FOLDER MEGABYTES     a large file, whole and mutated: the memory that a load takes

A file must be refused with an error that names it, or give exactly the tree that was saved. While it is loaded nothing
may be executed, compiled or imported, no other file opened, and no more memory taken than 1.5 times the file, SPARE,
and HEADER times its header, which is a small part of a file unless somebody made it grow.
"""

import collections
import gc
import json
import os
import resource
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checkpoint.file import PartialLoad, load, read_metadata, save
from fnn.checkpoint.tensor_file import CODES, HEADER_LIMIT
from tests.checkpoint.mutations import MUTATIONS, dumped, forged, parts

SPARE = 1 << (19 if sys.version_info < (3, 12) else 20)
"""Bytes that a load may take whatever the size of the file: its buffers, and lists nested to the interpreter's limit.

That limit is 1,000 levels before Python 3.12 and about 10,000 since.
"""

HEADER = 8
"""Bytes that a load may take for each byte of the header, as Python objects."""

EXPECTED = (ValueError, TypeError, OSError)
FORBIDDEN = {"exec", "compile", "import", "marshal.loads", "pickle.find_class", "ctypes.dlopen", "os.system"}


def bases() -> list[tuple[Any, dict]]:
    """Trees, each with its metadata. No two leaves of one tree are of the same shape: none can pass for another."""
    generator = np.random.default_rng(0)

    def array(dtype: Any, *shape: int) -> np.ndarray:
        if dtype == np.bool_:
            return generator.integers(0, 2, shape).astype(np.bool_)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return generator.integers(0, 256, size, dtype=np.uint8).view(dtype).reshape(shape)

    return [
        ({"dense_0": {"kernel": array(np.float32, 3, 4), "bias": array(np.float32, 4)}, "step": 3}, {"epoch": 7}),
        ({dtype.name: array(dtype, n + 1) for n, dtype in enumerate(CODES)}, {"loss": float("nan"), "é": "☃"}),
        ({"eight": array(jnp.float8_e4m3fn, 5), "other": array(jnp.float8_e5m2, 2, 3), "é/\"☃": array(np.int8, 1)}, {}),
        ({"empty": np.zeros((0, 3)), "none": np.zeros((2, 0), np.int8), "flag": True, "rate": 0.5}, {"a": [{"b": 2}]}),
        ([array(np.bool_, 9), array(np.float64, 20, 25), array(np.uint8, 33)], {"text": "x" * 300}),
        ({"key": jax.random.key(1), "count": array(np.int64, 7)}, {}),
    ]  # fmt: skip


def bits(leaf: Any) -> tuple:
    if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return type(leaf), array.dtype, array.shape, array.tobytes()


def same(first: Any, second: Any) -> bool:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(bits(a) == bits(b) for a, b in pairs)


class Watch:
    """Notes what the interpreter does that loading a file has no need of."""

    def __init__(self, path: Path):
        self.path, self.on, self.seen = str(path), False, []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        if self.on and (event in FORBIDDEN or event.startswith(("subprocess", "os.exec", "os.spawn", "socket"))):
            self.seen.append(event)
        if self.on and event == "open" and str(arguments[0]) != self.path:
            self.seen.append(f"open {arguments[0]}")


def outcome(path: Path, tree: Any, strict: bool) -> str:
    """What came of a load; raises if it is not as promised."""
    zeros = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.zeros_like(leaf), tree)
    like = jax.tree.map(lambda leaf, zero: type(leaf)(zero) if np.isscalar(leaf) else zero, tree, zeros)
    try:
        restored = load(path, like, strict=strict)
    except EXPECTED as error:
        if str(path) not in str(error):
            raise AssertionError(f"the error does not name the file: {error!r}") from error
        kind = str(error).replace(str(path), "").removeprefix("checkpoint ").strip()
        return f"{type(error).__name__}: {kind[:36].split(':')[-1].split('(')[0].strip()}"
    if strict:
        if not same(restored, tree):
            raise AssertionError("another tree was loaded")
        return "the original tree"
    for new, old, given in zip(*map(jax.tree.leaves, (restored, tree, like)), strict=True):
        if bits(new) != bits(old) and new is not given:
            raise AssertionError("another leaf was loaded")
    return "the original leaves or those of like"


def files(folder: Path, seed: int, count: int) -> dict:
    path, random = folder / f"mutated_{seed}.safetensors", np.random.default_rng(seed)
    trees, contents = [], []
    for tree, metadata in bases():
        trees.append(tree)
        contents.append(save(path, tree, metadata).read_bytes())
        if outcome(path, tree, strict=True) != "the original tree":  # and what is imported late is imported now
            raise AssertionError("the file as it was saved is refused")
        outcome(path, tree, strict=False)
    watch, faults, most = Watch(path), [], 0.0
    outcomes, mutations = collections.Counter(), collections.Counter()
    gc.collect()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for number in range(count):
        which = int(random.integers(len(trees) - 1)) if random.integers(20) else len(trees) - 1
        mutation = MUTATIONS[random.integers(len(MUTATIONS))]
        content = mutation(random, contents[which])
        mutations[mutation.__name__] += 1
        if content == contents[which]:
            outcomes["not altered"] += 1
            continue
        path.write_bytes(content)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        watch.on = True
        try:
            result = outcome(path, trees[which], strict=bool(number % 4))
            if result.startswith("the original") and not mutation.__name__.startswith("forged"):
                raise AssertionError("accepted although the checksum was not made to fit")
            outcomes[result] += 1
        except Exception as error:
            faults.append(f"{number} {mutation.__name__} of {which}: {error!r}")
            (folder / f"fault_{seed}_{number}").write_bytes(content)
        watch.on = False
        allowed = 1.5 * len(content) + HEADER * header_size(content)
        taken = tracemalloc.get_traced_memory()[1] - before - allowed
        most = max(most, taken)
        if taken > SPARE:
            faults.append(f"{number} {mutation.__name__} of {which}: {taken} bytes beyond {allowed}")
    tracemalloc.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    faults += [f"while a file was loaded: {event}" for event in watch.seen]
    return {
        "outcomes": outcomes, "mutations": mutations, "faults": faults, "bytes beyond": int(most),
        "KiB that the process grew": grown,
    }  # fmt: skip


def header_size(content: bytes) -> int:
    """That which is read as JSON."""
    size = int.from_bytes(content[:8], "little")
    return size if 8 + size <= min(len(content), HEADER_LIMIT) else 0


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def large(folder: Path, megabytes: int) -> dict:
    """Peak memory of the process, as the system counts it, beyond what it was before; in sizes of the file."""
    path, arrays = folder / "large.safetensors", 8
    like = {f"layer_{n}": np.broadcast_to(np.float32(0), (megabytes * 2**17 // arrays, 2)) for n in range(arrays)}
    tree = {name: np.full(leaf.shape, n, np.float32) for n, (name, leaf) in enumerate(like.items())}

    def ratio(work: Callable[[], Any]) -> float:
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
        result = work()
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        del result
        return round((peak - before) / path.stat().st_size, 3)

    ratios = {"save": ratio(lambda: save(path, tree, {"note": "x"}))}
    tree.clear()
    ratios["load"] = ratio(lambda: load(path, like))
    shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in like.items()}
    jax.block_until_ready(jnp.ones(3))
    ratios["load into JAX"] = ratio(lambda: jax.block_until_ready(load(path, shapes)))
    ratios["read_metadata"] = ratio(lambda: read_metadata(path))
    header, data = parts(path.read_bytes())
    size = len(data)

    def refused(strict: bool = True) -> None:
        try:
            load(path, like, strict=strict)
        except ValueError as error:
            if str(path) not in str(error):
                raise
        else:
            raise AssertionError("a mutated file was accepted")

    names = json.loads(header)
    names["layer_0"]["shape"] = [2**40, 2]
    swapped = json.loads(header)
    swapped["layer_0"]["data_offsets"], swapped["layer_1"]["data_offsets"] = (
        swapped["layer_1"]["data_offsets"], swapped["layer_0"]["data_offsets"],
    )  # fmt: skip
    deep = header.rstrip()[:-1] + b',"deep":' + b"[" * 10**5 + b"]" * 10**5 + b"}"
    mutated = {
        "bit flipped at the end": lambda: path.write_bytes(forged(header, data)[:-1] + bytes([data[-1] ^ 1])),
        "bit flipped in the header": lambda: path.write_bytes(forged(header, data).replace(b"layer_1", b"layer_0", 1)),
        "truncated": lambda: path.write_bytes(forged(header, data)[: size // 2]),
        "truncated, forged": lambda: path.write_bytes(forged(header, data[: size // 2])),
        "shape forged": lambda: path.write_bytes(forged(dumped(names), data)),
        "offsets forged": lambda: path.write_bytes(forged(dumped(swapped), data)),
        "nesting forged": lambda: path.write_bytes(forged(deep, data)),
        "length forged": lambda: path.write_bytes(forged(header, data, len(header) + size)),
    }
    for name, write in mutated.items():
        write()
        gc.collect()
        ratios[name] = ratio(refused)
    return ratios


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", PartialLoad)
    way, folder, *numbers = sys.argv[1:]
    limit = 4 << 30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    os.environ["JAX_PLATFORMS"] = "cpu"
    print(json.dumps({"files": files, "large": large}[way](Path(folder), *map(int, numbers))))
