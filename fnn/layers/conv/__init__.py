"""Convolutions, and the windows and sums that they share."""
