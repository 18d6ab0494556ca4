"""A healthy adult walks like one, and faster ones differ from it the way people do.

Figures of the healthy gait: Perry & Burnfield, Gait Analysis (2nd ed., 2010), and Winter, The Biomechanics and
Motor Control of Human Gait (2nd ed., 1991), with the limits that this project set itself. One process solves
everything, each gait from its neighbour.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from opensim_process import in_opensim, solved_in_turn
from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2
from synthgait.gait import mirror, stride_from_solution
from synthgait.kinematics import Skeleton, point_motion
from synthgait.simulate.task import WalkingSolution, WalkingTask
from synthgait.subjects import Subject

ADULT = Subject("adult", age_years=30, height_m=1.75, mass_kg=72.0)
BODY = build_model(ADULT)
WEIGHT_N = 72.0 * GRAVITY_MPS2
#: Heel pad and shoe give this much at most, under the peaks of loading response and push-off.
SOFT_SOLE_M = 0.030


@pytest.fixture(scope="module")
def walks() -> dict[str, WalkingSolution]:
    normal = WalkingTask(1.2)
    found = solved_in_turn(
        [
            ("normal", BODY, normal, ""),
            ("again", BODY, normal, ""),
            ("slow", BODY, WalkingTask(1.0), "normal"),
            ("fast", BODY, WalkingTask(1.4), "normal"),
        ],
    )
    assert {name: s.status for name, s in found.items()} == dict.fromkeys(found, "ok")
    return found


@pytest.fixture(scope="module")
def normal(walks) -> WalkingSolution:
    return walks["normal"]


class Cycle:
    """Curves of the right leg from initial contact, degrees and body weights, K samples."""

    def __init__(self, solution: WalkingSolution) -> None:
        self.solution = solution
        sides = {s: [i for i, c in enumerate(BODY.contacts) if c.name.endswith(f"_{s}")] for s in "rl"}
        force = {s: solution.contact_force[:-1, of].sum(axis=1) / WEIGHT_N for s, of in sides.items()}
        loaded = force["r"][:, 1] > 0.05
        self.start = int(np.flatnonzero(loaded & ~np.roll(loaded, 1))[0])
        self.x, self.y, self.z = (np.roll(force["r"][:, i], -self.start) for i in range(3))
        self.count = len(loaded)
        self.toe_off = int(np.flatnonzero(self.y < 0.05)[0])

    def angle(self, name: str) -> np.ndarray:
        return np.rad2deg(self._rolled(self.solution.coordinates, name))

    def ankle_power_w_per_kg(self) -> np.ndarray:
        moment = self._rolled(self.solution.joint_moment, "ankle_dorsiflexion_r")
        return moment * self._rolled(self.solution.speeds, "ankle_dorsiflexion_r") / 72.0

    def part(self, first: float, last: float) -> slice:
        return slice(round(first * self.count), round(last * self.count) + 1)

    def _rolled(self, values: np.ndarray, name: str) -> np.ndarray:
        return np.roll(values[:-1, BODY.coordinates.index(name)], -self.start)


@pytest.fixture(scope="module")
def cycle(normal) -> Cycle:
    return Cycle(normal)


# -- the healthy gait ------------------------------------------------------------------------------------


def test_opensim_certifies_it(normal):
    certificate = in_opensim(_certify, BODY, normal)
    assert certificate["certificate_ok"], certificate["certificate_message"]


def _certify(model, solution):
    from synthgait import certify

    return certify.certify(model, solution)


def test_speed_and_cadence(normal):
    tx = BODY.coordinates.index("pelvis_tx")
    speed = (normal.coordinates[-1, tx] - normal.coordinates[0, tx]) / normal.stride_time_s
    assert speed == pytest.approx(1.2, abs=1e-6)
    assert 95 < 120 / normal.stride_time_s < 130


def test_knee_yields_in_loading_response_and_flexes_in_swing(cycle):
    knee = cycle.angle("knee_flexion_r")
    assert knee[0] < 10 and 12 < knee[cycle.part(0.08, 0.25)].max() < 25
    assert knee[cycle.part(0.08, 0.25)].max() - knee[0] > 8
    assert 50 < knee[cycle.part(0.6, 0.9)].max() < 75
    assert knee.min() > -5


def test_ankle_pushes_off(cycle):
    ankle, power = cycle.angle("ankle_dorsiflexion_r"), cycle.ankle_power_w_per_kg()
    assert 5 < ankle[cycle.part(0.3, 0.55)].max() < 20
    assert ankle[cycle.part(0.5, 0.75)].min() < -8
    assert 0.45 < np.argmax(power) / cycle.count < 0.65 and 1.5 < power.max() < 5.0


def test_hip_extends_in_late_stance(cycle):
    hip = cycle.angle("hip_flexion_r")
    assert hip[0] > 15 and -25 < hip.min() < -5 and 0.4 < np.argmin(hip) / cycle.count < 0.65


def test_vertical_force_has_two_humps(cycle):
    stance = cycle.y[: cycle.toe_off]
    third = len(stance) // 3
    first, valley, second = stance[: third + 2].max(), stance[third - 1 : 2 * third + 1].min(), stance[2 * third - 2 :].max()
    assert 1.0 < first < 1.3 and 1.0 < second < 1.3
    assert 0.6 < valley < min(first, second) - 0.1
    assert 0.55 < cycle.toe_off / cycle.count < 0.67


def test_horizontal_forces(cycle):
    third = cycle.toe_off // 3
    assert -0.3 < cycle.x[: third + 2].min() < -0.08 and 0.1 < cycle.x[2 * third - 2 :].max() < 0.3
    # towards the other leg for most of stance, a few percent of the weight
    # and outwards for an instant at landing and toe-off, ours by more than people's 0.05
    assert -0.10 < cycle.z.min() < -0.02 and cycle.z.max() < 0.09
    assert cycle.z[: cycle.toe_off].mean() < 0


def test_pelvis_and_frontal_hip(cycle):
    assert 2 < cycle.angle("hip_adduction_r")[cycle.part(0.05, 0.4)].max() < 12
    assert 2 < np.ptp(cycle.angle("pelvis_list")) < 14
    assert 2 < np.ptp(cycle.angle("pelvis_rotation")) < 20
    # in early stance the other side of the pelvis drops, at contact the same side is in front
    assert cycle.angle("pelvis_list")[cycle.part(0.05, 0.2)].min() < -1
    assert cycle.angle("pelvis_rotation")[0] > 0


def test_no_foot_goes_through_the_floor(normal):
    skeleton = Skeleton.of(BODY)
    spheres = {name: (part, where) for name, (part, where, _) in skeleton.contacts.items()}
    for name, motion in point_motion(skeleton, normal.coordinates, points=spheres).items():
        bottom = motion.position_m[:, 1] - float(skeleton.contacts[name][2])
        assert bottom.min() > -SOFT_SOLE_M, name
    side = [i for i, c in enumerate(BODY.contacts) if c.name.endswith("_r")]
    # the smooth contact law carries 15 N at a sphere that just touches and fades over the centimetre above
    swing = normal.contact_force[:, side, 1].sum(axis=1) < 0.04 * WEIGHT_N
    assert swing.mean() > 0.33, "the right foot never swings free of the floor"


def test_no_foot_goes_through_the_other_leg(normal):
    """Shank and foot of one side keep 4 cm from those of the other: along their lines, points every 2 cm."""
    points = point_motion(BODY, normal.coordinates, points=[f"{p}_{s}" for p in ("knee", "ankle", "heel", "toe") for s in "rl"])

    def lines(side: str) -> np.ndarray:
        at = np.linspace(0.0, 1.0, 20)[:, None, None]
        ends = [(points[f"{a}_{side}"].position_m, points[f"{b}_{side}"].position_m) for a, b in (("knee", "ankle"), ("heel", "toe"))]
        return np.concatenate([a + at * (b - a) for a, b in ends])

    right, left = lines("r"), lines("l")
    distance = np.linalg.norm(right[:, None] - left[None], axis=-1)
    assert distance.min() > 0.04
    assert (points["ankle_r"].position_m[:, 2] > points["ankle_l"].position_m[:, 2]).all()


# -- invariants --------------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes(walks):
    first, again = replace(walks["normal"], wall_s=0.0), replace(walks["again"], wall_s=0.0)
    assert first.to_bytes() == again.to_bytes()


def test_mirrored_twice_is_the_stride_itself(normal):
    stride = stride_from_solution(BODY, ADULT, WalkingTask(1.2), normal)
    once = mirror(stride)
    back = mirror(once)
    for group, values in stride.signals.items():
        assert np.abs(back.signals[group] - values)[np.isfinite(values)].max() < 1e-4 * max(1.0, np.nanmax(np.abs(values))), group
    # a symmetric gait is its own mirror image, half a stride later
    knee = stride.channel("knee_flexion_r")
    assert np.abs(once.channel("knee_flexion_r") - knee).max() < np.deg2rad(3.0)


# -- trends --------------------------------------------------------------------------------------------------


def test_faster_means_longer_and_quicker_steps_and_harder_contact(walks):
    """Fukuchi et al. (PeerJ 2018;6:e4640); Nilsson & Thorstensson (Acta Physiol Scand 1989;136:217)."""
    chain = [walks[name] for name in ("slow", "normal", "fast")]
    times = np.array([s.stride_time_s for s in chain])
    lengths = np.array([1.0, 1.2, 1.4]) * times / 2
    assert (np.diff(times) < 0).all() and (np.diff(lengths) > 0).all()
    peaks = [Cycle(s).y.max() for s in chain]
    assert np.all(np.diff(peaks) > 0)
    powers = [Cycle(s).ankle_power_w_per_kg().max() for s in chain]
    assert powers[0] < powers[2]
