"""What is handed in by mistake: looked at where it comes in, and refused with what to write instead."""
