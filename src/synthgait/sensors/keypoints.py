"""Key points: which point of the body each name of a key-point set is.

In: a skeleton and coordinates. Out: positions of the key points of a set, and plain 3-D markers.

Sets: COCO-17 (Lin et al., ECCV 2014), OpenPose BODY_25 (Cao et al., TPAMI 2021), MediaPipe Pose's 33
(Bazarevsky et al. 2020), and "joints", all of ``conventions.KEYPOINTS``. Face and hand points are not
landmarks of the model: they sit at fixed places on head and wrist, in shares of the half shoulder
width, read off an adult's proportions (Drillis & Contini 1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthgait.conventions import KEYPOINTS
from synthgait.errors import InputError
from synthgait.kinematics import point_motion
from synthgait.sensors.arms import with_arms
from synthgait.sensors.base import BLOCK, chosen, needs_rng, recording
from synthgait.trials import Trials
from synthgait.walks import Motion, motion_of

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def _both(*parts: str) -> tuple[str, ...]:
    return tuple(f"{part}_{side}" for part in parts for side in ("l", "r"))


KEYPOINT_SETS: dict[str, tuple[str, ...]] = {
    "joints": KEYPOINTS,
    "coco_17": ("nose", *_both("eye", "ear", *_SIDED)),
    "body_25": (
        "nose", "neck",
        *(f"{p}_{s}" for s in ("r", "l") for p in ("shoulder", "elbow", "wrist")),
        "pelvis",
        *(f"{p}_{s}" for s in ("r", "l") for p in ("hip", "knee", "ankle")),
        "eye_r", "eye_l", "ear_r", "ear_l",
        "toe_l", "small_toe_l", "heel_l", "toe_r", "small_toe_r", "heel_r",
    ),
    "mediapipe_33": (
        "nose", "eye_inner_l", "eye_l", "eye_outer_l", "eye_inner_r", "eye_r", "eye_outer_r", *_both("ear", "mouth"),
        *_both("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "toe"),
    ),
}  # fmt: skip

#: Points that are no landmark: the landmark they hang on, and the offset (forward, up, outward) in
#: half shoulder widths.
_HUNG: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.55, 0.05, 0.0)),
    "eye": ("head", (0.45, 0.25, 0.19)),
    "eye_inner": ("head", (0.45, 0.25, 0.10)),
    "eye_outer": ("head", (0.42, 0.25, 0.27)),
    "ear": ("head", (-0.10, 0.10, 0.45)),
    "mouth": ("head", (0.48, -0.15, 0.14)),
    "pinky": ("wrist", (-0.05, -0.45, 0.0)),
    "index": ("wrist", (0.10, -0.50, 0.0)),
    "thumb": ("wrist", (0.20, -0.30, -0.05)),
}


def set_named(name: str | Sequence[str]) -> tuple[str, ...]:
    """The names of a set, or the names given. Raises InputError for a set that does not exist."""
    if not isinstance(name, str):
        return tuple(name)
    if name not in KEYPOINT_SETS:
        raise InputError(f"no key-point set is called {name!r}; there are {', '.join(KEYPOINT_SETS)}")
    return KEYPOINT_SETS[name]


def positions(motion: Motion, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Key points of some trials in world axes (n, T, K, 3), arms swinging."""
    skeleton, (q,) = with_arms(motion.skeleton.select(rows), motion.coordinates[rows])
    half_width = np.abs(skeleton.landmarks["shoulder_r"][1])[..., 2:3]
    points = {}
    for name in names:
        base, _, side = name.rpartition("_") if name[-2:] in ("_l", "_r") else (name, "", "")
        if name in skeleton.landmarks:
            points[name] = skeleton.landmarks[name]
        elif base == "small_toe":
            body, where, _ = skeleton.contacts[f"metatarsal_5_{side}"]
            points[name] = (body, where)
        elif base in _HUNG:
            anchor, (forward, up, outward) = _HUNG[base]
            body, where = skeleton.landmark(f"{anchor}_{side}" if anchor == "wrist" else anchor)
            points[name] = (body, where + half_width * np.array([forward, up, outward if side != "l" else -outward]))
        else:
            raise InputError(f"no key point is called {name!r}")
    moving = point_motion(skeleton, q, points=points)
    return np.stack([moving[name].position_m for name in names], axis=2)


@dataclass(frozen=True)
class MarkerSpecification:
    """Errors of markers. The default has none.

    Args:
        noise_m: white noise per axis and frame.
        offset_sd_m: constant misplacement per person, point and axis.
        missing: probability that a point is lost in a frame (NaN).
    """

    name: str = "ideal"
    noise_m: float = 0.0
    offset_sd_m: float = 0.0
    missing: float = 0.0

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return self.noise_m > 0 or self.offset_sd_m > 0 or self.missing > 0


class Markers:
    """Joints or markers in three dimensions, world axes (X forward, Y up, Z right), metres.

    Args:
        names: a key-point set, or names of landmarks.
        sensor: ``MarkerSpecification`` or a name of ``simulations/sensors/markers.yaml``; the default is ideal.
        root_relative: positions relative to the pelvis, as monocular pose networks give them.
    """

    def __init__(
        self,
        names: str | Sequence[str] = "joints",
        sensor: MarkerSpecification | str | None = None,
        *,
        root_relative: bool = False,
    ) -> None:
        self.names, self.root_relative = set_named(names), root_relative
        self.sensor = chosen(MarkerSpecification, "markers", sensor)

    @property
    def channels(self) -> tuple[str, ...]:
        """``<point>_{x,y,z}``."""
        return tuple(f"{name}_{axis}" for name in self.names for axis in "xyz")

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``keypoints_3d`` (N, T, 3K). Raises InputError for noise without rng."""
        spec = self.sensor
        if spec.random:
            rng = needs_rng(rng, "these markers")
        motion = motion_of(walks)
        parts = []
        for start in range(0, len(walks), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(walks)))
            points = positions(motion, rows, self.names)
            if self.root_relative:
                points = points - positions(motion, rows, ["pelvis"])
            if rng is not None and spec.offset_sd_m:
                points = points + rng.normal(0.0, spec.offset_sd_m, (len(rows), 1, len(self.names), 3))
            if rng is not None and spec.noise_m:
                points = points + spec.noise_m * rng.standard_normal(points.shape)
            if rng is not None and spec.missing:
                points[rng.random(points.shape[:3]) < spec.missing] = np.nan
            parts.append(points.reshape(*points.shape[:2], -1))
        array = np.concatenate(parts) if parts else np.zeros((0, motion.coordinates.shape[1], len(self.channels)))
        return recording(walks, {"keypoints_3d": array}, {"keypoints_3d": self.channels}, walks.sampling_rate_hz)
