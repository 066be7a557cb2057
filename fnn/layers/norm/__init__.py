"""Normalisation layers, and the one derivation they share."""
