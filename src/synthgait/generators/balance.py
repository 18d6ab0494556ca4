"""Repair of drawn strides so that motion and ground reaction are each other's own.

In: ``StrideMechanics`` of drawn strides. Out: the strides' pelvis, trunk, ground reaction, centre of pressure and free
moment, changed in place.

A drawn stride is right in every curve but not in their sum. What is fast of the imbalance is a matter of the motion: one
hundredth of body weight at ten times the stride's frequency is a twentieth of a millimetre of the whole body, and forces
that followed it would be jagged as no simulated one is. What is slow is a matter of the forces, because taking it from the
motion would slide the feet.
"""

from __future__ import annotations

import numpy as np

from synthgait.conventions import FREE_MOMENT, SIDES
from synthgait.generators.bodies import Sole
from synthgait.generators.mechanics import SPARSE_STEP, StrideMechanics, Wrench, every_phase
from synthgait.generators.representation import MOTION_HARMONICS, derivative_matrix, harmonic_of
from synthgait.kinematics import cross, degree_motion

#: Harmonics of the stride up to which an imbalance is none of the motion's, and from which it is all the motion's.
_MOVED = (4, 8)
#: Harmonics up to which an imbalance is corrected whole in the forces, and from which not at all. What is faster belongs to
#: landings, which a stride of 100 samples does not hold exactly: simulated gaits have as much of it as generated ones, and
#: correcting it would blunt every impact.
_CORRECTED = (12, 20)
#: Coordinates that take up what is the motion's: the whole body's place, and the trunk on the pelvis.
_MOVING = ("pelvis_tx", "pelvis_ty", "pelvis_tz", "lumbar_extension", "lumbar_bending", "lumbar_rotation")
#: How far a repair may move the centres of pressure, leg lengths.
_MAX_SHIFT = 0.1
#: Largest free moment of a balanced foot per vertical force, in leg lengths (modelling choice): about 0.2 N m/kg under body
#: weight. How it runs in walking: Almosnino et al. 2009, doi 10.1186/1758-2555-1-19.
_MAX_TWIST = 0.025
#: From this load on, in body weights, a centre of pressure is the drawn one; under it, ever more the contact spheres' own,
#: which is within 6 to 15 mm of simulated ones there, where drawn ones are off by several centimetres.
_FIRM_BW = 0.3
#: Loads on both feet together, in body weights, under which nothing could take a correction up.
_LEAST_BW = 0.3
#: Half a foot's breadth, leg lengths: so far beside the line from heel to toe a centre of pressure may lie.
_SOLE = 0.05


def reconcile(mechanics: StrideMechanics, left: Wrench, *, move: bool) -> None:
    """Take up an imbalance ``left`` of strides looked at sparsely, *in place*: first, with ``move``, its fast part by
    ``_MOVING``, then its slow part's force by the feet, shared by their load. Then both centres of pressure move together, at
    most ``_MAX_SHIFT`` leg lengths, to take up the moment about the horizontal axes, and neither leaves its foot. What is left
    about the upward axis is the feet's free moment, up to ``_MAX_TWIST`` times their load.
    """
    if move:
        left = _move(mechanics, left)
    _push(mechanics, left)
    if "centre_of_pressure" in mechanics.strides.signals:
        _press(mechanics)
        _twist(mechanics)


def _move(mechanics: StrideMechanics, left: Wrench) -> Wrench:
    """Move pelvis and trunk by what is fast of an imbalance; returns what is left of it, to first order."""
    wrench = np.concatenate([left.force, left.moment])
    asked = np.einsum("nij,jnt->int", np.linalg.inv(_inertia(mechanics)).astype(wrench.dtype), wrench)
    time = mechanics.stride_time_s.astype(wrench.dtype)[:, None]
    change, rate = (asked @ _MOVE.T) * time**2, (asked @ _MOVE_RATE.T) * time
    trials = mechanics.strides
    for name, curve in zip(_MOVING, change, strict=True):
        group = "pelvis" if name in trials.channels["pelvis"] else "joint_angles"
        trials.signals[group][:, :, trials.channels[group].index(name)] += curve
    for side, old in mechanics.soles.items():
        mechanics.soles[side] = Sole(old.depth_m - change[1], old.position_m + change[:3], old.velocity_mps + rate[:3])
    force, moment = np.split(wrench @ _FAST[::SPARSE_STEP].T, 2)
    about_base = moment + cross(mechanics.states["pelvis"].origin - mechanics.base, force)
    mechanics.wanted = Wrench(mechanics.wanted.force + force, mechanics.wanted.moment + about_base)
    return Wrench(left.force - force, left.moment - moment)


def _inertia(mechanics: StrideMechanics) -> np.ndarray:
    """(n, 6, 6) force and moment about the pelvis per acceleration of ``_MOVING``, in each stride's mean posture."""
    skeleton, people = mechanics.skeleton, mechanics.people
    posture = mechanics.q.mean(1, keepdims=True)
    bodies, axes = degree_motion(skeleton, posture, np.zeros_like(posture), list(skeleton.masses))
    columns = np.zeros((len(_MOVING), 6, len(posture)))
    for body, (mass, location) in skeleton.masses.items():
        rotation = np.moveaxis(bodies[body].rotation[:, 0], 0, 2)
        arm = np.einsum("ijn,nj->in", rotation, location)
        place = bodies[body].origin_m[:, 0].T + arm
        for column, name in zip(columns, _MOVING, strict=True):
            axis = np.broadcast_to(axes[name].axis[..., 0], place.shape)
            if axes[name].turns and body != "torso":
                continue
            push = mass * (cross(axis, place - axes[name].place_m[..., 0]) if axes[name].turns else axis)
            column[:3] += push
            column[3:] += cross(place - bodies["pelvis"].origin_m[:, 0].T, push)
            if axes[name].turns:
                column[3:] += np.einsum("ijn,jn,kjn,kn->in", rotation, people.inertia_kgm2[body].T, rotation, axis)
    return np.moveaxis(columns, (0, 1, 2), (2, 1, 0))


def _push(mechanics: StrideMechanics, left: Wrench) -> None:
    signals, names = mechanics.strides.signals, mechanics.strides.channels["ground_reaction"]
    loads = {side: mechanics.load(side) for side in SIDES}
    total = loads["r"] + loads["l"]
    held = total > _LEAST_BW
    extra = left.force @ _CORRECTION.T
    for side in SIDES:
        share = np.where(held, loads[side] / np.where(held, total, 1.0), 0.0)
        for k, axis in enumerate("xyz"):
            signals["ground_reaction"][:, :, names.index(f"ground_reaction_{axis}_{side}")] -= extra[k] * share


def _press(mechanics: StrideMechanics) -> None:
    """Move the centres of pressure. That of a foot that carries little is where its contact spheres touch
    (``bodies.sole``), because a drawn moment over next to no force says nothing.
    """
    points = {}
    for number, name in enumerate(mechanics.strides.channels["centre_of_pressure"]):
        points[name] = mechanics.strides.signals["centre_of_pressure"][:, :, number]
    firm = {side: np.clip(mechanics.load(side) / _FIRM_BW, 0.0, 1.0) for side in SIDES}
    for side in SIDES:
        for axis, letter in ((0, "x"), (2, "z")):
            point, touching = points[f"centre_of_pressure_{letter}_{side}"], mechanics.soles[side].position_m[axis]
            point[:] = touching + firm[side] * (point - touching)
    left, load = mechanics.imbalance(), _total_load(mechanics)
    limit = _MAX_SHIFT * mechanics.leg_length_m[:, None]
    for axis, letter, turning in ((0, "x", -left.moment[2]), (2, "z", left.moment[0])):
        shift = np.clip((turning / load) @ _CORRECTION.T, -limit, limit)
        for side in SIDES:
            point = points[f"centre_of_pressure_{letter}_{side}"]
            point[:] = np.clip(point + firm[side] * shift, *_reach(mechanics, side, axis))


def _twist(mechanics: StrideMechanics) -> None:
    limit = _MAX_TWIST * mechanics.leg_length_m[:, None]
    per_load = np.clip((-mechanics.imbalance().moment[1] / _total_load(mechanics)) @ _CORRECTION.T, -limit, limit)
    newton = [np.maximum(mechanics.load(side), 0.0) * mechanics.weight_n[:, None] for side in SIDES]
    mechanics.strides.signals["free_moment"] = np.stack([per_load * load for load in newton], 2).astype(np.float32)
    mechanics.strides.channels["free_moment"] = FREE_MOMENT


def _total_load(mechanics: StrideMechanics) -> np.ndarray:
    """(n, t) in N, at least ``_LEAST_BW``."""
    return np.maximum(mechanics.force("r")[1] + mechanics.force("l")[1], _LEAST_BW * mechanics.weight_n[:, None])


def _reach(mechanics: StrideMechanics, side: str, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 100) least and largest coordinate under the foot: between heel and toe, and ``_SOLE`` leg lengths around."""
    gain = mechanics.stride_length_m[:, None] if axis == 0 else np.zeros((1, 1))
    ends = []
    for name in ("heel", "toe"):
        body, location = mechanics.skeleton.landmarks[f"{name}_{side}"]
        state = mechanics.states[body]
        sparse = state.origin[axis] + np.einsum("jnt,nj->nt", state.rotation[axis], location)
        after = np.concatenate([sparse[:, 1:], sparse[:, :1] + gain], 1)
        ends.append(np.stack([sparse, 0.5 * (sparse + after)], 2).reshape(len(sparse), -1))
    margin = _SOLE * mechanics.leg_length_m[:, None]
    return np.minimum(*ends) - margin, np.maximum(*ends) + margin


#: The slow part to correct in forces, at all phases.
_CORRECTION = every_phase(MOTION_HARMONICS, np.interp(harmonic_of(MOTION_HARMONICS), _CORRECTED, (1.0, 0.0)))
_FAST = every_phase(MOTION_HARMONICS, np.interp(harmonic_of(MOTION_HARMONICS), _MOVED, (0.0, 1.0)))
#: The fast part once and twice integrated over phase, at all phases.
_MOVE_RATE, _MOVE = ((np.linalg.pinv(derivative_matrix(order, MOTION_HARMONICS)) @ _FAST).astype(np.float32) for order in (1, 2))
