"""gaitmap's example data: foot sensors at 204.8 Hz with foot markers at 100 Hz.

In: the folder ``gaitmap_example`` (``imu_sample.csv``, ``mocap_sample.csv``,
``stride_events_sample.csv``; ``imu_sample_ms_<side>.csv`` without truth). Out: one IMU recording per
straight way between turns with truth from heel markers at the listed initial contacts, and one
recording per foot of the person with multiple sclerosis. Angular velocities in the files are in
deg/s, markers in mm with z up; both clocks start together. MIT licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.recordings.base import Recording, merge_sides
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import read_table, require

NAME = "gaitmap_example"
LICENCE = "MIT"
CITATION = "Küderle et al., gaitmap example data (IEEE OJEMB 2024;5:163)"
_IMU_RATE_HZ = 204.8
#: The second person's sensors ran at half the rate (their strides last 94 samples: 0.92 s).
_MS_RATE_HZ = 102.4
_MOCAP_RATE_HZ = 100.0


def read(folder: Path) -> Iterator[Recording | Refused]:
    """Straight ways with truth, and feet without."""
    feet = {f"ms_foot_{side[0]}": folder / f"imu_sample_ms_{side}.csv" for side in ("left", "right")}
    parts = [("healthy", folder / "imu_sample.csv"), *((name, path) for name, path in feet.items() if path.is_file())]
    yield from readable(NAME, parts, lambda part: _healthy(folder) if part[0] == "healthy" else [_foot(*part)], lambda part: part)


def _healthy(folder: Path) -> Iterator[Recording]:
    """Straight ways with truth. Raises InputError for a missing file or column."""
    imu_path = folder / "imu_sample.csv"
    imu = read_table(imu_path, header=[0, 1], index_col=0)
    signals: dict[str, np.ndarray] = {}
    for side, sensor in (("l", "left_sensor"), ("r", "right_sensor")):
        if sensor not in imu.columns.get_level_values(0):
            raise InputError(f"{imu_path} has no sensor {sensor!r}; it is not {NAME}")
        signals |= _channels(pd.DataFrame(imu[sensor]), f"foot_{side}", imu_path)
    events_path = folder / "stride_events_sample.csv"
    events = read_table(events_path)
    require(events, ("foot", "ic", "pre_ic"), events_path)
    heels = _heels(folder / "mocap_sample.csv")
    for number, strides in enumerate(_ways(events, heels), start=1):
        yield _recording(f"healthy_way{number}", signals, strides)


def _foot(name: str, path: Path) -> Recording:
    """One foot of the person with multiple sclerosis, without truth."""
    return Recording(
        dataset=NAME,
        recording_id=name,
        walk_id="ms",
        subject_id="ms",
        kind="imu",
        signals=_channels(read_table(path), name.removeprefix("ms_"), path),
        sampling_rate_hz=_MS_RATE_HZ,
        pathology="multiple_sclerosis",
        licence=LICENCE,
        citation=CITATION,
    )


def _channels(table: pd.DataFrame, placement: str, path: Path) -> dict[str, np.ndarray]:
    require(table, IMU_CHANNELS, path)
    return {
        f"{placement}_{c}": (np.deg2rad(table[c].to_numpy(float)) if c.startswith("gyr") else table[c].to_numpy(float))
        for c in IMU_CHANNELS
    }


def _heels(path: Path) -> dict[str, np.ndarray]:
    """Heel markers (T, 2) on the floor plane, m."""
    mocap = read_table(path, header=[0, 1], index_col=0)
    missing = [m for m in ("L_FCC", "R_FCC") if m not in mocap.columns.get_level_values(0)]
    if missing:
        raise InputError(f"{path} has no marker {missing[0]}; it is not {NAME}")
    return {s: 0.001 * mocap[m][["x", "y"]].to_numpy(float) for s, m in (("left", "L_FCC"), ("right", "R_FCC"))}


def _ways(events: pd.DataFrame, heels: dict[str, np.ndarray]) -> Iterator[pd.DataFrame]:
    """Strides (foot, start_s, end_s, length_m, direction) of each straight way, from markers at contacts."""
    rows = []
    for _, event in events.iterrows():
        start, end = float(event["pre_ic"]) / _IMU_RATE_HZ, float(event["ic"]) / _IMU_RATE_HZ
        heel = heels[str(event["foot"])]
        clock = np.arange(len(heel)) / _MOCAP_RATE_HZ
        path = np.array([np.interp(end, clock, c) - np.interp(start, clock, c) for c in heel.T])
        rows.append((str(event["foot"]), start, end, float(np.linalg.norm(path)), float(path[0])))
    table = pd.DataFrame(rows, columns=["foot", "start_s", "end_s", "length_m", "forward_m"]).dropna()
    # the walkway lies along x: a stride that turns covers little of it
    straight = table[table["forward_m"].abs() > 0.7 * table["length_m"].median()].sort_values("start_s")
    for _, way in straight.groupby((np.sign(straight["forward_m"]).diff().fillna(0.0) != 0).cumsum()):
        if len(way) >= 4:
            yield way


def _recording(name: str, signals: dict[str, np.ndarray], strides: pd.DataFrame) -> Recording:
    durations = strides["end_s"] - strides["start_s"]
    truth = {
        "walking_speed_mps": float(strides["length_m"].sum() / durations.sum()),
        "stride_length_m": float(strides["length_m"].mean()),
        "stride_time_s": float(durations.mean()),
    }
    return Recording(
        dataset=NAME,
        recording_id=name,
        subject_id="healthy",
        kind="imu",
        signals=signals,
        sampling_rate_hz=_IMU_RATE_HZ,
        start_s=float(strides["start_s"].min()),
        end_s=float(strides["end_s"].max()),
        pathology="none",
        affected_side="none",
        truth=merge_sides(truth),
        reference_source="foot markers at listed initial contacts",
        truth_strides="all",
        licence=LICENCE,
        citation=CITATION,
    )
