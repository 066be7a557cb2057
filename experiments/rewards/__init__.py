"""Learning from a reward instead of targets."""
