"""The plausibility check against closed forms, and each limit broken on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2
from synthgait.gait import coordinates_of
from synthgait.generators.bodies import People
from synthgait.generators.mechanics import StrideMechanics
from synthgait.generators.plausibility import Balance, Limits, broken_limits, measure
from synthgait.kinematics import Skeleton, body_motion, spectral_derivative
from synthgait.subjects import draw_subject
from synthgait.trials import Trials
from varied_walkers import varied_walkers


@pytest.fixture
def walkers() -> Trials:
    return varied_walkers(12, seed=5)


def test_batch_bodies_are_the_builders_own() -> None:
    rng = np.random.default_rng(0)
    subjects = [draw_subject(rng, str(i), age_years=(5, 80)) for i in range(8)]
    models = [build_model(s) for s in subjects]
    people = People.of(pd.DataFrame([s.as_dict() for s in subjects]))
    one_by_one = Skeleton.of(models)
    q = 0.3 * rng.standard_normal((8, 4, 19))
    ours, theirs = body_motion(people.skeleton, q), body_motion(one_by_one, q)
    for body in theirs:
        assert np.allclose(ours[body].origin_m, theirs[body].origin_m, atol=1e-12)
        assert np.allclose(people.inertia_kgm2[body], [next(b for b in m.bodies if b.name == body).inertia_kgm2[:3] for m in models])
    assert np.allclose(people.mass_kg, [m.mass_kg for m in models])


def test_inertial_wrench_is_the_rate_of_change_of_momentum(walkers: Trials) -> None:
    """Newton and Euler from every segment's accelerations, against d(momentum)/dt of sums of velocities."""
    mechanics = StrideMechanics(walkers)
    period = walkers.table["stride_time_s"].to_numpy()
    stride = walkers.table["stride_length_m"].to_numpy()
    q = coordinates_of(walkers)
    gain = np.zeros((len(walkers), 19))
    gain[:, 3] = stride
    qd = spectral_derivative(q, period, 1, gain, harmonics=20)
    moving = body_motion(mechanics.people.skeleton, q, qd)
    momentum, spinning, weighing = np.zeros((3, len(walkers), 100, 3))
    base = np.zeros((len(walkers), 100, 3))
    base[:, :, 0] = stride[:, None] * np.arange(100) / 100
    up = np.array([0, GRAVITY_MPS2, 0])
    for body, (mass, location) in mechanics.people.skeleton.masses.items():
        point = moving[body].point(location)
        assert point.velocity_mps is not None
        push = mass[:, None, None] * point.velocity_mps
        rotation, spin = moving[body].rotation, moving[body].angular_velocity_radps
        inertia = np.einsum("ntij,nj,ntkj->ntik", rotation, mechanics.people.inertia_kgm2[body], rotation)
        momentum += push
        spinning += np.einsum("ntij,ntj->nti", inertia, spin) + np.cross(point.position_m - base, push)
        weighing += np.cross(point.position_m - base, mass[:, None, None] * up)
    # about a point that moves at the drift velocity the rate lacks drift x momentum
    drift = np.array([1.0, 0.0, 0.0]) * (stride / period)[:, None, None]
    force = spectral_derivative(momentum, period) + mechanics.people.mass_kg[:, None, None] * up
    moment = spectral_derivative(spinning, period) + np.cross(drift, momentum) + weighing
    ours = np.moveaxis(mechanics.wanted.force, 0, 2), np.moveaxis(mechanics.wanted.moment, 0, 2)
    assert np.abs(ours[0] - force).max() < 1e-4 * GRAVITY_MPS2 * 80
    assert np.abs(ours[1] - moment).max() < 1e-3 * 80


def test_newtons_ground_reaction_leaves_no_residual_and_half_of_it_leaves_half(walkers: Trials) -> None:
    limits = Limits.around(walkers)
    measures = measure(walkers, limits)
    assert measures["residual_force_bw"].max() < 1e-3
    assert np.allclose(measures["mean_vertical_bw"], 1, atol=1e-4)
    walkers.signals["ground_reaction"] *= 0.5
    halved = measure(walkers, limits)
    assert halved["residual_force_bw"].between(0.5, 0.6).all() and np.allclose(halved["mean_vertical_bw"], 0.5, atol=1e-3)


@pytest.mark.parametrize("repair", ["forces", "stride"])
def test_balancing_repairs_what_was_spoilt_and_says_by_how_much(walkers: Trials, repair: Balance) -> None:
    rng = np.random.default_rng(1)
    good = {group: array.copy() for group, array in walkers.signals.items()}
    phase = 2 * np.pi * np.arange(100)[None, :, None] / 100
    weight = walkers.table["mass_kg"].to_numpy()[:, None, None] * GRAVITY_MPS2
    noise = 0.05 * weight * np.sin(2 * phase + rng.uniform(0, 6, (len(walkers), 1, 6)))
    walkers.signals["ground_reaction"] += (noise * (np.abs(good["ground_reaction"][:, :, [1, 1, 1, 4, 4, 4]]) > 0.2 * weight)).astype(
        np.float32
    )
    measures = measure(walkers, Limits.around(walkers), balance=repair)
    moved = [np.abs(walkers.signals[group] - good[group]).max() for group in ("pelvis", "joint_angles")]
    assert moved == [0, 0] if repair == "forces" else 0 < max(moved) < 0.02  # these walkers lack 1.3 N m/kg
    assert measures["repaired_force_bw"].min() > 0.02
    assert (measures["residual_force_bw"] < 0.15 * measures["repaired_force_bw"]).all()
    assert (measures["residual_moment_nmkg"] < measures["repaired_moment_nmkg"]).all()
    twist = np.abs(walkers.signals["free_moment"])
    assert twist.max() > 0 and (twist <= 0.03 * np.abs(walkers.signals["ground_reaction"][:, :, [1, 4]])).all()
    del walkers.signals["free_moment"]
    without = measure(walkers, Limits.around(walkers))
    assert (measures["residual_moment_nmkg"] < without["residual_moment_nmkg"]).all()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t.signals["joint_angles"].__setitem__((0, slice(10, 20), 3), 2.6), "joint leaves its range"),
        (lambda t: t.signals["ground_reaction"].__imul__(1.2), "mean vertical force is 1.20"),
        (lambda t: t.signals["pelvis"].__setitem__((0, slice(None), 4), t.signals["pelvis"][0, :, 4] - 0.05), "through the floor"),
        (lambda t: t.signals["pelvis"].__setitem__((0, slice(None), 3), t.signals["pelvis"][0, :, 3] * 2.5), "skates|force residual"),
        (lambda t: t.signals["ground_reaction"].__setitem__((0, slice(None), slice(3, 6)), 0), "mean vertical|take turns"),
    ],
)
def test_every_limit_catches_what_it_is_for(walkers: Trials, spoil, reason: str) -> None:
    limits = Limits.around(walkers)
    assert (broken_limits(measure(walkers, limits), limits) == "").all()
    if reason.startswith("skates"):
        walkers.table.loc[0, "stride_length_m"] *= 2.5
    spoil(walkers)
    said = broken_limits(measure(walkers, limits), limits)
    assert pd.Series([said.iloc[0]]).str.contains(reason).all(), said.iloc[0]


def test_where_on_the_floor_one_walks_does_not_matter(walkers: Trials) -> None:
    limits = replace(Limits.around(walkers), sole_depth_leg=(0.0,) * 5)
    before = measure(walkers, limits)
    walkers.signals["pelvis"][:, :, 5] += 0.1
    walkers.signals["centre_of_pressure"][:, :, [1, 3]] += 0.1
    after = measure(walkers, limits)
    for column in ("penetration_m", "foot_skate_mps", "residual_force_bw"):
        assert np.allclose(before[column], after[column], atol=1e-5)
    assert np.allclose(before["residual_moment_nmkg"], after["residual_moment_nmkg"], atol=1e-3)
