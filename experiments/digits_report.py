"""The output of the digits experiment: tables, pictures, the checkpoint and the report."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

import fnn
from experiments import data, digits_plots, runs
from experiments.digits_plots import Mistake
from fnn.layer import Params, State

HEADINGS = ("seed", "train", "validation", "test", "")


class Trained(NamedTuple):
    """Networks and their history, with seeds on the first axis."""

    seeds: tuple[int, ...]
    params: Params
    state: State
    history: dict[str, np.ndarray]
    compile_seconds: float
    train_seconds: float

    def network(self, index: int) -> dict:
        """Parameters and state of one of them."""
        return jax.tree.map(lambda leaf: leaf[index], {"params": self.params, "state": self.state})


class Outcome(NamedTuple):
    """Accuracies (seeds,) in inference, the index of the selected seed, test ``probabilities`` (seeds, N, 10)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    selected: int
    probabilities: np.ndarray


def write(
    folder: Path, options: Any, digits: data.Digits, trained: Trained, outcome: Outcome, *, seconds: float
) -> None:
    """Writes config.json, metrics.jsonl, checkpoint.safetensors, three pictures and report.md."""
    runs.write_json(folder / "config.json", options.options())
    runs.write_json_lines(folder / "metrics.jsonl", history_rows(trained))
    seed = trained.seeds[outcome.selected]
    metadata = {
        "experiment": options.name,
        "seed": seed,
        "test_accuracy": float(outcome.test[outcome.selected]),
        "validation_accuracy": float(outcome.validation[outcome.selected]),
        "classes": [str(digit) for digit in range(10)],
        "config": options.options(),
    }
    fnn.save(folder / "checkpoint.safetensors", trained.network(outcome.selected), metadata)
    test, networks = digits.test, len(trained.seeds)
    digits_plots.learning_curves(folder / "learning_curves.png", trained.history)
    digits_plots.confusion(folder / "confusion_matrix.png", outcome.probabilities.argmax(-1), test.labels)
    found = mistakes(test.labels, outcome.probabilities)
    digits_plots.misread(folder / "misclassified.png", test.images, found, networks=networks)
    runs.write_report(folder / "report.md", *sections(folder, options, digits, trained, outcome, seconds))


def history_rows(trained: Trained) -> list[dict[str, Any]]:
    """One row for each seed and epoch."""
    names = sorted(trained.history)
    return [
        {"seed": seed, "epoch": epoch + 1, **{name: float(trained.history[name][i, epoch]) for name in names}}
        for i, seed in enumerate(trained.seeds)
        for epoch in range(trained.history["loss"].shape[1])
    ]


def rows(trained: Trained, outcome: Outcome) -> list[tuple[str, ...]]:
    """The accuracies in percent: one row for each seed, then their mean and standard deviation."""
    parts = (outcome.train, outcome.validation, outcome.test)
    each = [
        (str(seed), *(f"{100 * part[i]:.2f}" for part in parts), "selected" if i == outcome.selected else "")
        for i, seed in enumerate(trained.seeds)
    ]
    mean = ("mean", *(f"{100 * part.mean():.2f}" for part in parts), "")
    spread = ("std", *(f"{100 * part.std():.2f}" for part in parts), "")
    return [*each, mean, spread]


def mistakes(labels: np.ndarray, probabilities: np.ndarray) -> list[Mistake]:
    """The digits that at least one network misreads: those that most networks misread first, then by confidence."""
    predicted, found = probabilities.argmax(-1), []
    for place, label in enumerate(labels):
        wrong = predicted[predicted[:, place] != label, place]
        if wrong.size:
            guess = int(np.bincount(wrong).argmax())
            says_so = predicted[:, place] == guess
            sure = float(probabilities[says_so, place, guess].mean())
            found.append(Mistake(place, int(label), guess, sure, int(wrong.size)))
    return sorted(found, key=lambda mistake: (-mistake.wrong, -mistake.confidence))


def table(trained: Trained, outcome: Outcome) -> Table:
    """The table of results for the terminal."""
    return runs.rich_table("Accuracy in %", HEADINGS, rows(trained, outcome))


def conclusion(trained: Trained, outcome: Outcome, *, seconds: float) -> str:
    """The result in one line."""
    return (
        f"Mean test accuracy {100 * outcome.test.mean():.2f} % over {len(outcome.test)} seeds,"
        f" {seconds:.0f} s in all: {trained.compile_seconds:.0f} s to compile, {trained.train_seconds:.0f} s to train."
    )


def sections(
    folder: Path, options: Any, digits: data.Digits, trained: Trained, outcome: Outcome, seconds: float
) -> list[str]:
    """The parts of report.md."""
    sizes = " / ".join(str(len(part.labels)) for part in digits)
    return [
        "# Handwritten digits",
        "Does a small convolutional network, trained by hand-derived gradients, read 99 % of scikit-learn's digits?",
        conclusion(trained, outcome, seconds=seconds)
        + (" This was a quick run, which proves nothing." if options.quick else ""),
        "## Results\n\nAccuracy in percent.\n\n" + runs.markdown_table(HEADINGS, rows(trained, outcome)),
        "![Learning curves](learning_curves.png)",
        "![Confusion matrix](confusion_matrix.png)",
        "![Misclassified digits](misclassified.png)",
        "## Method\n\n"
        f"- Data: 1797 images of 8 × 8 pixels, split once, stratified, into train / validation / test = {sizes}"
        f" (fingerprint of the split: {digits.checksum}). The validation part selects the seed that is saved. The test"
        " part is used once, after that. The data do not say who wrote a digit, and all writers appear in every part,"
        " so this says nothing about a new writer.\n"
        f"- Model: `{options.model()!r}`\n"
        f"- Training: AdamW, learning rate warmed up to {options.learning_rate:g} and decayed along a cosine, weight"
        f" decay {options.weight_decay:g} of kernels, label smoothing {options.label_smoothing:g}, shifts by up to one"
        f" pixel, batches of {options.batch_size}, gradient: `{options.method}`.\n"
        f"- All {options.seeds} seeds in one compiled program (`jax.lax.map` over `fnn.make_train`).",
        "## The checkpoint\n\nParameters and state of the selected seed. From the root of the repository:\n\n"
        "```python\n" + snippet(folder, options) + "```",
        runs.machine_section(),
    ]


def snippet(folder: Path, options: Any) -> str:
    """Python code that loads the checkpoint and tests it again."""
    return f"""import jax
import jax.numpy as jnp
import fnn
from experiments import data
from experiments.digits import Digits

model, test = Digits(width={options.width}, dropout={options.dropout}).model(), data.load_digits().test
params, state = jax.eval_shape(model.init, jax.random.key(0), test.images[:1])
network = fnn.load("{(folder / "checkpoint.safetensors").as_posix()}", like={{"params": params, "state": state}})
outputs, _ = model.apply(network["params"], network["state"], jnp.asarray(test.images))
print(fnn.Accuracy()(outputs, test.labels))
"""
