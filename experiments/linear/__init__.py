"""Linear models: one layer."""
