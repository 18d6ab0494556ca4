"""Masked reconstruction: it learns to fill in what is hidden, from windows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analytic_walker import analytic_population
from synthgait.estimators.fit import read_recipe
from synthgait.estimators.pretrain import masked_reconstruction
from synthgait.estimators.sense import Examples, sense

RECIPE = read_recipe({"steps": 200, "batch": 32, "members": 1, "network": {"backbone": "cnn", "width": 16, "depth": 1}})

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return sense(analytic_population(30, seed=3), "lower_back", np.random.default_rng(0), task="gait_parameters", walks=30, strides=3)


def test_hidden_parts_are_filled_in_without_targets(examples: Examples) -> None:
    learned, losses = masked_reconstruction(examples, RECIPE, 0)
    assert len(losses) == RECIPE["steps"] and np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    # other targets teach the layers nothing else
    lied, _ = masked_reconstruction(replace(examples, values=examples.values + 1.0), RECIPE, 0)
    assert all(torch.equal(a, b) for a, b in zip(learned.parameters(), lied.parameters(), strict=True))
