"""The textbook's velocity of the pelvis follows from its other curves, and from the length of the steps."""

from __future__ import annotations

import numpy as np
import pytest

from synthgait.conventions import GRAVITY_MPS2
from synthgait.simulate.normative import periodic_derivative
from synthgait.textbook import reference_ground_reaction, reference_velocity_mps

SPEED_MPS, FROUDE, STRIDE_TIME_S = 1.2, 0.4, 1.1
PHASE = np.arange(200) / 200
WALK = (SPEED_MPS, FROUDE, STRIDE_TIME_S, STRIDE_TIME_S)


@pytest.mark.parametrize(("axis", "mean_mps"), [(0, SPEED_MPS), (2, 0.0)])
def test_the_pelvis_goes_as_the_ground_reaction_carries_the_centre_of_mass(axis: int, mean_mps: float) -> None:
    velocity = reference_velocity_mps(axis, *WALK, PHASE)
    force = sum(reference_ground_reaction(FROUDE, PHASE, left)[:, axis] for left in (False, True))
    acceleration = periodic_derivative(velocity[:, None], STRIDE_TIME_S)[:, 0]
    assert velocity.mean() == pytest.approx(mean_mps, abs=1e-6)
    assert acceleration == pytest.approx(GRAVITY_MPS2 * (force - force.mean()), abs=0.12)  # of 2.5 m/s^2; landings have corners


def test_what_repeats_every_step_and_what_turns_round() -> None:
    half = len(PHASE) // 2
    forward, sideways = (reference_velocity_mps(axis, *WALK, PHASE) for axis in (0, 2))
    assert np.roll(forward, half) == pytest.approx(forward, abs=1e-9)
    assert np.roll(sideways, half) == pytest.approx(-sideways, abs=1e-9)


def test_a_step_half_as_long_rises_a_quarter() -> None:
    def rise_m(stride_time_s: float) -> float:
        velocity = reference_velocity_mps(1, SPEED_MPS, FROUDE, stride_time_s, STRIDE_TIME_S, PHASE)
        return float(np.ptp(np.cumsum(velocity)) * stride_time_s / len(PHASE))

    assert rise_m(0.5 * STRIDE_TIME_S) == pytest.approx(0.25 * rise_m(STRIDE_TIME_S), rel=1e-6)
    assert rise_m(STRIDE_TIME_S) == pytest.approx(0.039, rel=0.1)  # Orendurff at 1.2 m/s, between 0.027 and 0.048
