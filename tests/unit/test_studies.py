"""Studies: errors in one sentence, a deterministic plan, a tree of near parents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthgait.errors import InputError
from synthgait.gait import typical_cadence_spm
from synthgait.simulate.normative import personal_habits
from synthgait.studies import STRIDE_TIME_LIMITS_S, Study
from synthgait.subjects import draw_subject

GOOD = """
name: test
description: for the tests
seed: 1
groups:
  - name: adults
    subjects: 12
    trials_per_subject: 3
    age_years: [20, 80]
    walking_speed_mps: [0.6, 1.6]
    cadence_factor: [0.75, 1.25]
    free_cadence: 0.25
    task: {tracking_weight: [0.5, 1.5], contact_stiffness_factor: [0.5, 2.0]}
  - name: stroke
    pathology: hemiparesis
    severities: [0.4, 0.8]
    subjects: 4
    walking_speed_mps: [0.8, 1.2]
"""


def load(tmp_path: Path, text: str = GOOD) -> Study:
    path = tmp_path / "test.yaml"
    path.write_text(text)
    return Study.load(path)


def test_the_same_study_gives_the_same_plan(tmp_path: Path) -> None:
    one, two = load(tmp_path), load(tmp_path)
    assert one.plan() == two.plan() and one.config_sha256 == two.config_sha256
    other = load(tmp_path, GOOD.replace("seed: 1", "seed: 2"))
    assert other.config_sha256 != one.config_sha256
    seeds = [trial.seed for trial in one.plan()]
    assert len(set(seeds)) == len(seeds) == 40


def test_a_group_more_leaves_the_people_before_it_as_they_are(tmp_path: Path) -> None:
    more = GOOD + "  - {name: old, subjects: 2, age_years: [70, 80], walking_speed_mps: [0.8, 1.0]}\n"
    people = {t.subject.subject_id: t.subject for t in load(tmp_path, more).plan()}
    assert all(people[t.subject.subject_id] == t.subject for t in load(tmp_path).plan())


def test_every_parent_is_near_and_earlier(tmp_path: Path) -> None:
    plan = load(tmp_path).plan()
    place = {trial.trial_id: i for i, trial in enumerate(plan)}
    assert [trial.parent for trial in plan].count(None) == 1 and plan[0].parent is None
    steps = []
    for trial in plan[1:]:
        parent = plan[place[trial.parent]]
        assert place[trial.parent] < place[trial.trial_id]
        steps.append(abs(trial.task.walking_speed_mps - parent.task.walking_speed_mps))
        if trial.subject.pathology == parent.subject.pathology:
            assert trial.subject.affected_side == parent.subject.affected_side
        else:
            assert trial.subject.severity <= 0.4
    assert np.median(steps) < 0.15


def test_what_is_drawn_fills_what_was_declared(tmp_path: Path) -> None:
    plan = load(tmp_path).plan()
    healthy = [t for t in plan if t.subject.pathology == "none"]
    speeds = np.array([t.task.walking_speed_mps for t in healthy])
    assert 0.6 <= speeds.min() < 0.7 and 1.5 < speeds.max() <= 1.6
    ages = sorted({t.subject.age_years for t in healthy})
    assert len(ages) == 12 and ages[0] < 25 and ages[-1] > 75
    factors = np.array([t.cadence_factor for t in healthy if t.cadence_factor is not None])
    assert 0.1 < np.mean([t.cadence_factor is None for t in healthy]) < 0.45
    assert 0.75 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.25
    assert all(STRIDE_TIME_LIMITS_S[0] <= t.task.stride_time_s <= STRIDE_TIME_LIMITS_S[1] for t in healthy if t.task.stride_time_s)
    known = [t for t in healthy if t.cadence_factor is not None]
    correlation = np.corrcoef([t.task.walking_speed_mps for t in known], factors)[0, 1]
    assert abs(correlation) < 0.5
    stroke = [t for t in plan if t.subject.pathology == "hemiparesis"]
    assert {(t.subject.severity, t.subject.affected_side) for t in stroke} == {(s, a) for s in (0.4, 0.8) for a in ("left", "right")}
    assert not any(t.task.symmetric for t in stroke) and all(t.task.symmetric for t in healthy)
    assert all(0.5 <= t.task.tracking_weight <= 1.5 for t in healthy)


def test_the_model_of_a_trial_has_its_shoes(tmp_path: Path) -> None:
    trial = load(tmp_path).plan()[0]
    from synthgait.anthropometry import build_model

    ratio = trial.model().contacts[0].stiffness_pa / build_model(trial.subject).contacts[0].stiffness_pa
    assert ratio == pytest.approx(trial.contact_stiffness_factor) and ratio != 1.0
    row = trial.row()
    assert row["condition_contact_stiffness_factor"] == trial.contact_stiffness_factor
    assert (row["trial_id"], row["pathology"]) == (trial.trial_id, trial.subject.pathology)


def test_a_group_may_have_two_pathologies_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("pathology: hemiparesis", "pathology: equinus+hemiparesis")
    plan = [t for t in load(tmp_path, text).plan() if t.subject.pathology != "none"]
    assert {t.subject.affected_side for t in plan} == {"left", "right"}
    assert all(35 <= t.subject.age_years <= 70 for t in plan), "of an age for both"
    assert '"equinus"' in load(tmp_path, text).resolved() and '"hemiparesis"' in load(tmp_path, text).resolved()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 1", "seed: 1\nsped: 3", "unknown key 'sped'"),
        ("subjects: 12", "subjects: 12\n    heigth: 3", r"unknown key 'groups\.0\.heigth'"),
        ("tracking_weight: [0.5, 1.5]", "traking_weight: 1", "traking_weight"),
        ("[20, 80]", "[20, 300]", "age_years is .20, 300."),
        ("[20, 80]", "[80, 20]", "age_years"),
        ("hemiparesis", "hemiparises", "there is no pathology 'hemiparises'"),
        ("severities: [0.4, 0.8]", "severities: [0.4, 8]", "severities"),
        ("severities: [0.4, 0.8]", "severities: [0.4, 0.8]\n    sides: [both]", "does not occur on side 'both'"),
        ("[0.6, 1.6]", "[0.6, 16]", "walking_speed_mps"),
        ("    walking_speed_mps: [0.6, 1.6]\n", "", "either walking_speed_mps or froude_speed"),
        ("seed: 1", "seed: one", "seed"),
        ("seed: 1\n", "", "'seed' is missing"),
        ("name: stroke", "name: adults", "same name"),
        ("groups:", "groups: [", "not YAML"),
        ("seed: 1", "seed: 1\nname: other", r"line 5 gives the key 'name' again"),
        ("tracking_weight: [0.5, 1.5]", "tracking_weight: -1", r"tracking_weight is -1; give a number within 0 to 20"),
        ("tracking_weight: [0.5, 1.5]", "tracking_weight: .nan", "tracking_weight is nan"),
        ("tracking_weight: [0.5, 1.5]", "tracking_weight: [0, .inf]", r"tracking_weight is .0, inf.; give two rising numbers"),
        ("tracking_weight: [0.5, 1.5]", "excitation_weight: 0", "excitation_weight is 0; give a number within 0.01 to 20"),
        ("tracking_weight: [0.5, 1.5]", "activation_weight: [-1, 1]", "activation_weight is .-1, 1."),
        ("tracking_weight: [0.5, 1.5]", "slope: [0.1, -0.1]", r"slope is .0.1, -0.1.; give two rising numbers within -0.15 to 0.15"),
        ("tracking_weight: [0.5, 1.5]", "slope: 3", r"slope is 3; .*rise over run: 3 % are 0.03, 3 degrees 0.052"),
        ("tracking_weight: [0.5, 1.5]", "trunk_lean_rad: 20", r"trunk_lean_rad is 20; .*radians: 20 degrees are 0.349"),
        ("tracking_weight: [0.5, 1.5]", "minimum_step_width_m: -0.5", "minimum_step_width_m is -0.5; give a number within 0 to 0.3"),
        ("contact_stiffness_factor: [0.5, 2.0]", "contact_stiffness_factor: 1000", "contact_stiffness_factor is 1000"),
        ("free_cadence: 0.25", "knee_varus_rad: [-5, 5]", r"knee_varus_rad is .-5, 5.; .*radians: 5 degrees are 0.087"),
        ("free_cadence: 0.25", "strength: 0", "strength is 0; give a number within 0.05 to 3"),
        ("free_cadence: 0.25", "height_m: 175", "height_m is 175; give a number within 0.85 to 2.2"),
        ("free_cadence: 0.25", "mass_kg: 300", "mass_kg is 300"),
        ("free_cadence: 0.25", "step_length_factor: [0.8, 1.2]", "give one of them"),
        ("    free_cadence: 0.25\n", "", "cadence_factor is asked of nobody, as free_cadence is 1"),
        ("cadence_factor: [0.75, 1.25]", "step_length_factor: [0.1, 1.2]", "step_length_factor is .0.1, 1.2."),
        ("[0.6, 1.6]", "1.2", r"groups\.0\.walking_speed_mps: write a list, as \[1, 2\] \(given 1\.2\)"),
        ("tracking_weight: [0.5, 1.5]", "tracking_weight: high", r"task\.tracking_weight: write a number or a range .* \(given 'high'\)"),
        ("tracking_weight: [0.5, 1.5]", "tracking_weight: [0, 1, 2]", r"task\.tracking_weight: write a number or a range"),
        ("task: {tracking_weight: [0.5, 1.5], contact_stiffness_factor: [0.5, 2.0]}", "task:", r"task: write keys and values"),
        ("name: test", "name: " + 61 * "a", "name: String should have at most 60 characters"),
        ("name: adults", "name: " + 61 * "a", r"groups\.0\.name: String should have at most 60 characters"),
        ("subjects: 12", "subjects: 100000", "the groups ask for 300004 trials; give at most 100000"),
        ("groups:", "nested: " + 5000 * "[", "nested too deeply"),
    ],
)
def test_an_error_is_one_sentence_that_names_the_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=told) as error:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert "\n" not in str(error.value) and "test.yaml" in str(error.value)


def test_the_longest_names_fit_into_a_dataset(tmp_path: Path) -> None:
    text = GOOD.replace("name: test", "name: " + 60 * "a").replace("name: adults", "name: " + 60 * "b")
    trial = load(tmp_path, text).plan()[0]
    # up to 100,000 people: one digit more than here
    assert len(trial.subject.subject_id) < 128 and len(trial.trial_id) < 128


def test_a_study_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Study.load("nowhere.yaml")
    assert Study.load("quick").name == "quick"


def test_people_have_habits_of_their_own_where_a_study_says_so(tmp_path: Path) -> None:
    own = load(tmp_path, GOOD.replace("    free_cadence: 0.25\n", "    free_cadence: 0.25\n    personal_habits: 1.0\n")).plan()
    plain = {t.subject.subject_id: t for t in load(tmp_path).plan()}
    of: dict[str, set] = {}
    for trial in own:
        of.setdefault(trial.subject.subject_id, set()).add(trial.task.habits)
        assert trial.subject == plain[trial.subject.subject_id].subject
    adults = {name: habits for name, habits in of.items() if "adults" in name}
    assert all(len(habits) == 1 for habits in adults.values()) and len(set.union(*adults.values())) == 12
    for (habits,) in adults.values():
        drawn = {name: change for name, *change in habits}
        assert drawn["knee_flexion_r"] == drawn["knee_flexion_l"] and 0.6 < drawn["pelvis_ty"][0] < 1.6
    assert all(t.task.habits == () for t in plain.values() if t.subject.pathology == "none")


def test_personal_habits_scatter_as_published() -> None:
    drawn = [dict((n, c) for n, *c in personal_habits(np.random.default_rng(i), 1.0)) for i in range(400)]
    knee_deg = np.rad2deg([habits["knee_flexion_r"][1] for habits in drawn])
    assert abs(knee_deg.mean()) < 0.6 and 2.5 < knee_deg.std() < 3.6
    rise = np.log([habits["pelvis_ty"][0] for habits in drawn])
    assert abs(rise.mean()) < 0.03 and 0.15 < rise.std() < 0.2
    # thighs stay where they are when the pelvis tilts
    tilt, hip = (np.array([habits[name][1] for habits in drawn]) for name in ("pelvis_tilt", "hip_flexion_l"))
    assert np.corrcoef(tilt, hip)[0, 1] < -0.7
    assert personal_habits(np.random.default_rng(0), 0.0) == ()


OTHER_BODIES = """    height_m: [1.5, 1.6]
    mass_kg: 60
    knee_varus_rad: [0.1, 0.15]
    strength: [0.3, 0.4]
"""


def test_bodies_are_as_a_study_says_and_all_else_as_without(tmp_path: Path) -> None:
    plain = load(tmp_path)
    asked = load(tmp_path, GOOD.replace("    free_cadence: 0.25\n", "    free_cadence: 0.25\n" + OTHER_BODIES))
    people = {t.subject.subject_id: t.subject for t in plain.plan()}
    adults = [t for t in asked.plan() if "adults" in t.subject.subject_id]
    assert len({t.subject.height_m for t in adults}) == 12
    for trial in adults:
        subject, before = trial.subject, people[trial.subject.subject_id]
        assert 1.5 <= subject.height_m <= 1.6 and subject.mass_kg == 60.0
        assert 0.1 <= subject.knee_varus_rad <= 0.15 and 0.3 <= subject.strength <= 0.4
        assert subject.leg_length_m / subject.height_m == pytest.approx(before.leg_length_m / before.height_m)
        assert (subject.age_years, subject.sex) == (before.age_years, before.sex)
        assert trial.row()["height_m"] == subject.height_m
    ill = [t.subject for t in asked.plan() if "stroke" in t.subject.subject_id]
    assert ill and all(people[subject.subject_id] == subject for subject in ill)
    # a key that is not set leaves the configuration, and so the folders of runs, as they were before there was the key
    assert "height_m" not in plain.resolved().split('"study"')[1] and '"height_m": null' not in asked.resolved()


def test_mass_goes_with_a_height_that_is_given() -> None:
    one, other = (draw_subject(np.random.default_rng(3), "p", age_years=(30, 31), sex="male", height_m=h) for h in (1.5, 2.0))
    assert one.mass_kg / 1.5**2 == pytest.approx(other.mass_kg / 2.0**2)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "[0.6, 1.6]",
            "[1.9, 1.9]",
            r"group 'adults' asks a person of . years and 1\... m to walk at 1\.90 m/s, a froude_speed of 0\.[78]",
        ),
        ("free_cadence: 0.25", "free_cadence: 0.25\n    height_m: 2.0", "give a height_m within"),
        ("free_cadence: 0.25", "free_cadence: 0.25\n    mass_kg: 150", "give a mass_kg within"),
    ],
)
def test_people_that_nobody_is_are_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    young = GOOD.replace("[20, 80]", "[5, 6]")
    assert load(tmp_path, young).plan()
    with pytest.raises(InputError, match=told) as error:
        load(tmp_path, young.replace(old, new, 1)).plan()
    assert "\n" not in str(error.value)


def test_step_lengths_are_asked_for_at_their_speed(tmp_path: Path) -> None:
    text = GOOD.replace("cadence_factor: [0.75, 1.25]", "step_length_factor: [0.7, 0.8]").replace("free_cadence: 0.25", "free_cadence: 0")
    for trial in (t for t in load(tmp_path, text).plan() if "adults" in t.subject.subject_id):
        own = 120.0 / typical_cadence_spm(trial.task.walking_speed_mps, trial.subject.height_m)
        assert 0.7 <= trial.task.stride_time_s / own <= 0.8, "at one speed steps are as much shorter as they are quicker"
        assert trial.cadence_factor == pytest.approx(own / trial.task.stride_time_s)


def test_a_study_says_how_many_cadences_are_clipped(tmp_path: Path) -> None:
    assert load(tmp_path).remark() == ""
    slow = load(tmp_path, GOOD.replace("[0.6, 1.6]", "[0.15, 0.2]"))
    clipped = sum(t.task.stride_time_s == STRIDE_TIME_LIMITS_S[1] for t in slow.plan())
    assert clipped and slow.remark() == f"the cadence of {clipped} of 40 trials is clipped: a prescribed stride takes 0.55 to 2.6 s"
