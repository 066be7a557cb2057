"""Tokens that a model writes: how one is drawn from its logits, and how a prompt is continued in one program."""
