"""K-FAC: does a layer-wise curvature take an autoencoder to Adam's best loss in fewer steps, and in less time?

Claims: K-FAC reaches the lowest loss of Adam, at the best of several rates, in a third of Adam's steps or fewer; also
if Adam's rate falls along a cosine; and in less time.

Measure: an autoencoder 64-96-48-12-48-96-64 with tanh on 1280 digits, mean squared error, batches of 256. The loss is
that on all these digits, after every epoch. Adam's rate is tuned by ``fnn.sweep``: the rate with the lowest mean over
the seeds of the lowest loss counts. K-FAC has one setting, the best of seven tried by hand on two seeds of this
network: rate 0.3, all else at its default. The starts and batches of a seed are the same for all. Adam's steps are
those up to its lowest loss in 750, K-FAC's those up to the first loss that is no higher. A step's time is that of 10
epochs without validation, the median of turns that alternate.

Result: RESULT
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments import data, plots
from experiments.claims import Claim, judge
from experiments.in_turn import seconds_in_turn
from experiments.study import GRADIENTS, Figures, Study, compared

PIXELS, DIGITS, BATCH = 64, 1280, 256
STEPS_AN_EPOCH = DIGITS // BATCH
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
SHARE, TIMED = 1 / 3, 10
"""The share of Adam's steps that is claimed, and the epochs of a run that is timed."""

ADAMS = ("Adam", "Adam, cosine")
COLORS = {"Adam": plots.BLUE, "Adam, cosine": plots.GREEN, "K-FAC": plots.ORANGE}
NAMES = ("steps", "seconds (steps times the seconds of one)")


@dataclasses.dataclass(frozen=True)
class Kfac(Study):
    """The options of the experiment."""

    name = "kfac"
    quick_options: ClassVar = {"epochs": 30, "seeds": 2, "turns": 1}

    epochs: int = 150
    """Passes over the digits for Adam; K-FAC has a third of them."""

    seeds: int = 3
    """How many networks of each kind, with the seeds seed, seed + 1, …"""

    learning_rate: float = 0.3
    """K-FAC's rate."""

    turns: int = 5
    """How often a step's time is measured."""

    def measure(self) -> Figures:
        images = data.load_digits().train.images
        x = np.asarray(images.reshape(len(images), -1)[:DIGITS], np.float32)
        adams, losses, rates = self.adams(), {}, {}
        for name, make in adams.items():
            every = self.swept(make, x, self.epochs, RATES)
            place = int(np.nanargmin(every.min(2).mean(1)))
            losses[name], rates[name] = every[place].tolist(), RATES[place]
        third = max(1, self.epochs // 3)
        losses["K-FAC"] = self.swept(kfac, x, third, (self.learning_rate,))[0].tolist()
        timed = {"Adam": fnn.optim.adam(rates["Adam"]), "K-FAC": fnn.optim.kfac(self.learning_rate)}
        objective = autoencoder()
        start = objective.init(jax.random.key(self.seed), x[:1])
        return {
            "losses": losses,
            "rates": rates,
            "seconds": self.seconds_a_step(timed, x),
            GRADIENTS: compared(objective, *start, (x[:32], x[:32])),
        }

    def adams(self) -> dict[str, Any]:
        """Adam at a constant rate, and at one that falls to zero along half a cosine."""
        steps = self.epochs * STEPS_AN_EPOCH
        return {
            "Adam": lambda h: fnn.optim.adam(h["learning_rate"]),
            "Adam, cosine": lambda h: fnn.optim.adam(fnn.optim.cosine(h["learning_rate"], steps)),
        }

    def swept(self, make: Any, x: np.ndarray, epochs: int, rates: tuple[float, ...]) -> np.ndarray:
        """The loss on all digits after every epoch: (rates, seeds, epochs)."""
        run = fnn.make_train(autoencoder(), make, epochs=epochs, batch_size=BATCH)
        options: dict[str, Any] = {"validation": (x, x), "seeds": range(self.seed, self.seed + self.seeds)}
        # One after the other: side by side, K-FAC would compute its inverses in every step.
        found = fnn.sweep(run, jax.random.key(0), (x, x), **options, method="map", learning_rate=list(rates))
        return np.asarray(found.results.history["validation_loss"]).reshape(len(rates), self.seeds, epochs)

    def seconds_a_step(self, optimizers: dict[str, Any], x: np.ndarray) -> dict[str, float]:
        """Of a compiled run without validation."""
        key, programs = jax.random.key(self.seed), {}
        for name, optimizer in optimizers.items():
            train = fnn.make_train(autoencoder(), optimizer, epochs=TIMED, batch_size=BATCH)
            programs[name] = jax.jit(train).lower(key, (x, x)).compile()
        found = seconds_in_turn(programs, (key, (x, x)), turns=self.turns, limit=20, least=1)
        return {name: float(np.median(each)) / (TIMED * STEPS_AN_EPOCH) for name, each in found.items()}

    def claims(self, figures: Figures) -> list[Claim]:
        found = {name: steps_to(figures["losses"], name) for name in ADAMS}
        second, judged = figures["seconds"], []
        for name, (theirs, ours) in found.items():
            shares = ours / theirs
            low, high = (shares.min(), shares.max()) if np.isfinite(shares).all() else (shares.min(), np.inf)
            judged.append(
                judge(
                    f"K-FAC reaches the lowest loss of {name} in a third of its steps or fewer",
                    rule=f"its share of the steps is at most {SHARE:.2f}, in every seed",
                    figure=f"{low:.2f} to {high:.2f} of {listed(theirs)} steps",
                    holds=(shares <= SHARE).all(),
                )
            )
        theirs, ours = found["Adam"]
        shares = ours * second["K-FAC"] / (theirs * second["Adam"])
        return [
            *judged,
            judge(
                "K-FAC reaches the lowest loss of Adam in less time",
                rule="its steps, times the seconds of a step, take less time than Adam's, in every seed",
                figure=f"{shares.min():.2f} to {shares.max():.2f} of the time; a step takes"
                f" {1e3 * second['K-FAC']:.2g} ms, Adam's {1e3 * second['Adam']:.2g} ms",
                holds=(shares < 1).all(),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        figure = plots.new_figure(9.5, 3.8)
        for axes, scale, words in zip(figure.subplots(1, 2, sharey=True), ("steps", "seconds"), NAMES, strict=True):
            for name, color in COLORS.items():
                losses = np.array(figures["losses"][name])
                at = STEPS_AN_EPOCH * np.arange(1, losses.shape[1] + 1)
                at = at * figures["seconds"][name.partition(",")[0]] if scale == "seconds" else at
                rate = figures["rates"].get(name, self.learning_rate)
                axes.plot(at, losses.mean(0), color=color, label=f"{name}, rate {rate:g}")
                axes.fill_between(at, losses.min(0), losses.max(0), color=color, alpha=0.2, linewidth=0)
            lowest = np.array(figures["losses"]["Adam"]).min(1).mean()
            axes.axhline(lowest, color=plots.GREY, linewidth=0.8, linestyle=":")
            axes.set(yscale="log", xlabel=words)
            plots.clean(axes)
        figure.axes[0].set_ylabel("mean squared error of a pixel")
        figure.axes[0].legend(frameon=False)
        plots.save(figure, folder / "losses.png")
        return {
            "losses.png": "The loss on the training digits after every epoch, by steps and by the time that these take:"
            " means, and the range over the seeds. Dotted: the mean of Adam's lowest losses."
        }


def kfac(hyperparams: Any) -> Any:
    """K-FAC at a rate."""
    return fnn.optim.kfac(hyperparams["learning_rate"])


def autoencoder() -> fnn.Objective:
    """A code of 12 numbers between layers of tanh."""
    layers = [layer for width in (96, 48, 12, 48, 96) for layer in (fnn.Dense(width), fnn.Tanh())]
    return fnn.Objective(fnn.Serial(*layers, fnn.Dense(PIXELS)), fnn.MeanSquaredError())


def steps_to(losses: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps of every seed up to its lowest loss, and those of K-FAC to one no higher (∞ if it never gets there).

    >>> steps_to({"Adam": [[3.0, 1.0, 2.0]], "K-FAC": [[2.0, 1.0]]}, "Adam")
    (array([10]), array([10.]))
    """
    theirs, ours = np.array(losses[name]), np.array(losses["K-FAC"])
    there = ours <= theirs.min(1)[:, None]
    first = np.where(there.any(1), there.argmax(1) + 1.0, np.inf)
    return STEPS_AN_EPOCH * (theirs.argmin(1) + 1), STEPS_AN_EPOCH * first


def listed(steps: np.ndarray) -> str:
    """The least and the most of them."""
    return f"{steps.min():g}" if steps.min() == steps.max() else f"{steps.min():g} to {steps.max():g}"
