"""Inertial measurement units: what an accelerometer and a gyroscope on a body segment would read.

In: walks (or strides) and a random generator. Out: ``Trials`` with group ``imu_<placement>`` and
channels ``<placement>_acc_{x,y,z}`` (specific force, m/s^2, including gravity: +9.80665 upward at
rest) and ``<placement>_gyr_{x,y,z}`` (rad/s).

Sensor frame: the segment's axes (X forward, Y up, Z right when standing) turned by the mounting.
Order of effects: exact rigid-body kinematics at the point (lever arm included), heel-strike
transients, soft tissue, mounting, scale and cross-axis error, bandwidth, sampling times, bias, noise, range, lost packets.
The error terms are those of IEEE Std 952 (white noise density, bias, random walk of the bias).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import butter, lfilter, lfilter_zi

from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.kinematics import body_motion
from synthgait.sensors.arms import with_arms
from synthgait.sensors.base import BLOCK, chosen, declared, needs_rng, placement_point, recording
from synthgait.sensors.impact import Impact, add_impacts
from synthgait.trials import Trials
from synthgait.walks import Motion, motion_of


@dataclass(frozen=True)
class ImuSpecification:
    """A sensor's errors. The default is an ideal sensor.

    Args:
        sampling_rate_hz: None samples as the walks do.
        accelerometer_range_mps2, gyroscope_range_radps: readings are clipped to plus or minus this.
        accelerometer_noise_mps2_rthz, gyroscope_noise_radps_rthz: white noise density, per root hertz.
        accelerometer_bias_mps2, gyroscope_bias_radps: standard deviation of the constant bias per axis.
        accelerometer_drift_mps2_rts, gyroscope_drift_radps_rts: random walk of the bias, per root second.
        scale_error, cross_axis_error: standard deviation of gain and of leakage between axes.
        bandwidth_hz: second-order Butterworth low-pass.
        jitter_s: standard deviation of sampling times about the even ones.
        packet_loss: probability that a sample is lost and the one before it repeated.
    """

    name: str = "ideal"
    sampling_rate_hz: float | None = None
    accelerometer_range_mps2: float = np.inf
    gyroscope_range_radps: float = np.inf
    accelerometer_noise_mps2_rthz: float = 0.0
    gyroscope_noise_radps_rthz: float = 0.0
    accelerometer_bias_mps2: float = 0.0
    gyroscope_bias_radps: float = 0.0
    accelerometer_drift_mps2_rts: float = 0.0
    gyroscope_drift_radps_rts: float = 0.0
    scale_error: float = 0.0
    cross_axis_error: float = 0.0
    bandwidth_hz: float = np.inf
    jitter_s: float = 0.0
    packet_loss: float = 0.0

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        numbers = (
            self.accelerometer_noise_mps2_rthz, self.gyroscope_noise_radps_rthz, self.accelerometer_bias_mps2,
            self.gyroscope_bias_radps, self.accelerometer_drift_mps2_rts, self.gyroscope_drift_radps_rts,
            self.scale_error, self.cross_axis_error, self.jitter_s, self.packet_loss,
        )  # fmt: skip
        return any(n > 0 for n in numbers)


@dataclass(frozen=True)
class Mounting:
    """How the sensor sits on the segment. The default is rigid, in the segment's axes.

    Args:
        rotation_rad: body-fixed X-Y-Z turns from the segment's axes to the sensor's.
        rotation_sd_rad: random tilt on top, per axis and person.
        any_orientation: a uniformly random rotation per person instead.
        offset_m: from the placement's point, in segment axes; offset_sd_m adds a random one per axis.
        wobble_frequency_hz, wobble_damping: limits of the natural frequency and damping ratio of the
            sensor's mass on soft tissue (uniform per person); None is rigid.
    """

    name: str = "rigid"
    rotation_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_sd_rad: float = 0.0
    any_orientation: bool = False
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    offset_sd_m: float = 0.0
    wobble_frequency_hz: tuple[float, float] | None = None
    wobble_damping: tuple[float, float] = (0.2, 0.5)

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return self.any_orientation or self.rotation_sd_rad > 0 or self.offset_sd_m > 0 or self.wobble_frequency_hz is not None


class IMU:
    """One inertial sensor.

    Args:
        placement: a name of ``conventions.IMU_PLACEMENTS``, or any landmark of the model.
        sensor: an ``ImuSpecification``, or a class of ``simulations/sensors/imu.yaml`` ("research",
            "consumer", "phone"); the default is ideal.
        mounting: a ``Mounting``, or a name of ``simulations/sensors/mounting.yaml``; default rigid.
        impact: heel-strike transients, an ``Impact`` or a name of ``simulations/sensors/impact.yaml``;
            default none.
        body, location_m: instead of a placement's point, any point of any body (segment axes).
        sampling_rate_hz: overrides the sensor's.
    """

    def __init__(
        self,
        placement: str = "lower_back",
        sensor: ImuSpecification | str | None = None,
        mounting: Mounting | str | None = None,
        impact: Impact | str | None = None,
        *,
        body: str | None = None,
        location_m: tuple[float, float, float] | None = None,
        sampling_rate_hz: float | None = None,
    ) -> None:
        if (body is None) != (location_m is None):
            raise InputError("body and location_m go together: give both or neither")
        spec = chosen(ImuSpecification, "imu", sensor)
        self.placement, self.body, self.location_m = placement, body, location_m
        self.sensor = spec if sampling_rate_hz is None else replace(spec, sampling_rate_hz=sampling_rate_hz)
        self.mounting = chosen(Mounting, "mounting", mounting)
        self.impact = declared(Impact, "impact", impact) if isinstance(impact, str) else impact

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the six channels."""
        return tuple(f"{self.placement}_{channel}" for channel in IMU_CHANNELS)

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Record every walk (or, ideal or merely noisy, every stride).

        Returns ``Trials`` with one group (N, T, 6). Raises InputError for a noisy sensor without rng, for trials that failed,
        and for a stride that would have to be filtered or resampled.
        """
        if self.sensor.random or self.mounting.random or self.impact is not None:
            rng = needs_rng(rng, f"this {self.placement} IMU")
        if walks.sampling_rate_hz is None and (
            np.isfinite(self.sensor.bandwidth_hz)
            or self.sensor.sampling_rate_hz
            or self.sensor.jitter_s
            or self.mounting.wobble_frequency_hz
        ):
            raise InputError("a single stride cannot be filtered or resampled; walk the strides first")
        motion = motion_of(walks)
        people = len(walks)
        turned, offset = self._mounted(people, rng)
        parts = []
        for start in range(0, people, BLOCK):
            rows = np.arange(start, min(start + BLOCK, people))
            shocks = None if self.impact is None else self._shocks(walks, rows)
            parts.append(self._block(motion, rows, turned[rows], offset[rows], shocks, rng))
        samples = motion.coordinates.shape[1]
        readings = np.concatenate(parts) if parts else np.zeros((0, samples, 6))
        group = f"imu_{self.placement}"
        rate = walks.sampling_rate_hz if self.sensor.sampling_rate_hz is None else self.sensor.sampling_rate_hz
        return recording(walks, {group: readings}, {group: self.channels}, rate)

    # -- steps ---------------------------------------------------------------------------------------

    def _mounted(self, people: int, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """Rotation sensor <- segment (N, 3, 3) and offset (N, 3)."""
        m = self.mounting
        turned = np.broadcast_to(_rotation(np.asarray(m.rotation_rad, float)), (people, 3, 3))
        offset = np.broadcast_to(np.asarray(m.offset_m, float), (people, 3))
        if rng is not None and m.any_orientation:
            turned = _uniform_rotations(rng, people)
        elif rng is not None and m.rotation_sd_rad > 0:
            turned = _rotation(rng.normal(0.0, m.rotation_sd_rad, (people, 3))) @ turned
        if rng is not None and m.offset_sd_m > 0:
            offset = offset + rng.normal(0.0, m.offset_sd_m, (people, 3))
        return turned, offset

    def _shocks(self, walks: Trials, rows: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Times of the contacts that reach the sensor (a leg's own, the trunk both), and walking speeds."""
        side = self.placement[-1] if self.placement[-2:] in ("_r", "_l") and not self.placement.startswith("wrist") else None
        events = walks.events
        reaching = events["event"] == "initial_contact"
        if side is not None:
            reaching &= events["side"] == side
        times = events.loc[reaching].groupby("trial_index")["time_s"]
        by_trial = {int(str(n)): t.to_numpy(float) for n, t in times}
        return [by_trial.get(int(n), np.zeros(0)) for n in rows], walks.table["walking_speed_mps"].to_numpy(float)[rows]

    def _block(
        self,
        motion: Motion,
        rows: np.ndarray,
        turned: np.ndarray,
        offset: np.ndarray,
        shocks: tuple[list[np.ndarray], np.ndarray] | None,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        rate = motion.sampling_rate_hz[rows]
        force, spin = self._exact(motion, rows, offset)
        if self.impact is not None and shocks is not None and rng is not None:
            add_impacts(force, spin, shocks[0], rate, shocks[1], self.placement, self.impact, rng)
        if self.mounting.wobble_frequency_hz is not None and rng is not None:
            _wobble(
                force,
                rate,
                rng.uniform(*self.mounting.wobble_frequency_hz, len(rows)),
                rng.uniform(*self.mounting.wobble_damping, len(rows)),
            )
        spec = self.sensor
        if rng is not None and (spec.scale_error > 0 or spec.cross_axis_error > 0):
            axes = (_misaligned(rng, len(rows), spec) @ turned for _ in range(2))
        else:
            axes = (turned for _ in range(2))
        readings = np.concatenate([np.einsum("nij,jnt->nti", a, values) for a, values in zip(axes, (force, spin), strict=True)], axis=-1)
        if np.isfinite(spec.bandwidth_hz) and spec.bandwidth_hz < 0.45 * rate[0]:
            numerator, denominator = butter(2, spec.bandwidth_hz, fs=rate[0])
            start = lfilter_zi(numerator, denominator)[:, None] * readings[:, None, 0, :]
            readings, _ = lfilter(numerator, denominator, readings, axis=1, zi=start)
        readings = _sampled(readings, rate[0], spec, rng)
        if rng is not None:
            _add_errors(readings, np.full(len(rows), spec.sampling_rate_hz) if spec.sampling_rate_hz else rate, spec, rng)
        np.clip(readings[..., :3], -spec.accelerometer_range_mps2, spec.accelerometer_range_mps2, out=readings[..., :3])
        np.clip(readings[..., 3:], -spec.gyroscope_range_radps, spec.gyroscope_range_radps, out=readings[..., 3:])
        if rng is not None and spec.packet_loss > 0:
            _lose(readings, rng, spec.packet_loss)
        return readings

    def _exact(self, motion: Motion, rows: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Specific force and angular velocity in segment axes, (3, n, T) each."""
        skeleton = motion.skeleton.select(rows)
        coordinates = [motion.coordinates[rows], motion.speeds[rows], motion.accelerations[rows]]
        if self.placement.startswith(("wrist", "elbow")):
            skeleton, coordinates = with_arms(skeleton, *coordinates)
        if self.body is not None and self.location_m is not None:
            body, location = self.body, np.asarray(self.location_m, float)
        else:
            body, location = placement_point(skeleton, self.placement)
        q, qd, qdd = coordinates
        moving = body_motion(skeleton, q, qd, qdd, [body])[body]
        point = moving.point(np.asarray(location) + offset)
        assert point.acceleration_mps2 is not None and moving.angular_velocity_radps is not None
        lean = np.zeros(len(rows)) if motion.lean_rad is None else motion.lean_rad[rows]
        upward = GRAVITY_MPS2 * np.stack([np.sin(lean), np.cos(lean), 0.0 * lean])
        felt = np.moveaxis(point.acceleration_mps2, -1, 0) + upward[:, :, None]
        spin = np.moveaxis(moving.angular_velocity_radps, -1, 0)
        axes = np.moveaxis(moving.rotation, (-2, -1), (0, 1))
        return _into(axes, felt), _into(axes, spin)


def _into(axes: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """World components -> body components: transpose(R) v, component first."""
    return np.stack([axes[0, i] * vector[0] + axes[1, i] * vector[1] + axes[2, i] * vector[2] for i in range(3)])


def _wobble(force: np.ndarray, rate_hz: np.ndarray, frequency_hz: np.ndarray, damping: np.ndarray) -> None:
    """A mass on soft tissue feels the segment's specific force through a damped spring (in place):
    transfer function (2 zeta w s + w^2) / (s^2 + 2 zeta w s + w^2), discretised by Tustin's rule.
    """
    for n in range(force.shape[1]):
        # s becomes (2 / T) (1 - 1/z) / (1 + 1/z)
        w = np.pi * frequency_hz[n] / rate_hz[n]
        drag, first = 2 * damping[n] * w, 1 + 2 * damping[n] * w + w**2
        numerator = np.array([drag + w**2, 2 * w**2, w**2 - drag]) / first
        denominator = np.array([first, 2 * (w**2 - 1), 1 - drag + w**2]) / first
        start = lfilter_zi(numerator, denominator)[None, :] * force[:, n, :1]
        force[:, n], _ = lfilter(numerator, denominator, force[:, n], axis=-1, zi=start)


def _sampled(readings: np.ndarray, rate_hz: float, spec: ImuSpecification, rng: np.random.Generator | None) -> np.ndarray:
    """At the sensor's own times, linear between the walk's samples."""
    wanted = spec.sampling_rate_hz or rate_hz
    if wanted == rate_hz and spec.jitter_s == 0:
        return readings
    samples = readings.shape[1]
    count = int(np.floor((samples - 1) / rate_hz * wanted)) + 1
    at = np.broadcast_to(np.arange(count) / wanted, (len(readings), count))
    if rng is not None and spec.jitter_s > 0:
        at = at + rng.normal(0.0, spec.jitter_s, at.shape)
    position = np.clip(at * rate_hz, 0, samples - 1)
    low = np.minimum(position.astype(np.int64), samples - 2)
    share = (position - low)[..., None]
    row = np.arange(len(readings))[:, None]
    return readings[row, low] * (1 - share) + readings[row, low + 1] * share


def _add_errors(readings: np.ndarray, rate_hz: np.ndarray, spec: ImuSpecification, rng: np.random.Generator) -> None:
    """Bias, white noise and random walk, in place."""
    step = 1.0 / rate_hz[:, None, None]
    for part, noise, bias, drift in (
        (slice(0, 3), spec.accelerometer_noise_mps2_rthz, spec.accelerometer_bias_mps2, spec.accelerometer_drift_mps2_rts),
        (slice(3, 6), spec.gyroscope_noise_radps_rthz, spec.gyroscope_bias_radps, spec.gyroscope_drift_radps_rts),
    ):
        shape = readings[..., part].shape
        if bias > 0:
            readings[..., part] += rng.normal(0.0, bias, (shape[0], 1, 3))
        if noise > 0:  # a density holds up to half the sampling rate
            readings[..., part] += noise * np.sqrt(0.5 / step) * rng.standard_normal(shape, np.float32)
        if drift > 0:
            readings[..., part] += drift * np.sqrt(step) * np.cumsum(rng.standard_normal(shape, np.float32), axis=1)


def _lose(readings: np.ndarray, rng: np.random.Generator, probability: float) -> None:
    """Lost samples repeat the last one that arrived, in place."""
    arrived = rng.random(readings.shape[:2]) >= probability
    arrived[:, 0] = True
    last = np.maximum.accumulate(np.where(arrived, np.arange(readings.shape[1]), 0), axis=1)
    readings[:] = np.take_along_axis(readings, last[..., None], axis=1)


def _misaligned(rng: np.random.Generator, people: int, spec: ImuSpecification) -> np.ndarray:
    matrix = rng.normal(0.0, spec.cross_axis_error, (people, 3, 3))
    matrix[:, range(3), range(3)] = 1.0 + rng.normal(0.0, spec.scale_error, (people, 3))
    return matrix


def _rotation(angles_rad: np.ndarray) -> np.ndarray:
    """Sensor <- segment for body-fixed X-Y-Z turns of the sensor, (..., 3) -> (..., 3, 3)."""
    cos, sin = np.cos(angles_rad), np.sin(angles_rad)
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(cos, -1, 0), np.moveaxis(sin, -1, 0)
    rows = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
        [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
    ]
    segment_from_sensor = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return np.swapaxes(segment_from_sensor, -1, -2)


def _uniform_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """Uniform over all rotations: normalised Gaussian quaternions (Shoemake 1992)."""
    w, x, y, z = np.moveaxis((q := rng.standard_normal((count, 4))) / np.linalg.norm(q, axis=1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
