"""Reinforce: does a network learn to balance a pole from the reward alone, and what does a critic add?

Claims: a policy gradient (REINFORCE) reaches a mean return of 475 in every seed, and stays there; a critic lowers the
variance of the gradient estimate, and with it the steps of the environment that are needed.

Measure: cart-pole with the numbers and limits of CartPole-v1, in JAX. A network of 32 tanhs sees the state and gives
the logit of a push to the right. An update plays 100 episodes of at most 500 steps; its gradient estimate is that of
−(R − b) log p(a), by the hand rules, over all steps, where R is the reward to the end of the episode (no discount).
The baseline b is 0, or the output of a critic: a second network, which sees the time too and learns R from the
episodes of each update, but only after they have been used. Both learn by Adam. Counted are the steps that the
environment made up to the first update whose 100 episodes have a mean return of 475. Each way has its own best of
four rates, that with the least mean of steps over three seeds that are not reported. First weights and the chances of
a seed are the same for both ways. The variance is the trace of the covariance of the gradient of one episode, over
100 new ones, for the policies of the runs with a critic.

Result: both reach 475 in all 12 seeds, from 203,000 steps without a critic and 180,000 with it (medians, both at a rate
of 0.1); the critic is 1.09 times better in the median, but the sooner one in 7 of 12 seeds only, which says nothing. It
pays later: without it, 10 of 12 seeds fall below 400 again within 40 updates, down to 117; with it one does, to 349.
The variance without it is 1.8, 2.0, 6.4 and 1,080 times that with it after 2, 5, 10 and 20 updates, and at least 1.1
times in every seed: once no pole falls any more, R is the time left, which the critic knows. A first run had the rates
0.01, 0.03, 0.1 and 0.3, and chose by the median: with a critic that was 0.3, where 7 of 12 seeds failed, some
with policies that are certain and wrong. So the mean chooses, and the rates lie closer. The physics are those of
gymnasium 1.4.0 to 4e-16, over 2,000 random states. Seeds 0 to 11, 61 s of processor time, two CPU cores, Python 3.11.7,
jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import Claim, judge
from experiments.rewards import reinforce_plots
from experiments.rewards.cart_pole import LONGEST
from experiments.rewards.reinforce_scores import SOLVED, best, chance, lowest, needed, ratio, saved
from experiments.rewards.reinforce_training import episodes, policy, run_of, start, to_go, told, variances_of
from experiments.study import GRADIENTS, Figures, Study, compared

WAYS = "without a critic", "with a critic"
KEPT = 400
"""The mean return below which the pole counts as lost again."""


@dataclasses.dataclass(frozen=True)
class CartPole(Study):
    """The options of the experiment."""

    name = "reinforce"
    quick_options: ClassVar = {"seeds": 2, "rates": (0.1,), "updates": 15, "after": (5, 14)}

    seeds: int = 12
    """Runs of both ways, with the seeds seed, seed + 1, …; as many more, of all rates, choose the rate."""

    updates: int = 40
    """Steps of the policy."""

    environments: int = 100
    """Episodes in each update, side by side."""

    rates: tuple[float, ...] = (0.03, 0.05, 0.1, 0.2)
    """The learning rates of Adam of which each way has its best."""

    after: tuple[int, ...] = (0, 2, 5, 10, 20, 39)
    """The updates after which the variance is measured."""

    def __post_init__(self) -> None:
        if self.seeds % len(self.rates):
            raise ValueError(f"the seeds are shared among {len(self.rates)} rates; {self.seeds} leaves a rest")
        if max(self.after) >= self.updates:
            raise ValueError(f"there are {self.updates} updates, so none after {max(self.after)}")

    def measure(self) -> Figures:
        program = jax.jit(jax.vmap(jax.vmap(run_of, in_axes=(0, None, 0)), in_axes=(0, 0, None)))
        ways, shared = jnp.arange(len(WAYS)), self.seeds // len(self.rates)
        # The seeds that choose the rates are not those that are reported.
        tuning = self.starts(self.seeds, shared, repeated=len(self.rates))
        returns, _ = program(np.tile(np.repeat(self.rates, shared), (len(WAYS), 1)), ways, tuning)
        tried = np.asarray(returns).reshape(len(WAYS), len(self.rates), shared, -1)
        rates = np.array(self.rates)[best(needed(tried, self.steps(tried)), tried[..., -1])]
        runs = self.starts(0, self.seeds)
        returns, weights = program(np.repeat(rates[:, None], self.seeds, 1), ways, runs)
        returns = np.asarray(returns)
        # Policies and critics of the runs with a critic (seeds, after, …).
        kept = jax.tree.map(lambda leaf: leaf[1][:, np.array(self.after)], weights)
        _, first, chances = start(self.seed + 2 * self.seeds, 1, self.environments)
        variances = jax.vmap(jax.vmap(variances_of, in_axes=(0, None, None)), in_axes=(0, None, None))
        found, states, lengths = jax.jit(variances)(kept, first[0], chances[0])
        paths = [np.asarray(states)[0, place, : int(lengths[0, place])].round(4) for place in (0, -1)]
        return {
            "rates": rates.tolist(),
            "returns": returns.astype(float).round(2).tolist(),
            "steps": self.steps(returns).tolist(),
            "after": list(self.after),
            "variances": np.asarray(found).astype(float).tolist(),
            "episodes": {name: path[:, [0, 2]].tolist() for name, path in zip(("before", "after"), paths, strict=True)},
            GRADIENTS: gradients(*jax.tree.map(lambda leaf: leaf[0], runs)),
        }

    def starts(self, first: int, count: int, repeated: int = 1) -> tuple:
        """What ``start`` gives for some seeds, on the first axis, again and again."""
        each = [start(self.seed + first + i, self.updates, self.environments) for i in range(count)]
        return jax.tree.map(lambda *leaves: np.stack(leaves * repeated), *each)

    def steps(self, returns: np.ndarray) -> np.ndarray:
        """The steps of the environment that were used up to each update (on the last axis), with its own episodes."""
        return (self.environments * returns.astype(float)).cumsum(-1).round()

    def claims(self, figures: Figures) -> list[Claim]:
        returns, steps, after = np.array(figures["returns"]), np.array(figures["steps"]), figures["after"]
        used = needed(returns, steps)
        reached, ratios = np.isfinite(used).sum(1), ratio(*used)
        sooner, seeds = int((ratios > 1).sum()), returns.shape[1]
        ends = [lowest(*pair) for pair in zip(returns, used, strict=True)]
        lowered = saved(figures["variances"])
        lower = [place for place, each in zip(after, lowered.min(0), strict=True) if place and each > 1]
        trained = [place for place in after if place]
        medians = ", ".join(f"{each:.3g}" for each in np.median(lowered, 0))
        return [
            judge(
                f"It reaches a mean return of {SOLVED}",
                rule=f"in every seed, the mean return of an update is {SOLVED} or more (the most is {LONGEST}) within"
                f" {returns.shape[-1]} updates, with a critic and without",
                figure="; ".join(
                    f"{way}: {each} of {seeds} seeds, from {np.median(of):,.0f} steps of the environment (median;"
                    f" {of.min():,.0f} to {of.max():,.0f})"
                    for way, each, of in zip(WAYS, reached, used, strict=True)
                ),
                holds=reached.min() == seeds,
                only_when="there is a critic",
                there=reached[1] == seeds,
            ),
            judge(
                "Once there, it stays there",
                rule=f"from then to the last update, no mean return is below {KEPT}, in every seed, with a critic and"
                " without",
                figure="; ".join(
                    f"{way}: {(each >= KEPT).sum()} of {seeds} seeds, lowest {each.min():.0f}"
                    for way, each in zip(WAYS, ends, strict=True)
                ),
                holds=min(each.min() for each in ends) >= KEPT,
                only_when="there is a critic",
                there=ends[1].min() >= KEPT,
            ),
            judge(
                "The critic lowers the variance of the gradient estimate",
                rule="for the same policies, the variance without it is more than that with it, in every seed, after"
                f" each of {', '.join(map(str, trained))} updates",
                figure=f"{medians} times (medians) after {', '.join(map(str, after))} updates; at least"
                f" {lowered[:, np.array(after) > 0].min():.2g} times after 0",
                holds=lower == trained,
                only_when=f"it has learned for {' or '.join(map(str, lower))} updates",
                there=lower,
            ),
            judge(
                "The critic needs fewer steps of the environment",
                rule="the median over the seeds of the ratio of steps, without it over with it, is above 1 (then the"
                " critic is better), and so many ratios are above 1 that tosses of a coin do as well in less than 5 %",
                figure=f"{np.median(ratios):.2f} times ({ratios.min():.2f} to {ratios.max():.2f}); with it sooner in"
                f" {sooner} of {seeds} seeds, by chance in {chance(sooner, seeds):.1%}; rates of"
                f" {figures['rates'][0]:g} without and {figures['rates'][1]:g} with it",
                holds=np.median(ratios) > 1 and chance(sooner, seeds) < 0.05,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        reinforce_plots.learning(folder / "learning.png", figures, WAYS, saved(figures["variances"]), SOLVED)
        reinforce_plots.episodes(folder / "episodes.png", figures["episodes"])
        seeds = f"of {self.seeds} seeds, shaded from the lowest to the highest"
        return {
            "learning.png": "Left: mean return against the steps of the environment, each seed and, dotted, the level"
            f" that counts as balanced. Right: what the critic saves in variance, medians {seeds}.",
            "episodes.png": "An episode of the first seed before and after training with a critic, from the same first"
            " state; dotted: where an episode ends.",
        }


def gradients(params: tuple, first: np.ndarray, chances: np.ndarray) -> str:
    """The line that compares the gradients of the policy, on its first episodes."""
    states, right, running = jax.jit(episodes)(params[0], first[0, :5], chances[0, :40, :5])
    batch = states.reshape(-1, 4), told(right, to_go(running) * running)
    return compared(policy, params[0], {}, batch)
