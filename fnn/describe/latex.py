"""Converts equations in plain Unicode, as written in docstrings, to LaTeX.

A word of two letters or more is text, or a function if a bracket follows; d before a symbol makes its gradient; Unicode
sub- and superscripts, ``_(…)``, ``^(…)`` and ``√(…)`` group; two spaces become a wide one.
"""

import itertools
import re
import unicodedata
from typing import Any

_NAMES = """
    α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi ρ rho
    σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Φ Phi Ψ Psi Ω Omega
    Σ sum Π prod ∂ partial ∇ nabla ∞ infty ℓ ell … ldots · cdot ⊙ odot ⊗ otimes × times ÷ div ± pm ∘ circ ⊤ top
    ≤ leq ≥ geq ≠ neq ≈ approx ~ sim ∼ sim ∈ in ∉ notin ∪ cup ∩ cap ∧ wedge ∨ vee ¬ neg → to ⟹ Rightarrow ↦ mapsto
    ⟨ langle ⟩ rangle ‖ | ⌈ lceil ⌉ rceil ⌊ lfloor ⌋ rfloor { { } } % % # # & & $ $
"""
SYMBOLS = {letter: f"\\{name}" for letter, name in re.findall(r"(\S) (\S+)", _NAMES)}
SYMBOLS |= {"−": "-", "½": "\\frac{1}{2}", "*": "{*}", "\\": "\\backslash "}
ACCENTS = {"\u0302": "\\hat", "\u0303": "\\tilde", "\u0304": "\\bar", "\u0305": "\\bar", "\u0307": "\\dot"}
FUNCTIONS = {"argmax", "cos", "cosh", "exp", "log", "max", "min", "sin", "tanh"}
"""Functions that may be written without brackets."""

GRADIENTS = {"bias", "carry", "gate", "hidden", "kernel", "logits", "params", "prediction", "scale", "terms", "value"}

_OPENING = {"√": "\\sqrt"}
_WORD = r"(?!d[A-Za-z]\b)[A-Za-z]{2,}(?:[_-][A-Za-z]+)*"
_WORDS = re.compile(rf"{_WORD}(?: (?:a )?(?:{_WORD})(?![(\w]))*")
_TOKEN = re.compile(
    r"(?P<code>``[^`]+``)|(?P<wide>\s{2,})|(?P<space>\s)|(?P<group>[_^√]\()"
    r"|(?P<gradient>d(?=[^\W\d_][\u0302-\u0307]?(?![a-zA-Z])|(?:" + "|".join(sorted(GRADIENTS)) + r")\b))"
    r"|(?P<product>[a-z][A-Z]|[A-Z][a-z])(?![A-Za-z_])"
    rf"|(?P<word>{_WORD})"
    r"|(?P<number>\d+(?:\.\d+)?)|(?P<other>.)",
    re.DOTALL,
)


def latex(text: str) -> str:
    r"""An equation, words included, for LaTeX's math mode.

    >>> print(latex("dx = r (dx̂ − mean(dx̂)),  r = 1/√(σ²)"))
    \mathrm{d}x = r (\mathrm{d}\hat{x} - \operatorname{mean}(\mathrm{d}\hat{x})), \quad r = 1/\sqrt{\sigma^{2}}
    """
    text = re.sub(r"\s+=", " =", text)  # docstrings align equations by spaces
    text = "".join(_decomposed(character) for character in text)
    parts, place = [], 0
    while place < len(text):
        part, place = _next(text, place)
        parts.append(part)
    made = re.sub(r" {2,}", " ", "".join(parts)).strip()
    return re.sub(r"(\\[A-Za-z]+) (?=[_^{}\[\]()',;:/|]|$)", r"\1", made)


def _next(text: str, place: int) -> tuple[str, int]:
    """The LaTeX of the token at a place, and the place after it."""
    match: Any = _TOKEN.match(text, place)  # the last alternative takes anything
    kind, found, end = match.lastgroup, match.group(), match.end()
    if kind == "group":
        return _group(text, found[0], end)
    if kind == "gradient":
        return "\\mathrm{d}", end
    if kind == "word":
        return _words(text, place, match)
    if kind == "code":
        return f"\\mathtt{{{_escaped(found.strip('`'))}}}", end
    if kind == "wide":
        return " \\quad ", end
    if kind != "other":
        return found, end
    tag = _small(found)
    if tag:
        run = "".join(itertools.takewhile(lambda each: _small(each) == tag, text[place:]))
        return f"{tag}{{{''.join(_symbol(_full(each)) for each in run)}}}", place + len(run)
    if found in "_^√" and end < len(text):
        inside, end = _next(text, end)
        return f"{_OPENING.get(found, found)}{{{inside.strip()}}}", end
    accent = ACCENTS.get(text[end : end + 1])
    return (f"{accent}{{{_symbol(found)}}}", end + 1) if accent else (_symbol(found), end)


def _group(text: str, opening: str, start: int) -> tuple[str, int]:
    depth, end = 1, start
    while end < len(text) and depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    inside = latex(text[start : end - 1] if not depth else text[start:])
    return f"{_OPENING.get(opening, opening)}{{{inside}}}", end


def _words(text: str, place: int, match: re.Match) -> tuple[str, int]:
    """A function, or a run of words as text, with the surrounding spaces."""
    word, end = match.group(), match.end()
    name, _, index = word.partition("_")
    if name in FUNCTIONS or (text[end : end + 1] == "(" and index == ""):
        space = "" if text[end : end + 1] == "(" else " "
        return f"\\operatorname{{{name}}}" + (f"_{{{index}}}" if index else "") + space, end
    run = _WORDS.match(text, place) or match
    words = _escaped(run.group())
    before = " " if text[place - 1 : place] == " " else ""
    after = " " if text[run.end() : run.end() + 1] == " " else ""
    return f"\\text{{{before}{words}{after}}}", run.end()


def _symbol(character: str) -> str:
    return SYMBOLS.get(character, character) + (" " if SYMBOLS.get(character, "")[-1:].isalpha() else "")


def _small(character: str) -> str:
    """``^`` for a superscript character, ``_`` for a subscript, else an empty string."""
    return {"<super>": "^", "<sub>": "_"}.get(unicodedata.decomposition(character).partition(" ")[0], "")


def _full(character: str) -> str:
    return unicodedata.normalize("NFKD", character).replace("T", "⊤")


def _decomposed(character: str) -> str:
    parts = unicodedata.normalize("NFD", character)
    return parts if len(parts) == 2 and parts[1] in ACCENTS else character


def _escaped(text: str) -> str:
    return re.sub(r"([_%#&${}])", r"\\\1", text)
