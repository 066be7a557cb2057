"""PyTorch's loader feeds ``fit``."""

import jax
import numpy as np
import pytest

import fnn
from tests.comparing import same
from tests.drawing import drawn

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

X = drawn("inputs of a loader", 21, 3).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_trains_as_its_batches_do(workers):
    dataset = torch_data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch_data.DataLoader(
        dataset, batch_size=8, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    batches = [(X[start : start + 8], Y[start : start + 8]) for start in (0, 8, 16)]
    one, other = (
        fnn.fit(
            fnn.Objective(fnn.Dense(2), fnn.CrossEntropy()), fnn.optim.sgd(0.1), data,
            epochs=2, key=jax.random.key(1), validation=data, progress=False,
        )
        for data in (loader, batches)
    )  # fmt: skip
    same(one, other)
