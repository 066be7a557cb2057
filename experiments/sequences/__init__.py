"""Sequences: what has to be kept over time."""
