"""Ctrl-C and SIGTERM end a run with what it has learned; calls are short enough for them to be heard."""

import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.data import Stretch
from fnn.train.pace import Pace, wait
from fnn.train.signals import Stops
from tests.comparing import same
from tests.drawing import drawn

X = drawn("inputs of runs that are interrupted", 20, 3).astype(np.float32)
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Dropout(0.1), fnn.Dense(1)), fnn.MeanSquaredError())
BATCHES = [(X[start : start + 8], X[start : start + 8, :1]) for start in (0, 8)]


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)


@pytest.fixture(autouse=True)
def _interrupts_are_heard():
    """A shell ignores interrupts for what it starts in the background, and these tests may be such."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fit(*callbacks, **options):
    options = {"data": (X, X[:, :1]), "epochs": 3, "batch_size": 8, "key": jax.random.key(1)} | options
    return fnn.fit(OBJECTIVE, fnn.optim.momentum(0.03), callbacks=callbacks, progress=False, **options)


class Signal(fnn.Callback):
    """Raises signals as if they came from outside, after so many steps."""

    def __init__(self, at: int, *signals: signal.Signals) -> None:
        self.at, self.signals, self.ending, self.told = at, signals, "", 0

    def on_steps(self, run):
        self.told = run.steps
        if run.steps == self.at:
            for each in self.signals:
                signal.raise_signal(each)

    def on_end(self, run):
        self.ending = run.ending


def interrupt():
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize("data", [(X, X[:, :1]), BATCHES], ids=["arrays", "batches"])
def test_the_first_interrupt_keeps_the_step_and_saves(tmp_path, data, capfd):
    before, stop = handlers(), Signal(4, signal.SIGINT)
    fit(stop, checkpoint=tmp_path, data=data)
    assert handlers() == before
    assert stop.ending == "interrupted"
    assert stop.told == 4
    assert (
        "finishing and keeping the current step; a second interrupt ends at once, without saving"
        in capfd.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"] == ["step_000000004.safetensors"]
    same(fit(checkpoint=tmp_path, resume=True, data=data), fit(data=data))


def test_the_second_interrupt_raises():
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        fit(Signal(4, signal.SIGINT, signal.SIGINT))
    assert handlers() == before


def test_a_second_interrupt_leaves_the_last_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(Signal(4, signal.SIGINT, signal.SIGINT), checkpoint=fnn.Checkpoints(tmp_path, every_seconds=0.0))
    same(fit(checkpoint=tmp_path, resume=True), fit())


def test_sigterm_saves_and_is_raised_again(tmp_path):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("the earlier handler"))
    try:
        stop = Signal(4, signal.SIGTERM)
        fit(stop, checkpoint=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["the earlier handler"]
    assert stop.ending == "stopped by SIGTERM"
    same(fit(checkpoint=tmp_path, resume=True), fit())


def test_an_interrupt_while_it_validates_ends_the_epoch_when_the_run_goes_on(tmp_path):
    class Interrupting:
        """Validation data that interrupt the run the second time they are gone through."""

        times = 0

        def __iter__(self):
            self.times += 1
            if self.times == 2:
                interrupt()
            yield from BATCHES

    fit(checkpoint=tmp_path, validation=Interrupting())
    names = [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"]
    assert names == ["step_000000006.safetensors"]
    assert fnn.read_metadata(tmp_path / names[0])["epoch"] == 1
    again = Interrupting()
    again.times = 5
    same(fit(checkpoint=tmp_path, validation=again, resume=True), fit(validation=BATCHES))


def test_other_threads_leave_signals_alone():
    before, seen, results = handlers(), [], []

    class Look(fnn.Callback):
        def on_steps(self, run):
            seen.append(handlers())

    thread = threading.Thread(target=lambda: results.append(fit(Look())))
    thread.start()
    thread.join()
    assert set(seen) == {before}
    same(results[0], fit())


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        same(fit(Signal(4, signal.SIGINT)), fit())
    finally:
        signal.signal(signal.SIGINT, before)


def test_calls_grow_and_shrink_with_the_time_that_they_take(monkeypatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.25)
    clock = [0.0]
    monkeypatch.setattr("fnn.train.pace.time.perf_counter", lambda: clock[0])
    pace = Pace()

    def call(steps: int, seconds: float) -> int:
        with pace.call(Stretch(None, 0, steps)):  # pyright: ignore[reportArgumentType]
            clock[0] += seconds
        return pace.steps

    assert call(1, 10.0) == 1  # it compiled
    assert [call(pace.steps, pace.steps / 1024) for _ in range(9)] == [2, 4, 8, 16, 32, 64, 128, 256, 256]
    assert call(3, 0.003) == 256  # cut short by the end of an epoch
    assert call(256, 256 / 16) == 4  # the machine has other work now
    assert call(4, 4 * 5.0) == 1
    pace.steps = 64
    assert call(32, 32 / 16) == 4  # more than a group of batches holds: too many all the same


def test_calls_are_pieces_of_a_stretch():
    pace = Pace()
    pace.steps = 4
    pieces = [(piece.start, piece.stop) for piece in pace.calls(Stretch(None, 2, 12))]  # pyright: ignore
    assert pieces == [(2, 6), (6, 10), (10, 12)]
    assert list(pace.calls(None)) == []


def test_a_signal_is_heard_while_a_program_runs():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(time.perf_counter()))
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 100, lambda _, x: jnp.tanh(x @ x), x))
    x = jnp.full((600, 600), 1e-3)
    jax.block_until_ready(slow(x))
    timer = threading.Timer(0.05, interrupt)
    try:
        timer.start()
        y = slow(x)
        wait(y)
        ended = time.perf_counter()
    finally:
        signal.signal(signal.SIGINT, before)
    timer.join()
    assert len(heard) == 1
    assert heard[0] < ended


def test_an_interrupt_is_acknowledged_while_python_is_away(monkeypatch):
    """Python handled the signal, and said so, when a compilation of many seconds was over."""
    said = []
    monkeypatch.setattr("fnn.train.signals._say", lambda words: said.append(time.perf_counter()))
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 100, lambda _, x: jnp.tanh(x @ x), x))
    x = jnp.full((600, 600), 1e-3)
    jax.block_until_ready(slow(x))
    threads = threading.active_count()
    timer = threading.Timer(0.05, interrupt)
    with Stops() as stops:
        timer.start()
        jax.block_until_ready(slow(x))
        ended = time.perf_counter()
    timer.join()
    assert stops.reason == "interrupted"
    assert len(said) == 1
    assert said[0] < ended
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1
