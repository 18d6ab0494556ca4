"""The analytic walker with styles and made-up pathologies: a small seed dataset to learn from.

In: how many people, and a seed. Out: ``Trials`` of strides whose angles differ from person to person
by random low harmonics, whose ground reaction is Newton's for that motion, and of whom two thirds
have one of two invented pathologies, one of them on one side.
"""

from __future__ import annotations

import numpy as np

import analytic_walker as walker
from synthgait.anthropometry import build_model
from synthgait.conventions import COORDINATES, GRAVITY_MPS2, JOINT_ANGLES, SAMPLES_PER_STRIDE
from synthgait.kinematics import Skeleton, spectral_derivative
from synthgait.subjects import draw_subject
from synthgait.trials import Trials


def varied_walkers(count: int, seed: int = 0, style_rad: float = 0.02) -> Trials:
    """``count`` strides of as many people, ages 8 to 80, 0.7 to 1.6 m/s."""
    rng = np.random.default_rng(seed)
    subjects = []
    for i in range(count):
        kind = i % 3
        fixed = (
            {}
            if kind == 0
            else {
                "pathology": ("stiff_knee", "foot_drop")[kind - 1],
                "severity": float(rng.uniform(0.2, 1)),
                "affected_side": "both" if kind == 1 else ("left", "right")[int(rng.integers(2))],
            }
        )
        subjects.append(draw_subject(rng, f"person-{i:04d}", age_years=(8, 80), **fixed))
    speed = rng.uniform(0.7, 1.6, count)
    cadence = 120 / walker.analytic_walker(subjects, speed).table["stride_time_s"].to_numpy() * rng.uniform(0.88, 1.12, count)
    plain = walker.analytic_walker(subjects, speed, cadence)
    skeleton = Skeleton.of([build_model(s) for s in subjects])
    q = np.concatenate([plain.signals["pelvis"], plain.signals["joint_angles"]], 2).astype(float)
    q[:, :, 6:] += _styles(rng, count) * style_rad
    for i, subject in enumerate(subjects):
        for side in ("r", "l"):
            if subject.affected_side in ("both", {"r": "right", "l": "left"}[side]):
                _impair(q[i], subject.pathology, subject.severity, side)
    q[:, :, COORDINATES.index("pelvis_ty")] = 0.0
    q[:, :, COORDINATES.index("pelvis_ty")] = walker._height(skeleton, q)
    period = plain.table["stride_time_s"].to_numpy()
    gain = np.zeros((count, len(COORDINATES)))
    gain[:, COORDINATES.index("pelvis_tx")] = plain.table["stride_length_m"]
    rates = [spectral_derivative(q, period, order, gain) for order in (1, 2)]
    weight = plain.table["mass_kg"].to_numpy() * GRAVITY_MPS2
    force, pressure = walker._ground_reaction(skeleton, q, *rates, weight)
    signals = {
        "joint_angles": q[:, :, 6:],
        "pelvis": q[:, :, :6],
        "ground_reaction": force,
        "centre_of_pressure": pressure,
        "muscle_activation": plain.signals["muscle_activation"]
        * rng.uniform(0.7, 1.3, (count, 1, plain.signals["muscle_activation"].shape[2])),
    }
    return Trials(plain.table, {g: a.astype(np.float32) for g, a in signals.items()}, events=plain.events, kind="seed")


def _styles(rng: np.random.Generator, count: int) -> np.ndarray:
    phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    out = np.zeros((count, SAMPLES_PER_STRIDE, len(JOINT_ANGLES)))
    for k in range(1, 4):
        for curve in (np.cos, np.sin):
            out += rng.standard_normal((count, 1, len(JOINT_ANGLES))) / k * curve(2 * np.pi * k * phase)[None, :, None]
    return out


def _impair(q: np.ndarray, pathology: str, severity: float, side: str) -> None:
    knee, ankle = (COORDINATES.index(f"{name}_{side}") for name in ("knee_flexion", "ankle_dorsiflexion"))
    if pathology == "stiff_knee":
        q[:, knee] *= 1 - 0.4 * severity
    if pathology == "foot_drop":
        q[:, ankle] -= 0.15 * severity
