"""OpenSim's own examples: markers of single people walking on treadmills.

In: the folder ``singles_opensim`` (walking ``.trc`` files anywhere below it, mm, Y up). Out: one
keypoints_3d recording per file, X turned to where the walker faces. None carries truth, because the
belts' speeds are not recorded. The OpenSense sensors have no angular velocity and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthgait.errors import InputError
from synthgait.recordings.base import Recording, signal_table
from synthgait.recordings.refusals import Refused, readable
from synthgait.signal_events import forward_axis

NAME = "singles_opensim"
LICENCE = "Apache-2.0 (opensim-core); models as stated"
CITATION = "OpenSim example data (Delp et al. 2007; Rajagopal et al. 2016)"
_NAMES = {
    "pelvis": (("R.ASIS", "L.ASIS", "V.Sacral"), ("R.ASIS", "L.ASIS", "R.PSIS", "L.PSIS")),
    "shoulder_r": (("R.Acromium",), ("R.Shoulder",)),
    "shoulder_l": (("L.Acromium",), ("L.Shoulder",)),
    "elbow_r": (("R.Elbow",),),
    "elbow_l": (("L.Elbow",),),
    "ankle_r": (("R.Ankle",), ("R.Heel", "R.Midfoot.Sup")),
    "ankle_l": (("L.Ankle",), ("L.Heel", "L.Midfoot.Sup")),
    "knee_r": (("R.Knee",), ("R.Thigh.Rear", "R.Shank.Upper")),
    "knee_l": (("L.Knee",), ("L.Thigh.Rear", "L.Shank.Upper")),
    "heel_r": (("R.Heel",),),
    "heel_l": (("L.Heel",),),
    "toe_r": (("R.Toe.Tip",), ("R.Toe",)),
    "toe_l": (("L.Toe.Tip",), ("L.Toe",)),
    "head_top": (("Top.Head",),),
}


def read(folder: Path) -> Iterator[Recording | Refused]:
    """All walking trc files. Raises InputError when there is none."""
    paths = sorted(p for p in folder.rglob("*.trc") if "walk" in p.stem and "static" not in p.stem)
    if not paths:
        raise InputError(f"{folder} has no walking .trc file; it is not {NAME}")
    yield from readable(NAME, paths, _walk, lambda path: (path.stem, path))


def _walk(path: Path) -> Iterator[Recording]:
    markers, rate = _trc(path)
    points = _points(markers)
    if "ankle_l" in points and "ankle_r" in points:
        yield _recording(path, points, rate)


def _trc(path: Path) -> tuple[dict[str, np.ndarray], float]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        about = dict(zip(lines[1].split(), lines[2].split(), strict=False))
        names = [n.strip() for n in lines[3].split("\t")[2:] if n.strip()]
        scale = {"mm": 0.001, "m": 1.0}[about["Units"]]
        rows = [np.array([float(v) if v.strip() else np.nan for v in line.split("\t")[2:]]) for line in lines[5:] if line.strip()]
        values = np.array([r[: 3 * len(names)] for r in rows if len(r) >= 3 * len(names)]) * scale
        rate = float(about["DataRate"])
    except (IndexError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no readable trc file ({error!r}); restore it") from None
    return {n: values[:, 3 * i : 3 * i + 3] for i, n in enumerate(names)}, rate


def _points(markers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    points = {}
    for joint, choices in _NAMES.items():
        for choice in choices:
            if all(m in markers and np.all(np.isfinite(markers[m])) for m in choice):
                points[joint] = np.mean([markers[m] for m in choice], axis=0)
                break
    return points


def _recording(path: Path, points: dict[str, np.ndarray], rate: float) -> Recording:
    ahead = forward_axis(points)
    right = np.cross(ahead, (0.0, 1.0, 0.0))
    points = {j: np.column_stack([xyz @ ahead, xyz[:, 1], xyz @ right]) for j, xyz in points.items()}
    return Recording(
        dataset=NAME,
        recording_id=path.stem,
        subject_id="walk_free" if path.stem.startswith("walk_free") else path.parent.name,
        kind="keypoints_3d",
        signals=signal_table({f"{j}_{a}": xyz[:, i] for j, xyz in points.items() for i, a in enumerate("xyz")}),
        sampling_rate_hz=rate,
        licence=LICENCE,
        citation=CITATION,
    )
