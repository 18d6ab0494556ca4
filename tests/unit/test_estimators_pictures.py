"""Pictures of one walker from all sides, by cameras without errors: what they tell is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytic_walker import analytic_population
from synthgait.estimators import sense, tasks
from synthgait.estimators.features import pictures, poses
from synthgait.estimators.features import windows as w
from synthgait.estimators.predict import _with_depth
from synthgait.sensors import Camera
from synthgait.walks import Walks, walk

FOCAL_PX, RATE_HZ = 1400.0, 60.0


@pytest.fixture(scope="module")
def walker() -> Walks:
    return walk(analytic_population(1, seed=78), 7.0, np.random.default_rng(5))


def seen(walker: Walks, obliquity_deg: float, *, panning: bool = False, distance_m: float = 7.0) -> w.Windows:
    """Windows from a camera to the walker's right, so many degrees ahead of the side."""
    azimuth = np.deg2rad(90.0 - obliquity_deg)
    wide = {"width_px": 10**5, "height_px": 10**5}
    camera = Camera(azimuth, "joints", distance_m=distance_m, focal_px=FOCAL_PX, frame_rate_hz=RATE_HZ, panning=panning, **wide)
    film = camera.record(walker)
    signals = dict(zip(film.channels["keypoints_2d"], film.signals["keypoints_2d"][0].astype(float).T, strict=True))
    body = w.Body(float(walker.table["height_m"].iloc[0]), float(walker.table["leg_length_m"].iloc[0]))
    return tasks.sensor_named(tasks.OBLIQUE).featurise(signals, RATE_HZ, body)


@pytest.mark.parametrize("obliquity_deg", [0.0, 45.0, 90.0, 135.0, 180.0])
def test_stride_time_is_the_same_from_every_side(walker: Walks, obliquity_deg: float) -> None:
    found = seen(walker, obliquity_deg)
    assert np.median(found.stride_time_s) == pytest.approx(walker.table["stride_time_s"].iloc[0], abs=0.005)


@pytest.mark.parametrize(("obliquity_deg", "panning"), [(0.0, False), (30.0, False), (30.0, True), (-45.0, True), (60.0, True)])
def test_hips_and_shoulders_tell_the_view(walker: Walks, obliquity_deg: float, panning: bool) -> None:
    found = seen(walker, obliquity_deg, panning=panning, distance_m=20.0)
    assert found.in_picture is not None
    angle = np.rad2deg(np.arcsin(found.in_picture[:, 2])).mean()
    assert angle == pytest.approx(abs(obliquity_deg), abs=8.0)


@pytest.mark.parametrize("obliquity_deg", [45.0, 90.0, 120.0])
def test_a_known_focal_length_gives_the_stride_that_the_view_hides(walker: Walks, obliquity_deg: float) -> None:
    """Of what lies in the picture the foot under the hips tells a little less than there is; depth comes from the size alone."""
    found = _with_depth(seen(walker, obliquity_deg, panning=True), FOCAL_PX)
    row = walker.table.iloc[0]
    stride = row["walking_speed_mps"] * row["stride_time_s"] / row["leg_length_m"]
    assert found.travelled is not None and np.isfinite(found.travelled).all()
    assert np.exp(np.median(found.travelled)) == pytest.approx(stride, rel=0.08)


def test_from_the_side_depth_tells_nothing(walker: Walks) -> None:
    found = _with_depth(seen(walker, 0.0), FOCAL_PX)
    assert found.travelled is not None and np.isnan(found.travelled).all()
    assert _with_depth(replace(found, travelled=None), None).travelled is None


def test_growth_of_a_walker_who_comes_evenly_is_exact() -> None:
    time = np.arange(600) / w.WORKING_RATE_HZ
    distance = 8.0 - 1.2 * time
    bounce = 1.0 + 0.01 * np.cos(2 * np.pi * time / 0.55)
    found = pictures.growth(FOCAL_PX * 1.3 * bounce / distance, np.array([2.0, 3.0, 4.0]), np.full(3, 1.1))
    np.testing.assert_allclose(found[:, 0] * FOCAL_PX * 1.3, 8.0 - 1.2 * np.array([2.0, 3.0, 4.0]), rtol=2e-3)
    np.testing.assert_allclose(found[:, 1] * FOCAL_PX * 1.3, -1.2, rtol=0.02)


def test_what_is_hidden_of_a_stride_is_taken_to_be_usual() -> None:
    usual = pictures.stride_seen(np.zeros(1), np.ones(1), np.array([3.6]))
    assert usual == pytest.approx(1.57, abs=0.03)
    assert pictures.stride_seen(np.array([1.4]), np.zeros(1), np.array([3.6])) == pytest.approx(1.4)


def test_views_along_the_walk_average_whichever_way_knees_seem_to_bend() -> None:
    assert abs(pictures.mean_sine(np.array([0.98, -0.99, 1.0, -0.97]))) > 0.97
    assert pictures.mean_sine(np.array([0.3, -0.3])) == pytest.approx(0.0, abs=1e-9)
    assert pictures.mean_sine(np.array([0.6, 0.7])) == pytest.approx(0.65, abs=0.01)


def test_footholds_of_oblique_views_are_unsure() -> None:
    shares = np.tile([0.55, 0.005], (3, 1))
    found = pictures.unsure_footholds(shares, np.sin(np.deg2rad([0.0, 30.0, -30.0])), np.full(3, 1.4), np.zeros(3))
    np.testing.assert_allclose(found[:, 0], 0.55)
    assert found[0, 1] == pytest.approx(0.005) and found[1, 1] > 0.05 and found[1, 1] == found[2, 1]


def test_a_view_from_the_other_side_is_the_mirrored_walker() -> None:
    kind = tasks.sensor_named(tasks.OBLIQUE)
    assert not kind.negated and not kind.worn
    assert [kind.channels[i] for i in kind.mirror[:2]] == ["hip_forward_l", "hip_up_l"]
    assert kind.channels == poses.PICTURE_CHANNELS and kind.scalars == poses.PICTURE_SCALARS


def test_training_views_come_from_all_around() -> None:
    found = sense.sense(
        analytic_population(60, seed=3), tasks.OBLIQUE, np.random.default_rng(0), task="gait_parameters", walks=200, strides=1
    )
    obliquity = found.scalars[:, poses.PICTURE_SCALARS.index("obliquity")]
    assert (obliquity < 0.35).mean() > 0.1 and (obliquity > 0.9).mean() > 0.2
    assert np.abs(found.values[:, 0]).max() < 2.0 and 1 <= len(found.values) / 200 <= 2
