"""Generalisation: what a model gets right that it was not trained on."""
