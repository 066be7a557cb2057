"""A callback that ends a run after so many steps: as a user does, or by an error."""

import fnn


class StopAt(fnn.Callback):
    def __init__(self, steps, error=None):
        self.steps, self.error = steps, error

    def on_steps(self, run):
        if run.steps == self.steps:
            if self.error is not None:
                raise self.error
            run.stop("that is enough")
