"""Layers that multiply by a kernel, or look up rows of a table."""
