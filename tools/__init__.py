"""Tools of this project that are no tests: planting faults (``python -m tools.mutate``), timing (``tools.speed``)."""
