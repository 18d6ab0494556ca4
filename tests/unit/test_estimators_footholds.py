"""How a stride is shared between the sides, from a walker whose unequal steps are known exactly."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from analytic_walker import analytic_population
from synthgait.estimators import GaitEstimator, fit, tasks
from synthgait.estimators.features import footholds, poses
from synthgait.estimators.features import windows as w
from synthgait.estimators.networks import StrideNetwork
from synthgait.estimators.predict import _mixed
from synthgait.estimators.terms import _FOOTHOLD_SD, _UNEVEN_SD, _with_footholds

RATE_HZ, STRIDE_S, RIGHT_M, LEFT_M = 60.0, 1.1, 0.72, 0.54


def unequal_steps(seconds: float = 8.0, *, stance: float = 0.62, heading_rad: float = 0.4) -> dict[str, np.ndarray]:
    """A pose whose feet rest where they land: the right one RIGHT_M ahead of the left, then the left LEFT_M ahead."""
    phase = np.arange(0.0, seconds, 1 / RATE_HZ) / STRIDE_S
    stride = RIGHT_M + LEFT_M
    hips = stride * phase - 0.5 * RIGHT_M
    out: dict[str, np.ndarray] = {}
    for side, landed, at, width in (("r", 0.0, 0.0, 0.1), ("l", 0.48, LEFT_M, -0.1)):
        whole, within = np.divmod(phase - landed, 1.0)
        swung = np.clip((within - stance) / (1 - stance), 0.0, 1.0)
        ankle = stride * (whole + swung - np.sin(2 * np.pi * swung) / (2 * np.pi)) + at
        places = {"hip": (hips, 0.9), "knee": (0.5 * (hips + ankle) + 0.05, 0.5), "ankle": (ankle, 0.08 + 0.1 * np.sin(np.pi * swung))}
        for joint, (ahead, up) in places.items():
            out[f"{joint}_{side}_x"] = np.cos(heading_rad) * ahead - np.sin(heading_rad) * width
            out[f"{joint}_{side}_y"] = np.broadcast_to(up, ahead.shape).copy()
            out[f"{joint}_{side}_z"] = np.sin(heading_rad) * ahead + np.cos(heading_rad) * width
    return out


def under_the_hips(plain: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same pose with its hips on the spot."""
    hips = {axis: 0.5 * (plain[f"hip_r_{axis}"] + plain[f"hip_l_{axis}"]) for axis in "xz"}
    return {name: values - hips.get(name[-1], 0.0) for name, values in plain.items()}


def told(signals: dict[str, np.ndarray]) -> np.ndarray:
    found = poses.featurise_pose(signals, RATE_HZ, w.Body(1.75), metric=True).footholds
    assert found is not None
    return found


TRUTH = RIGHT_M / (RIGHT_M + LEFT_M)


def test_footholds_tell_each_sides_step_wherever_the_walk_goes() -> None:
    for heading in (0.4, 0.4 + np.pi / 2, 0.4 + np.pi):
        found = told(unequal_steps(heading_rad=heading))
        known = np.isfinite(found).all(axis=1)
        assert known.mean() > 0.8
        np.testing.assert_allclose(found[known, 0], TRUTH, atol=1e-3)
        assert found[known, 1].max() < 0.002


def test_a_belt_or_the_hips_as_origin_change_nothing() -> None:
    found = told(under_the_hips(unequal_steps()))
    known = np.isfinite(found).all(axis=1)
    assert known.any()
    np.testing.assert_allclose(found[known, 0], TRUTH, atol=1e-3)
    assert found[known, 1].max() < 0.01


def test_the_other_sides_walk_is_the_mirrored_one() -> None:
    plain = unequal_steps()
    mirrored = {f"{name[:-3]}{'l' if name[-3] == 'r' else 'r'}{name[-2:]}": values for name, values in plain.items()}
    for name in mirrored:
        if name.endswith("z"):
            mirrored[name] = -mirrored[name]
    here, there = told(plain), told(mirrored)
    known = np.isfinite(here).all(axis=1) & np.isfinite(there).all(axis=1)
    np.testing.assert_allclose(there[known, 0], 1.0 - here[known, 0], atol=0.02)


def test_feet_that_slide_say_so_and_too_little_walking_says_nothing() -> None:
    plain, rng = unequal_steps(), np.random.default_rng(0)
    time = np.arange(len(plain["ankle_r_x"])) / RATE_HZ
    swaying = dict(plain)
    for name in ("ankle_r_x", "ankle_l_x"):
        swaying[name] = plain[name] + 0.12 * np.sin(2 * np.pi * time / STRIDE_S + rng.uniform(0, 2 * np.pi))
    slid = told(swaying)[:, 1]
    assert np.nanmedian(slid) > 0.02
    short = {name: values[: round(1.3 * STRIDE_S * RATE_HZ)] for name, values in plain.items()}
    np.testing.assert_allclose(told(short)[:, 0], TRUTH, atol=1e-3)
    # three feet on the floor make two steps; in half a stride there are no three
    ankles = np.stack(
        [np.stack([w.to_working_rate(plain[f"ankle_{side}_{axis}"][:, None], RATE_HZ)[:, 0] for axis in "xyz"], 1) for side in "rl"], 1
    )
    apart = np.cos(2 * np.pi * np.arange(32) / 32)[None]
    found = footholds.shares(ankles[:55], apart, np.array([[1.0, 0.0, 0.0]]), np.zeros(1), np.full(1, STRIDE_S))
    assert np.isnan(found).all()


def test_the_better_feet_rest_the_more_they_are_believed() -> None:
    share, sd = np.full(4, 0.5), np.full(4, 0.01)
    footholds = np.array([[0.56, 0.0], [0.56, 0.15], [np.nan, 0.01], [0.44, 0.005]])
    together, spread = _with_footholds(share, sd, footholds)
    weight = (_UNEVEN_SD**2 + 0.01**2) / (_UNEVEN_SD**2 + 0.01**2 + _FOOTHOLD_SD**2)
    assert together[0] == pytest.approx(0.5 + 0.06 * weight) and weight > 0.8 and spread[0] == pytest.approx(_FOOTHOLD_SD * np.sqrt(weight))
    assert together[1] == pytest.approx(0.5, abs=0.002) and together[3] == pytest.approx(0.44, abs=0.015)
    assert together[2] == 0.5 and spread[2] == 0.01 and spread[0] < spread[3] < spread[1] < 1.2 * np.hypot(_UNEVEN_SD, 0.01)
    assert _with_footholds(share, sd, None) == (share, sd)


@pytest.fixture(scope="module")
def both() -> GaitEstimator:
    """Networks of both kinds that hardly learned anything, but differ."""
    small = {"walks": 16, "strides_per_walk": 1, "steps": 2, "members": 1, "batch": 8}
    return fit({"sensors": ["keypoints_3d", tasks.CAPTURED], **small}, analytic_population(12, seed=3))


def lengths(networks: dict[str, list[StrideNetwork]], signals: dict[str, np.ndarray]) -> np.ndarray:
    found = GaitEstimator("gait_parameters", networks).predict(signals, sensor="keypoints_3d", sampling_rate_hz=RATE_HZ, height_m=1.75)
    return np.array(found["strides"]["stride_length_m"])


def test_motion_capture_is_read_by_networks_of_its_own_and_what_one_camera_may_have_seen_is_not(both: GaitEstimator) -> None:
    assert both.sensors == ("keypoints_3d",)
    general, special = ({"keypoints_3d": both.networks[name]} for name in ("keypoints_3d", tasks.CAPTURED))
    still = under_the_hips(unequal_steps())
    time = np.arange(len(still["hip_r_x"])) / RATE_HZ
    shaken = still | {f"ankle_{side}_x": still[f"ankle_{side}_x"] + 0.05 * np.sin(6 * np.pi * time / STRIDE_S) for side in "rl"}
    for signals, expected, other in ((still, special, general), (shaken, general, special)):
        np.testing.assert_array_equal(lengths(both.networks, signals), lengths(expected, signals))
        assert np.abs(lengths(both.networks, signals) - lengths(other, signals)).max() > 1e-3


def test_networks_that_tell_another_stride_altogether_are_not_believed(both: GaitEstimator) -> None:
    other = deepcopy(both.networks)
    for network in other[tasks.CAPTURED]:
        network.value_mean[tasks.VALUES.index("log_stride_ratio")] -= 0.4  # as of a pose whose depth is squeezed to two thirds
    signals = unequal_steps()
    np.testing.assert_array_equal(lengths(other, signals), lengths({"keypoints_3d": both.networks["keypoints_3d"]}, signals))


def test_between_both_kinds_of_networks_is_a_mixture() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200_000) > 0.25
    drawn = np.where(first, rng.normal(0.0, 0.3, len(first)), rng.normal(1.0, 0.4, len(first)))
    mean, sd = _mixed(np.zeros((1, 1)), np.full((1, 1), 0.3), np.ones((1, 1)), np.full((1, 1), 0.4), np.array(0.25))
    assert float(mean[0, 0]) == pytest.approx(drawn.mean(), abs=0.01) and float(sd[0, 0]) == pytest.approx(drawn.std(), abs=0.01)
