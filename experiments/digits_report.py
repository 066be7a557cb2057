"""The output of the digits experiment: tables, pictures, the checkpoint and the report."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import fnn
from experiments import data, runs
from experiments.digits_plots import Mistake
from experiments.digits_training import Outcome, Trained

WRITERS = " All writers appear in every part, and the data do not say who wrote a digit: this is not about new writers."
HEADINGS = ("seed", "train", "validation", "test", "")


def write(folder: Path, options: Any, trained: Trained, outcome: Outcome) -> None:
    """Writes metrics.jsonl and checkpoint.safetensors."""
    runs.write_json_lines(folder / "metrics.jsonl", history_rows(trained))
    metadata = {
        "experiment": options.name,
        "seed": trained.seeds[outcome.selected],
        "test_accuracy": float(outcome.test[outcome.selected]),
        "validation_accuracy": float(outcome.validation[outcome.selected]),
        "classes": [str(digit) for digit in range(10)],
        "config": options.options(),
    }
    fnn.save(folder / "checkpoint.safetensors", trained.network(outcome.selected), metadata)


def figures(trained: Trained, outcome: Outcome, digits: data.Digits) -> dict[str, Any]:
    """What was measured, as plain values; ``predicted`` (seeds, N) are the digits that each network reads."""
    parts = {"train": outcome.train, "validation": outcome.validation, "test": outcome.test}
    return {
        "accuracy": {name: each.tolist() for name, each in parts.items()},
        "compile_seconds": trained.compile_seconds,
        "train_seconds": trained.train_seconds,
        "history": {name: values.tolist() for name, values in trained.history.items()},
        "predicted": outcome.probabilities.argmax(-1).tolist(),
        "mistakes": mistakes(digits.test.labels, outcome.probabilities),
        "rows": rows(trained, outcome),
    }


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


def sections(options: Any, figures: dict[str, Any]) -> list[str]:
    """What report.md says beside the claims: all accuracies, the method, and how to use the checkpoint."""
    digits = options.load()
    _, height, width, _ = digits.test.images.shape
    sizes = " / ".join(str(len(part.labels)) for part in digits)
    return [
        "## Accuracy in percent\n\n" + runs.markdown_table(HEADINGS, figures["rows"]),
        "## Method\n\n"
        f"- Data: {options.data or 'the digits of scikit-learn'}, {height} × {width} pixels, split once, stratified,"
        f" into train / validation / test = {sizes} (fingerprint of the split: {digits.checksum}). The validation part"
        f" selects the seed that is saved. The test part is used once, after that.{'' if options.data else WRITERS}\n"
        f"- Model: `{options.model()!r}`\n"
        f"- Training: AdamW, learning rate warmed up to {options.learning_rate:g} and decayed along a cosine, weight"
        f" decay {options.weight_decay:g} of kernels, label smoothing {options.label_smoothing:g}, shifts by up to one"
        f" pixel, batches of {options.batch_size}, gradient: `{options.method}`.\n"
        f"- All {options.seeds} seeds in one compiled program (`jax.lax.map` over `fnn.make_train`).",
        "## The checkpoint\n\nParameters and state of the selected seed. Run this in the folder of the"
        " run, with the repository on the path:\n\n```python\n" + snippet(options) + "```",
    ]


def snippet(options: Any) -> str:
    """Python code that loads the checkpoint and tests it again."""
    folder = f", data=Path({str(options.data.absolute())!r})" if options.data else ""
    import_path = "from pathlib import Path\n" * bool(options.data)
    return f"""import jax
import jax.numpy as jnp
import fnn
from experiments.digits import Digits
{import_path}
digits = Digits(width={options.width}, dropout={options.dropout}{folder})
model, test = digits.model(), digits.load().test
params, state = jax.eval_shape(model.init, jax.random.key(0), test.images[:1])
network = fnn.load("checkpoint.safetensors", like={{"params": params, "state": state}})
outputs, _ = model.apply(network["params"], network["state"], jnp.asarray(test.images))
print(fnn.Accuracy()(outputs, test.labels))
"""
