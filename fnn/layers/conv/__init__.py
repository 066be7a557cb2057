"""Convolutions, and what they share."""
