"""A user's OpenSim model as the plain description.

In: an ``.osim`` file. Out: a ``MusculoskeletalModel``, so that both solvers walk with the user's model
as with ours. OpenSim side: never in a process that imports CasADi.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import opensim

from synthgait import opensim_model
from synthgait.errors import InputError
from synthgait.musculoskeletal import Actuator, Body, Contact, Degree, Joint, Landmark, Muscle, MusculoskeletalModel, PassiveMoment

#: Largest error in m of a polynomial fitted to a user's muscle path, and the degrees tried for it.
PATH_FIT_LIMIT_M = 1e-3
_PATH_FIT_DEGREES = range(2, 7)
_PATH_FIT_SAMPLES = 600


def read(path: str | Path) -> MusculoskeletalModel:
    """The description of a user's ``.osim`` model.

    Joints: pin, slider, planar, weld, and custom ones whose axes follow one coordinate each linearly
    with slope 1 or -1 (a coordinate locked at zero is left out). Muscles: DeGrooteFregly2016Muscle on
    polynomial paths, or on other paths, to which a polynomial is fitted within ``PATH_FIT_LIMIT_M``.
    Contacts: SmoothSphereHalfSpaceForce on the floor y = 0. Coordinate actuators, passive moments as
    ``build`` writes them, and markers. A path's scale comes back multiplied into its coefficients.

    Raises:
        InputError: no readable model, or the first component that the description has no word for.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}; give an OpenSim model (.osim)")
    try:
        osim = opensim.Model(str(path))
        state = osim.initSystem()
    except RuntimeError as error:
        raise InputError(f"{path.name} is not a model OpenSim can load: {str(error).strip().splitlines()[0]}") from error
    reader = _Reader(osim, state)
    bodies = tuple(_read_body(osim.getBodySet().get(i)) for i in range(osim.getBodySet().getSize()))
    joints = reader.joints()
    reader.forces()
    markers = osim.getMarkerSet()
    landmarks = tuple(
        Landmark(markers.get(i).getName(), *_in_base(markers.get(i).getParentFrame(), markers.get(i).get_location()))
        for i in range(markers.getSize())
    )
    return MusculoskeletalModel(
        osim.getName(),
        bodies,
        joints,
        tuple(reader.muscles),
        tuple(reader.contacts),
        tuple(reader.passive),
        tuple(reader.actuators),
        landmarks,
        _tuple(osim.getGravity()),
    )


def _tuple(vector: opensim.Vec3) -> tuple[float, float, float]:
    return (float(vector[0]), float(vector[1]), float(vector[2]))


def _in_base(frame: opensim.Frame, location: opensim.Vec3) -> tuple[str, tuple[float, float, float]]:
    """A point of a frame as a point of the body that the frame sits on."""
    return frame.findBaseFrame().getName(), _tuple(frame.findTransformInBaseFrame().shiftFrameStationToBase(location))


def _read_body(body: opensim.Body) -> Body:
    inertia = body.get_inertia()
    return Body(body.getName(), body.getMass(), _tuple(body.getMassCenter()), tuple(float(inertia.get(i)) for i in range(6)))  # type: ignore[arg-type]


def _unsupported(component: opensim.Component, mend: str) -> InputError:
    return InputError(f"{component.getConcreteClassName()} {component.getName()!r} is not supported: {mend}")


_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_SIMPLE_JOINTS: dict[str, tuple[tuple[str, tuple[float, float, float]], ...]] = {
    "WeldJoint": (),
    "PinJoint": (("rotation", _Z),),
    "SliderJoint": (("translation", _X),),
    "PlanarJoint": (("rotation", _Z), ("translation", _X), ("translation", _Y)),
}


class _Reader:
    """Collects the description from a loaded model."""

    def __init__(self, osim: opensim.Model, state: opensim.State) -> None:
        self.osim, self.state = osim, state
        self.muscles: list[Muscle] = []
        self.contacts: list[Contact] = []
        self.passive: list[PassiveMoment] = []
        self.actuators: list[Actuator] = []
        self.coordinates: dict[str, tuple[float, float]] = {}

    def joints(self) -> tuple[Joint, ...]:
        """All joints, parents first."""
        waiting = []
        for component in self.osim.getComponentsList():
            if opensim.Constraint.safeDownCast(component):
                raise _unsupported(component, "remove it, or lock what it couples")
            if opensim.Controller.safeDownCast(component):
                raise _unsupported(component, "remove it; the solver sets the controls")
            if joint := opensim.Joint.safeDownCast(component):
                waiting.append(self._joint(joint))
        ordered: list[Joint] = []
        known = {"ground"}
        while ready := [j for j in waiting if j.parent in known]:
            ordered.append(ready[0])
            known.add(ready[0].child)
            waiting.remove(ready[0])
        if waiting:
            raise InputError(
                f"joint {waiting[0].name!r} hangs on {waiting[0].parent!r}, which no joint connects to the ground; turn it round"
            )
        self.coordinates = {d.coordinate: d.range for j in ordered for d in j.degrees}
        return tuple(ordered)

    def _joint(self, joint: opensim.Joint) -> Joint:
        kind = joint.getConcreteClassName()
        if kind == "CustomJoint":
            degrees = self._custom_degrees(opensim.CustomJoint.safeDownCast(joint))
        elif kind in _SIMPLE_JOINTS:
            placed = enumerate(_SIMPLE_JOINTS[kind])
            degrees = [d for i, (name, axis) in placed if (d := self._degree(joint.get_coordinates(i), name, axis))]
        else:
            raise _unsupported(joint, "use a pin, slider, planar, weld or custom joint")
        frames: list[tuple[str, tuple[float, float, float], tuple[float, float, float]]] = []
        for frame in (joint.getParentFrame(), joint.getChildFrame()):
            pose = frame.findTransformInBaseFrame()
            frames.append((frame.findBaseFrame().getName(), _tuple(pose.p()), _tuple(pose.R().convertRotationToBodyFixedXYZ())))
        (parent, parent_shift, parent_turn), (child, child_shift, child_turn) = frames
        return Joint(joint.getName(), parent, child, parent_shift, parent_turn, child_shift, child_turn, tuple(degrees))

    def _degree(self, coordinate: opensim.Coordinate, kind: str, axis: tuple[float, float, float]) -> Degree | None:
        name = coordinate.getName()
        if coordinate.get_prescribed():
            raise InputError(f"coordinate {name!r} is prescribed; switch that off")
        if coordinate.getDefaultLocked():
            if coordinate.getDefaultValue() != 0.0:
                raise InputError(f"coordinate {name!r} is locked at {coordinate.getDefaultValue():g}; lock it at 0 or unlock it")
            return None
        return Degree(name, kind, axis, (coordinate.getRangeMin(), coordinate.getRangeMax()))

    def _custom_degrees(self, joint: opensim.CustomJoint) -> list[Degree]:
        coordinates = {joint.get_coordinates(i).getName(): joint.get_coordinates(i) for i in range(joint.numCoordinates())}
        degrees: list[Degree] = []
        for i in range(6):
            axis = joint.getSpatialTransform().getTransformAxis(i)
            slope, intercept = _line(axis.getFunction())
            names = axis.getCoordinateNamesInArray()
            # A coordinate is taken out when it is used, so that none can drive two axes.
            coordinate = coordinates.pop(names.get(0), None) if names.getSize() == 1 and slope else None
            if intercept != 0.0 or slope not in (0.0, 1.0, -1.0) or (slope and not coordinate):
                raise InputError(
                    f"CustomJoint {joint.getName()!r} is not supported: axis {i + 1} must be 0, q or -q of a coordinate of its own"
                )
            if coordinate:
                direction = np.array(_tuple(axis.getAxis()))
                x, y, z = (float(v) for v in slope * direction / np.linalg.norm(direction) + 0.0)
                degree = self._degree(coordinate, "rotation" if i < 3 else "translation", (x, y, z))
                degrees += [degree] if degree else []
        return degrees

    def forces(self) -> None:
        """Muscles, contacts, actuators and passive moments; any other force is an error."""
        for component in self.osim.getComponentsList():
            if not (force := opensim.Force.safeDownCast(component)) or not force.get_appliesForce():
                continue
            if muscle := opensim.DeGrooteFregly2016Muscle.safeDownCast(component):
                self.muscles.append(self._muscle(muscle))
            elif contact := opensim.SmoothSphereHalfSpaceForce.safeDownCast(component):
                self.contacts.append(_read_contact(contact))
            elif motor := opensim.CoordinateActuator.safeDownCast(component):
                self.actuators.append(Actuator(self._known(motor.get_coordinate(), motor), motor.getOptimalForce()))
            elif spring := opensim.ExpressionBasedCoordinateForce.safeDownCast(component):
                self.passive.append(self._passive(spring))
            elif opensim.Muscle.safeDownCast(component):
                raise _unsupported(component, "replace it by a DeGrooteFregly2016Muscle (OpenSim's replaceMuscles does it)")
            else:
                raise _unsupported(component, "remove it or switch its appliesForce off")

    def _known(self, coordinate: str, owner: opensim.Component) -> str:
        if coordinate not in self.coordinates:
            raise _unsupported(owner, f"its coordinate {coordinate!r} cannot move")
        return coordinate

    def _passive(self, spring: opensim.ExpressionBasedCoordinateForce) -> PassiveMoment:
        number = r"\(([-+0-9.e]+)\)"
        pattern = f"{number}*exp({number}*(q-{number}))+{number}*exp({number}*(q-{number}))-{number}*q-{number}*qdot"
        pattern = re.escape(pattern).replace(re.escape(number), number)
        match = re.fullmatch(pattern, spring.get_expression().replace(" ", ""))
        if not match:
            raise _unsupported(spring, "write it as k1 exp(k2 (q - a)) + k3 exp(k4 (q - b)) - s q - d qdot, as build() does")
        return PassiveMoment(self._known(spring.get_coordinate(), spring), *(float(v) for v in match.groups()))

    def _muscle(self, muscle: opensim.DeGrooteFregly2016Muscle) -> Muscle:
        defaults = opensim.DeGrooteFregly2016Muscle()
        for name in (
            "ignore_activation_dynamics",
            "ignore_passive_fiber_force",
            "active_force_width_scale",
            "activation_dynamics_smoothing",
        ):
            if getattr(muscle, f"get_{name}")() != getattr(defaults, f"get_{name}")():
                raise _unsupported(muscle, f"leave {name} at OpenSim's default")
        coordinates, powers, coefficients = self._path(muscle)
        return Muscle(
            muscle.getName(),
            muscle.get_max_isometric_force(),
            muscle.get_optimal_fiber_length(),
            muscle.get_tendon_slack_length(),
            muscle.get_pennation_angle_at_optimal(),
            muscle.get_max_contraction_velocity(),
            muscle.get_fiber_damping(),
            muscle.get_passive_fiber_strain_at_one_norm_force(),
            muscle.get_tendon_strain_at_one_norm_force(),
            muscle.get_activation_time_constant(),
            muscle.get_deactivation_time_constant(),
            not muscle.get_ignore_tendon_compliance(),
            1.0,
            coordinates,
            powers,
            coefficients,
        )

    def _path(self, muscle: opensim.Muscle) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], tuple[float, ...]]:
        function_path = opensim.FunctionBasedPath.safeDownCast(muscle.getPath())
        polynomial = opensim.MultivariatePolynomialFunction.safeDownCast(function_path.getLengthFunction()) if function_path else None
        if polynomial:
            names = tuple(p.rsplit("/", 1)[-1] for p in function_path.getCoordinatePaths())
            coefficients = polynomial.getCoefficients().to_numpy()
            powers = opensim_model.polynomial_powers(polynomial.getDimension(), polynomial.getOrder())
        else:
            names, powers, coefficients = self._fit_path(muscle)
        for name in names:
            self._known(name, muscle)
        kept = [(p, float(c)) for p, c in zip(powers, coefficients, strict=True) if c != 0.0]
        return names, tuple(p for p, _ in kept), tuple(c for _, c in kept)

    def _fit_path(self, muscle: opensim.Muscle) -> tuple[tuple[str, ...], list[tuple[int, ...]], np.ndarray]:
        """A polynomial through OpenSim's own path lengths, of the lowest degree that is exact enough."""
        rng = np.random.default_rng(0)  # which poses are tried is no matter of chance for the user
        low, high = (np.array([r[i] for r in self.coordinates.values()]) for i in (0, 1))
        low, high = np.maximum(low, -math.pi), np.minimum(high, math.pi)
        names = [n for i, n in enumerate(self.coordinates) if self._moves(muscle, rng, low, high, i)]
        columns = [list(self.coordinates).index(n) for n in names]
        values = np.tile(0.5 * (low + high), (_PATH_FIT_SAMPLES, 1))
        values[:, columns] = rng.uniform(low[columns], high[columns], (_PATH_FIT_SAMPLES, len(columns)))
        lengths = np.array([self._length(muscle, v) for v in values])
        for degree in _PATH_FIT_DEGREES:
            powers = opensim_model.polynomial_powers(len(names), degree)
            terms = np.array([np.prod(values[:, columns] ** np.array(p), axis=1) for p in powers]).T
            half = _PATH_FIT_SAMPLES // 2
            if len(powers) > half // 2:
                break
            coefficients = np.linalg.lstsq(terms[:half], lengths[:half], rcond=None)[0]
            error = float(np.max(np.abs(terms @ coefficients - lengths)))  # the other half was not fitted
            if error < PATH_FIT_LIMIT_M:
                return tuple(names), powers, coefficients
        raise _unsupported(muscle, f"no polynomial follows its path within {1000 * PATH_FIT_LIMIT_M:g} mm; narrow the coordinates' ranges")

    def _moves(self, muscle: opensim.Muscle, rng: np.random.Generator, low: np.ndarray, high: np.ndarray, column: int) -> bool:
        for _ in range(3):
            pose = rng.uniform(low, high)
            other = pose.copy()
            other[column] = rng.uniform(low[column], high[column])
            if abs(self._length(muscle, pose) - self._length(muscle, other)) > 1e-9:
                return True
        return False

    def _length(self, muscle: opensim.Muscle, pose: np.ndarray) -> float:
        for name, value in zip(self.coordinates, pose, strict=True):
            self.osim.getCoordinateSet().get(name).setValue(self.state, float(value), False)
        self.osim.realizePosition(self.state)
        return float(muscle.getLength(self.state))


def _line(function: opensim.Function) -> tuple[float, float]:
    """Slope and intercept of a constant or linear function, times its multiplier; NaN for any other."""
    if scaled := opensim.MultiplierFunction.safeDownCast(function):
        slope, intercept = _line(scaled.getFunction())
        return scaled.getScale() * slope, scaled.getScale() * intercept
    if constant := opensim.Constant.safeDownCast(function):
        return 0.0, constant.getValue()
    if linear := opensim.LinearFunction.safeDownCast(function):
        return linear.getSlope(), linear.getIntercept()
    return math.nan, math.nan


def _read_contact(force: opensim.SmoothSphereHalfSpaceForce) -> Contact:
    defaults = opensim.SmoothSphereHalfSpaceForce()
    for name in ("constant_contact_force", "hertz_smoothing", "hunt_crossley_smoothing"):
        if getattr(force, f"get_{name}")() != getattr(defaults, f"get_{name}")():
            raise _unsupported(force, f"leave {name} at OpenSim's default")
    plane = opensim.ContactHalfSpace.safeDownCast(force.getConnectee("half_space"))
    base, origin = _in_base(plane.getFrame(), plane.get_location())
    into = plane.getTransform().xformFrameVecToBase(opensim.Vec3(1, 0, 0))
    into = plane.getFrame().findTransformInBaseFrame().xformFrameVecToBase(into)
    if base != "ground" or abs(origin[1]) > 1e-9 or abs(into[1] + 1.0) > 1e-9:
        raise _unsupported(force, "its half space must be the ground below y = 0")
    sphere = opensim.ContactSphere.safeDownCast(force.getConnectee("sphere"))
    body, location = _in_base(sphere.getFrame(), sphere.get_location())
    return Contact(
        force.getName(),
        body,
        location,
        sphere.getRadius(),
        force.get_stiffness(),
        force.get_dissipation(),
        force.get_static_friction(),
        force.get_dynamic_friction(),
        force.get_viscous_friction(),
        force.get_transition_velocity(),
    )
