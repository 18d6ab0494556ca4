"""From joint angles to the motion of every body and point: exact forward kinematics.

In: a ``MusculoskeletalModel`` (or a ``Skeleton`` of many people) and generalised coordinates with
their first and second derivatives, any number of trials and samples at once. Out: rotation,
position, velocity and acceleration of bodies, of points on them and of the centre of mass, in world
axes; derivatives of periodic strides.

The recursion is the outward half of Newton-Euler (Featherstone, Rigid Body Dynamics Algorithms,
2008, ch. 5), one degree of freedom at a time, with the joint semantics of ``musculoskeletal.Joint``.
Numbers are kept component first, (3, 3, N, T), because NumPy is fast along the last axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthgait.errors import InputError
from synthgait.musculoskeletal import Joint, MusculoskeletalModel

Array = np.ndarray
_JOINT_NUMBERS = ("parent_translation_m", "parent_rotation_rad", "child_translation_m", "child_rotation_rad")


@dataclass(frozen=True)
class BodyMotion:
    """Motion of one body; leading axes are those of the coordinates given.

    Attributes:
        rotation: (..., 3, 3), body axes to world axes.
        origin_m, velocity_mps, acceleration_mps2: (..., 3), of the body's origin.
        angular_velocity_radps, angular_acceleration_radps2: (..., 3), world axes.
    Derivatives are None when speeds or accelerations were not given.
    """

    rotation: Array
    origin_m: Array
    angular_velocity_radps: Array | None = None
    velocity_mps: Array | None = None
    angular_acceleration_radps2: Array | None = None
    acceleration_mps2: Array | None = None

    def point(self, location_m: Array | Sequence[float]) -> PointMotion:
        """Motion of a point of the body.

        Args:
            location_m: (3,), or (N, 3) with one location per trial (first axis), in body axes.
        """
        local = _spread(np.asarray(location_m, float), self.origin_m.ndim - 1)
        rotation = np.moveaxis(self.rotation, (-2, -1), (0, 1))
        arm = sum(rotation[:, k] * local[k] for k in range(3))
        position = _first(self.origin_m) + arm
        if self.angular_velocity_radps is None or self.velocity_mps is None:
            return PointMotion(_last(position))
        spin = _first(self.angular_velocity_radps)
        sweep = cross(spin, arm)
        velocity = _first(self.velocity_mps) + sweep
        if self.angular_acceleration_radps2 is None or self.acceleration_mps2 is None:
            return PointMotion(_last(position), _last(velocity))
        turn = _first(self.angular_acceleration_radps2)
        acceleration = _first(self.acceleration_mps2) + cross(turn, arm) + cross(spin, sweep)
        return PointMotion(_last(position), _last(velocity), _last(acceleration))


@dataclass(frozen=True)
class PointMotion:
    """Position, velocity and acceleration (..., 3) of a point in world axes; None where not asked."""

    position_m: Array
    velocity_mps: Array | None = None
    acceleration_mps2: Array | None = None


@dataclass(frozen=True)
class Skeleton:
    """The joint tree of one person, or of N people with the same tree and different numbers.

    In a skeleton of N people every translation is (N, 3) and goes with the first axis of the
    coordinates. ``landmarks`` maps a name to its body and location; ``masses`` a body to its mass
    (scalar or (N,)) and centre of mass.
    """

    joints: tuple[Joint, ...]
    coordinates: tuple[str, ...]
    landmarks: Mapping[str, tuple[str, Array]]
    contacts: Mapping[str, tuple[str, Array, Array]]
    masses: Mapping[str, tuple[Array, Array]]
    people: int | None = None

    @classmethod
    def of(cls, model: MusculoskeletalModel | Skeleton | Sequence[MusculoskeletalModel]) -> Skeleton:
        """From one model, or from a list of models, one per trial.

        Raises InputError when the models of a list are not the same tree.
        """
        if isinstance(model, Skeleton):
            return model
        if isinstance(model, MusculoskeletalModel):
            return cls._stack([model], None)
        models = list(model)
        if not models:
            raise InputError("no model was given; a skeleton needs at least one person")
        return cls._stack(models, len(models))

    @classmethod
    def _stack(cls, models: list[MusculoskeletalModel], people: int | None) -> Skeleton:
        first = models[0]
        if any(m.coordinates != first.coordinates or len(m.landmarks) != len(first.landmarks) for m in models):
            raise InputError("the models have different joint trees; sense each kind of model on its own")

        def stacked(values: Iterable[object]) -> Array:
            array = np.array(list(values), dtype=float)
            return array[0] if people is None else array

        def numbers(i: int) -> dict[str, Any]:
            return {field: stacked(getattr(m.joints[i], field) for m in models) for field in _JOINT_NUMBERS}

        joints = tuple(replace(joint, **numbers(i)) for i, joint in enumerate(first.joints))
        return cls(
            joints,
            first.coordinates,
            {lm.name: (lm.body, stacked(m.landmarks[i].location_m for m in models)) for i, lm in enumerate(first.landmarks)},
            {
                c.name: (c.body, stacked(m.contacts[i].location_m for m in models), stacked(m.contacts[i].radius_m for m in models))
                for i, c in enumerate(first.contacts)
            },
            {
                b.name: (stacked(m.bodies[i].mass_kg for m in models), stacked(m.bodies[i].centre_of_mass_m for m in models))
                for i, b in enumerate(first.bodies)
            },
            people,
        )

    def select(self, rows: Array) -> Skeleton:
        """The skeletons of some trials; a skeleton of one person serves any number of trials."""
        if self.people is None:
            return self
        joints = tuple(replace(j, **{field: getattr(j, field)[rows] for field in _JOINT_NUMBERS}) for j in self.joints)
        return Skeleton(
            joints,
            self.coordinates,
            {name: (body, where[rows]) for name, (body, where) in self.landmarks.items()},
            {name: (body, where[rows], radius[rows]) for name, (body, where, radius) in self.contacts.items()},
            {name: (mass[rows], where[rows]) for name, (mass, where) in self.masses.items()},
            len(np.atleast_1d(np.arange(self.people)[rows])),
        )

    def landmark(self, name: str) -> tuple[str, Array]:
        """Body and location of a landmark. Raises InputError naming the landmarks there are."""
        if name not in self.landmarks:
            raise InputError(f"the model has no landmark {name!r}; it has {', '.join(self.landmarks)}")
        return self.landmarks[name]


Model = MusculoskeletalModel | Skeleton


def body_motion(
    model: Model,
    q: Array,
    qd: Array | None = None,
    qdd: Array | None = None,
    bodies: Iterable[str] | None = None,
    precision: type[np.floating[Any]] = np.float64,
    _axes: dict[str, DegreeMotion] | None = None,
) -> dict[str, BodyMotion]:
    """Motion of bodies.

    Args:
        model: one model, or a ``Skeleton``; one of N people wants coordinates (N, T, D) or (N, D).
        q, qd, qdd: (..., D) coordinates in the model's order (rad, m), and their derivatives.
        bodies: names wanted (others are computed only where these hang on them); None means all.
        precision: of the computation and its results; float32 takes half the time and errs by micrometres.

    Raises:
        InputError: wrong shapes, or a body that the model does not have.
    """
    skeleton = Skeleton.of(model)
    coordinates = [np.moveaxis(_checked(skeleton, a, q), -1, 0).astype(precision, copy=False) for a in (q, qd, qdd) if a is not None]
    shape = coordinates[0].shape[1:]
    order = len(coordinates) - 1
    wanted = _needed(skeleton, bodies)
    column = {name: i for i, name in enumerate(skeleton.coordinates)}
    moving = {"ground": _State.at_rest(len(shape), order, precision)}
    for joint in skeleton.joints:
        if joint.child in wanted:
            moving[joint.child] = _across(joint, moving[joint.parent], coordinates, column, len(shape), _axes)
    result = {}
    for body in bodies if bodies is not None else [j.child for j in skeleton.joints]:
        state = moving[body]
        parts = [_last(np.broadcast_to(p, (3, *shape))) for p in state.linear]
        turns = [_last(np.broadcast_to(w, (3, *shape))) for w in state.angular]
        rotation = np.moveaxis(np.broadcast_to(state.rotation, (3, 3, *shape)), (0, 1), (-2, -1))
        result[body] = BodyMotion(
            rotation,
            parts[0],
            *((turns[0], parts[1]) if order >= 1 else ()),
            *((turns[1], parts[2]) if order >= 2 else ()),
        )
    return result


def point_motion(
    model: Model,
    q: Array,
    qd: Array | None = None,
    qdd: Array | None = None,
    points: Mapping[str, tuple[str, Array]] | Sequence[str] | None = None,
) -> dict[str, PointMotion]:
    """Motion of points on bodies.

    Args:
        model, q, qd, qdd: as in ``body_motion``.
        points: names of landmarks, or name -> (body, location); None means every landmark.
    """
    skeleton = Skeleton.of(model)
    if points is None:
        points = dict(skeleton.landmarks)
    elif not isinstance(points, Mapping):
        points = {name: skeleton.landmark(name) for name in points}
    moving = body_motion(skeleton, q, qd, qdd, sorted({body for body, _ in points.values()}))
    return {name: moving[body].point(location) for name, (body, location) in points.items()}


def centre_of_mass_motion(model: Model, q: Array, qd: Array | None = None, qdd: Array | None = None) -> PointMotion:
    """Motion of the whole body's centre of mass; arguments as in ``body_motion``."""
    skeleton = Skeleton.of(model)
    moving = body_motion(skeleton, q, qd, qdd)
    total = sum(mass for mass, _ in skeleton.masses.values())
    sums: list[Array | float] = [0.0, 0.0, 0.0]
    for body, (mass, where) in skeleton.masses.items():
        point = moving[body].point(where)
        share = np.asarray(mass / total)
        share = share.reshape(share.shape + (1,) * (point.position_m.ndim - share.ndim)) if share.ndim else share
        for i, part in enumerate((point.position_m, point.velocity_mps, point.acceleration_mps2)):
            if part is not None:
                sums[i] = sums[i] + share * part
    return PointMotion(*(s for s in sums if not isinstance(s, float)))


@dataclass(frozen=True)
class DegreeMotion:
    """Where the axis of one coordinate is and how it moves, component first (3, ...), world axes: what a point
    beyond it does when the coordinate changes.

    Attributes:
        axis, axis_rate_per_s: unit vector along which the body slides or about which it turns, and its rate.
        place_m, place_velocity_mps: a point on the axis.
        turns: a rotation; otherwise a translation.
    """

    axis: Array
    axis_rate_per_s: Array
    place_m: Array
    place_velocity_mps: Array
    turns: bool

    def sensitivity(self, position_m: Array, velocity_mps: Array) -> tuple[Array, Array]:
        """Change of the velocity of a point of the body with the coordinate's rate and with the coordinate itself.

        The first is the point's Jacobian column, the second that column's rate of change (they are the two
        parts of the derivative of J(q) qd, whose second derivatives commute).
        """
        if not self.turns:
            return self.axis, self.axis_rate_per_s
        arm, sweep = position_m - self.place_m, velocity_mps - self.place_velocity_mps
        return cross(self.axis, arm), cross(self.axis_rate_per_s, arm) + cross(self.axis, sweep)


def degree_motion(
    model: Model, q: Array, qd: Array, bodies: Iterable[str], precision: type[np.floating[Any]] = np.float64
) -> tuple[dict[str, BodyMotion], dict[str, DegreeMotion]]:
    """Motion of bodies, and of the axes of all coordinates that move them; arguments as in ``body_motion``."""
    axes: dict[str, DegreeMotion] = {}
    return body_motion(model, q, qd, bodies=bodies, precision=precision, _axes=axes), axes


# -- periodic strides --------------------------------------------------------------------------------


def spectral_derivative(
    samples: Array, period_s: Array | float, order: int = 1, progression: Array | float = 0.0, harmonics: int | None = None
) -> Array:
    """Derivative in time of strides that close on themselves.

    Args:
        samples: (..., T, C) at equal phases of one period.
        period_s: scalar, or one per trial (shape of the leading axes).
        order: 1 or 2 (any positive integer).
        progression: what a channel gains in one period, broadcast to (..., C): the stride length
            for ``pelvis_tx``, 0 for the others.
        harmonics: highest harmonic kept; None keeps all below Nyquist's.

    Returns (..., T, C), exact for a band-limited stride (Trefethen, Spectral Methods in MATLAB, 2000).
    """
    count = samples.shape[-2]
    gain = np.asarray(progression, float)[..., None, :] if np.ndim(progression) else np.asarray(progression, float)
    period = np.asarray(period_s, float)
    period = period[..., None, None] if period.ndim else period
    spectrum = np.fft.rfft(samples - gain * (np.arange(count) / count)[:, None], axis=-2)
    k = np.arange(spectrum.shape[-2], dtype=float)
    highest = (count - 1) // 2 if harmonics is None else min(harmonics, (count - 1) // 2)
    factor = np.where(k <= highest, (2j * np.pi * k) ** order, 0.0)
    derivative = np.fft.irfft(spectrum * factor[:, None], n=count, axis=-2)
    return (derivative + (gain if order == 1 else 0.0)) / period**order


def progression_per_period(samples: Array, harmonics: int = 20) -> Array:
    """What one channel gains per period, from its samples alone: the slope of the least-squares fit of
    slope * phase + a Fourier series.

    Args:
        samples: (..., T) at phases 0, 1/T, ..., such as ``pelvis_tx``.
        harmonics: of the series; exact when the stride has no higher ones.
    """
    count = samples.shape[-1]
    phase = np.arange(count) / count
    angle = 2 * np.pi * np.outer(phase, np.arange(1, harmonics + 1))
    basis = np.column_stack([phase, np.ones(count), np.cos(angle), np.sin(angle)])
    return samples @ np.linalg.pinv(basis)[0]


# -- the recursion -------------------------------------------------------------------------------------


@dataclass
class _State:
    """A frame: rotation (3, 3, ...), linear [position, velocity, acceleration], angular [w, alpha]."""

    rotation: Array
    linear: list[Array]
    angular: list[Array]

    @classmethod
    def at_rest(cls, dimensions: int, order: int, precision: type[np.floating[Any]]) -> _State:
        ones = (1,) * dimensions
        zero = np.zeros((3, *ones), precision)
        return cls(np.eye(3, dtype=precision).reshape(3, 3, *ones), [zero] * (order + 1), [zero] * order)


def _across(
    joint: Joint,
    parent: _State,
    coordinates: list[Array],
    column: Mapping[str, int],
    dimensions: int,
    axes: dict[str, DegreeMotion] | None = None,
) -> _State:
    """The child's frame from the parent's; ``axes`` collects those of its coordinates."""
    order = len(coordinates) - 1
    frame = _rotated(parent.rotation, joint.parent_rotation_rad, dimensions)
    linear = _carried(parent.rotation, parent.linear, parent.angular, joint.parent_translation_m, dimensions)
    rotation, angular = frame, list(parent.angular)
    for degree in joint.degrees:
        q, *rates = (c[column[degree.coordinate]] for c in coordinates)
        if axes is not None:
            turns = degree.kind == "rotation"
            along = _times_axis(rotation if turns else frame, degree.axis)
            carrier = angular[0] if turns else parent.angular[0]
            axes[degree.coordinate] = DegreeMotion(along, cross(carrier, along), linear[0], linear[1], turns)
        if degree.kind == "translation":
            axis = _times_axis(frame, degree.axis)
            reach = axis * q
            linear[0] = linear[0] + reach
            if order >= 1:
                slide = axis * rates[0]
                sweep = cross(parent.angular[0], reach)
                linear[1] = linear[1] + slide + sweep
            if order >= 2:
                linear[2] = (
                    linear[2]
                    + axis * rates[1]
                    + 2 * cross(parent.angular[0], slide)
                    + cross(parent.angular[1], reach)
                    + cross(parent.angular[0], sweep)
                )
        elif degree.kind == "rotation":
            if order >= 1:
                axis = _times_axis(rotation, degree.axis)
                spin = axis * rates[0]
                if order >= 2:
                    angular[1] = angular[1] + axis * rates[1] + cross(angular[0], spin)
                angular[0] = angular[0] + spin
            rotation = _turned(rotation, degree.axis, q)
        else:
            raise InputError(f"degree {degree.coordinate!r} is a {degree.kind!r}; only rotations and translations are known")
    if axes is not None:  # a joint slides before it turns, whatever the order of its degrees
        for name in (degree.coordinate for degree in joint.degrees if degree.kind == "rotation"):
            axes[name] = replace(axes[name], place_m=linear[0], place_velocity_mps=linear[1])
    if np.any(joint.child_rotation_rad):
        rotation = _rotated(rotation, joint.child_rotation_rad, dimensions, inverse=True)
    linear = _carried(rotation, linear, angular, -np.asarray(joint.child_translation_m, float), dimensions)
    return _State(rotation, linear, angular)


def _carried(rotation: Array, linear: list[Array], angular: list[Array], offset_m: object, dimensions: int) -> list[Array]:
    """Linear motion of a point at a fixed offset (in the frame's axes) from the frame's origin."""
    offset = np.asarray(offset_m, float)
    if not offset.any():
        return list(linear)
    local = _spread(offset, dimensions).astype(rotation.dtype)
    arm = sum(rotation[:, k] * local[k] for k in range(3))
    moved = [linear[0] + arm]
    if len(linear) > 1:
        sweep = cross(angular[0], arm)
        moved.append(linear[1] + sweep)
    if len(linear) > 2:
        moved.append(linear[2] + cross(angular[1], arm) + cross(angular[0], sweep))
    return moved


def _turned(rotation: Array, axis: Sequence[float], angle: Array) -> Array:
    """rotation * Rot(axis, angle): Rodrigues' formula, with the short form for a principal axis."""
    cos, sin = np.cos(angle), np.sin(angle)
    unit = (np.asarray(axis, float) / np.linalg.norm(axis)).astype(rotation.dtype)
    if np.count_nonzero(unit) == 1:
        k = int(np.flatnonzero(unit)[0])
        i, j = (k + 1) % 3, (k + 2) % 3
        sin = sin * unit[k]
        turned = np.empty((3, 3, *np.broadcast_shapes(rotation.shape[2:], angle.shape)), rotation.dtype)
        turned[:, k] = rotation[:, k]
        turned[:, i] = rotation[:, i] * cos + rotation[:, j] * sin
        turned[:, j] = rotation[:, j] * cos - rotation[:, i] * sin
        return turned
    x, y, z = unit
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], rotation.dtype)
    square = skew @ skew
    return rotation + np.einsum("ik...,kj->ij...", rotation, skew) * sin + np.einsum("ik...,kj->ij...", rotation, square) * (1.0 - cos)


def _rotated(rotation: Array, angles_rad: object, dimensions: int, inverse: bool = False) -> Array:
    """rotation times a fixed body-fixed X-Y-Z rotation, (3,) or (N, 3) angles."""
    angles = np.asarray(angles_rad, float)
    if not angles.any():
        return rotation
    parts = _spread(angles, dimensions).astype(rotation.dtype)
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    for k in (2, 1, 0) if inverse else (0, 1, 2):
        rotation = _turned(rotation, axes[k], -parts[k] if inverse else parts[k])
    return rotation


def _times_axis(rotation: Array, axis: Sequence[float]) -> Array:
    unit = (np.asarray(axis, float) / np.linalg.norm(axis)).astype(rotation.dtype)
    used = [k for k in range(3) if unit[k] != 0.0]
    return sum(rotation[:, k] * unit[k] for k in used)


def cross(a: Array, b: Array) -> Array:
    """Vector product of component-first arrays (3, ...) that broadcast."""
    return np.stack(np.broadcast_arrays(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


def _spread(vector: Array, dimensions: int) -> Array:
    """(3,) or (N, 3) -> (3, 1, ...) or (3, N, 1, ...), to go with component-first arrays."""
    if vector.ndim == 1:
        return vector.reshape(3, *(1,) * dimensions)
    return np.moveaxis(vector, -1, 0).reshape(3, len(vector), *(1,) * (dimensions - 1))


def _first(array: Array) -> Array:
    """(..., 3) -> component first, as a view."""
    return np.moveaxis(array, -1, 0)


def _last(array: Array) -> Array:
    return np.moveaxis(array, 0, -1)


def _needed(skeleton: Skeleton, bodies: Iterable[str] | None) -> set[str]:
    parent = {joint.child: joint.parent for joint in skeleton.joints}
    if bodies is None:
        return set(parent)
    needed: set[str] = set()
    for name in bodies:
        if name not in parent:
            raise InputError(f"the model has no body {name!r}; it has {', '.join(parent)}")
        while name != "ground" and name not in needed:
            needed.add(name)
            name = parent[name]
    return needed


def _checked(skeleton: Skeleton, array: Array, q: Array) -> Array:
    array = np.asarray(array, float)
    if array.shape != np.shape(q) or array.ndim < 1 or array.shape[-1] != len(skeleton.coordinates):
        raise InputError(
            f"coordinates have shape {array.shape}; the last axis holds the model's {len(skeleton.coordinates)} coordinates, as must speeds"
        )
    if skeleton.people is not None and (array.ndim < 2 or array.shape[0] != skeleton.people):
        raise InputError(f"{skeleton.people} people but coordinates of shape {array.shape}; give one trial per person on the first axis")
    return array
