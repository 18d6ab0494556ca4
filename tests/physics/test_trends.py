"""Trends that the field knows, on solved gaits, each with its source.

Two kinds. **From the body alone**: no habits (``WalkingTask.habits`` empty), the same task for both walkers, and a
weak pull to healthy textbook curves and stride time (``LOOSE``): what differs follows from muscles and size. **With
the table's habits**: the walker is pulled to curves that the pathology's table has changed, so that the trend was
put in; those tests show that it survives the physics, not that it was predicted. Each test says its kind, and where
the body alone does something else, that is said and held too.

Two thirds of the studies' mesh; symmetric gaits but for hemiparesis; one process solves all, each from a neighbour.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from opensim_process import in_casadi, solved_in_turn
from synthgait import pathologies
from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.gait import dimensionless_speed, leg_length_m, stride_from_solution
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.simulate.task import COST_SHARES, WalkingSolution, WalkingTask
from synthgait.subjects import Subject
from synthgait.trials import Trials
from synthgait.validate import speed_effects

LOOSE = 0.02
ADULT = Subject("adult", age_years=25)
CHILD = Subject("child", age_years=8, height_m=1.28, mass_kg=26.0)
OLD = replace(ADULT, subject_id="old", age_years=80)
TASK = WalkingTask(1.2, tracking_weight=LOOSE, intervals=20)
SLOW = replace(TASK, walking_speed_mps=1.0)
SLOWER = replace(TASK, walking_speed_mps=0.9)


def ill(pathology: str, side: str, severity: float) -> Subject:
    return replace(ADULT, subject_id=pathology, pathology=pathology, severity=severity, affected_side=side)


CALVES = ill("plantarflexor_weakness", "both", 0.8)
CROUCH = ill("crouch", "both", 0.8)
ABDUCTORS = ill("hip_abductor_weakness", "both", 1.0)
STROKE = ill("hemiparesis", "right", 0.8)
EQUINUS = ill("equinus", "both", 1.0)


def body(subject: Subject) -> MusculoskeletalModel:
    return pathologies.apply(build_model(subject), subject)


def with_habits(subject: Subject, speed_mps: float) -> WalkingTask:
    """The table's task (pull and habits) at a speed of our choice."""
    task = pathologies.apply_to_task(WalkingTask(speed_mps, intervals=TASK.intervals), subject)
    assert task.habits
    return replace(task, walking_speed_mps=speed_mps, symmetric=subject.affected_side == "both")


def froude(task: WalkingTask, subject: Subject) -> float:
    return dimensionless_speed(task.walking_speed_mps, leg_length_m(subject))


CHILD_TASK = replace(TASK, walking_speed_mps=froude(TASK, ADULT) * float(np.sqrt(GRAVITY_MPS2 * leg_length_m(CHILD))))
#: A fifth less than the stride time that people choose at this speed (1.17 s).
SHORT_STEPS = replace(TASK, stride_time_s=0.94)
ONE_SIDED = replace(TASK, walking_speed_mps=0.8, symmetric=False)
#: Name, who, task, and whose walk it starts from.
GAITS: tuple[tuple[str, Subject, WalkingTask, str], ...] = (
    ("adult", ADULT, TASK, ""),
    ("adult_slower", ADULT, SLOWER, "adult"),
    ("weak_calves", CALVES, TASK, "adult"),
    ("weak_calves_slower", CALVES, SLOWER, "weak_calves"),
    ("old", OLD, TASK, "adult"),
    ("child", CHILD, CHILD_TASK, "adult"),
    ("short_steps", ADULT, SHORT_STEPS, "adult"),
    ("bouncing", ADULT, replace(TASK, habits=(("pelvis_ty", 1.4, 0.0),)), "adult"),
    ("adult_slow", ADULT, SLOW, "adult_slower"),
    ("abductors_habits", ABDUCTORS, with_habits(ABDUCTORS, 1.0), "adult_slow"),
    ("crouch_habits", CROUCH, with_habits(CROUCH, 1.0), "adult_slower"),
    ("equinus_habits", EQUINUS, with_habits(EQUINUS, 1.0), "adult_slow"),
    ("painful_knees", ADULT, replace(TASK, joint_load=(("knee_r", 0.3), ("knee_l", 0.3))), "adult"),
    ("stroke", STROKE, ONE_SIDED, "adult_slower"),
    ("stroke_habits", STROKE, with_habits(STROKE, 0.8), "stroke"),
)


@pytest.fixture(scope="module")
def solutions() -> dict[str, WalkingSolution]:
    found = solved_in_turn([(name, body(who), task, start) for name, who, task, start in GAITS])
    assert {name: s.status for name, s in found.items()} == dict.fromkeys(found, "ok")
    return found


@pytest.fixture(scope="module")
def strides(solutions) -> dict[str, Trials]:
    return {name: stride_from_solution(body(who), who, task, solutions[name]) for name, who, task, _ in GAITS}


def row(stride: Trials):
    return stride.table.iloc[0]


def push_off_w_per_kg(stride: Trials, side: str = "r") -> float:
    groups = ("joint_moments", "joint_velocities")
    moment, speed = (stride.signals[g][0, :, stride.channels[g].index(f"ankle_dorsiflexion_{side}")] for g in groups)
    return float((moment * speed).max()) / float(row(stride)["mass_kg"])


def knee_in_stance_deg(stride: Trials) -> np.ndarray:
    loaded = int(100 * row(stride)["stance_time_r_s"] / row(stride)["stride_time_s"])
    return np.rad2deg(stride.channel("knee_flexion_r")[0, :loaded])


def pelvic_drop_deg(stride: Trials) -> float:
    """How far the left side of the pelvis hangs below level in the first third of right stance."""
    return float(-np.rad2deg(stride.channel("pelvis_list")[0, :33].min()))


def foot_load_bw(solution: WalkingSolution, spheres: str = "") -> np.ndarray:
    """Vertical force of the right foot, or of those of its spheres whose names begin so, in body weights, (K,)."""
    model = body(ADULT)
    which = [c.name.endswith("_r") and c.name.startswith(spheres) for c in model.contacts]
    return solution.contact_force[:, which, 1].sum(axis=1) / (model.mass_kg * GRAVITY_MPS2)


def knee_load_bw(solution: WalkingSolution) -> float:
    """Mean over the stride of what floor and muscles press the right knee together with, in body weights."""
    model = body(ADULT)
    crossing = ["knee_flexion_r" in muscle.path_coordinates for muscle in model.muscles]
    muscles = solution.muscle_force[:-1, crossing].sum(axis=1) / (model.mass_kg * GRAVITY_MPS2)
    return float((muscles + foot_load_bw(solution)[:-1]).mean())


def effort_per_metre(solution: WalkingSolution, task: WalkingTask) -> float:
    """The effort terms of the cost, per distance instead of per time."""
    terms = ((COST_SHARES["excitation"], solution.excitation), (COST_SHARES["activation"], solution.activation))
    return sum(share * float((values[:-1] ** 2).mean()) for share, values in terms) / task.walking_speed_mps


# -- from the body alone -----------------------------------------------------------------------------------


def test_push_off_told_from_the_floor_is_the_joints(strides) -> None:
    """What files keep is enough for it: ``validate simulations`` reads it off the ground's force."""
    for name, stride in strides.items():
        assert speed_effects.push_off_w_per_kg(stride)[0] == pytest.approx(push_off_w_per_kg(stride), rel=0.06), name


def test_weak_calves_push_off_less_at_the_same_speed(strides) -> None:
    """McGowan, Neptune & Kram (J Appl Physiol 2008;105:486): the calves, soleus above all, propel. Simulated, weak ones
    walk slower (Ong et al., PLoS Comput Biol 2019;15:e1006993).
    Speed is prescribed; cadence is the walker's own, and its steps get shorter. From the body alone.
    """
    weak, strong = strides["weak_calves"], strides["adult"]
    assert push_off_w_per_kg(weak) < 0.85 * push_off_w_per_kg(strong)
    assert row(weak)["cadence_spm"] > row(strong)["cadence_spm"]


def test_weak_calves_make_slower_walking_the_cheaper_one(solutions) -> None:
    """Ong et al. (2019): severely weak plantarflexors lower the self-selected speed. Speed is prescribed here, so this asks
    which of 0.9 and 1.2 m/s costs less effort per metre, which people choose (Zarrugh, Todd & Ralston, Eur J Appl
    Physiol 1974;33:293): the quicker for the strong, for the weak hardly. From the body alone.
    """

    def saved(quick: str, slow: str) -> float:
        return effort_per_metre(solutions[slow], SLOWER) / effort_per_metre(solutions[quick], TASK)

    strong, weak = saved("adult", "adult_slower"), saved("weak_calves", "weak_calves_slower")
    assert strong > 1.05 and weak < 1.05 and weak < strong - 0.08


def test_age_shortens_steps(strides) -> None:
    """DeVita & Hortobagyi (J Appl Physiol 2000;88:1804): at the same speed people of 69 years take steps 4 % shorter and
    as much quicker than those of 21, and their ankles do less work. Size and task are the same here; muscles are 25 and
    80 years old. From the body alone: the steps come out, the weaker push-off does not (more power: quicker steps need
    more push-offs, and the tendon recoils).
    """
    old, young = strides["old"], strides["adult"]
    assert row(old)["stride_length_m"] / row(young)["stride_length_m"] == pytest.approx(0.96, abs=0.02)
    assert push_off_w_per_kg(young) < push_off_w_per_kg(old) < 1.15 * push_off_w_per_kg(young)


def test_children_take_quicker_steps_at_the_same_dimensionless_speed(strides) -> None:
    """Sutherland (Gait Posture 1997;6:163): from 4 years of age on steps over leg length are an adult's, and cadence
    changes with the length of the legs; at one dimensionless speed by the root of their ratio. From the body and, weakly, from the usual
    stride time that is pulled to, which scales with the leg as well (the textbook's curves are dimensionless).
    """
    child, adult = row(strides["child"]), row(strides["adult"])
    assert froude(CHILD_TASK, CHILD) == pytest.approx(froude(TASK, ADULT))
    expected = float(np.sqrt(leg_length_m(ADULT) / leg_length_m(CHILD)))
    assert expected > 1.1 and child["cadence_spm"] / adult["cadence_spm"] == pytest.approx(expected, rel=0.07)
    assert child["stride_length_m"] / leg_length_m(CHILD) == pytest.approx(adult["stride_length_m"] / leg_length_m(ADULT), rel=0.07)


def test_one_weak_leg_makes_steps_unequal(strides) -> None:
    """Balasubramanian et al. (Arch Phys Med Rehabil 2007;88:43): the paretic step is the longer one where the paretic
    leg propels little. From the body alone. What the body alone does *not* give is the shorter paretic stance: there
    it comes from the table's habits (last test).
    """
    stroke = strides["stroke"]
    assert row(stroke)["step_length_r_m"] > 1.05 * row(stroke)["step_length_l_m"]
    assert push_off_w_per_kg(stroke, "r") < 0.8 * push_off_w_per_kg(stroke, "l")


def test_short_steps_at_the_same_speed_rise_less(strides) -> None:
    """Zijlstra & Hof (Gait Posture 1997;6:249): the pelvis rises as an inverted pendulum, with the square of the step's
    length. From the body and, weakly, from the rise that is pulled to, which knows that law.
    """
    usual, short = strides["adult"], strides["short_steps"]
    shorter = row(short)["stride_length_m"] / row(usual)["stride_length_m"]
    lower = np.ptp(short.channel("pelvis_ty")[0]) / np.ptp(usual.channel("pelvis_ty")[0])
    assert shorter < 0.9
    assert 0.7 * shorter**2 < lower < 1.2 * shorter**2


# -- with the table's habits: put in, and kept by the physics ----------------------------------------------------


def test_who_is_used_to_rise_more_does(strides) -> None:
    """Steps stay as long; the vertical force's humps, which carry the rise, grow with it."""
    usual, bouncing = strides["adult"], strides["bouncing"]
    higher = np.ptp(bouncing.channel("pelvis_ty")[0]) / np.ptp(usual.channel("pelvis_ty")[0])
    assert 1.15 < higher < 1.5
    assert row(bouncing)["stride_length_m"] == pytest.approx(row(usual)["stride_length_m"], rel=0.05)
    first, second = (stride.channel("ground_reaction_y_r")[0].max() for stride in (usual, bouncing))
    assert second > 1.02 * first


def test_crouch_keeps_the_knee_bent_in_stance(strides) -> None:
    """Steele et al. (Gait Posture 2012;35:556): moderate crouch, about 20 degrees at the least in stance. With the
    table's habits: the pull is to a bent knee. The body alone does not crouch: at severity 0.5 without habits the
    knee was as straight as a healthy one's, at 0.8 the solver found no walk.
    """
    assert knee_in_stance_deg(strides["crouch_habits"]).min() > knee_in_stance_deg(strides["adult"]).min() + 12
    assert knee_in_stance_deg(strides["crouch_habits"]).mean() > 20


def test_hemiparesis_shortens_the_paretic_stance(strides) -> None:
    """Patterson et al. (Arch Phys Med Rehabil 2008;89:304): half of those who had a stroke walk unevenly in time. With the
    table's habits: the pull is to a shorter stance.
    """
    with_table = row(strides["stroke_habits"])
    assert with_table["stance_time_r_s"] < 0.98 * with_table["stance_time_l_s"]
    assert with_table["step_length_r_m"] > 1.03 * with_table["step_length_l_m"]


def test_weak_hip_abductors_let_the_pelvis_drop(strides) -> None:
    """Trendelenburg's sign (Perry & Burnfield, Gait Analysis, 2010): the pelvis falls to the swinging side. With the
    table's habits. The body alone is undecided: with a pull of 0.05 and the same stride time, weak abductors dropped
    the pelvis by 6.2 or by 4.4 degrees, whichever neighbour the solver started from, against 4.1 or 4.6 healthy ones.
    """
    assert pelvic_drop_deg(strides["abductors_habits"]) > 1.25 * pelvic_drop_deg(strides["adult_slow"]) > 0


def test_equinus_walks_on_its_toes(strides, solutions) -> None:
    """True equinus: the ankle stays plantarflexed and the heel off the floor all through stance (Rodda et al., J Bone
    Joint Surg Br 2004;86:251). With the table's habits.
    """
    assert foot_load_bw(solutions["adult_slow"], "heel").max() > 0.4
    assert foot_load_bw(solutions["equinus_habits"], "heel").max() < 0.1
    stance = int(100 * row(strides["equinus_habits"])["stance_time_r_s"] / row(strides["equinus_habits"])["stride_time_s"])
    assert np.rad2deg(strides["equinus_habits"].channel("ankle_dorsiflexion_r")[0, :stance]).max() < 0


def test_who_minds_the_load_of_a_knee_presses_it_less(solutions) -> None:
    """Antalgic gait as DESIGN.md has it, one joint's contact load penalised: muscles press the knee together less, from
    2.2 body weights on average by a tenth or more. From the cost of the load alone.
    """
    assert knee_load_bw(solutions["painful_knees"]) < 0.9 * knee_load_bw(solutions["adult"])


def refusal(task: WalkingTask) -> str:
    """What the solver says instead of solving, in the process that may load it."""
    from synthgait.simulate.solve import solve_walking

    with pytest.raises(InputError) as error:
        solve_walking(body(ADULT), task)
    return str(error.value)


def test_half_a_stride_has_no_sides() -> None:
    assert "symmetric to false" in in_casadi(refusal, replace(TASK, joint_load=(("knee_r", 0.3),)))
    assert "symmetric to false" in in_casadi(refusal, replace(TASK, habits=(("knee_flexion_l", 1.1, 0.0),)))
    assert "names 'elbow_r'" in in_casadi(refusal, replace(ONE_SIDED, joint_load=(("elbow_r", 0.3),)))
