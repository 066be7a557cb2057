"""Plants faults in the hand-written backward functions, and proves that the table of cases finds them.

operators   the kinds of fault: small rewritings of a syntax tree
targets     where faults are planted: the functions that a backward pass runs, found by tracing the table
subjects    what finds them: every row of the table, checked against ``jax.vjp`` without compiling anything
run         plants one fault after another and asks the rows
left        faults that only the full proof finds, and why
equivalent  rewritings that change nothing, each with the reason
"""
