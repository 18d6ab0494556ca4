"""Winner et al. 2023: phase-averaged sagittal joint angles on a treadmill at six speeds a person.

In: the folder ``winner_gait_signatures`` (two .mat files and ``Subjectlabels.csv``). Out: one
joint-angle recording per person and speed, 100 phases of one stride without absolute time.

The first leg of the file is the paretic one in the stroke rows (inferred from the curves) and is
filed here as the left one. Hip offsets differ per laboratory. No licence is stated: yardstick for
curves, internal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthgait.errors import InputError
from synthgait.recordings.base import Recording
from synthgait.recordings.matlab import load_mat

NAME = "winner_gait_signatures"
LICENCE = "none stated: internal evaluation only"
CITATION = "Winner et al., PLoS Comput Biol 2023;19:e1011556"
_KINEMATICS = "GaitSignatures_PhaseAveraged_ExperimentalKinematics.mat"
_CHANNELS = ("hip_flexion_l", "knee_flexion_l", "ankle_dorsiflexion_l", "hip_flexion_r", "knee_flexion_r", "ankle_dorsiflexion_r")


def read(folder: Path) -> Iterator[Recording]:
    """Every row. Raises InputError when files or rows do not fit together."""
    curves = load_mat(folder / _KINEMATICS, "PhaseAvgPCs_shift_LHS_KINs")
    speeds = np.array([float(np.squeeze(s)) for s in np.atleast_1d(load_mat(folder / "SpeedLabels.mat", "SpeedTrainTrials"))])
    labels_path = folder / "Subjectlabels.csv"
    if not labels_path.is_file():
        raise InputError(f"{labels_path} is not there; the dataset is incomplete")
    labels = labels_path.read_text(encoding="utf-8-sig").split()
    if not (curves.ndim == 3 and curves.shape[1] == len(_CHANNELS) and len(curves) == len(speeds) == len(labels)):
        raise InputError(
            f"{folder} has {curves.shape} curves, {len(speeds)} speeds and {len(labels)} labels; one of each per row is expected"
        )
    for row, (label, speed) in enumerate(zip(labels, speeds, strict=True)):
        stroke = label.upper().startswith("ST")
        yield Recording(
            dataset=NAME,
            recording_id=f"{label}_{speed:.0f}cmps_{row}",
            subject_id=label,
            kind="joint_angles",
            signals={channel: np.deg2rad(curves[row, i]) for i, channel in enumerate(_CHANNELS)},
            sampling_rate_hz=None,
            pathology="stroke" if stroke else "none",
            affected_side="left" if stroke else "none",
            truth={"walking_speed_mps": speed / 100.0},
            reference_source="treadmill speed",
            licence=LICENCE,
            citation=CITATION,
        )
