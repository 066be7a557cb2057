"""Models as programs: one file that runs without the code of the model.

fnn.export.jax(model, params, state, x, "digits.fnn")        # x: an example, or its shapes
program = fnn.export.load("digits.fnn")                      # in a process that knows nothing of the model
program(images)                                              # any number of them
"""

from fnn.export.program import Program as Program
from fnn.export.program import export_jax as jax
from fnn.export.program import load as load

__all__ = ["Program", "jax", "load"]
