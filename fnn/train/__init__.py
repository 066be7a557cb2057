"""Training: a step, a source of batches, a record; ``make_train`` and ``fit``, two loops over them."""
