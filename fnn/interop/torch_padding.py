"""The padding of convolutions and pools of PyTorch, and whether fnn's is the same for every size of image."""

from collections.abc import Iterator
from typing import Any

from fnn.layers import ConvTranspose

Pads = tuple[tuple[int, int], ...]


def pair_of(value: Any, rank: int) -> tuple[int, ...]:
    """One integer for each axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def padding(layer: Any, module: Any, rank: int) -> Iterator[tuple[str, str, str]]:
    """What differs in the padding of a convolution: what fnn has, what PyTorch has, what to write instead."""
    kind = type(layer).__name__
    extents = _extents(pair_of(module.kernel_size, rank), pair_of(module.dilation, rank))
    strides = pair_of(module.stride, rank)
    theirs = their_pads(module, extents)
    if getattr(layer, "output_size", None) is not None or layer.padding == "CAUSAL":
        return  # the one is checked as it runs; the other is a padding and a cut in PyTorch
    ours = our_pads(layer, extents, strides)
    if ours != theirs:
        words = f"padding={module.padding!r}"
        if any(pair_of(getattr(module, "output_padding", 0), rank)):
            words += f" and output_padding={tuple(module.output_padding)}"
        yield f"{kind} has padding={layer.padding!r}", words, f"write {kind}(…, padding={written(theirs)})"


def their_pads(module: Any, extents: tuple[int, ...]) -> Pads:
    """Before and after, for each axis; of a transposed convolution, what is cut off there."""
    given = module.padding
    if given == "same":
        return tuple(((extent - 1) // 2, extent // 2) for extent in extents)
    each = (0,) * len(extents) if given == "valid" else pair_of(given, len(extents))
    more = pair_of(getattr(module, "output_padding", 0), len(extents))
    return tuple((pad, pad - extra) for pad, extra in zip(each, more, strict=True))


def our_pads(layer: Any, extents: tuple[int, ...], strides: tuple[int, ...]) -> Pads | None:
    """The same of fnn; ``None`` if it depends on the size of the image."""
    given = layer.padding
    if given == "SAME":
        if isinstance(layer, ConvTranspose):
            totals = [max(extent - stride, 0) for extent, stride in zip(extents, strides, strict=True)]
        elif any(stride > 1 and extent > 1 for stride, extent in zip(strides, extents, strict=True)):
            return None
        else:
            totals = [extent - 1 for extent in extents]
        return tuple((total // 2, total - total // 2) for total in totals)
    each = (0,) * len(extents) if given == "VALID" else given if isinstance(given, tuple) else (given,) * len(extents)
    return tuple(pad if isinstance(pad, tuple) else (pad, pad) for pad in each)


def written(pads: Pads) -> str:
    """The padding as one writes it.

    >>> written(((1, 1), (1, 1))), written(((1, 1), (2, 2))), written(((1, 0), (1, 0)))
    ('1', '(1, 2)', '((1, 0), (1, 0))')
    """
    if any(low != high for low, high in pads):
        return repr(pads)
    lows = tuple(low for low, _ in pads)
    return str(lows[0]) if len(set(lows)) == 1 else repr(lows)


def _extents(window: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((size - 1) * step + 1 for size, step in zip(window, dilation, strict=True))
