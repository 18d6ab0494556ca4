"""Feet that hold still while they carry: the likeliest stride beside a drawn one whose loaded soles do not slide.

In: white vectors of drawn strides, the Gaussian they belong to, and the walkers. Out: white vectors whose soles slide less.

A sampled stride is right in every curve but not in their sum: two degrees too much at a hip move a foot by three
centimetres. The velocity of the sole where the floor acts is a smooth function of the latent stride, so a
Gauss-Newton step finds the change of least size *in the white vector* (the most probable one) that brings it to
what friction lets it creep wherever a foot is loaded: the stride conditioned on its feet holding, as in the extended
Kalman filter. Further steps keep the first one's slopes, which cost more than everything else. Speed and stride length
stay what was asked for; every channel moves with the others as the seed gaits say.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from synthgait.anthropometry import FRICTION
from synthgait.conventions import PELVIS_COORDINATES, SAMPLES_PER_STRIDE, SIDES
from synthgait.generators.bodies import sole
from synthgait.generators.representation import MOTION_HARMONICS, StrideRepresentation, Walker, derivative_matrix
from synthgait.kinematics import DegreeMotion, Skeleton, body_motion, degree_motion

#: Every so many phases of the 100 are held.
_STEP = 4
_ITERATIONS = 3
#: Directions of the white vector that are moved, of those that move the body most.
_DIRECTIONS = 64
#: Speed of a sole, in m/s, that counts as much as one standard deviation of the white vector. Where feet are held more firmly
#: at once (0.05, from 0.4 of body weight), a classifier tells strides from simulated ones more often (accuracy 0.61, not 0.54).
_TOLERANCE_MPS = 0.06
#: A stride is moved this far at most, in standard deviations of the white vector, times the firmness: one in fifty would go
#: farther at first, and be another stride.
_FARTHEST = 4.0
#: Share of body weight from which a foot is held in full; a sole that lands or lifts off slides even in simulation.
_HELD_BW = 0.65
#: Speed in m/s that a sole creeps forward and to the right per horizontal force, as a share of the vertical one,
#: backward and to the left: the friction of the seed gaits' soles, short of sliding.
CREEP_MPS = FRICTION["transition_velocity_mps"] / (
    FRICTION["dynamic_friction"] + FRICTION["viscous_friction"] * FRICTION["transition_velocity_mps"]
)
_GRIP = FRICTION["dynamic_friction"]
_MOTION = ("pelvis", "joint_angles")


class Footing:
    """Holds the soles of strides of one representation.

    Args:
        root: (D, D), latent = mean + scale * white @ root.
    """

    def __init__(self, representation: StrideRepresentation, root: np.ndarray) -> None:
        self.root = _moving(representation, root).astype(np.float32)
        self.coordinates = [name for group in _MOTION for name in representation.channels[group]]
        self.lengths = np.array([name in PELVIS_COORDINATES[3:] for name in self.coordinates])
        forces = [representation.channels["ground_reaction"].index(f"ground_reaction_{axis}_{side}") for side in SIDES for axis in "yxz"]
        derivative = derivative_matrix(1, MOTION_HARMONICS)
        motion = [np.concatenate([representation.synthesis(group)[part] for group in _MOTION], -1) for part in (0, 1)]
        force = [part[..., forces] for part in representation.synthesis("ground_reaction")]
        # at the held phases: coordinates, their rates over phase, and forces, in one linear map and its offset
        held = [
            np.concatenate([m[..., ::_STEP, :], np.einsum("st,...tc->...sc", derivative[::_STEP], m), f[..., ::_STEP, :]], -1)
            for m, f in zip(motion, force, strict=True)
        ]
        self.maps, self.offset = held[0].reshape(representation.size, -1).astype(np.float32), held[1].astype(np.float32)
        self.moves = self.root @ self.maps
        # the same from R directions of the white vector to coordinates and rates, (phases, 2, coordinates, R)
        turned = np.einsum("rd,dpc->pcr", self.root, held[0][:, :, : 2 * len(self.coordinates)])
        self.chains = turned.reshape(len(turned), 2, len(self.coordinates), -1).astype(np.float32)

    def hold(self, latents: np.ndarray, table: pd.DataFrame, skeleton: Skeleton, scale: np.ndarray, firmness: float = 1.0) -> np.ndarray:
        """Latents (n, D) near some, whose loaded soles hardly slide; the table has their sizes, stride length and time,
        ``scale`` (n,) is how far such strides scatter (``ConditionalGaussian.scale``), ``firmness`` divides what is tolerated.
        """
        walker = Walker.of(table)
        stride_time_s = np.asarray(table["stride_time_s"], float)
        told = latents.astype(np.float32) @ self.maps
        scale, moved = scale.astype(np.float32), np.zeros((len(latents), len(self.root)), np.float32)
        for step in range(_ITERATIONS):
            now = told + scale[:, None] * (moved @ self.moves)
            slopes, slip = self._slip(now, walker, stride_time_s, skeleton, scale, firmness, with_slopes=step == 0)
            if step == 0:
                slope = torch.from_numpy(slopes)
                factor = torch.linalg.cholesky(slope.mT @ slope + torch.eye(slope.shape[2]))
            moved -= torch.cholesky_solve(slope.mT @ torch.from_numpy(slip)[..., None], factor)[..., 0].numpy()
            moved *= np.minimum(firmness * _FARTHEST / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6), 1.0)
        return latents + scale[:, None] * (moved @ self.root)

    def _slip(
        self,
        told: np.ndarray,
        walker: Walker,
        stride_time_s: np.ndarray,
        skeleton: Skeleton,
        scale: np.ndarray,
        firmness: float,
        with_slopes: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """How fast the loaded soles of strides told by ``maps`` slide beyond their creep, (n, rows) in tolerances, and
        with ``with_slopes`` how that goes with the white vectors along the directions that move the body, (n, rows, R).
        """
        q, qd, forces = self._read(told, walker, stride_time_s)
        order = [self.coordinates.index(name) for name in skeleton.coordinates]
        feet = [f"foot_{side}" for side in SIDES]
        if with_slopes:
            bodies, degrees = degree_motion(skeleton, q[..., order], qd[..., order], feet, np.float32)
        else:
            bodies, degrees = body_motion(skeleton, q[..., order], qd[..., order], bodies=feet, precision=np.float32), {}
        slopes, slips = [], []
        for number, side in enumerate(SIDES):
            floor = sole(skeleton, f"foot_{side}", bodies[f"foot_{side}"])
            up, along = forces[..., 3 * number], np.moveaxis(forces[..., 3 * number + 1 : 3 * number + 3], 2, 0)
            held = np.clip(along / np.maximum(up, 0.05), -_GRIP, _GRIP)
            # a sole whose grip is used up slides, at any speed
            grip = 1 - np.minimum(np.hypot(*held) / _GRIP, 1.0) ** 4
            weight = np.clip(up / _HELD_BW, 0.0, 1.0) ** 2 * grip * firmness / _TOLERANCE_MPS
            if with_slopes:
                other = "_l" if side == "r" else "_r"
                chain = [name for name in degrees if not name.endswith(other)]
                slopes.append(
                    self._slope(chain, degrees, floor.position_m, floor.velocity_mps, weight * scale[:, None], walker, stride_time_s)
                )
            slips.append(np.moveaxis((floor.velocity_mps[[0, 2]] + CREEP_MPS * held) * weight, 0, -1).reshape(len(told), -1))
        return np.concatenate(slopes, 1) if with_slopes else np.empty(0), np.concatenate(slips, 1).astype(np.float32)

    def _read(self, told: np.ndarray, walker: Walker, stride_time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates and rates (n, phases, C), and forces (n, phases, 6) in body weights, at the held phases."""
        told = told.reshape(len(told), *self.offset.shape) + self.offset
        count = len(self.coordinates)
        unit = np.where(self.lengths, walker.leg_length_m[:, None], 1.0)[:, None, :]
        q, qd = told[..., :count] * unit, told[..., count : 2 * count] * unit
        forward = self.coordinates.index("pelvis_tx")
        q[..., forward] += walker.stride_length_m[:, None] * np.arange(0, 1, _STEP / SAMPLES_PER_STRIDE)
        qd[..., forward] += walker.stride_length_m[:, None]
        return q, qd / stride_time_s[:, None, None], told[..., 2 * count :]

    def _slope(
        self,
        chain: list[str],
        degrees: Mapping[str, DegreeMotion],
        position: np.ndarray,
        velocity: np.ndarray,
        weight: np.ndarray,
        walker: Walker,
        stride_time_s: np.ndarray,
    ) -> np.ndarray:
        """(n, phases * 2, R): how the horizontal velocity of a sole's point, times its weight (n, phases), goes with
        the white vector by way of the coordinates of a chain.
        """
        n, phases = weight.shape
        columns = np.empty((phases, n, 2, 2, len(chain)), np.float32)
        where = [self.coordinates.index(name) for name in chain]
        for k, name in enumerate(chain):
            by_rate, by_value = degrees[name].sensitivity(position, velocity)
            unit = walker.leg_length_m if self.lengths[where[k]] else np.ones(n)
            gain = (unit[:, None] * weight).T
            for axis, component in enumerate((0, 2)):
                columns[:, :, axis, 0, k] = np.broadcast_to(by_value[component], (n, phases)).T * gain
                columns[:, :, axis, 1, k] = np.broadcast_to(by_rate[component], (n, phases)).T * gain / stride_time_s
        maps = self.chains[:, :, where].reshape(phases, 2 * len(chain), -1)
        slope = np.matmul(columns.reshape(phases, n * 2, -1), maps).reshape(phases, n, 2, -1)
        return np.moveaxis(slope, 0, 1).reshape(n, phases * 2, -1)


def _moving(representation: StrideRepresentation, root: np.ndarray) -> np.ndarray:
    """(R, D) rows of an orthonormal turn of the white vector times the root: the ``_DIRECTIONS`` that move the body most. The
    others change forces and activations, and a sole's velocity by nothing to speak of.
    """
    maps = np.concatenate([representation.synthesis(group)[0].reshape(representation.size, -1) for group in _MOTION], 1)
    _, _, turn = np.linalg.svd(maps.T.astype(float) @ root.T, full_matrices=False)
    return turn[:_DIRECTIONS] @ root
