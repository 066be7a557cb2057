"""How PyTorch holds the parameters of each layer: the one table of layouts, used in both directions.

A layer has one or more ``forms``. A form is a tuple of parts, each of which is one module of PyTorch: attention is one
``nn.MultiheadAttention``, or four ``nn.Linear``. PyTorch has outputs first and channels first:

    Dense               kernel (D, F)               weight (F, D)
    Conv                kernel (*k, C/G, F)         weight (F, C/G, *k)
    ConvTranspose       kernel (*k, C/G, F)         weight (C, F/G, *k), exchanged within the groups, not reversed
    Bilinear            kernel (D₁, D₂, F)          weight (F, D₁, D₂)
    Embedding           embedding (V, F)            weight (V, F)
    norms               scale, bias (C,)            weight, bias; of BatchNorm also running_mean, running_var
    PRelu               slope (C,)                  weight (C,) or (1,)
    SimpleRNN, LSTM     kernel (D, kH), bias (kH,)  weight_ih (kH, D), bias_ih + bias_hh; the gates i f g o as here
    GRU                 both biases                 bias_ih, bias_hh; the gates r z n as here, reset after the product
    attention           torch_heads.py
"""

from collections.abc import Callable

from fnn.interop.parts import Form, Part
from fnn.interop.pieces import Piece, absent, counted, spread, summed, turned, unchanged
from fnn.interop.places import Place
from fnn.interop.torch_heads import attention, gated
from fnn.interop.torch_kernels import bias, kernel_pieces, linear, vector
from fnn.layer import Layer
from fnn.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Bilinear,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Embedding,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MultiHeadAttention,
    PositionalEmbedding,
    PRelu,
    RMSNorm,
    SimpleRNN,
)
from fnn.layers.linear.gated_linear import Gated
from fnn.losses.linear_head import LinearHead

AXES = {1: "W", 2: "HW", 3: "DHW"}
CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")
TRANSPOSED = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
BATCH_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")
INSTANCE_NORMS = ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")


def forms(place: Place) -> tuple[Form, ...]:
    """The ways in which PyTorch may hold this layer; the likeliest first."""
    for kind, make in TABLE:
        if isinstance(place.layer, kind):
            return make(place)
    return _of_its_own(place)


def _form(*pieces: Piece, classes: tuple[str, ...] = ()) -> tuple[Form, ...]:
    return ((Part(pieces, classes),),)


def _dense(place: Place) -> tuple[Form, ...]:
    return _form(*linear(place), classes=("Linear",))


def _conv(place: Place) -> tuple[Form, ...]:
    _, (*window, channels, features) = place.leaves["kernel"]
    n, letters = len(window), AXES.get(len(window), "…")
    split, axes, shape = (*window, channels, features), (n + 1, n, *range(n)), (features, channels, *window)
    pieces = kernel_pieces(place, "kernel", split, axes, shape, f"OI{letters} as {letters}IO")
    return _form(*pieces, *bias(place), classes=CONVOLUTIONS)


def _conv_transpose(place: Place) -> tuple[Form, ...]:
    groups = getattr(place.layer, "groups", 1)
    _, (*window, channels, features) = place.leaves["kernel"]
    n, letters = len(window), AXES.get(len(window), "…")
    split = (*window, channels, groups, features // groups)
    axes, shape = (n + 1, n, n + 2, *range(n)), (channels * groups, features // groups, *window)
    pieces = kernel_pieces(place, "kernel", split, axes, shape, f"IO{letters} as {letters}IO", features_axis=1)
    return _form(*pieces, *bias(place), classes=TRANSPOSED)


def _bilinear(place: Place) -> tuple[Form, ...]:
    path, (first, second, features) = place.leaves["kernel"]
    shape = (features, first, second)
    kernel = turned(path, "weight", (first, second, features), (2, 0, 1), shape, "outputs first as last")
    return _form(kernel, *bias(place), classes=("Bilinear",))


def _embedding(place: Place) -> tuple[Form, ...]:
    path, shape = place.leaves["embedding"]
    return _form(unchanged(path, "weight", shape), classes=("Embedding",))


def _positions(place: Place) -> tuple[Form, ...]:
    path, shape = place.leaves["embedding"]
    bare = tuple((Part((unchanged(path, "*", shape, to),)),) for to in (shape, (1, *shape)))
    return (*_embedding(place), *bare)


def _norm(*classes: str) -> Callable[[Place], tuple[Form, ...]]:
    def make(place: Place) -> tuple[Form, ...]:
        names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        pieces = [
            vector(place, name, key, place.columns, "later updates are biased" if name == "var" else "")
            for name, key in names.items()
            if name in place.leaves
        ]
        if "count" in place.leaves:
            pieces.append(counted(place.leaves["count"][0], "num_batches_tracked"))
        return _form(*pieces, classes=classes)

    return make


def _p_relu(place: Place) -> tuple[Form, ...]:
    path, (size,) = place.leaves["slope"]
    alone = _form(spread(path, "weight", size), classes=("PReLU",)) if size > 1 else ()
    return (*_form(vector(place, "slope", "weight", place.columns), classes=("PReLU",)), *alone)


def _recurrent(name: str) -> Callable[[Place], tuple[Form, ...]]:
    def make(place: Place) -> tuple[Form, ...]:
        leaves = dict(place.leaves)
        kernels = []
        for leaf, key in (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh")):
            path, (inputs, width) = leaves.pop(leaf)
            kernels.append(turned(path, key, (inputs, width), (1, 0), (width, inputs), "transposed"))
        keys, biases = (
            ("bias_ih", "bias_hh"),
            [leaves.pop(each) for each in ("bias", "recurrent_bias") if each in leaves],
        )
        own = tuple(unchanged(path, f"{name}.{leaf}", shape) for leaf, (path, shape) in leaves.items())
        if len(biases) == 1:
            both: tuple[Piece, ...] = (summed(biases[0][0], keys, biases[0][1]),)
        else:
            both = tuple(unchanged(path, key, shape) for (path, shape), key in zip(biases, keys, strict=True))
        none = tuple(absent(path, shape, "PyTorch's module has bias=False") for path, shape in biases)
        classes = (name, f"{name}Cell")
        return tuple((Part((*kernels, *each, *own), classes),) for each in (both, none))

    return make


def _of_its_own(place: Place) -> tuple[Form, ...]:
    """A layer that PyTorch does not have: a module of the user's with arrays of the same names and shapes."""
    return _form(*(unchanged(path, name.replace("/", "."), shape) for name, (path, shape) in place.leaves.items()))


TABLE: tuple[tuple[type[Layer] | tuple[type[Layer], ...], Callable[[Place], tuple[Form, ...]]], ...] = (
    ((Dense, LinearHead), _dense),
    ((Conv, DepthwiseConv), _conv),
    (ConvTranspose, _conv_transpose),
    (Bilinear, _bilinear),
    (Embedding, _embedding),
    (PositionalEmbedding, _positions),
    (BatchNorm, _norm(*BATCH_NORMS)),
    (LayerNorm, _norm("LayerNorm")),
    (GroupNorm, _norm("GroupNorm")),
    (InstanceNorm, _norm(*INSTANCE_NORMS)),
    (RMSNorm, _norm("RMSNorm")),
    (PRelu, _p_relu),
    (SimpleRNN, _recurrent("RNN")),
    (LSTM, _recurrent("LSTM")),
    (GRU, _recurrent("GRU")),
    (MultiHeadAttention, attention),
    (Gated, gated),
)

KNOWN = frozenset(
    {
        *("Linear", "Bilinear", "Embedding", "LayerNorm", "GroupNorm", "RMSNorm", "PReLU", "MultiheadAttention"),
        *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
        *(*CONVOLUTIONS, *TRANSPOSED, *BATCH_NORMS, *INSTANCE_NORMS),
    }
)
"""PyTorch's own classes: a module of one of them is no other layer, whatever its shapes."""
