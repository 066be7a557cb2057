"""Faults planted in the hand-written backward functions, and the proof that the table of cases finds them.

operators   what a fault is: small rewritings of a syntax tree
targets     where faults are planted: the functions that a backward pass runs, found by tracing the table
subjects    what finds them: every row of the table, checked against ``jax.vjp`` without compiling anything
run         plants one fault after another and asks the rows
left        where the quick proof leaves faults to the full one, and why
equivalent  rewritings that change nothing, each with the reason
"""
