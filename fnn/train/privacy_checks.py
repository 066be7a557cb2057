"""What differentially private training refuses: every other way from the data to the parameters."""

from collections.abc import Sequence
from typing import Any

from fnn.losses.class_weight import Classification
from fnn.losses.loss import Loss
from fnn.metrics import Metric
from fnn.optim.declared import rules_of
from fnn.train.data import arrays, is_arrays, samples
from fnn.train.host_batches import is_mapped
from fnn.train.poisson import Poisson
from fnn.train.privacy import Privacy


def sampling_of(privacy: Any, data: Any, batch_size: int | None, steps_per_epoch: int | None) -> Poisson | None:
    """How ``fit`` draws its batches, ``None`` without privacy."""
    if privacy is None:
        return None
    if not is_arrays(data) or is_mapped(data) or steps_per_epoch is not None or batch_size is None:
        raise ValueError(
            "privacy draws every sample by itself: give arrays, not batches or memory-mapped files, and batch_size, the"
            " expected number of samples in a step; leave out steps_per_epoch"
        )
    return privacy.sampling(samples(arrays(data)), batch_size)


def check_privacy(
    privacy: Any, *, method: str = "manual", shuffle: bool = True, mixes: bool = False, monitor: str | None = None
) -> None:
    """Raises for settings that do not go with privacy."""
    if privacy is None:
        return
    if not isinstance(privacy, Privacy):
        raise TypeError(f"privacy is a Privacy(max_norm, noise_multiplier, delta), got {privacy!r}")
    if method != "manual":
        raise ValueError("privacy clips the gradient of every sample in the backward pass by hand; leave out method=")
    if not shuffle:
        raise ValueError("privacy draws its batches at random; leave out shuffle=False")
    if mixes:
        raise ValueError("privacy holds for single samples, and the augmentation mixes them")
    if monitor is not None:
        check_choice(privacy, "early stopping", monitor)


def check_choice(privacy: Any, what: str, monitor: str) -> None:
    """Raises if ``what`` chooses parameters by an entry of the history that the training data make without noise."""
    if privacy is not None and not monitor.startswith("validation_"):
        raise ValueError(
            f"{what} by {monitor!r} would choose by what the training data say without noise; monitor a validation"
            f" entry"
        )


def check_readers(privacy: Any, optimizer: Any, metrics: Sequence[Metric], loss: Loss) -> None:
    """Raises for an optimiser that reads more of the data than the gradient, a metric that counts padding, and class
    weights."""
    if privacy is None:
        return
    if isinstance(loss, Classification) and loss.class_weight is not None:
        raise ValueError(
            "privacy clips the gradient of every sample alone, in which its weight cancels, and the numbers of samples"
            " in the classes are not private; leave out class_weight"
        )
    if rules_of(optimizer):
        raise ValueError(
            f"{optimizer!r} reads more of the backward pass than the private gradient; train with privacy by an"
            f" optimiser that needs the gradient alone"
        )
    for metric in metrics:
        if metric.of_gradients:
            raise ValueError(
                f"{metric!r} would count what pads a Poisson sample as samples; leave it out with privacy, or call"
                f" gradient_noise_scale"
            )
