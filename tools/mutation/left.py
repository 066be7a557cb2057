"""Functions in which the quick proof leaves planted faults to the full one, each with the reason."""

from tools.mutation.targets import Place

LEFT: dict[Place, str] = {}
