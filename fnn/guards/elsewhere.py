"""What other libraries call things, and what to write here: names and keywords of PyTorch, Keras, Flax and optax."""

import functools
import inspect
from collections.abc import Iterable
from typing import Any

from fnn.guards.spelling import closest

NAMES = {
    "Linear": "fnn.Dense(features): the size of the input is inferred",
    "Sequential": "fnn.Serial(Dense(8), Relu(), …)",
    "Module": "a frozen dataclass that derives from fnn.Layer, or Serial(…) of layers; CONTRIBUTING.md shows one whole",
    "Model": "a frozen dataclass that derives from fnn.Layer, or Serial(…) of layers; CONTRIBUTING.md shows one whole",
    "Activation": "the activation as a layer: Relu(), Tanh(), …",
    "ReLU": "fnn.Relu()",
    "ReLU6": "fnn.Relu6()",
    "PReLU": "fnn.PRelu()",
    "LeakyReLU": "fnn.LeakyRelu(slope)",
    "ELU": "fnn.Elu()",
    "CELU": "fnn.Celu()",
    "SELU": "fnn.Selu()",
    "GELU": "fnn.Gelu()",
    "SiLU": "fnn.Silu()",
    "Hardtanh": "fnn.HardTanh()",
    "Hardswish": "fnn.HardSwish()",
    "RNN": "fnn.SimpleRNN(features)",
    "LSTMCell": "fnn.LSTM(features), whose step takes one step",
    "GRUCell": "fnn.GRU(features), whose step takes one step",
    "MultiheadAttention": "fnn.MultiHeadAttention(num_heads)",
    "TransformerEncoderLayer": "fnn.TransformerBlock(num_heads, hidden)",
    "Upsample": "fnn.UpSample(scale)",
    "ZeroPad2d": "fnn.Pad(width)",
    "CrossEntropyLoss": "fnn.CrossEntropy()",
    "NLLLoss": "fnn.CrossEntropy(), which takes logits",
    "MSELoss": "fnn.MeanSquaredError()",
    "L1Loss": "fnn.MeanAbsoluteError()",
    "SmoothL1Loss": "fnn.Huber()",
    "HuberLoss": "fnn.Huber(delta)",
    "BCELoss": "fnn.BinaryCrossEntropy(), which takes logits: leave the last sigmoid out",
    "BCEWithLogitsLoss": "fnn.BinaryCrossEntropy()",
    "KLDivLoss": "fnn.KLDivergence()",
    "CTCLoss": "fnn.CTC()",
    "GaussianNLLLoss": "fnn.GaussianNLL()",
    "PoissonNLLLoss": "fnn.Poisson()",
    "DataLoader": "fit(objective, optimizer, (inputs, targets), batch_size=…), or give fit any iterable of batches",
    "jit": "jax.jit",
    "grad": "objective.value_and_grad(params, state, batch)",
    **{f"Conv{n}{d}": "fnn.Conv(features, kernel_size): for any number of axes" for d in "dD" for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": "fnn.ConvTranspose(features, kernel_size): for any number of axes" for n in (1, 2, 3)},
    **{
        f"{kind}Pool{n}d": f"fnn.{kind}Pool(window): for any number of axes"
        for kind in ("Max", "Avg")
        for n in (1, 2, 3)
    },
    **{f"MaxPooling{n}D": "fnn.MaxPool(window): for any number of axes" for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": "fnn.AvgPool(window): for any number of axes" for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": "fnn.GlobalAvgPool()" for n in (1, 2, 3)},
    **{f"AdaptiveAvgPool{n}d": "fnn.GlobalAvgPool()" for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": "fnn.BatchNorm(): for any number of axes" for n in (1, 2, 3)},
    **{f"Dropout{n}d": "fnn.Dropout(rate)" for n in (1, 2, 3)},
    "BatchNormalization": "fnn.BatchNorm()",
    "LayerNormalization": "fnn.LayerNorm()",
}
"""Names that fnn does not have, and the call to write instead."""

OPTIMIZERS = {
    "Adam": "fnn.optim.adam(learning_rate)",
    "AdamW": "fnn.optim.adamw(learning_rate)",
    "SGD": "fnn.optim.sgd(learning_rate, momentum=…)",
    "RMSprop": "fnn.optim.rmsprop(learning_rate)",
    "Adagrad": "fnn.optim.adagrad(learning_rate)",
    "Adadelta": "fnn.optim.adadelta(learning_rate)",
    "LBFGS": "fnn.optim.lbfgs()",
    "cosine_decay_schedule": "fnn.optim.cosine(init, steps, final)",
    "warmup_cosine_decay_schedule": "fnn.optim.warmup_cosine(peak, warmup_steps, steps, final)",
    "exponential_decay": "fnn.optim.exponential(init, rate, steps)",
    "multi_transform": "fnn.optim.groups({glob: optimizer})",
    "apply_if_finite": "fnn.optim.skip_nonfinite(optimizer)",
    "MultiSteps": "fnn.optim.accumulate(optimizer, steps)",
    "add_decayed_weights": "fnn.optim.decay_weights(strength)",
}
"""The same of ``fnn.optim``."""

KEYWORDS = {
    "activation": "put the activation behind it: Serial(Dense(8), Relu())",
    "lr": "write learning_rate=…",
    "betas": "write b1=… and b2=…",
    "weight_decay": "write adamw(…), or chain(decay_weights(strength), …)",
    "wd": "write weight_decay=…, of adamw(…) or lamb(…)",
    "stride": "write strides=…",
    "bias": "write use_bias=…",
    "kernel": "write kernel_size=…",
    "p": "write rate=…, the fraction that is dropped",
    "in_features": "leave it out: the size of the input is inferred",
    "in_channels": "leave it out: the size of the input is inferred",
    "input_size": "leave it out: the size of the input is inferred",
    "input_shape": "leave it out: the size of the input is inferred",
    "input_dim": "leave it out: the size of the input is inferred",
    "out_features": "write features=…",
    "out_channels": "write features=…",
    "units": "write features=…",
    "filters": "write features=…",
    "hidden_size": "write features=…",
    "num_embeddings": "write vocabulary=…",
    "embedding_dim": "write features=…",
    "eps": "write epsilon=…",
    "momentum": "write decay=…, the weight of the old statistic: 0.9 here is 0.1 in PyTorch and 0.9 in Keras and Flax",
    "name": "name it where it stands: Serial(head=Dense(3))",
    "rngs": "leave it out: init takes the key, and so does a call in training",
    "dtype": "leave it out: parameters have the dtype of the input that init is given; Cast(layer) computes in another",
}
"""Keywords that a constructor here does not have, and what to do instead."""


def missing_name(module: str, name: str, known: Iterable[str], table: dict[str, str] = NAMES) -> AttributeError:
    """The error for a name that a module does not have, with what to write."""
    instead = table.get(name)
    if instead is None and (meant := closest(name, [each for each in known if not each.startswith("_")])):
        instead = f"{module}.{meant}"
    hint = f"; write {instead}" if instead else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}", name=name)


def check_call(cls: type, args: tuple, kwargs: dict[str, Any]) -> None:
    """Raises ``TypeError`` for arguments that the constructor of a layer does not take, with what to write instead."""
    names, positional, any_name = _taken(cls)
    if any_name:
        return
    if len(args) > positional:
        taken = ", ".join(names[:positional]) or "nothing"
        raise TypeError(
            f"{cls.__name__} takes {taken} without a name, got {', '.join(map(repr, args))}; the rest is given by name,"
            f" and sizes of inputs are inferred"
        )
    for name in kwargs:
        if name not in names:
            hint = keyword_hint(name, names)
            said = f": {hint}" if hint else ""
            raise TypeError(f"{cls.__name__} has no option {name!r}{said}; it has {', '.join(names) or 'none'}")


def keyword_hint(name: str, known: Iterable[str]) -> str:
    """What to write instead of a keyword; empty if nobody knows."""
    if name in KEYWORDS:
        return KEYWORDS[name]
    meant = closest(name, list(known))
    return f"write {meant}=…" if meant else ""


@functools.lru_cache(512)
def _taken(cls: type) -> tuple[list[str], int, bool]:
    """The names of a constructor's parameters, how many may be given without one, and whether it takes any others."""
    parameters = [*inspect.signature(cls.__init__).parameters.values()][1:]
    any_name = any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in parameters)
    positional = sum(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)
    return [each.name for each in parameters], positional, any_name
