"""PyTorch's loader feeds ``fit``."""

import jax
import numpy as np
import pytest

import fnn

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

X = np.asarray(jax.random.normal(jax.random.key(0), (21, 3)))
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
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
