"""A quick run on saturation: squares are slower from a wrong start, and each rule can say no."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.depth.saturation_claims import WAYS
from experiments.depth.saturation_measures import LOSSES, OUTPUTS, gradients, objective, r2, right, steps_until
from tests.experiments.studying import Finished

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_squares_are_slower_and_targets_out_of_range_are_not_fitted(run):
    for found in run.figures["descents"].values():
        squares, entropy = (np.array(found[loss]["steps"]) for loss in LOSSES)
        # From the start that is most wrong, at every seed: at equal rates and at the best.
        choose = WAYS["at a learning rate of 1"]
        rates = np.array(run.figures["rates"])
        assert (choose(squares, rates)[-1] > 3 * choose(entropy, rates)[-1]).all()
        assert (squares.min(-1)[-1] > entropy.min(-1)[-1]).all()
        # Squares take longer, the more wrong they start.
        assert (choose(squares, rates)[-1] > choose(squares, rates)[0]).all()
        losses = np.array(found["cross-entropy"]["losses"])
        assert (losses[..., -1] < losses[..., 0] / 2).all()
    unscaled, scaled = np.array(run.figures["scaling"]["r2"])
    assert unscaled.max() < 0 < 0.8 < scaled.min()


def test_every_rule_can_say_the_opposite(run):
    by_logit = run.figures["by_logit"]
    assert run.verdict("wrong sigmoid's logit vanishes") == run.verdict("those of a softmax's logits") == "holds"
    for output, claim in (("sigmoid", "wrong sigmoid's logit vanishes"), ("softmax", "those of a softmax's logits")):
        alike = by_logit | {output: by_logit[output] | {"ratio": [1.0] * len(by_logit["logits"])}}
        assert run.verdict(claim, by_logit=alike) == "does not hold"
    off = by_logit | {"formula": [1.001 * each for each in by_logit["formula"]]}
    assert run.verdict("wrong sigmoid's logit vanishes", by_logit=off) == "does not hold"
    for output in OUTPUTS:
        for way in WAYS:
            claim = f"A wrong {output} takes many times the steps with squares, {way}"
            for squares, verdict in (
                ((50, 60), "holds"),
                ((49, 60), "holds only when the logit starts at −10 or below"),
                ((50, 40), "does not hold"),
            ):
                assert self_only(run, claim, descents(run, squares, 10)) == verdict
    scaling = run.figures["scaling"]
    assert run.verdict("does not fit targets", scaling=scaling | {"r2": [[0.1, -0.1], [1, 1]]}) == "does not hold"
    assert run.verdict("once they are scaled", scaling=scaling | {"r2": [[-1, -1], [0.97, 0.9]]}) == "does not hold"
    assert run.verdict("once they are scaled", scaling=scaling | {"r2": [[-1, -1], [0.97, 0.96]]}) == "holds"


def self_only(run: Finished, claim: str, found: dict) -> str:
    """The verdict on the claim of exactly these words, as one way begins like another."""
    judged = run.study.claims(run.figures | {"descents": found})
    return next(each.verdict for each in judged if each.claim == claim)


def descents(run: Finished, squares: tuple[int, int], entropy: int) -> dict:
    """Steps that do not depend on rate and seed: those of squares from both starts, and those of cross-entropy."""
    shape = 2, 2, len(run.figures["rates"])
    steps = np.broadcast_to(np.array(squares)[:, None, None], shape).tolist(), np.full(shape, entropy).tolist()
    return {output: {loss: {"steps": each} for loss, each in zip(LOSSES, steps, strict=True)} for output in OUTPUTS}


def test_the_gradients_worked_by_hand():
    found = gradients()
    at = found["logits"].index(0.0)
    # At the logit 0, p = ½: squares give 2(p − 1) p (1 − p) = −¼, cross-entropy p − 1 = −½.
    np.testing.assert_allclose([found["sigmoid"][loss][at] for loss in LOSSES], [0.25, 0.5])
    np.testing.assert_allclose(found["formula"][at], 0.5)
    # Of three equal logits, p = ⅓ and e = p − y = (−⅔, ⅓, ⅓): dz = ⅔ (p ⊙ e − p (p·e)) = ⅔ (−2/9, 1/9, 1/9).
    np.testing.assert_allclose(found["softmax"]["squares"][at], 2 / 3 * np.sqrt(6) / 9)
    np.testing.assert_allclose(found["softmax"]["cross-entropy"][at], np.sqrt(6) / 3)


def test_helpers_worked_by_hand():
    reached = jnp.array([[False, False, True], [True, False, True], [False, False, False]])
    assert steps_until(reached).tolist() == [1, 3, 0]
    y = jnp.array([[1.0], [0.0], [1.0], [1.0]])
    assert right(jnp.array([[0.6], [0.4], [0.7], [0.2]]), y, fnn.MeanSquaredError()) == 0.75
    assert right(jnp.array([[0.6], [0.4], [-0.7], [0.2]]), y, fnn.BinaryCrossEntropy()) == 0.5
    assert right(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([[0.0, 1.0], [0.0, 1.0]]), None) == 0.5
    assert r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])) == 1
    assert r2(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0])) == 0
    # Steps (starts, seeds, rates): the rates 0.1, 1 and 10.
    steps, rates = np.array([[[9, 3, 5]], [[9, 8, 2]]]), np.array([0.1, 1, 10])
    chosen = {way: choose(steps, rates)[:, 0].tolist() for way, choose in WAYS.items()}
    assert list(chosen.values()) == [[3, 8], [3, 2], [5, 2]]
    assert objective("softmax", "cross-entropy", 3).model == fnn.Serial(
        objective("softmax", "squares", 3).model.children()["dense_0"]
    )
