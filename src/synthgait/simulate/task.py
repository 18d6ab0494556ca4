"""What is asked of a walker, and what comes back: plain values that cross process borders.

In: numbers. Out: ``WalkingTask`` and ``WalkingSolution``; no solver library is imported here, so
both engines (CasADi, OpenSim Moco), the certificate and the sweep can use them.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from synthgait.errors import InputError

#: Shares of the cost terms at unit weights, for both engines; times ten for the sake of the solvers' tolerances.
COST_SHARES = {
    "excitation": 10.0,
    "activation": 10.0,
    "acceleration": 0.05,
    "lumbar": 1.0,
    "tracking": 240.0,
    "ground": 40.0,
    "activity": 228.0,
    "rise": 450.0,
    "surge": 150.0,
    "sway": 60.0,
    "stride_time": 60.0,
    "trunk": 300.0,
}
#: Velocities of the pelvis that are pulled, forward, up and to the right: share of the cost, and coordinate.
PELVIS_MOVES = (("surge", "pelvis_tx"), ("rise", "pelvis_ty"), ("sway", "pelvis_tz"))
#: Forward, up, right and heel: how firmly the ground reaction is pulled; horizontal forces are small beside the vertical one.
GROUND_SHARES = (12.0, 3.0, 40.0, 2.0)


#: Joints whose contact load can be penalised, with their side.
LOADED_JOINTS = ("knee_r", "knee_l", "hip_r", "hip_l")


#: (Curve, factor, shift in rad) of textbook curves, see ``WalkingTask``.
Habits = tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class WalkingTask:
    """One walking problem for a given body.

    Args:
        walking_speed_mps: mean forward speed, met exactly.
        stride_time_s: prescribed stride time, or None for the walker's own choice.
        symmetric: half a stride is solved and mirrored; only for bodies equal on both sides.
        intervals: mesh intervals of the half stride (twice as many for a whole one).
        excitation_weight, activation_weight, acceleration_weight, lumbar_weight, tracking_weight,
        trunk_weight: weights of the cost terms (see ``simulate.problem``); tracking_weight pulls
            towards normative curves and stride time and 0 is purely predictive.
        trunk_lean_rad: forward lean that the trunk is held to, from the model's zero pose, in which the
            trunk's mass lies 7 cm behind the hips (0.14 rad puts it over them).
        slope: ground inclination as rise over run.
        minimum_step_width_m: least lateral distance between the two feet.
        left_contact_phase: phase of the right cycle at which the textbook's left foot lands; not 0.5 where one
            leg is spared.
        habits: (curve, factor, shift in rad) of textbook angles that a pathology changes or that are a
            person's own: what the pull points to is factor times the healthy curve plus the shift. Of
            ``pelvis_ty`` the factor is that of the pelvis's rise and of the vertical force's humps, of
            ``heel_r`` and ``heel_l`` that of the share of the vertical force that the heel carries, of
            ``pelvis_drop_r`` and ``pelvis_drop_l`` that of the pelvis's list while that leg carries it.
        joint_load: (joint of ``LOADED_JOINTS``, weight): what the mean contact load of a painful joint costs, for one
            body weight.
        stride_time_bounds_s: limits of a free stride time; None means 0.75 to 1.6 of the typical one, which
            keeps the walker from the local optima of running steps.
    """

    walking_speed_mps: float
    stride_time_s: float | None = None
    symmetric: bool = True
    intervals: int = 30
    excitation_weight: float = 1.0
    activation_weight: float = 1.0
    acceleration_weight: float = 1.0
    lumbar_weight: float = 1.0
    tracking_weight: float = 1.0
    trunk_weight: float = 1.0
    trunk_lean_rad: float = 0.10
    slope: float = 0.0
    minimum_step_width_m: float = 0.07
    left_contact_phase: float = 0.5
    habits: Habits = ()
    joint_load: tuple[tuple[str, float], ...] = ()
    stride_time_bounds_s: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files and hashes."""
        return asdict(self)


@dataclass
class WalkingSolution:
    """A whole stride (0 to ``stride_time_s``, K nodes including both ends) of one problem.

    Arrays, all float64: ``time_s`` (K,); ``coordinates``, ``speeds``, ``accelerations`` (K, D) in
    the model's coordinate order; ``activation``, ``excitation`` (K, M) in the model's muscle order;
    ``tendon_force`` and ``tendon_force_rate`` (K, M), normalised, zero for rigid tendons;
    ``muscle_force`` (K, M) in N; ``actuator_control`` (K, A) in -1..1;
    ``contact_force`` (K, S, 3) in N and ``contact_point`` (K, S, 3) in m, world axes;
    ``joint_moment`` (K, D) in N*m (N for translations): moment that muscles, actuators and passive
    structures together put on each coordinate. ``hip_to_ankle_m`` tells how large the
    walker was, for those who start from its walk.
    """

    status: str
    message: str
    iterations: int
    cost: float
    wall_s: float
    stride_time_s: float
    hip_to_ankle_m: float
    time_s: np.ndarray
    coordinates: np.ndarray
    speeds: np.ndarray
    accelerations: np.ndarray
    activation: np.ndarray
    excitation: np.ndarray
    tendon_force: np.ndarray
    tendon_force_rate: np.ndarray
    muscle_force: np.ndarray
    actuator_control: np.ndarray
    contact_force: np.ndarray
    contact_point: np.ndarray
    joint_moment: np.ndarray

    @property
    def ok(self) -> bool:
        """True when the solver converged."""
        return self.status == "ok"

    def to_bytes(self) -> bytes:
        """One self-describing block (npz)."""
        buffer = BytesIO()
        np.savez(buffer, **{f.name: np.asarray(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, block: bytes | Path) -> WalkingSolution:
        """Read what ``to_bytes`` wrote, from memory or from a file. Raises InputError when it is damaged."""
        source = block if isinstance(block, Path) else BytesIO(block)
        try:
            with np.load(source, allow_pickle=False) as stored:
                values = {f.name: stored[f.name] for f in fields(cls)}
        except (
            OSError,
            ValueError,
            KeyError,
            AttributeError,
            EOFError,
            RuntimeError,
            MemoryError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            name = block if isinstance(block, Path) else "a solution"
            raise InputError(f"{name} is damaged or no solution of synthgait ({error}); solve it again") from error
        return cls(**{k: v.item() if v.ndim == 0 else v for k, v in values.items()})
