"""What an experiment claims, what it measured, and the verdict that a stated rule reaches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

HEADINGS = ("claim", "figure", "verdict")


class Claim(NamedTuple):
    """A sentence that the figures can contradict.

    ``rule`` says in words how the verdict follows from the figures; ``judge`` is given its outcome.
    """

    claim: str
    rule: str
    figure: str
    verdict: str

    @property
    def holds(self) -> bool:
        """Whether it holds without a condition."""
        return self.verdict == "holds"

    def undecided(self) -> "Claim":
        """The claim of a run that is too short to decide it, with what the rule makes of this run.

        >>> judge("descent converges", rule="the loss is below 1", figure="7", holds=7 < 1).undecided().verdict
        'undecided; in this run it does not hold'
        """
        return self._replace(verdict=f"undecided; in this run it {self.verdict}")

    def row(self) -> tuple[str, str, str]:
        """One row of the table of claims."""
        return self.claim, self.figure, self.verdict


def judge(claim: str, *, rule: str, figure: str, holds: Any, only_when: str = "", there: Any = False) -> Claim:
    """The claim with its verdict: "holds", "holds only when …", or "does not hold".

    ``holds``: whether the rule is met everywhere. ``there``: whether it is met under the condition ``only_when``, which
    counts if it is not met everywhere.

    >>> judge("descent converges", rule="the loss is below 1", figure="0.3", holds=0.3 < 1).verdict
    'holds'
    >>> judge("descent converges", rule="the loss is below 1", figure="7", holds=7 < 1).verdict
    'does not hold'
    >>> judge("it dies", rule="…", figure="…", holds=False, only_when="the unit is a ReLU", there=True).verdict
    'holds only when the unit is a ReLU'
    """
    otherwise = f"holds only when {only_when}" if only_when and there else "does not hold"
    return Claim(claim, rule, figure, "holds" if holds else otherwise)


def verdict(claims: Sequence[Claim], claim: str) -> str:
    """The verdict on the one claim that contains these words.

    Errors: ``LookupError`` if not exactly one does.
    """
    found = [each.verdict for each in claims if claim in each.claim]
    if len(found) != 1:
        raise LookupError(f"{len(found)} claims contain {claim!r}: {[each.claim for each in claims]}")
    return found[0]
