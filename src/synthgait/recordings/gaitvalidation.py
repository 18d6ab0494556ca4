"""GaitValidation: three-dimensional pose from one frontal video against a wearable report.

In: the folder ``gaitvalidation_video_pose`` (``sensor_all_df.csv``, key points as npy, one Noraxon
report per trial). Out: two recordings per walk, ``camera_scale`` (metric as the pose network gave
it) and ``root_relative`` (pelvis at the origin in every frame).

The camera's frame (mm, y down, z away from it) becomes metres with X along the walk, Y up, Z to
the walker's right. No licence is stated at the source: internal evaluation only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthgait.errors import InputError
from synthgait.recordings.base import Recording, merge_sides, signal_table
from synthgait.recordings.refusals import Refused, readable
from synthgait.recordings.tables import number, number_or_unknown, one_line, read_table, require, sex

NAME = "gaitvalidation_video_pose"
LICENCE = "none stated: internal evaluation only"
CITATION = "GaitValidation repository (video-based gait analysis against Noraxon sensors)"
_RATE_HZ = 60.0
_JOINTS = (
    "head_top",
    "neck",
    "shoulder_r",
    "elbow_r",
    "wrist_r",
    "shoulder_l",
    "elbow_l",
    "wrist_l",
    "hip_r",
    "knee_r",
    "ankle_r",
    "hip_l",
    "knee_l",
    "ankle_l",
    "pelvis",
    "spine",
    "head",
)
_REPORT = {
    "walking_speed_mps": ("Velocity [km/h]", 1 / 3.6),
    "step_length_l_m": ("Step Length left [cm]", 0.01),
    "step_length_r_m": ("Step Length right [cm]", 0.01),
    "step_time_l_s": ("Step Time left [ms]", 0.001),
    "step_time_r_s": ("Step Time right [ms]", 0.001),
    "stride_time_s": ("Stride Time [ms]", 0.001),
}


def read(folder: Path) -> Iterator[Recording | Refused]:
    """The trials of ``sensor_all_df.csv`` that have key points. Raises InputError for a bad table."""
    index = read_table(folder / "sensor_all_df.csv")
    require(index, ("trial name", "ID"), folder / "sensor_all_df.csv")
    poses = {path.stem: path for path in sorted(folder.glob("keypoints*/*.npy"))}
    rows = [(str(row["trial name"]).removesuffix(".csv"), row) for _, row in index.iterrows()]
    trials = [(trial, row) for trial, row in rows if trial in poses]
    if not trials:
        raise InputError(
            f"{folder} has no key points (keypoints*/<trial>.npy) for any trial of sensor_all_df.csv; the dataset is incomplete"
        )
    reports = folder / "sensor_report_noraxon"
    yield from readable(NAME, trials, lambda t: _recordings(*t, poses[t[0]], reports / f"{t[0]}.csv"), lambda t: (t[0], poses[t[0]]))


def _recordings(trial: str, row: Any, pose_path: Path, report_path: Path) -> Iterator[Recording]:
    try:
        pose = np.load(pose_path, allow_pickle=False).astype(float)
    except (ValueError, OSError) as error:
        raise InputError(f"{pose_path} cannot be read as an array ({one_line(error)}); restore the file") from None
    if pose.ndim != 3 or pose.shape[1:] != (len(_JOINTS), 3):
        raise InputError(f"{pose_path} has shape {pose.shape}; (frames, {len(_JOINTS)}, 3) is expected")
    depth = pose[:, _JOINTS.index("pelvis"), 2]
    depth = depth[np.isfinite(depth)]
    if not len(depth):
        raise InputError(f"{pose_path} shows the pelvis in none of its {len(pose)} frames; leave the trial out")
    report = read_table(report_path, encoding="utf-8-sig")
    require(report, [column for column, _ in _REPORT.values()], report_path)
    values = report.iloc[0]
    truth = {
        name: value * factor for name, (column, factor) in _REPORT.items() if (value := number(values, column, report_path)) is not None
    }
    sign = 1.0 if depth[-1] >= depth[0] else -1.0
    world = 0.001 * np.stack([sign * pose[..., 2], -pose[..., 1], sign * pose[..., 0]], axis=-1)
    rooted = world - world[:, [_JOINTS.index("pelvis")]]
    dizzy = str(row.get("Group", "")).upper() == "DIZ" or trial.lower().startswith("diz")
    for variant, points in (("camera_scale", world), ("root_relative", rooted)):
        yield Recording(
            dataset=NAME,
            recording_id=f"{trial}_{variant}",
            walk_id=trial,
            subject_id=str(row["ID"]),
            kind="keypoints_3d",
            variant=variant,
            signals=signal_table({f"{j}_{a}": points[:, i, k] for i, j in enumerate(_JOINTS) for k, a in enumerate("xyz")}),
            sampling_rate_hz=_RATE_HZ,
            age_years=number_or_unknown(row, "Age", f"sensor_all_df.csv of {trial}"),
            sex=sex(str(row.get("Gender", ""))),
            # the column says cm and holds metres
            height_m=_height_m(number(values, "Height [cm]", report_path)),
            pathology="dizziness" if dizzy else "none",
            affected_side=None if dizzy else "none",
            truth=merge_sides(truth),
            reference_source="Noraxon wearable report",
            licence=LICENCE,
            citation=CITATION,
        )


def _height_m(value: float | None) -> float | None:
    if value is None:
        return None
    return value / 100.0 if value > 3.0 else value
