"""Kernels and vectors of PyTorch, as they are or inside a weight norm or a spectral norm."""

from collections.abc import Sequence

import numpy as np

from fnn.interop.pieces import Arrays, Piece, Shape, turned, unchanged
from fnn.interop.places import Place
from fnn.layer import wide_dtype


def kernel_pieces(
    place: Place, leaf: str, split: Sequence[int], axes: Sequence[int], shape: Shape, note: str, features_axis: int = 0
) -> tuple[Piece, ...]:
    """The kernel ``leaf`` as ``weight``, or what a norm of the weight keeps in its place.

    Weight norm has the lengths g beside the directions v; spectral norm the two vectors of the power iteration, of
    which fnn keeps u and computes v. ``features_axis`` is the axis of the output features in PyTorch's ``shape``.
    """
    path = place.leaves[leaf][0]
    if f"{leaf}_scale" in place.leaves:
        lengths = tuple(size if axis == features_axis else 1 for axis, size in enumerate(shape))
        scale_path, scale_shape = place.leaves[f"{leaf}_scale"]
        scale = unchanged(scale_path, "weight_g", scale_shape, lengths, "the length g")
        return scale, turned(path, "weight_v", split, axes, shape, f"the direction v, {note}")
    kernel = turned(path, "weight", split, axes, shape, note)
    if f"{leaf}_u" in place.leaves:
        return (_power_iterated(kernel, place.leaves[f"{leaf}_u"][0], shape, features_axis),)
    return (kernel,)


def linear(place: Place) -> tuple[Piece, ...]:
    """The pieces of ``nn.Linear``; its rows and columns channels first where axes were merged."""
    _, (inputs, features) = place.leaves["kernel"]
    rows, columns = place.rows or inputs, place.columns or features
    split = (inputs // rows, rows, features // columns, columns)
    turns = [f"rows from {rows} channels first"] * bool(place.rows) + [f"columns from {columns} channels first"] * bool(
        place.columns
    )
    note = ", ".join(["transposed", *turns])
    return *kernel_pieces(place, "kernel", split, (3, 2, 1, 0), (features, inputs), note), *bias(place)


def bias(place: Place) -> tuple[Piece, ...]:
    """The bias, if there is one."""
    return (vector(place, "bias", "bias", place.columns),) if "bias" in place.leaves else ()


def _power_iterated(kernel: Piece, vector: str, shape: Shape, features_axis: int) -> Piece:
    features, size = shape[features_axis], int(np.prod(shape))
    keys = {"weight_orig": shape, "weight_u": (features,), "weight_v": (size // features,)}

    def load(arrays: Arrays) -> Arrays:
        return (*kernel.load(arrays[:1]), arrays[1])

    def store(leaves: Arrays) -> Arrays:
        (weight,) = kernel.store(leaves[:1])
        matrix = np.moveaxis(weight, features_axis, 0).reshape(features, -1).astype(wide_dtype(weight.dtype))
        v = matrix.T @ leaves[1].astype(matrix.dtype)
        length = np.linalg.norm(v)
        return weight, leaves[1], v / length if length else v

    return Piece(keys, (*kernel.leaves, vector), load, store, f"{kernel.note}; u as it is, v = W u / ‖W u‖ computed")


def vector(place: Place, leaf: str, key: str, channels: int, note: str = "") -> Piece:
    """One number a feature; channels first where axes were merged."""
    path, (size,) = place.leaves[leaf]
    if not channels:
        return unchanged(path, key, (size,), note=note)
    words = ", ".join(filter(None, (note, f"from {channels} channels first")))
    return turned(path, key, (size // channels, channels), (1, 0), (size,), words)
