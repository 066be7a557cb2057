"""Developer tools, not tests: planting faults (``python -m tools.mutate``) and timing (``python -m tools.speed``)."""
