"""Schreiber & Moissenet 2019: markers, force plates and EMG of healthy adults at five speeds.

In: the folder ``schreiber_moissenet_2019`` (c3d files ``<person>_C<1-5>_<trial>.c3d`` anywhere below
it, static trials ``<person>_ST.c3d``, ``data/anthropometrics.csv``). Out: per walk one recording of
kind "markers" and one of kind "keypoints_3d" (joint centres), with EMG envelopes of the right leg.

The laboratory's axes (mm, walking along +x or -x, z up) become metres, X along the walk, Y up.
Hip joint centres after Harrington et al., J Biomech 2007;40:595. CC BY 4.0.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import butter, sosfiltfilt

from synthgait.errors import InputError
from synthgait.recordings.base import EMG_MUSCLES, Recording, merge_sides, signal_table
from synthgait.recordings.refusals import Refused, readable, sifted
from synthgait.recordings.tables import number, number_or_unknown, one_line, read_table, require, sex

NAME = "schreiber_moissenet_2019"
LICENCE = "CC BY 4.0"
CITATION = "Schreiber & Moissenet, Sci Data 2019;6:111"
_FILE = re.compile(r"^(?P<subject>[^_]+)_(?P<condition>C\d)_(?P<trial>\d+)$")
_PELVIS = ("L_IAS", "R_IAS", "L_IPS", "R_IPS")
_NEEDED = (*_PELVIS, *(f"{s}_{m}" for s in "LR" for m in ("FLE", "FME", "FAL", "TAM", "FCC", "FM2")))


class _Walk(NamedTuple):
    path: Path
    subject: str
    rate: float
    markers: dict[str, np.ndarray]
    strikes: dict[str, list[float]]
    envelopes: dict[str, np.ndarray]
    envelope_rate: float


def read(folder: Path) -> Iterator[Recording | Refused]:
    """All walking trials. Raises InputError where there is none."""
    people = _people(folder)
    walks, largest, refused = _walks(folder)
    yield from refused
    standing = readable(NAME, sorted(folder.rglob("*_ST.c3d")), lambda path: [(path.stem.split("_")[0], _leg_length(path))], _named)
    lengths, unread = sifted(standing, folder)
    for one in unread:
        logging.getLogger(__name__).warning("a leg length is taken as unknown: %s", one.message)
    legs = dict(lengths)
    yield from readable(
        NAME, walks, lambda w: _recordings(w, people.get(w.subject, {}), legs.get(w.subject), largest), lambda w: _named(w.path)
    )


def _named(path: Path) -> tuple[str, Path]:
    return path.stem, path


def _walks(folder: Path) -> tuple[list[_Walk], dict[tuple[str, str], float], list[Refused]]:
    """All walking trials, the largest value of every envelope, (person, muscle) -> volts, and what could not be read."""
    paths = [path for path in sorted(folder.rglob("*.c3d")) if _FILE.match(path.stem)]
    if not paths:
        raise InputError(f"{folder} has no file like 2014001_C4_05.c3d; it is not {NAME}")
    walks, refused = sifted(readable(NAME, paths, lambda path: [_walk(path)], _named), folder)
    largest: dict[tuple[str, str], float] = {}
    for walk in walks:
        for muscle, envelope in walk.envelopes.items():
            key = (walk.subject, muscle)
            largest[key] = max(largest.get(key, 0.0), float(envelope.max()))
    return walks, largest, refused


def _people(folder: Path) -> dict[str, Any]:
    found = sorted(folder.rglob("anthropometrics.csv"))
    if not found:
        return {}
    try:
        table = read_table(found[0], dtype={"subjectID": str})
        require(table, ("subjectID",), found[0])
    except InputError as error:
        logging.getLogger(__name__).warning("age, sex and size are taken as unknown: %s", error)
        return {}
    return {str(row["subjectID"]): row for _, row in table.iterrows()}


def _open(path: Path) -> Any:
    import ezc3d

    try:
        return ezc3d.c3d(str(path))
    except Exception as error:
        raise InputError(f"{path} cannot be read as c3d ({one_line(error)}); restore the file") from None


def _markers(c3d: Any, path: Path) -> tuple[dict[str, np.ndarray], float]:
    point = c3d["parameters"]["POINT"]
    units = point["UNITS"]["value"][0]
    if units not in ("mm", "m"):
        raise InputError(f"{path} gives markers in {units!r}; mm or m is expected")
    scale = 0.001 if units == "mm" else 1.0
    data = c3d["data"]["points"]
    markers = {str(label): data[:3, i].T * scale for i, label in enumerate(point["LABELS"]["value"])}
    missing = [m for m in _NEEDED if m not in markers]
    if missing:
        raise InputError(f"{path} has no marker {missing[0]}; it is not a whole trial of {NAME}")
    return markers, float(point["RATE"]["value"][0])


def _walk(path: Path) -> _Walk:
    c3d = _open(path)
    markers, rate = _markers(c3d, path)
    x = np.mean([markers[m][:, 0] for m in _PELVIS], axis=0)
    sign = 1.0 if np.nanmean(np.diff(x)) >= 0 else -1.0
    turned = {}
    for label, xyz in markers.items():
        world = np.column_stack([sign * xyz[:, 0], xyz[:, 2], -sign * xyz[:, 1]])
        filled = _filled(world)
        if filled is not None:
            turned[label] = filled
        elif label in _NEEDED:
            raise InputError(f"marker {label} of {path} is missing for more than a fifth of the trial; leave the trial out")
    event = c3d["parameters"].get("EVENT", {})
    strikes: dict[str, list[float]] = {"Left": [], "Right": []}
    if "TIMES" in event:
        times = np.atleast_2d(event["TIMES"]["value"])
        # first row minutes, second row seconds
        for minute, second, context, label in zip(times[0], times[1], event["CONTEXTS"]["value"], event["LABELS"]["value"], strict=True):
            if str(label).startswith("Foot Strike") and context in strikes:
                strikes[context].append(60.0 * float(minute) + float(second))
    envelopes, envelope_rate = _envelopes(c3d)
    match = _FILE.match(path.stem)
    assert match is not None
    return _Walk(path, match["subject"], rate, turned, {k: sorted(v) for k, v in strikes.items()}, envelopes, envelope_rate)


def _filled(values: np.ndarray) -> np.ndarray | None:
    """Gaps interpolated (ends held); None where more than a fifth is missing."""
    known = np.all(np.isfinite(values), axis=1)
    if known.mean() < 0.8:
        return None
    samples = np.arange(len(values))
    return np.column_stack([np.interp(samples, samples[known], column[known]) for column in values.T])


def _envelopes(c3d: Any) -> tuple[dict[str, np.ndarray], float]:
    """Right-leg EMG (30-300 Hz in the files): rectified and low-passed at 6 Hz, in volts."""
    analog = c3d["parameters"]["ANALOG"]
    if "LABELS" not in analog:
        return {}, 0.0
    rate = float(analog["RATE"]["value"][0])
    low = butter(2, 6.0, fs=rate, output="sos")
    found = {}
    for i, label in enumerate(analog["LABELS"]["value"]):
        side, _, muscle = str(label).partition("_")
        signal = c3d["data"]["analogs"][0, i]
        if side in ("R", "L") and muscle in EMG_MUSCLES and np.all(np.isfinite(signal)) and np.ptp(signal) > 0:
            found[f"{muscle}_{side.lower()}"] = np.maximum(sosfiltfilt(low, np.abs(signal - signal.mean())), 0.0)
    return found, rate


def _hip_centres(markers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Right and left hip joint centre (T, 3): Harrington et al. 2007, regression on pelvis width and depth."""
    front = 0.5 * (markers["L_IAS"] + markers["R_IAS"])
    back = 0.5 * (markers["L_IPS"] + markers["R_IPS"])
    right = markers["R_IAS"] - markers["L_IAS"]
    width = np.linalg.norm(right, axis=1, keepdims=True)
    right = right / width
    ahead = front - back
    ahead = ahead - np.sum(ahead * right, axis=1, keepdims=True) * right
    depth = np.linalg.norm(front - back, axis=1, keepdims=True)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    up = np.cross(right, ahead)
    base = front - (0.24 * depth + 0.0099) * ahead - (0.30 * width + 0.0109) * up
    out = (0.33 * width + 0.0073) * right
    return {"r": base + out, "l": base - out}


def _joint_centres(markers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    joints = {"pelvis": np.mean([markers[m] for m in _PELVIS], axis=0)}
    hips = _hip_centres(markers)
    if "CV7" in markers:
        joints["neck"] = markers["CV7"]
    if "TV10" in markers:
        joints["spine"] = markers["TV10"]
    middles = {"knee": ("FLE", "FME"), "ankle": ("FAL", "TAM"), "elbow": ("HLE", "HME"), "wrist": ("RSP", "UHE")}
    singles = {"heel": "FCC", "toe": "FM2", "shoulder": "SAE"}
    for letter, side in (("L", "l"), ("R", "r")):
        joints[f"hip_{side}"] = hips[side]
        for joint, (a, b) in middles.items():
            if f"{letter}_{a}" in markers and f"{letter}_{b}" in markers:
                joints[f"{joint}_{side}"] = 0.5 * (markers[f"{letter}_{a}"] + markers[f"{letter}_{b}"])
        for joint, a in singles.items():
            if f"{letter}_{a}" in markers:
                joints[f"{joint}_{side}"] = markers[f"{letter}_{a}"]
    return joints


def _leg_length(path: Path) -> float | None:
    """Hip joint centre to floor in the standing trial, mean of both sides."""
    markers, _ = _markers(_open(path), path)
    standing = {m: np.nanmean(xyz, axis=0)[None] for m, xyz in markers.items()}
    if not np.all(np.isfinite([standing[m] for m in _PELVIS])):
        return None
    hips = _hip_centres(standing)
    return float(0.5 * (hips["l"][0, 2] + hips["r"][0, 2]))


def _truth(walk: _Walk) -> dict[str, float]:
    x = np.mean([walk.markers[m][:, 0] for m in _PELVIS], axis=0)
    truth = {"walking_speed_mps": abs(float(np.polyfit(np.arange(len(x)) / walk.rate, x, 1)[0]))}
    heel = {side: walk.markers[f"{side[0]}_FCC"][:, 0] for side in ("Left", "Right")}
    lengths: dict[str, list[float]] = {"Left": [], "Right": []}
    times: dict[str, list[float]] = {"Left": [], "Right": []}
    strikes = sorted((t, side) for side, ts in walk.strikes.items() for t in ts)
    for (before, other), (time, side) in itertools.pairwise(strikes):
        if side != other:
            # each heel where it landed: the one behind has risen and moved on when the other lands
            landed, behind = (round(t * walk.rate) for t in (time, before))
            if landed <= len(x):
                last = len(x) - 1
                lengths[side].append(abs(float(heel[side][min(landed, last)] - heel[other][min(behind, last)])))
            times[side].append(time - before)
    for side in ("Left", "Right"):
        if lengths[side]:
            truth[f"step_length_{side[0].lower()}_m"] = float(np.mean(lengths[side]))
        if times[side]:
            truth[f"step_time_{side[0].lower()}_s"] = float(np.mean(times[side]))
    strides = [b - a for ts in walk.strikes.values() for a, b in itertools.pairwise(ts)]
    if strides:
        truth["stride_time_s"] = float(np.mean(strides))
    return merge_sides(truth)


def _emg(walk: _Walk, largest: dict[tuple[str, str], float]) -> pd.DataFrame | None:
    """Envelopes over the first right stride, each scaled to its person's maximum over all trials."""
    right = walk.strikes["Right"]
    if len(right) < 2 or not walk.envelopes:
        return None
    percent = np.arange(101.0)
    times = np.interp(percent, (0.0, 100.0), (right[0], right[1]))
    table = {"percent": percent}
    for muscle, envelope in walk.envelopes.items():
        samples = np.arange(len(envelope)) / walk.envelope_rate
        table[muscle] = np.interp(times, samples, envelope) / largest[walk.subject, muscle]
    return pd.DataFrame(table)


def _recordings(walk: _Walk, person: Any, leg_length_m: float | None, largest: dict[tuple[str, str], float]) -> Iterator[Recording]:
    truth, emg = _truth(walk), _emg(walk, largest)
    where = f"anthropometrics.csv of {walk.subject}"
    for kind, points in (("markers", walk.markers), ("keypoints_3d", _joint_centres(walk.markers))):
        signals = {f"{name}_{axis}": xyz[:, i] for name, xyz in points.items() for i, axis in enumerate("xyz")}
        yield Recording(
            dataset=NAME,
            recording_id=f"{walk.path.stem}_{kind}",
            walk_id=walk.path.stem,
            subject_id=walk.subject,
            kind=kind,
            signals=signal_table(signals),
            sampling_rate_hz=walk.rate,
            age_years=number_or_unknown(person, "age", where),
            sex=sex(person.get("gender")),
            height_m=number(person, "height", where),
            mass_kg=number(person, "mass", where),
            leg_length_m=leg_length_m,
            pathology="none",
            affected_side="none",
            truth=truth,
            reference_source="markers and force-plate events",
            emg=emg,
            emg_side=None if emg is None else "r",
            licence=LICENCE,
            citation=CITATION,
        )
