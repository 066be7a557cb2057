"""Deep networks: how signals and gradients get through many layers."""
