"""The plain description as an OpenSim model.

In: a ``MusculoskeletalModel``. Out: an ``opensim.Model``, its ``.osim`` text, or a file; reading a
file back is in ``opensim_reader``. Only ``opensim_model``, ``opensim_reader``, ``certify`` and
``moco`` import OpenSim, and a process that imports any of them must never import CasADi: both
wheels carry a library of the same name.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from pathlib import Path

if "casadi" in sys.modules:  # an undefined symbol, or a crash, would be all that the user sees
    raise ImportError("opensim and casadi cannot be loaded in one process; run the OpenSim side in a process of its own")

import numpy as np
import opensim

from synthgait.errors import InputError
from synthgait.musculoskeletal import Contact, Degree, Joint, Muscle, MusculoskeletalModel, PassiveMoment

# Without this OpenSim writes opensim.log into whatever folder the user is in.
opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("error")

FLOOR = "floor"
ACTUATOR_SUFFIX = "_moment"
PASSIVE_SUFFIX = "_passive"


def build(model: MusculoskeletalModel) -> opensim.Model:
    """The OpenSim model, connected but without a state (call ``initSystem``).

    Joints are CustomJoints; muscles are DeGrooteFregly2016Muscle on polynomial paths, with the
    tendon's state in implicit form where it is compliant; passive moments are expressions; contacts
    are SmoothSphereHalfSpaceForce on the floor y = 0; landmarks are markers.

    Raises:
        InputError: an axis that is not of unit length (OpenSim would quietly make it so, CasADi not).
        RuntimeError: from OpenSim, for numbers that no body can have, such as an inertia that violates
            the triangle inequality.
    """
    for degree in (d for j in model.joints for d in j.degrees):
        if abs(np.linalg.norm(degree.axis) - 1.0) > 1e-12:
            raise InputError(f"the axis of {degree.coordinate!r} has length {np.linalg.norm(degree.axis):.9g}; divide it by that")
    osim = opensim.Model()
    # OpenSim ends the process over a component's name with a space or a slash in it
    osim.setName(re.sub(r"[^\w.-]", "_", model.name))
    osim.setGravity(_vec3(model.gravity_mps2))
    frames: dict[str, opensim.PhysicalFrame] = {"ground": osim.getGround()}
    for body in model.bodies:
        inertia = opensim.Inertia(*(float(v) for v in body.inertia_kgm2))
        frames[body.name] = opensim.Body(body.name, float(body.mass_kg), _vec3(body.centre_of_mass_m), inertia)
        osim.addBody(frames[body.name])
    for joint in model.joints:
        osim.addJoint(_joint(joint, frames[joint.parent], frames[joint.child]))
    coordinate_paths = {d.coordinate: f"/jointset/{j.name}/{d.coordinate}" for j in model.joints for d in j.degrees}
    for muscle in model.muscles:
        osim.addForce(_muscle(muscle, coordinate_paths))
    for actuator in model.actuators:
        motor = opensim.CoordinateActuator(actuator.coordinate)
        motor.setName(actuator.coordinate + ACTUATOR_SUFFIX)
        motor.setOptimalForce(float(actuator.optimal_moment_nm))
        motor.setMinControl(-1.0)
        motor.setMaxControl(1.0)
        osim.addForce(motor)
    for passive in model.passive_moments:
        spring = opensim.ExpressionBasedCoordinateForce(passive.coordinate, passive_expression(passive))
        spring.setName(passive.coordinate + PASSIVE_SUFFIX)
        osim.addForce(spring)
    # OpenSim's half space fills x > 0 of its frame; a quarter turn about Z makes that y < 0.
    floor = opensim.ContactHalfSpace(opensim.Vec3(0), opensim.Vec3(0, 0, -0.5 * math.pi), osim.getGround(), FLOOR)
    osim.addContactGeometry(floor)
    for contact in model.contacts:
        _add_contact(osim, contact, frames[contact.body], floor)
    for landmark in model.landmarks:
        osim.addMarker(opensim.Marker(landmark.name, frames[landmark.body], _vec3(landmark.location_m)))
    osim.finalizeConnections()
    _set_ranges(osim, model)
    return osim


def to_xml(model: MusculoskeletalModel) -> str:
    """The ``.osim`` text of the model: the same text for the same description."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.osim"
        if not build(model).printToXML(str(path)):
            raise OSError(f"OpenSim could not write {path}")
        return path.read_text(encoding="utf-8")


def write(model: MusculoskeletalModel, path: str | Path) -> Path:
    """Write the ``.osim`` file in one step: a killed process leaves the old file or none."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(to_xml(model))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)
    return path


def passive_expression(passive: PassiveMoment) -> str:
    """The moment as OpenSim's expression of q and qdot; 17 digits, so that it reads back equal."""
    k1, k2, theta1 = (repr(float(v)) for v in (passive.k1_nm, passive.k2_per_rad, passive.theta1_rad))
    k3, k4, theta2 = (repr(float(v)) for v in (passive.k3_nm, passive.k4_per_rad, passive.theta2_rad))
    stiffness, damping = (repr(float(v)) for v in (passive.stiffness_nm_per_rad, passive.damping_nms_per_rad))
    return f"({k1})*exp(({k2})*(q-({theta1})))+({k3})*exp(({k4})*(q-({theta2})))-({stiffness})*q-({damping})*qdot"


def complete_axes(axes: list[np.ndarray]) -> list[np.ndarray]:
    """Up to three axes filled up to three with unit axes orthogonal to them and to each other."""
    full = [np.asarray(axis, float) for axis in axes]
    while len(full) < 3:
        span = np.array(full).reshape(-1, 3)
        # The candidate that the given axes cover least, less what they cover of it.
        rest = [e - span.T @ np.linalg.lstsq(span.T, e, rcond=None)[0] if len(span) else e for e in np.eye(3)]
        best = max(rest, key=np.linalg.norm)
        full.append(best / np.linalg.norm(best))
    return full


def _vec3(vector: tuple[float, ...] | np.ndarray) -> opensim.Vec3:
    x, y, z = (float(v) for v in vector)
    return opensim.Vec3(x, y, z)


def _joint(joint: Joint, parent: opensim.PhysicalFrame, child: opensim.PhysicalFrame) -> opensim.CustomJoint:
    transform = opensim.SpatialTransform()
    for kind in ("rotation", "translation"):
        degrees = [d for d in joint.degrees if d.kind == kind]
        axes = complete_axes([np.array(d.axis) for d in degrees])
        for i, axis in enumerate(axes):
            _set_axis(getattr(transform, f"upd_{kind}{i + 1}")(), axis, degrees[i] if i < len(degrees) else None)
    return opensim.CustomJoint(
        joint.name,
        parent,
        _vec3(joint.parent_translation_m),
        _vec3(joint.parent_rotation_rad),
        child,
        _vec3(joint.child_translation_m),
        _vec3(joint.child_rotation_rad),
        transform,
    )


def _set_ranges(osim: opensim.Model, model: MusculoskeletalModel) -> None:
    """Ranges and defaults of the connected model's coordinates; a joint forgets those set before."""
    for degree in (d for j in model.joints for d in j.degrees):
        coordinate = osim.getCoordinateSet().get(degree.coordinate)
        low, high = degree.range
        coordinate.setRangeMin(low)
        coordinate.setRangeMax(high)
        coordinate.setDefaultValue(0.0 if low <= 0.0 <= high else 0.5 * (low + high))


def _set_axis(axis: opensim.TransformAxis, direction: np.ndarray, degree: Degree | None) -> None:
    axis.setAxis(_vec3(direction))
    if degree is None:
        axis.set_function(opensim.Constant(0.0))
    else:
        names = opensim.ArrayStr()
        names.append(degree.coordinate)
        axis.setCoordinateNames(names)
        axis.set_function(opensim.LinearFunction(1.0, 0.0))


def _muscle(muscle: Muscle, coordinate_paths: dict[str, str]) -> opensim.DeGrooteFregly2016Muscle:
    built = opensim.DeGrooteFregly2016Muscle()
    built.setName(muscle.name)
    built.set_max_isometric_force(float(muscle.max_isometric_force_n))
    built.set_optimal_fiber_length(float(muscle.optimal_fibre_length_m))
    built.set_tendon_slack_length(float(muscle.tendon_slack_length_m))
    built.set_pennation_angle_at_optimal(float(muscle.pennation_rad))
    built.set_max_contraction_velocity(float(muscle.max_contraction_velocity_per_s))
    built.set_fiber_damping(float(muscle.fibre_damping))
    built.set_passive_fiber_strain_at_one_norm_force(float(muscle.passive_fibre_strain))
    built.set_tendon_strain_at_one_norm_force(float(muscle.tendon_strain))
    built.set_activation_time_constant(float(muscle.activation_time_constant_s))
    built.set_deactivation_time_constant(float(muscle.deactivation_time_constant_s))
    built.set_ignore_tendon_compliance(not muscle.compliant_tendon)
    built.set_tendon_compliance_dynamics_mode("implicit")
    path = opensim.FunctionBasedPath()
    names = opensim.StdVectorString()
    for name in muscle.path_coordinates:
        names.append(coordinate_paths[name])
    path.setCoordinatePaths(names)
    path.setLengthFunction(_polynomial(muscle))
    built.set_path(path)
    return built


def polynomial_powers(dimension: int, order: int) -> list[tuple[int, ...]]:
    """Powers of every term of OpenSim's MultivariatePolynomialFunction, in the order of its
    coefficients: total degree up to ``order``, the last variable's power running fastest.
    """
    if dimension == 0:
        return [()]
    return [(first, *rest) for first in range(order + 1) for rest in polynomial_powers(dimension - 1, order - first)]


def _polynomial(muscle: Muscle) -> opensim.MultivariatePolynomialFunction:
    dimension, order = len(muscle.path_coordinates), max(sum(p) for p in muscle.path_powers)
    place = {powers: i for i, powers in enumerate(polynomial_powers(dimension, order))}
    coefficients = np.zeros(len(place))
    for powers, coefficient in zip(muscle.path_powers, muscle.path_coefficients_m, strict=True):
        coefficients[place[powers]] += muscle.path_scale * coefficient
    return opensim.MultivariatePolynomialFunction(opensim.Vector.createFromMat(coefficients), dimension, order)


def _add_contact(osim: opensim.Model, contact: Contact, body: opensim.PhysicalFrame, floor: opensim.ContactHalfSpace) -> None:
    sphere = opensim.ContactSphere(float(contact.radius_m), _vec3(contact.location_m), body, contact.name + "_sphere")
    osim.addContactGeometry(sphere)
    force = opensim.SmoothSphereHalfSpaceForce(contact.name, sphere, floor)
    force.set_stiffness(float(contact.stiffness_pa))
    force.set_dissipation(float(contact.dissipation_s_per_m))
    force.set_static_friction(float(contact.static_friction))
    force.set_dynamic_friction(float(contact.dynamic_friction))
    force.set_viscous_friction(float(contact.viscous_friction))
    force.set_transition_velocity(float(contact.transition_velocity_mps))
    osim.addForce(force)
