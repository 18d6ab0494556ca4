"""The certificate: OpenSim's numbers against closed forms, an exact solution, and broken ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from opensim_process import in_opensim
from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2
from synthgait.musculoskeletal import Actuator, Body, Contact, Degree, Joint, Muscle, MusculoskeletalModel, PassiveMoment
from synthgait.simulate.task import WalkingSolution
from synthgait.subjects import Subject

ZERO = (0.0, 0.0, 0.0)
MASS_KG, ROD_KG, ROD_M, RADIUS_M = 3.0, 1.0, 0.3, 0.1


def rod_on_a_ball(compliant: bool = True) -> MusculoskeletalModel:
    """A ball that slides up and down on the floor, with a rod hinged to it: a muscle and a motor turn it."""
    muscle = Muscle(
        "pull",
        max_isometric_force_n=100.0,
        optimal_fibre_length_m=0.1,
        tendon_slack_length_m=0.15,
        pennation_rad=0.2,
        max_contraction_velocity_per_s=10.0,
        fibre_damping=0.01,
        passive_fibre_strain=0.6,
        tendon_strain=0.049,
        activation_time_constant_s=0.02,
        deactivation_time_constant_s=0.08,
        compliant_tendon=compliant,
        path_scale=1.1,
        path_coordinates=("bend",),
        path_powers=((0,), (1,), (2,)),
        path_coefficients_m=(0.23, -0.03, 0.005),
    )
    degrees = (Degree("up", "translation", (0.0, 1.0, 0.0), (0.0, 1.0)),)
    hinge = (Degree("bend", "rotation", (0.0, 0.0, 1.0), (-1.0, 1.0)),)
    return MusculoskeletalModel(
        "rod_on_a_ball",
        (
            Body("ball", MASS_KG, ZERO, (0.01, 0.01, 0.01, 0.0, 0.0, 0.0)),
            Body("rod", ROD_KG, (0.0, ROD_M, 0.0), (0.02, 0.01, 0.02, 0, 0, 0)),
        ),
        (Joint("slide", "ground", "ball", ZERO, ZERO, ZERO, ZERO, degrees), Joint("hinge", "ball", "rod", ZERO, ZERO, ZERO, ZERO, hinge)),
        (muscle,),
        (Contact("heel", "ball", ZERO, RADIUS_M, 1e5, 1.5, 0.8, 0.7, 0.5, 0.2),),
        (PassiveMoment("bend", -2.0, 3.0, 0.5, 1.5, -4.0, -0.6, 0.7, 0.3),),
        (Actuator("bend", 50.0),),
        (),
    )


def _evaluate(model, *states):
    from synthgait import certify

    return certify.evaluate(model, *states)


def evaluate(model, q, u, activation=0.5, tendon=0.2, tendon_rate=0.0, control=0.0):
    """One state of the rod on a ball."""
    states = [np.array([v], float) for v in (q, u, [activation], [tendon], [tendon_rate], [control])]
    return {name: values[0] for name, values in in_opensim(_evaluate, model, *states).items()}


def test_without_contact_and_upright_it_falls_freely():
    found = evaluate(replace(rod_on_a_ball(), muscles=(), passive_moments=()), [2.0, 0.0], [0.0, 0.0])
    assert found["acceleration"] == pytest.approx([-GRAVITY_MPS2, 0.0], abs=1e-9)


def test_an_inverted_pendulum_moves_by_the_textbook():
    angle, speed, control = 0.4, 1.3, 0.3
    model = rod_on_a_ball(compliant=False)
    found = evaluate(replace(model, muscles=()), [2.0, angle], [0.0, speed], control=control)
    p = model.passive_moments[0]
    moment = p.k1_nm * np.exp(p.k2_per_rad * (angle - p.theta1_rad)) + p.k3_nm * np.exp(p.k4_per_rad * (angle - p.theta2_rad))
    moment += -p.stiffness_nm_per_rad * angle - p.damping_nms_per_rad * speed + 50.0 * control
    assert found["joint_moment"] == pytest.approx([0.0, moment], abs=1e-8)
    # Rod about its hinge on a carriage that rides up and down: mass matrix and forces from Lagrange.
    mass = np.array([[MASS_KG + ROD_KG, -ROD_KG * ROD_M * np.sin(angle)], [-ROD_KG * ROD_M * np.sin(angle), 0.02 + ROD_KG * ROD_M**2]])
    force = [
        -(MASS_KG + ROD_KG) * GRAVITY_MPS2 + ROD_KG * ROD_M * np.cos(angle) * speed**2,
        ROD_KG * GRAVITY_MPS2 * ROD_M * np.sin(angle) + moment,
    ]
    assert found["mass_matrix"] == pytest.approx(mass, abs=1e-9)
    assert found["acceleration"] == pytest.approx(np.linalg.solve(mass, force), rel=1e-9)


def muscle_force_n(m: Muscle, length, speed, a, tendon, tendon_rate):
    """Fibre force along the tendon, De Groote et al. (2016), written from the paper's equations."""
    k = np.log(1.2 / 0.2) / m.tendon_strain
    stretch = 1 + np.log((tendon + 0.2) / 0.2) / k if m.compliant_tendon else 1.0
    stretch_rate = tendon_rate / (k * (tendon + 0.2)) if m.compliant_tendon else 0.0
    along = length - m.tendon_slack_length_m * stretch
    fibre = np.hypot(along, m.optimal_fibre_length_m * np.sin(m.pennation_rad))
    x, cosine = fibre / m.optimal_fibre_length_m, along / fibre
    v = (speed - m.tendon_slack_length_m * stretch_rate) * cosine / (m.optimal_fibre_length_m * m.max_contraction_velocity_per_s)
    rows = (
        (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
        (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
        (0.1, 1.0, 0.353553390593274, 0.0),
    )
    active = sum(b1 * np.exp(-0.5 * ((x - b2) / (b3 + b4 * x)) ** 2) for b1, b2, b3, b4 in rows)
    d1, d2, d3, d4 = -0.3211346127989808, -8.149, -0.374, 0.8825327733249912
    fv = d1 * np.arcsinh(d2 * v + d3) + d4
    offset = np.exp(4 * (0.2 - 1) / m.passive_fibre_strain)
    passive = (np.exp(4 * (x - 1) / m.passive_fibre_strain) - offset) / (np.exp(4) - offset)
    return m.max_isometric_force_n * (a * active * fv + passive + m.fibre_damping * v) * cosine


@pytest.mark.parametrize("compliant", [False, True])
def test_muscle_forces_are_de_grootes(compliant):
    model = rod_on_a_ball(compliant)
    (muscle,) = model.muscles
    bend, speed, a, tendon, rate = 0.3, -0.8, 0.6, 0.35, 1.7
    found = evaluate(model, [1.0, bend], [0.0, speed], a, tendon, rate)
    length = 1.1 * (0.23 - 0.03 * bend + 0.005 * bend**2)
    force = muscle_force_n(muscle, length, 1.1 * (-0.03 + 0.01 * bend) * speed, a, tendon, rate)
    if compliant:
        assert found["muscle_force"][0] == pytest.approx(100 * tendon, rel=1e-9)
        assert found["tendon_residual"][0] == pytest.approx(100 * tendon - force, rel=1e-9)
    else:
        assert found["muscle_force"][0] == pytest.approx(force, rel=1e-9)
        assert found["tendon_residual"][0] == 0.0


def test_contact_force_is_hertz_with_dissipation():
    height, into = 0.085, 0.2
    found = evaluate(rod_on_a_ball(), [height, 0.0], [-into, 0.0])
    x, k, c = RADIUS_M - height, 0.5 * 1e5 ** (2 / 3), 1.5
    hertz = 4 / 3 * k * np.sqrt(RADIUS_M * k) * (x**2 + 1e-5) ** 0.75 * 0.5 * (1 + np.tanh(300 * x))
    normal = hertz * (1 + 1.5 * c * into) * 0.5 * (1 + np.tanh(50 * (into + 2 / (3 * c))))
    assert found["contact_force"][0] == pytest.approx([0.0, normal, 0.0], rel=1e-9, abs=1e-9)
    assert found["contact_moment"][0] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_the_mass_matrix_of_a_whole_body_is_positive_and_has_its_mass():
    model = build_model(Subject("adult"))
    rng = np.random.default_rng(1)
    low, high = np.array([model.joint_range(c) for c in model.coordinates]).T
    k, d, m = 3, len(low), len(model.muscles)
    q = rng.uniform(low, high, (k, d))
    states = (q, rng.normal(0, 1, (k, d)), rng.uniform(0.1, 0.9, (k, m)), rng.uniform(0.1, 0.9, (k, m)), np.zeros((k, m)), np.zeros((k, 3)))
    found = in_opensim(_evaluate, model, *states)
    up = model.coordinates.index("pelvis_ty")
    for matrix in found["mass_matrix"]:
        assert matrix[up, up] == pytest.approx(72.0) and np.linalg.eigvalsh(matrix)[0] > 0
    assert np.isfinite(found["acceleration"]).all()


# -- an exact solution: the rod held still -------------------------------------------------------------

NODES = 4


def _still(model):
    """Height, tendon force and motor control at which nothing moves, with all of OpenSim's forces there."""
    from scipy.optimize import fsolve

    from synthgait import certify

    body = certify.OpenSimBody(model)
    activation, bend = 0.4, 0.2

    def at(unknown):
        height, tendon, control = unknown
        arguments = ([height, bend], [0.0, 0.0], [activation], [tendon], [0.0], [control])
        return body.evaluate(*(np.array([a]) for a in arguments))

    def unrest(unknown):
        found = at(unknown)
        return [*found["acceleration"][0], found["tendon_residual"][0, 0]]

    unknown = fsolve(unrest, [0.098, 0.3, 0.0], xtol=1e-13)
    return unknown, bend, activation, at(unknown)


def rest() -> tuple[MusculoskeletalModel, WalkingSolution]:
    """The rod on its ball, held still for a "stride"."""
    model = rod_on_a_ball()
    (height, tendon, control), bend, activation, found = in_opensim(_still, model)

    def constant(*values):
        return np.tile(np.array(values, float), (NODES, 1))

    force = found["contact_force"][0, 0]
    return model, WalkingSolution(
        status="ok",
        message="",
        iterations=0,
        cost=0.0,
        wall_s=0.0,
        stride_time_s=0.9,
        hip_to_ankle_m=0.8,
        time_s=np.linspace(0.0, 0.9, NODES),
        coordinates=constant(height, bend),
        speeds=constant(0, 0),
        accelerations=constant(0, 0),
        activation=constant(activation),
        excitation=constant(activation),
        tendon_force=constant(tendon),
        tendon_force_rate=constant(0),
        muscle_force=constant(100.0 * tendon),
        actuator_control=constant(control),
        contact_force=np.tile(force, (NODES, 1, 1)),
        contact_point=np.zeros((NODES, 1, 3)),
        joint_moment=np.repeat(found["joint_moment"], NODES, axis=0),
    )


@pytest.fixture(scope="module")
def still() -> tuple[MusculoskeletalModel, WalkingSolution]:
    return rest()


def _certify(model, solution):
    from synthgait import certify

    return certify.certify(model, solution)


def test_an_exact_solution_is_certified(still):
    model, solution = still
    certificate = in_opensim(_certify, model, solution)
    assert certificate["certificate_ok"] is True and certificate["certificate_message"].endswith(".")
    errors = [v for k, v in certificate.items() if "error" in k]
    assert len(errors) == 9 and max(errors) < 1e-8
    # It stands on the floor with its weight, so the comparison was of something.
    assert solution.contact_force[0, 0, 1] == pytest.approx((MASS_KG + ROD_KG) * GRAVITY_MPS2, rel=1e-8)
    assert 0.05 < solution.tendon_force[0, 0] < 1.0


BREAKAGES = {
    "accelerations": ("acceleration_error", 0.1),
    "muscle_force": ("muscle_force_error_bw", 1.0),
    "tendon_force_rate": ("tendon_error_bw", 0.5),
    "contact_force": ("ground_reaction_error_bw", 0.5),
    "contact_point": ("ground_moment_error_bwm", 0.01),
    "joint_moment": ("joint_moment_error_nm_per_kg", 0.5),
    "excitation": ("activation_error", 0.01),
    "activation": ("activation_error", 0.01),
    "speeds": ("defect_error", 0.01),
    "coordinates": ("periodicity_error", 0.001),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_solution_is_not(still, name):
    model, solution = still
    error, change = BREAKAGES[name]
    broken = getattr(solution, name).copy()
    broken[-1] += change
    certificate = in_opensim(_certify, model, replace(solution, **{name: broken}))
    assert certificate["certificate_ok"] is False
    assert error in certificate["certificate_message"]


def test_a_solution_that_is_not_finite_is_not_certified(still):
    model, solution = still
    broken = solution.coordinates.copy()
    broken[1, 0] = np.nan
    certificate = in_opensim(_certify, model, replace(solution, coordinates=broken))
    assert certificate["certificate_ok"] is False and certificate["certificate_defect_error"] == np.inf


def _rates(models, activation, excitation):
    from synthgait import certify

    return [certify.activation_rate(m, activation, excitation) for m in models]


def test_activation_follows_each_models_own_time_constants():
    """OpenSim 4.6 would return the first model's rate for both (PHYSICS.md, traps)."""
    slow = rod_on_a_ball()
    quick = replace(slow, muscles=(replace(slow.muscles[0], deactivation_time_constant_s=0.04),))
    rates = in_opensim(_rates, [slow, quick], np.array([[0.5]]), np.array([[0.1]]))
    f = 0.5 * np.tanh(0.1 * (0.1 - 0.5))
    for rate, tau in zip(rates, (0.08, 0.04), strict=True):
        assert rate[0, 0] == pytest.approx(((f + 0.5) / (0.02 * 1.25) + (0.5 - f) * 1.25 / tau) * -0.4, rel=1e-12)
    assert rates[1][0, 0] < 1.2 * rates[0][0, 0] < 0
