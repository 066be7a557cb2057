"""Activations: entry by entry, and over a few channels."""
