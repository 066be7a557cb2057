"""The machine underneath: guards against wrong results, and the doctor that looks for them."""
