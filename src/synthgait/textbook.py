"""Textbook walking: what healthy people's joints, muscles and feet do over a stride, by walking speed.

In: a dimensionless speed and phases. Out: joint angles, muscle activity, ground reaction, velocity of the pelvis.

Sources, each read off at a few percent of the cycle and joined by periodic monotone splines: sagittal and
frontal joint angles of Kadaba et al. (J Orthop Res 1990;8:383) and Perry & Burnfield, Gait Analysis (2nd ed.,
2010), turned to the zero of upright standing, in which the pelvis is tilted forward by 10 degrees; their changes
with speed after Schwartz et al. (J Biomech 2008;41:1639) and Lelas et al. (Gait Posture 2003;17:106); muscle activity
after Winter, The Biomechanics and Motor Control of Human Gait (2nd ed., 1991), of tensor fasciae latae, adductors and
gracilis after Perry & Burnfield, growing with speed as in Hof et al. (Gait Posture 2002;16:78). None of them comes
from the recordings that anything here is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from synthgait.conventions import GRAVITY_MPS2, MUSCLES, SAMPLES_PER_STRIDE

#: Dimensionless speeds v / sqrt(g * leg length) of the three columns below: slow, natural, fast.
_SPEEDS = (0.20, 0.43, 0.60)
#: Stance as a fraction of the cycle at these speeds (Murray et al., Arch Phys Med Rehabil 1984;65:563).
_STANCE = (0.66, 0.61, 0.575)

#: Percent of a cycle with toe-off at 62, then degrees at the three speeds.
DEGREES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "hip_flexion": (
        (0, 18, 24, 29), (10, 15, 20, 25), (20, 8, 11, 13), (30, 0, 1, 1), (40, -8, -9, -11), (50, -14, -18, -21),
        (54, -15, -19, -22), (60, -12, -14, -16), (66, -4, -4, -3), (75, 12, 14, 16), (85, 20, 25, 29), (92, 20, 26, 31),
    ),
    "knee_flexion": (
        (0, 3, 4, 6), (6, 7, 11, 15), (13, 11, 18, 23), (20, 10, 16, 21), (30, 6, 9, 12), (40, 3, 4, 5), (46, 5, 7, 9),
        (54, 15, 19, 23), (60, 30, 36, 40), (66, 46, 53, 55), (72, 53, 60, 63), (78, 48, 56, 58), (86, 27, 33, 35),
        (93, 9, 10, 12), (97, 2, 3, 5),
    ),
    "ankle_dorsiflexion": (
        (0, -1, 0, 0), (4, -4, -4, -4), (7, -4, -5, -6), (14, 0, 0, 0), (20, 3, 3, 2), (30, 7, 6, 5), (42, 11, 10, 8),
        (48, 11, 9, 5), (55, 3, -2, -8), (60, -8, -13, -18), (64, -12, -19, -22), (70, -8, -11, -13), (78, 0, -2, -3),
        (85, 2, 1, 1), (95, 1, 1, 2),
    ),
    "hip_adduction": (
        (0, 0, 0, 0), (10, 4, 6, 7), (18, 5, 7, 8), (30, 4, 5, 5), (45, 3, 4, 3), (55, 0, -1, -2), (63, -4, -6, -7),
        (70, -3, -5, -6), (85, -1, -2, -3),
    ),
    "hip_internal_rotation": ((0, 0, 0, 0), (50, 0, 0, 0)),
    "pelvis_tilt": ((0, 0, 0, 0), (50, 0, 0, 0)),
    "pelvis_list": (
        (0, 0, 0, 0), (12, -3, -4, -6), (20, -2, -3, -4), (35, -1, -1, -1), (50, 0, 0, 0), (62, 3, 4, 6), (70, 2, 3, 4), (85, 1, 1, 1),
    ),
    "pelvis_rotation": ((0, 3, 4, 5), (25, 1, 1, 1), (50, -3, -4, -5), (75, -1, -1, -1)),
}  # fmt: skip

#: Percent of the same cycle, then activation in percent of maximum at natural speed.
ACTIVITY_PERCENT: dict[str, tuple[tuple[float, float], ...]] = {
    "tibialis_anterior": ((0, 30), (4, 32), (10, 14), (18, 4), (50, 2), (58, 6), (66, 20), (72, 20), (82, 13), (90, 14), (96, 24)),
    "soleus": ((0, 1), (10, 4), (20, 8), (30, 13), (42, 21), (47, 22), (54, 8), (61, 2), (90, 1)),
    "gastrocnemius": ((0, 2), (10, 5), (20, 11), (30, 17), (41, 25), (47, 21), (54, 6), (60, 2), (90, 2)),
    "vastus": ((0, 8), (5, 13), (10, 12), (16, 6), (24, 2), (60, 1), (85, 2), (93, 5)),
    "rectus_femoris": ((0, 11), (5, 13), (11, 9), (20, 3), (45, 2), (58, 6), (65, 6), (75, 2), (88, 4), (95, 9)),
    "semimembranosus": ((0, 17), (6, 14), (14, 8), (28, 3), (72, 2), (82, 8), (90, 20), (96, 21)),
    "biceps_femoris_long": ((0, 17), (6, 14), (14, 8), (28, 3), (72, 2), (82, 8), (90, 20), (96, 21)),
    "biceps_femoris_short": ((0, 4), (40, 2), (56, 6), (66, 12), (78, 6), (88, 6)),
    "gluteus_maximus": ((0, 13), (6, 17), (13, 11), (22, 4), (60, 2), (85, 3), (93, 8)),
    "gluteus_medius": ((0, 16), (7, 26), (14, 24), (25, 14), (36, 9), (46, 3), (60, 2), (88, 3), (95, 8)),
    "gluteus_minimus": ((0, 12), (10, 22), (25, 16), (40, 12), (50, 3), (60, 2), (90, 3)),
    "tibialis_posterior": ((0, 5), (10, 14), (25, 20), (42, 28), (52, 10), (60, 2), (92, 2)),
    "peroneus_longus": ((0, 4), (12, 10), (25, 16), (44, 30), (52, 14), (60, 3), (92, 3)),
    "psoas": ((0, 2), (35, 4), (48, 14), (58, 26), (66, 22), (76, 6), (88, 2)),
    "iliacus": ((0, 2), (35, 4), (48, 14), (58, 26), (66, 22), (76, 6), (88, 2)),
    "tensor_fasciae_latae": ((0, 4), (8, 8), (20, 12), (40, 14), (50, 8), (58, 4), (66, 6), (75, 4), (90, 3)),
    "adductor_longus": ((0, 3), (10, 4), (30, 3), (48, 6), (60, 12), (70, 10), (80, 4), (92, 3)),
    "adductor_magnus": ((0, 8), (8, 10), (18, 3), (50, 2), (85, 3), (95, 7)),
    "gracilis": ((0, 8), (8, 5), (20, 2), (55, 3), (65, 8), (75, 8), (85, 4), (95, 8)),
}  # fmt: skip


def base_name(coordinate: str) -> str:
    """A coordinate or muscle without its side."""
    return coordinate.removesuffix("_r").removesuffix("_l")


@cache
def _spline(points: tuple[tuple[float, ...], ...]) -> PchipInterpolator:
    """Periodic curve over percent, from rows of percent and values."""
    table = np.array(points, float)
    percent, values = table[:, 0], table[:, 1:]
    return PchipInterpolator(np.concatenate([percent - 100, percent, percent + 100]), np.tile(values, (3, 1)))


def stance_fraction(speed: float, left: bool = False, left_contact_phase: float = 0.5) -> float:
    """Stance as a fraction of the cycle; both double supports are equally long whenever the left foot lands."""
    double_support = float(np.interp(speed, _SPEEDS, _STANCE)) - 0.5
    return double_support + (1.0 - left_contact_phase if left else left_contact_phase)


def _percent(speed: float, phase: np.ndarray, left: bool, left_contact_phase: float) -> np.ndarray:
    """Percent of the cycle with toe-off at 62, where ``phase`` (0 to 1) falls at this speed."""
    at = np.mod(np.asarray(phase, float) - (left_contact_phase if left else 0.0), 1.0)
    return np.interp(at, (0.0, stance_fraction(speed, left, left_contact_phase), 1.0), (0.0, 62.0, 100.0))


def reference_angle(coordinate: str, speed: float, phase: np.ndarray, left_contact_phase: float = 0.5) -> np.ndarray:
    """Textbook angle in rad of a coordinate of ``conventions`` at phases (any shape) of the right
    cycle, 0 to 1. Zero where no curve is given.

    Args:
        speed: dimensionless walking speed, v / sqrt(g * leg length); 0.2 to 0.6 make a difference.
        left_contact_phase: phase of the right cycle at which the left foot lands.
    """
    if base_name(coordinate) not in DEGREES:
        return np.zeros_like(np.asarray(phase, float))
    curve = _spline(DEGREES[base_name(coordinate)])
    share = np.array([np.interp(speed, _SPEEDS, row) for row in np.eye(len(_SPEEDS))])

    def seen_from(left: bool) -> np.ndarray:
        angles: np.ndarray = np.deg2rad(curve(_percent(speed, phase, left, left_contact_phase))) @ share
        return angles

    if coordinate in ("pelvis_list", "pelvis_rotation"):
        # of both legs' halves, so that a mirrored walk has the mirrored curve wherever the left foot lands
        return 0.5 * (seen_from(False) - seen_from(True))
    return seen_from(coordinate.endswith("_l"))


def reference_activation(muscle: str, speed: float, phase: np.ndarray, left_contact_phase: float = 0.5) -> np.ndarray | None:
    """Textbook activation (0 to 1) of a muscle of the model, or None where there is no curve; arguments as
    for ``reference_angle``. It grows by a tenth for every 0.06 of dimensionless speed.

    The curves are envelopes of EMG, which simulated activations are pulled to as they stand: pulled to the same curves
    an electromechanical delay later, ground reactions came closer to real ones and the timing of five muscles did not.
    """
    curve = next((points for name, points in ACTIVITY_PERCENT.items() if muscle.startswith(name)), None)
    if curve is None:
        return None
    level = 0.01 * _spline(curve)(_percent(speed, phase, muscle.endswith("_l"), left_contact_phase))[..., 0]
    return level * float(np.clip(1.0 + 1.6 * (speed - 0.43), 0.55, 1.5))


def usual_emg(speed: float, landing_phase: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Textbook envelopes of EMG (100,) of the model's muscles that have one, at a dimensionless speed.

    Args:
        landing_phase: side -> phase of the cycle at which that foot lands. Steps are taken to be even.
    """
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    found = {name: reference_activation(f"{base_name(name)}_r", speed, np.mod(phase - landing_phase[name[-1]], 1.0)) for name in MUSCLES}
    return {name: curve for name, curve in found.items() if curve is not None}


# Ground reaction over stance at natural cadence, fractions of stance and of body weight (Winter 1991):
# vertical as a deviation from a plateau of one body weight, forward, and towards the midline.
_STANCE_VERTICAL = (
    (0.0, 0.0),
    (0.05, 0.4),
    (0.1, 0.72),
    (0.15, 0.9),
    (0.2, 0.98),
    (0.25, 1.0),
    (0.77, 1.0),
    (0.84, 0.93),
    (0.89, 0.77),
    (0.945, 0.4),
    (1.0, 0.0),
)
_STANCE_HUMPS = ((0.0, 0.0), (0.12, 0.0), (0.24, 0.85), (0.35, -0.3), (0.5, -1.5), (0.63, -0.5), (0.77, 0.9), (0.88, 0.0), (1.0, 0.0))
_STANCE_FORWARD = ((0.0, 0.0), (0.06, -0.25), (0.2, -1.0), (0.35, -0.5), (0.55, 0.0), (0.7, 0.5), (0.86, 1.1), (0.95, 0.5), (1.0, 0.0))
_STANCE_MEDIAL = ((0.0, 0.0), (0.06, -0.3), (0.2, 1.0), (0.5, 0.7), (0.8, 1.0), (0.93, 0.4), (1.0, 0.0))


# Share of the vertical force that the heel carries, from the ankle moments and vertical forces of Winter (1991):
# they tell where between heel and metatarsals the centre of pressure lies.
_STANCE_HEEL = ((0.0, 1.0), (0.06, 0.92), (0.12, 0.77), (0.24, 0.56), (0.35, 0.37), (0.5, 0.12), (0.62, 0.0), (1.0, 0.0))


def reference_ground_reaction(
    speed: float, phase: np.ndarray, left: bool = False, left_contact_phase: float = 0.5, bounce: float = 1.0
) -> np.ndarray:
    """Textbook ground reaction of a foot in body weights, (..., 4), at phases of the right cycle:
    forward, up and right, and what of the second the heel carries. The humps grow with the square of the
    speed and braking with the speed (Nilsson & Thorstensson, Acta Physiol Scand 1989;136:217); stance shortens
    with it.

    Args:
        speed, left_contact_phase: as for ``reference_angle``.
        bounce: factor on the humps, of one whose pelvis rises more or less than usual.
    """
    shift, outwards = (left_contact_phase, -1.0) if left else (0.0, 1.0)
    at = np.mod(np.asarray(phase, float) - shift, 1.0) / stance_fraction(speed, left, left_contact_phase)
    hump, brake = 0.14 * bounce * (speed / 0.42) ** 2, 0.19 * speed / 0.42

    def curve(points: tuple[tuple[float, float], ...], at: np.ndarray = at) -> np.ndarray:
        x, y = np.array(points).T
        return np.where(at < 1.0, PchipInterpolator(x, y)(np.minimum(at, 1.0)), 0.0)

    whole = (np.arange(200) + 0.5) / 200
    mean = float(np.mean(curve(_STANCE_VERTICAL, whole) + hump * curve(_STANCE_HUMPS, whole)))
    # over a cycle both feet together carry one body weight
    level = 1.0 / (mean * (stance_fraction(speed, False) + stance_fraction(speed, True)))
    vertical = level * (curve(_STANCE_VERTICAL) + hump * curve(_STANCE_HUMPS))
    return np.stack(
        [brake * curve(_STANCE_FORWARD), vertical, -0.05 * outwards * curve(_STANCE_MEDIAL), vertical * curve(_STANCE_HEEL)], axis=-1
    )


def reference_velocity_mps(
    axis: int,
    walking_speed_mps: float,
    speed: float,
    stride_time_s: float,
    typical_time_s: float,
    phase: np.ndarray,
    left_contact_phase: float = 0.5,
) -> np.ndarray:
    """Textbook velocity of the pelvis in m/s, forward (axis 0), up (1) or to the right (2), at phases (any shape) of the
    right cycle.

    Forward and sideways it is the whole body's centre of mass's, which the textbook's ground reaction gives. Upward
    it is lowest in the middle of each double support, highest halfway between: the pelvis rises by 27 mm at 0.7
    m/s and 48 mm at 1.6 m/s (Orendurff et al., J Rehabil Res Dev 2004;41:829), where the leg is of an adult's 0.9 m.
    Where steps are longer or shorter than usual, rises go with the square of their length and forward forces with
    their length, as an inverted pendulum's (Zijlstra & Hof, Gait Posture 1997;6:249).

    Args:
        stride_time_s, typical_time_s: the walker's own stride time and the usual one at this speed.
        speed, left_contact_phase: as for ``reference_angle``.
    """
    longer = stride_time_s / typical_time_s
    if axis == 1:
        leg_m = (walking_speed_mps / speed) ** 2 / GRAVITY_MPS2
        rise_m = longer**2 * leg_m / 0.9 * (0.0274 + 0.0232 * (walking_speed_mps * np.sqrt(0.9 / leg_m) - 0.7))
        # time since the middle of the last double support, as a fraction of the step
        since = np.mod(np.asarray(phase, float) - 0.5 * (stance_fraction(speed) - 0.5), 1.0)
        first = since < left_contact_phase
        step = np.where(first, left_contact_phase, 1.0 - left_contact_phase)
        at = np.where(first, since, since - left_contact_phase) / step
        return np.pi * max(rise_m, 0.005) / (step * stride_time_s) * np.sin(2 * np.pi * at)
    cycle = np.arange(200) / 200
    force = sum(reference_ground_reaction(speed, cycle, left, left_contact_phase)[:, axis] for left in (False, True))
    spectrum = np.fft.rfft(GRAVITY_MPS2 * force * (longer if axis == 0 else 1.0))
    spectrum[1:] *= stride_time_s / (2j * np.pi * np.arange(1, len(spectrum)))
    spectrum[0] = 0.0
    about = np.interp(np.mod(phase, 1.0), np.append(cycle, 1.0), np.resize(np.fft.irfft(spectrum, 200), 201))
    return about + (walking_speed_mps if axis == 0 else 0.0)
