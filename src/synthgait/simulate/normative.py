"""Textbook walking: the curves a first guess starts from and a soft pull points to.

In: a body and a speed. Out: reference joint angles over the cycle and a first guess of a stride.

The curves are the sagittal joint angles of natural-cadence walking in Winter, The Biomechanics and
Motor Control of Human Gait (2nd ed., 1991), and the frontal and transverse ones of Kadaba et al.
(J Orthop Res 1990;8:383), read off at a few percent of the cycle and joined by a periodic spline.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from synthgait.musculoskeletal import MusculoskeletalModel, hip_to_ankle_m
from synthgait.simulate.task import WalkingTask

_PERCENT_DEGREES: dict[str, tuple[tuple[float, float], ...]] = {
    "hip_flexion": ((0, 28), (10, 24), (20, 15), (30, 5), (40, -4), (50, -10), (55, -9), (60, -4), (70, 12), (80, 26), (88, 31), (95, 30)),
    "knee_flexion": (
        (0, 4),
        (7, 13),
        (14, 18),
        (20, 16),
        (30, 9),
        (40, 5),
        (48, 8),
        (55, 20),
        (62, 42),
        (72, 62),
        (80, 52),
        (88, 25),
        (95, 5),
    ),
    "ankle_dorsiflexion": (
        (0, 0),
        (5, -5),
        (10, -4),
        (20, 3),
        (30, 7),
        (42, 10),
        (49, 8),
        (56, -5),
        (63, -18),
        (67, -17),
        (75, -6),
        (83, 0),
        (90, 2),
        (96, 1),
    ),
    "hip_adduction": ((0, 0), (10, 4), (20, 6), (30, 5), (45, 3), (55, -1), (62, -6), (70, -5), (85, -2)),
    "hip_internal_rotation": ((0, 0), (50, 0)),
    "pelvis_list": ((0, 0), (10, -4), (20, -3), (35, -1), (50, 0), (60, 4), (70, 3), (85, 1)),
    "pelvis_rotation": ((0, 4), (25, 1), (50, -4), (75, -1)),
}


@cache
def _spline(name: str) -> PchipInterpolator:
    points = _PERCENT_DEGREES[name]
    percent = np.array([p for p, _ in points], float)
    degrees = np.array([d for _, d in points], float)
    tiled = np.concatenate([percent - 100, percent, percent + 100])
    return PchipInterpolator(tiled, np.deg2rad(np.tile(degrees, 3)))


def reference_angle(coordinate: str, phase: np.ndarray) -> np.ndarray:
    """Textbook angle in rad of a coordinate of ``conventions`` at phases (any shape) of the right
    cycle, 0 to 1; the left leg follows half a cycle later. Zero where no curve is given.
    """
    base, side = (coordinate[:-2], coordinate[-1]) if coordinate[-2:] in ("_r", "_l") else (coordinate, "r")
    if base not in _PERCENT_DEGREES:
        return np.zeros_like(np.asarray(phase, float))
    shifted = np.mod(np.asarray(phase, float) + (0.5 if side == "l" else 0.0), 1.0)
    return _spline(base)(100.0 * shifted)


# Ground reaction over stance at natural cadence, fractions of stance and of body weight (Winter 1991):
# vertical as a deviation from a plateau of one body weight, forward, and towards the midline.
_STANCE_VERTICAL = ((0.0, 0.0), (0.05, 0.45), (0.1, 0.75), (0.2, 1.0), (0.8, 1.0), (0.88, 0.85), (0.95, 0.35), (1.0, 0.0))
_STANCE_HUMPS = ((0.0, 0.0), (0.12, 0.0), (0.23, 1.0), (0.35, -0.3), (0.5, -1.6), (0.63, -0.5), (0.77, 0.9), (0.88, 0.0), (1.0, 0.0))
_STANCE_FORWARD = ((0.0, 0.0), (0.06, -0.25), (0.2, -1.0), (0.35, -0.5), (0.55, 0.0), (0.7, 0.5), (0.86, 1.1), (0.95, 0.5), (1.0, 0.0))
_STANCE_MEDIAL = ((0.0, 0.0), (0.06, -0.3), (0.2, 1.0), (0.5, 0.7), (0.8, 1.0), (0.93, 0.4), (1.0, 0.0))


def reference_ground_reaction(speed: float, phase: np.ndarray) -> np.ndarray:
    """Textbook ground reaction of the right foot in body weights, (..., 3) in world axes, at phases of
    the right cycle. The humps grow with the square of the speed and braking with the speed (Nilsson &
    Thorstensson, Acta Physiol Scand 1989;136:217); stance shortens from 0.68 of the cycle at a
    dimensionless speed of 0.2 to 0.58 at 0.6 (Murray et al., Arch Phys Med Rehabil 1984;65:563).

    Args:
        speed: dimensionless walking speed, v / sqrt(g * leg length).
    """
    stance = float(np.interp(speed, (0.2, 0.6), (0.68, 0.58)))
    at = np.mod(np.asarray(phase, float), 1.0) / stance
    hump, brake = 0.12 * (speed / 0.42) ** 2, 0.19 * speed / 0.42

    def curve(points: tuple[tuple[float, float], ...]) -> np.ndarray:
        x, y = np.array(points).T
        return np.where(at < 1.0, PchipInterpolator(x, y)(np.minimum(at, 1.0)), 0.0)

    vertical = curve(_STANCE_VERTICAL) + hump * curve(_STANCE_HUMPS)
    return np.stack([brake * curve(_STANCE_FORWARD), vertical, -0.05 * curve(_STANCE_MEDIAL)], axis=-1)


def periodic_derivative(values: np.ndarray, period: float) -> np.ndarray:
    """Derivative of periodic samples (K, C), last one not repeated, by a periodic cubic spline."""
    closed = np.concatenate([values, values[:1]])
    time = np.linspace(0.0, period, len(closed))
    return CubicSpline(time, closed, bc_type="periodic")(time[:-1], 1)


def typical_cadence_spm(walking_speed_mps: float, height_m: float) -> float:
    """Self-chosen cadence of healthy adults from speed and height: step length 0.41 of the height at a
    dimensionless speed of 0.43, growing with the 0.42nd power of speed (walk ratio and exponent after
    Grieve & Gear, Ergonomics 1966;9:379, and Sekiya et al. 1996).
    """
    froude_speed = walking_speed_mps / np.sqrt(9.80665 * 0.53 * height_m)
    step_length = 0.41 * height_m * (froude_speed / 0.43) ** 0.42
    return 60.0 * walking_speed_mps / step_length


def typical_stride_time_s(model: MusculoskeletalModel, task: WalkingTask) -> float:
    """Stride time that people of this size choose at this speed."""
    # hip to ankle is 0.475 of the height of the generic person
    return 120.0 / typical_cadence_spm(task.walking_speed_mps, hip_to_ankle_m(model) / 0.475)


def stride_time_bounds_s(model: MusculoskeletalModel, task: WalkingTask) -> tuple[float, float]:
    """Lower and upper limit of the stride time, equal where the task prescribes one."""
    if task.stride_time_s:
        return task.stride_time_s, task.stride_time_s
    typical = typical_stride_time_s(model, task)
    return task.stride_time_bounds_s or (0.75 * typical, 1.6 * typical)
