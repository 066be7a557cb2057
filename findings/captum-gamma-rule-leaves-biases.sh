#!/usr/bin/env bash
# captum 0.9.0, torch 2.13.0 (CPU), numpy 2.4.6, Python 3.11.
#
# LRP-γ raises what adds to an output, and the bias is one of its terms in the source (Montavon et al. 2019, §10.2.1:
# the sums run over the inputs and the bias, w₀ + γ w₀⁺ among the weights). captum's GammaRule raises the weights and
# leaves the bias as it is, so that with a positive bias the inputs get more relevance than by the formula; its option
# set_bias_to_zero drops the bias. Both agree where there is none.
#
# Seen, of y = x₁ − x₂/2 + 1 at x = (1, 1), γ = 1 (relevance of x₁ and x₂; by the formula):
#   1.2000 -0.3000  0.8571 -0.2143
# and without the bias:
#   0.6667 -0.1667  0.6667 -0.1667
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "torch==2.13.0" "numpy==2.4.6" "matplotlib" "tqdm" "packaging"
"$folder/venv/bin/python" -m pip install -q --no-deps "captum==0.9.0"
"$folder/venv/bin/python" - <<'PY'
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import GammaRule


def found(bias):
    layer = torch.nn.Linear(2, 1).double()
    layer.weight.data, layer.bias.data = torch.tensor([[1.0, -0.5]]).double(), torch.tensor([bias]).double()
    layer.rule = GammaRule(gamma=1.0)
    return LRP(torch.nn.Sequential(layer)).attribute(torch.ones(1, 2).double(), target=0)[0].tolist()


def formula(bias):
    weights, raised = [1.0, -0.5], lambda w: w + max(w, 0)
    output, below = sum(weights) + bias, sum(map(raised, weights)) + raised(bias)
    return [raised(w) / below * output for w in weights]


for bias, same in ((1.0, False), (0.0, True)):
    ours, theirs = formula(bias), found(bias)
    print(*(f"{each:.4f}" for each in theirs), "", *(f"{each:.4f}" for each in ours))
    if all(abs(a - b) < 1e-6 for a, b in zip(ours, theirs)) is not same:
        raise SystemExit("changed: captum's GammaRule treats the bias in another way now")
PY
