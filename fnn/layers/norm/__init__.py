"""Normalisation, and the one derivation behind it."""
