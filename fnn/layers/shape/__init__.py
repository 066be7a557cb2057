"""Layers that change the shape of their input: reshape, transpose, pad, enlarge."""
