"""Many runs at once: everything in one page, and runs side by side."""
