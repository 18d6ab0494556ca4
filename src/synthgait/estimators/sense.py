"""Training examples: synthetic strides seen through random sensors.

In: synthetic strides, the name of a sensor, a random generator. Out: ``Examples``: windows of many
walks with their targets, and batches of them with the variation that costs nothing to add.

What a person's recording does that the physics does not: skin and markers move, joint centres and
zeros are set by a laboratory, a camera squeezes the depth, one foot's sensor is missing, nobody
wrote down the height, footfalls shake the sensor. Each is drawn at random here, from the ranges that
``simulations/sensors/training.yaml`` declares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS, JOINT_ANGLES, SIDES
from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.features import poses
from synthgait.estimators.features.windows import CYCLE_SAMPLES, HARMONICS, Body, Windows
from synthgait.gait import cadence_chance, coordinates_of, skeleton_of
from synthgait.kinematics import point_motion
from synthgait.sensors import IMU
from synthgait.sensors.base import declared
from synthgait.trials import Trials
from synthgait.walks import Walks, walk

_JOINTS = ("hip", "shoulder", "knee", "ankle", "heel", "toe")
_POSE_NAMES = tuple(f"{joint}_{side}" for side in SIDES for joint in _JOINTS)

_WALKS_AT_ONCE = 32  # of like stride time, so that none is much longer than it must be


Spread = Annotated[float, Field(ge=0.0, le=10.0)]
Chance = Annotated[float, Field(ge=0.0, le=1.0)]
Harmonics = Annotated[int, Field(ge=1, le=HARMONICS)]


@dataclass(frozen=True)
class Variation:
    """How sensors vary from one training walk or window to the next: an entry of ``simulations/sensors/training.yaml``,
    which says what each number means and where it comes from. ``*_sd`` without a unit are of a logarithm (gains, size),
    or in shares of the leg (joints, what a camera's picture is lifted to).
    """

    name: str
    imu_classes: tuple[str, ...]
    mountings: tuple[str, ...]
    impacts: tuple[str | None, ...]
    trunk_offset_sd_m: Spread
    one_sided_chance: Chance
    gain_sd: Spread
    trunk_gain_sd: Spread
    noise_levels: tuple[Spread, ...]
    missing_chance: dict[str, Chance]
    angle_gain_sd: Spread
    laboratory_sd_rad: Spread
    laboratory_harmonics: Harmonics
    joint_sd: Spread
    motion_capture_share: Chance
    lifted_sd: Spread
    lifted_sway_sd: tuple[Spread, Spread, Spread]
    lifted_harmonics: Harmonics
    lifted_squeeze: tuple[float, float]
    lifted_bones: tuple[Chance, Chance]
    lifted_heights: tuple[Chance, Chance]
    side_view_yaw_sd_rad: Spread
    width_sd: Spread
    camera_distance_m: tuple[float, float]
    camera_height_m: tuple[float, float]
    fixed_camera_share: Chance
    camera_aim_sd_rad: Spread
    camera_aside_sd_rad: Spread
    camera_tilt_sd_rad: Spread
    unknown_size_chance: Chance
    height_chance: Chance
    size_error_sd: Spread
    adult_years: float


@cache
def variation() -> Variation:
    """What trainings draw from. Raises InputError naming the line of the declaration that is wrong."""
    return declared(Variation, "training", "usual")


class Batch(NamedTuple):
    """Tensors of B windows."""

    cycles: torch.Tensor
    present: torch.Tensor
    scalars: torch.Tensor
    values: torch.Tensor
    curves: torch.Tensor


@dataclass
class Examples:
    """M windows of many walks.

    ``cycles`` (M, C, S), ``present`` (M, C), ``scalars`` (M, K), ``values`` (M, V), ``curves`` (M, Q, S)
    (V or Q may be 0), ``walk`` (M,) the walk of each window; ``windows`` and ``truth`` per walk.
    """

    sensor: str
    task: str
    cycles: np.ndarray
    present: np.ndarray
    scalars: np.ndarray
    values: np.ndarray
    curves: np.ndarray
    walk: np.ndarray
    windows: list[Windows]
    truth: list[dict[str, Any]]

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """B random windows, each as another walker might have given it: begun anywhere in the stride,
        mirrored half of the time, channels a little too large or small, smooth noise on top, and
        sometimes a joint missing.
        """
        rows = rng.integers(len(self.cycles), size=size)
        kind, vary = tasks.sensor_named(self.sensor), variation()
        cycles, present, scalars = self.cycles[rows].copy(), self.present[rows].copy(), self.scalars[rows].copy()
        values, curves = self.values[rows].copy(), self.curves[rows].copy()
        flip = rng.random(size) < 0.5
        cycles[flip] = cycles[flip][:, kind.mirror] * kind.mirror_sign[:, None]
        present[flip] = present[flip][:, kind.mirror]
        scalars[flip] = scalars[flip][:, kind.scalar_mirror]
        if values.shape[1]:
            values[flip] = tasks.mirror_values(values[flip])
        if curves.shape[1]:
            curves[flip] = curves[flip][:, tasks.CURVE_MIRROR]
        shift = rng.integers(CYCLE_SAMPLES, size=size)
        index = (np.arange(CYCLE_SAMPLES) + shift[:, None]) % CYCLE_SAMPLES
        cycles = np.take_along_axis(cycles, index[:, None, :], axis=2)
        if curves.shape[1]:
            curves = np.take_along_axis(curves, index[:, None, :], axis=2)
        gain = np.exp(
            (vary.trunk_gain_sd if self.sensor in tasks.TRUNK else vary.gain_sd) * rng.standard_normal((size, cycles.shape[1], 1))
        )
        spread = cycles.std(axis=2, keepdims=True)
        cycles = cycles * gain + spread * _smooth_noise(rng, (size, cycles.shape[1]), rng.choice(vary.noise_levels, size))
        present = present & ~_missing(rng, kind, size)
        given = (cycles * present[:, :, None], present, scalars, values, curves)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(a, bool if a.dtype == bool else np.float32)) for a in given))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], level: np.ndarray) -> np.ndarray:
    """Periodic noise (B, C, S) of harmonics 1..HARMONICS, standard deviation ``level`` (B,)."""
    spectrum = rng.standard_normal((*shape, HARMONICS)) + 1j * rng.standard_normal((*shape, HARMONICS))
    full = np.zeros((*shape, CYCLE_SAMPLES // 2 + 1), complex)
    full[..., 1 : HARMONICS + 1] = spectrum
    return np.fft.irfft(full, n=CYCLE_SAMPLES) * CYCLE_SAMPLES / np.sqrt(4 * HARMONICS) * level[:, None, None]


def _missing(rng: np.random.Generator, kind: tasks.Sensor, size: int) -> np.ndarray:
    """Channels (B, C) to hide, those of both sides together."""
    hidden = np.zeros((size, len(kind.channels)), bool)
    for prefix, chance in variation().missing_chance.items():
        columns = np.array([name.startswith(prefix) for name in kind.channels])
        hidden |= (rng.random(size) < chance)[:, None] & columns
    return hidden


def sense(trials: Trials, sensor: str, rng: np.random.Generator, *, task: str, walks: int, strides: int) -> Examples:
    """``walks`` walks of random strides of the trials through a random sensor of the kind. A simulated stride's chance
    falls with how far its cadence is from the usual one of such people at that speed; generated ones are so distributed.

    Raises InputError where the trials lack a signal that is needed, or the sensor cannot teach the task.
    """
    if tasks.sensor_named(sensor).worn and tasks.task_outputs(task)[1]:
        usable = ", ".join(name for name, kind in tasks.SENSORS.items() if not kind.worn)
        raise InputError(f"{task} is learned from single strides, not from walks as {sensor} records them; choose among {usable}")
    chance = cadence_chance(trials.table) if trials.kind == "seed" else np.ones(len(trials))
    rows = rng.choice(len(trials), size=walks, replace=walks > len(trials), p=chance / chance.sum())
    chosen = trials.select(rows)
    for group in ("joint_angles", "pelvis", *(("muscle_activation", "ground_reaction") if task == "muscle_activation" else ())):
        if group not in chosen.signals:
            raise InputError(f"the data have no signal group {group!r}, which a fit of {task} needs")
    if not tasks.sensor_named(sensor).worn:
        windows = _angles(chosen, rng) if sensor == "joint_angles" else _poses(chosen, rng, sensor)
        return assemble(sensor, task, chosen, windows)
    order = np.argsort(chosen.table["stride_time_s"].to_numpy(float), kind="stable")
    walked, windows = [], []
    for start in range(0, len(order), _WALKS_AT_ONCE):
        part = chosen.select(order[start : start + _WALKS_AT_ONCE])
        duration = max(strides, 3) * float(part.table["stride_time_s"].max())
        continuous = walk(part, duration, rng)
        walked.append(continuous.table)
        windows += _imus(continuous, sensor, rng)
    return assemble(sensor, task, Trials(pd.concat(walked, ignore_index=True)), windows)


def assemble(sensor: str, task: str, trials: Trials, windows: list[Windows | None]) -> Examples:
    """Examples from the windows of each trial (None where nothing was found)."""
    usable = [i for i, w in enumerate(windows) if w is not None and len(w)]
    if len(usable) < 2:
        raise InputError(
            f"walking was found in {len(usable)} of {len(windows)} synthetic walks through {sensor}; the data cannot be walking strides"
        )
    kept = [w for w in windows if w is not None and len(w)]
    records = trials.table.to_dict("records")
    truth = [{str(key): value for key, value in records[i].items()} for i in usable]
    count = [len(w) for w in kept]
    _, curve_names = tasks.task_outputs(task)
    if curve_names:
        values = np.zeros((sum(count), 0), np.float32)
        curves = np.repeat(_curve_targets(trials.select(usable)), count, axis=0)
    else:
        values = np.concatenate([tasks.value_targets(row, w, tasks.sensor_named(sensor)) for row, w in zip(truth, kept, strict=True)])
        curves = np.zeros((sum(count), 0, CYCLE_SAMPLES), np.float32)
    return Examples(
        sensor,
        task,
        np.concatenate([w.cycles for w in kept]),
        np.concatenate([np.tile(w.present, (len(w), 1)) for w in kept]),
        np.concatenate([w.scalars for w in kept]),
        values,
        curves,
        np.repeat(np.arange(len(kept)), count),
        kept,
        truth,
    )


def random_body(row: Any, rng: np.random.Generator) -> Body:
    """What a recording might say of the size: leg length, height, or nothing; each measured with an error. Who is of
    unknown size is an adult.
    """
    vary = variation()
    error = float(np.exp(vary.size_error_sd * rng.standard_normal()))
    choice = rng.random()
    if choice < vary.unknown_size_chance and row["age_years"] >= vary.adult_years:
        return Body()
    if choice < vary.unknown_size_chance + vary.height_chance:
        return Body(height_m=float(row["height_m"]) * error)
    return Body(leg_length_m=float(row["leg_length_m"]) * error)


def _angles(trials: Trials, rng: np.random.Generator) -> list[Windows | None]:
    names, vary = list(poses.ANGLE_CHANNELS), variation()
    angles = trials.signals["joint_angles"][:, :, [JOINT_ANGLES.index(name) for name in names]].astype(float)
    spectrum = np.fft.rfft(angles, axis=1)[:, : HARMONICS + 1] / angles.shape[1]
    out: list[Windows | None] = []
    for i, row in enumerate(trials.table.to_dict("records")):
        sides = SIDES if rng.random() > vary.one_sided_chance else (SIDES[int(rng.integers(2))],)
        kept = [name for name in names if name[-1] in sides]
        coefficients = spectrum[i : i + 1, :, [names.index(name) for name in kept]].copy()
        # Skin motion and axis crosstalk scale and bend the curves; the offset is no channel at all.
        coefficients *= np.exp(vary.angle_gain_sd * rng.standard_normal(len(kept)))
        bend = (
            rng.standard_normal((2, vary.laboratory_harmonics, len(kept))) * vary.laboratory_sd_rad / np.sqrt(4 * vary.laboratory_harmonics)
        )
        coefficients[0, 1 : vary.laboratory_harmonics + 1] += bend[0] + 1j * bend[1]
        one = np.ones(1)
        out.append(poses.angle_windows(kept, coefficients, float(row["stride_time_s"]) * one, 0 * one, one, random_body(row, rng)))
    return out


def on_the_spot(trials: Trials) -> np.ndarray:
    """Points (N, S, P, 3) of strides, for relative to the hips there is no progression."""
    q = coordinates_of(trials)
    q[..., 3] = 0.0
    found = point_motion(skeleton_of(trials), q, points=list(_POSE_NAMES))
    return np.stack([found[name].position_m for name in _POSE_NAMES], axis=2)


def _poses(trials: Trials, rng: np.random.Generator, sensor: str) -> list[Windows | None]:
    flat, oblique = tasks.sensor_named(sensor).flat, sensor == tasks.OBLIQUE
    rows, vary, points = trials.table.to_dict("records"), variation(), on_the_spot(trials)
    out: list[Windows | None] = []
    for i, row in enumerate(rows):
        leg = float(row["leg_length_m"])
        if flat or sensor == tasks.CAPTURED or rng.random() < vary.motion_capture_share:
            here = points[i] + leg * vary.joint_sd * rng.standard_normal((1, *points[i].shape[1:]))
        else:
            here = lifted(points[i], leg, rng)
        if flat and not oblique:  # from the side, and not quite
            yaw = rng.normal(0.0, vary.side_view_yaw_sd_rad)
            here[:, :, 0] = np.cos(yaw) * here[:, :, 0] + np.sin(yaw) * here[:, :, 2]
            here[:, :, 2] = 0.0
        names, seen = list(_POSE_NAMES), here[None]
        if oblique:
            seen = filmed(here, rng)
            if rng.random() < vary.missing_chance.get("shoulder_", 0.0):  # which tell the view, whether the network sees them or not
                names = [name for name in names if not name.startswith("shoulder")]
                seen = seen[:, :, [_POSE_NAMES.index(name) for name in names]]
        seen = seen - 0.5 * (seen[:, :, [names.index("hip_r")]] + seen[:, :, [names.index("hip_l")]])
        coefficients = np.fft.rfft(seen, axis=1)[:, : HARMONICS + 1] / seen.shape[1]
        one = np.ones(len(seen))
        timed = float(row["stride_time_s"]) * one, 0 * one, one
        shown = poses.Shown(None if flat else 1.0, flat, len(seen) > 1, oblique)
        out.append(poses.pose_windows(names, coefficients, *timed, random_body(row, rng), shown))
    return out


def filmed(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (K, S, P, 3) of one stride on the spot in a random camera's picture, about their own size; the third axis is 0.
    K is 2 where the camera stands still, else 1.
    """
    vary, out = variation(), points.copy()
    for joint in ("hip", "shoulder"):  # as far apart as a pose network puts them
        right, left = (_POSE_NAMES.index(f"{joint}_{side}") for side in "rl")
        wider = 0.5 * (np.exp(rng.normal(0.0, vary.width_sd)) - 1.0) * (out[:, right] - out[:, left])
        out[:, right] += wider
        out[:, left] -= wider
    yaw = rng.uniform(-np.pi, np.pi)
    distance = rng.uniform(*vary.camera_distance_m)
    # a camera that stands still sees the walker on either side of about its middle
    fixed = rng.random() < vary.fixed_camera_share
    aside = (
        rng.normal(0.0, vary.camera_aim_sd_rad) + abs(rng.normal(0.0, vary.camera_aside_sd_rad)) * np.array([-1.0, 1.0]) if fixed else [0.0]
    )
    tilt = rng.normal(0.0, vary.camera_tilt_sd_rad)
    x = np.cos(yaw) * out[:, :, 0] + np.sin(yaw) * out[:, :, 2]
    away = distance + np.sin(yaw) * out[:, :, 0] - np.cos(yaw) * out[:, :, 2]
    y = out[:, :, 1] - rng.uniform(*vary.camera_height_m)
    y, away = np.cos(tilt) * y + np.sin(tilt) * away, np.cos(tilt) * away - np.sin(tilt) * y
    seen = []
    for angle in aside:
        beside, before = np.cos(angle) * x - np.sin(angle) * away, np.cos(angle) * away + np.sin(angle) * x
        seen.append(distance * np.stack([beside / before, y / before, np.zeros_like(x)], axis=-1))
    return np.stack(seen)


def lifted(points: np.ndarray, leg_m: float, rng: np.random.Generator) -> np.ndarray:
    """Points (S, P, 3) of one stride as a network lifts them from one camera that looks along the walk."""
    vary, shape = variation(), points.shape[1:]
    guessed = points + leg_m * vary.lifted_sd * rng.standard_normal((1, *shape))
    out = guessed * np.array([rng.uniform(*vary.lifted_squeeze), 1.0, 1.0])
    phase = 2 * np.pi * np.arange(len(points)) / len(points)
    for order in range(1, vary.lifted_harmonics + 1):
        size = leg_m * np.array(vary.lifted_sway_sd) / np.sqrt(vary.lifted_harmonics) * rng.standard_normal((2, *shape))
        out += np.multiply.outer(np.cos(order * phase), size[0]) + np.multiply.outer(np.sin(order * phase), size[1])
    return out + rng.uniform(*vary.lifted_bones) * (_with_bones_of(guessed, out, rng.uniform(*vary.lifted_heights)) - out)


def _with_bones_of(points: np.ndarray, moved: np.ndarray, heights: float) -> np.ndarray:
    """Points ``moved`` (S, P, 3), with bones as long as those of ``points`` are on average.

    Where ``heights`` is 0 every bone keeps its direction, so that a squeezed leg hangs more upright and its ankle lower; where
    it is 1 ankles stay as high under the hips as in the picture, and knees give way forward.
    """
    out = moved.copy()

    def length(inner: int, outer: int) -> float:
        return float(np.linalg.norm(points[:, outer] - points[:, inner], axis=1).mean())

    def hung(inner: int, outer: int) -> np.ndarray:
        bone = moved[:, outer] - moved[:, inner]
        return out[:, inner] + bone * (length(inner, outer) / np.linalg.norm(bone, axis=1, keepdims=True))

    for side in SIDES:
        hip, shoulder, knee, ankle, heel, toe = (_POSE_NAMES.index(f"{joint}_{side}") for joint in _JOINTS)
        out[:, shoulder], out[:, knee] = hung(hip, shoulder), hung(hip, knee)
        out[:, ankle] = hung(knee, ankle)
        out[:, ankle] += heights * (moved[:, ankle] - out[:, ankle])
        out[:, knee], out[:, ankle] = _bent(out[:, hip], out[:, knee], out[:, ankle], length(hip, knee), length(knee, ankle))
        out[:, heel], out[:, toe] = hung(ankle, heel), hung(ankle, toe)
    return out


def _bent(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, thigh: float, shank: float) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (S, 3) of a leg of that thigh and shank, bent forward as far as the ankle is near. An ankle out of reach
    comes nearer, and what the knee lies to the side of the line from hip to ankle it lies there still.
    """
    leg = ankle - hip
    apart = np.linalg.norm(leg, axis=1, keepdims=True)
    down = leg / apart
    reach = np.clip(apart, abs(thigh - shank), thigh + shank)
    ahead = np.array([1.0, 0.0, 0.0]) - down * down[:, :1]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    along = 0.5 * (reach + (thigh**2 - shank**2) / reach)
    beside = (knee - hip) - down * np.sum((knee - hip) * down, axis=1, keepdims=True)
    aside = beside * np.array([0.0, 0.0, 1.0])
    return hip + along * down + np.sqrt(np.maximum(thigh**2 - along**2, 0.0)) * ahead + aside, hip + reach * down


def _imus(walks: Walks, sensor: str, rng: np.random.Generator) -> list[Windows | None]:
    """Windows of every walk through randomly mounted IMUs."""
    kind, vary = tasks.sensor_named(sensor), variation()
    sided = kind.channels[0].endswith(("_r", "_l"))
    placements = [f"{sensor}_{side}" for side in SIDES] if sided else [sensor]
    # One person wears one kind of sensor; each is mounted its own way.
    worn = str(rng.choice(vary.imu_classes)), str(rng.choice(vary.mountings)), vary.impacts[int(rng.integers(len(vary.impacts)))]
    records = {placement: _imu(walks, placement, *worn, rng) for placement in placements}
    samples = min(array.shape[1] for array in records.values())
    out: list[Windows | None] = []
    for i, row in enumerate(walks.table.to_dict("records")):
        kept = placements if not sided or rng.random() > vary.one_sided_chance else [placements[int(rng.integers(2))]]
        signals = {f"{p}_{channel}": records[p][i, :samples, column] for p in kept for column, channel in enumerate(IMU_CHANNELS)}
        try:
            out.append(kind.featurise(signals, float(walks.sampling_rate_hz or 100.0), random_body(row, rng)))
        except InputError:
            out.append(None)
    return out


def _imu(walks: Walks, placement: str, sensor: str, mounting: str, impact: str | None, rng: np.random.Generator) -> np.ndarray:
    """(N, T, 6) of a sensor of that class, turned any way round."""
    named = IMU(placement, sensor, mounting)
    mounted = replace(named.mounting, any_orientation=True)
    if placement in tasks.TRUNK:
        mounted = replace(mounted, offset_sd_m=variation().trunk_offset_sd_m)
    turned = IMU(placement, named.sensor, mounted, impact, sampling_rate_hz=walks.sampling_rate_hz)
    return turned.record(walks, rng).signals[f"imu_{placement}"]


def _curve_targets(trials: Trials) -> np.ndarray:
    """(N, Q, S): activations and vertical forces in body weights, band-limited to the cycle's samples."""
    activation = trials.signals["muscle_activation"].astype(float)
    names = trials.channels["ground_reaction"]
    force = np.stack([trials.channel(f"ground_reaction_y_{side}") for side in SIDES], axis=2).astype(float)
    assert all(f"ground_reaction_y_{side}" in names for side in SIDES)
    weight = trials.table["mass_kg"].to_numpy(float) * GRAVITY_MPS2
    curves = np.concatenate([activation, force / weight[:, None, None]], axis=2)
    spectrum = np.fft.rfft(curves, axis=1)[:, : CYCLE_SAMPLES // 2]
    padded = np.zeros((len(curves), CYCLE_SAMPLES // 2 + 1, curves.shape[2]), complex)
    padded[:, : CYCLE_SAMPLES // 2] = spectrum
    return (np.fft.irfft(padded, n=CYCLE_SAMPLES, axis=1) * CYCLE_SAMPLES / curves.shape[1]).transpose(0, 2, 1).astype(np.float32)
