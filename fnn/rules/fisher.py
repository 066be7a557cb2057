"""The Fisher matrix of an objective, layer by layer, from the gradients of targets drawn from its predictions."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import backprop
from fnn.errors import located
from fnn.layer import Cache
from fnn.layers.attention.positions import PositionalEmbedding
from fnn.layers.recurrent._recurrent import Recurrent
from fnn.losses.loss import Loss
from fnn.objective import Objective, unpacked
from fnn.optim.kronecker import Block, Pair
from fnn.paths import join, lies_in, named_leaves, path_of
from fnn.rules._moments import factors_of
from fnn.rules.factored import factored
from fnn.rules.reparameterized import Through, above, is_reported
from fnn.rules.whole import Whole
from fnn.walk import nodes


@dataclasses.dataclass(frozen=True)
class Scores:
    """The gradient ĝ = Σᵢ √(wᵢ/Σw) ∂tᵢ/∂θ of drawn targets, as contributions by path, with E[ĝ ĝᵀ] = F.

    ``weights`` (N,) are those of the samples, ``None`` if they are equal; ``order`` says of some layers, by path, how
    the rows of a batch follow each other: "time" if all samples of one step do, "none" if they are of no sample.
    """

    contributions: dict[str, Any]
    weights: jax.Array | None = None
    order: tuple[tuple[str, str], ...] = ()

    def factors(self, block: Block) -> Pair:
        """A and G of a kernel with its bias."""
        node = self.contributions.get(block.kernel)
        if node is None:  # nothing but a penalty depends on it
            return block.zeros()
        return factors_of(node, block, partial(self._of_rows, block.kernel), partial(self._matrix, block))

    def squares(self, path: str, like: jax.Array) -> jax.Array:
        """The diagonal of a parameter, ĝ²."""
        if path not in self.contributions:
            return jnp.zeros_like(like)
        gradient = self.contributions[path].array().astype(like.dtype).reshape(like.shape)
        return gradient * gradient

    def _matrix(self, block: Block) -> jax.Array:
        zeros = block.leaves(jnp.zeros((*block.sizes, block.inputs, block.outputs), block.dtype))
        return block.matrix(
            zeros | {path: self.contributions[path].array() for path in zeros if path in self.contributions}
        )

    def _of_rows(self, path: str, count: int) -> jax.Array | None:
        """The weights of the rows of a batch, as many for each sample."""
        order = next((order for layer, order in self.order if lies_in(path, [layer])), "samples")
        if self.weights is None or order == "none" or count % len(self.weights):
            return None
        each = count // len(self.weights)
        return jnp.tile(self.weights, each) if order == "time" else jnp.repeat(self.weights, each)


def scores_of(
    objective: Objective, outputs: Any, cache: Cache, batch: tuple, *, key: jax.Array | None, sampled: bool
) -> Scores:
    """The scores of a batch that went forward, by a fold over the cache of that pass."""
    if key is None:
        raise ValueError("the Fisher matrix is estimated by random draws and needs a key")
    _, targets, weights = unpacked(batch)
    with located("loss", objective.loss, (outputs, targets)):
        doutputs, shares = _of_outputs(objective.loss, outputs, targets, weights, key, sampled=sampled)
    with located("", objective.model, doutputs, "given the output gradient"):
        report, _ = backprop(objective.model, cache, doutputs, partial(factored, quiet=True), above=above)
    found: dict[str, Any] = {}
    for key_path, node in jax.tree_util.tree_flatten_with_path(report, is_leaf=is_reported)[0]:
        path = path_of(key_path)
        if isinstance(node, Through):
            found |= {join(path, name): Whole(g) for name, g in named_leaves(node.arrays()).items()}
        else:
            found[path] = node
    kinds = ((Recurrent, "time"), (PositionalEmbedding, "none"))
    found_in = [
        (node, order) for node in nodes(objective.model) for kind, order in kinds if isinstance(node.layer, kind)
    ]
    return Scores(found, shares, tuple((node.path, order) for node, order in found_in))


def _of_outputs(
    loss: Loss, outputs: Any, targets: Any, weights: Any, key: jax.Array, *, sampled: bool
) -> tuple[Any, jax.Array | None]:
    """Σᵢ √(wᵢ/Σw) ∂tᵢ/∂outputs, with a random sign for each sample if its target is given; and the samples' weights."""
    if type(loss).forward is not Loss.forward and type(loss).scores is Loss.scores:
        if sampled:
            raise _no_likelihood(loss)
        return _of_other_outputs(loss, outputs, targets, weights, key), None
    prediction, target, weights, lengths = loss.over_steps(outputs, targets, weights)
    terms = jax.eval_shape(lambda prediction, target: loss.terms(prediction, target)[0], prediction, target)
    share = loss.shares(terms, target, weights)
    prediction, root = loss.select(share != 0, prediction), jnp.sqrt(share)
    if sampled:
        try:
            target = jax.lax.stop_gradient(loss.drawn(key, prediction))
        except NotImplementedError:
            raise _no_likelihood(loss) from None
        loss, given = loss.likelihood, loss
    else:
        root, given = root * _signs(key, terms.shape, root.dtype), loss
    doutputs = given.select(share != 0, loss.scores(prediction, target, root))
    return doutputs if lengths is None else (doutputs, None), _of_samples(share) if share.ndim else None


def _of_samples(share: jax.Array) -> jax.Array:
    """The weight (N,) of each sample: the mean of those of its terms that are not 0."""
    of_terms = share.reshape(len(share), -1)
    return of_terms.sum(1) / jnp.maximum((of_terms != 0).sum(1), 1).astype(share.dtype)


def _of_other_outputs(loss: Loss, outputs: Any, targets: Any, weights: Any, key: jax.Array) -> Any:
    """The same of a loss that is no mean of terms, as if every sample counted the same: from its gradient."""
    root = jnp.sqrt(loss.weight(outputs, targets, weights))
    doutputs = loss.backward(loss.forward(outputs, targets, weights)[1])
    return jax.tree.map(lambda leaf: leaf * root.astype(leaf.dtype) * _signs(key, leaf.shape, leaf.dtype), doutputs)


def _signs(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Random signs along the first axis of a shape."""
    signs = jax.random.rademacher(key, shape[:1], jnp.int32)
    return signs.reshape(shape[:1] + (1,) * (len(shape) - 1)).astype(dtype)


def _no_likelihood(loss: Loss) -> ValueError:
    return ValueError(
        f"{loss!r} is not the likelihood of a distribution to draw targets from; kfac(…, fisher='empirical') takes the"
        f" targets that are given"
    )
