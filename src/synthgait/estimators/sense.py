"""Training examples: synthetic strides seen through random sensors.

In: synthetic strides, the name of a sensor, a random generator. Out: ``Examples``: windows of many
walks with their targets, and batches of them with the variation that costs nothing to add.

What a person's recording does that the physics does not: skin and markers move, joint centres and
zeros are set by a laboratory, a camera squeezes the depth, one foot's sensor is missing, nobody
wrote down the height, footfalls shake the sensor. Each is drawn at random here, wider than any one
data set would show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS, JOINT_ANGLES, SIDES
from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.features import poses
from synthgait.estimators.features.windows import CYCLE_SAMPLES, HARMONICS, Body, Windows
from synthgait.gait import cadence_chance, coordinates_of, skeleton_of
from synthgait.kinematics import point_motion
from synthgait.sensors import IMU
from synthgait.trials import Trials
from synthgait.walks import Walks, walk

_POSE_NAMES = tuple(f"{joint}_{side}" for side in SIDES for joint in ("hip", "shoulder", "knee", "ankle", "heel", "toe"))

#: Of ``simulations/sensors``: what people in studies wear.
_IMU_CLASSES = ("research", "consumer")
_MOUNTINGS = ("taped", "strapped")
#: Where on the lower back: L3 to S1 and a hand's width to the side.
_TRUNK_OFFSET_SD_M = 0.03
#: Footfalls shake most sensors: shoes and floors of ``simulations/sensors/impact.yaml``.
_IMPACTS = ("any", "soft_shoes", None)
#: How much larger or smaller (log) a channel may be than physics says. Sensors on the trunk see what the
#: simulation knows least: how far a pelvis shuttles depends on a spine of one joint.
_GAIN_SD, _TRUNK_GAIN_SD = 0.05, 0.2
#: How far two laboratories' curves of one joint angle differ (standard deviation over the cycle, and up to which harmonic):
#: model, marker placement and skin. Repeated measurements err by 2 to 5 degrees (McGinley et al., Gait Posture
#: 2009;29:360), most of it a constant, which is no channel here.
_LABORATORY_SD_RAD, _LABORATORY_HARMONICS = np.deg2rad(2.0), 3
#: A joint's centre is guessed this far off in shares of the leg, always the same way: 1.5 cm by markers, hips by more.
_JOINT_SD = 0.017
#: A network that lifts one camera's picture into space errs by 47 mm on average in the laboratory that it learned from
#: (Pavllo et al., CVPR 2019) and by more elsewhere, most of it in depth, which it also squeezes. Shares of the leg: what
#: is constant, and what comes back at the same phase of every stride (depth, up, right; in the first harmonics).
_LIFTED_SD, _LIFTED_SWAY_SD, _LIFTED_HARMONICS = 0.03, (0.03, 0.01, 0.01), 2
_LIFTED_SQUEEZE = (0.65, 1.05)
_ADULT_YEARS = 18
_WALKS_AT_ONCE = 32  # of like stride time, so that none is much longer than it must be


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
        kind = tasks.sensor_named(self.sensor)
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
        gain = np.exp((_TRUNK_GAIN_SD if self.sensor in tasks.TRUNK else _GAIN_SD) * rng.standard_normal((size, cycles.shape[1], 1)))
        spread = cycles.std(axis=2, keepdims=True)
        cycles = cycles * gain + spread * _smooth_noise(rng, (size, cycles.shape[1]), rng.choice([0.02, 0.06, 0.15], size))
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
    """Channels (B, C) to hide: heels, toes, shoulders and ankle angles, which many recordings lack."""
    hidden = np.zeros((size, len(kind.channels)), bool)
    for prefix, chance in (("heel_", 0.5), ("toe_", 0.5), ("shoulder_", 0.3), ("ankle_dorsiflexion_", 0.2)):
        columns = np.array([name.startswith(prefix) for name in kind.channels])
        hidden |= (rng.random(size) < chance)[:, None] & columns
    return hidden


def sense(trials: Trials, sensor: str, rng: np.random.Generator, *, task: str, walks: int, strides: int) -> Examples:
    """``walks`` walks of random strides of the trials through a random sensor of the kind. A simulated stride's chance
    falls with how far its cadence is from the usual one of such people at that speed; generated ones are so distributed.

    Raises InputError where the trials lack a signal that is needed.
    """
    chance = cadence_chance(trials.table) if trials.kind == "seed" else np.ones(len(trials))
    rows = rng.choice(len(trials), size=walks, replace=walks > len(trials), p=chance / chance.sum())
    chosen = trials.select(rows)
    for group in ("joint_angles", "pelvis", *(("muscle_activation", "ground_reaction") if task == "muscle_activation" else ())):
        if group not in chosen.signals:
            raise InputError(f"the data have no signal group {group!r}, which a fit of {task} needs")
    if not tasks.sensor_named(sensor).worn:
        windows = _angles(chosen, rng) if sensor == "joint_angles" else _poses(chosen, rng, flat=sensor == "keypoints_2d")
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
    """What a recording might say of the size: leg length, height, or (one in three) nothing; each
    measured with an error of 1 %. Who is of unknown size is an adult: whoever records children tells how tall they are.
    """
    error = float(np.exp(0.01 * rng.standard_normal()))
    choice = rng.random()
    if choice < 0.33 and row["age_years"] >= _ADULT_YEARS:
        return Body()
    if choice < 0.75:
        return Body(height_m=float(row["height_m"]) * error)
    return Body(leg_length_m=float(row["leg_length_m"]) * error)


def _angles(trials: Trials, rng: np.random.Generator) -> list[Windows | None]:
    names = list(poses.ANGLE_CHANNELS)
    angles = trials.signals["joint_angles"][:, :, [JOINT_ANGLES.index(name) for name in names]].astype(float)
    spectrum = np.fft.rfft(angles, axis=1)[:, : HARMONICS + 1] / angles.shape[1]
    out: list[Windows | None] = []
    for i, row in enumerate(trials.table.to_dict("records")):
        sides = SIDES if rng.random() > 0.25 else (SIDES[int(rng.integers(2))],)
        kept = [name for name in names if name[-1] in sides]
        coefficients = spectrum[i : i + 1, :, [names.index(name) for name in kept]].copy()
        # Skin motion and axis crosstalk scale and bend the curves; the offset is no channel at all.
        coefficients *= np.exp(0.04 * rng.standard_normal(len(kept)))
        bend = rng.standard_normal((2, _LABORATORY_HARMONICS, len(kept))) * _LABORATORY_SD_RAD / np.sqrt(4 * _LABORATORY_HARMONICS)
        coefficients[0, 1 : _LABORATORY_HARMONICS + 1] += bend[0] + 1j * bend[1]
        one = np.ones(1)
        out.append(poses.angle_windows(kept, coefficients, float(row["stride_time_s"]) * one, 0 * one, one, random_body(row, rng)))
    return out


def _poses(trials: Trials, rng: np.random.Generator, *, flat: bool) -> list[Windows | None]:
    rows = trials.table.to_dict("records")
    q = coordinates_of(trials)
    q[..., 3] = 0.0  # relative to the hips there is no progression
    found = point_motion(skeleton_of(trials), q, points=list(_POSE_NAMES))
    points = np.stack([found[name].position_m for name in _POSE_NAMES], axis=2)
    place = {name: i for i, name in enumerate(_POSE_NAMES)}
    out: list[Windows | None] = []
    for i, row in enumerate(rows):
        leg = float(row["leg_length_m"])
        # Half of the walkers in space come from motion capture, half from one camera.
        if flat or rng.random() < 0.5:
            here = points[i] + leg * _JOINT_SD * rng.standard_normal((1, *points[i].shape[1:]))
        else:
            here = lifted(points[i], leg, rng)
        if flat:  # from the side, and not quite
            yaw = rng.normal(0.0, np.deg2rad(10.0))
            here[:, :, 0] = np.cos(yaw) * here[:, :, 0] + np.sin(yaw) * here[:, :, 2]
            here[:, :, 2] = 0.0
        here -= 0.5 * (here[:, [place["hip_r"]]] + here[:, [place["hip_l"]]])
        coefficients = (np.fft.rfft(here, axis=0)[: HARMONICS + 1] / len(here))[None]
        one = np.ones(1)
        timed = float(row["stride_time_s"]) * one, 0 * one, one
        unit_m = None if flat else 1.0
        out.append(poses.pose_windows(list(_POSE_NAMES), coefficients, *timed, random_body(row, rng), unit_m=unit_m, flat=flat))
    return out


def lifted(points: np.ndarray, leg_m: float, rng: np.random.Generator) -> np.ndarray:
    """Points (S, P, 3) of one stride as a network lifts them from one camera that looks along the walk: see ``_LIFTED_SD``."""
    shape = points.shape[1:]
    out = points * np.array([rng.uniform(*_LIFTED_SQUEEZE), 1.0, 1.0]) + leg_m * _LIFTED_SD * rng.standard_normal((1, *shape))
    phase = 2 * np.pi * np.arange(len(points)) / len(points)
    for order in range(1, _LIFTED_HARMONICS + 1):
        size = leg_m * np.array(_LIFTED_SWAY_SD) / np.sqrt(_LIFTED_HARMONICS) * rng.standard_normal((2, *shape))
        out += np.multiply.outer(np.cos(order * phase), size[0]) + np.multiply.outer(np.sin(order * phase), size[1])
    return out


def _imus(walks: Walks, sensor: str, rng: np.random.Generator) -> list[Windows | None]:
    """Windows of every walk through randomly mounted IMUs."""
    kind = tasks.sensor_named(sensor)
    sided = kind.channels[0].endswith(("_r", "_l"))
    placements = [f"{sensor}_{side}" for side in SIDES] if sided else [sensor]
    # One person wears one kind of sensor; each is mounted its own way.
    worn = str(rng.choice(_IMU_CLASSES)), str(rng.choice(_MOUNTINGS)), _IMPACTS[int(rng.integers(len(_IMPACTS)))]
    records = {placement: _imu(walks, placement, *worn, rng) for placement in placements}
    samples = min(array.shape[1] for array in records.values())
    out: list[Windows | None] = []
    for i, row in enumerate(walks.table.to_dict("records")):
        kept = placements if not sided or rng.random() > 0.25 else [placements[int(rng.integers(2))]]
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
        mounted = replace(mounted, offset_sd_m=_TRUNK_OFFSET_SD_M)
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
