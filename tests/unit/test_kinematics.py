"""Forward kinematics: known answers, derivatives, people in a batch, periodic strides."""

from __future__ import annotations

import numpy as np
import pytest

from analytic_walker import analytic_population, analytic_walker
from synthgait.anthropometry import REFERENCE_LEG_LENGTH_M, build_model
from synthgait.conventions import COORDINATES
from synthgait.errors import InputError
from synthgait.kinematics import (
    Skeleton,
    body_motion,
    centre_of_mass_motion,
    point_motion,
    progression_per_period,
    spectral_derivative,
)
from synthgait.subjects import Subject


@pytest.fixture(scope="module")
def model():
    return build_model(Subject("someone", height_m=1.70, leg_length_m=REFERENCE_LEG_LENGTH_M, mass_kg=70.0))


def _pose(**angles):
    q = np.zeros(len(COORDINATES))
    for name, value in angles.items():
        q[COORDINATES.index(name)] = value
    return q


def test_standing_leg_length_is_the_subjects(model):
    q = _pose(pelvis_ty=1.0)
    points = point_motion(model, q)
    foot = body_motion(model, q)["foot_r"]
    # the leg stands on the forefoot; the unloaded heel pad reaches 5 mm lower
    (contact,) = [c for c in model.contacts if c.name == "metatarsal_1_r"]
    floor = foot.point(contact.location_m).position_m[1] - contact.radius_m
    assert points["hip_r"].position_m[1] - floor == pytest.approx(REFERENCE_LEG_LENGTH_M, abs=1e-12)
    assert points["toe_r"].position_m[0] > points["heel_r"].position_m[0]
    assert points["hip_r"].position_m[2] > 0 > points["hip_l"].position_m[2]


@pytest.mark.parametrize(
    ("coordinate", "point", "axis", "sign"),
    [
        ("hip_flexion_r", "knee_r", 0, 1),
        ("hip_adduction_r", "knee_r", 2, -1),
        ("hip_adduction_l", "knee_l", 2, 1),
        ("hip_internal_rotation_r", "toe_r", 2, -1),
        ("hip_internal_rotation_l", "toe_l", 2, 1),
        ("knee_flexion_r", "ankle_r", 0, -1),
        ("knee_flexion_l", "ankle_l", 0, -1),
        ("ankle_dorsiflexion_l", "toe_l", 1, 1),
        ("pelvis_tilt", "head", 0, -1),
        ("pelvis_list", "hip_r", 1, -1),
        ("pelvis_rotation", "hip_r", 0, 1),
        ("lumbar_extension", "head", 0, -1),
        ("lumbar_bending", "head", 2, 1),
        ("lumbar_rotation", "shoulder_r", 0, 1),
    ],
)
def test_positive_direction_is_what_the_name_says(model, coordinate, point, axis, sign):
    still = point_motion(model, _pose(), points=[point])[point].position_m
    moved = point_motion(model, _pose(**{coordinate: 0.2}), points=[point])[point].position_m
    assert sign * (moved - still)[axis] > 1e-3


def test_derivatives_match_finite_differences(model):
    rng = np.random.default_rng(1)
    q, qd, qdd = (rng.normal(0, 0.7, (20, len(COORDINATES))) for _ in range(3))
    step = 1e-4

    def at(time):
        return point_motion(model, q + qd * time + qdd * time**2 / 2)

    now, before, after = point_motion(model, q, qd, qdd), at(-step), at(step)
    for name, point in now.items():
        speed = (after[name].position_m - before[name].position_m) / (2 * step)
        acceleration = (after[name].position_m - 2 * point.position_m + before[name].position_m) / step**2
        np.testing.assert_allclose(point.velocity_mps, speed, atol=1e-5)
        np.testing.assert_allclose(point.acceleration_mps2, acceleration, atol=1e-4)
    turned = body_motion(model, q + qd * step)["foot_l"].rotation
    foot = body_motion(model, q, qd, qdd)["foot_l"]
    spin = (turned @ np.swapaxes(foot.rotation, -1, -2) - np.eye(3)) / step
    np.testing.assert_allclose(np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], -1), foot.angular_velocity_radps, atol=2e-3)


def test_rotations_are_rotations(model):
    q = np.random.default_rng(2).normal(0, 1, (5, 7, len(COORDINATES)))
    for body in body_motion(model, q).values():
        assert body.rotation.shape == (5, 7, 3, 3)
        np.testing.assert_allclose(body.rotation @ np.swapaxes(body.rotation, -1, -2), np.broadcast_to(np.eye(3), (5, 7, 3, 3)), atol=1e-12)


def test_many_people_at_once_equal_one_at_a_time():
    models = [build_model(Subject(f"p{i}", height_m=1.5 + 0.1 * i, mass_kg=50.0 + 10 * i, knee_varus_rad=0.05 * (i - 1))) for i in range(4)]
    rng = np.random.default_rng(3)
    q, qd, qdd = (rng.normal(0, 0.5, (4, 6, len(COORDINATES))) for _ in range(3))
    skeleton = Skeleton.of(models)
    together = point_motion(skeleton, q, qd, qdd)
    mass = centre_of_mass_motion(skeleton, q, qd, qdd)
    for i, model in enumerate(models):
        for name, alone in point_motion(model, q[i], qd[i], qdd[i]).items():
            np.testing.assert_allclose(together[name].acceleration_mps2[i], alone.acceleration_mps2, atol=1e-10)
        np.testing.assert_allclose(mass.position_m[i], centre_of_mass_motion(model, q[i]).position_m, atol=1e-12)
    part = skeleton.select(np.array([2, 0]))
    np.testing.assert_allclose(point_motion(part, q[[2, 0]])["toe_l"].position_m, together["toe_l"].position_m[[2, 0]])


def test_spectral_derivative_is_exact_and_knows_progression():
    phase = np.arange(100) / 100
    period = np.array([0.9, 1.3])
    length = np.array([1.1, 1.5])
    wave = 2 * np.pi * phase
    samples = np.stack([length[:, None] * phase + 0.02 * np.sin(2 * wave), np.broadcast_to(np.cos(5 * wave), (2, 100))], axis=-1)
    gain = np.stack([length, 0 * length], axis=-1)
    first = spectral_derivative(samples, period, 1, gain)
    second = spectral_derivative(samples, period, 2, gain)
    w = (2 * np.pi / period)[:, None]
    np.testing.assert_allclose(first[..., 0], (length / period)[:, None] + 0.02 * 2 * w * np.cos(2 * wave), atol=1e-10)
    np.testing.assert_allclose(second[..., 1], -((5 * w) ** 2) * np.cos(5 * wave), atol=1e-7)
    np.testing.assert_allclose(progression_per_period(samples[..., 0]), length, atol=1e-10)


def test_newton_the_ground_carries_the_weight_over_a_stride():
    trials = analytic_population(5, seed=4)
    force = trials.channel("ground_reaction_y_r") + trials.channel("ground_reaction_y_l")
    np.testing.assert_allclose(force.mean(axis=1), trials.table["mass_kg"] * 9.80665, rtol=1e-5)


def test_the_analytic_walker_progresses_at_its_speed():
    trials = analytic_walker([Subject("a"), Subject("b", height_m=1.5, mass_kg=50.0)], np.array([0.8, 1.4]))
    length = progression_per_period(trials.channel("pelvis_tx").astype(float))
    np.testing.assert_allclose(length / trials.table["stride_time_s"], [0.8, 1.4], atol=1e-5)


def test_wrong_input_is_named(model):
    with pytest.raises(InputError, match="last axis holds"):
        body_motion(model, np.zeros((3, 4)))
    with pytest.raises(InputError, match="no body 'arm'"):
        body_motion(model, _pose(), bodies=["arm"])
    with pytest.raises(InputError, match="no landmark 'nose'"):
        point_motion(model, _pose(), points=["nose"])
    with pytest.raises(InputError, match="one trial per person"):
        body_motion(Skeleton.of([model, model]), np.zeros((3, 5, len(COORDINATES))))
