"""Voisard et al. 2023: healthy adults, 10 m out, turn, 10 m back; lower back and both feet.

In: the folder ``voisard_healthy_imu`` (``<person>-<trial>.json`` and ``_lb``, ``_lf``, ``_rf`` text
files at 100 Hz, anywhere below it). Out: two IMU recordings per trial, the way out and the way back.

Events count packets, not rows, and packets get lost: each sensor is put on the common packet clock
by linear interpolation. Steps come from hand-checked contacts. The steady speed and the stride
length come from zero-velocity integration of both feet, because the nominal 10 m per time includes
starting and stopping; the first and last two steps of a way are in no truth. IPOL 2023/497, AGPL-3.0.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.inertial import foot_strides
from synthgait.recordings.base import Recording, merge_sides, readable
from synthgait.recordings.tables import fill_gaps, number, read_table, require, sex

NAME = "voisard_healthy_imu"
LICENCE = "AGPL-3.0"
CITATION = "Voisard et al., Image Processing On Line 2023 (497)"
#: What reference_source says of speeds that an integration of the feet's own sensors gave.
FEET_REFERENCE = "hand-checked contacts; speed and stride length from zero-velocity integration of both feet"
_RATE_HZ = 100.0
_SENSORS = {"lb": "lower_back", "lf": "foot_l", "rf": "foot_r"}
_COLUMNS = ("Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z")
#: A way with fewer steps than this has no steady part.
_MINIMUM_STEPS = 8


def read(folder: Path) -> Iterator[Recording]:
    """Both ways of all trials. Raises InputError for a missing file, column or annotation."""
    annotations = sorted(p for p in folder.rglob("*.json") if p.stem.removesuffix("_meta").count("-") == 1)
    if not annotations:
        raise InputError(f"{folder} has no annotation like 7-4.json; it is not {NAME}")
    yield from readable(folder, annotations, _trial)


def _trial(path: Path) -> Iterator[Recording]:
    try:
        meta = json.loads(path.read_text())
        bounds, turn = meta["TrialBoundaries"], meta["UTurnBoundaries"]
        events = {"l": meta["LeftFootEvents"], "r": meta["RightFootEvents"]}
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} lacks {error}; it is not an annotation of {NAME}") from None
    signals = _signals(path)
    last = len(next(iter(signals.values())))
    for way, (first, end) in (("out", (bounds[0], turn[0])), ("back", (turn[1], bounds[1]))):
        end = min(end, last - 1)
        contacts = sorted((contact, side) for side in "lr" for _, contact in events[side] if first <= contact <= end)
        if end - first > 3 * _RATE_HZ and len(contacts) >= _MINIMUM_STEPS:
            yield _recording(path, meta, way, signals, first, end, contacts)


def _signals(path: Path) -> dict[str, np.ndarray]:
    stem = path.stem.removesuffix("_meta")
    tables = {}
    for suffix, placement in _SENSORS.items():
        file = path.with_name(f"{stem}_{suffix}.txt")
        table = read_table(file, sep="\t", skiprows=1)
        require(table, ("PacketCounter", *_COLUMNS), file)
        packets = table["PacketCounter"].to_numpy(float)
        if np.any(np.diff(packets) <= 0):
            raise InputError(f"the packet counter of {file} does not increase; the file is damaged")
        tables[placement] = (packets, table.loc[:, list(_COLUMNS)].to_numpy(float))
    grid = np.arange(int(min(packets[-1] for packets, _ in tables.values())) + 1, dtype=float)
    return {
        f"{placement}_{channel}": column
        for placement, (packets, values) in tables.items()
        for channel, column in zip(IMU_CHANNELS, fill_gaps(packets, values, grid).T, strict=True)
    }


def _recording(
    path: Path, meta: Any, way: str, signals: dict[str, np.ndarray], first: int, end: int, contacts: list[tuple[int, str]]
) -> Recording:
    # the first and the last two steps start and stop
    steady = contacts[2:-2]
    steps: dict[str, list[float]] = {"l": [], "r": []}
    for (before, side), (after, other) in itertools.pairwise(steady):
        if side != other:
            steps[other].append((after - before) / _RATE_HZ)
    truth = merge_sides({f"step_time_{s}_s": float(np.mean(steps[s])) for s in "lr" if steps[s]})
    start_s, end_s = first / _RATE_HZ, end / _RATE_HZ
    lengths = []
    for side in "lr":
        foot = np.column_stack([signals[f"foot_{side}_{c}"] for c in IMU_CHANNELS])
        strides = foot_strides(foot[:, :3], foot[:, 3:], _RATE_HZ)
        middle = 0.5 * (strides.start_s + strides.end_s) * _RATE_HZ
        inside = (middle > steady[0][0]) & (middle < steady[-1][0])
        if inside.any():
            lengths.append(float(strides.length_m[inside].mean()))
    if len(lengths) == 2 and "stride_time_s" in truth:
        truth["stride_length_m"] = float(np.mean(lengths))
        truth["walking_speed_mps"] = truth["stride_length_m"] / truth["stride_time_s"]
    height = number(meta, "Height", path)
    stem = path.stem.removesuffix("_meta")
    return Recording(
        dataset=NAME,
        recording_id=f"{stem}_{way}",
        subject_id=str(meta.get("Subject", stem.split("-")[0])),
        kind="imu",
        signals=signals,
        sampling_rate_hz=_RATE_HZ,
        start_s=start_s,
        end_s=end_s,
        age_years=number(meta, "Age", path),
        sex=sex(str(meta.get("Gender", ""))),
        height_m=None if height is None else height / 100.0,
        mass_kg=number(meta, "Weight", path),
        pathology="none",
        affected_side="none",
        truth=merge_sides(truth),
        reference_source=FEET_REFERENCE,
        licence=LICENCE,
        citation=CITATION,
    )
