"""The solver's equations against OpenSim's at random states of different people, to 1e-6 relative."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from opensim_process import in_casadi, in_opensim
from synthgait import pathologies
from synthgait.anthropometry import build_model
from synthgait.kinematics import Skeleton, point_motion
from synthgait.subjects import Subject

STATES = 100
TOLERANCE = 1e-6
PEOPLE = {
    "child": Subject("child", age_years=8, sex="male", height_m=1.28, mass_kg=26.0),
    "old_woman": Subject("old_woman", age_years=80, sex="female", height_m=1.58, mass_kg=64.0, leg_length_m=0.81, knee_varus_rad=0.08),
    "stroke": Subject(
        "stroke",
        age_years=60,
        height_m=1.80,
        mass_kg=95.0,
        pathology="hemiparesis",
        severity=0.8,
        affected_side="left",
        knee_varus_rad=-0.04,
    ),
}


@cache
def body(person: str):
    return pathologies.apply(build_model(PEOPLE[person]), PEOPLE[person])


@cache
def states(person: str) -> dict[str, np.ndarray]:
    """Poses over the whole range of motion, and for the second half near standing, let down until the lowest
    sphere is up to 3 cm in the floor or 2 cm above it.
    """
    model, rng = body(person), np.random.default_rng(len(person))
    d, m, a = len(model.coordinates), len(model.muscles), len(model.actuators)
    low, high = np.array([model.joint_range(c) for c in model.coordinates]).T
    reach = np.repeat([1.0, 0.25], STATES // 2)[:, None]
    q = reach * rng.uniform(low, high, (STATES, d))
    up = model.coordinates.index("pelvis_ty")
    q[:, up] = 1.0
    skeleton = Skeleton.of(model)
    spheres = {name: (part, where) for name, (part, where, _) in skeleton.contacts.items()}
    centres = point_motion(skeleton, q, points=spheres)
    bottom = np.min([centres[name].position_m[:, 1] - float(radius) for name, (_, _, radius) in skeleton.contacts.items()], axis=0)
    q[:, up] -= bottom + rng.uniform(-0.02, 0.03, STATES)
    return {
        "coordinates": q,
        "speeds": rng.normal(0.0, 2.0, (STATES, d)) * np.where(np.arange(d) == up, 0.3, 1.0),
        "activation": rng.uniform(0.01, 1.0, (STATES, m)),
        "excitation": rng.uniform(0.01, 1.0, (STATES, m)),
        "tendon_force": rng.uniform(0.01, 1.2, (STATES, m)),
        "tendon_force_rate": rng.normal(0.0, 3.0, (STATES, m)),
        "actuator_control": rng.uniform(-1.0, 1.0, (STATES, a)),
    }


def _ours(model, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the programme's node functions say, with the accelerations that make their residual vanish."""
    import casadi as ca

    from synthgait.musculoskeletal import parameters
    from synthgait.simulate import dynamics
    from synthgait.simulate.problem import TASK, WalkingProblem

    problem = WalkingProblem(model, 2, False)
    layout, k, d = problem.layout, len(given["coordinates"]), len(model.coordinates)
    groups = {
        "q": given["coordinates"],
        "v": given["speeds"],
        "a": np.zeros((k, d)),
        "act": given["activation"],
        "exc": given["excitation"],
        "ten": given["tendon_force"][:, list(layout.compliant)],
        "rate": given["tendon_force_rate"][:, list(layout.compliant)],
        "lum": given["actuator_control"],
    }
    nodes = np.empty((k, layout.size))
    for name, values in groups.items():
        nodes[:, layout.slices[name]] = values
    p = np.array([parameters(model)[name] for name in problem.parameter_names])
    gravity = dict.fromkeys(TASK, 0.0) | {"gravity_x_mps2": model.gravity_mps2[0], "gravity_y_mps2": model.gravity_mps2[1]}
    fixed = [np.repeat(part[:, None], k, axis=1) for part in (np.zeros(problem._reference.numel()), p, np.array(list(gravity.values())))]
    outputs, node = problem.outputs.map(k), problem.node.map(k)

    def at(z):
        """Internal moments, muscle forces, contact forces and points, residual of the motion: (K, ...) each."""
        moment, force, contact, point, residual = (np.array(part) for part in outputs((z / layout.scale).T, *fixed))
        spheres = [np.moveaxis(part.reshape(3, k, -1), 0, 2) for part in (contact, point)]
        return moment.T, force.T, *spheres, residual.T

    moment, force, contact, point, bias = at(nodes)
    mass = np.empty((k, d, d))
    for i in range(d):
        moved = nodes.copy()
        moved[:, layout.slices["a"].start + i] = 1.0
        mass[:, :, i] = at(moved)[4] - bias
    constraints, rates, _ = (np.array(part).T for part in node((nodes / layout.scale).T, *fixed))
    gap = constraints[:, problem.n_dynamics : problem.n_dynamics + problem.n_equilibrium]
    index = {name: i for i, name in enumerate(model.coordinates)}
    q, v = ca.SX.sym("q", d), ca.SX.sym("v", d)
    moments = ca.SX.zeros(d)
    for part in model.passive_moments:
        c = index[part.coordinate]
        moments[c] += dynamics.passive_moment(part, q[c], v[c])
    passive = ca.Function("passive", [q, v], [moments])
    return {
        "acceleration": np.linalg.solve(mass, -bias[:, :, None])[:, :, 0],
        "mass_matrix": mass,
        "joint_moment": moment,
        "passive_moment": np.array(passive(given["coordinates"].T, given["speeds"].T)).T,
        "muscle_force": force,
        "tendon_residual": -gap * np.array([model.muscles[i].max_isometric_force_n for i in layout.compliant]),
        "activation_rate": rates[:, 2 * d : 2 * d + len(model.muscles)],
        "contact_force": contact,
        "contact_point": point,
    }


def _theirs(model, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from dataclasses import replace

    from synthgait import certify

    names = ("coordinates", "speeds", "activation", "tendon_force", "tendon_force_rate", "actuator_control")
    found = certify.evaluate(model, *(given[n] for n in names))
    bare = replace(model, muscles=(), actuators=())
    none = np.zeros((len(given["coordinates"]), 0))
    found["passive_moment"] = certify.evaluate(bare, given["coordinates"], given["speeds"], none, none, none, none)["joint_moment"]
    # By the formula: OpenSim 4.6 reads the time constants once per process (PHYSICS.md).
    found["activation_rate"] = certify.activation_rate(model, given["activation"], given["excitation"])
    found["tendon_residual"] = found["tendon_residual"][:, [i for i, m in enumerate(model.muscles) if m.compliant_tendon]]
    return found


@pytest.fixture(scope="module", params=list(PEOPLE))
def both(request) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    person = request.param
    return in_casadi(_ours, body(person), states(person)), in_opensim(_theirs, body(person), states(person))


def worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference over the largest value of the quantity in the same state (at least 1 SI unit: some
    states stand in the air)."""
    scale = np.maximum(np.abs(theirs).max(axis=tuple(range(1, theirs.ndim)), keepdims=True), 1.0)
    assert ours.shape == theirs.shape
    return float((np.abs(ours - theirs) / scale).max())


@pytest.mark.parametrize(
    "quantity",
    ["acceleration", "mass_matrix", "joint_moment", "passive_moment", "tendon_residual", "activation_rate", "contact_force"],
)
def test_equations_of_motion_agree(both, quantity):
    ours, theirs = both
    assert worst(ours[quantity], theirs[quantity]) < TOLERANCE


def test_every_muscles_force_agrees(both):
    ours, theirs = both
    assert np.abs(ours["muscle_force"] / theirs["muscle_force"] - 1.0).max() < TOLERANCE


def test_every_spheres_force_and_point_agree(both):
    ours, theirs = both
    forces, points = theirs["contact_force"], theirs["contact_point"]
    # of the sphere's own force, or of a newton where it hardly touches
    assert (np.abs(ours["contact_force"] - forces) <= TOLERANCE * np.maximum(np.abs(forces).max(axis=2, keepdims=True), 1.0)).all()
    loaded = forces[:, :, 1] > 1.0
    assert loaded.sum() > STATES and (loaded.sum(axis=1) > 1).sum() > 10
    assert np.abs(ours["contact_point"] - points)[loaded].max() < TOLERANCE
    moments = np.cross(ours["contact_point"], ours["contact_force"])
    assert worst(moments, theirs["contact_moment"]) < TOLERANCE


def test_people_differ(both):
    """The one-sided body and the varus knee reach both sides: the comparison is of different models."""
    left = [m.max_isometric_force_n for m in body("stroke").muscles if m.name.endswith("_l")]
    right = [m.max_isometric_force_n for m in body("stroke").muscles if m.name.endswith("_r")]
    assert sum(left) < 0.8 * sum(right)
    assert any(j.parent_rotation_rad[0] == pytest.approx(0.08) for j in body("old_woman").joints)
