"""Logistic: is a sigmoid neuron scikit-learn's logistic regression, coefficient by coefficient?

Claims: one neuron with binary cross-entropy and an L2 penalty has scikit-learn's coefficients; the bias is not
penalised; two outputs with a softmax are a sigmoid of their difference, as a formula and after training; trained as
people train networks, the neuron is as accurate as scikit-learn on new data.

Measure: the 569 tumours of the breast-cancer data, 30 standardised features. scikit-learn minimises C Σ t + ½‖w‖², fnn
the mean of t and ½λ‖w‖², so λ = 1/(C N). Every C is trained at once in float64 by L-BFGS on the full batch, against
Newton's method in scikit-learn. How far a solution is from the minimum follows from its gradient g: about ‖g‖/μ, with μ
the smallest eigenvalue of the Hessian. For accuracy: float32 and Adam in batches of 32 at C = 1, all random splits in
one program, features standardised on the training part; scikit-learn fits the same splits.

Result: at C from 0.01 to 100 the coefficients are at most 1.0e-8 apart, where the gradients allow 7.3e-8; with the bias
penalised, 0.9 % at least. The formulas agree to 7.7e-16. Trained with the same penalty, two outputs and one give
probabilities up to 0.13 apart; with twice the penalty on the two, 7.6e-9: their weights are ± half of the neuron's, so
their squares add up to half of its. On new data the mean accuracy is 97.73 % against 97.74 ± 0.31 %, and 0.14 % of the
decisions differ. Splits of seeds 0 to 49, 20 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim, judge
from experiments.linear import logistic_plots
from experiments.linear.logistic_solutions import bound, formulas_error, interval, reference, reliability, sigmoid
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The values of scikit-learn's C: the larger, the weaker the penalty."""

SAME = 1e-6
"""Coefficients and probabilities up to this far apart are the same; both solvers run until they are closer."""


@dataclasses.dataclass(frozen=True)
class Logistic(Study):
    """The options of the experiment."""

    name = "logistic"
    quick_options: ClassVar = {"epochs": 15, "steps": 100, "splits": 8}

    epochs: int = 60
    """Passes over the training part of each split."""

    steps: int = 400
    """Steps of L-BFGS on all samples."""

    splits: int = 50
    """How many random splits to train on, with the seeds seed, seed + 1, …"""

    test: int = 153
    """How many of the 569 samples a split holds out."""

    def measure(self) -> Figures:
        table = data.load_breast_cancer()
        x, y = data.standardized(table.x), table.y
        objective = objective_of({"kernel": 1 / len(y), "bias": 0.0})
        return {
            "names": list(table.columns),
            "strengths": self.strengths(x.astype(np.float64), y),
            "formulas": formulas_error(self.seed),
            "splits": self.held_out(table.x, y),
            GRADIENTS: compared(
                objective, *objective.init(jax.random.key(self.seed), x), (x, y.astype(np.float32)[:, None])
            ),
        }

    def strengths(self, x: np.ndarray, y: np.ndarray) -> dict[str, list]:
        """By C: the coefficients of both, how far apart they are, and what variants of the objective lead to."""
        penalties, none = 1 / (len(y) * np.array(STRENGTHS)), np.zeros(len(STRENGTHS))
        one = self.converged(1, x, y[:, None].astype(np.float64), [penalties, penalties], [none, penalties])
        two = self.converged(2, x, y, [2 * penalties, penalties], [none, none])
        (own, with_bias), (twice, equal) = np.split(one[..., 0], 2), np.split(two[..., 1] - two[..., 0], 2)
        theirs = np.array([reference(x, y, strength) for strength in STRENGTHS])
        length = np.linalg.norm(theirs, axis=1)
        bounds = np.array([bound(*each, x, y) for each in zip(own, theirs, penalties, strict=True)])
        return {
            "own": own.tolist(),
            "theirs": theirs.tolist(),
            "apart": (np.linalg.norm(own - theirs, axis=1) / length).tolist(),
            "bound": (bounds / length).tolist(),
            "bias penalised": (np.linalg.norm(with_bias - theirs, axis=1) / length).tolist(),
            "softmax at twice": np.abs(sigmoid(twice, x) - sigmoid(own, x)).max(1).tolist(),
            "softmax at equal": np.abs(sigmoid(equal, x) - sigmoid(own, x)).max(1).tolist(),
        }

    def converged(self, outputs: int, x: np.ndarray, y: np.ndarray, kernel: list, bias: list) -> np.ndarray:
        """Kernels with the bias as their last row (penalties, D + 1, outputs), by L-BFGS in float64."""
        with jax.enable_x64(True):
            h = {"kernel": jnp.concatenate(kernel), "bias": jnp.concatenate(bias)}
            options: dict[str, Any] = {"steps": self.steps, "batch_size": len(x), "shuffle": False}
            run = fnn.make_train(lambda h: objective_of(h, outputs), fnn.optim.lbfgs(), **options)
            found = jax.jit(jax.vmap(run, in_axes=(None, None, 0)))(jax.random.key(self.seed), (x, y), h).params
            return np.concatenate([found["kernel"], found["bias"][:, None]], 1)

    def held_out(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """The accuracy on every split, by fnn and by scikit-learn at C = 1, and how reliable the probabilities are."""
        from sklearn.model_selection import train_test_split

        indices, options = np.arange(len(y)), {"test_size": self.test, "stratify": y}
        parts = [train_test_split(indices, random_state=self.seed + i, **options) for i in range(self.splits)]
        train, test = (np.stack(each) for each in zip(*parts, strict=True))
        inputs, others = (
            np.stack([data.standardized(x[part], x[one]) for part, one in zip(parts, train, strict=True)])
            for parts in (train, test)
        )
        samples = train.shape[1]
        objective = objective_of({"kernel": 1 / samples, "bias": 0.0})
        rate = fnn.optim.cosine(0.05, self.epochs * -(-samples // 32))
        run = fnn.make_train(objective, fnn.optim.adam(rate), epochs=self.epochs, batch_size=32)

        def probabilities(key: jax.Array, train: tuple, x: jax.Array) -> jax.Array:
            result = run(key, train)
            return fnn.Sigmoid()(objective.model.apply(result.params, result.state, x)[0][:, 0])

        keys, targets = seeds_of(self.seed, self.splits), y[train].astype(np.float32)[..., None]
        own = np.asarray(jax.jit(jax.vmap(probabilities))(keys, (inputs, targets), others))
        fitted = [reference(*each, 1.0) for each in zip(inputs.astype(np.float64), y[train], strict=True)]
        theirs = np.stack([sigmoid(each, held_out) for each, held_out in zip(fitted, others, strict=True)])
        return {
            "own": ((own > 0.5) == y[test]).mean(1).tolist(),
            "theirs": ((theirs > 0.5) == y[test]).mean(1).tolist(),
            "decided differently": float(((own > 0.5) != (theirs > 0.5)).mean()),
            "reliability": [reliability(each, y[test] == 1) for each in (own, theirs)],
        }

    def claims(self, figures: Figures) -> list[Claim]:
        at = {name: np.array(values) for name, values in figures["strengths"].items()}
        own, theirs = (np.array(figures["splits"][name]) for name in ("own", "theirs"))
        half, values = interval(theirs), f"at every C of {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}"
        return [
            judge(
                "One neuron with binary cross-entropy and L2 of 1/(C N) has scikit-learn's coefficients",
                rule=f"they are at most {SAME:g} apart, relatively, {values}, and the gradients allow no more",
                figure=f"at most {at['apart'].max():.1e} apart; the gradients allow {at['bound'].max():.1e}",
                holds=at["apart"].max() <= SAME and at["bound"].max() <= SAME,
            ),
            judge(
                "The bias is not penalised",
                rule=f"with the bias penalised too, they are more than {SAME:g} apart, {values}, and without less",
                figure=f"with, at least {at['bias penalised'].min():.1e}; without, at most {at['apart'].max():.1e}",
                holds=at["bias penalised"].min() > SAME >= at["apart"].max(),
            ),
            judge(
                "A softmax of two outputs is a sigmoid of their difference",
                rule="probability, loss and slope agree within 1e-12 in float64 on random logits, some near ±1000",
                figure=f"at most {figures['formulas']:.1e} apart",
                holds=figures["formulas"] <= 1e-12,
            ),
            judge(
                "Trained with the same penalty, two outputs and one give the same probabilities",
                rule=f"those of every sample agree within {SAME:g}, {values}",
                figure=f"{at['softmax at equal'].max():.1e} apart; {at['softmax at twice'].max():.1e} with twice the"
                " penalty on the two",
                holds=at["softmax at equal"].max() <= SAME,
                only_when="the two have twice the penalty",
                there=at["softmax at twice"].max() <= SAME,
            ),
            judge(
                "Trained by Adam in batches, it is as accurate on new data",
                rule="the mean accuracy over the splits lies in the 95 % interval of scikit-learn's mean",
                figure=f"{own.mean():.2%} against {theirs.mean():.2%} ± {half:.2%} on {len(own)} splits;"
                f" {figures['splits']['decided differently']:.2%} of the decisions differ",
                holds=abs(own.mean() - theirs.mean()) <= half,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        own, theirs = (np.array(figures["strengths"][name][STRENGTHS.index(1)][:-1]) for name in ("own", "theirs"))
        logistic_plots.coefficients(folder / "coefficients.png", figures["names"], own, theirs)
        logistic_plots.reliability(folder / "reliability.png", *map(np.array, figures["splits"]["reliability"]))
        splits = f"held-out samples of {len(figures['splits']['own'])} random splits, with 95 % intervals over splits"
        return {
            "coefficients.png": "The coefficients at C = 1, in scikit-learn's order.",
            "reliability.png": f"How reliable the probabilities are at C = 1: {splits}.",
        }


def objective_of(h: dict[str, Any], outputs: int = 1) -> fnn.Objective:
    """One sigmoid neuron, or two outputs with a softmax; the strengths are those of the kernel and of the bias."""
    loss = fnn.BinaryCrossEntropy() if outputs == 1 else fnn.CrossEntropy()
    return fnn.Objective(fnn.Dense(outputs), loss, (fnn.L2(h["kernel"]), fnn.L2(h["bias"], paths="*/bias")))
