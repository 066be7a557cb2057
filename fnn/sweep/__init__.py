"""Many runs in one compiled program: grids, placement, tables and plots."""
