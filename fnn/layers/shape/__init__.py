"""Layers that move entries and change none."""
