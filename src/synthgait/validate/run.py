"""The verb ``validate``: every method on every dataset, sensor and group of real recordings.

In: recordings, and optionally an estimator with ``predict(recording, sensor=...)`` and ``sensors``.
Out: a list of rows (one per dataset, sensor, group, quantity and method), and the pairs behind them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.recordings.base import Recording
from synthgait.recordings.refusals import Refused
from synthgait.validate import emg
from synthgait.validate.agreement import agree
from synthgait.validate.floors import FLOORS, Floor
from synthgait.validate.peers import asked

_SIDED = ("step_length_l_m", "step_length_r_m", "step_time_l_s", "step_time_r_s")
QUANTITIES = ("walking_speed_mps", "step_length_m", "stride_length_m", "step_time_s", "stride_time_s", "cadence_spm", *_SIDED)
#: Sensor of the table -> (placements it needs, name of the estimator's sensor). One-sided ones take
#: the right side where both are there.
_IMU_SENSORS: dict[str, tuple[tuple[tuple[str, ...], ...], str]] = {
    "lower_back": ((("lower_back",),), "lower_back"),
    "sternum": ((("sternum",),), "sternum"),
    "head": ((("head",),), "head"),
    "feet": ((("foot_l", "foot_r"),), "foot"),
    "foot": ((("foot_r",), ("foot_l",)), "foot"),
    "shanks": ((("shank_l", "shank_r"),), "shank"),
    "shank": ((("shank_r",), ("shank_l",)), "shank"),
    "thighs": ((("thigh_l", "thigh_r"),), "thigh"),
    "thigh": ((("thigh_r",), ("thigh_l",)), "thigh"),
}
_FLOOR = "floor:"
#: Name of our own method.
OURS = "zero_shot"
#: Label of all worn sensors that a recording has, where there are several.
TOGETHER = "worn_together"
#: Label, in the place of a sensor, of recordings of which nothing could be read.
UNREAD = "unread"


class Estimator(Protocol):
    """What is asked of an estimator: the sensors it reads, and estimates of one recording."""

    @property
    def sensors(self) -> tuple[str, ...]: ...

    def predict(self, recording: Any, *, sensor: str | None = None, **how: Any) -> dict[str, Any]: ...


@cache
def _warn_once(sentence: str) -> None:
    logging.getLogger(__name__).warning(sentence)


def sensor_views(recording: Recording) -> Iterable[tuple[str, str, Recording]]:
    """(sensor of the table, sensor of the estimator, the recording cut down to it) for every sensor present. Sensors at
    places that no method reads give nothing, and a warning, once for a recording.

    Poses of which the truth is how far they travel are taken on the spot.
    """
    if recording.kind == "imu":
        read = {place for choices, _ in _IMU_SENSORS.values() for places in choices for place in places}
        if not read & set(recording.placements):
            _warn_once(f"no method reads {recording.name}, whose sensors are at {', '.join(recording.placements)}")
        present: dict[str, None] = {}
        for label, (choices, name) in _IMU_SENSORS.items():
            for placements in choices:
                if all(p in recording.placements for p in placements):
                    channels = {f"{p}_{c}": recording.signals[f"{p}_{c}"] for p in placements for c in IMU_CHANNELS}
                    present[name] = None
                    yield label, name, replace(recording, signals=channels)
                    break
        if len(present) > 1:
            yield TOGETHER, "+".join(present), recording
    elif recording.kind in ("keypoints_3d", "keypoints_2d"):
        label = recording.kind if recording.variant == "main" else f"{recording.kind}/{recording.variant}"
        yield label, recording.kind, recording.on_the_spot() if recording.way_is_truth else recording
    elif recording.kind == "joint_angles":
        yield recording.kind, recording.kind, recording


def pairs(
    recordings: Sequence[Recording],
    estimator: Estimator | None = None,
    *,
    method: str = OURS,
    peers: Sequence[Any] = (),
    floors: Sequence[Callable[[], Floor]] = FLOORS,
    real_baseline: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """One row per recording, sensor, quantity and method: dataset, sensor, group, quantity, method,
    recording_id, subject_id, truth, estimate (NaN where the method gave none) and the ``reason``.
    With ``real_baseline`` the estimator's network is also trained on other people of each dataset (``real_trained``).

    Recordings with EMG add rows of ``emg.pairs``, which have ``curve_r``, ``curve_mae`` and
    ``curve_bias`` instead of truth and estimate; an estimator of muscle activation gives only those.
    """
    rows: list[dict[str, Any]] = []
    every = [view for recording in recordings for view in sensor_views(recording)]
    views = [view for view in every if view[2].truth]
    muscles = estimator if getattr(estimator, "task", "") == emg.TASK else None
    if muscles is not None:
        estimator = None
    curves = emg.pairs(every, muscles, method, floors=bool(floors))
    for label, name, view in tqdm(views, desc="validate", disable=not progress):
        if estimator is not None and (read := _read_of(name, estimator)):
            rows += compared(view, label, method, partial(estimator.predict, view, sensor=read))
        for peer in peers:
            if peer.reads(view, label):
                rows += compared(view, label, f"peer:{peer.name}", partial(asked, peer, view))
    if real_baseline and estimator is not None:
        rows += _real_trained(views, estimator, progress)
    by_sensor: dict[tuple[str, str], list[Recording]] = {}
    for label, _, view in views:
        by_sensor.setdefault((view.dataset, label), []).append(view)
    for (_, label), members in by_sensor.items():
        for person in dict.fromkeys(view.subject_id for view in members):
            others = [view for view in members if view.subject_id != person]
            for kind in floors:
                floor = kind().fit(others)
                for view in (v for v in members if v.subject_id == person and floor.reads(v, label)):
                    rows += compared(view, label, f"{_FLOOR}{floor.name}", partial(floor.predict, view))
    columns = ("dataset", "sensor", "group", "quantity", "method", "recording_id", "subject_id", "truth", "estimate", "reason")
    table = pd.DataFrame(rows + curves, columns=[*columns, *emg.CURVE_COLUMNS])
    # a table without rows has columns of objects, which would make objects of another's numbers
    table = table.astype(dict.fromkeys(("truth", "estimate", *emg.CURVE_COLUMNS), float))
    # a floor that can read no recording of a kind, as the mean of nobody else, is none; of others those it cannot read count
    answered = table["estimate"].notna() | table["curve_mae"].notna()
    ever = answered.groupby([table[name] for name in ("dataset", "sensor", "quantity", "method")]).transform("any")
    return table[ever | ~table["method"].astype(str).str.startswith(_FLOOR)].reset_index(drop=True)


def _real_trained(views: Sequence[tuple[str, str, Recording]], estimator: Estimator, progress: bool) -> list[dict[str, Any]]:
    """Rows of the estimator's network trained on other real people, for every dataset and sensor that it reads."""
    from synthgait.validate import real_trained

    together: dict[tuple[str, str], list[real_trained.View]] = {}
    for label, name, view in views:
        if name in estimator.sensors and view.sampling_rate_hz is not None:
            together.setdefault((view.dataset, label), []).append((name, view))
    rows: list[dict[str, Any]] = []
    config = getattr(estimator, "config", {})
    for (dataset, label), members in tqdm(together.items(), desc="train on real people", disable=not progress):
        people = len({view.subject_id for _, view in members})
        if people < real_trained.LEAST_PEOPLE:
            _warn_once(
                f"{dataset} has {people} people with {label}; a network is trained on real people from {real_trained.LEAST_PEOPLE} on"
            )
        for view, outcome in real_trained.left_out(members, config):
            rows += compared(view, label, real_trained.METHOD, partial(outcome_of, outcome))
    return rows


def _read_of(sensor: str, estimator: Estimator) -> str:
    """What an estimator reads of one sensor, or of several: itself, or those that it was fitted for; empty for none or one of several."""
    names = sensor.split("+")
    read = [name for name in names if name in estimator.sensors]
    return "+".join(read) if len(read) >= min(len(names), 2) else ""


def outcome_of(outcome: Mapping[str, Any] | InputError) -> dict[str, Any]:
    if isinstance(outcome, InputError):
        raise outcome
    return dict(outcome)


def compared(view: Recording, label: str, method: str, predict: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one method on one recording; a recording it cannot read is a row too, with the reason.

    Where the truth is the mean of all strides, so is the estimate of a method that tells both (``all_strides``).
    """
    reason = ""
    try:
        estimates = predict()
        if view.truth_strides == "all":
            estimates = estimates | estimates.get("all_strides", {})
    except InputError as error:
        estimates, reason = {}, str(error)
    rows = []
    for quantity in QUANTITIES:
        value = estimates.get(quantity)
        known = quantity in view.truth and not (value is None and not reason)
        if known:
            estimate = float(value) if value is not None else float("nan")
            rows.append(
                {
                    "dataset": view.dataset,
                    "sensor": label,
                    "group": view.group,
                    "quantity": quantity,
                    "method": method,
                    "recording_id": view.recording_id,
                    "subject_id": view.subject_id,
                    "truth": view.truth[quantity],
                    "estimate": estimate,
                    "reason": reason if np.isnan(estimate) else "",
                }
            )
    return rows


def unread(refused: Iterable[Refused], method: str = OURS) -> list[dict[str, Any]]:
    """Rows of ``pairs`` of recordings that could not be read, of which neither sensor nor truth is known."""
    blank = {"sensor": UNREAD, "group": "unknown", "quantity": QUANTITIES[0], "method": method, "subject_id": "", "truth": np.nan}
    return [
        blank | {"dataset": one.dataset, "recording_id": one.recording_id, "estimate": np.nan, "reason": one.message} for one in refused
    ]


def scored(table: pd.DataFrame, where: str = "") -> pd.DataFrame:
    """The pairs of recordings found ``where``. Raises InputError when there are none."""
    if table.empty:
        what = f"no recording{where and f' of {where}'}"
        raise InputError(f"{what} has both a truth that a method estimates, as walking_speed_mps, and a sensor that one reads")
    return table


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Agreement per dataset, sensor, group, quantity and method. Where a dataset has several groups, the
    group "all" follows. ``n_failed`` counts recordings the method could not read (in no statistic); those that nobody could
    are rows of the sensor ``UNREAD``. Rows of other methods than ours say how both do on the ``n_shared`` recordings that
    both read: ``mae_shared`` and ``mae_ours_shared`` (None where there are none).
    """
    result = []
    keys = ["dataset", "sensor", "group", "quantity", "method"]
    several = table[table["sensor"] != UNREAD].groupby("dataset")["group"].nunique()
    both = table[(table["dataset"].map(several).fillna(1) > 1) & (table["sensor"] != UNREAD)].assign(group="all")
    whole = pd.concat([table, both], ignore_index=True) if len(both) else table
    ours = {key: part.set_index("recording_id")["estimate"] for key, part in whole[whole["method"] == OURS].groupby(keys[:-1])}
    for key, part in whole.groupby(keys, sort=True):
        row: dict[str, Any] = dict(zip(keys, key, strict=True))
        if row["quantity"].startswith(emg.CURVES):
            result.append(row | emg.agreement(part))
            continue
        good = part[np.isfinite(part["estimate"])]
        if len(good):
            row |= agree(good["truth"].to_numpy(), good["estimate"].to_numpy(), good["subject_id"].to_numpy()).as_row()
        else:
            row |= {"n_recordings": 0, "n_people": 0} | dict.fromkeys(("mae", "mape", "bias", "loa_low", "loa_high", "r", "icc"))
        row["n_failed"] = len(part) - len(good)
        result.append(row | ({} if row["method"] == OURS else _shared(good, ours.get(key[:-1]))))
    return result


def _shared(good: pd.DataFrame, ours: pd.Series | None) -> dict[str, Any]:
    """How another method and ours (recording_id -> estimate) do where both gave an estimate."""
    answered = good.assign(ours=np.nan if ours is None else good["recording_id"].map(ours)).dropna(subset="ours")
    if not len(answered):
        return {"n_shared": 0, "mae_shared": None, "mae_ours_shared": None}
    errors = [float((answered[name] - answered["truth"]).abs().mean()) for name in ("estimate", "ours")]
    return {"n_shared": len(answered), "mae_shared": errors[0], "mae_ours_shared": errors[1]}


def run(
    recordings: Sequence[Recording], estimator: Estimator | None = None, *, peers: Sequence[Any] = (), progress: bool = True
) -> list[dict[str, Any]]:
    """Rows of every method. Raises InputError when no recording carries truth."""
    return rows(scored(pairs(recordings, estimator, peers=peers, progress=progress)))


def as_text(result: Sequence[dict[str, Any]], quantities: Sequence[str] | None = None) -> str:
    """The rows as a table for people: error, bias, limits of agreement and correlation."""
    lines = []
    heading = None
    read_by_us = {(_title(row), row["quantity"]): row["n_recordings"] for row in result if row["method"] == OURS}
    for row in result:
        if quantities is not None and row["quantity"] not in quantities:
            continue
        title = _title(row)
        if title != heading:
            lines += [
                "",
                title,
                f"  {'quantity':18} {'method':24} {'n':>4} {'people':>6} {'MAE [95 %]':>22} {'bias':>8} {'limits':>18} {'r':>6} {'ICC':>6}",
            ]
            heading = title
        mae = f"{_text(row['mae'])} [{_text(row.get('mae_ci_low'))}, {_text(row.get('mae_ci_high'))}]"
        limits = f"{_text(row['loa_low'])} to {_text(row['loa_high'])}"
        failed = f"  ({row['n_failed']} unreadable)" if row["n_failed"] else ""
        if row.get("n_shared") and row["n_shared"] < max(row["n_recordings"], read_by_us.get((title, row["quantity"]), 0)):
            failed += f"  (on the {row['n_shared']} that both read {_text(row['mae_shared'])}, ours {_text(row['mae_ours_shared'])})"
        lines.append(
            f"  {row['quantity']:18} {row['method']:24} {row['n_recordings']:4d} {row['n_people']:6d} {mae:>22} {_text(row['bias']):>8} "
            f"{limits:>18} {_text(row['r'], 2):>6} {_text(row['icc'], 2):>6}{failed}"
        )
    return "\n".join(lines).strip("\n")


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['dataset']} · {row['sensor']} · {row['group']}"


def _text(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def write_json(result: Sequence[dict[str, Any]], path: Path | str) -> None:
    """The rows as JSON; "-" writes to standard output, a file is replaced atomically."""
    text = json.dumps(list(result), indent=1, allow_nan=False, ensure_ascii=False)
    if str(path) == "-":
        print(text)
        return
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, target)
