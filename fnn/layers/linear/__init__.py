"""Layers that multiply by a kernel, or look one up."""
