"""What else a backward pass can return: tools made of ``backprop`` with a rule."""
