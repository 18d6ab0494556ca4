"""Cameras and key points: pinhole known answers, views, occlusion, the network's errors."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from analytic_walker import analytic_population
from synthgait.bundled import folder as declarations
from synthgait.errors import InputError
from synthgait.kinematics import point_motion
from synthgait.sensors import KEYPOINT_SETS, Camera, Markers, MarkerSpecification, PoseNoise
from synthgait.walks import walk


@pytest.fixture(scope="module")
def walks():
    return walk(analytic_population(4, seed=1), 4.0, np.random.default_rng(0))


def test_every_set_has_its_number_of_points_and_records(walks):
    assert {name: len(points) for name, points in KEYPOINT_SETS.items()} == {"joints": 21, "coco_17": 17, "body_25": 25, "mediapipe_33": 33}
    for name in KEYPOINT_SETS:
        record = Camera("right", name, distance_m=12.0).record(walks)
        assert np.isfinite(record.signals["keypoints_2d"]).all()
        assert record.signals["keypoint_confidence"].shape[2] == len(KEYPOINT_SETS[name])


def test_a_point_projects_as_similar_triangles_say(walks):
    """From the right side, image x is focal * x / depth, and y is up."""
    camera = Camera("right", ["hip_r", "toe_r", "head_top"], distance_m=10.0, height_m=1.0, focal_px=1000.0, panning=False)
    image = camera.record(walks).signals["keypoints_2d"].reshape(4, 400, 3, 2)
    points = point_motion(walks.motion.skeleton, walks.motion.coordinates, points=["hip_r", "pelvis"])
    hip, pelvis = points["hip_r"].position_m, points["pelvis"].position_m
    middle = 0.5 * (pelvis.min(axis=1) + pelvis.max(axis=1))
    depth = middle[:, None, 2] + 10.0 - hip[..., 2]
    expected = 960 + 1000 * (hip[..., 0] - middle[:, None, 0]) / depth
    np.testing.assert_allclose(image[..., 0, 0], expected, atol=3.0)
    assert (image[..., 2, 1] > image[..., 0, 1]).all()
    assert (image[..., 0, 1] > image[..., 1, 1]).all()


@pytest.mark.parametrize(("view", "sign"), [("right", 1), ("left", -1)])
def test_the_walker_crosses_the_image_the_right_way(walks, view, sign):
    hip = Camera(view, ["hip_r"], distance_m=12.0).record(walks).channel("hip_r_x")
    assert (sign * (hip[:, -1] - hip[:, 0]) > 100).all()


def test_a_walker_comes_towards_the_front_camera_and_its_right_is_left(walks):
    record = Camera("front", "joints", distance_m=4.0).record(walks)
    tall = record.channel("head_top_y") - record.channel("ankle_r_y")
    assert (tall[:, -1] > 1.3 * tall[:, 0]).all()
    assert (record.channel("shoulder_r_x") < record.channel("shoulder_l_x")).all()
    away = Camera("back", "joints", distance_m=4.0).record(walks)
    assert (away.channel("shoulder_r_x") > away.channel("shoulder_l_x")).all()


def test_panning_keeps_the_walker_in_the_middle(walks):
    record = Camera("right", ["pelvis"], distance_m=4.0, panning=True).record(walks)
    np.testing.assert_allclose(record.channel("pelvis_x"), 960, atol=1.0)


def test_only_the_far_leg_is_hidden_from_the_side(walks):
    trust = Camera("right", "coco_17", distance_m=12.0).record(walks)
    near, far = trust.channel("knee_r_confidence"), trust.channel("knee_l_confidence")
    assert (near > 0.9).all()
    assert 0.05 < np.mean(far < 0.5) < 0.6
    front = Camera("front", "coco_17", distance_m=6.0).record(walks)
    assert np.mean(front.channel("knee_l_confidence") < 0.5) < 0.05


def test_noise_is_in_shares_of_body_height(walks):
    plain, noisy = (
        Camera("right", "coco_17", n, distance_m=12.0, panning=True).record(walks, np.random.default_rng(0)).signals["keypoints_2d"]
        for n in (None, PoseNoise(noise=0.01))
    )
    camera = Camera("right", ["head_top", "heel_l"], distance_m=12.0, panning=True).record(walks)
    tall = np.median(camera.channel("head_top_y") - camera.channel("heel_l_y"))
    assert (noisy - plain).std() == pytest.approx(0.01 * tall, rel=0.15)


def test_motion_blur_grows_with_a_points_speed_in_the_image(walks):
    """A streak of speed times exposure, read anywhere: standard deviation over the square root of 12, along the way."""
    views = {"panning": True, "frame_rate_hz": 50.0, "distance_m": 12.0}
    sharp, blurred, longer = (
        Camera("right", ["toe_r", "pelvis"], PoseNoise(exposure_s=s), **views).record(walks, np.random.default_rng(0))
        for s in (0.0, 0.01, 9.0)
    )
    error = {name: blurred.channel(name) - sharp.channel(name) for name in ("toe_r_x", "toe_r_y", "pelvis_x")}
    speed = np.gradient(sharp.channel("toe_r_x").astype(float), axis=1) * 50.0
    fast = np.abs(speed) > np.quantile(np.abs(speed), 0.8)
    assert (error["toe_r_x"] / (0.01 * speed))[fast].std() == pytest.approx(1 / np.sqrt(12), rel=0.08)
    assert np.abs(error["toe_r_x"][fast]).max() <= 0.5 * 0.01 * np.abs(speed).max()
    assert error["toe_r_x"].std() > 10 * error["pelvis_x"].std()
    assert error["toe_r_x"][fast].std() > 2 * error["toe_r_x"][~fast].std()
    # a shutter cannot be open for longer than a frame, here twice as long
    assert (longer.channel("toe_r_x") - sharp.channel("toe_r_x")).std() == pytest.approx(2 * error["toe_r_x"].std(), rel=1e-3)


def test_legs_swap_only_where_one_hides_the_other(walks):
    plain, swapped = (
        Camera("right", "coco_17", PoseNoise(swap=s), distance_m=12.0).record(walks, np.random.default_rng(0)) for s in (0.0, 1.0)
    )
    changed = np.abs(plain.channel("ankle_l_x") - swapped.channel("ankle_l_x")) > 1e-3
    hidden = np.zeros_like(changed)
    for name in ("knee_l", "ankle_l", "knee_r", "ankle_r"):
        hidden |= plain.channel(f"{name}_confidence") < 0.5
    assert changed.any()
    assert not changed[~hidden].any()


@pytest.mark.parametrize("noise", list(yaml.safe_load((declarations("simulations") / "sensors" / "camera.yaml").read_text())))
def test_every_declared_network_films(walks, noise):
    record = Camera(0.7, "body_25", noise, distance_m=8.0, frame_rate_hz=30.0).record(walks, np.random.default_rng(1))
    assert record.sampling_rate_hz == 30.0
    assert record.signals["keypoints_2d"].shape == (4, 120, 50)
    assert 0.0 < np.isnan(record.signals["keypoints_2d"]).mean() < 0.3


def test_plain_joints_are_the_landmarks_and_arms_swing(walks):
    record = Markers().record(walks)
    knee = point_motion(walks.motion.skeleton, walks.motion.coordinates, points=["knee_r"])["knee_r"].position_m
    got = np.stack([record.channel(f"knee_r_{a}") for a in "xyz"], axis=-1)
    np.testing.assert_allclose(got, knee, atol=1e-5)
    relative = Markers(root_relative=True).record(walks)
    wrist, ankle = relative.channel("wrist_r_x"), relative.channel("ankle_l_x")
    assert np.ptp(wrist, axis=1).min() > 0.1
    assert all(np.corrcoef(w, a)[0, 1] > 0.7 for w, a in zip(wrist, ankle, strict=True))
    lost = np.isnan(Markers(sensor=MarkerSpecification(missing=0.1)).record(walks, np.random.default_rng(0)).signals["keypoints_3d"])
    assert lost.mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("sensor", list(yaml.safe_load((declarations("simulations") / "sensors" / "markers.yaml").read_text())))
def test_declared_markers_are_misplaced_and_noisy(walks, sensor):
    markers = Markers("coco_17", sensor)
    off = markers.record(walks, np.random.default_rng(0)).signals["keypoints_3d"] - Markers("coco_17").record(walks).signals["keypoints_3d"]
    assert np.nanmean(off, axis=1).std() == pytest.approx(markers.sensor.offset_sd_m, rel=0.3)
    assert np.nanstd(off, axis=1).mean() == pytest.approx(markers.sensor.noise_m, rel=0.1)
    assert 0.0 < np.isnan(off).mean() < 0.02


def test_wrong_input_is_named(walks):
    with pytest.raises(InputError, match="no view"):
        Camera("above")
    with pytest.raises(InputError, match="no key-point set"):
        Camera("right", "coco_18")
    with pytest.raises(InputError, match="random generator"):
        Camera("right", noise="home_video").record(walks)
