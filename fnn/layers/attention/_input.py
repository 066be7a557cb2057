"""The inputs of attention: x, (x, mask), (x, memory) or (x, memory, mask)."""

from typing import Any

import numpy as np

from fnn.errors import describe, is_floating


def attention_members(x: Any, num_heads: int) -> tuple[Any, Any, Any]:
    """x, the memory or None, the mask or None (arrays or shapes); raises unless they fit together."""
    members: list[Any] = list(x) if type(x) is tuple and len(x) > 1 else [x]
    typed = all(hasattr(each, "dtype") and hasattr(each, "shape") for each in members)
    mask = members.pop() if typed and len(members) > 1 and members[-1].dtype == np.bool_ else None
    if not typed or len(members) > 2 or not all(map(is_floating, members)):
        raise TypeError(
            f"expected x, (x, mask), (x, memory) or (x, memory, mask), x and memory floating, mask boolean"
            f" (True = may attend), got {describe(x)}"
        )
    x, memory = members[0], None if len(members) == 1 else members[1]
    if x.ndim != 3:
        raise ValueError(f"expected x (N, T, D), got the shape {tuple(x.shape)}")
    if memory is not None and (memory.ndim != 3 or memory.shape[0] != x.shape[0] or memory.dtype != x.dtype):
        raise ValueError(
            f"expected a memory (N, S, E) of the batch size and dtype of x, got {describe(memory)} for {describe(x)}"
        )
    if mask is not None:
        _check_mask(mask, x.shape[0], x.shape[1], (x if memory is None else memory).shape[1], num_heads)
    return x, memory, mask


def _check_mask(mask: Any, n: int, t: int, s: int, num_heads: int) -> None:
    expected = {2: ((n,), (s,)), 3: ((n,), (1, t), (s,)), 4: ((n,), (1, num_heads), (1, t), (s,))}
    sizes = expected.get(mask.ndim, ())
    if not sizes or any(size not in allowed for size, allowed in zip(mask.shape, sizes, strict=True)):
        raise ValueError(
            f"expected a mask (N, S), (N, T, S) or (N, heads, T, S) with N={n}, T={t}, S={s} and"
            f" {num_heads} heads, got the shape {tuple(mask.shape)}"
        )
