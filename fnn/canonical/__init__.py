"""Any value as text that is the same in every process, so that values of different processes can be compared."""
