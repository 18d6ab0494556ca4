"""What can be estimated from what.

In: names of sensors and tasks. Out: per sensor its channels, how a recording becomes ``Windows`` and
how a mirrored walker looks; per task the targets and how predictions become gait terms.

A network never predicts a speed. It predicts the log of the ratio of stride length to the physical
estimate (``Windows.base``), and how the stride is shared between the sides; the stride time comes
from the signal's repetition, and everything else follows: speed = stride length / stride time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from synthgait.conventions import MUSCLES, mirror_name
from synthgait.errors import InputError
from synthgait.estimators.features import limbs, poses, trunk
from synthgait.estimators.features.windows import Body, Windows

Featurise = Callable[[Mapping[str, np.ndarray], float, Body], Windows]


@dataclass(frozen=True)
class Sensor:
    """One kind of input.

    ``mirror`` (C,) and ``mirror_sign`` (C,) turn a walker's channels into the mirrored walker's;
    ``scalar_mirror`` does the same for the scalars. The log of stride length over the physical estimate is learned
    up to ``largest_ratio`` and believed up to ``largest_correction``.
    """

    name: str
    channels: tuple[str, ...]
    scalars: tuple[str, ...]
    featurise: Featurise
    negated: tuple[str, ...] = ()
    largest_correction: float = np.inf
    largest_ratio: float = np.inf

    @property
    def worn(self) -> bool:
        """An IMU, which needs a walk to record; of poses and joint angles a single stride makes one window."""
        return self.name != "joint_angles" and not self.name.startswith("keypoints")

    @property
    def flat(self) -> bool:
        """Key points of one camera's picture."""
        return self.name.startswith("keypoints_2d")

    @property
    def mirror(self) -> np.ndarray:
        return np.array([self.channels.index(mirror_name(name)) for name in self.channels])

    @property
    def mirror_sign(self) -> np.ndarray:
        return np.array([-1.0 if name in self.negated else 1.0 for name in self.channels], np.float32)

    @property
    def scalar_mirror(self) -> np.ndarray:
        return np.array([self.scalars.index(mirror_name(name)) for name in self.scalars])


def _trunk(placement: str) -> Sensor:
    negated = ("acc_right", "velocity_right", "displacement_right")
    return Sensor(placement, trunk.CHANNELS, trunk.SCALARS, partial(trunk.featurise, placement=placement), negated)


#: Integrating a foot between its rests is right within a few per cent (a stride's length within 6.3 cm on average, Rampp et
#: al., IEEE Trans Biomed Eng 2015;62:1089); beyond that a simulated sole has slid, and there is nothing to learn.
_FOOT_SLID = 0.04
#: What is left is mostly the creep of simulated soles, which real shoes do not have, so no correction goes further
#: (modelling choice).
_FOOT_CORRECTION = 0.005
#: An ankle that rests still rolls forward a little, in simulation (4 % of the speed) more than in shoes with soft soles on
#: real floors: what a network has learned of a shank's sensor and its place counts, up to half of that.
_SHANK_CORRECTION = 0.02


def _limb(segment: str) -> Sensor:
    sensor = Sensor(segment, limbs.CHANNELS, limbs.SCALARS, partial(limbs.featurise, segment=segment))
    if segment == "foot":
        return replace(sensor, largest_correction=_FOOT_CORRECTION, largest_ratio=_FOOT_SLID)
    return replace(sensor, largest_correction=_SHANK_CORRECTION) if segment == "shank" else sensor


#: Networks that read ``keypoints_2d`` where the view is not from the side, which those of that name are taught with, and
#: ``keypoints_3d`` where feet rest as they do in motion capture, for which those of that name, who know single cameras too,
#: are less sure.
OBLIQUE, CAPTURED = "keypoints_2d_oblique", "keypoints_3d_captured"
TRUNK = ("lower_back", "sternum", "head")
_LATERAL = tuple(name for name in poses.POSE_CHANNELS if "_right_" in name)
_POSE = Sensor("keypoints_3d", poses.POSE_CHANNELS, poses.POSE_SCALARS, partial(poses.featurise_pose, metric=True), _LATERAL)
SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        *(_trunk(placement) for placement in TRUNK),
        *(_limb(segment) for segment in ("foot", "shank", "thigh")),
        _POSE,
        replace(_POSE, name=CAPTURED),
        Sensor("keypoints_2d", poses.POSE_CHANNELS, poses.POSE_SCALARS, partial(poses.featurise_pose, metric=False), _LATERAL),
        Sensor(OBLIQUE, poses.PICTURE_CHANNELS, poses.PICTURE_SCALARS, partial(poses.featurise_pose, metric=False, oblique=True)),
        Sensor("joint_angles", poses.ANGLE_CHANNELS, poses.ANGLE_SCALARS, poses.featurise_angles),
    )
}

#: Special networks and whose recordings they read some of, chosen by what a recording shows; recordings are named by the others.
SPECIAL = {OBLIQUE: "keypoints_2d", CAPTURED: "keypoints_3d"}
READABLE = tuple(name for name in SENSORS if name not in SPECIAL)

#: Values of the gait_parameters task. Shares are of the stride.
VALUES = ("log_stride_ratio", "step_length_share_r", "step_time_share_r", "stance_share_r", "stance_share_l", "double_support_share")
#: Curves of the muscle_activation task: activations, and the vertical force (body weights) that tells the contacts.
CURVES = (*MUSCLES, "ground_reaction_y_r", "ground_reaction_y_l")
TASKS = ("gait_parameters", "muscle_activation")


def sensor_named(name: str) -> Sensor:
    """Raises InputError naming the sensors there are."""
    if name not in SENSORS:
        raise InputError(f"sensor {name!r} is unknown; choose one of {', '.join(READABLE)}")
    return SENSORS[name]


def task_outputs(task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(values, curves) of a task. Raises InputError naming the tasks there are."""
    if task == "gait_parameters":
        return VALUES, ()
    if task == "muscle_activation":
        return (), CURVES
    raise InputError(f"task {task!r} is unknown; choose one of {', '.join(TASKS)}")


def value_targets(row: Mapping[str, float], windows: Windows, sensor: Sensor) -> np.ndarray:
    """(N, V) targets of one walk from its realised table row; unknown ones are NaN, and so is a ratio beyond
    the sensor's largest.
    """

    def number(name: str) -> float:
        return float(row.get(name, np.nan))

    stride_time = number("stride_time_s")
    out = np.full((len(windows), len(VALUES)), np.nan, np.float32)
    # The window's own stride time: a longer stride at the same speed is a longer stride.
    stride_length = number("walking_speed_mps") * windows.stride_time_s
    out[:, 0] = np.log(stride_length / windows.body.length_m) - windows.base
    out[np.abs(out[:, 0]) > sensor.largest_ratio, 0] = np.nan
    out[:, 1] = number("step_length_r_m") / (number("step_length_r_m") + number("step_length_l_m"))
    for column, name in enumerate(("step_time_r_s", "stance_time_r_s", "stance_time_l_s", "double_support_time_s"), start=2):
        out[:, column] = number(name) / stride_time
    return out


def believed(log_ratio: np.ndarray, sensor: Sensor) -> np.ndarray:
    """How far a network's log ratio (N,) corrects the physical estimate."""
    limit = sensor.largest_correction
    return limit * np.tanh(log_ratio / limit) if np.isfinite(limit) else log_ratio


def mirror_values(values: np.ndarray) -> np.ndarray:
    """Targets of the mirrored walker, (N, V) -> (N, V)."""
    out = values.copy()
    out[:, 1:3] = 1.0 - values[:, 1:3]
    out[:, 3], out[:, 4] = values[:, 4], values[:, 3]
    return out


CURVE_MIRROR = np.array([CURVES.index(mirror_name(name)) for name in CURVES])
