"""Drawn strides made to obey Newton's and Euler's laws: on simulated strides that were spoilt in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from synthgait import bundled, storage
from synthgait.generators.balance import reconcile
from synthgait.generators.mechanics import StrideMechanics
from synthgait.generators.plausibility import Limits, measure
from synthgait.trials import Trials

_TENTH = np.cos(2 * np.pi * 10 * np.arange(100) / 100)


def simulated() -> Trials:
    return storage.read(bundled.seed_dataset(), rows=np.arange(0, 1500, 100)).certified()


def reconciled(strides: Trials) -> Trials:
    mechanics = StrideMechanics(strides, sparse=True)
    reconcile(mechanics, mechanics.imbalance(), move=True)
    return strides


@pytest.mark.parametrize(
    ("name", "size"), [("pelvis_tx", 1e-3), ("pelvis_ty", 1e-3), ("pelvis_tz", 1e-3), ("lumbar_bending", 5e-3), ("lumbar_extension", 5e-3)]
)
def test_a_wobble_at_ten_times_the_strides_frequency_is_taken_out_again(name: str, size: float) -> None:
    spoilt, whole = simulated(), simulated()
    group = "pelvis" if name.startswith("pelvis") else "joint_angles"
    spoilt.signals[group][:, :, spoilt.channels[group].index(name)] += (size * _TENTH).astype(np.float32)
    force = [strides.signals["ground_reaction"].copy() for strides in (spoilt, whole)]
    after, usual = reconciled(spoilt), reconciled(whole)
    left = [np.abs((after.channel(other) - usual.channel(other)) @ _TENTH).max() / 50 for other in (name, "pelvis_tilt", "hip_flexion_r")]
    assert left[0] < 0.15 * size and left[1:] == [0, 0]
    # forces change as they would have without the wobble
    change = [strides.signals["ground_reaction"] - before for strides, before in zip((after, usual), force, strict=True)]
    weight = 9.81 * spoilt.table["mass_kg"].to_numpy()[:, None, None]
    assert np.abs((change[0] - change[1]) / weight).max() < 0.02


def test_what_is_said_to_be_left_is_left() -> None:
    strides = simulated()
    strides.signals["ground_reaction"] *= np.float32(1.02)
    said = measure(strides, Limits(), balance="stride")
    found = StrideMechanics(strides, sparse=True)
    force, moment = found.size(found.imbalance())
    assert np.allclose(said["residual_force_bw"], force, atol=1e-3)
    assert np.allclose(said["residual_moment_nmkg"], moment, atol=0.01)
    assert (said["residual_force_bw"] < 0.5 * said["repaired_force_bw"]).all()
