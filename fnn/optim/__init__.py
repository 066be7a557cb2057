"""Optimisers: records of two pure functions in optax's protocol, built by chaining small transformations.

``transform.py`` states the protocol, ``hyperparameters.py`` how a rate is read and set while training runs. Each
family of optimisers is one file: the update equations stand in the docstrings, and the code computes them as written.
"""

from fnn.optim.adam import adam, adamw, scale_by_adam
from fnn.optim.clip import clip_by_global_norm
from fnn.optim.decay import decay_weights
from fnn.optim.gradient_descent import accumulate_velocity, momentum, nesterov, scale_by_learning_rate, sgd
from fnn.optim.hyperparameters import hyperparams, set_hyperparams
from fnn.optim.schedules import constant, cosine, warmup_cosine
from fnn.optim.transform import Optimizer, apply_updates, chain

__all__ = [
    "Optimizer",
    "accumulate_velocity",
    "adam",
    "adamw",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "constant",
    "cosine",
    "decay_weights",
    "hyperparams",
    "momentum",
    "nesterov",
    "scale_by_adam",
    "scale_by_learning_rate",
    "set_hyperparams",
    "sgd",
    "warmup_cosine",
]
