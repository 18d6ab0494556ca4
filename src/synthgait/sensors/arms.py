"""Arms that swing, for sensors on them: the model lumps them with the trunk.

In: a skeleton and its coordinates. Out: the skeleton with an upper arm and a forearm per side, and
coordinates for them. The shoulder swings with the opposite hip, 0.7 of its excursion (32 degrees
against the hip's 45 at natural speed; Murray, Sepic & Barnard, Phys Ther 1967;47:272), the elbow is
bent by 20 degrees and bends further as the arm comes forward. Sensors see it; the physics does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from synthgait.conventions import COORDINATES, SIDES, mirror_name
from synthgait.kinematics import Skeleton
from synthgait.musculoskeletal import Degree, Joint

SHOULDER_PER_HIP = 0.7
ELBOW_REST_RAD = 0.35
ELBOW_PER_SHOULDER = 0.5


def with_arms(skeleton: Skeleton, *coordinates: np.ndarray) -> tuple[Skeleton, list[np.ndarray]]:
    """The skeleton with arms, and q (then qd, qdd where given), each (N, T, 19) -> (N, T, 23)."""
    if "upper_arm_r" in {joint.child for joint in skeleton.joints}:
        return skeleton, list(coordinates)
    joints, names, landmarks = list(skeleton.joints), list(skeleton.coordinates), dict(skeleton.landmarks)
    zero: Any = np.zeros_like(skeleton.landmarks["shoulder_r"][1])
    swings: list[list[np.ndarray]] = []
    for side in SIDES:
        shoulder: Any
        shoulder, elbow, wrist = (skeleton.landmarks[f"{part}_{side}"][1] for part in ("shoulder", "elbow", "wrist"))
        reach = (-3.0, 3.0)
        joints += [
            Joint(
                f"shoulder_{side}", "torso", f"upper_arm_{side}", shoulder, zero, zero, zero,
                (Degree(f"shoulder_flexion_{side}", "rotation", (0.0, 0.0, 1.0), reach),),
            ),
            Joint(
                f"elbow_{side}", f"upper_arm_{side}", f"forearm_{side}", elbow - shoulder, zero, zero, zero,
                (Degree(f"elbow_flexion_{side}", "rotation", (0.0, 0.0, 1.0), reach),),
            ),
        ]  # fmt: skip
        names += [f"shoulder_flexion_{side}", f"elbow_flexion_{side}"]
        landmarks[f"elbow_{side}"] = (f"upper_arm_{side}", elbow - shoulder)
        landmarks[f"wrist_{side}"] = (f"forearm_{side}", wrist - elbow)
        hip = COORDINATES.index(mirror_name(f"hip_flexion_{side}"))
        for order, values in enumerate(coordinates):
            rest = values[..., hip].mean(axis=-1, keepdims=True) if order == 0 else 0.0
            swing = SHOULDER_PER_HIP * (values[..., hip] - rest)
            bend = ELBOW_PER_SHOULDER * swing + (ELBOW_REST_RAD if order == 0 else 0.0)
            if len(swings) <= order:
                swings.append([])
            swings[order] += [swing, bend]
    armed = replace(skeleton, joints=tuple(joints), coordinates=tuple(names), landmarks=landmarks)
    return armed, [np.concatenate([c, np.stack(s, axis=-1)], axis=-1) for c, s in zip(coordinates, swings, strict=True)]
