"""Attributions with one rule for some layers and another for the rest."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fnn.layer import Layer, Params, State
from fnn.paths import matches
from fnn.ruled import check_apart
from fnn.rules.attribution import Attribution, GradientTimesInput
from fnn.values import FrozenDict


@dataclasses.dataclass(frozen=True)
class Composite(GradientTimesInput):
    """Rules by path: ``Composite({"conv_*": ZPlus(), "head": Epsilon(0)}, Epsilon())``.

    Backward:  at every layer that of the rule whose glob matches its path, of ``default`` where none does;
               relevance x ⊙ g

    The rules are those that pass on a signal g with relevance x ⊙ g: ``GradientTimesInput``, ``Epsilon``, ``Gamma``,
    ``ZPlus`` and subclasses of them.

    Errors: ``TypeError`` for another rule; when it runs, ``ValueError`` for a glob that matches no layer or two that
    match the same one.

    Source: Montavon et al. 2019, §10.3 (rules that differ from the lower to the upper layers).
    """

    rules: Mapping[str, Attribution] = FrozenDict()
    default: Attribution = dataclasses.field(default_factory=GradientTimesInput)

    def __post_init__(self) -> None:
        if not isinstance(self.rules, Mapping):
            raise TypeError(f"the rules of a composite are a dict {{glob: rule}}, got {self.rules!r}")
        for rule in (*self.rules.values(), self.default):
            if not isinstance(rule, GradientTimesInput) or isinstance(rule, Composite):
                raise TypeError(f"a rule of a composite passes on x ⊙ g, as Epsilon() does, got {rule!r}")
        object.__setattr__(self, "rules", FrozenDict(self.rules))

    def at(self, path: str) -> Attribution:
        return next((rule for glob, rule in self.rules.items() if matches(glob, path)), self.default)

    def run(self, model: Layer, params: Params, state: State, x: Any, target: Any) -> Any:
        check_apart(model, self.rules)
        return super().run(model, params, state, x, target)
