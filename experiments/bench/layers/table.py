"""All layers that are compared."""

from collections.abc import Iterator

from experiments.bench.layers import attention, convolutions, norms, others, recurrent, vocabulary
from experiments.bench.layers.case import TINY, Pair, pair_of


def pairs(seed: int, *, quick: bool) -> Iterator[Pair]:
    """Every layer in both libraries, made when it is measured: all of them at once would fill the memory."""
    depthwise = convolutions.depthwise(TINY if quick else 64)
    for case in (*norms.CASES, *convolutions.CASES, depthwise, *attention.CASES, *recurrent.CASES, *others.CASES):
        yield pair_of(case, seed, quick=quick)
    yield vocabulary.pair(seed, quick=quick)
