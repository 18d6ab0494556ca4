"""Windows: known stride times, gravity and mounting, Fourier calculus, pendulum and standing foot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rolling_shank import rolling_shank
from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.estimators.features import limbs, poses, trunk
from synthgait.estimators.features import windows as w

RATE = 100.0
STEP_RISE_M = 0.02  # half the pendulum's excursion


def trunk_signal(stride_time_s: float, duration_s: float = 12.0, rate_hz: float = RATE) -> np.ndarray:
    """(T, 6) in axes up, forward, right: an inverted pendulum that sways and rolls once a stride."""
    t = np.arange(int(duration_s * rate_hz)) / rate_hz
    omega = 2 * np.pi / stride_time_s
    up = -STEP_RISE_M * (2 * omega) ** 2 * np.cos(2 * omega * t)  # highest at t = 0, mid-stance
    forward = 0.8 * np.sin(2 * omega * t)  # slowest at mid-stance
    right = 0.5 * np.cos(omega * t)
    gyr = np.stack([0.3 * np.sin(omega * t), 0.4 * np.cos(omega * t), 0.1 * np.cos(2 * omega * t)], axis=1)
    return np.concatenate([np.stack([GRAVITY_MPS2 + up, forward, right], axis=1), gyr], axis=1)


def mounted(values: np.ndarray, rotation: Rotation) -> dict[str, np.ndarray]:
    turned = np.concatenate([rotation.apply(values[:, :3]), rotation.apply(values[:, 3:])], axis=1)
    return {f"lower_back_{channel}": turned[:, i] for i, channel in enumerate(IMU_CHANNELS)}


@pytest.mark.parametrize("stride_time_s", [0.45, 0.7, 0.983, 1.1, 1.537, 2.6])
@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 204.8])
def test_stride_time_is_found_to_a_millisecond(stride_time_s: float, rate_hz: float) -> None:
    signals = mounted(trunk_signal(stride_time_s, 20.0, rate_hz), Rotation.from_euler("xyz", [0.3, 1.0, -2.0]))
    found = trunk.featurise(signals, rate_hz, w.Body())
    assert np.median(found.stride_time_s) == pytest.approx(stride_time_s, rel=1e-3, abs=1e-3)


def test_mounting_does_not_matter_and_axes_are_the_walkers() -> None:
    plain = trunk_signal(1.1)
    rng = np.random.default_rng(0)
    reference = trunk.featurise(mounted(plain, Rotation.identity()), RATE, w.Body(leg_length_m=0.9))
    right = reference.cycles[:, trunk.CHANNELS.index("acc_right")]
    # up x forward points to the left
    expected = w.cycles(w.fourier(-plain[:, 2:3], reference.centre_s, reference.stride_time_s))[:, :, 0] / GRAVITY_MPS2
    assert np.allclose(right, expected, atol=2e-3)
    for _ in range(5):
        turned = trunk.featurise(mounted(plain, Rotation.random(random_state=rng.integers(2**31))), RATE, w.Body(leg_length_m=0.9))
        assert np.allclose(turned.cycles, reference.cycles, atol=2e-3)


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 60.0, 120.0, 204.8, 240.0, 1000.0])
def test_who_is_far_away_does_not_tremble_at_another_rate(rate_hz: float) -> None:
    time = np.arange(int(20 * rate_hz)) / rate_hz
    found = w.to_working_rate(np.stack([np.full_like(time, 30.0), 1.5 * time], axis=1), rate_hz)
    again = np.arange(len(found)) / w.WORKING_RATE_HZ
    assert np.abs(found - np.stack([np.full_like(again, 30.0), 1.5 * again], axis=1))[:-100].max() < 1e-3


def test_pendulum_gives_its_step_length() -> None:
    leg = 0.9
    found = trunk.featurise(mounted(trunk_signal(1.2), Rotation.identity()), RATE, w.Body(leg_length_m=leg))
    rise = 2 * STEP_RISE_M
    step = 2 * np.sqrt(2 * leg * rise - rise**2)
    assert np.median(np.exp(found.base)) * leg == pytest.approx(2 * step, rel=0.01)


def test_integration_and_shift_are_exact_for_a_cosine() -> None:
    period = np.array([1.25])
    t = np.arange(500) / RATE
    signal = np.cos(2 * np.pi * t / 1.25)[:, None]
    coefficients = w.fourier(signal, np.array([2.5]), period)
    velocity = w.cycles(w.integrate(coefficients, period))[0, :, 0]
    phase = np.arange(w.CYCLE_SAMPLES) / w.CYCLE_SAMPLES
    assert np.allclose(velocity, 1.25 / (2 * np.pi) * np.sin(2 * np.pi * phase), atol=1e-6)
    assert np.allclose(w.cycles(w.shift(coefficients, np.array([0.25])))[0, :, 0], -np.sin(2 * np.pi * phase), atol=1e-6)
    assert np.allclose(w.integrate(w.integrate(coefficients, period), period, -1)[:, 1:], coefficients[:, 1:], atol=1e-9)


def test_turns_and_stillness_are_left_out() -> None:
    straight = trunk_signal(1.1, 10.0)
    turning = straight.copy()
    turning[:, 3] += 1.5  # rad/s about up
    both = np.concatenate([straight, turning, straight])
    found = trunk.featurise(mounted(both, Rotation.identity()), RATE, w.Body())
    assert not ((found.centre_s > 11.5) & (found.centre_s < 18.5)).any()
    assert (found.centre_s < 9).any() and (found.centre_s > 21).any()
    still = np.tile([GRAVITY_MPS2, 0, 0, 0, 0, 0], (1000, 1)) + 0.02 * np.random.default_rng(0).standard_normal((1000, 6))
    with pytest.raises(InputError, match="no walking"):
        trunk.featurise(mounted(still, Rotation.identity()), RATE, w.Body())


@pytest.mark.parametrize(("factor", "message"), [(np.array([1 / 9.8] * 3 + [1] * 3), "m/s"), (np.array([1] * 3 + [3000.0] * 3), "rad/s")])
def test_wrong_units_are_named(factor: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trunk.featurise(mounted(trunk_signal(1.1) * factor, Rotation.identity()), RATE, w.Body())


def test_missing_channel_is_named() -> None:
    signals = mounted(trunk_signal(1.1), Rotation.identity())
    del signals["lower_back_gyr_y"]
    with pytest.raises(InputError, match="lower_back_gyr_y"):
        trunk.featurise(signals, RATE, w.Body())
    with pytest.raises(InputError, match="foot"):
        limbs.featurise(signals, RATE, w.Body(), "foot")


def pose_signal(speed_mps: float, stride_time_s: float, depth: float = 1.0) -> dict[str, np.ndarray]:
    """A stick figure in camera axes (walking along -z): each ankle goes back at walking speed for 60 % of
    the stride under level hips; thigh and shank 0.45 m each.
    """
    t = np.arange(0, 8.0, 1 / 60)
    out: dict[str, np.ndarray] = {}
    for side, lag, width in (("r", 0.0, 0.1), ("l", 0.5, -0.1)):
        phase = (t / stride_time_s + lag) % 1.0
        travel = 0.6 * stride_time_s * speed_mps
        back = np.clip(phase / 0.6, 0, 1)
        swing = np.clip((phase - 0.6) / 0.4, 0, 1)
        x = travel * (0.5 - back + (1 - np.cos(np.pi * swing)) / 2)
        half = np.sqrt(x**2 + 0.85**2) / 2
        bend = np.sqrt(np.maximum(0.45**2 - half**2, 0))
        direction = np.stack([x, np.full_like(x, -0.85)], axis=1) / (2 * half[:, None])
        knee = 0.5 * np.stack([x, np.full_like(x, -0.85)], axis=1) + bend[:, None] * np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        for joint, (ahead, up) in {"hip": (0 * x, 0 * x), "knee": knee.T, "ankle": (x, 0 * x - 0.85)}.items():
            # right of a walker along -z is +x
            for axis, values in (("x", np.full_like(x, width)), ("y", up), ("z", -depth * ahead)):
                out[f"{joint}_{side}_{axis}"] = values
    return out


def test_pose_reads_the_standing_foot_and_the_depth() -> None:
    found = poses.featurise_pose(pose_signal(1.2, 1.1), 60.0, w.Body(leg_length_m=0.85 / poses.ANKLE_SHARE), metric=True)
    speed = np.exp(found.base) * found.body.length_m / found.stride_time_s
    assert np.median(found.stride_time_s) == pytest.approx(1.1, abs=2e-3)
    assert np.median(speed) == pytest.approx(1.2, rel=0.06)
    squeezed = poses.featurise_pose(pose_signal(1.2, 1.1, depth=0.7), 60.0, w.Body(), metric=True)
    column = poses.POSE_SCALARS.index("depth")
    assert np.median(squeezed.scalars[:, column] - found.scalars[:, column]) == pytest.approx(-np.log(0.7), abs=0.03)


@pytest.mark.parametrize("stride_time_s", [0.42, 0.5])
def test_two_strides_of_a_runner_are_not_one_of_a_walker(stride_time_s: float) -> None:
    found = poses.featurise_pose(pose_signal(2.0, stride_time_s), 60.0, w.Body(), metric=True)
    assert np.median(found.stride_time_s) == pytest.approx(stride_time_s, abs=0.01)


def test_little_more_than_a_stride_is_timed_by_its_landings(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rng, wanted = pose_signal(0.4, 2.4), np.random.default_rng(0), 2.4
    errors: dict[bool, list[float]] = {True: [], False: []}
    for start in (16, 20, 22, 54, 56, 88, 92, 94):  # no landing near an end
        drift = {name: 0.04 * rng.standard_normal() * np.linspace(0, 1, 250) ** 2 for name in whole}
        piece = {name: values[start : start + 250] + drift[name] for name, values in whole.items()}  # 1.7 strides
        for landings in errors:
            with monkeypatch.context() as patch:
                if not landings:
                    patch.setattr(poses, "_FEW_STRIDES", 0.0)
                found = poses.featurise_pose(piece, 60.0, w.Body(), metric=True)
            errors[landings].append(abs(float(np.median(found.stride_time_s)) - wanted))
    assert np.mean(errors[True]) < np.mean(errors[False]) and np.mean(errors[True]) < 0.01


def test_pose_is_free_of_unit_heading_and_displacement() -> None:
    plain = pose_signal(1.2, 1.1)
    reference = poses.featurise_pose(plain, 60.0, w.Body(1.75), metric=False)
    turn = np.deg2rad(70)
    moved = {}
    for name in {key[:-2] for key in plain}:
        x, y, z = (1000 * plain[f"{name}_{axis}"] for axis in "xyz")
        moved |= {
            f"{name}_x": np.cos(turn) * x + np.sin(turn) * z + 50.0 * np.arange(len(x)),
            f"{name}_y": y + 300,
            f"{name}_z": np.cos(turn) * z - np.sin(turn) * x,
        }
    found = poses.featurise_pose(moved, 60.0, w.Body(1.75), metric=False)
    assert np.allclose(found.cycles, reference.cycles, atol=1e-4)


@pytest.mark.parametrize(("before_s", "after_s"), [(3.0, 0.0), (0.0, 3.0), (3.0, 3.0), (10.0, 10.0)])
def test_who_stands_before_and_after_walking_walks_only_in_between(before_s: float, after_s: float) -> None:
    rng, rate = np.random.default_rng(0), 60.0

    def stood(channels: dict[str, np.ndarray], jitter: float) -> dict[str, np.ndarray]:
        whole = {name: np.r_[[v[0]] * round(before_s * rate), v, [v[-1]] * round(after_s * rate)] for name, v in channels.items()}
        return {name: values + jitter * rng.standard_normal(len(values)) for name, values in whole.items()}

    walk = pose_signal(1.2, 1.1)
    found = poses.featurise_pose(stood(walk, 0.003), rate, w.Body(), metric=True)
    speed = np.exp(found.base) * found.body.length_m / found.stride_time_s
    assert 5 <= len(found) <= 8 and found.centre_s.min() > before_s - 0.6 and found.centre_s.max() < before_s + 8.6
    assert np.median(speed) == pytest.approx(1.2, rel=0.06)
    t = np.arange(0, 8.0, 1 / rate)
    phases = {f"{joint}_flexion_{side}": 2 * np.pi * (t / 1.1 + lag) for side, lag in (("r", 0.0), ("l", 0.5)) for joint in ("hip", "knee")}
    angles = {name: (0.4 * np.cos(phase) if "hip" in name else 0.5 - 0.5 * np.sin(phase)) for name, phase in phases.items()}
    turning = poses.featurise_angles(stood(angles, 0.003), rate, w.Body())
    assert turning.centre_s.min() > before_s - 0.6 and turning.centre_s.max() < before_s + 8.6


def test_the_way_of_the_hips_is_known_in_legs_where_there_is_one() -> None:
    still = pose_signal(1.2, 1.1)
    onward = -1.2 * np.arange(len(still["hip_r_z"])) / 60.0

    def travelled(signals: dict[str, np.ndarray], longer: float = 1.0, metric: bool = True) -> np.ndarray:
        body = w.Body(leg_length_m=longer * 0.85 / poses.ANKLE_SHARE)
        return poses.featurise_pose(signals, 60.0, body, metric=metric).travelled

    walked = {name: values + (onward if name.endswith("z") else 0.0) for name, values in still.items()}
    stride_over_leg = 1.2 * 1.1 / (0.85 / poses.ANKLE_SHARE)
    np.testing.assert_allclose(np.exp(travelled(walked)), stride_over_leg, rtol=0.02)
    # whose metre is a tenth too long has a body a tenth too large
    larger = {name: 1.1 * values for name, values in walked.items()}
    np.testing.assert_allclose(travelled(larger), travelled(walked, metric=False), atol=1e-6)
    # where feet rest as in motion capture, metres are metres, whatever height to leg the walker has
    np.testing.assert_allclose(travelled(walked, 1.03), travelled(walked) - np.log(1.03), atol=1e-4)
    # on the spot, drifting on a treadmill, or seen from a train
    for share in (0.0, 0.1, 5.0):
        other = {name: values + (share * onward if name.endswith("z") else 0.0) for name, values in still.items()}
        assert np.isnan(travelled(other)).all()


def test_one_stride_is_read_alone_and_a_mirrored_walker_is_known() -> None:
    whole = pose_signal(1.2, 1.1)
    for samples in (66, 67, 72, 76):  # 1.1 s at 60 Hz without and with its closing sample, and a little more
        piece = {name: values[20 : 20 + samples] for name, values in whole.items()}
        found = poses.featurise_pose(piece, 60.0, w.Body(1.75), metric=True)
        assert len(found) == 1 and found.stride_time_s[0] == pytest.approx(1.1, abs=0.03) and not found.mirrored
    with pytest.raises(w.NoWalking):
        poses.featurise_pose({name: values[20:70] for name, values in whole.items()}, 60.0, w.Body(1.75), metric=True)
    flipped = {name: -values if name.endswith("x") else values for name, values in whole.items()}
    assert poses.featurise_pose(flipped, 60.0, w.Body(1.75), metric=True).mirrored


def test_pose_stands_upright_however_the_camera_is_tilted() -> None:
    plain = pose_signal(1.2, 1.1)
    reference = poses.featurise_pose(plain, 60.0, w.Body(1.75), metric=False)
    for pitch, roll in np.deg2rad([(8.0, 0.0), (-8.0, 3.0)]):
        tilted = {}
        for name in {key[:-2] for key in plain}:
            x, y, z = (plain[f"{name}_{axis}"] for axis in "xyz")
            y, z = np.cos(pitch) * y - np.sin(pitch) * z, np.sin(pitch) * y + np.cos(pitch) * z
            tilted |= {f"{name}_x": np.cos(roll) * x + np.sin(roll) * y, f"{name}_y": np.cos(roll) * y - np.sin(roll) * x, f"{name}_z": z}
        found = poses.featurise_pose(tilted, 60.0, w.Body(1.75), metric=False)
        assert np.allclose(found.base, reference.base, atol=1e-6) and np.allclose(found.cycles, reference.cycles, atol=1e-5)
        sized = [poses.featurise_pose(pose, 60.0, w.Body(), metric=True).body.length_m for pose in (plain, tilted)]
        assert sized[1] == pytest.approx(sized[0], rel=1e-6)
    lying = {f"{name[:-1]}{ {'x': 'x', 'y': 'z', 'z': 'y'}[name[-1]] }": values for name, values in plain.items()}
    with pytest.raises(InputError, match="y axis up"):
        poses.featurise_pose(lying, 60.0, w.Body(1.75), metric=False)


def test_angles_forget_their_zero_and_refuse_degrees() -> None:
    t = np.arange(0, 10, 0.01)
    angles = {"hip_flexion_r": 0.4 * np.cos(2 * np.pi * t / 1.2), "knee_flexion_r": 0.5 - 0.5 * np.cos(2 * np.pi * (t / 1.2 - 0.2))}
    one = poses.featurise_angles(angles, RATE, w.Body())
    two = poses.featurise_angles({name: values + 0.3 for name, values in angles.items()}, RATE, w.Body())
    assert np.allclose(one.cycles, two.cycles, atol=1e-5) and np.allclose(one.base, two.base, atol=1e-5)
    with pytest.raises(InputError, match="rad"):
        poses.featurise_angles({name: np.rad2deg(values) for name, values in angles.items()}, RATE, w.Body())


@pytest.mark.parametrize(
    ("signs", "told"), [((1, -1), "one has the opposite"), ((-1, 1), "one has the opposite"), ((-1, -1), "have the opp")]
)
def test_angles_that_are_negative_in_flexion_are_refused(signs: tuple[int, int], told: str) -> None:
    hip, knee = signs
    t = np.arange(0, 10, 0.01)
    angles = {"hip_flexion_l": hip * 0.4 * np.cos(2 * np.pi * t), "knee_flexion_l": knee * (0.5 - 0.5 * np.cos(2 * np.pi * (t - 0.2)))}
    with pytest.raises(InputError, match=f"hip_flexion_l.*knee_flexion_l.*{told}.*flexion is positive"):
        poses.featurise_angles(angles, RATE, w.Body())
    with pytest.raises(InputError, match="flexion is positive"):  # one cycle of a table of curves
        poses.one_cycle(list(angles), np.stack([values[:100] for values in angles.values()], axis=1), 1.0, w.Body())


def test_one_closed_cycle_is_one_stride_and_a_cut_one_is_found() -> None:
    t = np.arange(101) * 1.07 / 100
    cycle = {"hip_flexion_r": 0.4 * np.cos(2 * np.pi * t / 1.07), "knee_flexion_r": 0.5 - 0.5 * np.cos(2 * np.pi * (t / 1.07 - 0.2)) ** 3}
    found = poses.featurise_angles(cycle, 100 / 1.07, w.Body())
    assert len(found) == 1 and found.stride_time_s[0] == pytest.approx(1.07, abs=1e-6)
    pose = {name: values[: int(1.4 * 1.1 * 60)] for name, values in pose_signal(1.2, 1.1).items()}
    short = poses.featurise_pose(pose, 60.0, w.Body(), metric=True)
    assert np.median(short.stride_time_s) == pytest.approx(1.1, abs=0.01)


@pytest.mark.parametrize(("stride_m", "stride_time_s"), [(1.3, 1.1), (0.8, 1.4), (0.5, 2.0)])
def test_a_shank_is_integrated_from_the_ankle_at_rest(stride_m: float, stride_time_s: float) -> None:
    leg = 0.9
    found = limbs.featurise(rolling_shank(stride_m, stride_time_s, 0.23 * leg), RATE, w.Body(leg_length_m=leg), "shank")
    assert np.median(np.exp(found.base)) * leg == pytest.approx(stride_m, rel=0.04)
    higher = limbs.featurise(rolling_shank(stride_m, stride_time_s, 0.33 * leg), RATE, w.Body(leg_length_m=leg), "shank")
    assert abs(np.median(higher.base) - np.median(found.base)) > 0.01  # where it is worn tells
