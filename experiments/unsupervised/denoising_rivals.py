"""Noisy digits, and what filters and linear maps make of them."""

import numpy as np
from scipy import ndimage

LEVELS = 0.0, 0.1, 0.2, 0.3, 0.4, 0.6
"""The standard deviations of the noise."""

WIDTHS, MEDIANS = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0), (2, 3)
"""The filters: standard deviations of Gaussians, and sides of medians, in pixels."""


def drawn(clean: np.ndarray, x: np.ndarray, seed: int) -> np.ndarray:
    """Noisy copies (kinds, levels, N, pixels) of the clean images; of the training images x it uses the mean square."""
    random = np.random.default_rng(seed)
    normal, chosen, white = random.standard_normal(clean.shape), random.random(clean.shape), random.random(clean.shape)
    square = (np.square(x).mean() + np.square(1 - x).mean()) / 2  # of the change, if every pixel is replaced
    gaussian = [clean + level * normal for level in LEVELS]
    spiky = [np.where(chosen < level**2 / square, white < 0.5, clean) for level in LEVELS]
    return np.array([gaussian, spiky], np.float32)


def filters(noisy: np.ndarray) -> dict[str, np.ndarray]:
    """What each filter makes of the images (…, pixels), by its name."""
    images, found = noisy.reshape(-1, 8, 8), {}
    for width in WIDTHS:
        found[f"Gaussian filter {width:g}"] = ndimage.gaussian_filter(images, (0, width, width))
    for side in MEDIANS:
        found[f"median of {side} × {side}"] = ndimage.median_filter(images, (1, side, side))
    return {name: each.reshape(noisy.shape) for name, each in found.items()}


def linear(noisy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What the best linear maps for the training images x and each level make of the images (…, levels, N, pixels)."""
    mean, covariance = x.mean(0, dtype=np.float64), np.cov(x.T, bias=True)
    noise = np.array(LEVELS)[:, None, None] ** 2 * np.eye(len(mean))
    # Pixels that are always blank have no variance: the pseudo-inverse leaves them at their mean without noise, too.
    return mean + (noisy - mean) @ (np.linalg.pinv(covariance + noise, hermitian=True) @ covariance)


def error(images: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """The mean squared difference of images (…, N, pixels) from the clean ones."""
    return np.square(images - clean, dtype=np.float64).mean((-2, -1))
