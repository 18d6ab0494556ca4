"""The realism table: its arithmetic on curves whose answer is known, and real cycles where there are any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgait import recordings
from synthgait.conventions import GRAVITY_MPS2, SIGNAL_GROUPS
from synthgait.errors import InputError
from synthgait.gait import typical_cadence_spm
from synthgait.recordings import schreiber, schreiber_cycles
from synthgait.recordings.schreiber_cycles import Cycle
from synthgait.trials import Trials
from synthgait.validate import simulations

PHASE = np.arange(101) / 100.0
WAVE = 0.5 * np.sin(2 * np.pi * PHASE)


def person(name: str, shift: float, speed: float = 1.2) -> Cycle:
    force = np.where(PHASE < 0.6, np.sin(np.pi * np.minimum(PHASE / 0.6, 1.0)), 0.0)
    curves = {"knee_flexion": WAVE + shift, "ground_reaction_y": force * (1 + shift)}
    return Cycle(name, f"{name}_1", "r", speed, 1.0, curves, {"soleus": 0.5 + WAVE})


def walkers(speed: float, knee: np.ndarray, soleus: np.ndarray, force: np.ndarray, cadence: float = 1.0) -> Trials:
    groups = ("joint_angles", "pelvis", "ground_reaction", "muscle_activation")
    signals = {g: np.zeros((1, 100, len(SIGNAL_GROUPS[g].channels)), np.float32) for g in groups}
    for group, channel, values in (
        ("joint_angles", "knee_flexion_r", knee),
        ("muscle_activation", "soleus_r", soleus),
        ("ground_reaction", "ground_reaction_y_r", force * 70.0 * GRAVITY_MPS2),
    ):
        signals[group][0, :, SIGNAL_GROUPS[group].channels.index(channel)] = values[:100]
    spm = cadence * typical_cadence_spm(speed, 1.75)
    row = {"status": "ok", "pathology": "none", "age_years": 30.0, "mass_kg": 70.0, "height_m": 1.75}
    row |= {"leg_length_m": 0.9, "walking_speed_mps": speed, "cadence_spm": spm, "stride_length_m": 120 * speed / spm, "step_width_m": 0.1}
    return Trials(pd.DataFrame([row]), signals)


def test_the_mean_of_the_people_is_inside_and_a_shift_beyond_them_is_not() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))]
    force = people[1].curves["ground_reaction_y"]
    # 20 ms later than the EMG: less alike as it is, more with the delay taken off
    soleus = np.interp(PHASE - 0.05, PHASE, 0.5 + WAVE, period=1.0)
    rows = {row["quantity"]: row for row in simulations.compare(walkers(1.2, WAVE, soleus, force), people)}
    assert rows["knee_flexion"]["fraction_within_1sd"] == 1.0
    assert rows["knee_flexion"]["rmse"] == pytest.approx(0.0, abs=1e-6)
    assert rows["ground_reaction_y"]["correlation"] == pytest.approx(1.0)
    assert rows["activation_soleus"]["correlation"] == pytest.approx(np.cos(2 * np.pi * 0.05), abs=1e-3)
    assert rows["activation_soleus"]["correlation_delayed"] == pytest.approx(1.0, abs=1e-4)
    shifted = simulations.compare(walkers(1.2, WAVE + 0.11, soleus, 0.5 * force), people)
    rows = {row["quantity"]: row for row in shifted}
    assert rows["knee_flexion"]["fraction_within_1sd"] == 0.0 and rows["knee_flexion"]["rmse"] == pytest.approx(0.11, abs=1e-6)
    # the same movement about another zero
    assert rows["knee_flexion"]["shape_within_1sd"] == 1.0 and rows["knee_flexion"]["offset"] == pytest.approx(0.11, abs=1e-6)
    assert rows["ground_reaction_y"]["fraction_within_1sd"] == 0.0 and rows["ground_reaction_y"]["shape_within_1sd"] is None
    assert {row["speed_class"] for row in shifted} == {"normal"} and rows["knee_flexion"]["n_people"] == 3


def test_few_people_take_the_spread_of_the_normal_class() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))] + [person("a", 0.0, speed=1.0)]
    rows = simulations.compare(walkers(1.0, WAVE + 0.05, WAVE, np.zeros(101)), people)
    (knee,) = (row for row in rows if row["quantity"] == "knee_flexion" and row["speed_class"] == "slow")
    assert (knee["n_people"], knee["sd_from"], knee["fraction_within_1sd"]) == (1, "normal", 1.0)


def test_unnatural_cadences_and_patients_are_left_out() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))]
    natural = walkers(1.2, WAVE, WAVE, np.zeros(101))
    assert simulations.compare(walkers(1.2, WAVE, WAVE, np.zeros(101), cadence=1.2), people) == []
    ill = replace(natural, table=natural.table.assign(pathology="crouch"))
    with pytest.raises(InputError, match="no healthy adult"):
        simulations.healthy_adults(ill)
    assert len(simulations.healthy_adults(Trials.concatenate([natural, ill]))) == 1


def test_recordings_without_the_dataset_are_one_sentence(tmp_path) -> None:
    with pytest.raises(InputError, match="schreiber_moissenet_2019"):
        simulations.run(walkers(1.2, WAVE, WAVE, np.zeros(101)), tmp_path)


def test_cardan_angles_of_known_rotations() -> None:
    def turn(axis: int, angle: float) -> np.ndarray:
        c, s = np.cos(angle), np.sin(angle)
        i, j = [k for k in range(3) if k != axis]
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = c
        matrix[i, j], matrix[j, i] = (-s, s) if axis != 1 else (s, -s)
        return matrix

    rotation = turn(2, 0.4) @ turn(0, -0.2) @ turn(1, 0.3)
    assert schreiber_cycles._cardan(rotation[None])[0] == pytest.approx([0.4, -0.2, 0.3])


@pytest.mark.skipif(recordings.find() is None, reason="no real recordings on this machine")
def test_real_people_walk_as_the_books_say() -> None:
    folder = recordings.find() / schreiber.NAME
    if not folder.is_dir():
        pytest.skip("the dataset is not among the recordings")
    found = [c for c in schreiber_cycles.cycles(folder) if c.walking_speed_mps > 0.9]
    knees = np.array([c.curves["knee_flexion"] for c in found])
    assert 50 < np.rad2deg(knees.max(axis=1)).mean() < 70 and 60 < knees.mean(axis=0).argmax() < 80
    force = np.array([c.curves["ground_reaction_y"] for c in found if "ground_reaction_y" in c.curves])
    assert len(force) > 0.9 * len(found) and 1.0 < force.max(axis=1).mean() < 1.4
    forward = np.array([c.curves["ground_reaction_x"] for c in found if "ground_reaction_x" in c.curves]).mean(axis=0)
    assert forward[5:25].min() < -0.1 and forward[40:60].max() > 0.1
    # the ground pushes both feet towards the middle
    assert np.mean([c.curves["ground_reaction_z"][5:55].mean() for c in found if "ground_reaction_z" in c.curves]) < 0
    assert {c.side for c in found} == {"r", "l"} and all(c.emg for c in found if c.side == "r")
