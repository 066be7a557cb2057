"""Rotation, translation, zoom and shear: one affine map about the centre of the image, and one resampling."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.augment.augmentation import Augmentation
from fnn.augment.border import Fill, check_fill
from fnn.augment.resample import resample
from fnn.augment.strength import FACTOR, LEAN, NOT_NEGATIVE, SHARE, interval, is_known, keep_strengths
from fnn.guards.ranges import nan_where_any
from fnn.layer import named_key, wide_dtype


class Motion(NamedTuple):
    """The random draw for one image: angles in degrees, a factor, and an offset (2,) in pixels (down, to the right)."""

    degrees: jax.Array
    zoom: jax.Array
    shear: jax.Array
    offset: jax.Array

    def inverse(self) -> jax.Array:
        """The matrix (2, 2) that inverts the map of ``Affine``, without its offset: A = Z⁻¹ S⁻¹ R⁻¹."""
        angle = jnp.deg2rad(self.degrees)
        cos, sin, lean = jnp.cos(angle), jnp.sin(angle), jnp.tan(jnp.deg2rad(self.shear))
        turn_back = jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])
        lean_back = jnp.stack([jnp.ones_like(lean), jnp.zeros_like(lean), lean, jnp.ones_like(lean)]).reshape(2, 2)
        return jnp.dot(lean_back, turn_back, precision="highest") / self.zoom


@dataclasses.dataclass(frozen=True)
class Affine(Augmentation):
    """Zooms, shears, rotates and translates every image at random, with one bilinear resampling.

    A point p of the image, in (row, column) from the centre, is moved to

        q = R S Z p + t        Z = z · 1                                 z ~ U(zoom), above 1 enlarges
                               S = [[1, 0], [−tan φ, 1]]                 φ ~ U(−shear, shear), slants like italics
                               R = [[cos θ, −sin θ], [sin θ, cos θ]]     θ ~ U(−degrees, degrees), counterclockwise
                               t = (a H, b W)                            a, b ~ U(−translate, translate)

    and an output pixel q samples the image at p = Z⁻¹ S⁻¹ R⁻¹ (q − t): see ``fnn/augment/resample.py``. Outside the
    image is ``fill``, a number or ``"edge"``. ``Rotate``, ``Translate``, ``Zoom`` and ``Shear`` are this map with a
    single strength, and draw the same random numbers.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept

    The defaults (angles and translation 0, zoom (1, 1)) do nothing.

    Errors: ``ValueError`` for a strength out of range (degrees at least 0, translate in [0, 1], zoom above 0 and in
    order, shear in [0, 90)), ``TypeError`` if not a number.

    >>> image = jnp.arange(9.0).reshape(1, 3, 3, 1)
    >>> Affine(degrees=10, zoom=(0.9, 1.1))(jax.random.key(0), image)[0, :, :, 0].round(1)
    Array([[0. , 0.8, 1.6],
           [3. , 4. , 4.3],
           [4.9, 6.5, 6.4]], dtype=float32)
    """

    _: dataclasses.KW_ONLY
    degrees: float = 0.0
    translate: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        keep_strengths(self, degrees=NOT_NEGATIVE, translate=SHARE, shear=LEAN)
        if not isinstance(self.zoom, tuple | list) or len(self.zoom) != 2:
            raise TypeError(f"zoom is an interval (low, high), got {self.zoom!r}")
        object.__setattr__(self, "zoom", interval("zoom", *self.zoom, FACTOR))
        check_fill(self.fill)

    @property
    def does_nothing(self) -> bool:
        return (
            is_known(self.degrees, 0)
            and is_known(self.translate, 0)
            and is_known(self.shear, 0)
            and all(is_known(end, 1) for end in self.zoom)
        )

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> Motion:
        """The random motion of an image of this shape (H, W, C)."""

        def uniform(name: str, low: Any, high: Any, shape: tuple[int, ...] = ()) -> jax.Array:
            share = jax.random.uniform(named_key(key, name), shape, np.float32).astype(dtype)
            low, high = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
            return low + share * (high - low)

        sizes = jnp.array(shape[:2], dtype)
        return Motion(
            degrees=uniform("degrees", -self.degrees, self.degrees),
            zoom=uniform("zoom", *self.zoom),
            shear=uniform("shear", -self.shear, self.shear),
            offset=sizes * uniform("translate", -self.translate, self.translate, (2,)),
        )

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        motion = self.draw(key, image.shape, wide_dtype(image.dtype))
        moved = resample(image, motion.inverse(), motion.offset, self.fill)
        return nan_where_any([self.degrees, self.translate, self.shear, *self.zoom], moved)
