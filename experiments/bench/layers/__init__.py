"""Single layers, forward and backward in training, in fnn and in Flax's linen."""
