"""Pathologies: what a table says is what changes in body and task, on the right side, linearly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthgait import pathologies
from synthgait.anthropometry import build_model
from synthgait.errors import InputError
from synthgait.musculoskeletal import MusculoskeletalModel, parameters
from synthgait.simulate.normative import pulled_angle, pulled_ground_reaction
from synthgait.simulate.task import WalkingTask
from synthgait.subjects import Subject


def subject(pathology: str, severity: float, side: str) -> Subject:
    return Subject("s", pathology=pathology, severity=severity, affected_side=side, knee_varus_rad=0.02)


def muscle(model: MusculoskeletalModel, name: str):
    return next(m for m in model.muscles if m.name == name)


def test_weakness_is_on_the_affected_side_and_linear() -> None:
    for severity in (0.0, 0.5, 1.0):
        ill = subject("plantarflexor_weakness", severity, "left")
        healthy = build_model(ill)
        weak = pathologies.apply(healthy, ill)
        ratio = muscle(weak, "soleus_l").max_isometric_force_n / muscle(healthy, "soleus_l").max_isometric_force_n
        assert ratio == pytest.approx(1.0 - 0.75 * severity)
        assert muscle(weak, "soleus_r") == muscle(healthy, "soleus_r")
        assert muscle(weak, "psoas_l") == muscle(healthy, "psoas_l")


def test_the_mean_of_a_cited_study_is_at_half_severity() -> None:
    ill = subject("hemiparesis", 0.5, "right")
    ratio = muscle(pathologies.apply(build_model(ill), ill), "vastus_lateralis_r").max_isometric_force_n
    assert ratio / muscle(build_model(ill), "vastus_lateralis_r").max_isometric_force_n == pytest.approx(0.90 / 1.24, abs=0.01)
    ill = subject("parkinson", 0.5, "both")
    ratio = muscle(pathologies.apply(build_model(ill), ill), "soleus_l").max_isometric_force_n
    assert ratio / muscle(build_model(ill), "soleus_l").max_isometric_force_n == pytest.approx(1.74 / 2.64, abs=0.01)


def test_varus_and_passive_limits_move_on_their_side() -> None:
    ill = subject("knee_osteoarthritis", 1.0, "left")
    healthy, changed = build_model(ill), pathologies.apply(build_model(ill), ill)
    angle = {m: [j.parent_rotation_rad[0] for j in model.joints if j.name.startswith("knee")] for m, model in enumerate((healthy, changed))}
    np.testing.assert_allclose(angle[0], [0.02, -0.02])
    np.testing.assert_allclose(angle[1], [0.02, -0.11])
    ill = subject("crouch", 1.0, "both")
    healthy, changed = build_model(ill), pathologies.apply(build_model(ill), ill)
    for before, after in zip(healthy.passive_moments, changed.passive_moments, strict=True):
        moved = after.theta2_rad - before.theta2_rad
        assert moved == pytest.approx(0.35 if before.coordinate.startswith("knee") else 0.0)


@pytest.mark.parametrize("name", sorted(pathologies.tables()))
def test_a_table_keeps_the_structure_of_the_problem(name: str) -> None:
    """A compiled problem serves all: the same parameters, and both sides alike when both are affected."""
    for side in pathologies.get(name).sides:
        ill = subject(name, 0.7, side)
        before = parameters(build_model(ill))
        after = parameters(pathologies.apply(build_model(ill), ill))
        assert list(before) == list(after)
        assert (before != after) == bool(pathologies.get(name).changes), "cognitive impairment changes the walking, not the body"
        changed = {path.split(".")[1][-2:] for path in before if before[path] != after[path]}
        assert changed <= ({"_r", "_l"} if side == "both" or name == "hemiparesis" else {"_" + side[0]})
    task = WalkingTask(1.2)
    assert pathologies.apply_to_task(task, subject(name, 1.0, side)) != task
    assert pathologies.apply_to_task(task, replace(subject(name, 1.0, side), severity=0.0)) == task


def test_a_combination_is_one_after_the_other() -> None:
    both = subject("crouch+equinus", 0.6, "both")
    crouch, equinus = (replace(both, pathology=name) for name in ("crouch", "equinus"))
    healthy = build_model(both)
    assert parameters(pathologies.apply(healthy, both)) == parameters(pathologies.apply(pathologies.apply(healthy, crouch), equinus))
    task = pathologies.apply_to_task(WalkingTask(1.2), both)
    assert task == pathologies.apply_to_task(pathologies.apply_to_task(WalkingTask(1.2), crouch), equinus)
    assert task.walking_speed_mps == pytest.approx(1.2 * (1 - 0.6 * 0.25) * (1 - 0.6 * 0.15))
    knee = next(change for name, *change in task.habits if name == "knee_flexion_r")
    assert knee == pytest.approx([1 - 0.6 * 0.25, 0.6 * (0.42 + 0.08)])
    assert pathologies.sides("crouch+equinus") == ("both",) and pathologies.age_years("crouch+equinus") == (7, 25)
    for wrong, told in {
        "equinus+crouch": "alphabetical order, each once: 'crouch.equinus'",
        "crouch+crouch": "each once: 'crouch'",
        "crouch+hiccups": "no pathology 'hiccups'",
        "crouch+hemiparesis": "no side can have all",
    }.items():
        with pytest.raises(InputError, match=told):
            pathologies.sides(wrong)
    with pytest.raises(InputError, match="nobody is of an age"):
        pathologies.age_years("crouch+parkinson")


def test_a_weak_side_drops_the_pelvis_and_the_other_does_not() -> None:
    ill = subject("hip_abductor_weakness", 1.0, "right")
    task = replace(pathologies.apply_to_task(WalkingTask(1.2), ill), left_contact_phase=0.5)
    phase = np.arange(100) / 100
    pulled, usual = (pulled_angle("pelvis_list", 0.4, t, phase) for t in (task, replace(task, habits=())))
    factor = next(value for name, value, _ in task.habits if name == "pelvis_drop_r")
    assert pulled[:50].min() == pytest.approx(factor * usual[:50].min()) and factor > 1
    assert pulled[50:].max() == pytest.approx(usual[50:].max()) and usual[50:].max() > 0


def test_in_equinus_the_heel_is_not_pulled_to_its_share() -> None:
    task = pathologies.apply_to_task(WalkingTask(1.2), subject("equinus", 1.0, "left"))
    phase = np.arange(100) / 100
    heel = {left: pulled_ground_reaction(0.4, task, phase, left)[:, 3].max() for left in (False, True)}
    assert heel[True] < 0.1 * heel[False]


def test_what_a_painful_joint_costs_is_on_its_side_and_grows_with_severity() -> None:
    for severity in (0.5, 1.0):
        task = pathologies.apply_to_task(WalkingTask(1.2), subject("knee_osteoarthritis", severity, "right"))
        assert task.joint_load == (("knee_r", pytest.approx(0.3 * severity)),)
    both = pathologies.apply_to_task(WalkingTask(1.2), subject("hip_osteoarthritis", 1.0, "both"))
    assert dict(both.joint_load).keys() == {"hip_r", "hip_l"}


def test_health_changes_nothing() -> None:
    healthy = Subject("s")
    model = build_model(healthy)
    assert pathologies.apply(model, healthy) is model
    with pytest.raises(InputError, match="no pathology 'hiccups'"):
        pathologies.apply(model, subject("hiccups", 0.5, "left"))


TABLE = """
name: test
title: Test
description: For the tests.
sides: [left]
age_years: [20, 80]
changes:
  - parameter: max_isometric_force_n
    muscles: [soleus]
    factor_at_severity_1: 0.5
    source: "modelling choice: for the tests"
task:
  - parameter: walking_speed_mps
    factor_at_severity_1: 0.8
    source: "modelling choice: for the tests"
habits:
  - angles: [knee_flexion]
    factor_at_severity_1: 1.2
    source: "modelling choice: for the tests"
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[soleus]", "[solaeus]", "no muscle 'solaeus'"),
        ("max_isometric_force_n", "max_isometric_force", "parameter"),
        ('    source: "modelling choice: for the tests"\n', "", "'source' is missing"),
        ("factor_at_severity_1: 0.5", "factor: 0.5", "factor"),
        ("factor_at_severity_1: 0.5", "factor_at_severity_1: 0.5\n    shift_at_severity_1: 1", "either"),
        ("title: Test", "title: Test\ncolour: red", "unknown key 'colour'"),
        ("sides: [left]", "sides: [port]", "sides"),
        ("parameter: walking_speed_mps", "parameter: joint_load_weight\n    joint: elbow", "joint"),
        ("parameter: walking_speed_mps", "parameter: joint_load_weight\n    joint: knee", "needs shift_at_severity_1"),
        ("angles: [knee_flexion]", "angles: [knee_flexion]\n    share: heel", "one of angles, phase and share"),
        ("angles: [knee_flexion]\n    factor_at_severity_1", "share: heel\n    shift_at_severity_1", "needs factor_at_severity_1"),
    ],
)
def test_an_error_in_a_table_is_one_sentence(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "test.yaml"
    path.write_text(TABLE)
    assert pathologies.load(path).name == "test"
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(InputError, match=told) as error:
        pathologies.load(path)
    assert "\n" not in str(error.value) and "test.yaml" in str(error.value)
