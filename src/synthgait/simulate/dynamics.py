"""The plain body description as differentiable CasADi expressions.

In: a ``MusculoskeletalModel`` whose numbers become symbols. Out: symbolic equations of motion,
muscle, contact and passive forces that equal OpenSim's (the physics tests hold them to 1e-6).

The equations of motion are a recursive Newton-Euler over the joint tree, one degree of freedom at a
time in local coordinates (Featherstone, Rigid Body Dynamics Algorithms, 2008, ch. 5, written for
three-vectors); gravity enters as an upward acceleration of the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import casadi as ca
import numpy as np
from casadi import SX

from synthgait.errors import InputError
from synthgait.musculoskeletal import Contact, Joint, Muscle, MusculoskeletalModel, PassiveMoment, map_numbers, parameters

# De Groote et al. (Ann Biomed Eng 2016;44:2922) as OpenSim 4.6 has them (PHYSICS.md).
_ACTIVE_FORCE_LENGTH = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
_FORCE_VELOCITY = (-0.3211346127989808, -8.149, -0.374, 0.8825327733249912)
_MINIMUM_FIBRE_LENGTH = 0.2
_ACTIVATION_SMOOTHING = 0.1
# SmoothSphereHalfSpaceForce defaults of OpenSim 4.6.
_CONTACT_FORCE_CONSTANT = 1e-5
_HERTZ_SMOOTHING = 300.0
_HUNT_CROSSLEY_SMOOTHING = 50.0
# Nothing beside any width that friction is rounded over.
_TINY = 1e-12


def symbolic(template: MusculoskeletalModel) -> tuple[MusculoskeletalModel, SX, tuple[str, ...]]:
    """The template with every subject-dependent number replaced by a symbol.

    Returns:
        the symbolic model, the parameter vector (P, 1) and the P paths in ``parameters`` order.
    """
    names = tuple(parameters(template))
    index = {name: i for i, name in enumerate(names)}
    vector = SX.sym("p", len(names))
    return map_numbers(template, lambda path, value: vector[index[path]] if path in index else value), vector, names


def _column(values) -> SX:
    return ca.vertcat(*values)


def _axis_rotation(axis: tuple[float, float, float], angle: SX) -> SX:
    """Rodrigues' rotation matrix (3, 3) about a fixed unit axis."""
    x, y, z = axis
    cross = ca.DM([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    outer = ca.DM(np.outer(axis, axis))
    c = ca.cos(angle)
    return SX(ca.sparsify(outer)) * (1 - c) + c * SX(ca.DM.eye(3)) + ca.sin(angle) * SX(ca.sparsify(cross))


def _offset_rotation(angles) -> SX | None:
    """Body-fixed X-Y-Z rotation of an offset frame, None when it is the identity."""
    rotation = None
    for axis, angle in zip(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), angles, strict=True):
        if isinstance(angle, float) and angle == 0.0:
            continue
        step = _axis_rotation(axis, SX(angle))
        rotation = step if rotation is None else ca.mtimes(rotation, step)
    return rotation


@dataclass
class _Frame:
    """Motion of a frame in its own axes, pose in the world's."""

    rotation: SX  # world from frame (3, 3)
    origin: SX  # world (3, 1)
    angular_velocity: SX
    angular_acceleration: SX
    velocity: SX
    acceleration: SX


@dataclass
class _Step:
    """One move down the tree, kept for the way back: a shift, a rotation, and the degree it belongs to."""

    shift: SX | None = None
    rotation: SX | None = None
    degree: int | None = None
    axis: SX | None = None
    kind: str = ""


@dataclass
class Kinematics:
    """Frames of all bodies and the steps of each joint, for one set of q, qd, qdd."""

    frames: dict[str, _Frame]
    steps: dict[str, list[_Step]] = field(default_factory=dict)


def _turn(frame: _Frame, rotation: SX) -> _Frame:
    back = rotation.T
    return _Frame(
        ca.mtimes(frame.rotation, rotation),
        frame.origin,
        *(ca.mtimes(back, v) for v in (frame.angular_velocity, frame.angular_acceleration, frame.velocity, frame.acceleration)),
    )


def _shift(frame: _Frame, r: SX) -> _Frame:
    w, dw = frame.angular_velocity, frame.angular_acceleration
    return _Frame(
        frame.rotation,
        frame.origin + ca.mtimes(frame.rotation, r),
        w,
        dw,
        frame.velocity + ca.cross(w, r),
        frame.acceleration + ca.cross(dw, r) + ca.cross(w, ca.cross(w, r)),
    )


def kinematics(model: MusculoskeletalModel, q: SX, qd: SX, qdd: SX, gravity: SX) -> Kinematics:
    """Forward pass. q, qd, qdd are (D, 1); gravity (3, 1) in world axes, in m/s^2."""
    zero = SX.zeros(3)
    result = Kinematics({"ground": _Frame(SX(ca.DM.eye(3)), zero, zero, zero, zero, -gravity)})
    index = {name: i for i, name in enumerate(model.coordinates)}
    for joint in model.joints:
        result.frames[joint.child], result.steps[joint.name] = _descend(joint, result.frames[joint.parent], index, q, qd, qdd)
    return result


def _descend(joint: Joint, frame: _Frame, index: dict[str, int], q: SX, qd: SX, qdd: SX) -> tuple[_Frame, list[_Step]]:
    steps: list[_Step] = []

    def turn(rotation: SX) -> None:
        nonlocal frame
        frame = _turn(frame, rotation)
        steps.append(_Step(rotation=rotation))

    def shift(by: SX) -> None:
        nonlocal frame
        frame = _shift(frame, by)
        steps.append(_Step(shift=by))

    shift(_column(joint.parent_translation_m))
    offset = _offset_rotation(joint.parent_rotation_rad)
    if offset is not None:
        turn(offset)
    for degree in (d for d in joint.degrees if d.kind == "translation"):
        i, axis = index[degree.coordinate], SX(ca.DM(degree.axis))
        w = frame.angular_velocity
        moved = _shift(frame, axis * q[i])
        frame = _Frame(
            moved.rotation,
            moved.origin,
            w,
            frame.angular_acceleration,
            moved.velocity + axis * qd[i],
            moved.acceleration + axis * qdd[i] + 2 * ca.cross(w, axis * qd[i]),
        )
        steps.append(_Step(shift=axis * q[i], degree=i, axis=axis, kind="translation"))
    for degree in (d for d in joint.degrees if d.kind == "rotation"):
        i, axis = index[degree.coordinate], SX(ca.DM(degree.axis))
        rotation = _axis_rotation(degree.axis, q[i])
        turned = _turn(frame, rotation)
        spin = axis * qd[i]
        frame = _Frame(
            turned.rotation,
            turned.origin,
            turned.angular_velocity + spin,
            turned.angular_acceleration + axis * qdd[i] + ca.cross(turned.angular_velocity, spin),
            turned.velocity,
            turned.acceleration,
        )
        steps.append(_Step(rotation=rotation, degree=i, axis=axis, kind="rotation"))
    child = _offset_rotation(joint.child_rotation_rad)
    if child is not None:
        turn(child.T)
    shift(-_column(joint.child_translation_m))
    return frame, steps


def inverse_dynamics(model: MusculoskeletalModel, motion: Kinematics, wrenches: dict[str, tuple[SX, SX]], inertial: bool = True) -> SX:
    """Generalised forces (D, 1) that the motion needs besides the external wrenches.

    Args:
        wrenches: body -> (force, moment about the body's origin), both in body axes, from outside.
        inertial: False leaves the bodies massless, which gives minus the wrenches' generalised force.
    """
    needed: dict[str, tuple[SX, SX]] = {"ground": (SX.zeros(3), SX.zeros(3))}
    for body in model.bodies:
        force, moment = SX.zeros(3), SX.zeros(3)
        if inertial:
            frame = motion.frames[body.name]
            w, dw = frame.angular_velocity, frame.angular_acceleration
            c = _column(body.centre_of_mass_m)
            xx, yy, zz, xy, xz, yz = body.inertia_kgm2
            inertia = ca.vertcat(ca.horzcat(xx, xy, xz), ca.horzcat(xy, yy, yz), ca.horzcat(xz, yz, zz))
            force = body.mass_kg * (frame.acceleration + ca.cross(dw, c) + ca.cross(w, ca.cross(w, c)))
            moment = ca.mtimes(inertia, dw) + ca.cross(w, ca.mtimes(inertia, w)) + ca.cross(c, force)
        if body.name in wrenches:
            force = force - wrenches[body.name][0]
            moment = moment - wrenches[body.name][1]
        needed[body.name] = (force, moment)
    tau = [SX(0)] * len(model.coordinates)
    for joint in reversed(model.joints):
        force, moment = needed[joint.child]
        for step in reversed(motion.steps[joint.name]):
            if step.degree is not None and step.axis is not None:
                tau[step.degree] = ca.dot(step.axis, moment if step.kind == "rotation" else force)
            if step.rotation is not None:
                force, moment = ca.mtimes(step.rotation, force), ca.mtimes(step.rotation, moment)
            elif step.shift is not None:
                moment = moment + ca.cross(step.shift, force)
        old_force, old_moment = needed[joint.parent]
        needed[joint.parent] = (old_force + force, old_moment + moment)
    return ca.vertcat(*tau)


def contact_force(contact: Contact, motion: Kinematics, rounding: SX | float = 0.0) -> tuple[SX, SX, SX]:
    """SmoothSphereHalfSpaceForce on a sphere over the floor y = 0 (PHYSICS.md; Serrancoli et al. 2019).

    Args:
        rounding: half-width, as a share of the transition velocity, over which the kink where friction
            begins to slide is rounded by a parabola; 0 is OpenSim's law, and a quarter of it is the most
            that friction changes.

    Returns:
        force in N and point of application in m, both (3, 1) in world axes, and the lever of that
        point from the body's origin in body axes.
    """
    frame = motion.frames[contact.body]
    up = frame.rotation[1, :].T  # world up in body axes
    centre = _column(contact.location_m)
    height = frame.origin[1] + ca.dot(up, centre)
    indentation = contact.radius_m - height
    lever = centre - up * (contact.radius_m - indentation / 2)
    velocity = ca.mtimes(frame.rotation, frame.velocity + ca.cross(frame.angular_velocity, lever))
    into, along_x, along_z = -velocity[1], velocity[0], velocity[2]
    k = 0.5 * contact.stiffness_pa ** (2.0 / 3.0)
    hertz = (4.0 / 3.0) * k * ca.sqrt(contact.radius_m * k) * (indentation**2 + _CONTACT_FORCE_CONSTANT) ** 0.75
    hertz = hertz * 0.5 * (1 + ca.tanh(_HERTZ_SMOOTHING * indentation))
    c = contact.dissipation_s_per_m
    normal = hertz * (1 + 1.5 * c * into) * 0.5 * (1 + ca.tanh(_HUNT_CROSSLEY_SMOOTHING * (into + 2 / (3 * c))))
    slip = ca.sqrt(along_x**2 + along_z**2 + _CONTACT_FORCE_CONSTANT)
    ratio = slip / contact.transition_velocity_mps
    static, dynamic = contact.static_friction, contact.dynamic_friction
    held = ca.fmin(ratio, 1) - ca.fmax(rounding - ca.fabs(ratio - 1), 0) ** 2 / (4 * rounding + _TINY)
    friction = normal * (held * (dynamic + 2 * (static - dynamic) / (1 + ratio**2)) + contact.viscous_friction * slip)
    force = ca.vertcat(-friction * along_x / slip, normal, -friction * along_z / slip)
    return force, frame.origin + ca.mtimes(frame.rotation, lever), lever


def path_length(muscle: Muscle, q: SX, index: dict[str, int]) -> SX:
    """Musculotendon length in m: the muscle's polynomial over its coordinates."""
    length = SX(0)
    for powers, coefficient in zip(muscle.path_powers, muscle.path_coefficients_m, strict=True):
        term = SX(coefficient)
        for name, power in zip(muscle.path_coordinates, powers, strict=True):
            for _ in range(power):
                term = term * q[index[name]]
        length = length + term
    return muscle.path_scale * length


def _force_curves(muscle: Muscle, fibre_length: SX, fibre_velocity: SX) -> tuple[SX, SX, SX]:
    """Active force-length, force-velocity and passive force-length multipliers."""
    active = SX(0)
    for b1, b2, b3, b4 in _ACTIVE_FORCE_LENGTH:
        active = active + b1 * ca.exp(-0.5 * (fibre_length - b2) ** 2 / (b3 + b4 * fibre_length) ** 2)
    d1, d2, d3, d4 = _FORCE_VELOCITY
    y = d2 * fibre_velocity + d3
    velocity = d1 * ca.log(y + ca.sqrt(y**2 + 1)) + d4
    e0 = muscle.passive_fibre_strain
    offset = ca.exp(4 * (_MINIMUM_FIBRE_LENGTH - 1) / e0)
    passive = (ca.exp(4 * (fibre_length - 1) / e0) - offset) / (np.exp(4.0) - offset)
    return active, velocity, passive


def muscle_forces(muscle: Muscle, length: SX, speed: SX, activation: SX, tendon: SX, tendon_rate: SX) -> tuple[SX, SX]:
    """Normalised forces of a DeGrooteFregly2016 muscle along its tendon.

    Args:
        length, speed: of the musculotendon path, m and m/s.
        tendon, tendon_rate: normalised tendon force and its rate (used by compliant tendons only).

    Returns:
        fibre force along the tendon, and fibre force minus tendon force (zero expression for a rigid
        tendon, an equilibrium that must vanish for a compliant one).
    """
    slack, optimal = muscle.tendon_slack_length_m, muscle.optimal_fibre_length_m
    if muscle.compliant_tendon:
        stiffness = np.log(1.2 / 0.2) / muscle.tendon_strain
        stretch = 1 + ca.log((tendon + 0.2) / 0.2) / stiffness
        stretch_rate = tendon_rate / (stiffness * (tendon + 0.2))
    else:
        stretch, stretch_rate = SX(1), SX(0)
    along = length - slack * stretch
    width = optimal * ca.sin(muscle.pennation_rad)
    fibre = ca.sqrt(along**2 + width**2)
    cosine = along / fibre
    velocity = (speed - slack * stretch_rate) * cosine / (muscle.max_contraction_velocity_per_s * optimal)
    active, speed_factor, passive = _force_curves(muscle, fibre / optimal, velocity)
    force = (activation * active * speed_factor + passive + muscle.fibre_damping * velocity) * cosine
    return force, force - tendon if muscle.compliant_tendon else SX(0)


def activation_rate(muscle: Muscle, excitation: SX, activation: SX) -> SX:
    """Time derivative of activation, 1/s (De Groote et al. 2016, as OpenSim has it)."""
    z = 0.5 + 1.5 * activation
    f = 0.5 * ca.tanh(_ACTIVATION_SMOOTHING * (excitation - activation))
    rise = (f + 0.5) / (muscle.activation_time_constant_s * z)
    fall = (0.5 - f) * z / muscle.deactivation_time_constant_s
    return (rise + fall) * (excitation - activation)


def passive_moment(passive: PassiveMoment, q: SX, qd: SX) -> SX:
    """Moment in N*m of one ``PassiveMoment`` at angle q and speed qd."""
    return (
        passive.k1_nm * ca.exp(passive.k2_per_rad * (q - passive.theta1_rad))
        + passive.k3_nm * ca.exp(passive.k4_per_rad * (q - passive.theta2_rad))
        - passive.stiffness_nm_per_rad * q
        - passive.damping_nms_per_rad * qd
    )


def check_supported(model: MusculoskeletalModel) -> None:
    """Raise InputError naming the first component that the equations do not cover."""
    for joint in model.joints:
        kinds = [degree.kind for degree in joint.degrees]
        if any(kind not in ("rotation", "translation") for kind in kinds):
            raise InputError(f"joint {joint.name!r} has a degree of kind {kinds}; only rotations and translations are supported")
    known = {"ground"} | {body.name for body in model.bodies}
    for contact in model.contacts:
        if contact.body not in known:
            raise InputError(f"contact {contact.name!r} sits on {contact.body!r}, which is no body of the model")
