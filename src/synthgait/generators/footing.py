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

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from synthgait.anthropometry import FRICTION
from synthgait.conventions import PELVIS_COORDINATES, SAMPLES_PER_STRIDE, SIDES
from synthgait.generators.bodies import Sole, skate_mps, sole
from synthgait.generators.representation import MOTION_HARMONICS, StrideRepresentation, Walker, derivative_matrix
from synthgait.kinematics import DegreeMotion, Skeleton, body_motion, degree_motion
from synthgait.trials import Trials

#: Every so many phases of the 100 are held.
_STEP = 4
_ITERATIONS = 2
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
#: The same, and how much firmer, for strides whose soles still skate after that.
_HELD_ON_BW, _HELD_ON_FIRMER = 0.35, 2.0
#: From this share of the limit on a stride counts as skating: a quarter of the phases tells its soles' mean speed to a tenth.
_SKATES = 0.9
#: Speed in m/s that a sole creeps forward and to the right per horizontal force, as a share of the vertical one,
#: backward and to the left: the friction of the seed gaits' soles, short of sliding.
CREEP_MPS = FRICTION["transition_velocity_mps"] / (
    FRICTION["dynamic_friction"] + FRICTION["viscous_friction"] * FRICTION["transition_velocity_mps"]
)
_GRIP = FRICTION["dynamic_friction"]
_PROGRESS = np.arange(0, 1, _STEP / SAMPLES_PER_STRIDE, dtype=np.float32)
_MOTION = ("pelvis", "joint_angles")


@dataclass(frozen=True)
class _Drawn:
    """Strides told by ``maps`` (n, phases * numbers), their walkers, how far such strides scatter (n,), and coordinates and rates
    that are what they are (n, phases, 2, K).
    """

    told: np.ndarray
    leg_length_m: np.ndarray
    stride_length_m: np.ndarray
    stride_time_s: np.ndarray
    skeleton: Skeleton
    scale: np.ndarray
    fixed: np.ndarray

    @classmethod
    def of(cls, told: np.ndarray, table: pd.DataFrame, skeleton: Skeleton, scale: np.ndarray, fixed: np.ndarray) -> _Drawn:
        walker = Walker.of(table)
        numbers = (walker.leg_length_m, walker.stride_length_m, np.asarray(table["stride_time_s"]))
        leg_length_m, stride_length_m, stride_time_s = (column.astype(np.float32) for column in numbers)
        return cls(told, leg_length_m, stride_length_m, stride_time_s, skeleton, scale.astype(np.float32), fixed)

    def select(self, rows: np.ndarray) -> _Drawn:
        numbers = (self.leg_length_m[rows], self.stride_length_m[rows], self.stride_time_s[rows])
        return _Drawn(self.told[rows], *numbers, self.skeleton.select(rows), self.scale[rows], self.fixed[rows])


@dataclass(frozen=True)
class _Slip:
    """How fast loaded soles slide.

    Args:
        slip_mps: (n, rows) horizontal velocities beyond their creep. load_bw, grip: (n, rows) what the foot carries, and the
            share of its grip that is left.
        skate_mps: (n,) mean speed while loaded, creep included, as ``plausibility`` measures it.
        slopes: (n, rows, R) how ``slip_mps`` goes with the white vectors; empty where not asked for.
    """

    slip_mps: np.ndarray
    load_bw: np.ndarray
    grip: np.ndarray
    skate_mps: np.ndarray
    slopes: np.ndarray

    def select(self, rows: np.ndarray) -> _Slip:
        slopes = self.slopes[rows] if self.slopes.size else self.slopes
        return _Slip(self.slip_mps[rows], self.load_bw[rows], self.grip[rows], self.skate_mps[rows], slopes)

    def weight(self, held_bw: float) -> np.ndarray:
        """(n, rows) how much each velocity counts, per m/s, where feet are held in full from a load of ``held_bw`` on."""
        return np.clip(self.load_bw / held_bw, 0.0, 1.0) ** 2 * self.grip / _TOLERANCE_MPS


class Footing:
    """Holds the soles of strides of one representation.

    Args:
        root: (D, D), latent = mean + scale * white @ root.
        fixed: coordinates that are given, in the representation's order: they stay, and the others move so that soles hold.
    """

    def __init__(self, representation: StrideRepresentation, root: np.ndarray, fixed: Collection[str] = ()) -> None:
        self.coordinates = [name for group in _MOTION for name in representation.channels[group]]
        free = np.array([name not in fixed for name in self.coordinates])
        self.fixed = np.flatnonzero(~free)
        self.root = _moving(representation, root, free).astype(np.float32)
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
        moves = (self.root @ self.maps).reshape(len(self.root), *self.offset.shape)
        moves *= np.concatenate([free, free, np.ones(len(forces), bool)])
        self.moves = moves.reshape(len(self.root), -1)
        # the same from R directions of the white vector to coordinates and rates, (phases, 2, coordinates, R)
        turned = np.moveaxis(moves[:, :, : 2 * len(self.coordinates)], 0, 2)
        self.chains = turned.reshape(len(turned), 2, len(self.coordinates), -1).astype(np.float32)

    def hold(
        self,
        latents: np.ndarray,
        table: pd.DataFrame,
        skeleton: Skeleton,
        scale: np.ndarray,
        firmness: float = 1.0,
        most_mps: float = np.inf,
        given: Trials | None = None,
    ) -> np.ndarray:
        """Latents (n, D) near some, whose loaded soles hardly slide; the table has their sizes, stride length and time,
        ``scale`` (n,) is how far such strides scatter (``ConditionalGaussian.scale``), ``firmness`` divides what is tolerated.
        Those whose soles may then still move faster than ``most_mps`` are held on, twice as firmly. ``given`` has the fixed
        coordinates of the n strides.
        """
        told = latents.astype(np.float32) @ self.maps
        strides = _Drawn.of(told, table, skeleton, scale, self._fixed(given, table))
        moved = np.zeros((len(latents), len(self.root)), np.float32)
        now = self._slip(strides, moved, with_slopes=True)
        slopes = torch.from_numpy(now.slopes)
        moved = self._settled(strides, moved, now, slopes, firmness, _HELD_BW)
        now = self._slip(strides, moved)
        on = now.skate_mps > _SKATES * most_mps
        if on.any():
            some = slopes[torch.from_numpy(on)]
            moved[on] = self._settled(strides.select(on), moved[on], now.select(on), some, _HELD_ON_FIRMER * firmness, _HELD_ON_BW)
        return latents + scale[:, None] * (moved @ self.root)

    def _fixed(self, given: Trials | None, table: pd.DataFrame) -> np.ndarray:
        """(n, phases, 2, K) values and rates over phase of the fixed coordinates as ``maps`` tells them."""
        if given is None:
            return np.empty((len(table), len(_PROGRESS), 2, 0), np.float32)
        walker = Walker.of(table)
        values = np.stack([given.channel(self.coordinates[k]).astype(float) for k in self.fixed], 2)
        for k, where in enumerate(self.fixed):
            if self.coordinates[where] == "pelvis_tx":
                values[:, :, k] -= walker.stride_length_m[:, None] * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
            if self.lengths[where]:
                values[:, :, k] /= walker.leg_length_m[:, None]
        rates = np.einsum("st,ntk->nsk", derivative_matrix(1, MOTION_HARMONICS), values)
        return np.stack([values, rates], 2)[:, ::_STEP].astype(np.float32)

    def _settled(self, strides: _Drawn, moved: np.ndarray, now: _Slip, slopes: torch.Tensor, firmness: float, held_bw: float) -> np.ndarray:
        """Where Gauss-Newton steps with the slopes given lead from white vectors ``moved`` (n, R), at which soles slip as ``now``."""
        weighted = slopes * torch.from_numpy(firmness * now.weight(held_bw))[..., None]
        factor = torch.linalg.cholesky(weighted.mT @ weighted + torch.eye(slopes.shape[2]))
        for step in range(_ITERATIONS):
            if step:
                now = self._slip(strides, moved)
            pull = weighted.mT @ torch.from_numpy(firmness * now.weight(held_bw) * now.slip_mps)[..., None]
            moved = moved - torch.cholesky_solve(pull, factor)[..., 0].numpy()
            moved *= np.minimum(firmness * _FARTHEST / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6), 1.0)
        return moved

    def _slip(self, strides: _Drawn, moved: np.ndarray, with_slopes: bool = False) -> _Slip:
        """How the loaded soles of strides slide that are moved along the directions of ``moves`` by (n, R)."""
        q, qd, forces = self._read(strides, moved)
        skeleton = strides.skeleton
        order = [self.coordinates.index(name) for name in skeleton.coordinates]
        feet = [f"foot_{side}" for side in SIDES]
        if with_slopes:
            bodies, degrees = degree_motion(skeleton, q[..., order], qd[..., order], feet, np.float32)
        else:
            bodies, degrees = body_motion(skeleton, q[..., order], qd[..., order], bodies=feet, precision=np.float32), {}
        soles = [sole(skeleton, foot, bodies[foot]) for foot in feet]
        slopes, slips, loads, grips = [], [], [], []
        for number, floor in enumerate(soles):
            up, along = forces[..., 3 * number], np.moveaxis(forces[..., 3 * number + 1 : 3 * number + 3], 2, 0)
            held = np.clip(along / np.maximum(up, 0.05), -_GRIP, _GRIP)
            loads.append(np.repeat(up, 2, 1))
            # a sole whose grip is used up slides, at any speed
            grips.append(np.repeat(1 - np.minimum(np.hypot(*held) / _GRIP, 1.0) ** 4, 2, 1))
            slips.append(np.moveaxis(floor.velocity_mps[[0, 2]] + CREEP_MPS * held, 0, -1).reshape(len(q), -1))
            if with_slopes:
                other = "_l" if SIDES[number] == "r" else "_r"
                slopes.append(self._slope([name for name in degrees if not name.endswith(other)], degrees, floor, strides))
        slip, load, grip = (np.concatenate(parts, 1).astype(np.float32) for parts in (slips, loads, grips))
        slope = np.concatenate(slopes, 1) if with_slopes else np.empty(0, np.float32)
        return _Slip(slip, load, grip, skate_mps(soles, [forces[..., 0], forces[..., 3]]), slope)

    def _read(self, strides: _Drawn, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates and rates (n, phases, C), and forces (n, phases, 6) in body weights, at the held phases."""
        told = strides.told + (strides.scale[:, None] * moved) @ self.moves
        told = told.reshape(len(told), *self.offset.shape) + self.offset
        count = len(self.coordinates)
        told[..., self.fixed], told[..., count + self.fixed] = strides.fixed[:, :, 0], strides.fixed[:, :, 1]
        unit = np.where(self.lengths, strides.leg_length_m[:, None], np.float32(1))[:, None, :]
        q, qd = told[..., :count] * unit, told[..., count : 2 * count] * unit
        forward = self.coordinates.index("pelvis_tx")
        q[..., forward] += strides.stride_length_m[:, None] * _PROGRESS
        qd[..., forward] += strides.stride_length_m[:, None]
        return q, qd / strides.stride_time_s[:, None, None], told[..., 2 * count :]

    def _slope(self, chain: list[str], degrees: Mapping[str, DegreeMotion], floor: Sole, strides: _Drawn) -> np.ndarray:
        """(n, phases * 2, R): how the horizontal velocity of a sole goes with the white vector by way of the coordinates of
        a chain.
        """
        n, phases = floor.depth_m.shape
        columns = np.empty((phases, n, 2, 2, len(chain)), np.float32)
        where = [self.coordinates.index(name) for name in chain]
        for k, name in enumerate(chain):
            by_rate, by_value = degrees[name].sensitivity(floor.position_m, floor.velocity_mps)
            unit = strides.leg_length_m if self.lengths[where[k]] else np.ones(n)
            gain = unit * strides.scale
            for axis, component in enumerate((0, 2)):
                columns[:, :, axis, 0, k] = np.broadcast_to(by_value[component], (n, phases)).T * gain
                columns[:, :, axis, 1, k] = np.broadcast_to(by_rate[component], (n, phases)).T * gain / strides.stride_time_s
        maps = self.chains[:, :, where].reshape(phases, 2 * len(chain), -1)
        slope = np.matmul(columns.reshape(phases, n * 2, -1), maps).reshape(phases, n, 2, -1)
        return np.moveaxis(slope, 0, 1).reshape(n, phases * 2, -1)


def _moving(representation: StrideRepresentation, root: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(R, D) rows of an orthonormal turn of the white vector times the root: the ``_DIRECTIONS`` that move the body most, by its
    ``free`` coordinates (C,). The others change forces and activations, and a sole's velocity by nothing to speak of.
    """
    maps = np.concatenate([representation.synthesis(group)[0] for group in _MOTION], -1)[..., free].reshape(representation.size, -1)
    _, _, turn = np.linalg.svd(maps.T.astype(float) @ root.T, full_matrices=False)
    return turn[:_DIRECTIONS] @ root
