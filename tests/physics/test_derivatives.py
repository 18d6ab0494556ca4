"""The programme's exact derivatives against finite differences, planar and three-dimensional."""

from __future__ import annotations

import numpy as np
import pytest

from opensim_process import in_casadi
from synthgait.anthropometry import build_model
from synthgait.planar import planar
from synthgait.subjects import Subject

STEP = 1e-6


def _derivatives(model, intervals: int, symmetric: bool):
    """At a random point and for random multipliers: exact products with a random direction, and central
    differences of one order less in that direction."""
    import casadi as ca

    from synthgait.musculoskeletal import parameters
    from synthgait.simulate.problem import TASK, WalkingProblem

    problem = WalkingProblem(model, intervals, symmetric)
    rng, layout = np.random.default_rng(2), problem.layout
    nodes = rng.uniform(-0.15, 0.15, (intervals, layout.size))
    for name in ("act", "exc", "ten"):
        nodes[:, layout.slices[name]] = rng.uniform(0.2, 1.0, (intervals, layout.slices[name].stop - layout.slices[name].start))
    # a pelvis low enough that the feet press into the floor
    nodes[:, layout.slices["q"].start + model.coordinates.index("pelvis_ty")] = rng.uniform(0.84, 0.87, intervals) / 0.5
    task = dict.fromkeys(TASK, 1.0) | {"gravity_x_mps2": 0.3, "gravity_y_mps2": -9.8, "trunk_lean_rad": 0.1}
    body = np.array([parameters(model)[name] for name in problem.parameter_names])
    p = np.concatenate([body, list(task.values()), rng.uniform(-0.2, 0.2, problem._reference.numel() * intervals)])
    x = np.append(nodes.ravel(), 1.1)
    step = rng.normal(0.0, 1.0, len(x))
    lam, sigma = rng.normal(0.0, 1.0, problem.nlp["g"].numel()), 0.7
    values = ca.Function("values", [problem.nlp["x"], problem.nlp["p"]], [problem.nlp["f"], problem.nlp["g"]])

    def fg(at):
        f, g = values(at, p)
        return float(f), np.array(g).ravel()

    def lagrangian_gradient(at):
        gradient = np.array(problem._gradient(at, p)[1]).ravel()
        return sigma * gradient + np.array(ca.mtimes(problem._jacobian(at, p)[1].T, lam)).ravel()

    def differences(of):
        # central ones of two widths, extrapolated to none (Richardson): what is left is of the fourth order
        wide, narrow = ((of(x + h * step) - of(x - h * step)) / (2 * h) for h in (STEP, STEP / 2))
        return (4 * narrow - wide) / 3

    upper = problem._hessian(x, p, sigma, lam)
    hessian = upper + upper.T - ca.diag(ca.diag(upper))
    forces = np.array(problem.outputs.map(intervals)(*_columns(problem, nodes, p))[2])[1]
    return {
        "force": forces.reshape(intervals, -1).sum(1) / float(model.mass_kg),
        "cost": (float(problem._gradient(x, p)[0]), fg(x)[0]),
        "constraints": (np.array(problem._jacobian(x, p)[0]).ravel(), fg(x)[1]),
        "gradient": (float(np.array(problem._gradient(x, p)[1]).ravel() @ step), differences(lambda at: fg(at)[0])),
        "jacobian": (np.array(ca.mtimes(problem._jacobian(x, p)[1], step)).ravel(), differences(lambda at: fg(at)[1])),
        "hessian": (np.array(ca.mtimes(hessian, step)).ravel(), differences(lagrangian_gradient)),
    }


def _columns(problem, nodes, p):
    from synthgait.simulate.problem import TASK

    k, n = len(nodes), len(problem.parameter_names)
    fixed = [np.repeat(part[:, None], k, axis=1) for part in (p[:n], p[n : n + len(TASK)])]
    return nodes.T, p[n + len(TASK) :].reshape(k, -1).T, *fixed


@pytest.mark.parametrize(("plane", "symmetric"), [(True, True), (True, False), (False, True)])
def test_exact_derivatives_are_the_finite_differences(plane: bool, symmetric: bool) -> None:
    model = build_model(Subject("adult"))
    found = in_casadi(_derivatives, planar(model, compliant=True) if plane else model, 3, symmetric)
    assert (found["force"] > 1.0).any(), "the feet are in the air: contacts are not tried"
    for name in ("cost", "constraints"):
        assert found[name][0] == pytest.approx(found[name][1], rel=1e-12)
    for name in ("gradient", "jacobian", "hessian"):
        exact, difference = map(np.atleast_1d, found[name])
        assert np.abs(exact).max() > 0.0
        assert np.abs(exact - difference).max() < 1e-7 * np.abs(difference).max(), name


def _friction(half_width: float, slip_mps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the first contact of a body that slides forwards: friction over vertical force, its first and second
    derivative by the sliding velocity, (N,) each."""
    import casadi as ca

    from synthgait.simulate import dynamics

    model = build_model(Subject("adult"))
    sliding = ca.SX.sym("sliding")
    q, v = ca.SX.zeros(len(model.coordinates)), ca.SX.zeros(len(model.coordinates))
    q[model.coordinates.index("pelvis_ty")] = 0.9
    v[model.coordinates.index("pelvis_tx")] = sliding
    motion = dynamics.kinematics(model, q, v, ca.SX.zeros(q.numel()), ca.SX([0.0, -9.8, 0.0]))
    force, _, _ = dynamics.contact_force(model.contacts[0], motion, half_width)
    share = -force[0] / force[1]
    first = ca.gradient(share, sliding)
    values = ca.Function("friction", [sliding], [share, first, ca.gradient(first, sliding)]).map(len(slip_mps))(slip_mps[None])
    return tuple(np.array(row).ravel() for row in values)


def test_frictions_kink_is_rounded_and_nothing_else() -> None:
    contact = build_model(Subject("adult")).contacts[0]
    transition = contact.transition_velocity_mps
    slip = transition * np.linspace(0.8, 1.2, 201)
    curves = {half_width: in_casadi(_friction, half_width, slip) for half_width in (0.0, 0.002, 0.05)}
    sharp, sharp_slope, _ = curves[0.0]
    for half_width in (0.002, 0.05):
        round_ = curves[half_width][0]
        near = np.abs(np.hypot(slip, np.sqrt(1e-5)) / transition - 1) < half_width
        assert round_[~near] == pytest.approx(sharp[~near], rel=1e-12)
        assert (round_ <= sharp + 1e-15).all()
        assert (sharp - round_).max() <= 0.25 * half_width * (contact.static_friction + 1e-9)
    _, slope, bend = curves[0.05]
    assert np.abs(np.diff(sharp_slope)).max() > 0.9 * contact.dynamic_friction / transition
    assert np.abs(np.diff(slope)).max() < 0.1 * contact.dynamic_friction / transition and np.isfinite(bend).all()
