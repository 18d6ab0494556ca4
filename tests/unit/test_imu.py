"""Virtual IMUs: closed forms, noise as specified, speed."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
import yaml

from analytic_walker import analytic_population
from synthgait.anthropometry import build_model
from synthgait.bundled import folder as declarations
from synthgait.conventions import COORDINATES, GRAVITY_MPS2, IMU_PLACEMENTS
from synthgait.errors import InputError
from synthgait.kinematics import Skeleton
from synthgait.sensors import IMU, ImuSpecification, Mounting, merge
from synthgait.subjects import Subject
from synthgait.walks import Motion, Walks, walk


@pytest.fixture(scope="module")
def walks():
    return walk(analytic_population(8, seed=1), 8.0, np.random.default_rng(0))


def _moving(coordinates, speeds=None, accelerations=None):
    """Prescribed motion of one average person as ``Walks``."""
    zero = np.zeros_like(coordinates)
    skeleton = Skeleton.of([build_model(Subject("one"))])
    motion = Motion(
        coordinates, zero if speeds is None else speeds, zero if accelerations is None else accelerations, skeleton, np.array([100.0])
    )
    return Walks(pd.DataFrame({"trial_id": ["one"]}), kind="walks", sampling_rate_hz=100.0, motion=motion)


def test_at_rest_every_placement_reads_gravity_upward():
    standing = _moving(np.zeros((1, 50, len(COORDINATES))))
    for placement in IMU_PLACEMENTS:
        record = IMU(placement).record(standing).signals[f"imu_{placement}"]
        if not placement.startswith("wrist"):
            np.testing.assert_allclose(record, np.broadcast_to([0, GRAVITY_MPS2, 0, 0, 0, 0], record.shape), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(record[..., :3], axis=-1), GRAVITY_MPS2, atol=1e-5)


def test_on_a_slope_gravity_leans_back():
    strides = analytic_population(2, seed=1)
    strides.table["condition_slope"] = [0.0, 0.1]
    for read in (strides, walk(strides, 8.0, np.random.default_rng(0))):
        level, uphill = IMU("lower_back").record(read).signals["imu_lower_back"][..., :3].mean(1)
        assert np.linalg.norm(uphill) == pytest.approx(np.linalg.norm(level), rel=0.01)
        turned = np.arctan2(uphill[0], uphill[1]) - np.arctan2(level[0], level[1])
        # the two walkers lean a little differently themselves
        assert turned == pytest.approx(np.arctan(0.1), abs=0.02)


def test_at_radius_r_and_rate_w_it_reads_w_squared_r():
    rate, radius, count = 3.0, 0.2, 100
    q, qd = np.zeros((1, count, len(COORDINATES))), np.zeros((1, count, len(COORDINATES)))
    turn = COORDINATES.index("pelvis_rotation")
    q[..., turn], qd[..., turn] = rate * np.arange(count) / 100, rate
    record = IMU("waist", body="pelvis", location_m=(radius, 0.0, 0.0)).record(_moving(q, qd)).signals["imu_waist"]
    np.testing.assert_allclose(record, np.broadcast_to([-(rate**2) * radius, GRAVITY_MPS2, 0, 0, rate, 0], record.shape), atol=1e-5)


def test_in_free_fall_it_reads_nothing_and_tilted_it_reads_tilted_gravity():
    shape = (1, 10, len(COORDINATES))
    falling = np.zeros(shape)
    falling[..., COORDINATES.index("pelvis_ty")] = -GRAVITY_MPS2
    np.testing.assert_allclose(IMU("sternum").record(_moving(np.zeros(shape), None, falling)).signals["imu_sternum"], 0.0, atol=1e-6)
    tilted = np.zeros(shape)
    tilted[..., COORDINATES.index("pelvis_tilt")] = 0.3
    record = IMU("lower_back").record(_moving(tilted)).signals["imu_lower_back"][0, 0, :3]
    np.testing.assert_allclose(record, GRAVITY_MPS2 * np.array([np.sin(0.3), np.cos(0.3), 0.0]), rtol=1e-6)


def test_the_mounting_turns_the_readings(walks):
    plain = IMU("lower_back").record(walks).signals["imu_lower_back"]
    turned = IMU("lower_back", mounting=Mounting(rotation_rad=(0.0, 0.0, np.pi / 2))).record(walks).signals["imu_lower_back"]
    np.testing.assert_allclose(turned[..., 0], plain[..., 1], atol=1e-5)  # the sensor's X now looks up
    np.testing.assert_allclose(turned[..., 1], -plain[..., 0], atol=1e-5)
    anyhow = IMU("lower_back", mounting=Mounting(any_orientation=True)).record(walks, np.random.default_rng(1)).signals["imu_lower_back"]
    np.testing.assert_allclose(np.linalg.norm(anyhow[..., :3], axis=-1), np.linalg.norm(plain[..., :3], axis=-1), rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(anyhow[..., 3:], axis=-1), np.linalg.norm(plain[..., 3:], axis=-1), rtol=1e-3, atol=1e-5)


def test_integrating_the_acceleration_gives_the_walked_distance():
    """The lower back's world acceleration, integrated twice, is where the lower back went."""
    from synthgait.kinematics import body_motion

    walks = walk(analytic_population(3, seed=5), 6.0, np.random.default_rng(2), sampling_rate_hz=500.0)
    record = IMU("lower_back").record(walks).signals["imu_lower_back"].astype(float)
    motion = walks.motion
    moving = body_motion(motion.skeleton, motion.coordinates, motion.speeds)["pelvis"]
    point = moving.point(motion.skeleton.landmarks["lower_back"][1])
    world = np.einsum("ntij,ntj->nti", moving.rotation, record[..., :3]) - [0.0, GRAVITY_MPS2, 0.0]
    middle = 0.5 * (world[:, 1:] + world[:, :-1]) / 500.0
    speed = point.velocity_mps[:, :1] + np.concatenate([np.zeros((3, 1, 3)), np.cumsum(middle, axis=1)], axis=1)
    np.testing.assert_allclose(speed[:, -1], point.velocity_mps[:, -1], atol=0.01)


def test_noise_bias_and_range_are_those_of_the_specification():
    standing = _moving(np.zeros((1, 20_000, len(COORDINATES))))
    spec = ImuSpecification(accelerometer_noise_mps2_rthz=0.01, gyroscope_noise_radps_rthz=0.002)
    record = IMU("lower_back", spec).record(standing, np.random.default_rng(0)).signals["imu_lower_back"][0]
    np.testing.assert_allclose(record.std(axis=0), [0.01 * np.sqrt(50)] * 3 + [0.002 * np.sqrt(50)] * 3, rtol=0.03)
    clipped = IMU("lower_back", ImuSpecification(accelerometer_range_mps2=5.0)).record(standing).signals["imu_lower_back"]
    assert clipped.max() == 5.0
    drifting = IMU("lower_back", ImuSpecification(gyroscope_drift_radps_rts=0.01))
    ends = [drifting.record(standing, np.random.default_rng(i)).signals["imu_lower_back"][0, -1, 3:] for i in range(40)]
    assert np.std(ends) == pytest.approx(0.01 * np.sqrt(200.0), rel=0.25)


def test_wobble_passes_gravity_and_rings_near_its_frequency(walks):
    soft = Mounting(wobble_frequency_hz=(10.0, 10.0), wobble_damping=(0.2, 0.2))
    standing = _moving(np.zeros((1, 100, len(COORDINATES))))
    np.testing.assert_allclose(
        IMU("thigh_r", mounting=soft).record(standing, np.random.default_rng(0)).signals["imu_thigh_r"][..., 1], GRAVITY_MPS2
    )
    stiff, loose = (IMU("thigh_r", mounting=m).record(walks, np.random.default_rng(0)).signals["imu_thigh_r"] for m in (Mounting(), soft))
    assert not np.allclose(stiff[..., :3], loose[..., :3], atol=0.1)
    np.testing.assert_array_equal(stiff[..., 3:], loose[..., 3:])


@pytest.mark.parametrize("impact", list(yaml.safe_load((declarations("simulations") / "sensors" / "impact.yaml").read_text())))
def test_a_footfall_rings_at_its_own_foot_and_leaves_speed_alone(impact):
    walks = walk(analytic_population(3, seed=1), 6.0, np.random.default_rng(0), sampling_rate_hz=1000.0)
    plain = IMU("foot_r").record(walks).signals["imu_foot_r"].astype(float)
    ringing = IMU("foot_r", impact=impact).record(walks, np.random.default_rng(1)).signals["imu_foot_r"].astype(float)
    added = ringing - plain
    right = walks.events[(walks.events["trial_index"] == 0) & (walks.events["side"] == "r") & (walks.events["event"] == "initial_contact")]
    for contact in right["time_s"].to_numpy()[1:-1]:
        first = int(np.ceil(contact * 1000))
        assert np.abs(added[0, first - 50 : first]).max() < 1e-6
        assert 1.0 < np.abs(added[0, first : first + 100, :3]).max() < 200.0
        assert np.abs(added[0, first : first + 349, :3].sum(axis=0) / 1000).max() < 0.02
    back = IMU("lower_back", impact=impact).record(walks, np.random.default_rng(1)).signals["imu_lower_back"]
    both = walks.events[(walks.events["trial_index"] == 0) & (walks.events["event"] == "initial_contact")]["time_s"].to_numpy()
    rest = IMU("lower_back").record(walks).signals["imu_lower_back"]
    starts = np.flatnonzero(np.abs(np.diff((back - rest)[0, :, 1])) > 0.1)
    assert all(np.abs(starts / 1000 - contact).min() < 0.003 for contact in both if 0 < contact < 5.9)


def test_other_sampling_rates_and_lost_packets(walks):
    slow = IMU("foot_r", sampling_rate_hz=50.0).record(walks)
    assert slow.sampling_rate_hz == 50.0
    exact = IMU("foot_r").record(walks).signals["imu_foot_r"]
    np.testing.assert_allclose(slow.signals["imu_foot_r"], exact[:, ::2][:, : slow.signals["imu_foot_r"].shape[1]], atol=1e-5)
    lossy = IMU("foot_r", ImuSpecification(packet_loss=0.3)).record(walks, np.random.default_rng(0)).signals["imu_foot_r"]
    assert np.mean(np.all(np.diff(lossy, axis=1) == 0, axis=-1)) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("sensor", list(yaml.safe_load((declarations("simulations") / "sensors" / "imu.yaml").read_text())))
@pytest.mark.parametrize("mounting", list(yaml.safe_load((declarations("simulations") / "sensors" / "mounting.yaml").read_text())))
def test_every_declared_sensor_records(walks, sensor, mounting):
    one, two = (IMU("lower_back", sensor, mounting).record(walks, np.random.default_rng(3)) for _ in range(2))
    array = one.signals["imu_lower_back"]
    assert np.isfinite(array).all()
    np.testing.assert_array_equal(array, two.signals["imu_lower_back"])
    norm = np.linalg.norm(array[..., :3], axis=-1).mean()
    assert norm == pytest.approx(GRAVITY_MPS2, abs=1.5)


def test_strides_can_be_sensed_without_walking():
    strides = analytic_population(4, seed=1)
    record = IMU("foot_l").record(strides)
    assert record.signals["imu_foot_l"].shape == (4, 100, 6)
    assert record.sampling_rate_hz is None
    with pytest.raises(InputError, match="walk the strides first"):
        IMU("foot_l", "phone").record(strides, np.random.default_rng(0))


def test_several_sensors_merge(walks):
    both = merge([IMU("foot_l").record(walks), IMU("foot_r").record(walks)])
    assert set(both.signals) == {"imu_foot_l", "imu_foot_r"}
    assert both.channel("foot_r_gyr_z").shape == (8, 800)
    with pytest.raises(InputError, match="sampling rates"):
        merge([IMU("foot_l").record(walks), IMU("foot_r", sampling_rate_hz=50.0).record(walks)])


def test_wrong_input_is_named(walks):
    with pytest.raises(InputError, match="'nose'"):
        IMU("nose").record(walks)
    with pytest.raises(InputError, match="random generator"):
        IMU("lower_back", "phone").record(walks)
    with pytest.raises(InputError, match="no imu is called 'toaster'"):
        IMU("lower_back", "toaster")


def test_sensing_is_a_thousand_times_faster_than_walking(walks):
    many = walk(analytic_population(64, seed=3), 20.0, np.random.default_rng(0))
    sensor = IMU("foot_r", "consumer", "strapped")
    start = time.process_time()
    sensor.record(many, np.random.default_rng(0))
    assert 64 * 20.0 / (time.process_time() - start) > 1000
