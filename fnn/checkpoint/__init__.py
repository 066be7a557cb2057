"""Checkpoints: files that are written whole or not at all, and folders of them."""
