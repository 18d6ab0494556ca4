"""mobgap's example data: lower-back sensor of older people and one with multiple sclerosis.

In: the folder ``mobgap_example`` (``data/lab/<cohort>/<person>/data.mat`` and ``infoForAlgo.mat``).
Out: one IMU recording per walking bout of the best reference present: optical ("Stereophoto"),
else the INDIP system of feet and pressure insoles. Accelerations in the files are in g, angular
velocities in deg/s. Apache-2.0 (Mobilise-D).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.recordings.base import Recording, merge_sides
from synthgait.recordings.matlab import field, fields, load_mat
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import one_line

NAME = "mobgap_example"
LICENCE = "Apache-2.0"
CITATION = "Mobilise-D / mobgap example data"
_PATHOLOGIES = {"HA": "none", "MS": "multiple_sclerosis", "PD": "parkinson", "COPD": "copd", "PFF": "hip_fracture", "CHF": "heart_failure"}
_SYSTEMS = ("Stereophoto", "INDIP")


def read(folder: Path) -> Iterator[Recording | Refused]:
    """All walking bouts of all people. Raises InputError where there is no file of this layout."""
    files = sorted(folder.rglob("data.mat"))
    if not files:
        raise InputError(f"{folder} has no data/lab/<cohort>/<person>/data.mat; it is not {NAME}")
    people = _people(folder)
    yield from readable(
        NAME, files, lambda path: _person(path, people), lambda path: (f"{path.parent.parent.name}_{path.parent.name}", path)
    )


def _people(folder: Path) -> dict[str, Any]:
    found = sorted(folder.rglob("participant_metadata.json"))
    try:
        people = json.loads(found[0].read_text()) if found else {}
        return {cohort: dict(members) for cohort, members in people.items()}
    except (AttributeError, TypeError, ValueError) as error:
        logging.getLogger(__name__).warning("sizes are taken as unknown: %s cannot be read (%s); restore it", found[0], one_line(error))
        return {}


def _person(path: Path, people: dict[str, Any]) -> Iterator[Recording | Refused]:
    cohort, person = path.parent.parent.name, path.parent.name
    about = people.get(cohort, {}).get(person, {})
    root = load_mat(path, "data")
    trials = [
        f"{measure}.{test}.{trial}"
        for measure in fields(root)
        for test in fields(field(root, measure))
        for trial in fields(field(root, f"{measure}.{test}"))
        if field(root, f"{measure}.{test}.{trial}.SU.LowerBack") is not None
    ]
    yield from readable(
        NAME,
        trials,
        lambda where: _bouts(path, root, where, cohort, person, about),
        lambda where: (f"{cohort}_{person}_" + "_".join(where.split(".")[1:]), f"{where} of {path}"),
    )


def _bouts(path: Path, root: Any, where: str, cohort: str, person: str, about: dict[str, Any]) -> Iterator[Recording | Refused]:
    sensor = field(root, f"{where}.SU.LowerBack")
    rate = _number(sensor, "Fs.Acc")
    acceleration, rotation = (np.asarray(field(sensor, name), float) for name in ("Acc", "Gyr"))
    if rate is None or acceleration.ndim != 2 or acceleration.shape[1] != 3 or rotation.shape != acceleration.shape:
        raise InputError(f"{where} of {path} lacks the sampling rate, Acc or Gyr of its lower back; restore the file")
    values = np.hstack([acceleration * GRAVITY_MPS2, np.deg2rad(rotation)])
    signals = {f"lower_back_{c}": v for c, v in zip(IMU_CHANNELS, values.T, strict=True)}
    info = path.with_name("infoForAlgo.mat")
    body = load_mat(info, "infoForAlgo") if info.is_file() else None
    measure = where.split(".")[0]
    height, mass = (_number(body, f"{measure}.{name}") for name in ("Height", "Weight"))
    base = f"{cohort}_{person}_" + "_".join(where.split(".")[1:])
    length = len(acceleration) / rate

    def recording_of(part: tuple[int, Any, str]) -> Iterator[Recording]:
        number, bout, system = part
        yield Recording(
            dataset=NAME,
            recording_id=f"{base}_bout{number}",
            subject_id=f"{cohort}_{person}",
            kind="imu",
            signals=signals,
            sampling_rate_hz=rate,
            start_s=float(bout.Start),
            end_s=float(bout.End),
            height_m=about.get("height_m", None if height is None else height / 100.0),
            mass_kg=about.get("weight_kg", mass),
            pathology=_PATHOLOGIES.get(cohort, cohort.lower()),
            affected_side="none" if cohort == "HA" else None,
            truth=_truth(bout),
            reference_source=f"{system} walking bout",
            truth_strides="all",
            licence=LICENCE,
            citation=CITATION,
        )

    for system in _SYSTEMS:
        bouts = np.atleast_1d(field(root, f"{where}.Standards.{system}.MicroWB"))
        walks = [b for b in bouts if _number(b, "WalkingSpeed") is not None and b.Start < b.End <= length]
        parts = [(number, bout, system) for number, bout in enumerate(walks, start=1)]
        yield from readable(NAME, parts, recording_of, lambda part: (f"{base}_bout{part[0]}", f"bout {part[0]} in {where} of {path}"))
        if walks:
            return


def _number(structure: Any, dotted: str) -> float | None:
    """A finite number under a dotted name; None where there is none, which these files write as an empty array."""
    value = field(structure, dotted)
    return float(value) if np.size(value) == 1 and np.issubdtype(np.asarray(value).dtype, np.number) and np.isfinite(value) else None


def _truth(bout: Any) -> dict[str, float]:
    given = {"walking_speed_mps": _number(bout, "WalkingSpeed"), "stride_length_m": _number(bout, "AverageStrideLength")}
    truth = {name: value for name, value in given.items() if value is not None}
    steps = np.atleast_1d(np.asarray(field(bout, "Step_Duration"), float))
    strides = np.atleast_1d(np.asarray(field(bout, "Stride_Duration"), float))
    if np.isfinite(steps).any():
        truth["step_time_s"] = float(np.nanmean(steps))
    if np.isfinite(strides).any():
        truth["stride_time_s"] = float(np.nanmean(strides))
    return merge_sides(truth)
