"""Newton's and Euler's laws over whole strides: what a motion wants of the ground, and what the ground gives it.

In: strides as ``Trials`` (100 phases) with their bodies. Out: the wrench that is left over between the stride's own ground
reaction and the rate of change of its momentum, about the pelvis, and where its soles are.

Exact where motion has no harmonics above ``MOTION_HARMONICS``: accelerations are those of its Fourier series, and OpenSim's
inverse dynamics finds the same wrench to a thousandth (``opensim_check``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthgait.conventions import GRAVITY_MPS2, SAMPLES_PER_STRIDE, SIDES
from synthgait.gait import lean_rad
from synthgait.generators.bodies import People, Sole, coordinates, sole
from synthgait.generators.representation import fourier_basis
from synthgait.kinematics import BodyMotion, body_motion, cross
from synthgait.trials import Trials

#: With ``sparse``, every so many phases are looked at: half of the cost, and 24 harmonics still fit.
SPARSE_STEP = 2


@dataclass(frozen=True)
class Wrench:
    """Force in N and moment in N m, (3, n, t) each."""

    force: np.ndarray
    moment: np.ndarray


@dataclass(frozen=True)
class State:
    """A body's ``BodyMotion``, component first: rotation (3, 3, n, t), the others (3, n, t), SI."""

    rotation: np.ndarray
    origin: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray
    acceleration: np.ndarray
    spin_rate: np.ndarray

    @classmethod
    def of(cls, moving: BodyMotion) -> State:
        parts = (
            moving.origin_m,
            moving.velocity_mps,
            moving.angular_velocity_radps,
            moving.acceleration_mps2,
            moving.angular_acceleration_radps2,
        )
        return cls(np.moveaxis(moving.rotation, (-2, -1), (0, 1)), *(np.moveaxis(part, -1, 0) for part in parts if part is not None))


class StrideMechanics:
    """Motion, soles and wrenches of n strides at all phases, or at every second one.

    Args:
        people: the walkers' bodies; None makes them from the table.
        sparse: look at every ``SPARSE_STEP``-th phase (t = 50, otherwise 100).

    Attributes:
        q: (n, t, D) coordinates. states: per body.
        base: (3, n, t), a point on the floor that goes forward evenly with the body: about it all moments repeat every stride.
        soles: per side, at all 100 phases.
        wanted: what motion and gravity want from the ground, about the base.
    """

    def __init__(self, strides: Trials, people: People | None = None, *, sparse: bool = False) -> None:
        self.strides, self.step = strides, SPARSE_STEP if sparse else 1
        # micrometres and microradians are enough for thousands of strides a second
        self.precision: type[np.floating[Any]] = np.float32 if sparse else np.float64
        table = strides.table
        self.stride_time_s = np.asarray(table["stride_time_s"], float)
        self.stride_length_m = np.asarray(table["stride_length_m"], float)
        self.leg_length_m = np.asarray(table["leg_length_m"], float)
        self.people = people or People.of(table)
        self.skeleton = self.people.skeleton
        self.weight_n = self.people.mass_kg * GRAVITY_MPS2
        pace = self.stride_length_m, self.stride_time_s
        self.q, qd, qdd = coordinates(self.skeleton, strides.signals, strides.channels, *pace, self.step, self.precision)
        moving = body_motion(self.skeleton, self.q, qd, qdd, precision=self.precision)
        self.states = {body: State.of(motion) for body, motion in moving.items()}
        self.base = np.zeros((3, *self.q.shape[:2]), self.precision)
        self.base[0] = self.stride_length_m[:, None] * np.arange(self.q.shape[1]) / self.q.shape[1]
        self.soles = {side: self._sole(sole(self.skeleton, f"foot_{side}", moving[f"foot_{side}"])) for side in SIDES}
        self.wanted = self._inertial()

    def load(self, side: str) -> np.ndarray:
        """(n, 100) vertical force on one foot in body weights."""
        return self.strides.channel(f"ground_reaction_y_{side}") / self.weight_n.astype(self.precision)[:, None]

    def force(self, side: str) -> np.ndarray:
        """(3, n, t) force on one foot in N."""
        names = self.strides.channels["ground_reaction"]
        columns = [names.index(f"ground_reaction_{axis}_{side}") for axis in "xyz"]
        return np.moveaxis(self.strides.signals["ground_reaction"][:, :: self.step, columns], 2, 0)

    def imbalance(self) -> Wrench:
        """Ground wrench minus what motion wants, about the pelvis."""
        force, moment = -self.wanted.force, -self.wanted.moment
        for side in SIDES:
            ground = self.force(side)
            force = force + ground
            moment = moment + cross(self._pressure_point(side) - self.base, ground)
            if "free_moment" in self.strides.signals:  # NaN where nobody knows it
                moment[1] += np.nan_to_num(self.strides.channel(f"free_moment_{side}")[:, :: self.step])
        return Wrench(force, moment - cross(self.states["pelvis"].origin - self.base, force))

    def size(self, left: Wrench) -> tuple[np.ndarray, np.ndarray]:
        """Root mean square over the stride of a residual force (n,) in body weights and moment (n,) in N m/kg."""
        force, moment = (np.sqrt((part**2).sum(0).mean(1)) for part in (left.force, left.moment))
        return force / self.weight_n, moment / self.people.mass_kg

    def _inertial(self) -> Wrench:
        force, moment = np.zeros_like(self.base), np.zeros_like(self.base)
        # on a slope the floor stays level and gravity leans back (``certify``)
        lean = lean_rad(self.strides)
        gravity = np.stack([-np.sin(lean), -np.cos(lean), np.zeros_like(lean)])[:, :, None] * GRAVITY_MPS2
        gravity = gravity.astype(self.precision)
        for body, numbers in self.skeleton.masses.items():
            mass, location, inertia = (part.astype(self.precision) for part in (*numbers, self.people.inertia_kgm2[body].T[:, :, None]))
            state = self.states[body]
            arm = np.einsum("ijnt,nj->int", state.rotation, location)
            acceleration = state.acceleration + cross(state.spin_rate, arm) + cross(state.spin, cross(state.spin, arm))
            push = (acceleration - gravity) * mass[:, None]
            # Euler's law in the body's own axes, in which its inertia is constant
            spin, spin_rate = (np.einsum("jint,jnt->int", state.rotation, part) for part in (state.spin, state.spin_rate))
            moment += np.einsum("ijnt,jnt->int", state.rotation, inertia * spin_rate + cross(spin, inertia * spin))
            moment += cross(state.origin + arm - self.base, push)
            force += push
        return Wrench(force, moment)

    def _sole(self, found: Sole) -> Sole:
        """At all phases: a sole moves so smoothly that every second phase tells the others, its speed to 0.1 mm/s."""
        if self.step == 1:
            return found
        place = (found.position_m - self.base) @ _BETWEEN.T
        place[0] += self.stride_length_m[:, None] * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
        return Sole(found.depth_m @ _BETWEEN.T, place, found.velocity_mps @ _BETWEEN.T)

    def _pressure_point(self, side: str) -> np.ndarray:
        """(3, n, t) centre of pressure on the floor; under the foot's origin where it is not known."""
        point = self.states[f"foot_{side}"].origin.copy()
        point[1] = 0.0
        if "centre_of_pressure" in self.strides.signals:
            for axis, letter in ((0, "x"), (2, "z")):
                given = self.strides.channel(f"centre_of_pressure_{letter}_{side}")[:, :: self.step]
                point[axis] = np.where(np.isfinite(given), given, point[axis])
        return point


def every_phase(harmonics: int, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """(100, 50) float32: samples at every ``SPARSE_STEP``-th phase to all phases, by their harmonics up to some, each
    weighted (2 * harmonics + 1,).
    """
    sparse = fourier_basis(harmonics, SAMPLES_PER_STRIDE // SPARSE_STEP)
    return ((fourier_basis(harmonics) * weight) @ sparse.T * (SPARSE_STEP / SAMPLES_PER_STRIDE)).astype(np.float32)


_BETWEEN = every_phase(24)
