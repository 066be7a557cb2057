"""Networks of PyTorch and the same of fnn."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import fnn

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


class Network(NamedTuple):
    """The model, the module, the shape of x (or the number of symbols and a shape), and how to run the module."""

    model: fnn.Layer
    make: Callable[[], Any]
    shape: tuple[int, ...]
    run: Callable[[Any, Any], Any] = lambda module, x: module(x)
    vocabulary: int = 0


class Block(nn.Module):
    """A block of a residual network, its shortcut registered last."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False, groups=2)
        self.bn2 = nn.BatchNorm2d(features)
        self.downsample = nn.Sequential(nn.Conv2d(channels, features, 1, stride, bias=False), nn.BatchNorm2d(features))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class Attention(nn.Module):
    """Attention with a projection for each of queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Any) -> Any:
        q, k, v = (each(x).unflatten(-1, (2, 2)).transpose(1, 2) for each in (self.q_proj, self.k_proj, self.v_proj))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Language(nn.Module):
    """Embeddings, positions that are a parameter, attention, a gated unit and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(7, 4), nn.Parameter(torch.randn(1, 6, 4))
        self.norm, self.attention, self.gated, self.slope = (
            nn.RMSNorm(4, 1e-5),
            Attention(),
            nn.Linear(4, 12),
            nn.PReLU(),
        )
        self.head = nn.Linear(6, 7)

    def forward(self, x: Any) -> Any:
        x = self.tokens(x) + self.positions[:, : x.shape[1]]
        return self.head(self.slope(nn.functional.glu(self.gated(self.attention(self.norm(x))))))


class Decoder(nn.Module):
    """A transformer's decoder that attends to what its input was, in another order."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerDecoder(layer, 1)

    def forward(self, x: Any) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]).to(x.dtype)
        return self.layers(x, x.flip(1), tgt_mask=mask)


class Joined(nn.Module):
    """Images beside their features, flattened, and the images themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.seen = (nn.Conv2d(3, features, 3, padding=1, bias=False) for features in (3, 2))
        self.one, self.other, self.kind = nn.Linear(80, 5), nn.Linear(48, 5), nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        x = self.image(x)
        joined = torch.cat([self.seen(x), x], 1)
        return self.kind(self.one(joined.flatten(1)) + self.other(x.flatten(1)))


def encoder(norm_first: bool) -> Any:
    layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(4) if norm_first else None
    return nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)


def images(module: Any, x: Any) -> Any:
    y = module(x.movedim(-1, 1))
    return y.movedim(1, -1) if y.ndim > 2 else y


def conv(features: int, size: int, **options: Any) -> fnn.Conv:
    return fnn.Conv(features, (size, size), use_bias=False, **options)


def block(features: int, strides: int) -> fnn.Serial:
    first, second = conv(features, 3, strides=strides, padding=1), conv(features, 3, padding=1, groups=2)
    body = fnn.Serial(first, fnn.BatchNorm(), fnn.Relu(), second, fnn.BatchNorm())
    shortcut = fnn.Serial(conv(features, 1, strides=strides, padding=0), fnn.BatchNorm())
    return fnn.Serial(fnn.Residual(body, shortcut), fnn.Relu())


def decoder_block() -> fnn.Serial:
    own = fnn.Serial(norm=fnn.LayerNorm(), heads=fnn.MultiHeadAttention(2, causal=True))
    across = fnn.Serial(norm=fnn.First(fnn.LayerNorm()), heads=fnn.First(fnn.MultiHeadAttention(2), whole=True))
    mlp = fnn.Serial(norm=fnn.LayerNorm(), mlp=fnn.FeedForward(6, activation=fnn.Relu()))
    return fnn.Serial(own=fnn.First(fnn.Residual(own)), across=fnn.Residual(across), mlp=fnn.First(fnn.Residual(mlp)))


def with_memory(x: Any) -> Any:
    return x, x[:, ::-1]


POST_NORM = fnn.Serial(
    *(fnn.Residual(fnn.MultiHeadAttention(2)), fnn.LayerNorm()),
    *(fnn.Residual(fnn.FeedForward(6, activation=fnn.Relu())), fnn.LayerNorm()),
)
RESIDUAL = fnn.Serial(conv(4, 3, padding=1), fnn.BatchNorm(), fnn.Relu(), block(4, 1), block(6, 2))
HEAD = fnn.SpectralNorm(fnn.Dense(5))
spectral_norm, weight_norm = nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm
STEM = (lambda: nn.Conv2d(3, 4, 3, padding=1, bias=False), lambda: nn.BatchNorm2d(4), nn.ReLU)


def residual(*head: Any) -> Any:
    return nn.Sequential(*(make() for make in STEM), Block(4, 4, 1), Block(4, 6, 2), *head)


def recurrent(kind: str, **options: Any) -> Any:
    return getattr(nn, kind)(4, 4, batch_first=True, **options)


def outputs(module: Any, x: Any) -> Any:
    return module(x)[0]


TOKENS = fnn.Serial(
    *(fnn.Embedding(7, 4), fnn.PositionalEmbedding(6), fnn.RMSNorm(epsilon=1e-5)),
    *(fnn.MultiHeadAttention(2, causal=True), fnn.GLU(6), fnn.PRelu(), fnn.Dense(7)),
)
GRAPH = fnn.Graph(
    {
        "image": (conv(3, 3, padding=1), "x"),
        "seen": (conv(2, 3, padding=1), "image"),
        "joined": (fnn.Concatenate(), ("seen", "image")),
        "flat": (fnn.Flatten(), "joined"),
        "alone": (fnn.Flatten(), "image"),
        "one": (fnn.Dense(5), "flat"),
        "other": (fnn.Dense(5), "alone"),
        "sum": (fnn.Add(), ("one", "other")),
        "kind": (fnn.Dense(4), "sum"),
    },
    outputs="kind",
)
NETWORKS = {
    "a residual network with a pool": Network(
        fnn.Serial(*RESIDUAL.layers, fnn.GlobalAvgPool(), fnn.Dense(5)),
        lambda: residual(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)),
        (2, 6, 8, 3),
        images,
    ),
    "a residual network with a flatten": Network(
        fnn.Serial(block(6, 2), fnn.MaxPool((2, 2)), fnn.Flatten(), fnn.BatchNorm(), HEAD),
        lambda: nn.Sequential(
            *(Block(4, 6, 2), nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(12), spectral_norm(nn.Linear(12, 5)))
        ),
        (2, 4, 8, 4),
        images,
    ),
    "a graph of images": Network(GRAPH, Joined, (2, 4, 4, 3), lambda module, x: module(x.movedim(-1, 1))),
    "a generator": Network(
        fnn.Serial(
            *(fnn.Dense(12), fnn.BatchNorm(), fnn.Relu(), fnn.Reshape((2, 3, 2))),
            *(
                fnn.ConvTranspose(4, (3, 3), strides=2, padding=((1, 0), (1, 0)), groups=2),
                fnn.GroupNorm(2),
                fnn.Tanh(),
            ),
            fnn.WeightNorm(fnn.Conv(3, (3, 3), padding=1)),
        ),
        lambda: nn.Sequential(
            *(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Unflatten(1, (2, 2, 3))),
            *(nn.ConvTranspose2d(2, 4, 3, 2, 1, output_padding=1, groups=2), nn.GroupNorm(2, 4), nn.Tanh()),
            weight_norm(nn.Conv2d(4, 3, 3, padding=1)),
        ),
        (2, 4),
        lambda module, x: module(x).movedim(1, -1),
    ),
    "convolutions of three axes": Network(
        fnn.Serial(fnn.Conv(4, (2, 3, 1), padding=(0, 1, 0)), fnn.InstanceNorm(), fnn.LeakyRelu()),
        lambda: nn.Sequential(
            *(nn.Conv3d(2, 4, (2, 3, 1), padding=(0, 1, 0)), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU())
        ),
        (2, 3, 4, 2, 2),
        images,
    ),
    "an LSTM of two layers": Network(
        fnn.Serial(fnn.LSTM(4), fnn.LSTM(4)), lambda: recurrent("LSTM", num_layers=2), (2, 5, 4), outputs
    ),
    "a bidirectional LSTM": Network(
        fnn.Bidirectional(fnn.LSTM(4)), lambda: recurrent("LSTM", bidirectional=True), (2, 5, 4), outputs
    ),
    "a GRU of three layers": Network(
        fnn.Repeat(fnn.GRU(4), 3), lambda: recurrent("GRU", num_layers=3), (2, 5, 4), outputs
    ),
    "a bidirectional GRU of two layers": Network(
        fnn.Serial(fnn.Bidirectional(fnn.GRU(4)), fnn.Bidirectional(fnn.GRU(4))),
        lambda: recurrent("GRU", num_layers=2, bidirectional=True),
        (2, 5, 4),
        outputs,
    ),
    "an RNN without biases": Network(fnn.SimpleRNN(4), lambda: recurrent("RNN", bias=False), (2, 5, 4), outputs),
    "a pre-norm encoder": Network(
        fnn.Serial(fnn.Repeat(fnn.TransformerBlock(2, 6, activation=fnn.Relu()), 2), fnn.LayerNorm()),
        lambda: encoder(True),
        (2, 5, 4),
    ),
    "a post-norm encoder": Network(fnn.Serial(POST_NORM, POST_NORM), lambda: encoder(False), (2, 5, 4)),
    "a decoder with memory": Network(fnn.Serial(fnn.Lambda(with_memory), decoder_block()), Decoder, (2, 5, 4)),
    "embeddings and projections": Network(TOKENS, Language, (2, 5), vocabulary=7),
}
