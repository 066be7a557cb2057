"""The benchmark: fnn against its peers, and the hand-derived rules against ``jax.grad``.

``experiment.py`` asks the question, states the claim and says how it is measured. ``steps/`` has four networks in every
library, ``layers/`` single layers in fnn and in Flax; ``compiling.py``, ``growth.py``, ``sweeping.py`` and ``rules.py``
are the other parts, each with a function ``measure``. ``measuring.py`` compiles, checks and times, ``peers.py`` knows
which libraries are there, ``sections.py``, ``pictures.py`` and ``earlier.py`` show what came out.
"""

from experiments.bench.experiment import Bench as Bench
