"""Predicted muscle activation against measured EMG, curve by curve.

In: recordings with EMG envelopes, and an estimator of muscle activation or the floor
``mean_envelope``. Out: pairs (one per recording, muscle and method) and rows of agreement.

An electrode's volts say nothing of the level of activation, so the shape is judged: Pearson's r over
the gait cycle, and the error left after the predicted curve is scaled to the measured one by least
squares (without an offset: a silent muscle is silent in both). A muscle's onset is where its main burst, the one
that holds the largest value, rises half-way from the least to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from synthgait.conventions import EMG_GROUPS, SAMPLES_PER_STRIDE
from synthgait.errors import InputError
from synthgait.estimators.features.windows import Body
from synthgait.gait import dimensionless_speed
from synthgait.recordings.base import Recording
from synthgait.sensors.emg import seen_by_electrodes
from synthgait.textbook import usual_emg
from synthgait.validate.agreement import RESAMPLES, STATISTICS

TASK = "muscle_activation"
#: Of every row: one muscle's (with its name appended), and the mean over a recording's muscles.
QUANTITY = "muscle_activation_r"
#: Of every row too, likewise: how much later the main burst begins than measured, in shares of the cycle.
ONSET = "muscle_activation_onset"
#: What the names of both begin with.
CURVES = "muscle_activation"
#: Columns that a pair of curves has beside those of ``validate.run.pairs``.
CURVE_COLUMNS = ("curve_r", "curve_mae", "curve_bias")
#: Walking speeds that are alike: envelopes change in proportion to it (Hof et al., Gait Posture 2002;16:78), little over 0.2 m/s.
_SPEED_KERNEL_MPS = 0.2
#: Of a recording that does not tell its speed: a typical adult's.
_USUAL_SPEED_MPS = 1.2

View = tuple[str, str, Recording]


class Estimator(Protocol):
    """What is asked of an estimator of activation: its sensors, and curves over a cycle."""

    @property
    def sensors(self) -> tuple[str, ...]: ...

    def predict(self, recording: Any, *, sensor: str | None = None, **how: Any) -> dict[str, Any]: ...


def measured(recording: Recording) -> dict[str, np.ndarray]:
    """Envelopes (100,) by muscle and "own" or "other": seen from the initial contact of the muscle's side
    or of the other side; muscles that stay silent or have gaps are left out. Right and left become means.
    """
    if recording.emg is None:
        return {}
    percent = recording.emg["percent"].to_numpy(float)
    wanted = np.arange(SAMPLES_PER_STRIDE) * 100.0 / SAMPLES_PER_STRIDE
    found: dict[str, list[np.ndarray]] = {}
    for column in recording.emg.columns:
        muscle, _, side = column.rpartition("_")
        if muscle in EMG_GROUPS:
            curve = np.interp(wanted, percent, recording.emg[column].to_numpy(float), period=100.0)
            if np.all(np.isfinite(curve)) and np.ptp(curve) > 1e-6:
                found.setdefault(f"{muscle}/{'own' if side == recording.emg_side else 'other'}", []).append(curve)
    return {key: np.mean(curves, axis=0) for key, curves in found.items()}


def predicted(estimator: Estimator, view: Recording, sensor: str) -> dict[str, np.ndarray]:
    """The estimator's envelopes with the keys of ``measured``. Raises InputError where it reads no walking."""
    side = view.emg_side or "r"
    return _keyed(estimator.predict(view, sensor=sensor, reference_side=side)["emg"], side)


def _keyed(curves: Mapping[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    """Curves by muscle and side, of a cycle that begins with ``side``, with the keys of ``measured``."""
    return {f"{name[:-2]}/{'own' if name[-1] == side else 'other'}": np.asarray(curve, float) for name, curve in curves.items()}


def mean_envelope(others: Sequence[Recording], like: Recording) -> dict[str, np.ndarray]:
    """Average envelope of other people, each counting once, recordings weighed by how near their speed is.

    Healthy people serve where there are any; a muscle that nobody else of the dataset has is taken
    from the other datasets.
    """
    healthy = [r for r in others if r.group == "healthy"] or list(others)
    same = _average([r for r in healthy if r.dataset == like.dataset], like)
    return _average(healthy, like) | same


def textbook_envelope(like: Recording) -> dict[str, np.ndarray]:
    """Envelopes that textbooks give for the recording's speed."""
    leg_m = Body(like.height_m, like.leg_length_m).length_m
    speed = dimensionless_speed(like.truth.get("walking_speed_mps", _USUAL_SPEED_MPS), leg_m)
    return _keyed(seen_by_electrodes(usual_emg(speed, {"r": 0.0, "l": 0.5})), "r")


def _average(others: Iterable[Recording], like: Recording) -> dict[str, np.ndarray]:
    speed = like.truth.get("walking_speed_mps")
    people: dict[tuple[str, str], list[tuple[float, dict[str, np.ndarray]]]] = {}
    for other in others:
        own = other.truth.get("walking_speed_mps")
        apart = 0.0 if speed is None or own is None else (speed - own) / _SPEED_KERNEL_MPS
        # nobody near: the nearest recording of a person still counts
        people.setdefault((other.dataset, other.subject_id), []).append((float(np.exp(-0.5 * min(abs(apart), 6.0) ** 2)), measured(other)))
    sums: dict[str, list[np.ndarray]] = {}
    for found in people.values():
        for key in {key for _, curves in found for key in curves}:
            weight = np.array([w for w, curves in found if key in curves])
            sums.setdefault(key, []).append(np.average([curves[key] for _, curves in found if key in curves], axis=0, weights=weight))
    return {key: np.mean(curves, axis=0) for key, curves in sums.items()}


def compare(truth: np.ndarray, estimate: np.ndarray) -> tuple[float, float, float]:
    """Pearson's r, and mean absolute error and bias of the estimate scaled to the truth, both (T,)."""
    scaled = estimate * float(truth @ estimate) / max(float(estimate @ estimate), 1e-12)
    r = float(np.corrcoef(truth, estimate)[0, 1]) if np.ptp(estimate) > 1e-9 else 0.0
    return r, float(np.mean(np.abs(scaled - truth))), float(np.mean(scaled - truth))


def onset(curve: np.ndarray) -> float:
    """Where (share of the cycle, 0 to 1) the main burst of a periodic curve (T,) begins."""
    half = 0.5 * (float(curve.min()) + float(curve.max()))
    before = np.roll(curve, -int(np.argmax(curve)))[::-1]  # from the largest value back in time, itself last
    steps = int(np.argmax(before < half))
    low, high = before[steps], before[steps - 1]
    return float((np.argmax(curve) - steps - (high - half) / max(high - low, 1e-12)) / len(curve)) % 1.0


def pairs(views: Sequence[View], estimator: Estimator | None, method: str, *, floors: bool) -> list[dict[str, Any]]:
    """One row per recording, muscle and method, and one per recording with the mean over its muscles.

    Args:
        views: as of ``validate.run.sensor_views``; those without EMG are passed over.
        estimator: of muscle activation, or None. floors: also the mean envelope of other people, and the textbook's.
    """
    rows: list[dict[str, Any]] = []
    with_emg = [view for view in views if measured(view[2])]
    for label, sensor, view in with_emg:
        if estimator is not None and sensor in estimator.sensors:
            rows += _rows(view, label, method, partial(predicted, estimator, view, sensor))
        if floors:
            everybody = {(v.dataset, v.recording_id): v for _, _, v in with_emg if _person(v) != _person(view)}
            others = list(everybody.values())
            rows += _rows(view, label, "floor:mean_envelope", partial(mean_envelope, others, view))
            rows += _rows(view, label, "floor:textbook_envelope", partial(textbook_envelope, view))
    return rows


def _person(recording: Recording) -> tuple[str, str]:
    return recording.dataset, recording.subject_id


def _rows(view: Recording, label: str, method: str, curves: Callable[[], dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    reason = ""
    try:
        found = curves()
    except InputError as error:
        found, reason = {}, str(error)
    truth = measured(view)
    common: dict[str, Any] = {"dataset": view.dataset, "sensor": label, "group": view.group, "method": method}
    common |= {"recording_id": view.recording_id, "subject_id": view.subject_id, "truth": np.nan, "estimate": np.nan, "reason": reason}
    rows: list[dict[str, Any]] = []
    for quantity, of_pair in ((QUANTITY, compare), (ONSET, _later)):
        each = []
        for key in truth:
            if key in found or reason:
                values = of_pair(truth[key], found[key]) if key in found else (np.nan,) * 3
                each.append(common | {"quantity": f"{quantity}_{key.split('/')[0]}"} | dict(zip(CURVE_COLUMNS, values, strict=True)))
        if each:
            mean = {column: float(np.mean([row[column] for row in each])) for column in CURVE_COLUMNS}
            rows += [*each, common | {"quantity": quantity} | mean]
    return rows


def _later(truth: np.ndarray, estimate: np.ndarray) -> tuple[float, float, float]:
    """As ``compare`` of the onsets: no r, how far apart they are, and how much later the estimate's is, in shares of the cycle."""
    later = (onset(estimate) - onset(truth) + 0.5) % 1.0 - 0.5 if np.ptp(estimate) > 1e-9 else 0.5
    return float("nan"), abs(later), later


def agreement(part: pd.DataFrame) -> dict[str, Any]:
    """The keys of a validation row for pairs of curves: ``r`` and ``mae`` are means over recordings with
    intervals from resampling people (95 %), ``bias`` the mean difference; the others are not defined.
    """
    good = part[np.isfinite(part["curve_mae"])]
    # a muscle of either leg is a pair of curves of one recording
    row: dict[str, Any] = {"n_recordings": int(good["recording_id"].nunique()), "n_people": int(good["subject_id"].nunique())}
    row["n_failed"] = int(part["recording_id"].nunique()) - row["n_recordings"]
    for name in STATISTICS:
        row |= {name: None, f"{name}_ci_low": None, f"{name}_ci_high": None}
    if len(good):
        people, index = np.unique(good["subject_id"].astype(str), return_inverse=True)
        weights = np.random.default_rng(0).multinomial(len(people), np.full(len(people), 1 / len(people)), size=RESAMPLES)
        for name, column in zip(("r", "mae", "bias"), CURVE_COLUMNS, strict=True):
            values = good[column].to_numpy(float)
            if not np.isfinite(values).all():  # an onset has no r
                continue
            row[name] = float(values.mean())
            if len(people) > 1:
                sums, counts = np.bincount(index, values), np.bincount(index)
                low, high = np.percentile((weights @ sums) / (weights @ counts), (2.5, 97.5))
                row |= {f"{name}_ci_low": float(low), f"{name}_ci_high": float(high)}
    return row
