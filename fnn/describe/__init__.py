"""What a model is, for a reader: its sizes and costs, its derivation, and how text is printed."""
