"""From strides to continuous walking, with the variability that people have from stride to stride.

In: strides (``Trials``), a duration, a sampling rate, a random generator. Out: ``Walks``: coordinates
with their first and second derivatives over time, ground reaction, activations, events and the
truth of every walk.

A walk repeats one stride along a phase that advances unevenly: times of contacts are knots of a
cubic spline phase(time), so that motion is smooth to acceleration. The sagittal swing of the legs
and the progression are scaled by one smooth factor of phase, so that feet keep standing still (to
first order) while step length varies. Both series are fractional Gaussian noise, whose Hurst
exponent is the scaling exponent that detrended fluctuation analysis finds in human stride times
(Hausdorff et al., J Appl Physiol 1995;78:349).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from synthgait.conventions import COORDINATES, JOINT_ANGLES, PELVIS_COORDINATES, SIDES
from synthgait.errors import InputError
from synthgait.gait import contact_phases, coordinates_of, lean_rad, skeleton_of
from synthgait.kinematics import Skeleton, point_motion, progression_per_period, spectral_derivative
from synthgait.trials import Trials

#: ("initial" or "final", side) -> times in s of these contacts in a walk.
_Contacts = dict[tuple[str, str], np.ndarray]
_FINE = 1000  # phases of the tables that a walk is read from
#: Signals that a walk takes from its stride as they are.
_CARRIED = ("ground_reaction", "centre_of_pressure", "free_moment", "muscle_activation")
_HARMONICS = 30  # of a stride; above them a solver's mesh of 60 intervals has nothing
_TX, _TY = COORDINATES.index("pelvis_tx"), COORDINATES.index("pelvis_ty")
_SWINGING = [
    i for i, name in enumerate(COORDINATES) if name.startswith(("hip_flexion", "knee_flexion", "ankle_dorsiflexion", "pelvis_rotation"))
]
#: Standard deviation of what changes from step to step besides step length: trunk and pelvis angles
#: of under a degree (Dingwell & Marin, J Biomech 2006;39:444, trunk), lateral sway of 1 cm.
_SWAY = {
    "pelvis_tilt": 0.008,
    "pelvis_list": 0.006,
    "pelvis_rotation": 0.010,
    "pelvis_tz": 0.010,
    "lumbar_extension": 0.010,
    "lumbar_bending": 0.010,
    "lumbar_rotation": 0.012,
}


@dataclass(frozen=True)
class Variability:
    """Stride-to-stride variability of one walker.

    Args:
        stride_time_cv, stride_length_cv: coefficient of variation of stride time and stride length.
        hurst: Hurst exponent of both series, 0.5 (none) to 1: DFA's alpha.
        step_fraction: share of independent step-to-step noise beside the long-range part, 0 to 1.
        sway: factor on the trunk's and pelvis's sway from step to step.
    """

    stride_time_cv: float = 0.018
    stride_length_cv: float = 0.025
    hurst: float = 0.80
    step_fraction: float = 0.4
    sway: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.stride_time_cv <= 0.15 and 0 <= self.stride_length_cv <= 0.3):
            raise InputError("stride_time_cv goes from 0 to 0.15 and stride_length_cv from 0 to 0.3; beyond that nobody walks")
        if not 0.0 < self.hurst < 1.0:
            raise InputError(f"hurst is {self.hurst:g}; fractional Gaussian noise has 0 to 1")


#: Adults: stride-time CV and DFA alpha of young (0.87) and elderly (0.68) people, Hausdorff et al.
#: (J Appl Physiol 1997;82:262); CV of 1 to 2 %, Hausdorff (Hum Mov Sci 2007;26:555).
HEALTHY = Variability(0.015, 0.020, 0.87)
OLDER = Variability(0.020, 0.030, 0.68)
#: At severity 1; between, linear from the healthy walker of that age. stroke: step-length CV of 7.5 %
#: (faster) to 12.5 % (slowest) of 90 people, Oken et al. (Gait Posture 2008;27:506); parkinson: stride
#: times twice as variable, alpha lowered, Hausdorff (Chaos 2009;19:026113); children with cerebral
#: palsy and cognitive impairment: about twice the healthy variability (Hausdorff 2007, review).
_PATHOLOGICAL = {
    "stroke": Variability(0.055, 0.090, 0.65, sway=1.6),
    "hemiparesis": Variability(0.055, 0.090, 0.65, sway=1.6),
    "parkinson": Variability(0.040, 0.060, 0.60, sway=1.2),
    "crouch": Variability(0.040, 0.060, 0.70, sway=1.6),
    "cerebral_palsy": Variability(0.040, 0.060, 0.70, sway=1.6),
    "cognitive": Variability(0.040, 0.060, 0.65, sway=1.2),
}
#: Of the others (weak or stiff calves, weak hips, arthritis, frailty) no single figure is published: a guess, half as far
#: from healthy people as those above.
_OTHER_PATHOLOGY = Variability(0.030, 0.045, 0.70, sway=1.3)


def usual_variability(age_years: float, pathology: str = "none", severity: float = 0.0) -> Variability:
    """The variability that a person of this age and pathology has; children are as variable as their
    age is low (stride-time CV 6 % at 4 years, adult-like at 14: Hausdorff et al., J Appl Physiol 1999;86:1040).
    """
    old = float(np.clip((age_years - 40.0) / 35.0, 0.0, 1.0))
    young = float(np.clip((14.0 - age_years) / 10.0, 0.0, 1.0))
    base = _between(HEALTHY, OLDER, old)
    base = _between(base, Variability(0.06, 0.07, 0.80, sway=1.5), young)
    if pathology == "none":
        return base
    match = next((v for name, v in _PATHOLOGICAL.items() if name in pathology), _OTHER_PATHOLOGY)
    return _between(base, match, severity)


def _between(one: Variability, other: Variability, share: float) -> Variability:
    names = ("stride_time_cv", "stride_length_cv", "hurst", "step_fraction", "sway")
    return Variability(**{n: (1 - share) * getattr(one, n) + share * getattr(other, n) for n in names})


# -- motion ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Motion:
    """What a sensor needs: coordinates (N, T, 19) with speeds and accelerations, the people's
    skeletons, the sampling rate of every trial (N,), and how far gravity leans back against the floor's normal
    (N,), which is what a slope does to walkers whose floor stays y = 0 (None: nowhere).
    """

    coordinates: np.ndarray
    speeds: np.ndarray
    accelerations: np.ndarray
    skeleton: Skeleton
    sampling_rate_hz: np.ndarray
    lean_rad: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> Motion:
        """The motion of some trials."""
        return Motion(
            self.coordinates[rows],
            self.speeds[rows],
            self.accelerations[rows],
            self.skeleton.select(rows),
            self.sampling_rate_hz[rows],
            None if self.lean_rad is None else self.lean_rad[rows],
        )


@dataclass
class Walks(Trials):
    """Continuous walking: ``Trials`` of kind "walks" that also keep their motion in float64.

    Attributes:
        motion: see ``Motion``; None after reading from a file (``motion_of`` then derives it).
    """

    motion: Motion | None = field(default=None, repr=False)

    def select(self, rows: Sequence[int] | np.ndarray) -> Walks:
        """As ``Trials.select``, with the motion."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        part = super().select(index)
        m = self.motion
        motion = None if m is None else m.select(index)
        return Walks(**{name: getattr(part, name) for name in Trials.__dataclass_fields__}, motion=motion)


def motion_of(trials: Trials) -> Motion:
    """Coordinates, speeds and accelerations of walks, or of strides (then exact and periodic).

    Walks that come from a file are differentiated as cubic splines through their samples. Raises InputError for trials that
    failed.
    """
    if isinstance(trials, Walks) and trials.motion is not None:
        return trials.motion
    trials.refuse_failed()
    skeleton, q = skeleton_of(trials), coordinates_of(trials)
    if trials.sampling_rate_hz is None:
        period = trials.table["stride_time_s"].to_numpy(float)
        gain = np.zeros((len(trials), len(COORDINATES)))
        gain[:, _TX] = progression_per_period(q[..., _TX])
        speeds, accelerations = (spectral_derivative(q, period, order, gain, _HARMONICS) for order in (1, 2))
        return Motion(q, speeds, accelerations, skeleton, q.shape[1] / period, lean_rad(trials))
    rate = float(trials.sampling_rate_hz)
    spline = CubicSpline(np.arange(q.shape[1]) / rate, q, axis=1)
    time = np.arange(q.shape[1]) / rate
    return Motion(q, spline(time, 1), spline(time, 2), skeleton, np.full(len(trials), rate), lean_rad(trials))


# -- walking -----------------------------------------------------------------------------------------------


def walk(
    strides: Trials,
    duration_s: float,
    rng: np.random.Generator,
    *,
    sampling_rate_hz: float = 100.0,
    variability: Variability | Sequence[Variability] | None = None,
) -> Walks:
    """Walk every stride on for a while, one walk per stride, starting anywhere in the cycle.

    Args:
        strides: N strides (100 samples from right initial contact) with pelvis, joint_angles and
            ground_reaction.
        duration_s, sampling_rate_hz: of every walk.
        rng: draws the variability and the start.
        variability: one for all, one per stride, or None for what people of that age and pathology have.

    Returns walks whose table holds the truth over their whole strides (first to last right contact):
    speed, step lengths from the heels at contact, times; events carry seconds from the start.

    Raises:
        InputError: not strides, a trial without a gait, or too short to hold two right contacts.
    """
    if strides.sampling_rate_hz is not None:
        raise InputError("these trials are continuous already; only strides can be walked on")
    strides.refuse_failed()
    period = strides.table["stride_time_s"].to_numpy(float)
    if len(strides) and duration_s < 2.5 * period.max():
        raise InputError(f"a walk of {duration_s:g} s is too short for strides of {period.max():.2f} s; give at least 2.5 strides")
    skeleton, q = skeleton_of(strides), coordinates_of(strides)
    gain = np.zeros((len(strides), len(COORDINATES)))
    gain[:, _TX] = progression_per_period(q[..., _TX])
    q[..., _TX] -= gain[:, None, _TX] * (np.arange(q.shape[1]) / q.shape[1])
    phases = contact_phases(strides)
    count = round(duration_s * sampling_rate_hz)
    shape = (len(strides), count, len(COORDINATES))
    motion = Motion(
        np.empty(shape), np.empty(shape), np.empty(shape), skeleton, np.full(len(strides), float(sampling_rate_hz)), lean_rad(strides)
    )
    carried = {g: strides.signals[g] for g in _CARRIED if g in strides.signals}
    signals: dict[str, np.ndarray] = {g: np.empty((len(strides), count, a.shape[2]), np.float32) for g, a in carried.items()}
    contacts = []
    for n, child in enumerate(rng.spawn(len(strides))):
        row = strides.table.iloc[n]
        chosen = _chosen(variability, n, row)
        lag = phases["initial_l"][n] - phases["initial_r"][n]
        clock = _Clock(child, chosen, period[n], lag if np.isfinite(lag) else 0.5, count, sampling_rate_hz)
        tables = _tables(q[n])
        _move(motion, n, tables, clock, gain[n, _TX], chosen, child)
        for group, array in carried.items():
            signals[group][n] = _carry(array[n], strides.channels[group], clock.phase, q[n], motion.coordinates[n, :, _TX], gain[n, _TX])
        contacts.append(_contacts(clock, {key: phase[n] for key, phase in phases.items()}, sampling_rate_hz))
    signals["pelvis"] = motion.coordinates[..., :6].astype(np.float32)
    signals["joint_angles"] = motion.coordinates[..., 6:].astype(np.float32)
    signals["joint_velocities"] = motion.speeds[..., 6:].astype(np.float32)
    table = strides.table.copy()
    table["source_trial_id"] = [s or t for s, t in zip(_text(table, "source_trial_id"), _text(table, "trial_id"), strict=True)]
    walks = Walks(
        table.reset_index(drop=True),
        signals,
        {g: strides.channels.get(g, ()) for g in signals if g in carried} | {"pelvis": PELVIS_COORDINATES, "joint_angles": JOINT_ANGLES},
        _events(contacts) if contacts else strides.events.iloc[:0].copy(),
        "walks",
        float(sampling_rate_hz),
        dict(strides.attributes),
        dict(strides.provenance),
        motion=motion,
    )
    _write_truth(walks, contacts)
    return walks


def fractional_gaussian_noise(rng: np.random.Generator, count: int, hurst: float) -> np.ndarray:
    """``count`` samples of unit variance by circulant embedding (Davies & Harte, Biometrika 1987;74:95)."""
    lag = np.arange(count + 1, dtype=float)
    covariance = 0.5 * (np.abs(lag + 1) ** (2 * hurst) - 2 * lag ** (2 * hurst) + np.abs(lag - 1) ** (2 * hurst))
    row = np.concatenate([covariance, covariance[-2:0:-1]])
    eigenvalues = np.maximum(np.fft.fft(row).real, 0.0)
    noise = rng.standard_normal(len(row)) + 1j * rng.standard_normal(len(row))
    return np.fft.fft(np.sqrt(eigenvalues / len(row)) * noise).real[:count]


class _Clock:
    """Phase and step-length factor of one walk: ``phase`` (T,) with two derivatives in time, ``size``
    with two derivatives in phase, ``covered`` its integral over phase.
    """

    def __init__(self, rng: np.random.Generator, v: Variability, period_s: float, lag: float, count: int, rate_hz: float) -> None:
        duration = count / rate_hz
        strides = int(np.ceil(1.5 * duration / period_s)) + 6
        self.knots = (np.arange(strides)[:, None] + np.array([0.0, lag])).ravel()
        fraction = np.diff(self.knots)
        tempo = 1.0 + v.stride_time_cv * self._series(rng, v, len(fraction))
        times = np.concatenate([[0.0], np.cumsum(fraction * period_s * np.clip(tempo, 0.5, 2.0))])
        start = times[4] + rng.uniform(0.0, period_s)
        when = start + np.arange(count) / rate_hz
        phase = CubicSpline(times, self.knots)
        self.phase, self.rate, self.rate_change = phase(when), phase(when, 1), phase(when, 2)
        size = CubicSpline(self.knots, np.clip(1.0 + v.stride_length_cv * self._series(rng, v, len(self.knots)), 0.4, 1.8))
        self.size = [size(self.phase), size(self.phase, 1), size(self.phase, 2)]
        covered = size.antiderivative()
        self.covered = covered(self.phase) - covered(self.phase[0])

    @staticmethod
    def _series(rng: np.random.Generator, v: Variability, steps: int) -> np.ndarray:
        """One value per step: long-range noise per stride, shared by its steps, and noise of each step.

        A stride's two steps average, so that the strides have the variance asked for.
        """
        slow = np.repeat(fractional_gaussian_noise(rng, steps // 2 + 1, v.hurst), 2)[:steps]
        return np.sqrt(1 - v.step_fraction**2) * slow + np.sqrt(2) * v.step_fraction * rng.standard_normal(steps)


def _tables(periodic: np.ndarray) -> list[np.ndarray]:
    """A stride (100, D) and its first two derivatives in phase at ``_FINE`` + 1 phases."""
    spectrum = np.fft.rfft(periodic, axis=0) / len(periodic)
    spectrum = spectrum[: _HARMONICS + 1]
    k = np.arange(len(spectrum))[:, None]
    fine = [np.fft.irfft(spectrum * (2j * np.pi * k) ** order, n=_FINE, axis=0) * _FINE for order in range(3)]
    return [np.concatenate([f, f[:1]]) for f in fine]


def _move(
    motion: Motion, n: int, tables: list[np.ndarray], clock: _Clock, stride_m: float, v: Variability, rng: np.random.Generator
) -> None:
    position = (clock.phase % 1.0) * _FINE
    low = np.minimum(position.astype(np.int64), _FINE - 1)
    share = (position - low)[:, None]
    f = [t[low] + share * (t[low + 1] - t[low]) for t in tables]
    g = [s[:, None] for s in clock.size]
    for columns, about, factor in (
        (_SWINGING, tables[0][:-1, _SWINGING].mean(axis=0), g),
        # the body comes down with the square of the legs' spread: what it falls from its highest point
        ([_TY], tables[0][:-1, [_TY]].max(axis=0), [g[0] ** 2, 2 * g[0] * g[1], 2 * (g[1] ** 2 + g[0] * g[2])]),
    ):
        value = f[0][:, columns] - about
        first, second = f[1][:, columns], f[2][:, columns]
        f[2][:, columns] = factor[2] * value + 2 * factor[1] * first + factor[0] * second
        f[1][:, columns] = factor[1] * value + factor[0] * first
        f[0][:, columns] = about + factor[0] * value
    f[0][:, _TX] += stride_m * clock.covered
    f[1][:, _TX] += stride_m * clock.size[0]
    f[2][:, _TX] += stride_m * clock.size[1]
    if v.sway > 0:
        columns = [COORDINATES.index(name) for name in _SWAY]
        noise = rng.standard_normal((len(clock.knots), len(columns))) * (v.sway * np.array(list(_SWAY.values())))
        sway = CubicSpline(clock.knots, noise)
        for order in range(3):
            f[order][:, columns] += sway(clock.phase, order)
    rate, change = clock.rate[:, None], clock.rate_change[:, None]
    f[0][:, _TX] -= f[0][0, _TX]
    motion.coordinates[n] = f[0]
    motion.speeds[n] = f[1] * rate
    motion.accelerations[n] = f[2] * rate**2 + f[1] * change


def _carry(samples: np.ndarray, names: Sequence[str], phase: np.ndarray, q: np.ndarray, tx: np.ndarray, stride_m: float) -> np.ndarray:
    """Forces and activations along the walk, linear between samples; the centre of pressure keeps
    its place against the pelvis.
    """
    count = len(samples)
    values = samples.astype(float)
    follows = [j for j, name in enumerate(names) if name.startswith("centre_of_pressure_x")]
    progressing = q[:, _TX] + stride_m * np.arange(count) / count
    values[:, follows] -= progressing[:, None]
    position = (phase % 1.0) * count
    low = position.astype(np.int64) % count
    share = (position - np.floor(position))[:, None]
    out = values[low] + share * (values[(low + 1) % count] - values[low])
    out[:, follows] += tx[:, None]
    return out.astype(np.float32)


def _contacts(clock: _Clock, phases: dict[str, float], rate_hz: float) -> _Contacts:
    """When each foot lands and leaves in one walk, from the phases of these events in its stride."""
    time = np.arange(len(clock.phase)) / rate_hz
    found = {}
    for side, event in product(SIDES, ("initial", "final")):
        at = phases[f"{event}_{side}"]
        known = np.isfinite(at)
        wanted = np.arange(np.ceil(clock.phase[0] - at), np.floor(clock.phase[-1] - at) + 1) + at if known else np.empty(0)
        found[event, side] = np.interp(wanted, clock.phase, time)
    return found


def _events(contacts: Sequence[_Contacts]) -> pd.DataFrame:
    """The events of all walks, each walk's in the order of time."""
    flat = [
        (n, f"{event}_contact", side, when) for n, found in enumerate(contacts) for (event, side), times in found.items() for when in times
    ]
    frame = pd.DataFrame(flat, columns=["trial_index", "event", "side", "time_s"])
    return frame.sort_values(["trial_index", "time_s"], ignore_index=True)


def _write_truth(walks: Walks, contacts: Sequence[_Contacts]) -> None:
    """Realised columns of the table, over whole strides: heels at the contacts, exactly."""
    assert walks.motion is not None
    heels = {s: _heels(walks.motion, [found["initial", s] for found in contacts], s) for s in SIDES}
    rows = [_truth_of({s: heels[s][n] for s in SIDES}, found) for n, found in enumerate(contacts)]
    for name in rows[0] if rows else ():
        walks.table[name] = [row[name] for row in rows]


def _heels(motion: Motion, times: list[np.ndarray], side: str) -> list[np.ndarray]:
    """Heel positions (E, 3) of every walk at its times; coordinates by cubic Hermite between samples."""
    most = max((len(t) for t in times), default=0)
    padded = np.array([np.concatenate([t, np.full(most - len(t), t[-1] if len(t) else 0.0)]) for t in times])
    step = 1.0 / motion.sampling_rate_hz[:, None]
    low = np.minimum((padded / step).astype(np.int64), motion.coordinates.shape[1] - 2)
    u = (padded / step - low)[..., None]
    row = np.arange(len(times))[:, None]
    q = (1 + 2 * u) * (1 - u) ** 2 * motion.coordinates[row, low] + u**2 * (3 - 2 * u) * motion.coordinates[row, low + 1]
    q += step[..., None] * (u * (1 - u) ** 2 * motion.speeds[row, low] - u**2 * (1 - u) * motion.speeds[row, low + 1])
    place = point_motion(motion.skeleton, q, points=[f"heel_{side}"])[f"heel_{side}"].position_m
    return [place[n, : len(t)] for n, t in enumerate(times)]


def _truth_of(heel: dict[str, np.ndarray], when: dict[tuple[str, str], np.ndarray]) -> dict[str, float]:
    right, left = when["initial", "r"], when["initial", "l"]
    x, z = ({s: heel[s][:, axis] for s in SIDES} for axis in (0, 2))
    strides = len(right) - 1
    span = right[-1] - right[0]
    after = np.searchsorted(right, left)  # left contacts: index of the next right one
    between = (after > 0) & (after < len(right))
    l_of, r_next = np.flatnonzero(between), after[between]
    stance = {}
    for s in SIDES:
        first, last = when["initial", s], when["final", s]
        index = np.searchsorted(last, first)
        stance[s] = float(np.mean(last[index[index < len(last)]] - first[index < len(last)]))
    stride_time = float(span / strides)
    stride_length = float((x["r"][-1] - x["r"][0]) / strides)
    return {
        "walking_speed_mps": stride_length / stride_time,
        "cadence_spm": 120.0 / stride_time,
        "stride_length_m": stride_length,
        "stride_time_s": stride_time,
        "step_length_r_m": float(np.mean(x["r"][r_next] - x["l"][l_of])),
        "step_length_l_m": float(np.mean(x["l"][l_of] - x["r"][r_next - 1])),
        "step_time_r_s": float(np.mean(right[r_next] - left[l_of])),
        "step_time_l_s": float(np.mean(left[l_of] - right[r_next - 1])),
        "step_width_m": float(np.mean(z["r"][r_next] - z["l"][l_of])),
        "stance_time_r_s": stance["r"],
        "stance_time_l_s": stance["l"],
        "double_support_time_s": max(0.0, stance["r"] + stance["l"] - stride_time),
    }


def _chosen(variability: Variability | Sequence[Variability] | None, n: int, row: pd.Series) -> Variability:
    if isinstance(variability, Variability):
        return variability
    if variability is not None:
        return variability[n]
    return usual_variability(float(row["age_years"]), str(row.get("pathology", "none")), float(row.get("severity", 0.0)))


def _text(table: pd.DataFrame, column: str) -> list[str]:
    return [str(v) for v in table[column]] if column in table else [""] * len(table)
