"""Series: do networks forecast a real series better than its last value does, and better than ridge regression?

Claims: an LSTM and a feed-forward network forecast the membrane potential of a nerve cell better than naive forecasts
and than ridge regression, and the LSTM better than the other network; they forecast the volume of a stock better than
naive forecasts and than ridge regression; its price, nothing forecasts better than the last value.

Measure: the potential once every ms while the cell is depolarised (5000 values), and the logarithms of the volume and
of the price of Google's stock on 1047 days. In time, the first 60 % train, the next 20 % validate, the last 20 % test;
no window has a target in two parts, and means and scales are those of the training part. From 32 values (of the price:
32 changes) the changes over the next 1, 5 and 20 steps are foretold. Naive forecasts: the last value; of potential and
volume also the value a season before (71 ms, the most similar shift in the training part; 5 days), of the price the
last value with the mean drift. Ridge has its own best of nine strengths for every horizon, a network (1,203 or 1,191
parameters) its best of three rates of Adam and its best epoch, all by the validation error. "Better than" compares mean
squared errors on the test part: the 95 % interval of their ratio, by bootstrap over ten blocks of time and the seeds,
is below 1. "Naive" is the better of the two naive forecasts on the test part.

Result: on the potential, the feed-forward network's errors are 0.54, 0.49 and 1.04 times the better naive forecast's at
1, 5 and 20 ms, the LSTM's 0.95, 0.77 and 0.79; only at 5 ms are both better. Against ridge regression it is 0.87, 0.65
and 1.54 for the feed-forward network, 1.54, 1.03 and 1.16 for the LSTM: only one network at one horizon (5 ms) is
better. The LSTM is better than the other network at 20 ms alone. The cell fires regularly where they train, and
irregularly later; no forecast reaches the height of a spike 5 ms before it. On the volume both have 0.71 to 0.95 times
the naive errors, but with 191 days the intervals reach 1 (all but the LSTM's at 20 days), and 0.94 to 1.05 times those
of ridge regression. On the price nothing beats the last value: ridge and networks have 1.02 to 1.29 times its error.
Seeds 0 to 2, 58 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments import runs
from experiments.claims import Claim, judge
from experiments.sequences import series_plots
from experiments.sequences.series_problem import HORIZONS, NETWORKS, forecasts, parts_of, ridge_forecasts, tasks
from experiments.sequences.series_scores import better, listed, naive_of, ratios, shown, squares
from experiments.study import GRADIENTS, Figures, Study, compared

SHOWN = {"membrane": 300, "price": 190}
"""The series of which forecasts 5 steps ahead are pictured, and how many of them."""


@dataclasses.dataclass(frozen=True)
class SeriesForecasts(Study):
    """The options of the experiment."""

    name = "series"
    quick_options: ClassVar = {"epochs": 2, "seeds": 2, "rates": (0.003,)}

    epochs: int = 12
    """Passes over the training part of the longest series; the others have as many steps."""

    seeds: int = 3
    """Networks of each kind, with the seeds seed, seed + 1, …"""

    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    """The learning rates of which each network has its best for every series."""

    def measure(self) -> Figures:
        series = tasks()
        parts = {name: parts_of(task) for name, task in series.items()}
        seeds = range(self.seed, self.seed + self.seeds)
        trained = {
            name: forecasts(model, self.rates, seeds, self.epochs, list(parts.values()))
            for name, model in NETWORKS.items()
        }
        errors, chosen, pictured = {}, {}, {}
        for place, (name, (training, validation, test)) in enumerate(parts.items()):
            fitted, strengths = ridge_forecasts(training, validation, test)
            found = {"last value": 0 * test.changes, naive_of(name): test.naive, "ridge": fitted}
            # (methods, seeds, N, horizons); what has no seed has one.
            found = {method: each[None] for method, each in found.items()}
            chosen[name] = {"ridge": strengths}
            for method, (foretold, watched) in trained.items():
                best = int(watched[place].min(-1).mean(-1).argmin())
                found[method] = foretold[place, best, :, : len(test.seen)]
                epochs = (watched[place, best].argmin(-1) + 1).tolist()
                chosen[name][method] = {"rate": self.rates[best], "epochs": epochs}
            errors[name] = {
                method: squares((each - test.changes) * test.scale).tolist() for method, each in found.items()
            }
            if name in SHOWN:
                pictured[name] = series_plots.piece(found, test, SHOWN[name])
        objective, training = fnn.Objective(NETWORKS["feed-forward"], fnn.MeanSquaredError()), parts["price"][0]
        batch = training.seen[:8, :, None].astype(np.float32), training.changes[:8].astype(np.float32)
        params, state = jax.jit(objective.init)(jax.random.key(self.seed), batch[0])
        return {
            "errors": errors,
            "tested": {name: len(each[2].seen) for name, each in parts.items()},
            "season": series["membrane"].season,
            "chosen": chosen,
            "pictured": pictured,
            GRADIENTS: compared(objective, params, state, batch),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        errors = {
            name: {way: np.array(each) for way, each in found.items()} for name, found in figures["errors"].items()
        }
        both = tuple(NETWORKS)

        def claim(text: str, name: str, against: str, methods: tuple[str, ...] = both, rival: str = "") -> Claim:
            found = {each: ratios(errors[name][each], errors[name], against) for each in methods}
            horizons = np.all([better(each) for each in found.values()], 0)
            whose = "that of the better naive forecast" if against == "naive" else f"that of {rival or against}"
            who = " and ".join(f"the {each}'s" for each in methods)
            return judge(
                text,
                rule=f"at every horizon the 95 % interval of {who} mean squared error over {whose} is below 1",
                figure=shown(found),
                holds=horizons.all(),
                only_when=f"the horizon is {listed(horizons)}",
                there=horizons.any(),
            )

        price = {each: ratios(errors["price"][each], errors["price"], "last value") for each in ("ridge", *both)}
        beaten = np.any([better(each) for each in price.values()], 0)
        return [
            claim("Both networks forecast the membrane potential better than naive forecasts", "membrane", "naive"),
            claim("Both networks forecast the membrane potential better than ridge regression", "membrane", "ridge"),
            claim(
                "The LSTM forecasts the membrane potential better than the feed-forward network",
                "membrane",
                "feed-forward",
                ("LSTM",),
                "the feed-forward network",
            ),
            claim("Both networks forecast the volume of a stock better than naive forecasts", "volume", "naive"),
            claim("Both networks forecast the volume of a stock better than ridge regression", "volume", "ridge"),
            judge(
                "Nothing forecasts the price of a stock better than its last value",
                rule="at no horizon is the 95 % interval of the mean squared error of ridge regression or of a network"
                " over that of the last value below 1",
                figure=shown(price),
                holds=not beaten.any(),
                only_when=f"the horizon is {listed(~beaten)}",
                there=not beaten.all(),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        series_plots.errors(folder / "errors.png", figures["errors"])
        series_plots.forecasts(folder / "forecasts.png", figures["pictured"])
        seeds = len(figures["errors"]["price"]["LSTM"])
        return {
            "errors.png": f"Mean squared errors on the test part over that of the last value (means of {seeds} seeds;"
            " bars: 95 % intervals, by bootstrap over ten blocks of time and the seeds).",
            "forecasts.png": "Test values and what was forecast 5 steps before them (networks: the first seed).",
        }

    def tables(self, figures: Figures) -> list[str]:
        rows = []
        for name, found in figures["errors"].items():
            for method, each in found.items():
                roots = np.sqrt(np.array(each).sum(1).mean(0) / figures["tested"][name])
                shown = [f"{root:.2f} mV" if name == "membrane" else f"{100 * root:.1f} %" for root in roots]
                rows.append((name, method, *shown, choice(figures["chosen"][name].get(method))))
        headings = ("series", "forecast", *(f"{each} ahead" for each in HORIZONS), "chosen on the validation part")
        table = runs.markdown_table(headings, rows, words=2)
        return [f"## Root mean squared errors on the test part\n\n(% = hundredths of the logarithm)\n\n{table}"]


def choice(chosen: Any) -> str:
    """What was chosen, in words."""
    if isinstance(chosen, dict):
        return f"rate {chosen['rate']:g}, epochs {', '.join(map(str, chosen['epochs']))}"
    return f"strengths {', '.join(f'{each:g}' for each in chosen)}" if chosen else ""
