"""Attention, and the positions it is told."""
