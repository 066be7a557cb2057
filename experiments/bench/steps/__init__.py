"""Whole training steps: the same four networks in fnn and in the libraries that a user would run instead."""
