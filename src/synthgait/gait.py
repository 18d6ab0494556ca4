"""Gait events, spatio-temporal parameters, and the one stride that a solution becomes.

In: a solver's ``WalkingSolution``, or strides as ``Trials``. Out: ``Trials`` whose table, events and
signals follow ``conventions``; mirrored strides.

Contact is told from the vertical ground reaction at 5 % of body weight (Zeni et al., Gait Posture
2008;27:710, use 20 N as the plates' threshold; 5 % of an adult's weight is 35 N and scales to
children). Step length is measured between footprints: where each heel stands at its own initial
contact. Right and left step length so add up to the stride length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from synthgait import pathologies
from synthgait.anthropometry import REFERENCE_HEIGHT_M, REFERENCE_LEG_LENGTH_M, build_model
from synthgait.conventions import (
    CONDITION_PREFIX,
    GRAVITY_MPS2,
    JOINT_ANGLES,
    MUSCLES,
    PELVIS_COORDINATES,
    SAMPLES_PER_STRIDE,
    SIDE_NAMES,
    SIDES,
    mirror_name,
    mirror_sign,
)
from synthgait.errors import InputError
from synthgait.kinematics import Skeleton, point_motion, progression_per_period
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.subjects import Subject
from synthgait.trials import Trials, empty_events

if TYPE_CHECKING:  # only the type: sensors import this module and must not reach the solver's side
    from synthgait.simulate.task import WalkingSolution, WalkingTask

CONTACT_THRESHOLD = 0.05  # of body weight
_MIRROR_SUFFIX = "-mirrored"
#: Spread (log) of people's cadence about the usual one at their speed (modelling choice): over twice that of the healthy and of
#: people with multiple sclerosis, whose walk ratios vary by 10 and 16 %, so cadences by half of that (Rota et al., Int J
#: Rehabil Res 2011;34:265).
_CADENCE_SPREAD = 0.2
#: The least chance of any cadence, however unusual: shufflers there are (modelling choice).
_ANY_CADENCE = 0.15
#: How much quicker the steps of the most severely impaired usually are than healthy people's at the same speed: one over the
#: root of their share of the healthy walk ratio (step length over cadence, which hardly changes with speed). After stroke it
#: is 0.0068 m of stride a step/min instead of 0.0128 (63 men, Am J Phys Med Rehabil 1999;78:147); with cognitive impairment
#: 0.07 less than the 0.60 cm of old people (Kalland Knapstad et al., Front Aging Neurosci 2023;15:1092990).
_QUICKER_STEPS = {"hemiparesis": 1.37, "cognitive_impairment": 1.06}
_Number = TypeVar("_Number", float, np.ndarray)
_PROGRESSING = ("pelvis_tx", "centre_of_pressure_x_r", "centre_of_pressure_x_l")
#: Hips extend by 15 to 22 degrees in textbook walking (``textbook.DEGREES``); half as much again is no walk.
LARGEST_HIP_EXTENSION_RAD = np.deg2rad(30.0)
_SUBJECT_COLUMNS = ("age_years", "sex", "height_m", "mass_kg", "leg_length_m")


# -- who walks -----------------------------------------------------------------------------------------


def dimensionless_speed(walking_speed_mps: _Number, length_m: _Number) -> _Number:
    """Walking speed over sqrt(g * length), the square root of the Froude number (Hof, Gait Posture 1996;4:222); ``length_m`` is
    the leg's, where nothing else is said. Numbers, or arrays of one shape.
    """
    return walking_speed_mps / np.sqrt(GRAVITY_MPS2 * length_m)


def typical_cadence_spm(walking_speed_mps: _Number, height_m: _Number) -> _Number:
    """Self-chosen cadence of healthy adults from speed and height (numbers, or arrays of one shape): step length 0.41
    of the height at a dimensionless speed of 0.43, growing with the 0.42nd power of speed (walk ratio and
    exponent after Grieve & Gear, Ergonomics 1966;9:379, and Sekiya et al. 1996).
    """
    # not by dimensionless_speed, which multiplies in another order: plans and their hashes hang on the last bit
    speed = walking_speed_mps / np.sqrt(GRAVITY_MPS2 * 0.53 * height_m)
    step_length = 0.41 * height_m * (speed / 0.43) ** 0.42
    return 60.0 * walking_speed_mps / step_length


def cadence_chance(people: pd.DataFrame) -> np.ndarray:
    """How likely such a cadence is, relative to the usual one of people of that size and impairment at that speed, (N,), 0 to 1:
    simulations cover unusual ones evenly, but shufflers are rare.

    Args:
        people: columns walking_speed_mps, stride_time_s, height_m, pathology and severity.
    """
    numbers = ("walking_speed_mps", "stride_time_s", "height_m", "severity")
    speed, time, height, severity = (people[name].to_numpy(float) for name in numbers)
    quicker = np.array([_QUICKER_STEPS.get(name, 1.0) for name in people["pathology"]])
    usual = typical_cadence_spm(speed, height) * (1.0 + severity * (quicker - 1.0))
    near = np.exp(-0.5 * (np.log(120.0 / time / usual) / _CADENCE_SPREAD) ** 2)
    return _ANY_CADENCE + (1.0 - _ANY_CADENCE) * near


def leg_length_m(subject: Subject) -> float:
    """Hip joint centre to floor: the subject's own, or in proportion to height as the model has it."""
    return subject.leg_length_m or REFERENCE_LEG_LENGTH_M / REFERENCE_HEIGHT_M * subject.height_m


def skeleton_of(trials: Trials) -> Skeleton:
    """The skeletons of the trials' people, one per trial, from the table's anthropometry and the knees' alignment
    (``pathologies.knee_varus_rad``).

    Raises InputError when a column is missing or a body impossible.
    """
    missing = [c for c in _SUBJECT_COLUMNS if c not in trials.table]
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}; a body cannot be built without it")
    varus = pathologies.knee_varus_rad(trials.table)
    known: dict[tuple[Any, ...], MusculoskeletalModel] = {}
    models = []
    for row, *legs in zip(trials.table[list(_SUBJECT_COLUMNS)].itertuples(index=False, name=None), *varus.values(), strict=True):
        body = (*row, *legs)
        if body not in known:
            healthy = build_model(Subject("person", **dict(zip(_SUBJECT_COLUMNS, row, strict=True))), with_muscles=False)
            known[body] = pathologies.aligned(healthy, dict(zip(varus, legs, strict=True)))
        models.append(known[body])
    return Skeleton.of(models)


def coordinates_of(trials: Trials) -> np.ndarray:
    """Generalised coordinates (N, T, 19) in the order of ``conventions.COORDINATES``, float64."""
    for group in ("pelvis", "joint_angles"):
        if group not in trials.signals:
            raise InputError(f"the trials have no signal group {group!r}; motion needs pelvis and joint_angles")
    return np.concatenate([trials.signals["pelvis"], trials.signals["joint_angles"]], axis=-1).astype(float)


def lean_rad(trials: Trials) -> np.ndarray:
    """(N,) how far gravity leans back against the floor's normal: from the slope (rise over run) that was asked for, 0
    where the table tells none.
    """
    slope = trials.table.get(CONDITION_PREFIX + "slope", trials.table.get("slope"))
    return np.arctan(np.nan_to_num(np.asarray(slope, float))) if slope is not None else np.zeros(len(trials))


# -- contacts ------------------------------------------------------------------------------------------


def stance_phases(vertical_force: np.ndarray, threshold: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Initial and final contact of the longest loaded stretch of each periodic stride.

    Args:
        vertical_force: (N, T) at phases 0, 1/T, ...
        threshold: scalar or (N,), in the force's unit; crossings are interpolated linearly.

    Returns initial (N,) in [0, 1) and final (N,) contact in cycles, final > initial; NaN where the
    foot never leaves the floor or never loads.
    """
    force = np.asarray(vertical_force, float)
    trials, count = force.shape
    limit = np.broadcast_to(np.asarray(threshold, float), trials)
    loaded = force > limit[:, None]
    twice = np.concatenate([loaded, loaded], axis=1)
    unloaded_at = np.where(twice, 2 * count, np.arange(2 * count))
    next_unloaded = np.minimum.accumulate(unloaded_at[:, ::-1], axis=1)[:, ::-1][:, :count]
    starts = loaded & ~np.roll(loaded, 1, axis=1)
    run = np.where(starts, next_unloaded - np.arange(count), 0)
    row = np.arange(trials)
    first = run.argmax(axis=1)
    last = next_unloaded[row, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        before, at = force[row, first - 1], force[row, first]
        initial = first - 1 + (limit - before) / (at - before)
        held, free = force[row, (last - 1) % count], force[row, last % count]
        final = last - 1 + (held - limit) / (held - free)
    none = run[row, first] == 0
    initial, final = np.where(none, np.nan, initial), np.where(none, np.nan, final)
    wrap = np.floor(initial / count) * count
    return (initial - wrap) / count, (final - wrap) / count


def later(curves: np.ndarray, phase: float) -> np.ndarray:
    """Periodic curves (..., T), moved later by a fraction of their cycle (earlier where it is negative)."""
    curves = np.asarray(curves, float)
    at = np.arange(curves.shape[-1], dtype=float)
    shifted = [np.interp(at - phase * len(at), at, curve, period=len(at)) for curve in curves.reshape(-1, len(at))]
    return np.reshape(shifted, curves.shape)


def contact_phases(trials: Trials) -> dict[str, np.ndarray]:
    """``initial_r, final_r, initial_l, final_l`` (N,) in cycles; right initial contact in (-0.5, 0.5],
    the left one after it.
    """
    threshold = CONTACT_THRESHOLD * GRAVITY_MPS2 * trials.table["mass_kg"].to_numpy(float)
    phases: dict[str, np.ndarray] = {}
    for side in SIDES:
        initial, final = stance_phases(trials.channel(f"ground_reaction_y_{side}"), threshold)
        turns = np.round(initial - 1e-9) if side == "r" else np.floor(initial - phases["initial_r"])
        phases[f"initial_{side}"], phases[f"final_{side}"] = initial - turns, final - turns
    return phases


def oddities(strides: Trials) -> list[str]:
    """What of each stride no walker does though physics allows it, as a sentence, or an empty text: a foot that touches down
    in the middle half of its swing, and hips that extend beyond ``LARGEST_HIP_EXTENSION_RAD``.
    """
    told = [""] * len(strides)
    weight = GRAVITY_MPS2 * strides.table["mass_kg"].to_numpy(float)
    phases = contact_phases(strides)
    for side in SIDES:
        load = strides.channel(f"ground_reaction_y_{side}") / weight[:, None]
        off = phases[f"final_{side}"][:, None]
        swing = np.mod(np.arange(load.shape[1]) / load.shape[1] - off, 1.0) / np.mod(phases[f"initial_{side}"][:, None] - off, 1.0)
        most = np.where(np.abs(swing - 0.5) < 0.25, load, 0.0).max(axis=1)
        extension = -strides.channel(f"hip_flexion_{side}").min(axis=1)
        for n in np.flatnonzero(most > CONTACT_THRESHOLD):
            told[n] = f"the {SIDE_NAMES[side]} foot carries {most[n]:.2f} body weights in the middle of its swing"
        for n in np.flatnonzero(extension > LARGEST_HIP_EXTENSION_RAD):
            told[n] = f"the {SIDE_NAMES[side]} hip extends by {np.rad2deg(extension[n]):.0f} degrees"
    return told


def spatiotemporal(trials: Trials, skeleton: Skeleton | None = None) -> pd.DataFrame:
    """Realised spatio-temporal parameters of strides, from foot motion and ground reaction alone; only
    ``stride_time_s`` and ``mass_kg`` are taken from the table.

    Args:
        trials: N strides.
        skeleton: the walkers' bodies; None builds them from the table.

    Returns a frame of N rows with the realised columns of ``conventions.TRIAL_COLUMNS``; NaN where
    a foot never leaves the floor or never loads.
    """
    skeleton = skeleton or skeleton_of(trials)
    period = trials.table["stride_time_s"].to_numpy(float)
    phases = contact_phases(trials)
    q = coordinates_of(trials)
    stride = progression_per_period(q[..., PELVIS_COORDINATES.index("pelvis_tx")])
    prints = {side: _at_phase(skeleton, q, stride, f"heel_{side}", phases[f"initial_{side}"]) for side in SIDES}
    step_left = prints["l"][:, 0] - prints["r"][:, 0]
    lag = phases["initial_l"] - phases["initial_r"]
    stance = {side: phases[f"final_{side}"] - phases[f"initial_{side}"] for side in SIDES}
    return pd.DataFrame(
        {
            "walking_speed_mps": stride / period,
            "cadence_spm": 120.0 / period,
            "stride_length_m": stride,
            "stride_time_s": period,
            "step_length_r_m": stride - step_left,
            "step_length_l_m": step_left,
            "step_time_r_s": (1.0 - lag) * period,
            "step_time_l_s": lag * period,
            "step_width_m": prints["r"][:, 2] - prints["l"][:, 2],
            "stance_time_r_s": stance["r"] * period,
            "stance_time_l_s": stance["l"] * period,
            "double_support_time_s": np.maximum(0.0, stance["r"] + stance["l"] - 1.0) * period,
        }
    )


def gait_events(trials: Trials) -> pd.DataFrame:
    """Events of strides in the layout of ``trials.empty_events``: times from the stride's first sample,
    within the stride (right initial contact may lie up to half a sample before it).
    """
    phases = contact_phases(trials)
    period = trials.table["stride_time_s"].to_numpy(float)
    rows = []
    for side in SIDES:
        for event in ("initial", "final"):
            at = phases[f"{event}_{side}"]
            at = at if (event, side) == ("initial", "r") else at % 1.0
            rows.append(
                pd.DataFrame({"trial_index": np.arange(len(trials)), "event": f"{event}_contact", "side": side, "time_s": at * period})
            )
    events = pd.concat(rows, ignore_index=True).dropna(subset=["time_s"]) if rows else empty_events()
    return events.sort_values(["trial_index", "time_s"]).reset_index(drop=True)


def with_realised(trials: Trials, skeleton: Skeleton | None = None) -> Trials:
    """The same strides with the table's realised columns and the events recomputed from the signals."""
    table = trials.table.copy()
    for column, values in spatiotemporal(trials, skeleton).items():
        table[column] = values.to_numpy()
    return _like(trials, table, trials.signals, gait_events(trials))


# -- from a solution -------------------------------------------------------------------------------------


def stride_from_solution(
    model: MusculoskeletalModel,
    subject: Subject,
    task: WalkingTask,
    solution: WalkingSolution,
    *,
    trial_id: str | None = None,
    seed: int = 0,
    columns: Mapping[str, Any] | None = None,
) -> Trials:
    """The stride of a solution: one row of kind "seed", 100 samples from right initial contact.

    Coordinates and speeds go through periodic cubic Hermite polynomials of the solver's nodes, forces
    and activations through monotone ones (Fritsch & Carlson 1980), which never overshoot: no force
    turns negative. ``pelvis_tx`` starts at 0.

    Args:
        columns: further columns of the row (certificate, study), replacing any of the same name.

    Raises:
        InputError: the right foot never leaves the floor, or the model lacks a coordinate of
            ``conventions`` (a planar model is filled with zeros).
    """
    time = np.asarray(solution.time_s, float)
    period = float(solution.stride_time_s)
    weight = float(model.mass_kg) * GRAVITY_MPS2
    forces = {s: side_force(model, solution.contact_force, s) for s in SIDES}
    start = _first_contact_s(time, forces["r"][:, 1], CONTACT_THRESHOLD * weight)
    names = model.coordinates
    tx = names.index("pelvis_tx")
    stride = float(solution.coordinates[-1, tx] - solution.coordinates[0, tx])
    when = start + period * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    wrapped, turns = time[0] + (when - time[0]) % period, np.floor((when - time[0]) / period)
    q = CubicHermiteSpline(time, solution.coordinates, solution.speeds)(wrapped)
    q[:, tx] += turns * stride
    origin = q[0, tx]
    q[:, tx] -= origin
    qd = CubicHermiteSpline(time, solution.speeds, solution.accelerations)(wrapped)

    def monotone(values: np.ndarray) -> np.ndarray:
        return _periodic_monotone(time, np.asarray(values, float), period, wrapped)

    pelvis = _columns(q, names, PELVIS_COORDINATES)
    ground, pressure, free_moment = [], [], []
    for side in SIDES:
        force = monotone(forces[side])
        force[:, 1] = np.maximum(force[:, 1], 0.0)  # a smooth contact pulls by a fraction of a newton as it lets go
        moment = monotone(_side_moment(model, solution, side, solution.coordinates[:, tx]))
        loaded = force[:, 1:2] > CONTACT_THRESHOLD * weight
        point = np.where(loaded, moment[:, :2] / np.where(loaded, force[:, 1:2], 1.0), np.nan)
        twist = moment[:, 2:] - (point[:, 1:] * force[:, :1] - point[:, :1] * force[:, 2:])
        free_moment.append(np.where(loaded, twist, 0.0))
        point[:, 0] += q[:, tx]
        ground.append(force)
        pressure.append(point)
    muscles = tuple(m.name for m in model.muscles)
    signals = {
        "joint_angles": _columns(q, names, JOINT_ANGLES),
        "joint_velocities": _columns(qd, names, JOINT_ANGLES),
        "joint_moments": _columns(monotone(solution.joint_moment), names, JOINT_ANGLES),
        "pelvis": pelvis,
        "ground_reaction": np.concatenate(ground, axis=1),
        "centre_of_pressure": np.concatenate(pressure, axis=1),
        "free_moment": np.concatenate(free_moment, axis=1),
        "muscle_activation": _columns(monotone(solution.activation), muscles, MUSCLES),
        "muscle_force": _columns(monotone(solution.muscle_force), muscles, MUSCLES),
    }
    row: dict[str, Any] = {
        "trial_id": trial_id or subject.subject_id,
        "subject_id": subject.subject_id,
        "age_years": subject.age_years,
        "sex": subject.sex,
        "height_m": subject.height_m,
        "mass_kg": subject.mass_kg,
        "leg_length_m": leg_length_m(subject),
        "knee_varus_rad": subject.knee_varus_rad,
        "strength": subject.strength,
        "pathology": subject.pathology,
        "severity": subject.severity,
        "affected_side": subject.affected_side,
        "stride_time_s": period,
        "seed": seed,
        "status": solution.status,
        "status_message": solution.message,
        "source_trial_id": "",
        CONDITION_PREFIX + "walking_speed_mps": task.walking_speed_mps,
        CONDITION_PREFIX + "stride_time_s": np.nan if task.stride_time_s is None else task.stride_time_s,
        CONDITION_PREFIX + "slope": task.slope,
    }
    trials = Trials(pd.DataFrame([row]), {g: a[None].astype(np.float32) for g, a in signals.items()}, kind="seed")
    trials = with_realised(trials, Skeleton.of([model]) if set(names) == set(PELVIS_COORDINATES + JOINT_ANGLES) else None)
    for name, value in (columns or {}).items():
        trials.table[name] = [value]
    return trials


def _first_contact_s(time: np.ndarray, force: np.ndarray, threshold: float) -> float:
    """Right initial contact, seconds on the solver's clock; nodes need not be equidistant."""
    initial, _ = stance_phases(force[None, :-1], threshold)
    if np.isnan(initial[0]):
        raise InputError("the right foot never leaves the floor or never loads; this solution is no walking stride")
    return float(np.interp(initial[0] * (len(time) - 1), np.arange(len(time)), time))


def side_force(model: MusculoskeletalModel, contact_force: np.ndarray, side: str) -> np.ndarray:
    """Ground reaction (K, 3) of one foot from the forces of all contacts (K, S, 3), in their unit."""
    of_side = [i for i, c in enumerate(model.contacts) if c.body.endswith(f"_{side}")]
    return np.asarray(contact_force, float)[:, of_side].sum(axis=1)


def _side_moment(model: MusculoskeletalModel, solution: WalkingSolution, side: str, pelvis_x: np.ndarray) -> np.ndarray:
    """Vertical force times its point, x relative to the pelvis (so that it is periodic) and z, and the moment about
    the upward axis through the pelvis' x and z = 0: (K, 3).
    """
    of_side = [i for i, c in enumerate(model.contacts) if c.body.endswith(f"_{side}")]
    forward, vertical, right = np.moveaxis(np.asarray(solution.contact_force, float)[:, of_side], 2, 0)
    point = np.asarray(solution.contact_point, float)[:, of_side]
    x, z = point[..., 0] - pelvis_x[:, None], point[..., 2]
    return np.stack([(vertical * x).sum(axis=1), (vertical * z).sum(axis=1), (z * forward - x * right).sum(axis=1)], axis=1)


def _periodic_monotone(time: np.ndarray, values: np.ndarray, period: float, wrapped: np.ndarray) -> np.ndarray:
    """Monotone cubic of periodic nodes, padded by three nodes at both ends so that the seam is smooth."""
    pad = 3
    long_time = np.concatenate([time[-1 - pad : -1] - period, time, time[1 : 1 + pad] + period])
    return PchipInterpolator(long_time, np.concatenate([values[-1 - pad : -1], values, values[1 : 1 + pad]]))(wrapped)


def _columns(values: np.ndarray, have: Sequence[str], want: Sequence[str]) -> np.ndarray:
    """(T, len(want)): columns by name; what the model does not have is zero."""
    out = np.zeros((len(values), len(want)))
    for j, name in enumerate(want):
        if name in have:
            out[:, j] = values[:, list(have).index(name)]
    return out


# -- mirrored strides --------------------------------------------------------------------------------------


def mirror(trials: Trials) -> Trials:
    """The same strides walked by the mirrored person, again from right initial contact: left and right
    change places and the cycle is rolled by whole samples, so that mirroring twice is the identity
    (right initial contact then lies within half a sample of phase 0).

    Raises InputError for trials that are not strides.
    """
    if trials.sampling_rate_hz is not None:
        raise InputError("these trials are continuous; mirror strides before walking them")
    count = next(iter(trials.signals.values())).shape[1] if trials.signals else SAMPLES_PER_STRIDE
    period = trials.table["stride_time_s"].to_numpy(float)
    stride = trials.table["stride_length_m"].to_numpy(float)
    roll = np.round(trials.table["step_time_l_s"].to_numpy(float) / period * count).astype(np.int64)
    reached = np.arange(count) + roll[:, None]
    index, turns = reached % count, reached // count
    signals = {}
    for group, array in trials.signals.items():
        names = trials.channels[group]
        rolled = np.take_along_axis(array, index[..., None], axis=1)
        mirrored = np.empty_like(array)
        for j, name in enumerate(names):
            mirrored[..., j] = mirror_sign(name) * rolled[..., names.index(mirror_name(name))]
        for j, name in enumerate(names):
            if name in _PROGRESSING:
                start = trials.channel("pelvis_tx").astype(float)[np.arange(len(trials)), roll % count]
                mirrored[..., j] = mirrored[..., j].astype(float) + turns * stride[:, None] - start[:, None]
        signals[group] = mirrored
    table = trials.table.rename(columns={c: _mirror_column(c) for c in trials.table.columns})[list(trials.table.columns)].copy()
    table["affected_side"] = table["affected_side"].replace({"left": "right", "right": "left"})
    table["trial_id"] = [t[: -len(_MIRROR_SUFFIX)] if t.endswith(_MIRROR_SUFFIX) else t + _MIRROR_SUFFIX for t in table["trial_id"]]
    events = trials.events.copy()
    row = events["trial_index"].to_numpy()
    time = events["time_s"].to_numpy() - (roll / count * period)[row]
    half_sample = 0.5 / count
    events["time_s"] = ((time / period[row] + half_sample) % 1.0 - half_sample) * period[row]
    events["side"] = events["side"].map({"r": "l", "l": "r"})
    return _like(trials, table, signals, events.sort_values(["trial_index", "time_s"]).reset_index(drop=True))


def _mirror_column(name: str) -> str:
    for one, other in (("_r_", "_l_"), ("_l_", "_r_")):
        if one in name:
            return name.replace(one, other)
    return name


def _like(trials: Trials, table: pd.DataFrame, signals: dict[str, np.ndarray], events: pd.DataFrame) -> Trials:
    return Trials(
        table,
        signals,
        dict(trials.channels),
        events,
        trials.kind,
        trials.sampling_rate_hz,
        dict(trials.attributes),
        dict(trials.provenance),
    )


def _at_phase(skeleton: Skeleton, q: np.ndarray, stride_m: np.ndarray, mark: str, phase: np.ndarray) -> np.ndarray:
    """(N, 3) position of a landmark of strides q (N, T, D) at one phase per trial, linear between samples; NaN where the
    phase is.
    """
    count = q.shape[1]
    at = phase * count
    finite = np.isfinite(at)
    low = np.floor(np.where(finite, at, 0.0)).astype(np.int64)
    samples = np.stack([low, low + 1], 1)
    pair = q[np.arange(len(q))[:, None], samples % count]
    pair[..., PELVIS_COORDINATES.index("pelvis_tx")] += (samples // count) * stride_m[:, None]
    before, after = np.moveaxis(point_motion(skeleton, pair, points=[mark])[mark].position_m, 1, 0)
    return np.where(finite[:, None], before + (at - low)[:, None] * (after - before), np.nan)
