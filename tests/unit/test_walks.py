"""Continuous walking: exact without variability, smooth, as variable as asked, truth that can be measured."""

from __future__ import annotations

import numpy as np
import pytest

from analytic_walker import analytic_population, analytic_walker
from synthgait.errors import InputError
from synthgait.subjects import Subject
from synthgait.walks import HEALTHY, Variability, fractional_gaussian_noise, motion_of, usual_variability, walk

STILL = Variability(0.0, 0.0, 0.5, 0.0, 0.0)


@pytest.fixture(scope="module")
def strides():
    return analytic_population(6, seed=2)


def test_without_variability_a_walk_is_its_stride_again_and_again(strides):
    walks = walk(strides, 8.0, np.random.default_rng(0), variability=STILL)
    for column in ("walking_speed_mps", "stride_length_m", "step_length_r_m", "step_length_l_m"):
        np.testing.assert_allclose(walks.table[column], strides.table[column], rtol=3e-3, err_msg=column)
    np.testing.assert_allclose(walks.table["step_time_l_s"], strides.table["step_time_l_s"], atol=2e-3)
    knee, source = walks.channel("knee_flexion_r"), strides.channel("knee_flexion_r")
    np.testing.assert_allclose(knee.max(axis=1), source.max(axis=1), atol=0.01)


def test_speeds_and_accelerations_are_the_derivatives(strides):
    walks = walk(strides, 8.0, np.random.default_rng(1), sampling_rate_hz=400.0)
    motion, step = motion_of(walks), 1 / 400
    speed = (motion.coordinates[:, 2:] - motion.coordinates[:, :-2]) / (2 * step)
    np.testing.assert_allclose(motion.speeds[:, 1:-1], speed, atol=0.02)
    acceleration = (motion.speeds[:, 2:] - motion.speeds[:, :-2]) / (2 * step)
    assert np.abs(motion.accelerations[:, 1:-1] - acceleration).max() < 0.02 * np.abs(motion.accelerations).max()
    jumps = np.abs(np.diff(motion.accelerations, axis=1)).max(axis=(0, 1))
    assert (jumps < 0.35 * np.abs(motion.accelerations).max(axis=(0, 1)) + 0.05).all()


def test_variability_and_its_memory_are_what_was_asked():
    strides = analytic_walker([Subject("one")] * 6, 1.2)
    asked = Variability(0.03, 0.05, 0.8)
    walks = walk(strides, 240.0, np.random.default_rng(3), variability=asked)
    times, lengths = [], []
    for n in range(len(walks)):
        events = walks.events[walks.events["trial_index"] == n]
        right = events.loc[(events["event"] == "initial_contact") & (events["side"] == "r"), "time_s"].to_numpy()
        x = np.interp(right, np.arange(24000) / 100, walks.motion.coordinates[n, :, 3])
        times.append(np.diff(right))
        lengths.append(np.diff(x))
    assert np.std(np.concatenate(times)) / np.mean(np.concatenate(times)) == pytest.approx(0.03, rel=0.25)
    assert np.std(np.concatenate(lengths)) / np.mean(np.concatenate(lengths)) == pytest.approx(0.05, rel=0.25)


def test_noise_has_the_autocovariance_of_its_hurst_exponent():
    rng = np.random.default_rng(4)
    noise = np.array([fractional_gaussian_noise(rng, 64, 0.85) for _ in range(3000)])
    for lag in (0, 1, 2, 8):
        expected = 0.5 * (abs(lag + 1) ** 1.7 - 2 * lag**1.7 + abs(lag - 1) ** 1.7)
        assert np.mean(noise[:, 20] * noise[:, 20 + lag]) == pytest.approx(expected, abs=0.06)


def test_the_standing_foot_stays_where_it_is_while_step_length_varies():
    """A varying walk's feet skate no more than the stride's own feet do."""
    from synthgait.kinematics import body_motion

    strides = analytic_walker([Subject("one")], 1.2)

    def skating(variability):
        walks = walk(strides, 40.0, np.random.default_rng(5), variability=variability)
        motion = motion_of(walks)
        foot = body_motion(motion.skeleton, motion.coordinates, motion.speeds, bodies=["foot_r"])["foot_r"]
        speed = foot.point(np.array([0.1, 0.0, 0.0])).velocity_mps[0, :, 0]
        loaded = walks.channel("ground_reaction_y_r")[0] > 0.8 * 9.81 * strides.table["mass_kg"][0]
        return np.sqrt(np.mean(speed[loaded] ** 2))

    assert skating(Variability(0.03, 0.05, 0.8, sway=0.0)) < skating(STILL) + 0.03


def test_the_same_seed_gives_the_same_walk(strides):
    one, two = (walk(strides, 6.0, np.random.default_rng(6)) for _ in range(2))
    assert np.array_equal(one.motion.coordinates, two.motion.coordinates)
    assert not np.array_equal(one.motion.coordinates, walk(strides, 6.0, np.random.default_rng(7)).motion.coordinates)


def test_a_walk_read_back_moves_as_the_one_written(strides):
    from synthgait.trials import Trials

    walks = walk(strides, 6.0, np.random.default_rng(8))
    read = Trials(walks.table, walks.signals, walks.channels, walks.events, "walks", walks.sampling_rate_hz)
    again, original = motion_of(read), motion_of(walks)
    difference = np.abs(again.accelerations - original.accelerations)[:, 5:-5].max()
    assert difference < 0.05 * np.abs(original.accelerations).max()
    part = walks.select([3, 1])
    assert np.array_equal(part.motion.speeds[0], walks.motion.speeds[3])
    assert set(part.events["trial_index"]) == {0, 1}


def test_people_differ_in_variability():
    assert usual_variability(30.0) == HEALTHY
    assert usual_variability(75.0).stride_time_cv > HEALTHY.stride_time_cv
    assert usual_variability(60.0, "parkinson", 1.0).stride_time_cv > 1.5 * usual_variability(60.0).stride_time_cv


def test_wrong_input_is_named(strides):
    with pytest.raises(InputError, match="too short"):
        walk(strides, 1.0, np.random.default_rng(0))
    with pytest.raises(InputError, match="continuous already"):
        walk(walk(strides, 6.0, np.random.default_rng(0)), 6.0, np.random.default_rng(0))
    with pytest.raises(InputError, match="hurst"):
        Variability(hurst=1.5)
