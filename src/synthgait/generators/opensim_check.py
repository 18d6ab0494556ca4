"""OpenSim's own word on generated strides: the dynamic residual of a sample, by its inverse dynamics.

In: strides as ``Trials`` (100 phases). Out: per stride what OpenSim needs at the pelvis beyond the stride's own ground
reaction, as root mean squares, beside the same from ``plausibility``.

OpenSim, in a process of its own, gives the generalised forces that a body without muscles and without floor needs to
move as the stride does (``certify.forces_wanted``). At the pelvis these are the external force and its moments about
the pelvis' axes; the stride's ground reaction at its centre of pressure is subtracted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthgait import pathologies
from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2, PELVIS_COORDINATES, SIDES
from synthgait.gait import lean_rad
from synthgait.generators.bodies import coordinates
from synthgait.generators.plausibility import Limits, measure
from synthgait.kinematics import Skeleton, degree_motion
from synthgait.simulate.workers import call, close_all
from synthgait.subjects import Subject
from synthgait.trials import Trials


def opensim_residuals(strides: Trials, n: int = 12) -> pd.DataFrame:
    """Residuals of ``n`` strides, evenly spaced through the dataset.

    Returns columns opensim_force_bw and opensim_moment_nmkg (about the pelvis' origin), root mean squares over the
    stride, and residual_force_bw and residual_moment_nmkg, what ``plausibility.measure`` says of the same strides.
    """
    sample = strides.select(np.unique(np.linspace(0, len(strides) - 1, n).round().astype(int)))
    ours = measure(sample, Limits())[["residual_force_bw", "residual_moment_nmkg"]]
    lean = lean_rad(sample)
    try:
        rows = [_residual(sample.select([i]), float(lean[i])) for i in range(len(sample))]
    finally:
        close_all()
    return pd.concat([pd.DataFrame(rows, columns=["opensim_force_bw", "opensim_moment_nmkg"]), ours], axis=1)


def _residual(stride: Trials, lean_rad: float) -> tuple[float, float]:
    row = stride.table.iloc[0]
    known = {name: float(row[name]) for name in ("age_years", "height_m", "mass_kg", "leg_length_m")}
    varus = {side: float(value[0]) for side, value in pathologies.knee_varus_rad(stride.table).items()}
    model = pathologies.aligned(build_model(Subject("person", sex=str(row["sex"]), **known)), varus)  # type: ignore[arg-type]
    skeleton = Skeleton.of([model])
    time, length = (np.array([float(row[name])]) for name in ("stride_time_s", "stride_length_m"))
    q, qd, qdd = coordinates(skeleton, stride.signals, stride.channels, length, time, 1)
    bodies, axes = degree_motion(skeleton, q, qd, ["pelvis", *(f"foot_{side}" for side in SIDES)])
    wanted = call("opensim", "synthgait.certify:forces_wanted", model, q[0], qd[0], qdd[0], lean_rad)
    place = {name: skeleton.coordinates.index(name) for name in PELVIS_COORDINATES}
    force = wanted[:, [place[f"pelvis_t{axis}"] for axis in "xyz"]]
    turning = [name for name in PELVIS_COORDINATES if axes[name].turns]
    directions = np.stack([np.broadcast_to(axes[name].axis, (3, 1, len(force)))[:, 0].T for name in turning], 1)
    # the generalised force of a rotation is the moment's part along its axis
    moment = np.linalg.solve(directions, wanted[:, [place[name] for name in turning]][:, :, None])[:, :, 0]
    pelvis = bodies["pelvis"].origin_m[0]
    for side in SIDES:
        ground, at = _ground(stride, side, bodies[f"foot_{side}"].origin_m[0])
        if "free_moment" in stride.signals:
            moment[:, 1] -= stride.channel(f"free_moment_{side}")[0]
        force = force - ground
        moment = moment - np.cross(at - pelvis, ground)
    mass = float(row["mass_kg"])
    return float(np.sqrt((force**2).sum(1).mean())) / (mass * GRAVITY_MPS2), float(np.sqrt((moment**2).sum(1).mean())) / mass


def _ground(stride: Trials, side: str, foot_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Force (t, 3) on one foot and where it acts (t, 3): under the foot (t, 3) where its centre of pressure is not known."""
    force = np.stack([stride.channel(f"ground_reaction_{axis}_{side}")[0] for axis in "xyz"], 1).astype(float)
    at = np.stack([stride.channel(f"centre_of_pressure_{axis}_{side}")[0].astype(float) for axis in "xz"], 1)
    at = np.where(np.isfinite(at), at, foot_m[:, ::2])
    return force, np.insert(at, 1, 0.0, axis=1)
