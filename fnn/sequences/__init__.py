"""Sequences of different lengths, and how lengths travel through a model."""
