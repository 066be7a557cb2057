"""The claims of the experiment on characters, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.intervals import half_of_mean
from experiments.sequences.characters_networks import KINDS
from experiments.study import Figures

ALL, AS_MANY = "n-gram of the whole text", "n-gram of as much text"


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    bits = {name: np.array(each) for name, each in figures["bits"].items()}
    both = list(figures["losses"])
    compressor = min(figures["compressed"], key=lambda name: figures["compressed"][name]["after the training text"])
    least = figures["compressed"][compressor]["after the training text"]

    def fewer(name: str, reference: np.ndarray) -> bool:
        # The seeds of two networks are compared in pairs.
        ends = [each.mean() + half_of_mean(each) for each in bits[name] - reference]
        return max(ends) < 0

    def claim(what: str, reference: np.ndarray, shown: str) -> Claim:
        who = [name for name in both if fewer(name, reference)]
        networks = " and ".join(f"the {name}" for name in both)
        return judge(
            f"Predictions by {networks} take fewer bits per character than {what}",
            rule="for each, in every seed, the 95 % interval of the mean difference over blocks of text is below 0",
            figure=f"{', '.join(f'{name} {mean_of(bits[name])}' for name in both)}; {shown}",
            holds=len(who) == len(both),
            only_when=f"the network is the {' or '.join(who)}",
            there=len(who) > 0,
        )

    claims = [
        claim("by the frequencies of characters", bits["single characters"], mean_of(bits["single characters"])),
        claim(
            "by n-grams of the whole training text",
            bits[ALL],
            f"{figures['orders'][ALL]}-grams {mean_of(bits[ALL])}",
        ),
        claim(
            "by n-grams of as much text as they see",
            bits[AS_MANY],
            f"{figures['orders'][AS_MANY]}-grams {mean_of(bits[AS_MANY])}",
        ),
        claim("by a compressor after the training text", np.array(least), f"{compressor} {least:.2f}"),
    ]
    if len(both) > 1:
        claims.append(
            judge(
                "The transformer needs fewer bits per character than the LSTM",
                rule="in every seed, the 95 % interval of the mean difference over blocks of text is below 0",
                figure=f"{mean_of(bits['transformer'])} against {mean_of(bits['LSTM'])}",
                holds=fewer("transformer", bits["LSTM"]),
            )
        )
    if kinds := figures["kinds"]:
        found = {name: np.array(each["bits"]) for name, each in kinds.items()}
        plain = np.min([found[name] for name, (_, gated) in KINDS.items() if name in found and not gated], 0)
        gated = [name for name, (_, gated) in KINDS.items() if name in found and gated]
        ahead = [name for name in gated if (found[name] < plain).all()]
        claims.append(
            judge(
                "At equal size, a gated feed-forward part needs fewer bits than one without a gate",
                rule="in every seed, each of the gated kinds needs fewer bits than the better of ReLU and GELU",
                figure=", ".join(f"{name} {each.mean():.3f}" for name, each in found.items()),
                holds=len(ahead) == len(gated),
                only_when=f"it is {' or '.join(ahead)}",
                there=len(ahead) > 0,
            )
        )
    return claims


def mean_of(bits: np.ndarray) -> str:
    """The mean over the seeds, with its 95 % interval over the blocks."""
    return f"{bits.mean():.2f} ± {half_of_mean(bits.mean(0)):.2f}"
