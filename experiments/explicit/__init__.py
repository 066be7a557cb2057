"""What an explicit backward is good for, beyond gradients."""
