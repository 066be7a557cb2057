"""Any value as text that is the same in every process, to tell whether two are the same."""
