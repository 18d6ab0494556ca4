"""OpenSim's inverse dynamics agrees with our own balance of forces on simulated and on generated strides."""

from __future__ import annotations

import numpy as np
import pytest

from synthgait import bundled, storage
from synthgait.generators.base import StrideGenerator
from synthgait.generators.opensim_check import opensim_residuals
from synthgait.trials import Trials


def strides(kind: str) -> Trials:
    if kind == "generated":
        return StrideGenerator.load(bundled.generator()).sample(6, seed=1)
    seed = storage.read(bundled.seed_dataset()).certified()
    return seed.select(np.flatnonzero(np.asarray(seed.table["condition_slope"]) != 0)[:6] if kind == "slopes" else np.arange(6))


@pytest.mark.parametrize("kind", ["simulated", "slopes", "generated"])
def test_two_ways_to_the_residual(kind: str) -> None:
    found = opensim_residuals(strides(kind), 3)
    assert len(found) == 3 and np.isfinite(found).to_numpy().all()
    for name in ("force_bw", "moment_nmkg"):
        assert np.allclose(found[f"opensim_{name}"], found[f"residual_{name}"], atol=1e-3), name
    assert found["opensim_force_bw"].max() < 0.05


def test_a_heavier_body_does_not_fit_the_forces() -> None:
    wrong = strides("simulated")
    wrong.table["mass_kg"] = wrong.table["mass_kg"] * 1.2
    assert opensim_residuals(wrong, 1)["opensim_force_bw"].item() > 0.1
