"""Self-organising map: do neighbouring units become similar, and what does that cost?

Claims: a map quantises as well as k-means with as many units; its neighbouring units are similar; without a
neighbourhood (radius 0) the topology is lost; its update is a step of gradient descent.

Measure: a sample x at a time, every unit w moves by η h (x − w), with h = exp(−d² / 2r²) at the distance d on the grid
from the winner, the unit nearest to x. The 150 irises, standardised, on 7 × 7 units, and 1293 digits on 10 × 10; the
units start as samples. η falls from 0.5 to 0.02 and the radius r from 3 (iris) or 5 (digits), both exponentially: to
0.5 ("map"), or to 0.1, where h of a neighbour is below 1e-21 ("shrunk"); "none" has only the winner throughout. All
seeds and kinds run in one program. The quantisation error is the mean squared distance to the nearest unit;
scikit-learn's k-means starts once, from k-means++, with the same seeds. Likeness is the mean distance between the
weights of neighbours on the grid, as a share of that between any two units; it is compared with 1000 random placements
of the same units. The topographic error is the share of samples whose two nearest units do not touch, not even at a
corner.

Result: a map costs accuracy, 1.25 to 1.28 times the error of k-means on digits and 1.96 to 2.33 times on iris; shrunk,
1.02 to 1.04 and 1.15 to 1.40; none is as accurate. Neighbours are 0.32 (iris) and 0.42 (digits) as far apart as any two
units, at most, where chance gives 0.82 and 0.94 at least; the topographic error is 3 to 13 % and 4 to 5 %. Shrunk, it
is 5 to 13 % and 12 to 23 %, four times the map's on digits; none has 73 to 96 %, and neighbours no more alike than by
chance. The update is the gradient step within 3e-16. Seeds 0 to 9, 19 s of processor time, two CPU cores, Python
3.11.7, jax 0.9.2.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from scipy.spatial.distance import cdist

from experiments import data
from experiments.claims import Claim, judge
from experiments.study import Figures, Study, seeds_of
from experiments.unsupervised import som_plots
from experiments.unsupervised.som_training import (
    likeness,
    places,
    quantisation,
    topographic_error,
    trained,
    update_error,
)

SIDES = {"iris": 7, "digits": 10}
"""The side of the grid of units."""

ENDS = {"map": 0.5, "shrunk": 0.1, "none": 0.0}
"""The radius at the end, by kind; the last has none from the start."""

PLACEMENTS = 1000
"""How many random placements of the units there are."""

CLOSE = 1.05
"""Up to this many times the quantisation error of k-means, a map quantises as well."""


@dataclasses.dataclass(frozen=True)
class SelfOrganisingMap(Study):
    """The options of the experiment."""

    name = "som"
    quick_options: ClassVar = {"seeds": 2, "steps": 3000}

    seeds: int = 10
    """How many maps of each kind, and how many runs of k-means, with the seeds seed, seed + 1, …"""

    steps: int = 30_000
    """Samples shown, drawn with replacement."""

    def measure(self) -> Figures:
        iris, digits = data.load_iris(), data.load_digits().train
        samples = {
            "iris": (data.standardized(iris.x), iris.y),
            "digits": (digits.images.reshape(len(digits.images), -1), digits.labels),
        }
        return {
            "sets": {name: self.maps(SIDES[name], *each) for name, each in samples.items()},
            "update error": update_error(samples["digits"][0], self.seed),
        }

    def maps(self, side: int, x: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """The errors of every kind of map and of k-means on these samples, and the maps of the first seed."""
        grid, random = places(side), np.random.default_rng(self.seed)
        radii = np.array([(side / 2 if end else 0, end) for end in ENDS.values()], np.float32)
        one = functools.partial(trained, steps=self.steps)
        every = jax.jit(jax.vmap(jax.vmap(one, (0, None, None, None)), (None, 0, None, None)))
        found = np.asarray(every(seeds_of(self.seed, self.seeds), radii, x, grid))
        orders = np.stack([np.arange(side**2), *(random.permutation(side**2) for _ in range(PLACEMENTS))])
        kinds = {}
        for name, maps in zip(ENDS, found, strict=True):
            placed = np.array([likeness(each, grid, orders) for each in maps])
            kinds[name] = {
                "quantisation": [quantisation(x, each) for each in maps],
                "likeness": placed[:, 0].tolist(),
                "lowest": placed[:, 1:].min(1).tolist(),
                "topographic": [topographic_error(x, each, grid) for each in maps],
            }
        for name in ("map", "none"):
            # The maps of the first seed, to be drawn; flat, as JSON indents every number.
            kinds[name]["first"] = found[list(ENDS).index(name), 0].ravel().astype(float).round(2).tolist()
        winners = cdist(x, found[0, 0]).argmin(1)
        hits = np.zeros((side**2, labels.max() + 1), int)
        np.add.at(hits, (winners, labels), 1)
        return {"kinds": kinds, "k-means": self.k_means(x, side**2), "hits": hits.tolist()}

    def k_means(self, x: np.ndarray, units: int) -> list[float]:
        """The quantisation error of each seed."""
        # Imported here so that listing the experiments does not import scikit-learn.
        from sklearn.cluster import KMeans

        seeds = range(self.seed, self.seed + self.seeds)
        once: Any = 1  # which its signature calls a string
        fitted = [KMeans(units, n_init=once, random_state=seed).fit(x) for seed in seeds]
        return [quantisation(x, each.cluster_centers_) for each in fitted]

    def claims(self, figures: Figures) -> list[Claim]:
        sets = figures["sets"]
        judged = []
        for name, found in sets.items():
            kinds = {kind: {key: np.array(each) for key, each in its.items()} for kind, its in found["kinds"].items()}
            times = {kind: its["quantisation"] / found["k-means"] for kind, its in kinds.items()}
            ordered = {kind: its["likeness"] < its["lowest"] for kind, its in kinds.items()}
            wrong = {kind: its["topographic"] for kind, its in kinds.items()}
            judged += [
                judge(
                    f"A map of {name} quantises as well as k-means with as many units",
                    rule=f"its quantisation error is at most {CLOSE:g} times that of k-means, in every seed",
                    figure="; ".join(f"{kind} {each.min():.2f} to {each.max():.2f}" for kind, each in times.items())
                    + " times that of k-means",
                    holds=times["map"].max() <= CLOSE,
                    only_when="the radius shrinks to nothing at the end",
                    there=times["shrunk"].max() <= CLOSE,
                ),
                judge(
                    f"Neighbouring units of a map of {name} are similar",
                    rule="their likeness is below that of every random placement, in every seed",
                    figure=f"{kinds['map']['likeness'].max():.2f} at most, by chance {kinds['map']['lowest'].min():.2f}"
                    f" at least; topographic error {wrong['map'].min():.0%} to {wrong['map'].max():.0%}",
                    holds=ordered["map"].all(),
                ),
                judge(
                    f"A radius that shrinks to nothing keeps the topology of {name}",
                    rule="neighbours are still more alike than in every random placement, in every seed, and the"
                    " topographic error is at most twice that of the map, on average",
                    figure=f"likeness {kinds['shrunk']['likeness'].max():.2f} at most; topographic error"
                    f" {wrong['shrunk'].min():.0%} to {wrong['shrunk'].max():.0%}",
                    holds=ordered["shrunk"].all() and wrong["shrunk"].mean() <= 2 * wrong["map"].mean(),
                ),
                judge(
                    f"Without a neighbourhood the topology of {name} is lost",
                    rule="in no seed are neighbours more alike than in every random placement, and in every seed the"
                    " topographic error is at least twice that of the map",
                    figure=f"likeness {kinds['none']['likeness'].min():.2f} at least; topographic error"
                    f" {wrong['none'].min():.0%} to {wrong['none'].max():.0%}",
                    holds=not ordered["none"].any() and (wrong["none"] >= 2 * wrong["map"]).all(),
                ),
            ]
        judged.append(
            judge(
                "With the winner held fixed, the update is a step of gradient descent on ½ Σ h ‖x − w‖²",
                rule="it differs from −η times jax.grad by less than 1e-12, relatively, in float64",
                figure=f"{figures['update error']:.1e}",
                holds=figures["update error"] < 1e-12,
            )
        )
        return judged

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        sets = figures["sets"]
        som_plots.prototypes(folder / "digits.png", sets["digits"]["kinds"], SIDES["digits"])
        som_plots.species(folder / "iris.png", sets["iris"], SIDES["iris"])
        som_plots.trade(folder / "errors.png", sets)
        return {
            "digits.png": "The units of the first seed, each as an image, in their places on the grid.",
            "iris.png": "The map of the first seed. Shaded: the mean distance of a unit's weights to those of its"
            " neighbours (U-matrix). Marked: the irises that it wins, by species; the area is their number.",
            "errors.png": "A dot for each seed, and the mean as a bar.",
        }
