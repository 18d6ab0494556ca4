"""An analytic walker: strides whose speed, step length and step time are known exactly.

In: people and speeds. Out: ``Trials`` of symmetric strides with every signal group of the file
format. Joint angles are textbook curves (read off Perry & Burnfield, Gait Analysis, 2nd ed., and
Winter, Biomechanics and Motor Control of Human Gait, 1991, at every 5 % of the cycle; their
trigonometric interpolation is a Fourier series), so that curves look human, toy models can be
trained on them and every derivative is exact. Left is right half a cycle later, so both step
lengths are speed * stride time / 2 whatever the body. The ground reaction is Newton's: total mass
times acceleration of the centre of mass, shared between the feet. Not a simulation: joint moments,
muscle activations and forces are textbook shapes too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthgait.anthropometry import REFERENCE_HEIGHT_M, REFERENCE_LEG_LENGTH_M, build_model
from synthgait.conventions import COORDINATES, GRAVITY_MPS2, JOINT_ANGLES, LEG_MUSCLES, MUSCLES, SAMPLES_PER_STRIDE, SIDES
from synthgait.kinematics import Skeleton, body_motion, centre_of_mass_motion, point_motion, spectral_derivative
from synthgait.subjects import Subject, draw_subject
from synthgait.trials import Trials

# Degrees at 0, 5, ..., 95 % of the cycle from initial contact.
_KNOTS_DEG = {
    "hip_flexion": (28, 28, 25, 20, 15, 9, 3, -2, -6, -9, -10, -7, 1, 11, 20, 27, 31, 32, 31, 29),
    "knee_flexion": (4, 10, 16, 18, 16, 12, 9, 7, 7, 9, 14, 24, 38, 53, 61, 59, 48, 31, 14, 4),
    "ankle_dorsiflexion": (0, -5, -6, -2, 2, 5, 7, 9, 10, 9, 5, -5, -16, -18, -11, -4, 0, 2, 2, 1),
    "hip_adduction": (-1, 1, 4, 6, 6, 5, 4, 3, 2, 1, 0, -3, -6, -7, -6, -5, -4, -3, -2, -2),
    "hip_internal_rotation": (-2, 0, 2, 3, 3, 2, 2, 1, 0, 0, -1, -2, -4, -5, -4, -3, -3, -3, -3, -3),
}
# Nm/kg at 0, 10, ..., 90 %.
_KNOTS_MOMENT = {
    "hip_flexion": (-0.2, -0.6, -0.35, 0.0, 0.3, 0.7, 0.4, 0.1, 0.0, -0.2),
    "knee_flexion": (0.2, -0.4, -0.3, 0.0, 0.15, 0.05, -0.15, -0.05, 0.05, 0.2),
    "ankle_dorsiflexion": (0.0, 0.05, -0.4, -0.8, -1.3, -1.2, -0.1, 0.0, 0.0, 0.0),
    "hip_adduction": (0.0, -0.7, -0.65, -0.55, -0.7, -0.5, 0.0, 0.0, 0.0, 0.0),
    "hip_internal_rotation": (0.0, 0.1, 0.08, 0.0, -0.08, -0.1, 0.0, 0.0, 0.0, 0.0),
}
# Bursts: centre and width (fractions of the cycle) and height, after Winter (1991).
_BURSTS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "tibialis_anterior": ((0.03, 0.05, 0.4), (0.68, 0.08, 0.2), (0.95, 0.06, 0.3)),
    "soleus": ((0.42, 0.09, 0.6),),
    "gastrocnemius": ((0.40, 0.09, 0.55),),
    "tibialis_posterior": ((0.38, 0.12, 0.35),),
    "peroneus": ((0.42, 0.1, 0.35),),
    "vastus": ((0.06, 0.06, 0.35),),
    "rectus": ((0.06, 0.05, 0.15), (0.6, 0.06, 0.15)),
    "biceps_femoris_long": ((0.95, 0.07, 0.3),),
    "biceps_femoris_short": ((0.65, 0.06, 0.15),),
    "semimembranosus": ((0.93, 0.07, 0.35),),
    "gluteus_maximus": ((0.05, 0.06, 0.3),),
    "gluteus_medius": ((0.12, 0.1, 0.35),),
    "iliacus": ((0.58, 0.08, 0.3),),
    "psoas": ((0.58, 0.08, 0.3),),
    "adductor": ((0.55, 0.07, 0.2), (0.05, 0.05, 0.15)),
    "gracilis": ((0.6, 0.08, 0.15),),
    "tensor": ((0.15, 0.12, 0.15),),
}
_WALK_RATIO_M_PER_SPM = 0.0065  # step length / cadence of adults, Sekiya & Nagasaki (Gait Posture 1998;7:225)
_STANCE = 0.62  # of the cycle


def analytic_walker(
    subjects: Sequence[Subject], walking_speed_mps: np.ndarray | float, cadence_spm: np.ndarray | float | None = None
) -> Trials:
    """One symmetric stride per person.

    Args:
        subjects: N people.
        walking_speed_mps: scalar or (N,).
        cadence_spm: scalar or (N,); None gives the walk ratio of adults, scaled to the leg.

    Returns ``Trials`` (N strides of 100 samples): walking speed, step lengths and step times in the
    table are exact, right initial contact is at phase 0 exactly (right foot's vertical force crosses
    5 % of body weight there).
    """
    people = len(subjects)
    leg = np.array([s.leg_length_m or REFERENCE_LEG_LENGTH_M / REFERENCE_HEIGHT_M * s.height_m for s in subjects])
    speed = np.broadcast_to(np.asarray(walking_speed_mps, float), people)
    if cadence_spm is None:
        cadence = np.sqrt(60 * speed / (_WALK_RATIO_M_PER_SPM * (leg / 0.92) ** 1.5))
    else:
        cadence = np.broadcast_to(np.asarray(cadence_spm, float), people)
    period = 120.0 / cadence
    stride = speed * period
    models = [build_model(s) for s in subjects]
    skeleton = Skeleton.of(models)
    q = _coordinates(skeleton, stride)
    gain = np.zeros((people, len(COORDINATES)))
    gain[:, COORDINATES.index("pelvis_tx")] = stride
    qd = spectral_derivative(q, period, 1, gain)
    qdd = spectral_derivative(q, period, 2, gain)
    weight = np.array([s.mass_kg for s in subjects]) * GRAVITY_MPS2
    forces, pressure = _ground_reaction(skeleton, q, qd, qdd, weight)
    activation = np.tile(np.concatenate([_bursts(name, side) for side in SIDES for name in LEG_MUSCLES], axis=1), (people, 1, 1))
    strength = np.array([[m.max_isometric_force_n for m in model.muscles] for model in models])
    mass = np.array([s.mass_kg for s in subjects])[:, None, None]
    signals = {
        "joint_angles": q[..., 6:],
        "joint_velocities": qd[..., 6:],
        "joint_moments": mass * _moments(),
        "pelvis": q[..., :6],
        "ground_reaction": forces,
        "centre_of_pressure": pressure,
        "muscle_activation": activation,
        "muscle_force": 0.6 * activation * strength[:, None, :],
    }
    table, events = _truth(subjects, leg, speed, period, skeleton, q)
    return Trials(table, {group: array.astype(np.float32) for group, array in signals.items()}, events=events, kind="seed")


def analytic_population(
    count: int, seed: int = 0, age_years: tuple[float, float] = (20.0, 80.0), speed_mps: tuple[float, float] = (0.6, 1.7)
) -> Trials:
    """``count`` people drawn at random; speed uniform, cadence 0.85 to 1.15 of the self-chosen one."""
    rng = np.random.default_rng(seed)
    subjects = [draw_subject(rng, f"analytic-{i:05d}", age_years=age_years) for i in range(count)]
    speed = rng.uniform(*speed_mps, count)
    leg = np.array([s.leg_length_m for s in subjects])
    cadence = np.sqrt(60 * speed / (_WALK_RATIO_M_PER_SPM * (leg / 0.92) ** 1.5)) * rng.uniform(0.85, 1.15, count)
    return analytic_walker(subjects, speed, cadence)


def _series(knots: Sequence[float], shift: float = 0.0) -> np.ndarray:
    """Trigonometric interpolation of equidistant knots at the stride's samples, later by ``shift``."""
    count = len(knots)
    spectrum = np.fft.rfft(knots) / count
    harmonics = min(count // 2 - 1, 8)
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE - shift
    k = np.arange(1, harmonics + 1)
    return spectrum[0].real + 2 * np.real(np.exp(2j * np.pi * np.outer(phase, k)) @ spectrum[1 : harmonics + 1])


def _coordinates(skeleton: Skeleton, stride_m: np.ndarray) -> np.ndarray:
    """(N, 100, 19): the hip's swing is scaled until the foot stands still in mid-stance."""
    people = len(stride_m)
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    q = np.zeros((people, SAMPLES_PER_STRIDE, len(COORDINATES)))

    def put(name: str, values: np.ndarray) -> None:
        q[..., COORDINATES.index(name)] = values

    def wave(harmonic: int, peak: float) -> np.ndarray:
        return np.cos(2 * np.pi * harmonic * (phase - peak))

    size = (stride_m / 1.4)[:, None]
    degree = np.pi / 180
    put("pelvis_tilt", -2 * degree + 1 * degree * wave(2, 0.05))
    put("pelvis_list", -4 * degree * wave(1, 0.13))
    put("pelvis_rotation", 4 * degree * size * wave(1, 0.0))
    put("lumbar_extension", -3 * degree - 1.5 * degree * wave(2, 0.05))
    put("lumbar_bending", 4.5 * degree * wave(1, 0.13))
    put("lumbar_rotation", -7 * degree * size * wave(1, 0.0))
    put("pelvis_tx", stride_m[:, None] * phase + 0.010 * size * (np.sin(4 * np.pi * (phase - 0.03)) + np.sin(0.12 * np.pi)))
    put("pelvis_tz", 0.022 * wave(1, 0.30))
    base = {name: _series(knots) * degree for name, knots in _KNOTS_DEG.items()}

    def with_legs(swing: np.ndarray) -> None:
        for side, shift in (("r", 0), ("l", SAMPLES_PER_STRIDE // 2)):
            for name, curve in base.items():
                curve = np.roll(curve, shift)
                if name == "hip_flexion":
                    # 8 degrees less: the curve's zero is a pelvis tilted forward, the model's an upright one
                    put(f"{name}_{side}", curve.mean() - 8 * degree + swing[:, None] * (curve - curve.mean()))
                elif name == "hip_adduction":
                    put(f"{name}_{side}", np.broadcast_to(curve - curve.mean() + 2 * degree, (people, SAMPLES_PER_STRIDE)))
                else:
                    put(f"{name}_{side}", np.broadcast_to(curve, (people, SAMPLES_PER_STRIDE)))

    # The path that the ankle covers against the pelvis between 12 and 42 % must be the pelvis's own.
    swing = np.ones(people)
    for _ in range(8):
        with_legs(swing)
        ankle = point_motion(skeleton, q, points=["ankle_r"])["ankle_r"].position_m[..., 0]
        drift = ankle[:, 42] - ankle[:, 12]
        swing = np.maximum(swing + drift / (0.30 * stride_m), 0.15)
    with_legs(swing)
    put("pelvis_ty", _height(skeleton, q))
    return q


def _height(skeleton: Skeleton, q: np.ndarray) -> np.ndarray:
    """Pelvis height that keeps the lower foot on the floor, as harmonics 0, 2 and 4 (symmetric)."""
    moving = body_motion(skeleton, q, bodies=["foot_r", "foot_l"])
    clearance = np.min(
        [
            moving[body].point(where).position_m[..., 1] - (radius[:, None] if np.ndim(radius) else radius)
            for body, where, radius in skeleton.contacts.values()
        ],
        axis=0,
    )
    spectrum = np.fft.rfft(-clearance, axis=-1)
    keep = np.zeros(spectrum.shape[-1])
    keep[[0, 2]] = 1.0
    return np.fft.irfft(spectrum * keep, n=SAMPLES_PER_STRIDE, axis=-1) - 0.005


def _ground_reaction(
    skeleton: Skeleton, q: np.ndarray, qd: np.ndarray, qdd: np.ndarray, weight_n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    total = centre_of_mass_motion(skeleton, q, qd, qdd).acceleration_mps2
    assert total is not None
    total = (total + np.array([0.0, GRAVITY_MPS2, 0.0])) * (weight_n / GRAVITY_MPS2)[:, None, None]
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    double = _STANCE - 0.5
    # The force crosses 5 % of body weight at phase 0: u^2 (3 - 2u) = share there, solved for u.
    share = 0.05 * weight_n / np.maximum(total[:, 0, 1], 0.2 * weight_n)
    early = double * (0.5 - np.sin(np.arcsin(1 - 2 * share) / 3))
    u = (phase[None, :] + early[:, None]) % 1.0
    rise = np.clip(u / double, 0, 1)
    fall = np.clip((u - 0.5) / double, 0, 1)
    right = rise**2 * (3 - 2 * rise) - fall**2 * (3 - 2 * fall)
    forces, pressure = [], []
    for side, part, lag in (("r", right, 0.0), ("l", 1.0 - right, 0.5)):
        force = total * part[..., None]
        forces.append(force)
        points = point_motion(skeleton, q, points=[f"heel_{side}", f"toe_{side}"])
        heel, toe = points[f"heel_{side}"].position_m, points[f"toe_{side}"].position_m
        progress = np.clip(((phase - lag) % 1.0) / _STANCE, 0, 1)[None, :, None]
        point = (heel + (toe - heel) * progress)[..., [0, 2]]
        pressure.append(np.where(force[..., 1:2] > 0.05 * weight_n[:, None, None], point, np.nan))
    return np.concatenate(forces, axis=-1), np.concatenate(pressure, axis=-1)


def _moments() -> np.ndarray:
    """(1, 100, 13) Nm/kg; the lumbar joints carry none."""
    moments = np.zeros((1, SAMPLES_PER_STRIDE, len(JOINT_ANGLES)))
    for side, shift in (("r", 0.0), ("l", 0.5)):
        for name, knots in _KNOTS_MOMENT.items():
            moments[0, :, JOINT_ANGLES.index(f"{name}_{side}")] = _series(knots, shift)
    return moments


def _bursts(muscle: str, side: str) -> np.ndarray:
    """(100, 1) activation, 0.02 at rest."""
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE - (0.5 if side == "l" else 0.0)
    (bursts,) = (b for name, b in _BURSTS.items() if muscle.startswith(name))
    near = [height * np.exp(-0.5 * (((phase - centre + 0.5) % 1.0 - 0.5) / width) ** 2) for centre, width, height in bursts]
    return (0.02 + np.sum(near, axis=0))[:, None]


def _truth(
    subjects: Sequence[Subject], leg: np.ndarray, speed: np.ndarray, period: np.ndarray, skeleton: Skeleton, q: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    heels = point_motion(skeleton, q, points=["heel_r", "heel_l"])
    at_right, at_left = heels["heel_r"].position_m[:, 0, 2], heels["heel_l"].position_m[:, 50, 2]
    table = pd.DataFrame(
        {
            "trial_id": [f"stride-{i:06d}" for i in range(len(subjects))],
            "subject_id": [s.subject_id for s in subjects],
            "age_years": [s.age_years for s in subjects],
            "sex": [s.sex for s in subjects],
            "height_m": [s.height_m for s in subjects],
            "mass_kg": [s.mass_kg for s in subjects],
            "leg_length_m": leg,
            "knee_varus_rad": [s.knee_varus_rad for s in subjects],
            "pathology": [s.pathology for s in subjects],
            "severity": [s.severity for s in subjects],
            "affected_side": [s.affected_side for s in subjects],
            "walking_speed_mps": speed,
            "cadence_spm": 120.0 / period,
            "stride_length_m": speed * period,
            "stride_time_s": period,
            "step_length_r_m": speed * period / 2,
            "step_length_l_m": speed * period / 2,
            "step_time_r_s": period / 2,
            "step_time_l_s": period / 2,
            "step_width_m": at_right - at_left,
            "stance_time_r_s": _STANCE * period,
            "stance_time_l_s": _STANCE * period,
            "double_support_time_s": (2 * _STANCE - 1) * period,
            "seed": 0,
            "status": "ok",
            "status_message": "",
            "source_trial_id": "",
        }
    )
    events = pd.DataFrame(
        [
            {"trial_index": i, "event": event, "side": side, "time_s": fraction * t}
            for i, t in enumerate(period)
            for event, side, fraction in (
                ("initial_contact", "r", 0.0),
                ("final_contact", "l", _STANCE - 0.5),
                ("initial_contact", "l", 0.5),
                ("final_contact", "r", _STANCE),
            )
        ]
    )
    return table, events


assert set(MUSCLES) == {f"{name}_{side}" for name in LEG_MUSCLES for side in SIDES}
