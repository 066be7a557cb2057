#!/usr/bin/env bash
# torch 2.13.0 (CPU), numpy 2.4.6, Python 3.11.
#
# In float64 the value of CELU is right to the last bit and its gradient is not: on the way back alpha passes through
# float32. So the slope e^(x/α) is exact for an α that float32 can hold (3) and wrong by 4e-8 for one that it cannot
# (1.3). The slope 1/6 of hardsigmoid is float32's, too, wrong by 5e-9. gradcheck, at its own tolerances, passes both;
# whoever holds another implementation to PyTorch's float64 gradients at 1e-12 finds a fault that is not theirs.
#
# Seen, the largest errors on [−3, 3] of value and gradient at α = 3 and α = 1.3, then hardsigmoid's slope at 0:
#   2.2e-16 5.6e-17
#   0.0e+00 3.7e-08
#   5.0e-09
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "torch==2.13.0" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import torch
from torch.autograd import grad, gradcheck
from torch.nn.functional import celu, hardsigmoid

x = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)


def errors(alpha):
    value = torch.where(x > 0, x, alpha * torch.expm1(x / alpha))
    slope = torch.where(x > 0, 1, torch.exp(x / alpha))
    y = celu(x, alpha=alpha)
    return [float((ours - right).abs().max().detach()) for ours, right in ((y, value), (grad(y.sum(), x)[0], slope))]


exact, rounded = errors(3.0), errors(1.3)
zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
sixth = abs(float(grad(hardsigmoid(zero).sum(), zero)[0]) - 1 / 6)
print(*(f"{each:.1e}" for each in exact))
print(*(f"{each:.1e}" for each in rounded))
print(f"{sixth:.1e}")
assert max(*exact, rounded[0]) < 1e-15
assert 1e-8 < rounded[1] < 1e-7
assert 1e-9 < sixth < 1e-8
away = torch.tensor([-2.9, -1.1, 0.7], dtype=torch.float64, requires_grad=True)
assert gradcheck(lambda x: celu(x, alpha=1.3), (away,)) and gradcheck(hardsigmoid, (away,))
PY
