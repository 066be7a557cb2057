"""Sequences of different lengths, and how their lengths go through a model."""
