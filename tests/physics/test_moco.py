"""Two engines, one problem: OpenSim Moco and ours find the same walk at the same cost.

The cost of both: mean over the stride of mean squared excitation and activation, squared lumbar control
and upright trunk, with ``COST_SHARES``. The soft pull is off, because Moco's lacks the ground reaction,
and so are accelerations, since Moco pays for each of them with a gradient by finite differences. Moco
starts at our motion with every muscle at 0.1, and must find our muscles and nothing better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from opensim_process import in_opensim
from synthgait.anthropometry import build_model
from synthgait.errors import InputError
from synthgait.planar import planar
from synthgait.simulate.normative import froude_speed
from synthgait.simulate.task import COST_SHARES, GROUND_SHARES, WalkingSolution, WalkingTask
from synthgait.simulate.workers import Side
from synthgait.subjects import Subject
from synthgait.textbook import reference_ground_reaction

TASK = WalkingTask(walking_speed_mps=1.2, stride_time_s=1.1, intervals=8, acceleration_weight=0.0, tracking_weight=0.0)


@pytest.fixture(scope="module")
def body():
    return planar(build_model(Subject("adult")))


@pytest.fixture(scope="module")
def ours(body) -> WalkingSolution:
    """The CasADi engine's walk."""
    side = Side()
    try:
        found = side.call("synthgait.simulate.solve:solve_walking", body, TASK)
    finally:
        side.close()
    assert found.ok
    return found


def _moco(model, task, guess, **settings):
    from synthgait import moco

    return moco.solve_walking(model, task, guess, moco.MocoSettings(**settings))


def _moco_looks(model, task, guess):
    return _moco(model, task, guess, max_iterations=0)


def _certify(model, solution):
    from synthgait import certify

    return certify.certify(model, solution)


def test_moco_finds_our_walk_at_our_cost(body, ours):
    expected = ours
    disturbed = replace(ours, activation=np.full_like(ours.activation, 0.1), excitation=np.full_like(ours.excitation, 0.1))
    found = in_opensim(_moco, body, TASK, disturbed)
    assert found.ok, found.message
    assert found.cost == pytest.approx(expected.cost, rel=0.01)
    assert found.time_s == pytest.approx(expected.time_s, abs=1e-9)
    # pelvis_tx has no say in the cost but through its speed; the others agree to a degree or a centimetre
    assert np.abs(found.coordinates - expected.coordinates).max() < np.deg2rad(1.0)
    assert np.abs(found.activation - expected.activation).max() < 0.05
    up = np.abs(found.contact_force[:, :, 1].sum(1) - expected.contact_force[:, :, 1].sum(1)).max()
    assert up < 0.05 * 72.0 * 9.80665
    certificate = in_opensim(_certify, body, found)
    assert certificate["certificate_ok"], certificate["certificate_message"]


def test_moco_puts_the_same_price_on_a_pulled_walk(body):
    """All pulls but that of the ground reaction: Moco without an iteration says what our walk costs it. IPOPT
    moves the guess off its bounds first, which makes up the tolerance.
    """
    task = replace(TASK, tracking_weight=1.0, habits=(*((f"knee_flexion_{s}", 1.0, 0.2) for s in "rl"), ("pelvis_ty", 0.7, 0.0)))
    side = Side()
    try:
        found = side.call("synthgait.simulate.solve:solve_walking", body, task)
    finally:
        side.close()
    weight_n, speed = 72.0 * 9.80665, froude_speed(body, task)
    ground = 0.0
    for s in "rl":
        of = [i for i, c in enumerate(body.contacts) if c.name.endswith(f"_{s}")]
        heel = [c.name for c in body.contacts].index(f"heel_{s}")
        force = found.contact_force[:-1]
        ours = np.column_stack([force[:, of].sum(axis=1), force[:, heel, 1]]) / weight_n
        miss = ours - reference_ground_reaction(speed, np.arange(len(force)) / len(force), left=s == "l", bounce=0.7)
        ground += COST_SHARES["ground"] * float((miss**2 @ np.array(GROUND_SHARES)).mean())
    priced = in_opensim(_moco_looks, body, task, found)
    assert ground > 0.02 * found.cost
    assert priced.cost == pytest.approx(found.cost - ground, rel=0.02)
    # and the pull to bent knees is in both
    straight = in_opensim(_moco_looks, body, replace(task, habits=()), found)
    assert straight.cost > 1.1 * priced.cost


def test_what_moco_cannot_do_is_one_sentence(body):
    weak = replace(body.muscles[0], deactivation_time_constant_s=0.09)
    with pytest.raises(InputError, match="time constants"):
        in_opensim(_moco, replace(body, muscles=(weak, *body.muscles[1:])), TASK, None)
