"""A quick run of the self-organising maps: what they learn, and that each rule can say no."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.unsupervised.som_plots import u_matrix
from experiments.unsupervised.som_training import (
    likeness,
    moved,
    neighbourhood,
    places,
    quantisation,
    topographic_error,
    trained,
)

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_maps_are_ordered_and_units_without_a_neighbourhood_are_not(run):
    for name, found in run.figures["sets"].items():
        kinds = found["kinds"]
        assert max(kinds["map"]["likeness"]) < 0.6 < 0.9 < min(kinds["none"]["likeness"])
        assert max(kinds["map"]["topographic"]) < 0.3 < 0.6 < min(kinds["none"]["topographic"])
        assert max(kinds["shrunk"]["quantisation"]) < min(kinds["map"]["quantisation"])
        assert sum(map(sum, found["hits"])) == {"iris": 150, "digits": 1293}[name]
        assert run.verdict(f"Neighbouring units of a map of {name}") == "holds"
        assert run.verdict(f"topology of {name} is lost") == "holds"
    assert run.figures["update error"] < 1e-12


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_every_rule_can_say_the_opposite(run, name):
    def verdict(claim: str, **changed: tuple[str, float]) -> str:
        sets = copy.deepcopy(run.figures["sets"])
        for kind, (key, value) in changed.items():
            sets[name]["kinds"][kind][key] = [value] * run.study.seeds
        return run.verdict(claim, sets=sets)

    reference = min(run.figures["sets"][name]["k-means"])
    near, far = ("quantisation", reference), ("quantisation", 9 * reference)
    assert verdict(f"map of {name} quantises", map=near) == "holds"
    shrunk = verdict(f"map of {name} quantises", map=far, shrunk=near)
    assert shrunk == "holds only when the radius shrinks to nothing at the end"
    assert verdict(f"map of {name} quantises", map=far, shrunk=far) == "does not hold"
    assert verdict(f"units of a map of {name}", map=("likeness", 1.0)) == "does not hold"
    assert verdict(f"keeps the topology of {name}", shrunk=("topographic", 0.0)) == "holds"
    assert verdict(f"keeps the topology of {name}", shrunk=("topographic", 0.9)) == "does not hold"
    assert verdict(f"keeps the topology of {name}", shrunk=("likeness", 1.0)) == "does not hold"
    assert verdict(f"topology of {name} is lost", none=("likeness", 0.1)) == "does not hold"
    assert verdict(f"topology of {name} is lost", none=("topographic", 0.0)) == "does not hold"
    assert run.verdict("step of gradient descent", **{"update error": 1e-9}) == "does not hold"


def test_the_update_worked_by_hand():
    grid = places(2)
    assert grid.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    near = np.asarray(neighbourhood(jnp.array([0.0, 1.0, 2.0]), 1.0))
    np.testing.assert_allclose(near, np.exp([0, -0.5, -2]), rtol=1e-6)
    assert neighbourhood(jnp.array([0.0, 1.0]), 0.0).tolist() == [1, 0]
    units, x = jnp.array([[0.0], [4.0], [8.0], [12.0]]), jnp.array([1.0])
    # The first unit wins; with radius 0 it alone moves, half of the way.
    assert moved(units, x, grid, 0.0, 0.5).tolist() == [[0.5], [4], [8], [12]]
    expected = np.array([0.5, 4 - 1.5 * np.exp(-0.5), 8 - 3.5 * np.exp(-0.5), 12 - 5.5 * np.exp(-1)])
    np.testing.assert_allclose(moved(units, x, grid, 1.0, 0.5)[:, 0], expected, rtol=1e-6)


def test_one_unit_without_a_neighbourhood_ends_among_its_samples():
    x = jnp.array([[1.0], [1.0]])
    units = trained(jax.random.key(0), jnp.array([0.0, 0.0]), x, jnp.zeros((1, 2)), 5)
    assert units.tolist() == [[1]]


def test_the_measures_worked_by_hand():
    grid, units = places(2), np.array([[0.0], [1.0], [2.0], [3.0]])
    # Neighbours are 1, 2, 2 and 1 apart, any two units 10/6.
    orders = np.array([[0, 1, 2, 3], [0, 1, 3, 2]])
    # In the second order they are 1, 3, 1 and 1 apart.
    np.testing.assert_allclose(likeness(units, grid, orders), [1.5 / (10 / 6), 1.5 / (10 / 6)])
    row = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_allclose(likeness(units[:3], row, np.array([[0, 1, 2], [0, 2, 1]])), [1 / (4 / 3), 1.5 / (4 / 3)])
    assert quantisation(np.array([[0.5], [5.0]]), units) == (0.25 + 4) / 2
    # The two nearest to 0.1 are neighbours in this row; placed as 0, 2, 1 they are not.
    assert topographic_error(np.array([[0.1]]), units[:3], row) == 0
    assert topographic_error(np.array([[0.1]]), units[:3], row[[0, 2, 1]]) == 1
    assert u_matrix(units, 2).tolist() == [[1.5, 1.5], [1.5, 1.5]]
