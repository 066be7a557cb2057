"""How the runs of a sweep are laid out: over devices, in chunks one after the other, side by side in a chunk."""

import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax

from fnn.errors import positive

Arrangement = Literal["auto", "vmap", "map"]

SHARE = 0.5
"""How much of the free memory of a device a sweep takes by itself."""


class Layout(NamedTuple):
    """``runs`` over ``devices`` (empty: where JAX computes by default), on each ``chunks`` × ``parallel`` of them.

    >>> print(Layout(10, (), chunks=3, parallel=4))
    10 runs in 3 chunks of 4 side by side
    """

    runs: int
    devices: tuple[Any, ...]
    chunks: int
    parallel: int

    @property
    def places(self) -> int:
        """The runs that the program makes: those that fill the last places are the last run again."""
        return max(1, len(self.devices)) * self.chunks * self.parallel

    def __str__(self) -> str:
        words = f"{self.runs} run{'s' * (self.runs > 1)}"
        several = len(self.devices) > 1
        if several:
            words += f" over {len(self.devices)} devices,"
        if self.parallel == 1:
            return words if self.chunks == 1 else f"{words} one after the other"
        if self.chunks > 1:
            return f"{words} in {self.chunks} chunks of {self.parallel} side by side"
        return f"{words} {self.parallel} side by side" if several else f"{words} side by side"


def layout_of(
    runs: int,
    *,
    method: Arrangement,
    kernels: bool,
    run_bytes: int,
    result_bytes: int,
    max_parallel: int | None,
    devices: Sequence[Any] | None,
) -> Layout:
    """The layout of so many runs.

    ``kernels``: whether side by side their convolutions would have a kernel each; ``run_bytes``: what one run needs
    while it runs; ``result_bytes``: what it leaves.
    """
    if method not in ("auto", "vmap", "map"):
        raise ValueError(f"method is 'auto', 'vmap' or 'map', got {method!r}")
    if max_parallel is not None:
        positive("max_parallel", max_parallel)
    if devices is not None and (isinstance(devices, str) or not isinstance(devices, Sequence)):
        raise TypeError(f"devices is a list, as jax.devices() returns one, got {devices!r}")
    if devices is not None and not all(hasattr(device, "platform") for device in devices):
        raise TypeError(f"devices holds devices, as jax.devices() returns them, got {devices!r}")
    if devices is not None and not len(devices):
        raise ValueError("devices is empty; a sweep needs at least one")
    used = tuple(devices) if devices is not None else _default_devices()
    device = used[0]
    a_device = -(-runs // len(used))
    if method == "auto":
        method = "map" if kernels and device.platform == "cpu" else "vmap"
    if method == "map":
        most = 1
    elif max_parallel is not None:
        most = max_parallel
    else:
        room = free_bytes(device)
        left = None if room is None else SHARE * room - a_device * result_bytes
        most = a_device if left is None else max(1, int(left // max(1, run_bytes)))
    chunks = -(-a_device // most)
    if devices is None and len(used) == 1:
        used = ()
    return Layout(runs, used[: -(-runs // a_device)], chunks, -(-a_device // chunks))


def _default_devices() -> tuple[Any, ...]:
    """All devices of this process, or the one that the caller has made JAX's default."""
    chosen = jax.config.jax_default_device  # pyright: ignore
    if isinstance(chosen, jax.Device):
        return (chosen,)
    return tuple(jax.local_devices(backend=chosen))


def free_bytes(device: Any) -> int | None:
    """The memory that a device can still give, for a CPU its share of all memory; ``None`` where that is not known."""
    found = device.memory_stats() or {}
    if "bytes_limit" in found:
        return found["bytes_limit"] - found.get("bytes_in_use", 0)
    if device.platform == "cpu" and hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // len(jax.local_devices(backend="cpu"))
    return None
