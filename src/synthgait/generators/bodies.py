"""Many people's skeletons at once, for checking generated strides against their own bodies.

In: a table with height, mass, leg length, age (and knee alignment where known), and signals of strides. Out: a
``kinematics.Skeleton`` of N people and the inertia of their segments, the same numbers as
``musculoskeletal.build_model`` gives one by one (1.4 ms a person, too slow for thousands of strides a
second), without muscles; their coordinates, and where their soles touch the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from synthgait import anthropometry, pathologies
from synthgait.conventions import SAMPLES_PER_STRIDE, SIDES
from synthgait.generators.representation import MOTION_HARMONICS, derivative_matrix
from synthgait.kinematics import BodyMotion, Skeleton
from synthgait.musculoskeletal import Joint

#: From a tenth of body weight friction can hold a foot still.
_CARRYING_BW = 0.1


@dataclass(frozen=True)
class People:
    """N skeletons; ``inertia_kgm2`` maps a body to (N, 3), principal moments about its centre of mass."""

    skeleton: Skeleton
    inertia_kgm2: dict[str, np.ndarray]
    mass_kg: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> People:
        """From height_m, mass_kg, leg_length_m, age_years and the knees' alignment (``pathologies.knee_varus_rad``)."""
        height, mass, leg, age = (np.asarray(table[c], float) for c in ("height_m", "mass_kg", "leg_length_m", "age_years"))
        varus = pathologies.knee_varus_rad(table)
        scales = anthropometry.batch_scales(height, mass, leg, age)
        bodies, root, lumbar = anthropometry.trunk(scales)
        joints, contacts = [root], []
        for side in SIDES:
            leg_bodies, leg_joints = anthropometry.leg(side, scales, varus[side])  # type: ignore[arg-type]
            bodies += leg_bodies
            joints += leg_joints
            contacts += anthropometry.foot_contacts(side, scales, mass / anthropometry.REFERENCE_MASS_KG)  # type: ignore[arg-type]
        joints.append(lumbar)
        n = len(table)
        skeleton = Skeleton(
            tuple(_stacked(joint, n) for joint in joints),
            tuple(degree.coordinate for joint in joints for degree in joint.degrees),
            {mark.name: (mark.body, _vectors(mark.location_m, n)) for mark in anthropometry.landmarks(scales)},
            {c.name: (c.body, _vectors(c.location_m, n), np.broadcast_to(np.asarray(c.radius_m, float), (n,))) for c in contacts},
            {b.name: (np.broadcast_to(np.asarray(b.mass_kg, float), (n,)), _vectors(b.centre_of_mass_m, n)) for b in bodies},
            n,
        )
        inertia = {b.name: _vectors(b.inertia_kgm2[:3], n) for b in bodies}
        return cls(skeleton, inertia, sum(b.mass_kg for b in bodies) + np.zeros(n))


def coordinates(
    skeleton: Skeleton,
    signals: Mapping[str, np.ndarray],
    channels: Mapping[str, tuple[str, ...]],
    stride_length_m: np.ndarray,
    stride_time_s: np.ndarray,
    step: int,
    precision: type[np.floating[Any]] = np.float64,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates, their rates and accelerations (n, phases, D) of strides at every ``step``-th of the 100 phases."""
    names = [*channels["pelvis"], *channels["joint_angles"]]
    order = [names.index(name) for name in skeleton.coordinates]
    values = np.concatenate([signals["pelvis"], signals["joint_angles"]], 2)[:, :, order].astype(precision)
    forward = skeleton.coordinates.index("pelvis_tx")
    periodic = values.copy()
    periodic[:, :, forward] -= stride_length_m[:, None] * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    rates, accelerations = (
        np.matmul(derivative_matrix(degree, MOTION_HARMONICS)[::step].astype(precision), periodic)
        / stride_time_s.astype(precision)[:, None, None] ** degree
        for degree in (1, 2)
    )
    rates[:, :, forward] += (stride_length_m / stride_time_s)[:, None]
    return values[:, ::step], rates, accelerations


@dataclass(frozen=True)
class Sole:
    """A foot's sole and the floor.

    Args:
        depth_m: (n, t) depth of its lowest point under the floor, negative in the air.
        position_m, velocity_mps: (3, n, t) of the point of the foot through which the floor acts.
    """

    depth_m: np.ndarray
    position_m: np.ndarray
    velocity_mps: np.ndarray


def sole(skeleton: Skeleton, foot: str, motion: BodyMotion) -> Sole:
    """Where the floor acts on a foot: the mean of its contact spheres' points of action, half-way down to which each has sunk
    in, by what Hertz's law says that each carries (OpenSim's ``SmoothSphereHalfSpaceForce``); of a foot in the air, its
    lowest point. Short of sliding, friction is proportional to speed, so that of the whole foot is that of this point.
    """
    assert motion.velocity_mps is not None and motion.angular_velocity_radps is not None
    rotation = np.moveaxis(motion.rotation, (-2, -1), (0, 1))
    origin, velocity, spin = (np.moveaxis(a, -1, 0) for a in (motion.origin_m, motion.velocity_mps, motion.angular_velocity_radps))
    spheres = [(location, radius) for body, location, radius in skeleton.contacts.values() if body == foot]
    locations, radii = (np.stack(parts).astype(rotation.dtype) for parts in zip(*spheres, strict=True))
    arms, radii = np.einsum("ijnt,snj->sint", rotation, locations), radii[:, :, None]
    depths = radii - origin[1] - arms[:, 1]
    depth, sunk = depths.max(0), np.maximum(depths, 0.0)
    arms[:, 1] += sunk / 2 - radii
    share = np.sqrt(radii) * sunk**1.5
    share = np.where((depths == depth) & (share <= 0), 1e-12, share)
    arm = np.einsum("snt,sint->int", share / share.sum(0), arms)
    return Sole(depth, origin + arm, velocity + np.cross(spin, arm, axis=0))


def skate_mps(soles: Sequence[Sole], loads_bw: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) mean horizontal speed of the soles of both feet while each carries more than ``_CARRYING_BW``."""
    carrying = np.stack(loads_bw) > _CARRYING_BW
    speed = np.stack([np.hypot(*floor.velocity_mps[[0, 2]]) for floor in soles])
    return (speed * carrying).sum((0, 2)) / np.maximum(carrying.sum((0, 2)), 1)


def _vectors(parts: tuple[object, ...], n: int) -> np.ndarray:
    """Three numbers or arrays (n,) -> (n, 3)."""
    return np.stack([np.broadcast_to(np.asarray(part, float), (n,)) for part in parts], 1)


def _stacked(joint: Joint, n: int) -> Joint:
    offsets = {f.name: _vectors(getattr(joint, f.name), n) for f in fields(joint) if f.name.endswith(("translation_m", "rotation_rad"))}
    return replace(joint, **offsets)  # type: ignore[arg-type]
