"""The machine that JAX runs on: the guard against wrong results, and the doctor that looks for them."""
