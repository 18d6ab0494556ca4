"""The plain folder format: bring your own recordings, or write any of ours in it.

In: a folder with ``dataset.yaml`` (name, licence, citation; optional ``units: m`` or ``px`` for key
points), ``recordings.csv`` (one row per recording) and ``signals/<file>.csv`` (``time_s`` plus
channels). Out: recordings; and back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from synthgait.conventions import AFFECTED_SIDES, SEXES
from synthgait.errors import InputError
from synthgait.recordings import clocks
from synthgait.recordings.base import (
    EMG_MUSCLES,
    KINDS,
    TRUTH,
    TRUTH_STRIDES,
    Recording,
    channels_of,
    merge_sides,
    no_channel,
    signal_table,
)
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import number, number_or_unknown, one_line, read_table, require, text, word

_LOG = logging.getLogger(__name__)
_REQUIRED = ("recording_id", "subject_id", "file", "kind")
#: Words of other people for ours, in small letters; any other pathology is kept as it is written.
_WORDS = {
    "sex": {"f": "female", "w": "female", "m": "male"},
    "pathology": dict.fromkeys(
        (
            *("none", "no", "healthy", "control", "controls", "normal", "able-bodied", "able bodied", "able_bodied"),
            *("td", "typical", "typically developing", "typically_developing", "typically-developing"),
        ),
        "none",
    ),
    "affected_side": {"l": "left", "r": "right", "bilateral": "both", "no": "none"},
    "emg_side": {"left": "l", "right": "r"},
    "truth_strides": {"every": "all"},
}
#: All words that there are; what else is written there is unknown.
_KNOWN = {"sex": SEXES, "affected_side": AFFECTED_SIDES, "emg_side": ("l", "r"), "truth_strides": TRUTH_STRIDES}
#: With these joints markers show a walk as key points do.
_LEGS = tuple(f"{joint}_{side}_{axis}" for joint in ("hip", "knee", "ankle") for side in "lr" for axis in "xyz")
_NUMBERS = ("height_m", "mass_kg", "leg_length_m", "focal_px", "start_s", "end_s")
COLUMNS = (
    *("recording_id", "subject_id", "file", "kind", "variant", "sampling_rate_hz", "start_s", "end_s"),
    *("age_years", "sex", "height_m", "mass_kg", "leg_length_m", "focal_px", "pathology", "affected_side"),
    *TRUTH,
    *("truth_strides", "reference_source", "emg_file", "emg_side", "walk_id"),
)


def is_plain(folder: Path) -> bool:
    """True when the folder has the two files that make a plain dataset."""
    return (folder / "dataset.yaml").is_file() and (folder / "recordings.csv").is_file()


def read(folder: Path, *, truth: bool = True) -> Iterator[Recording | Refused]:
    """Every row that can be read (see ``refusals.readable``), those of markers last. Markers with hips, knees and ankles are key
    points in space, unless another row has those of the same walk, as they moved. Without ``truth`` none is looked at.

    Raises InputError for a missing file or column.
    """
    about = _about(folder / "dataset.yaml")
    index_path = folder / "recordings.csv"
    table = read_table(index_path, dtype=str, keep_default_na=False)
    require(table, _REQUIRED, index_path)
    rows = [(f"line {line} of {index_path}", row) for line, (_, row) in enumerate(table.iterrows(), start=2)]
    rows = [(where, row) for where, row in rows if any(text(row, str(column)) for column in table.columns)]
    rows.sort(key=lambda part: _kind(part[1]) == "markers")
    posed: set[str | None] = set()
    unread: list[str] = []

    # several rows may describe one file; keep only the latest, they come together
    @lru_cache(maxsize=1)
    def signals_of(file: str) -> tuple[Path, pd.DataFrame]:
        path = _inside(folder, file, index_path)
        return path, _samples(path)

    def recordings_of(part: tuple[str, pd.Series]) -> Iterator[Recording]:
        where, row = part
        for column in _REQUIRED:
            if text(row, column) is None:
                raise InputError(f"{where} has no {column}; fill it in")
        kind = _kind(row)
        if kind not in KINDS:
            raise InputError(f"kind in {where} is {text(row, 'kind')!r}; write one of {', '.join(KINDS)}")
        path, signals = signals_of(str(text(row, "file")))
        alone = kind == "markers" and _walk_id(row) not in posed
        if alone and set(_LEGS) <= set(signals.columns):
            kind, alone = "keypoints_3d", False
        recording = _recording(folder, about, row if truth else row.drop(list(TRUTH), errors="ignore"), where, kind, signals, path)
        if alone:
            unread.append(recording.recording_id)
        if _kind(row) == "keypoints_3d" and recording.variant == "main":
            posed.add(_walk_id(row))
        yield recording

    yield from readable(
        str(about["name"]), rows, recordings_of, lambda part: (text(part[1], "recording_id") or part[0].partition(" of ")[0], part[0])
    )
    if unread:
        _LOG.warning(
            "no method reads the markers of %s in %s, which have not both hips, knees and ankles (hip_l_x ...); "
            "name them so, or add rows of keypoints_3d with the same walk_id",
            ", ".join(unread),
            folder,
        )


def _kind(row: Any) -> str:
    return (text(row, "kind") or "").lower()


def _walk_id(row: Any) -> str | None:
    return word(row, "walk_id") or text(row, "recording_id")


def read_signals(path: Path, kind: str) -> tuple[dict[str, np.ndarray], float | None]:
    """Channels and sampling rate of one ``signals/<file>.csv``, on an even clock; kind as in ``recordings.csv``.

    Raises InputError for a missing or empty file, a column that is no number, a clock that runs back or has gaps.
    """
    table = _samples(path)
    found = _signals(table, None, path, kind)
    # no row says which part is meant, so that nothing may be missing
    if found[1] is not None and len(clocks.stops(time := table["time_s"].to_numpy(float), found[1])):
        raise clocks.stands(path, time)
    return found


def _samples(path: Path) -> pd.DataFrame:
    """A table of signals without rows in which not even the clock says anything."""
    table = read_table(path)
    return table.dropna(how="all", ignore_index=True) if "time_s" in table.columns else table


def _about(path: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 ({one_line(error)}); save it so") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML ({str(error).splitlines()[0]}); write name, licence and citation") from None
    if not isinstance(about, dict) or not about.get("name"):
        raise InputError(f"{path} has no name; write name, licence and citation")
    units = about.get("units") or about.get("keypoint_units")
    if units not in (None, "m", "px"):
        raise InputError(f"{path} says units {units!r}; convert key points to metres (m), or leave them in pixels (px)")
    return about


def _inside(folder: Path, file: str, index_path: Path) -> Path:
    local = file.replace("\\", "/")
    for candidate in (folder / local, folder / "signals" / local):
        if candidate.is_file():
            return candidate
    raise InputError(f"{index_path} names the file {file}, which is not below {folder}; put it into signals/")


def _recording(folder: Path, about: dict[str, Any], row: Any, where: str, kind: str, table: pd.DataFrame, path: Path) -> Recording:
    signals, rate = _signals(table, number(row, "sampling_rate_hz", where), path, kind)
    units = str(about.get("units") or about.get("keypoint_units") or ("px" if kind == "keypoints_2d" else "m"))
    emg, emg_side = _emg_of(folder, row, where)
    texts = {column: _worded(row, column, where) for column in ("sex", "pathology", "affected_side")}
    truth = {name: value for name in TRUTH if (value := number(row, name, where)) is not None}
    for name, value in truth.items():
        if value <= 0:
            raise InputError(f"{name} in {where} is {value:g}; write what was measured, above 0, or nothing where it is unknown")
    start = _first_time(table)
    numbers = {column: number(row, column, where) for column in _NUMBERS}
    for column in ("start_s", "end_s"):
        # sections are written on the file's clock, which need not begin at zero
        value = numbers[column]
        if value is not None:
            numbers[column] = value - start
    return Recording(
        dataset=str(about["name"]),
        recording_id=str(text(row, "recording_id")),
        subject_id=str(text(row, "subject_id")),
        kind=kind,
        variant=word(row, "variant") or "main",
        walk_id=word(row, "walk_id") or "",
        signals=signals,
        sampling_rate_hz=rate,
        truth=merge_sides(truth),
        reference_source=word(row, "reference_source") or "",
        truth_strides=_worded(row, "truth_strides", where) or "steady",
        emg=emg,
        emg_side=emg_side,
        age_years=number_or_unknown(row, "age_years", where),
        pixels=units == "px",
        licence=str(about.get("licence", about.get("license", "")) or ""),
        citation=str(about.get("citation", "") or ""),
        other={str(c): text(row, c) or "" for c in row.index if c not in COLUMNS},
        **texts,  # type: ignore[arg-type]
        **numbers,  # type: ignore[arg-type]
    )


def _worded(row: Any, column: str, where: str) -> str | None:
    """One of our words for what a row says; a pathology that is no word of ours as it is written, all else None with a warning."""
    value = word(row, column)
    if value is None:
        return None
    found = _WORDS[column].get(value.lower(), value)
    if column == "pathology":
        return found
    if found.lower() in _KNOWN[column]:
        return found.lower()
    _LOG.warning("%s in %s is %r and taken as unknown; write one of %s", column, where, value, ", ".join(_KNOWN[column]))
    return None


def _emg_of(folder: Path, row: Any, where: str) -> tuple[pd.DataFrame, str] | tuple[None, None]:
    """A row's envelopes and the side whose contact they begin with; None, with a warning, where they cannot be read: the walk can."""
    file = word(row, "emg_file")
    if file is None:
        return None, None
    try:
        table = _emg(_inside(folder, file, folder / "recordings.csv"))
    except InputError as error:
        _LOG.warning("the EMG of %s is left out: %s", where, error)
        return None, None
    if word(row, "emg_side") is None:
        _LOG.warning("the EMG of %s is left out: there is no emg_side; write l or r", where)
    side = _worded(row, "emg_side", where)
    return (None, None) if side is None else (table, side)


def _first_time(table: pd.DataFrame) -> float:
    return float(table["time_s"].iloc[0]) if "time_s" in table.columns and "percent" not in table.columns else 0.0


def _signals(table: pd.DataFrame, rate: float | None, path: Path, kind: str) -> tuple[dict[str, np.ndarray], float | None]:
    channels = channels_of(kind, table.columns)
    if not channels:
        raise InputError(f"{no_channel(str(path), kind)}; it has {', '.join(map(str, table.columns[:12]))}")
    _check_numbers(table, [*channels, *(c for c in ("time_s",) if c in table.columns)], path)
    values = table[channels].to_numpy(float)
    if "time_s" not in table.columns:
        if kind != "joint_angles":
            raise InputError(f"{path} has no column time_s; every signal needs its clock")
        return signal_table(dict(zip(channels, values.T, strict=True))), rate
    time = table["time_s"].to_numpy(float)
    clocks.check(time, path)
    rate = clocks.sampling_rate_hz(time, rate, path)
    values = clocks.even(time, values, rate, path)
    return signal_table(dict(zip(channels, values.T, strict=True))), rate


def _emg(path: Path) -> pd.DataFrame:
    table = read_table(path)
    require(table, ("percent",), path)
    known = {f"{m}_{s}" for m in EMG_MUSCLES for s in "lr"}
    kept = ["percent", *(c for c in table.columns if c in known)]
    if len(kept) == 1:
        raise InputError(f"{path} has no known muscle; name columns like soleus_r, of {', '.join(EMG_MUSCLES)}")
    _check_numbers(table, kept, path)
    percent = table["percent"].to_numpy(float)
    if not np.all(np.diff(percent) > 0) or not 0 <= percent[0] <= percent[-1] <= 100:
        raise InputError(f"percent of {path} does not increase within 0 to 100; write the gait cycle in percent")
    if percent[-1] <= 1:
        raise InputError(f"percent of {path} ends at {percent[-1]:g}, a hundredth of the gait cycle; write 0 to 100")
    return table[kept].astype(float)


def _check_numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise InputError(f"column {column} of {path} holds something that is no number; mend or remove it")


def write_plain(recordings: Sequence[Recording], folder: Path | str) -> Path:
    """Write recordings of one dataset as a plain folder; recordings with the same signals share a file.

    Raises:
        InputError: recordings of several datasets, or a folder that holds something already.
    """
    folder = Path(folder)
    names = sorted({r.dataset for r in recordings})
    if len(names) != 1:
        raise InputError(
            f"a plain folder holds one dataset, these recordings are of {len(names)} ({', '.join(names)}); write one folder each"
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder")
    if len({r.pixels for r in recordings}) > 1:
        raise InputError("key points in metres and in pixels need a folder each, because dataset.yaml gives one unit")
    (folder / "signals").mkdir(parents=True, exist_ok=True)
    about = {"name": names[0], "licence": recordings[0].licence, "citation": recordings[0].citation}
    about["units"] = "px" if recordings[0].pixels else "m"
    (folder / "dataset.yaml").write_text(yaml.safe_dump(about, sort_keys=False, allow_unicode=True), encoding="utf-8")
    rows, written = [], {}
    for recording in recordings:
        key = (recording.sampling_rate_hz, *((c, id(v)) for c, v in recording.signals.items()))
        if key not in written:
            written[key] = f"{_safe(recording.recording_id)}_{recording.kind}_{_safe(recording.variant)}.csv"
            _write_csv(_table(recording), folder / "signals" / written[key])
        rows.append(_row(recording, written[key]))
        if recording.emg is not None:
            rows[-1]["emg_file"] = f"{_safe(recording.recording_id)}_emg.csv"
            _write_csv(recording.emg, folder / "signals" / rows[-1]["emg_file"])
    _write_csv(pd.DataFrame(rows, columns=list(dict.fromkeys([*COLUMNS, *(c for row in rows for c in row)]))), folder / "recordings.csv")
    return folder


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def _table(recording: Recording) -> pd.DataFrame:
    table = pd.DataFrame(recording.signals)
    if recording.sampling_rate_hz is not None:
        table.insert(0, "time_s", np.arange(recording.samples) / recording.sampling_rate_hz)
    return table


def _row(recording: Recording, file: str) -> dict[str, Any]:
    names = [c for c in COLUMNS if c not in TRUTH and c not in ("file", "emg_file")]
    return {**recording.other, **{c: getattr(recording, c) for c in names}, "file": file, **recording.truth}


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    partial = path.with_suffix(".partial")
    table.to_csv(partial, index=False, float_format="%.9g")
    os.replace(partial, path)
