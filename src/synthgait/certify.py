"""OpenSim re-computes a gait: the certificate that a solution is OpenSim's own physics.

In: a ``MusculoskeletalModel`` and a ``WalkingSolution`` (or states of any kind). Out: OpenSim's
accelerations and forces there, and the worst differences as ``certificate_*`` columns.

Plain functions of plain values, so that a pool of OpenSim-only worker processes can run them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import opensim

from synthgait import opensim_model
from synthgait.conventions import CERTIFICATE_PREFIX
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.simulate.task import WalkingSolution

#: Largest error a certified gait may have. The solver meets its equations to about 1e-6; a limit
#: is set where an error would still be a hundred times less than what any sensor sees.
LIMITS: dict[str, float] = {
    "acceleration_error": 1e-3,
    "muscle_force_error_bw": 1e-3,
    "tendon_error_bw": 1e-3,
    "ground_reaction_error_bw": 1e-3,
    "ground_moment_error_bwm": 1e-3,
    "joint_moment_error_nm_per_kg": 1e-2,
    "activation_error": 1e-4,
    "defect_error": 1e-4,
    "periodicity_error": 1e-4,
}
#: OpenSim's default ``activation_dynamics_smoothing`` of DeGrooteFregly2016Muscle.
ACTIVATION_SMOOTHING = 0.1
PROGRESSION = "pelvis_tx"


class OpenSimBody:
    """A subject's OpenSim model with the places of our names in OpenSim's vectors.

    Building takes about 0.1 s, a state 1 to 2 ms.

    Attributes:
        model: the description; ``osim``: the ``opensim.Model``.
    """

    def __init__(self, model: MusculoskeletalModel) -> None:
        self.model = model
        self.osim = opensim_model.build(model)
        self._state = self.osim.initSystem()
        forces = self.osim.getForceSet()
        self._muscles = [opensim.DeGrooteFregly2016Muscle.safeDownCast(forces.get(m.name)) for m in model.muscles]
        self._compliant = [i for i, m in enumerate(model.muscles) if m.compliant_tendon]
        self._motors = [
            opensim.CoordinateActuator.safeDownCast(forces.get(a.coordinate + opensim_model.ACTUATOR_SUFFIX)) for a in model.actuators
        ]
        self._contacts = [opensim.SmoothSphereHalfSpaceForce.safeDownCast(forces.get(c.name)) for c in model.contacts]
        bodies = self.osim.getBodySet()
        self._spheres = [(bodies.get(c.body), opensim.Vec3(*(float(v) for v in c.location_m))) for c in model.contacts]
        self._find_places()
        # The same body without muscles, motors and passive moments: what is left is gravity,
        # inertia and the ground, so the difference is what the joints' own structures do.
        self._limp = opensim.State(self._state)
        contact_names = {c.name for c in model.contacts}
        for i in range(forces.getSize()):
            if forces.get(i).getName() not in contact_names:
                forces.get(i).setAppliesForce(self._limp, False)

    def _find_places(self) -> None:
        """Set every state to a value of its own and look where it went: OpenSim's order is its own."""
        state, coordinates = self._state, self.osim.getCoordinateSet()
        marks = 0.001 * (1.0 + np.arange(1000))
        for mark, name in zip(marks, self.model.coordinates, strict=False):
            coordinates.get(name).setValue(state, mark, False)
            coordinates.get(name).setSpeedValue(state, mark)
        for i, mark in enumerate(marks[: len(self._muscles)]):
            self._muscles[i].setActivation(state, mark)
        for i in self._compliant:
            self._muscles[i].setNormalizedTendonForce(state, 0.5 + marks[i])
        controls = self.osim.getDefaultControls()
        for mark, motor in zip(marks, self._motors, strict=False):
            motor.setControls(opensim.Vector(1, -mark), controls)
        degrees, muscles, motors = (marks[: len(x)] for x in (self.model.coordinates, self._muscles, self._motors))
        q, z = state.getQ().to_numpy(), state.getZ().to_numpy()
        self._q = _places(q, degrees)
        self._u = _places(state.getU().to_numpy(), degrees)
        self._activation = _places(z, muscles)
        self._tendon = _places(z, 0.5 + marks[self._compliant]) if self._compliant else np.zeros(0, int)
        self._motor = _places(controls.to_numpy(), -motors)
        self._n = (len(q), state.getNU(), len(z), controls.size())

    def evaluate(
        self,
        coordinates: np.ndarray,
        speeds: np.ndarray,
        activation: np.ndarray,
        tendon_force: np.ndarray,
        tendon_force_rate: np.ndarray,
        actuator_control: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """OpenSim at K states; see the function ``evaluate``."""
        samples, d = len(coordinates), len(self.model.coordinates)
        out = {
            "acceleration": np.empty((samples, d)),
            "mass_matrix": np.empty((samples, d, d)),
            "joint_moment": np.empty((samples, d)),
            "muscle_force": np.empty((samples, len(self._muscles))),
            "tendon_residual": np.zeros((samples, len(self._muscles))),
            "contact_force": np.empty((samples, len(self._contacts), 3)),
            "contact_moment": np.empty((samples, len(self._contacts), 3)),
            "contact_point": np.empty((samples, len(self._contacts), 3)),
        }
        matter, mass = self.osim.getMatterSubsystem(), opensim.Matrix()
        strengths = np.array([m.max_isometric_force_n for m in self.model.muscles], float)
        for k in range(samples):
            self._set(coordinates[k], speeds[k], activation[k], tendon_force[k], tendon_force_rate[k], actuator_control[k])
            state = self._state
            self.osim.realizeAcceleration(state)
            self.osim.realizeAcceleration(self._limp)
            out["acceleration"][k] = state.getUDot().to_numpy()[self._u]
            matter.calcM(state, mass)
            out["mass_matrix"][k] = mass.to_numpy()[np.ix_(self._u, self._u)]
            out["joint_moment"][k] = out["mass_matrix"][k] @ (out["acceleration"][k] - self._limp.getUDot().to_numpy()[self._u])
            out["muscle_force"][k] = [muscle.getTendonForce(state) for muscle in self._muscles]
            for i in self._compliant:
                out["tendon_residual"][k, i] = strengths[i] * self._muscles[i].getImplicitResidualNormalizedTendonForce(state)
            for i, contact in enumerate(self._contacts):
                # On the floor, whose frame is the world's; the force on the foot is the opposite.
                reaction = contact.getHalfSpaceForce(state)
                out["contact_moment"][k, i] = -reaction.get(0).to_numpy()
                out["contact_force"][k, i] = -reaction.get(1).to_numpy()
                # Halfway into the indentation, below the sphere's centre (PHYSICS.md).
                x, y, z = self._spheres[i][0].findStationLocationInGround(state, self._spheres[i][1]).to_numpy()
                out["contact_point"][k, i] = x, 0.5 * (y - float(self.model.contacts[i].radius_m)), z
        return out

    def _set(
        self, q: np.ndarray, u: np.ndarray, activation: np.ndarray, tendon: np.ndarray, tendon_rate: np.ndarray, control: np.ndarray
    ) -> None:
        full_q, full_u, full_z, full_control = (np.zeros(n) for n in self._n)
        full_q[self._q] = q
        full_u[self._u] = u
        full_z[self._activation] = activation
        full_z[self._tendon] = tendon[self._compliant]
        full_control[self._motor] = control
        for state in (self._state, self._limp):
            state.setQ(opensim.Vector.createFromMat(full_q))
            state.setU(opensim.Vector.createFromMat(full_u))
            state.setZ(opensim.Vector.createFromMat(full_z))
        for i in self._compliant:
            self._muscles[i].setDiscreteVariableValue(self._state, "implicitderiv_normalized_tendon_force", float(tendon_rate[i]))
        self.osim.realizeVelocity(self._state)
        self.osim.setControls(self._state, opensim.Vector.createFromMat(full_control))


def _places(vector: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index of each value in the vector. Raises RuntimeError when one is not there exactly once."""
    places = []
    for value in values:
        (found,) = np.nonzero(np.abs(vector - value) < 1e-9)
        if len(found) != 1:
            raise RuntimeError(f"OpenSim keeps {len(found)} states where the description has one")
        places.append(int(found[0]))
    return np.array(places, int)


def evaluate(
    model: MusculoskeletalModel,
    coordinates: np.ndarray,
    speeds: np.ndarray,
    activation: np.ndarray,
    tendon_force: np.ndarray,
    tendon_force_rate: np.ndarray,
    actuator_control: np.ndarray,
) -> dict[str, np.ndarray]:
    """What OpenSim computes at K arbitrary states.

    Args:
        model: the subject's body; D coordinates, M muscles, A actuators, S contacts.
        coordinates, speeds: (K, D), rad and m, rad/s and m/s.
        activation, tendon_force, tendon_force_rate: (K, M); tendon force over maximum isometric
            force and its rate per second, ignored for rigid tendons.
        actuator_control: (K, A).

    Returns:
        ``acceleration`` (K, D); ``mass_matrix`` (K, D, D), so that the generalised force left over
        by other accelerations x is ``mass_matrix @ (x - acceleration)``; ``joint_moment`` (K, D) of
        muscles, actuators and passive structures in N*m; ``muscle_force`` (K, M), the tendon's, in
        N; ``tendon_residual`` (K, M), tendon less fibre force along the tendon in N, zero for rigid
        tendons; ``contact_force`` (K, S, 3) on the foot in N, ``contact_moment`` (K, S, 3) of it about
        the world's origin in N*m and ``contact_point`` (K, S, 3) in m, from the spheres' positions.
    """
    return OpenSimBody(model).evaluate(coordinates, speeds, activation, tendon_force, tendon_force_rate, actuator_control)


def forces_wanted(
    model: MusculoskeletalModel, coordinates: np.ndarray, speeds: np.ndarray, accelerations: np.ndarray, lean_rad: float = 0.0
) -> np.ndarray:
    """Generalised forces (K, D) that OpenSim's body needs, by nothing but gravity, to move like that: inverse dynamics.

    Args:
        coordinates, speeds, accelerations: (K, D).
        lean_rad: how far gravity leans back against the floor's normal, as on a slope.
    """
    body = OpenSimBody(on_slope(model, lean_rad))
    forces, state = body.osim.getForceSet(), opensim.State(body._limp)
    for i in range(forces.getSize()):
        forces.get(i).setAppliesForce(state, False)
    matter, mass = body.osim.getMatterSubsystem(), opensim.Matrix()
    out = np.empty_like(coordinates)
    for k, (q, u, a) in enumerate(zip(coordinates, speeds, accelerations, strict=True)):
        full_q, full_u = np.zeros(body._n[0]), np.zeros(body._n[1])
        full_q[body._q], full_u[body._u] = q, u
        state.setQ(opensim.Vector.createFromMat(full_q))
        state.setU(opensim.Vector.createFromMat(full_u))
        body.osim.realizeAcceleration(state)
        matter.calcM(state, mass)
        free = state.getUDot().to_numpy()[body._u]
        out[k] = mass.to_numpy()[np.ix_(body._u, body._u)] @ (a - free)
    return out


def on_slope(model: MusculoskeletalModel, lean_rad: float) -> MusculoskeletalModel:
    """The body on a level floor whose gravity leans back by that angle, which is the body on a slope."""
    g = float(np.linalg.norm(model.gravity_mps2))
    return replace(model, gravity_mps2=(-g * math.sin(lean_rad), -g * math.cos(lean_rad), 0.0)) if lean_rad else model


def activation_rate(model: MusculoskeletalModel, activation: np.ndarray, excitation: np.ndarray) -> np.ndarray:
    """Rate of activation (K, M) per second, De Groote et al. (2016) with OpenSim's smoothing.

    By the formula and not by OpenSim 4.6, which reads the time constants once per process.
    """
    rise = np.array([m.activation_time_constant_s for m in model.muscles], float)
    fall = np.array([m.deactivation_time_constant_s for m in model.muscles], float)
    towards = 0.5 * np.tanh(ACTIVATION_SMOOTHING * (excitation - activation))
    slowing = 0.5 + 1.5 * activation
    return ((towards + 0.5) / (rise * slowing) + (0.5 - towards) * slowing / fall) * (excitation - activation)


def _defect(time_s: np.ndarray, value: np.ndarray, rate: np.ndarray) -> float:
    """Worst violation of the trapezoidal rule over all intervals and columns."""
    step = np.diff(time_s)[:, None]
    return _worst(np.diff(value, axis=0) - 0.5 * step * (rate[1:] + rate[:-1]))


def _worst(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0.0)) if np.isfinite(values).all() else math.inf


def certify(model: MusculoskeletalModel, solution: WalkingSolution, slope: float = 0.0) -> dict[str, float | str | bool]:
    """Compare a solution with OpenSim at every node.

    Args:
        slope: inclination of the ground as rise over run; the floor stays y = 0 and gravity leans back.

    Returns, each name with the prefix ``certificate_``:
        acceleration_error: worst difference of an acceleration over the largest acceleration (at least 1).
        muscle_force_error_bw, ground_reaction_error_bw: worst difference of one muscle's tendon force
            and of one contact's force component, body weights.
        tendon_error_bw: worst imbalance of tendon and fibre of compliant tendons, body weights.
        ground_moment_error_bwm: worst difference of a contact's moment about the world's origin
            (that is, of its point of application), body weights times metres.
        joint_moment_error_nm_per_kg: worst difference of a joint moment (a force for translations).
        activation_error: worst violation of activation dynamics over one interval, and how far an
            activation leaves 0 to 1.
        defect_error: worst violation of the trapezoidal rule by coordinates (rad, m), speeds (over the
            largest speed, at least 1) and tendon forces.
        periodicity_error: worst difference of last and first node; the progression is left out.
        ok, message: whether all are within ``LIMITS``, and a sentence.
    """
    body = OpenSimBody(on_slope(model, math.atan(slope)))
    s = solution
    errors = dict.fromkeys(LIMITS, math.inf)
    arrays = (s.coordinates, s.speeds, s.accelerations, s.activation, s.excitation, s.tendon_force, s.tendon_force_rate, s.actuator_control)
    if all(np.isfinite(a).all() for a in arrays):
        errors = _errors(body, s)
    too_large = [f"{name} {errors[name]:.2g} (limit {limit:g})" for name, limit in LIMITS.items() if not errors[name] <= limit]
    message = "OpenSim does not agree: " + ", ".join(too_large) + "." if too_large else "OpenSim agrees at every node."
    certificate: dict[str, float | str | bool] = {CERTIFICATE_PREFIX + name: value for name, value in errors.items()}
    return certificate | {CERTIFICATE_PREFIX + "ok": not too_large, CERTIFICATE_PREFIX + "message": message}


def _errors(body: OpenSimBody, s: WalkingSolution) -> dict[str, float]:
    model = body.model
    weight_n = float(model.mass_kg) * float(np.linalg.norm(model.gravity_mps2))
    theirs = body.evaluate(s.coordinates, s.speeds, s.activation, s.tendon_force, s.tendon_force_rate, s.actuator_control)
    scale = max(1.0, _worst(theirs["acceleration"]))
    speed_scale = max(1.0, _worst(s.speeds))
    activation_defect = _defect(s.time_s, s.activation, activation_rate(model, s.activation, s.excitation))
    outside = _worst(np.concatenate([np.clip(-a, 0.0, None) + np.clip(a - 1.0, 0.0, None) for a in (s.activation, s.excitation)]))
    compliant = [i for i, m in enumerate(model.muscles) if m.compliant_tendon]
    defects = [
        _defect(s.time_s, s.coordinates, s.speeds),
        _defect(s.time_s, s.speeds, s.accelerations) / speed_scale,
        _defect(s.time_s, s.tendon_force[:, compliant], s.tendon_force_rate[:, compliant]),
    ]
    kept = [i for i, name in enumerate(model.coordinates) if name != PROGRESSION]
    closing = [s.coordinates[:, kept], s.speeds / speed_scale, s.activation, s.tendon_force[:, compliant]]
    return {
        "acceleration_error": _worst(theirs["acceleration"] - s.accelerations) / scale,
        "muscle_force_error_bw": _worst(theirs["muscle_force"] - s.muscle_force) / weight_n,
        "tendon_error_bw": _worst(theirs["tendon_residual"]) / weight_n,
        "ground_reaction_error_bw": _worst(theirs["contact_force"] - s.contact_force) / weight_n,
        "ground_moment_error_bwm": _worst(theirs["contact_moment"] - np.cross(s.contact_point, s.contact_force)) / weight_n,
        "joint_moment_error_nm_per_kg": _worst(theirs["joint_moment"] - s.joint_moment) / float(model.mass_kg),
        "activation_error": max(activation_defect, outside),
        "defect_error": max(defects),
        "periodicity_error": max(_worst(x[-1] - x[0]) for x in closing),
    }
