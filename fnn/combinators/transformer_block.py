"""The block of a transformer."""

import dataclasses

from fnn.combinators.composed import Composed
from fnn.combinators.feed_forward import FeedForward
from fnn.combinators.first import First
from fnn.combinators.residual import Residual
from fnn.combinators.serial import Serial
from fnn.layer import Layer
from fnn.layers.activation.gelu import Gelu
from fnn.layers.attention.multi_head_attention import MultiHeadAttention
from fnn.layers.norm.layer_norm import LayerNorm
from fnn.layers.random.dropout import Dropout, drops


@dataclasses.dataclass(frozen=True)
class TransformerBlock(Composed, name="transformer_block"):
    """Attention and a position-wise network, each with a norm in front and a skip connection (pre-norm).

    Forward:   u = x + attention(norm(x), mask),  y = u + f(norm(u) W₁ + b₁) W₂ + b₂
    Backward:  that of its layers, last to first; the mask has no gradient

    Params:  ``attention``: {``norm``, ``heads``: those of ``MultiHeadAttention``},
             ``mlp``: {``norm``, ``hidden``, ``out``: those of ``FeedForward``}
    State, Cache: those of its layers under the same names; for a rule, ``mlp`` with its norm and dropout is one layer
    Shapes:  (x, mask) → (y, mask),  x → y,  x and y (N, T, D); masks as in ``MultiHeadAttention``. Works in ``Repeat``.

    ``kv_heads``, ``causal`` and ``rotary`` are options of ``MultiHeadAttention``, ``activation`` of ``FeedForward``;
    ``norm`` is the layer in front of both. ``dropout`` drops attention probabilities, and entries of the output of both
    branches.

    >>> import fnn, jax, jax.numpy as jnp
    >>> model = fnn.Repeat(fnn.TransformerBlock(2, 16), 3)
    >>> x, mask = jnp.ones((1, 5, 4)), jnp.ones((1, 5), bool)
    >>> params, state = model.init(jax.random.key(0), (x, mask))
    >>> params["mlp"]["hidden"]["kernel"].shape
    (3, 4, 16)

    Source: Vaswani et al. 2017, with the norms in front as in Xiong et al. 2020, fig. 1b.
    """

    num_heads: int
    hidden: int
    _: dataclasses.KW_ONLY
    kv_heads: int | None = None
    causal: bool = False
    rotary: bool = False
    dropout: float = 0.0
    activation: Layer = dataclasses.field(default_factory=Gelu)
    norm: Layer = dataclasses.field(default_factory=LayerNorm)

    def __post_init__(self) -> None:
        _ = self.composition  # its layers check the options

    @property
    def composition(self) -> Serial:
        heads = MultiHeadAttention(
            self.num_heads, kv_heads=self.kv_heads, causal=self.causal, rotary=self.rotary, dropout=self.dropout
        )
        attention = {"norm": First(self.norm), "heads": First(heads, whole=True)}
        dropout = Dropout(self.dropout) if drops(self.dropout) else None
        if dropout is not None:
            attention["dropout"] = First(dropout)
        mlp = NormedFeedForward(self.hidden, activation=self.activation, norm=self.norm, dropout=dropout)
        return Serial(attention=Residual(Serial(**attention)), mlp=First(Residual(mlp)))


@dataclasses.dataclass(frozen=True)
class NormedFeedForward(FeedForward, name="normed_feed_forward"):
    """``FeedForward`` behind a norm and in front of dropout.

    Forward:   y = mask ⊙ (f(norm(x) W₁ + b₁) W₂ + b₂) / (1 − rate), the mask in training alone
    Backward:  that of its layers, last to first

    Params, State, Cache: those of ``FeedForward``, and of the norm under ``norm``, of the dropout under ``dropout``
    Shapes:  (…, D) → (…, D), any floating dtype, kept
    """

    norm: Layer = dataclasses.field(default_factory=LayerNorm)
    dropout: Layer | None = None

    def children(self) -> dict[str, Layer]:
        dropout = {} if self.dropout is None else {"dropout": self.dropout}
        return {"norm": self.norm, **super().children(), **dropout}

    def network(self, width: int) -> Serial:
        # Its children by the names that they have here, and the two products between them.
        return Serial(**{"norm": self.norm, **super().network(width).children(), **self.children()})
