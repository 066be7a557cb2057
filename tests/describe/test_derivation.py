"""The equations of the docstrings, written out as Markdown with LaTeX."""

import dataclasses
import re

import jax.numpy as jnp
import pytest
from matplotlib.mathtext import MathTextParser

import fnn
from fnn.describe.derivation import equations_of
from fnn.describe.latex import latex
from fnn.layer import Layer
from tests.cases import LAYERS, LOSSES, PENALTIES

CLASSES = sorted(
    {type(case.layer) for case in LAYERS if type(case.layer).__module__.startswith("fnn.")}
    | {type(case.loss) for case in LOSSES}
    | {type(case.penalty) for case in PENALTIES},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y = x W + b", r"y = x W + b"),
        ("dW = xᵀ dy,  db = Σ dy", r"\mathrm{d}W = x^{\top} \mathrm{d}y, \quad \mathrm{d}b = \sum \mathrm{d}y"),
        ("x̂ = (x − μ) r,  r = 1/√(σ² + ε)", r"\hat{x} = (x - \mu) r, \quad r = 1/\sqrt{\sigma^{2} + \varepsilon}"),
        ("Φ(x) = ½ (1 + erf(x/√2))", r"\Phi(x) = \frac{1}{2} (1 + \operatorname{erf}(x/\sqrt{2}))"),
        ("yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m)", r"y_{i} = e^{x_{i} - m} / \sum_{j} e^{x_{j} - m}"),
        ("Σ_(o: o·s + k = i) dy[o]", r"\sum_{o: o\cdot s + k = i} \mathrm{d}y[o]"),
        ("y = x where x > 0, else 0", r"y = x \text{ where } x > 0, \text{ else } 0"),
        ("e⁻ᶻ and xᵢ₊₁", r"e^{-z} \text{ and } x_{i+1}"),
        ("dŷ and dγ ⊙ ``scale_x``", r"\mathrm{d}\hat{y} \text{ and } \mathrm{d}\gamma \odot \mathtt{scale\_x}"),
        ("dvalue · max_k x", r"\mathrm{d}\text{value } \cdot \operatorname{max}_{k} x"),
        ("the means over a row of decay", r"\text{the means over a row of decay}"),
        ("e^(−(x + 1)²) {a}", r"e^{-(x + 1)^{2}} \{a\}"),
        ("θ_target = t(θ_source)", r"\theta_{\text{target }} = t(\theta_{\text{source}})"),
    ],
)
def test_the_notation_of_docstrings_as_latex(text: str, expected: str):
    assert latex(text) == expected


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_class_has_equations_in_both_directions_that_typeset(kind: type):
    paragraphs = equations_of(kind)
    assert {each.heading.split(",")[0].split()[0] for each in paragraphs} == {"Forward", "Backward"}
    parser = MathTextParser("path")
    for line in (line for each in paragraphs for line in each.lines):
        parser.parse(f"${latex(line)}$")


def test_a_model_in_the_order_of_its_layers():
    model = fnn.Serial(fnn.Dense(8), fnn.Relu(), body=fnn.Residual(fnn.Dense(8)), out=fnn.Dense(3))
    text = fnn.derivation(fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(0.1),)))
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [
        "`Serial(…)`",
        "dense_0: `Dense(features=8)`",
        "relu_0: `Relu()`",
        "body: `Residual(…)`",
        "body: `Dense(features=8)`",
        "out: `Dense(features=3)`",
        "loss: `CrossEntropy(class_weight=None, label_smoothing=0.0, ignore_index=None, z_loss=0.0)`",
        "penalty: `L2(strength=0.1, paths='*/kernel')`",
    ]
    assert text.count("$$y = x W + b$$") == 1
    assert text.count("See `dense_0`.") == 2
    assert text._repr_markdown_() == text


def test_several_forwards_and_equations_set_apart_are_all_there():
    headings = [each.heading for each in equations_of(fnn.BatchNorm)]
    assert headings == ["Forward, in training", "Forward, in inference", "Backward"]
    conv = equations_of(fnn.Conv)
    assert [len(each.lines) for each in conv] == [1, 3]
    assert conv[0].lines[0].startswith("y[n, o, f] = b[f]")


@dataclasses.dataclass(frozen=True)
class Sine(Layer):
    """The sine.

    Forward:   y = sin x
    """

    def apply(self, params, state, x, *, train=False, key=None):
        return jnp.sin(x), state


def test_a_layer_without_a_hand_rule_says_so():
    text = fnn.derivation(Sine())
    assert "$$y = \\operatorname{sin} x$$" in text
    assert "this layer has no hand-derived rule" in text
    assert "this layer has no hand-derived rule" not in fnn.derivation(fnn.Serial(fnn.Relu()))


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match=r"expected a layer, .* or an Objective, got.*did you mean Dense\(…\)\?"):
        fnn.derivation(fnn.Dense)
