"""Voisard et al. 2023: healthy adults, 10 m out, turn, 10 m back; lower back and both feet.

In: the folder ``voisard_healthy_imu`` (``<person>-<trial>.json`` and ``_lb``, ``_lf``, ``_rf`` text
files at 100 Hz, anywhere below it). Out: two IMU recordings per trial, the way out and the way back.

Events count packets, not rows, and packets get lost: each sensor is put on the common packet clock
by linear interpolation. Steps come from hand-checked contacts. The steady speed and the stride
length come from zero-velocity integration of both feet, because the nominal 10 m per time includes
starting and stopping; the first and last two steps of a way are in no truth. A sensor without a file is left out. IPOL 2023/497, AGPL-3.0.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.inertial import foot_strides
from synthgait.recordings.base import Recording, merge_sides
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import fill_gaps, number, number_or_unknown, one_line, read_table, require, sex

NAME = "voisard_healthy_imu"
LICENCE = "AGPL-3.0"
CITATION = "Voisard et al., Image Processing On Line 2023 (497)"
#: What reference_source says of speeds that an integration of the feet's own sensors gave.
FEET_REFERENCE = "hand-checked contacts; speed and stride length from zero-velocity integration of both feet"
_RATE_HZ = 100.0
_EVENTS = {"l": "LeftFootEvents", "r": "RightFootEvents"}
_SENSORS = {"lb": "lower_back", "lf": "foot_l", "rf": "foot_r"}
_COLUMNS = ("Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z")
#: A sensor may lose its last packets; where it lost more of a way (a second), its file is cut off.
_MOST_LOST = 100
#: A way with fewer steps than this has no steady part.
_MINIMUM_STEPS = 8


def read(folder: Path) -> Iterator[Recording | Refused]:
    """Both ways of all trials. Raises InputError where there is no annotation."""
    annotations = sorted(p for p in folder.rglob("*.json") if p.stem.removesuffix("_meta").count("-") == 1)
    if not annotations:
        raise InputError(f"{folder} has no annotation like 7-4.json; it is not {NAME}")
    yield from readable(NAME, annotations, _trial, lambda path: (path.stem.removesuffix("_meta"), path))


def _trial(path: Path) -> Iterator[Recording | Refused]:
    try:
        meta = json.loads(path.read_text())
        (start, stop), (turning, turned) = meta["TrialBoundaries"], meta["UTurnBoundaries"]
        events = sorted((contact, side) for side, key in _EVENTS.items() for _, contact in meta[key])
    except KeyError as error:
        raise InputError(f"{path} lacks {error}; it is not an annotation of {NAME}") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is no annotation of {NAME}, which has pairs of samples ({one_line(error)}); restore the file") from None
    signals, shortest = _signals(path)
    last = len(next(iter(signals.values())))
    for way, (first, end) in (("out", (start, turning)), ("back", (turned, stop))):
        if last < end - _MOST_LOST:
            said = f"{path} says that the way {way} ends at packet {end}, but {shortest.name} ends at {last}; restore the file"
            yield Refused(NAME, f"{path.stem.removesuffix('_meta')}_{way}", said)
            continue
        end = min(end, last - 1)
        contacts = [(contact, side) for contact, side in events if first <= contact <= end]
        if end - first > 3 * _RATE_HZ and len(contacts) >= _MINIMUM_STEPS:
            yield _recording(path, meta, way, signals, first, end, contacts)


def _signals(path: Path) -> tuple[dict[str, np.ndarray], Path]:
    """Channels on the common packet clock, and the file that ends first, where the clock ends."""
    stem = path.stem.removesuffix("_meta")
    tables = {}
    for suffix, placement in _SENSORS.items():
        file = path.with_name(f"{stem}_{suffix}.txt")
        if not file.is_file():
            logging.getLogger(__name__).warning("%s of %s is left out: %s is not there", placement, path, file.name)
            continue
        table = read_table(file, sep="\t", skiprows=1)
        require(table, ("PacketCounter", *_COLUMNS), file)
        # a row that is cut off is a lost packet
        table = table[["PacketCounter", *_COLUMNS]].dropna()
        packets = table["PacketCounter"].to_numpy(float)
        if not len(packets):
            raise InputError(f"{file} has no whole row; restore the file")
        if np.any(np.diff(packets) <= 0):
            raise InputError(f"the packet counter of {file} does not increase; the file is damaged")
        tables[placement] = (packets, table.loc[:, list(_COLUMNS)].to_numpy(float), file)
    if not tables:
        raise InputError(f"{path} has no sensor beside it, like {stem}_lb.txt; restore the files")
    end, shortest = min((packets[-1], file) for packets, _, file in tables.values())
    grid = np.arange(int(end) + 1, dtype=float)
    signals = {
        f"{placement}_{channel}": column
        for placement, (packets, values, _) in tables.items()
        for channel, column in zip(IMU_CHANNELS, fill_gaps(packets, values, grid).T, strict=True)
    }
    return signals, shortest


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
    for side in (side for side in "lr" if f"foot_{side}_acc_x" in signals):
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
        age_years=number_or_unknown(meta, "Age", path),
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
