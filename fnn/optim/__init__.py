"""Optimisers: values with two pure functions in optax's protocol, built by chaining small transformations.

``transform.py`` states the protocol, ``hyperparameters.py`` how to read and set a rate while training runs. Each family
of optimisers is one file: the docstrings give the update equations, and the code computes them as written.
"""

from typing import TYPE_CHECKING, Never

from fnn.guards.elsewhere import OPTIMIZERS, missing_name
from fnn.optim.accumulate import accumulate
from fnn.optim.adafactor import adafactor
from fnn.optim.adam import adam, adamw, scale_by_adam
from fnn.optim.adam_variants import adamax, amsgrad, nadam, radam
from fnn.optim.adaptive import adadelta, adagrad, rmsprop
from fnn.optim.average import ema, ema_params, lookahead
from fnn.optim.clip import clip_by_global_norm, clip_by_norm, clip_by_value
from fnn.optim.decay import decay_weights
from fnn.optim.gradient_descent import (
    accumulate_velocity,
    ema_momentum,
    momentum,
    nesterov,
    scale_by_learning_rate,
    sgd,
)
from fnn.optim.groups import freeze, groups, resolved_groups
from fnn.optim.hyperparameters import hyperparams, set_hyperparams
from fnn.optim.kfac import kfac
from fnn.optim.lamb import lamb, scale_by_trust_ratio
from fnn.optim.lbfgs import lbfgs
from fnn.optim.lion import lion
from fnn.optim.muon import muon
from fnn.optim.nonfinite import accepted, skip_nonfinite
from fnn.optim.phases import inverse_sqrt, one_cycle, warm_restarts, warmup_cosine, warmup_stable_decay
from fnn.optim.plateau import reduce_on_plateau
from fnn.optim.schedule_free import (
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
)
from fnn.optim.schedules import constant, cosine, exponential, join, piecewise, polynomial, step_decay
from fnn.optim.transform import Optimizer, apply_updates, chain
from fnn.optim.unmoved import frozen_paths

__all__ = [
    "Optimizer",
    "accepted",
    "accumulate",
    "accumulate_velocity",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "constant",
    "cosine",
    "decay_weights",
    "ema",
    "ema_momentum",
    "ema_params",
    "exponential",
    "freeze",
    "frozen_paths",
    "groups",
    "hyperparams",
    "inverse_sqrt",
    "join",
    "kfac",
    "lamb",
    "lbfgs",
    "lion",
    "lookahead",
    "momentum",
    "muon",
    "nadam",
    "nesterov",
    "one_cycle",
    "piecewise",
    "polynomial",
    "radam",
    "reduce_on_plateau",
    "resolved_groups",
    "rmsprop",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_trust_ratio",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "set_hyperparams",
    "sgd",
    "skip_nonfinite",
    "step_decay",
    "warm_restarts",
    "warmup_cosine",
    "warmup_stable_decay",
]

if not TYPE_CHECKING:  # to a type checker every name would exist

    def __getattr__(name: str) -> Never:
        raise missing_name("fnn.optim", name, __all__, OPTIMIZERS)
