"""The geometry shared by convolutions and pools: windows that slide over the spatial axes.

Along one axis, output o reads the padded input at o·stride + k·dilation for k = 0 … window − 1.
"""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import describe, positive
from fnn.sequences.lengths import widened

Padding = Literal["SAME", "VALID", "CAUSAL"] | int | tuple[int | tuple[int, int], ...]


class Windows(NamedTuple):
    """Windows over the spatial axes; every field has one entry per axis."""

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def out(self) -> tuple[int, ...]:
        """The output sizes: ⌊(size + pads − extent) / stride⌋ + 1, extent = (window − 1)·dilation + 1."""
        return tuple(
            (size + low + high - (window - 1) * dilation - 1) // stride + 1
            for size, window, stride, dilation, (low, high) in zip(*self, strict=True)
        )

    @property
    def places(self) -> Iterator[tuple[int, ...]]:
        """The positions of a window in row-major order."""
        return itertools.product(*map(range, self.window))

    @property
    def adjoint_pads(self) -> tuple[tuple[int, int], ...]:
        """The padding for which the transposed windows, over the dilated output, give the input's sizes.

        Input i is read by the outputs o with i = o·stride + k·dilation − low. So with the window reversed the padding
        in front is extent − 1 − low, and that behind makes up the input's size. Either may be negative.
        """
        return tuple(
            ((window - 1) * dilation - low, size + low - (out - 1) * stride - 1)
            for size, window, stride, dilation, (low, _), out in zip(*self, self.out, strict=True)
        )

    @property
    def kernel_pads(self) -> tuple[tuple[int, int], ...]:
        """The padding of the input for which the dilated output, as a kernel, fits in exactly ``window`` positions."""
        return tuple(
            (low, (out - 1) * stride + (window - 1) * dilation + 1 - size - low)
            for size, window, stride, dilation, (low, _), out in zip(*self, self.out, strict=True)
        )


def is_aligned(padding: Padding, strides: int | tuple[int, ...] | None) -> bool:
    """Whether appending steps to a sequence leaves its windows where they are.

    Not for "SAME" with strides: how far in front the windows begin depends on the number of steps.
    """
    return padding != "SAME" or all(each == 1 for each in (strides if isinstance(strides, tuple) else (strides,)))


def windows_within(lengths: jax.Array, w: Windows) -> jax.Array:
    """How many windows fit sequences of these lengths, without padding, along the one spatial axis.

    A length outside [0, T] gives a count outside the range of counts.
    """
    (low, high), (window,), (stride,), (dilation,) = w.pads[0], w.window, w.strides, w.dilation
    wide = jnp.asarray(widened(lengths))
    count = (wide + low + high - (window - 1) * dilation - 1) // stride + 1
    return jnp.where(wide > w.sizes[0], w.out[0] + 1, jnp.where(wide > 0, jnp.maximum(count, 0), wide))


def sizes(name: str, value: Any) -> int | tuple[int, ...]:
    """A size for all axes, or a tuple with one per axis, checked and hashable, as the field of a layer must be."""
    if isinstance(value, int):
        positive(name, value)
        return value
    if not isinstance(value, tuple | list):
        raise TypeError(f"{name} is an integer or a tuple with one per axis, got {value!r}")
    return per_axis(name, value, len(value))


def per_axis(name: str, value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One positive integer per axis; a single one is used for all."""
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank:
        raise ValueError(f"{name} has {len(values)} entries for {rank} spatial axes: {values}")
    for each in values:
        positive(name, each)
    return values


def warn_of_images(layer: Any, name: str, x: Any) -> None:
    """Warns if an integer ``name`` slides windows along one axis of what looks like images without channels.

    These are inputs (N, H, H) with H of at least 8, unless the padding is "CAUSAL", which only sequences have.
    """
    size, square = getattr(layer, name), x.ndim == 3 and x.shape[1] == x.shape[2] >= 8
    if square and isinstance(size, int) and size > 1 and layer.padding != "CAUSAL":
        warnings.warn(
            f"{layer!r} takes {describe(x)} for sequences and slides along one axis of {x.shape[1]} steps with"
            f" {x.shape[2]} channels; if these are images, add a channel axis with x[..., None]; if they are sequences,"
            f" write {name}=({size},)",
            stacklevel=1,  # always this line, so that a layer that is traced and then initialised warns once
        )


def check_padding(padding: Padding) -> None:
    """Raises ``ValueError`` if this is not a valid padding."""
    if isinstance(padding, str):
        if padding not in (known := ("SAME", "VALID", "CAUSAL")):
            meant = f"; did you mean {padding.upper()!r}?" if padding.upper() in known else ""
            raise ValueError(
                f"unknown padding {padding!r}: expected 'SAME', 'VALID', 'CAUSAL' or a pair (before, after) per axis"
                f"{meant}"
            )
        return
    pads = padding if isinstance(padding, tuple) else (padding,)
    for pad in pads:
        pair = pad if isinstance(pad, tuple) else (pad, pad)
        if len(pair) != 2 or not all(isinstance(p, int) and not isinstance(p, bool) and p >= 0 for p in pair):
            raise ValueError(f"padding is a pair (before, after) of integers of at least 0 per axis, got {padding!r}")


def windows(
    sizes: Sequence[int],
    window: int | Sequence[int],
    strides: int | Sequence[int],
    dilation: int | Sequence[int],
    padding: Padding,
) -> Windows:
    """Computes the padding and checks that at least one window fits along every axis.

    ``"SAME"`` makes ⌈size / stride⌉ outputs and puts an odd element of padding at the end; ``"CAUSAL"`` pads in front
    only, so that an output sees no later input; ``"VALID"`` does not pad.
    """
    rank, sizes = len(sizes), tuple(sizes)
    window = per_axis("the window", window, rank)
    strides = per_axis("strides", strides, rank)
    dilation = per_axis("dilation", dilation, rank)
    extents = _extents(window, dilation)
    if padding == "SAME":
        totals = (
            max((-(-size // stride) - 1) * stride + extent - size, 0)
            for size, stride, extent in zip(sizes, strides, extents, strict=True)
        )
        pads = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pads = _fixed_pads(extents, padding)
    result = Windows(sizes, window, strides, dilation, pads)
    if any(out < 1 for out in result.out):
        raise ValueError(
            f"a window of {'×'.join(map(str, extents))} does not fit into an image of {'×'.join(map(str, sizes))}"
            f" with padding {padding!r}"
        )
    return result


def adjoint_windows(
    out: Sequence[int],
    window: int | Sequence[int],
    strides: int | Sequence[int],
    dilation: int | Sequence[int],
    padding: Padding,
    sizes: int | Sequence[int] | None = None,
) -> Windows:
    """The windows over an image of these ``sizes`` whose outputs have the sizes ``out``.

    Along an axis there are ``stride`` such sizes: for ``"SAME"``, whose padding depends on the size, the largest is
    out·stride, for the others the smallest is (out − 1)·stride + extent − Σ pads. These are the defaults.
    """
    rank = len(out)
    window = per_axis("the window", window, rank)
    strides = per_axis("strides", strides, rank)
    dilation = per_axis("dilation", dilation, rank)
    if sizes is not None:
        return _over(out, windows(per_axis("output_size", sizes, rank), window, strides, dilation, padding), padding)
    if padding == "SAME":
        sizes = tuple(size * stride for size, stride in zip(out, strides, strict=True))
    else:
        extents = _extents(window, dilation)
        sizes = tuple(
            (size - 1) * stride + extent - sum(pad)
            for size, stride, extent, pad in zip(out, strides, extents, _fixed_pads(extents, padding), strict=True)
        )
    if any(size < 1 for size in sizes):
        raise ValueError(
            f"padding {padding!r} is too large: an input of {'×'.join(map(str, out))}"
            f" would give an output of {'×'.join(map(str, sizes))}"
        )
    return windows(sizes, window, strides, dilation, padding)


def _over(out: Sequence[int], result: Windows, padding: Padding) -> Windows:
    """Returns the windows; raises ``ValueError`` if their outputs do not have the sizes ``out``."""
    if result.out != tuple(out):
        smallest = adjoint_windows(out, *result[1:4], padding).sizes
        ranges = [
            range(size - stride + 1, size + 1) if padding == "SAME" else range(size, size + stride)
            for size, stride in zip(smallest, result.strides, strict=True)
        ]
        raise ValueError(
            f"output_size {result.sizes} would be convolved to {result.out}, not to the input's {tuple(out)}; expected"
            f" {' × '.join(f'{each[0]} to {each[-1]}' if len(each) > 1 else str(each[0]) for each in ranges)}"
        )
    return result


def _extents(window: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((w - 1) * d + 1 for w, d in zip(window, dilation, strict=True))


def _fixed_pads(extents: tuple[int, ...], padding: Padding) -> tuple[tuple[int, int], ...]:
    """The padding if it does not depend on the sizes: for all but ``"SAME"``."""
    if isinstance(padding, str):
        return tuple((extent - 1 if padding == "CAUSAL" else 0, 0) for extent in extents)
    each = padding if isinstance(padding, tuple) else (padding,) * len(extents)
    if len(each) != len(extents):
        raise ValueError(f"padding {padding!r} has {len(each)} entries for {len(extents)} spatial axes")
    return tuple(pad if isinstance(pad, tuple) else (pad, pad) for pad in each)


def views(x: jax.Array, w: Windows, fill: float) -> Iterator[jax.Array]:
    """The k-th element of every window, (N, *out, C), for each k in row-major order; ``fill`` in the padding."""
    padded = lax.pad(x, jnp.array(fill, x.dtype), [(0, 0, 0), *((*pad, 0) for pad in w.pads), (0, 0, 0)])
    for place in w.places:
        starts = tuple(k * dilation for k, dilation in zip(place, w.dilation, strict=True))
        ends = (low + (out - 1) * stride + 1 for low, out, stride in zip(starts, w.out, w.strides, strict=True))
        yield lax.slice(padded, (0, *starts, 0), (x.shape[0], *ends, x.shape[-1]), (1, *w.strides, 1))
