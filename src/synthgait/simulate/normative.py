"""What a walker is pulled to, and how firmly: textbook curves as the task's habits change them, and how people's habits differ.

In: a body and a task. Out: angles, shares of the pull, and the stride time that people of this size choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from synthgait.conventions import GRAVITY_MPS2
from synthgait.gait import typical_cadence_spm
from synthgait.musculoskeletal import MusculoskeletalModel, hip_to_ankle_m
from synthgait.simulate.task import Habits, WalkingTask
from synthgait.textbook import (
    ACTIVITY_PERCENT,
    DEGREES,
    base_name,
    reference_angle,
    reference_ground_reaction,
    reference_velocity_mps,
)

#: How firmly an angle is pulled, where not by 1: the knee's loading response and a narrow base are what an
#: effort-optimal gait gives up first.
_FIRMNESS = {
    "knee_flexion": 8.0,
    "ankle_dorsiflexion": 4.0,
    "hip_adduction": 20.0,
    "pelvis_rotation": 8.0,
    "pelvis_list": 7.0,
    "pelvis_tilt": 12.0,
}
#: The same for activations. Firm: muscles under the skin, whose envelopes are known and whose work an optimum otherwise
#: gives to weak neighbours. Loose: deep and thin muscles, which few electrodes have seen; where they had to follow
#: their curves as firmly, the others could not follow theirs, and knees stayed bent in mid-stance.
_ACTIVITY_FIRMNESS = {
    "soleus": 4.0,
    "gastrocnemius": 2.0,
    "tibialis_anterior": 2.0,
    "vastus": 18.0,
    "semimembranosus": 9.0,
    "biceps_femoris_long": 4.0,
    "rectus_femoris": 16.0,
    "gluteus_maximus": 7.0,
    "gluteus_medius_middle": 6.0,
    "gluteus_medius_posterior": 1.0,
    "gluteus_medius_anterior": 0.5,
}
_LOOSE = 0.2
#: How healthy people differ from one another: standard deviations of a factor (its logarithm) on an angle's curve and of a
#: shift in degrees, of the pelvis's tilt of a shift alone. Together they make the four to six degrees in the sagittal
#: plane and two to three in the others by which normal subjects' curves scatter (Kadaba et al., J Orthop Res 1990;8:383;
#: Winter 1991).
_BETWEEN_PEOPLE = {
    "hip_flexion": (0.08, 2.5),
    "knee_flexion": (0.07, 3.5),
    "ankle_dorsiflexion": (0.15, 2.5),
    "hip_adduction": (0.2, 1.5),
    "pelvis_list": (0.25, 0.0),
    "pelvis_rotation": (0.35, 0.0),
}
_TILT_SD_DEG = 4.0
#: The same of the pelvis's rise: 4.8 +- 1 cm at 1.6 m/s (Orendurff et al., J Rehabil Res Dev 2004;41:829).
_BOUNCE_SD = 0.2


def pull_weights(coordinates: Sequence[str]) -> dict[str, float]:
    """Share that each coordinate with a textbook curve has in the pull towards them."""
    tracked = [name for name in coordinates if base_name(name) in DEGREES]
    return {name: _FIRMNESS.get(base_name(name), 1.0) / len(tracked) for name in tracked}


def activity_weights(muscles: Sequence[str]) -> dict[str, float]:
    """Share that each muscle with a textbook curve has in the pull towards them."""
    known = [name for name in muscles if name.startswith(tuple(ACTIVITY_PERCENT))]
    firm = {name: next((w for start, w in _ACTIVITY_FIRMNESS.items() if name.startswith(start)), _LOOSE) for name in known}
    return {name: weight / len(known) for name, weight in firm.items()}


def froude_speed(model: MusculoskeletalModel, task: WalkingTask) -> float:
    """Dimensionless walking speed v / sqrt(g * leg length); the leg is 1.1 times hip to ankle."""
    # not by gait.dimensionless_speed, which multiplies in another order: solutions keep their last bit
    return task.walking_speed_mps / float(np.sqrt(GRAVITY_MPS2 * 1.1 * hip_to_ankle_m(model)))


def habit(coordinate: str, task: WalkingTask) -> tuple[float, float]:
    """Factor on a textbook curve and shift in rad, as the task has them."""
    return next(((factor, shift) for name, factor, shift in task.habits if name == coordinate), (1.0, 0.0))


def personal_habits(rng: np.random.Generator, extent: float) -> Habits:
    """Habits of one healthy person, the same on both sides: where the own curves lie beside the textbook's.

    Args:
        extent: how far people differ, in published standard deviations; 0 for none.
    """
    if not extent:
        return ()

    def drawn() -> float:
        return float(extent * np.clip(rng.standard_normal(), -2.0, 2.0))

    # who tilts the pelvis holds the thighs as others do
    tilt = float(np.deg2rad(_TILT_SD_DEG)) * drawn()
    habits: list[tuple[str, float, float]] = [("pelvis_tilt", 1.0, tilt), ("pelvis_ty", float(np.exp(_BOUNCE_SD * drawn())), 0.0)]
    for angle, (factor_sd, shift_sd) in _BETWEEN_PEOPLE.items():
        factor, shift = float(np.exp(factor_sd * drawn())), float(np.deg2rad(shift_sd)) * drawn()
        shift -= tilt if angle == "hip_flexion" else 0.0
        habits += [(name, factor, shift) for name in ((angle,) if angle.startswith("pelvis") else (f"{angle}_r", f"{angle}_l"))]
    return tuple(habits)


def pulled_angle(coordinate: str, speed: float, task: WalkingTask, phase: np.ndarray) -> np.ndarray:
    """What a walker is pulled to: the textbook angle in rad as the task's habits change it, at phases (any
    shape) of the right cycle; ``speed`` as for ``reference_angle``.
    """
    factor, shift = habit(coordinate, task)
    angle = reference_angle(coordinate, speed, phase, task.left_contact_phase)
    if coordinate == "pelvis_list":
        # over the right leg the pelvis is down on the left, which is negative
        angle = angle * np.where(angle < 0, habit("pelvis_drop_r", task)[0], habit("pelvis_drop_l", task)[0])
    return factor * angle + shift


def pulled_ground_reaction(speed: float, task: WalkingTask, phase: np.ndarray, left: bool) -> np.ndarray:
    """The same of a foot's ground reaction in body weights, (..., 4), see ``reference_ground_reaction``."""
    force = reference_ground_reaction(speed, phase, left, task.left_contact_phase, habit("pelvis_ty", task)[0])
    return force * [1.0, 1.0, 1.0, habit("heel_l" if left else "heel_r", task)[0]]


def pulled_velocity_mps(axis: int, model: MusculoskeletalModel, task: WalkingTask, phase: np.ndarray) -> np.ndarray:
    """The same of the pelvis's velocity, forward (axis 0), up (1) or to the right (2)."""
    own, usual = pulled_stride_time_s(model, task), typical_stride_time_s(model, task)
    speed = froude_speed(model, task)
    moves = reference_velocity_mps(axis, task.walking_speed_mps, speed, own, usual, phase, task.left_contact_phase)
    return moves * habit("pelvis_ty", task)[0] if axis == 1 else moves


def periodic_derivative(values: np.ndarray, period: float) -> np.ndarray:
    """Derivative of periodic samples (K, C), last one not repeated, by a periodic cubic spline."""
    closed = np.concatenate([values, values[:1]])
    time = np.linspace(0.0, period, len(closed))
    return CubicSpline(time, closed, bc_type="periodic")(time[:-1], 1)


def typical_stride_time_s(model: MusculoskeletalModel, task: WalkingTask) -> float:
    """Stride time that people of this size choose at this speed."""
    # hip to ankle is 0.475 of the height of the generic person
    return 120.0 / typical_cadence_spm(task.walking_speed_mps, hip_to_ankle_m(model) / 0.475)


def pulled_stride_time_s(model: MusculoskeletalModel, task: WalkingTask) -> float:
    """Stride time that a walker is pulled to: the task's own, or the usual one."""
    return task.stride_time_s or typical_stride_time_s(model, task)


def stride_time_bounds_s(model: MusculoskeletalModel, task: WalkingTask) -> tuple[float, float]:
    """Lower and upper limit of the stride time, equal where the task prescribes one."""
    if task.stride_time_s:
        return task.stride_time_s, task.stride_time_s
    typical = typical_stride_time_s(model, task)
    return task.stride_time_bounds_s or (0.75 * typical, 1.6 * typical)
