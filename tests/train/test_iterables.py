"""Data that come as they like: endless ones, loaders that shuffle, and what of them a run that goes on sees."""

import itertools

import jax
import numpy as np
import pytest

import fnn
from tests.comparing import same
from tests.drawing import drawn
from tests.train.stop_at import StopAt

X = drawn("inputs of runs on iterables", 24, 3).astype(np.float32)
PIECES = [(X[start : start + 8], X[start : start + 8, :1]) for start in (0, 8, 16)]
OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)


def fit(data, *callbacks, **options):
    options = {"epochs": 4, "key": jax.random.key(1), "progress": False} | options
    return fnn.fit(OBJECTIVE, fnn.optim.momentum(0.03), data, callbacks=callbacks, **options)


class Shuffled:
    """A loader with a generator of its own: another order every time it is gone through, the same when made anew."""

    def __init__(self, seed: int = 0) -> None:
        self.generator, self.gone_through = np.random.default_rng(seed), 0

    def __iter__(self):
        self.gone_through += 1
        for place in self.generator.permutation(3):
            yield PIECES[place]


def endless():
    generator = np.random.default_rng(0)
    while True:
        yield PIECES[generator.integers(3)]


class TestEpochsOfSoManySteps:
    def test_the_next_epoch_goes_on_where_the_last_ended(self):
        taken = list(itertools.islice(endless(), 8))
        same(fit(endless(), steps_per_epoch=2), fit(lambda epoch: taken[2 * epoch : 2 * epoch + 2]))

    def test_what_comes_to_an_end_is_begun_again(self):
        result = fit(PIECES, steps_per_epoch=2)
        cycle = [*PIECES, *PIECES, *PIECES]
        same(result, fit(lambda epoch: cycle[2 * epoch : 2 * epoch + 2]))

    def test_a_run_that_is_resumed_goes_on_in_the_same_stream(self, tmp_path):
        for at in (3, 4):  # inside an epoch, at the end of one
            fit(endless(), StopAt(at), steps_per_epoch=2, checkpoint=tmp_path / str(at))
            resumed = fit(endless(), steps_per_epoch=2, checkpoint=tmp_path / str(at), resume=True)
            same(resumed, fit(endless(), steps_per_epoch=2))

    def test_the_progress_of_an_epoch_is_known(self):
        counts = []

        class Look(fnn.Callback):
            def on_start(self, run):
                counts.append(run.count)

        fit(endless(), Look(), steps_per_epoch=2)
        assert counts == [2]

    def test_an_iterator_that_ends_too_early_says_so(self):
        with pytest.raises(ValueError, match="the data end after 1 batches of an epoch of steps_per_epoch=2"):
            fit(iter(PIECES), steps_per_epoch=2)

    def test_arrays_have_epochs_of_their_own(self):
        with pytest.raises(ValueError, match="steps_per_epoch is for iterables"):
            fit((X, X[:, :1]), batch_size=8, steps_per_epoch=2)
        with pytest.raises(ValueError, match="steps_per_epoch is at least 1, got 0"):
            fit(PIECES, steps_per_epoch=0)


class TestLoadersThatShuffle:
    @pytest.mark.parametrize("at", [2, 3, 4, 6])
    def test_a_loader_made_anew_is_gone_through_to_where_the_run_stood(self, tmp_path, at):
        fit(Shuffled(), StopAt(at), checkpoint=tmp_path)
        loader = Shuffled()
        same(fit(loader, checkpoint=tmp_path, resume=True), fit(Shuffled()))
        assert loader.gone_through == 4

    @pytest.mark.parametrize("at", [2, 3, 4])
    def test_another_order_is_refused(self, tmp_path, at):
        fit(Shuffled(0), StopAt(at), checkpoint=tmp_path)
        other = next(seed for seed in range(1, 9) if next(iter(Shuffled(seed)))[0] is not next(iter(Shuffled(0)))[0])
        with pytest.raises(ValueError, match=r"(epoch 1 of the data begins with another batch|another run.*data)"):
            fit(Shuffled(other), checkpoint=tmp_path, resume=True)

    def test_a_list_and_a_function_of_the_epoch_are_not_gone_through(self, tmp_path):
        asked = []

        def batches(epoch):
            asked.append(epoch)
            return PIECES

        fit(batches, StopAt(7), checkpoint=tmp_path)
        asked.clear()
        same(fit(batches, checkpoint=tmp_path, resume=True), fit(PIECES))
        assert asked == [0, 2, 3]  # the first to learn shapes from

    def test_a_function_that_gives_other_batches_is_refused(self, tmp_path):
        fit(lambda epoch: PIECES, StopAt(5), checkpoint=tmp_path)
        with pytest.raises(ValueError, match="epoch 2 of the data begins with another batch"):
            fit(lambda epoch: PIECES[::-1] if epoch else PIECES, checkpoint=tmp_path, resume=True)
