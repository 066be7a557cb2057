"""A run that is killed: ``python killed_run.py FOLDER DATA KILL_AT RESULT SIGNAL``, for ``test_resume.py``.

Goes on from the checkpoints in FOLDER, saves at every moment, sends itself SIGNAL a random while after step KILL_AT,
and writes what it learned to RESULT if it comes to its end.
"""

import os
import random
import signal
import sys
import threading

import jax
import numpy as np

import fnn
import fnn.train.pace
import fnn.train.stream
from fnn.train.callbacks import Run
from tests.compilation import compile_cheaply

EPOCHS, BATCH = 6, 8


def kill() -> None:
    os.kill(os.getpid(), signal.Signals[sys.argv[5]])


class KillAt(fnn.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_steps(self, run: Run) -> None:
        if run.steps >= self.step:  # in this step, in one of the next, or while a checkpoint is written
            threading.Timer(random.uniform(0, 0.03), kill).start()
            self.step = sys.maxsize


def main(folder: str, kind: str, kill_at: int, result: str) -> None:
    compile_cheaply()
    fnn.train.pace.SECONDS_A_CALL = 0.0  # one step a call
    fnn.train.stream.BATCHES_A_GROUP = 2
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(45, 4)).astype(np.float32), rng.integers(0, 3, 45)
    if kind == "batches":
        data = [(x[start : start + BATCH], y[start : start + BATCH]) for start in range(0, 45, BATCH)]
    else:
        data = (x, y)
    model = fnn.Serial(fnn.Dense(8, use_bias=False), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.2), fnn.Dense(3))
    run = fnn.fit(
        fnn.Objective(model, fnn.CrossEntropy()),
        fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adam(fnn.optim.cosine(1e-2, 40))),
        data,
        epochs=EPOCHS,
        batch_size=BATCH,
        key=jax.random.key(7),
        validation=(x, y),
        metrics=[fnn.Accuracy()],
        early_stopping=fnn.EarlyStopping(10),
        callbacks=[KillAt(kill_at)],
        checkpoint=fnn.Checkpoints(folder, every_seconds=0.0, keep_best=1),
        resume=True,
        progress=False,
    )
    fnn.save(result, {"run": run._replace(epochs_run=np.int32(run.epochs_run))})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
