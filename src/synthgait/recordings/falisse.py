"""Falisse et al. 2019: one healthy adult, joint angles and EMG of eleven walking cycles.

In: the folder ``falisse2019_healthy`` (``ExperimentalData.mat``). Out: one joint-angle recording per
trial, the right leg and the trunk over one cycle from right heel strike, with truth and EMG.

The file has 100 samples per cycle and no clock: the stride time follows from angles and angular
velocities of the knee, q' = dq/dt (least squares over the cycle). MIT licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgait.conventions import COORDINATE_SYNONYMS, LEG_COORDINATES, LUMBAR_COORDINATES, PELVIS_COORDINATES
from synthgait.errors import InputError
from synthgait.recordings.base import Recording, merge_sides
from synthgait.recordings.matlab import field, fields, load_mat

NAME = "falisse2019_healthy"
LICENCE = "MIT"
CITATION = "Falisse et al., J R Soc Interface 2019;16:20190402"
_MUSCLES = {
    "Hamstrings-lateralis": "biceps_femoris",
    "Hamstrings-medialis": "medial_hamstrings",
    "Tibialis-anterior": "tibialis_anterior",
    "Peroneus-longus": "peroneus",
    "Gastrocnemius-lateralis": "gastrocnemius_lateralis",
    "Gastrocnemius-medialis": "gastrocnemius_medialis",
    "Soleus": "soleus",
    "Vastus-lateralis": "vastus_lateralis",
    "Vastus-medialis": "vastus_medialis",
    "Gluteus-medialis": "gluteus_medius",
    "Rectus-femoris": "rectus_femoris",
}


def read(folder: Path) -> Iterator[Recording]:
    """Every cycle. Raises InputError when the file or one of its parts is missing."""
    path = folder / "ExperimentalData.mat"
    data = load_mat(path, "ExperimentalData")
    people = fields(field(data, "Q"))
    if not people:
        raise InputError(f"{path} has no joint angles (Q); it is not {NAME}")
    for person in people:
        yield from _person(path, data, person)


def _person(path: Path, data: Any, person: str) -> Iterator[Recording]:
    positions, velocities = field(data, f"Q.{person}.Qs"), field(data, f"Q.{person}.Qdots")
    if positions is None or velocities is None:
        raise InputError(f"{path} lacks Qs or Qdots of {person}; the stride time needs both")
    names = [str(n) for n in positions.colheaders]
    angles, rates = _cycles(positions), _cycles(velocities)
    lengths = np.atleast_1d(field(data, f"StrideLength.{person}.all"))
    emg = field(data, f"EMG.{person}")
    largest = np.nanmax(_cycles(emg), axis=(0, 2)) if emg is not None else np.zeros(0)
    knee = names.index("knee_angle")
    for trial in range(angles.shape[2]):
        q, qd = angles[:, :, trial], rates[:, :, trial]
        if not np.all(np.isfinite(q[:, knee])):
            continue
        # 99 intervals: minimise |dq - (T/99) q'| over the cycle, both taken between samples
        change, rate = np.diff(q[:, knee]), 0.5 * (qd[1:, knee] + qd[:-1, knee])
        stride_time = 99.0 * float(np.sum(change * rate) / np.sum(rate**2))
        truth = {"stride_time_s": stride_time, "stride_length_m": float(lengths[trial])}
        truth["walking_speed_mps"] = truth["stride_length_m"] / stride_time
        yield Recording(
            dataset=NAME,
            recording_id=f"{person}_{trial + 1:02d}",
            subject_id=person,
            kind="joint_angles",
            signals=_angles(q, names),
            sampling_rate_hz=99.0 / stride_time,
            pathology="none",
            affected_side="none",
            truth=merge_sides(truth),
            reference_source="stride length of the file; stride time from angles and angular velocities",
            emg=_emg(emg, trial, largest),
            emg_side="r",
            licence=LICENCE,
            citation=CITATION,
        )


def _cycles(group: Any) -> np.ndarray:
    """(samples, channels, trials), also where reading squeezed a single channel or trial away."""
    values = np.asarray(group.all, float)
    return values.reshape(len(values), np.size(group.colheaders), -1)


def _angles(q: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Channels of the conventions; the leg in the file is the right one, angles in degrees or radians."""
    rotations = [i for i, n in enumerate(names) if not n.startswith("pelvis_t") or n == "pelvis_tilt"]
    # a walking knee flexes by about 1 rad; a hundredfold means degrees
    scale = np.deg2rad(1.0) if np.nanmax(np.abs(q[:, rotations])) > 2 * np.pi else 1.0
    synonyms = COORDINATE_SYNONYMS["gait2392"]
    signals = {}
    for channel in PELVIS_COORDINATES + LUMBAR_COORDINATES:
        if channel in names:
            values = q[:, names.index(channel)]
            signals[channel] = values if channel in PELVIS_COORDINATES[3:] else scale * values
    for channel in LEG_COORDINATES:
        theirs, sign = synonyms.get(channel, (channel, 1))
        if theirs in names:
            signals[f"{channel}_r"] = sign * scale * q[:, names.index(theirs)]
    return {c: v for c, v in signals.items() if np.all(np.isfinite(v))}


def _emg(emg: Any, trial: int, largest: np.ndarray) -> pd.DataFrame | None:
    if emg is None:
        return None
    percent = np.arange(101.0)
    table = {"percent": percent}
    for i, header in enumerate(np.atleast_1d(emg.colheaders)):
        envelope = _cycles(emg)[:, i, trial]
        if str(header) in _MUSCLES and np.all(np.isfinite(envelope)) and largest[i] > 0:
            table[f"{_MUSCLES[str(header)]}_r"] = np.interp(percent, np.linspace(0.0, 100.0, len(envelope)), envelope) / largest[i]
    return pd.DataFrame(table) if len(table) > 1 else None
