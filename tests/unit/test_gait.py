"""Gait events and spatio-temporal parameters: known walkers, mirrored strides, a solution's stride."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytic_walker import analytic_population, analytic_walker
from synthgait import datasets
from synthgait.anthropometry import build_model
from synthgait.conventions import COORDINATES, MUSCLES, SIGNAL_GROUPS, TRIAL_COLUMNS
from synthgait.errors import InputError
from synthgait.gait import (
    cadence_chance,
    contact_phases,
    mirror,
    oddities,
    spatiotemporal,
    stance_phases,
    stride_from_solution,
    typical_cadence_spm,
    with_realised,
)
from synthgait.kinematics import spectral_derivative
from synthgait.simulate.task import WalkingSolution, WalkingTask
from synthgait.subjects import Subject


@pytest.fixture(scope="module")
def strides():
    return analytic_population(20, seed=7)


def test_crossings_are_interpolated_and_wrap():
    force = np.zeros((3, 10))
    force[0, 3:6] = 10.0  # up between 2 and 3, down between 5 and 6
    force[1, [9, 0, 1]] = 10.0
    initial, final = stance_phases(force, 2.5)
    np.testing.assert_allclose(initial[:2], [0.225, 0.825])
    np.testing.assert_allclose(final[:2], [0.575, 1.175])
    assert np.isnan(initial[2])


def test_a_bounce_is_not_a_contact():
    force = np.zeros((1, 100))
    force[0, 5] = 100.0
    force[0, 20:70] = 700.0
    initial, final = stance_phases(force, 35.0)
    assert initial[0] == pytest.approx(0.1905)
    assert final[0] == pytest.approx(0.6995)


def test_the_analytic_walkers_steps_come_back(strides):
    realised = spatiotemporal(strides)
    for column in ("walking_speed_mps", "stride_length_m", "step_length_r_m", "step_length_l_m", "cadence_spm"):
        np.testing.assert_allclose(realised[column], strides.table[column], rtol=2e-3, err_msg=column)
    np.testing.assert_allclose(realised["step_time_r_s"], strides.table["step_time_r_s"], atol=0.002)
    np.testing.assert_allclose(realised["step_width_m"], strides.table["step_width_m"], atol=2e-3)
    np.testing.assert_allclose(realised["step_length_r_m"] + realised["step_length_l_m"], realised["stride_length_m"], rtol=1e-12)
    np.testing.assert_allclose(contact_phases(strides)["initial_r"], 0.0, atol=1e-4)
    events = with_realised(strides).events
    assert list(events["event"][:4]) == ["initial_contact", "final_contact", "initial_contact", "final_contact"]
    assert list(events["side"][:4]) == ["r", "l", "l", "r"]


def test_mirroring_twice_is_the_identity():
    strides = _limping()
    once = mirror(strides)
    twice = mirror(once)
    for group, array in strides.signals.items():
        np.testing.assert_allclose(twice.signals[group], array, atol=1e-6, err_msg=group)
    np.testing.assert_allclose(twice.events["time_s"], strides.events["time_s"], atol=1e-9)
    assert twice.table.equals(strides.table)
    assert list(once.table["step_time_l_s"]) == list(strides.table["step_time_r_s"])
    assert set(once.table["affected_side"]) == {"right"}


def test_a_mirrored_gait_is_measured_mirrored():
    strides = _limping()
    here, there = spatiotemporal(strides), spatiotemporal(mirror(strides))
    assert abs(here["step_length_r_m"] - here["step_length_l_m"]).min() > 0.01
    np.testing.assert_allclose(here["step_length_r_m"], there["step_length_l_m"], atol=2e-3)
    np.testing.assert_allclose(here["step_time_r_s"], there["step_time_l_s"], atol=2e-3)
    np.testing.assert_allclose(here["stance_time_l_s"], there["stance_time_r_s"], atol=2e-3)


def _limping():
    """Asymmetric on purpose: the left leg steps early and swings less."""
    strides = analytic_population(4, seed=9)
    for group in ("joint_angles", "ground_reaction", "muscle_activation"):
        names = strides.channels[group]
        left = [i for i, n in enumerate(names) if n.endswith("_l")]
        strides.signals[group][..., left] = np.roll(strides.signals[group][..., left], -4, axis=1)
    hip = strides.channels["joint_angles"].index("hip_flexion_l")
    strides.signals["joint_angles"][..., hip] *= 0.9
    strides.table["pathology"], strides.table["severity"], strides.table["affected_side"] = "hemiparesis", 0.5, "left"
    return with_realised(strides)


def test_a_solution_becomes_the_stride_it_is():
    """The analytic stride, put on a solver's nodes at another phase, comes back as it was."""
    subject = Subject("walker")
    model = build_model(subject)
    known = analytic_walker([subject], 1.2)
    solution = _as_solution(model, known, start=30, nodes=200)
    task = WalkingTask(walking_speed_mps=1.2)
    stride = stride_from_solution(model, subject, task, solution, seed=5, columns={"certificate_force": 0.1})
    assert set(stride.signals) == set(SIGNAL_GROUPS)
    assert set(TRIAL_COLUMNS) <= set(stride.table.columns)
    assert stride.table["certificate_force"][0] == 0.1
    assert stride.channel("pelvis_tx")[0, 0] == 0.0
    np.testing.assert_allclose(stride.signals["joint_angles"], known.signals["joint_angles"], atol=2e-3)
    np.testing.assert_allclose(stride.signals["joint_velocities"], known.signals["joint_velocities"], atol=0.05)
    np.testing.assert_allclose(stride.channel("pelvis_tx"), known.channel("pelvis_tx") - known.channel("pelvis_tx")[:, :1], atol=2e-3)
    np.testing.assert_allclose(stride.signals["ground_reaction"], known.signals["ground_reaction"], atol=15.0)
    assert stride.channel("ground_reaction_y_r").min() >= 0.0
    pressure, expected = stride.signals["centre_of_pressure"][0, 10:50, 0], known.signals["centre_of_pressure"][0, 10:50, 0]
    np.testing.assert_allclose(pressure, expected, atol=0.01)
    assert np.isnan(stride.signals["centre_of_pressure"][0, 80, 0])
    assert stride.table["walking_speed_mps"][0] == pytest.approx(1.2, abs=1e-3)
    for column in ("step_length_r_m", "step_length_l_m", "step_time_l_s"):
        assert stride.table[column][0] == pytest.approx(known.table[column][0], abs=5e-3)
    assert len(stride.events) == 4


def test_a_solution_that_never_lifts_the_foot_is_refused():
    subject = Subject("stander")
    model = build_model(subject)
    solution = _as_solution(model, analytic_walker([subject], 1.2), start=0, nodes=60)
    solution.contact_force[..., 1] = 100.0
    with pytest.raises(InputError, match="never leaves the floor"):
        stride_from_solution(model, subject, WalkingTask(walking_speed_mps=1.2), solution)


def test_a_pair_of_forces_that_twists_the_foot_is_a_free_moment():
    subject = Subject("walker")
    model = build_model(subject)
    solution = _as_solution(model, analytic_walker([subject], 1.2), start=30, nodes=200)
    task = WalkingTask(walking_speed_mps=1.2)
    still = stride_from_solution(model, subject, task, solution)
    assert np.abs(still.signals["free_moment"]).max() < 1e-3
    one, other, *_ = (j for j, c in enumerate(model.contacts) if c.body.endswith("_r"))
    solution.contact_force[:, one, 0] += 20.0
    solution.contact_force[:, other, 0] -= 20.0
    solution.contact_point[:, other] = solution.contact_point[:, one] + [0.0, 0.0, 0.05]
    twisted = stride_from_solution(model, subject, task, solution)
    loaded = np.isfinite(twisted.channel("centre_of_pressure_x_r")[0])
    # about the upward axis: z times the forward force
    np.testing.assert_allclose(twisted.channel("free_moment_r")[0, loaded], -0.05 * 20.0, atol=1e-2)
    assert not twisted.channel("free_moment_r")[0, ~loaded].any()
    np.testing.assert_allclose(twisted.channel("free_moment_l"), 0.0, atol=1e-6)
    np.testing.assert_allclose(twisted.signals["ground_reaction"], still.signals["ground_reaction"], atol=1e-3)


def _as_solution(model, trials, start, nodes):
    period, length = float(trials.table["stride_time_s"][0]), float(trials.table["stride_length_m"][0])
    q = np.concatenate([trials.signals["pelvis"], trials.signals["joint_angles"]], -1).astype(float)
    gain = np.zeros(len(COORDINATES))
    gain[3] = length
    speeds, accelerations = (spectral_derivative(q[0], period, order, gain) for order in (1, 2))

    def on_nodes(values, gained=0.0):
        wanted = (start + np.arange(nodes + 1) / nodes * 100) / 100
        gained = np.broadcast_to(gained, values.shape[1])
        spectrum = np.fft.rfft(values - np.multiply.outer(np.arange(100) / 100, gained), axis=0)
        k = np.arange(len(spectrum))
        weight = np.where(k == 0, 1.0, 2.0)[:, None] / 100
        out = np.real(np.exp(2j * np.pi * np.outer(wanted, k)) @ (weight * spectrum))
        return out + np.multiply.outer(wanted, gained)

    def linear(values):
        wanted = (start + np.arange(nodes + 1) / nodes * 100) % 100
        return np.stack([np.interp(wanted, np.arange(101), np.append(c, c[0])) for c in values.T], axis=1)

    force = linear(trials.signals["ground_reaction"][0].astype(float)).reshape(-1, 2, 3)
    pelvis = q[0, :, 3]
    pressure = np.nan_to_num(trials.signals["centre_of_pressure"][0].astype(float)).reshape(100, 2, 2)
    pressure[..., 0] -= np.where(pressure[..., 0] == 0, 0, pelvis[:, None])
    coordinates = on_nodes(q[0], gain)
    contact_force, contact_point = np.zeros((nodes + 1, len(model.contacts), 3)), np.zeros((nodes + 1, len(model.contacts), 3))
    for i, side in enumerate("rl"):
        first = next(j for j, c in enumerate(model.contacts) if c.body.endswith(side))
        contact_force[:, first] = force[:, i]
        # The walker's centre of pressure runs ahead of phase 0 by a stride on the left: any wrap will do.
        contact_point[:, first, 0] = linear(pressure[:, i])[:, 0] + coordinates[:, 3]
        contact_point[:, first, 2] = linear(pressure[:, i])[:, 1]
    muscles = len(MUSCLES)
    zeros = np.zeros((nodes + 1, muscles))
    return WalkingSolution(
        "ok", "", 1, 0.0, 0.0, period, 0.8, np.linspace(0, period, nodes + 1), coordinates, on_nodes(speeds), on_nodes(accelerations),
        linear(trials.signals["muscle_activation"][0].astype(float)), zeros, zeros, zeros, zeros, np.zeros((nodes + 1, 3)),
        contact_force, contact_point, np.zeros((nodes + 1, len(COORDINATES))),
    )  # fmt: skip


def test_a_usual_cadence_is_the_likeliest():
    speed, height = np.array([0.6, 1.2]), np.array([1.6, 1.8])
    usual = typical_cadence_spm(speed, height)
    assert np.all(usual == [typical_cadence_spm(float(v), float(h)) for v, h in zip(speed, height, strict=True)])
    people = pd.DataFrame({"walking_speed_mps": speed, "height_m": height, "pathology": "none", "severity": 0.0})
    likely = [cadence_chance(people.assign(stride_time_s=120 / (factor * usual))) for factor in (1.0, 1.25, 2.0)]
    np.testing.assert_allclose(likely[0], 1.0)
    assert np.all((likely[1] > 0.5) & (likely[2] > 0.1) & (likely[2] < 0.2))
    # after stroke the walk ratio is half: steps are quicker by root two, at the same speed
    stroke = people.assign(pathology="hemiparesis", severity=1.0)
    np.testing.assert_allclose(cadence_chance(stroke.assign(stride_time_s=120 / (np.sqrt(2.0) * usual))), 1.0, atol=0.02)
    assert np.all(cadence_chance(stroke.assign(stride_time_s=120 / usual)) < 0.5)


def test_a_foot_that_lands_in_mid_swing_and_an_overstretched_hip_are_odd():
    strides = analytic_population(3, seed=4)
    assert oddities(strides) == ["", "", ""]
    phases = contact_phases(strides)
    middle = round(100 * (phases["final_l"][1] + 0.5 * np.mod(phases["initial_l"][1] - phases["final_l"][1], 1.0))) % 100
    force = strides.channels["ground_reaction"].index("ground_reaction_y_l")
    strides.signals["ground_reaction"][1, middle, force] = 0.2 * 9.80665 * strides.table["mass_kg"].iloc[1]
    strides.signals["joint_angles"][2, 50, strides.channels["joint_angles"].index("hip_flexion_r")] = np.deg2rad(-39.0)
    told = oddities(strides)
    assert told[0] == "" and "left foot carries 0.20" in told[1] and "right hip extends by 39" in told[2]


def test_the_bundled_gaits_are_of_the_bodies_that_their_table_tells():
    """Of each pathology some: its knees' alignment, too, is what the feet were found with."""
    seed = datasets.load().certified()
    some = seed.table.groupby("pathology").head(8).index.to_numpy()
    strides = seed.select(some)
    found = spatiotemporal(strides)
    for name in ("step_width_m", "step_length_r_m", "step_length_l_m", "stance_time_r_s"):
        np.testing.assert_allclose(found[name], strides.table[name], atol=1e-5, err_msg=name)
    assert not any(oddities(seed))
