"""Movin(g)Reality: people after stroke on a treadmill, inertial sensors on feet, shanks and lower back.

In: the folder ``movingreality_stroke_imu`` (``meta.csv`` and one npz per trial). Out: one IMU
recording per trial; trials at a fixed treadmill speed carry truth for their last 120 s.

Ensink et al., Sensors 2024;24:710. MIT licence.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.inertial import foot_strides
from synthgait.recordings.base import Recording, merge_sides
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import number, number_or_unknown, one_line, read_table, require

NAME = "movingreality_stroke_imu"
LICENCE = "MIT"
CITATION = "Ensink et al., Sensors 2024;24:710"
_PLACEMENTS = {"leftfoot": "foot_l", "rightfoot": "foot_r", "leftshank": "shank_l", "rightshank": "shank_r", "lumbar": "lower_back"}
#: The treadmill needs its time to reach the speed: truth holds for the last two minutes.
_SECTION_S = 120.0


def read(folder: Path) -> Iterator[Recording | Refused]:
    """All trials of ``meta.csv``. Raises InputError for a missing table or column."""
    meta = read_table(folder / "meta.csv")
    require(meta, ("file", "subject", "trial", "fixed_treadmill_speed", "speed_mps"), folder / "meta.csv")
    rows = (row for _, row in meta.iterrows())
    yield from readable(
        NAME, rows, lambda row: [_recording(folder / str(row["file"]), row)], lambda row: (_name(row), folder / str(row["file"]))
    )


def _name(row: pd.Series) -> str:
    return f"{row['subject']}_{row['trial']}"


def _recording(path: Path, row: pd.Series) -> Recording:
    where = f"the row of {path.name} in {path.with_name('meta.csv')}"
    if not path.is_file():
        raise InputError(f"{path.with_name('meta.csv')} names {row['file']}, which is not there; restore the file or remove its row")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as arrays ({one_line(error)}); restore the file") from None
    missing = [key for key in ("data", "sensors") if key not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it is not a trial of {NAME}")
    data = arrays["data"].astype(float)
    sensors = [str(s) for s in arrays["sensors"]]
    expected = (len(sensors), data.shape[1] if data.ndim == 3 else 0, len(IMU_CHANNELS))
    if data.shape != expected:
        raise InputError(f"data of {path} has shape {data.shape} where {len(sensors)} sensors of 6 channels are listed; restore the file")
    rate = float(arrays.get("fs", 100.0))
    signals = {
        f"{_PLACEMENTS[sensor]}_{channel}": data[i, :, c]
        for i, sensor in enumerate(sensors)
        if sensor in _PLACEMENTS
        for c, channel in enumerate(IMU_CHANNELS)
    }
    length = data.shape[1] / rate
    start = max(0.0, length - _SECTION_S)
    speed = number(row, "speed_mps", where) if str(row["fixed_treadmill_speed"]).lower() == "true" else None
    height = number(row, "height_cm", where)
    recording = Recording(
        dataset=NAME,
        recording_id=_name(row),
        subject_id=str(row["subject"]),
        kind="imu",
        signals=signals,
        sampling_rate_hz=rate,
        start_s=start,
        end_s=length,
        age_years=number_or_unknown(row, "age", where),
        height_m=None if height is None else height / 100.0,
        mass_kg=number(row, "mass_kg", where),
        pathology="stroke",
        licence=LICENCE,
        citation=CITATION,
    )
    return recording if speed is None else _with_truth(recording, speed)


def _with_truth(recording: Recording, speed_mps: float) -> Recording:
    """The belt's speed and, where both feet wore sensors, their stride time and the stride length that follows."""
    truth, source = {"walking_speed_mps": speed_mps}, "treadmill speed"
    if {"foot_l", "foot_r"} <= set(recording.placements):
        # the stride_T columns of meta.csv are wrong for some trials: take the feet's own rhythm
        section, durations = recording.section(), []
        for side in ("l", "r"):
            strides = foot_strides(*section.imu(f"foot_{side}"), float(section.sampling_rate_hz or 0.0))
            durations.append(strides.end_s - strides.start_s)
        if all(len(each) for each in durations):
            truth["stride_time_s"] = float(np.mean([np.mean(each) for each in durations]))
            truth["stride_length_m"] = speed_mps * truth["stride_time_s"]
            source += "; stride time from the feet's sensors"
    if "stride_time_s" not in truth:
        logging.getLogger(__name__).warning(
            "the stride time and length of %s are unknown, because they are read from sensors on both feet", recording.name
        )
    return replace(recording, truth=merge_sides(truth), reference_source=source)
