"""The plain description of a body: numbers and names, no library.

In: numbers (``anthropometry.build_model`` has a subject's, ``opensim_reader`` a user's model's).
Out: a ``MusculoskeletalModel`` that the OpenSim side and the CasADi side both build from, so that
neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from synthgait.conventions import GRAVITY_MPS2

# A leaf is a float in a subject's model and a symbol in the solver's: the same description serves both.
Number = Any
Vector3 = tuple[Number, Number, Number]


@dataclass(frozen=True)
class Body:
    """A rigid body; inertia is (xx, yy, zz, xy, xz, yz) about the centre of mass in body axes."""

    name: str
    mass_kg: Number
    centre_of_mass_m: Vector3
    inertia_kgm2: tuple[Number, Number, Number, Number, Number, Number]


@dataclass(frozen=True)
class Degree:
    """One degree of freedom of a joint: a rotation about, or a translation along, a fixed unit axis."""

    coordinate: str
    kind: str  # "rotation" | "translation"
    axis: tuple[float, float, float]
    range: tuple[float, float]


@dataclass(frozen=True)
class Joint:
    """Child relative to parent: parent offset, then the rotations in order (body-fixed) and the
    translations along the parent offset frame's axes, then the inverse of the child offset.
    Offset rotations are body-fixed X-Y-Z, as OpenSim's ``PhysicalOffsetFrame`` has them.
    """

    name: str
    parent: str
    child: str
    parent_translation_m: Vector3
    parent_rotation_rad: Vector3
    child_translation_m: Vector3
    child_rotation_rad: Vector3
    degrees: tuple[Degree, ...]


@dataclass(frozen=True)
class Muscle:
    """DeGrooteFregly2016 muscle with a polynomial path: length = path_scale * sum_i
    path_coefficients_m[i] * prod_j q_j ** path_powers[i][j] over ``path_coordinates``.
    """

    name: str
    max_isometric_force_n: Number
    optimal_fibre_length_m: Number
    tendon_slack_length_m: Number
    pennation_rad: Number
    max_contraction_velocity_per_s: Number
    fibre_damping: Number
    passive_fibre_strain: Number
    tendon_strain: Number
    activation_time_constant_s: Number
    deactivation_time_constant_s: Number
    compliant_tendon: bool
    path_scale: Number
    path_coordinates: tuple[str, ...]
    path_powers: tuple[tuple[int, ...], ...]
    path_coefficients_m: tuple[float, ...]


@dataclass(frozen=True)
class Contact:
    """SmoothSphereHalfSpaceForce between a sphere on a body and the floor y = 0."""

    name: str
    body: str
    location_m: Vector3
    radius_m: Number
    stiffness_pa: Number
    dissipation_s_per_m: Number
    static_friction: Number
    dynamic_friction: Number
    viscous_friction: Number
    transition_velocity_mps: Number


@dataclass(frozen=True)
class PassiveMoment:
    """Passive joint moment (Anderson & Pandy 1999, from Davy & Audu 1987):
    k1 exp(k2 (q - theta1)) + k3 exp(k4 (q - theta2)) - stiffness q - damping q_dot, where k1 < 0 < k2 resist the upper
    end of the range and k3 > 0 > k4 the lower.
    """

    coordinate: str
    k1_nm: Number
    k2_per_rad: Number
    theta1_rad: Number
    k3_nm: Number
    k4_per_rad: Number
    theta2_rad: Number
    stiffness_nm_per_rad: Number
    damping_nms_per_rad: Number


@dataclass(frozen=True)
class Actuator:
    """A torque on a coordinate: optimal_moment_nm times a control in -1 to 1."""

    coordinate: str
    optimal_moment_nm: Number


@dataclass(frozen=True)
class Landmark:
    """A named point of a body: where key points, markers and sensors sit."""

    name: str
    body: str
    location_m: Vector3


@dataclass(frozen=True)
class MusculoskeletalModel:
    """Everything a builder needs. ``bodies`` exclude the ground; ``joints`` are in tree order and
    their degrees, in order, are the model's ``coordinates`` (``conventions.COORDINATES`` for the
    three-dimensional model).
    """

    name: str
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    muscles: tuple[Muscle, ...]
    contacts: tuple[Contact, ...]
    passive_moments: tuple[PassiveMoment, ...]
    actuators: tuple[Actuator, ...]
    landmarks: tuple[Landmark, ...]
    gravity_mps2: tuple[float, float, float] = (0.0, -GRAVITY_MPS2, 0.0)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the generalised coordinates, in joint-tree order."""
        return tuple(degree.coordinate for joint in self.joints for degree in joint.degrees)

    @property
    def mass_kg(self) -> Number:
        """Total mass."""
        return sum(body.mass_kg for body in self.bodies)

    def joint_range(self, coordinate: str) -> tuple[float, float]:
        """Range of motion in rad or m. Raises KeyError for a coordinate the model does not have."""
        for joint in self.joints:
            for degree in joint.degrees:
                if degree.coordinate == coordinate:
                    return degree.range
        raise KeyError(f"the model has no coordinate {coordinate!r}")


def hip_to_ankle_m(model: MusculoskeletalModel) -> Number:
    """Hip to ankle of the right leg, straight, along the joints' offsets."""
    joints = {joint.name: joint for joint in model.joints}
    thigh = joints["knee_r"].child_translation_m[1] - joints["knee_r"].parent_translation_m[1]
    return thigh - joints["ankle_r"].parent_translation_m[1]


# -- the numbers of a model as one flat vector -----------------------------------------------------

#: Fields that make the model's structure (fixed in a compiled problem), not its numbers.
_STRUCTURE = frozenset({"axis", "range", "path_powers", "path_coefficients_m", "gravity_mps2", "landmarks"})


def map_numbers(node: Any, visit: Callable[[str, Number], Number], path: str = "") -> Any:
    """A copy of a model (or a part of one) with every number replaced by ``visit(path, number)``;
    paths read like ``joints.knee_r.parent_translation_m.1``.
    """
    if is_dataclass(node) and not isinstance(node, type):
        changed = {f.name: map_numbers(getattr(node, f.name), visit, f"{path}{f.name}.") for f in fields(node) if f.name not in _STRUCTURE}
        return replace(node, **changed)
    if isinstance(node, tuple):
        labels = [getattr(child, "name", None) or getattr(child, "coordinate", None) or str(i) for i, child in enumerate(node)]
        return tuple(map_numbers(child, visit, f"{path}{label}.") for label, child in zip(labels, node, strict=True))
    if isinstance(node, str | bool):
        return node
    return visit(path.rstrip("."), node)


def parameters(model: MusculoskeletalModel) -> dict[str, float]:
    """Every number of the model that may differ between subjects, by path, in a fixed order.

    A number that is exactly zero is structure (a planar offset, a missing product of inertia),
    except the frontal alignment of the knee, which is a subject's.
    """
    values: dict[str, float] = {}

    def collect(path: str, value: float) -> float:
        if value != 0.0 or _is_alignment(path):
            values[path] = float(value)
        return value

    map_numbers(model, collect)
    return values


def _is_alignment(path: str) -> bool:
    return path.startswith("joints.knee") and path.endswith("parent_rotation_rad.0")
