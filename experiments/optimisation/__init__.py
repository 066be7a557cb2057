"""How weights are found: descent, optimisers, and whether the gradient is right."""
