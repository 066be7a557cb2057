"""A model for its reader: sizes and costs, the derivation, and how text is printed."""
