"""The realism table: its arithmetic on curves whose answer is known, and real cycles where there are any."""

from __future__ import annotations

import json
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
from synthgait.validate import simulations, speed_effects

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
    row = {"subject_id": "s", "status": "ok", "pathology": "none", "age_years": 30.0, "mass_kg": 70.0, "height_m": 1.75}
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


def test_a_band_tells_what_real_people_and_a_true_mean_reach_in_it() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))]
    rows = {row["quantity"]: row for row in simulations.compare(walkers(1.2, WAVE, WAVE, np.ones(101)), people)}
    knee, soleus = rows["knee_flexion"], rows["activation_soleus"]
    # only the middle one lies between the other two; the outer ones are 0.15 off the others' mean, whose deviation is 0.07
    assert knee["person_within_1sd"] == pytest.approx(1 / 3)
    # P(|t| < x) with two degrees of freedom is x / sqrt(2 + x^2)
    assert knee["true_mean_within_1sd"] == pytest.approx(np.sqrt(3 / 5))
    # all of them have the same envelope, whatever its unit
    assert soleus["person_within_1sd"] == 1.0 and soleus["person_correlation"] == pytest.approx(1.0)
    text = simulations.as_text({"curves": list(rows.values()), "speed_relations": []})
    assert "mean of angles and forces" in text and "77%" in text
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((20_000, 7))
    inside = np.mean(np.abs(drawn.mean(axis=1)) < drawn.std(axis=1, ddof=1))
    assert simulations._yardsticks(drawn[:7], relative=False)["true_mean_within_1sd"] == pytest.approx(inside, abs=0.01)


def test_few_people_take_the_spread_of_the_normal_class() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))] + [person("a", 0.0, speed=1.0)]
    rows = simulations.compare(walkers(1.0, WAVE + 0.05, WAVE, np.zeros(101)), people)
    (knee,) = (row for row in rows if row["quantity"] == "knee_flexion" and row["speed_class"] == "slow")
    assert (knee["n_people"], knee["sd_from"], knee["fraction_within_1sd"]) == (1, "normal", 1.0)
    assert knee["person_within_1sd"] is None and knee["true_mean_within_1sd"] is None


def test_unnatural_cadences_and_patients_are_left_out() -> None:
    people = [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))]
    natural = walkers(1.2, WAVE, WAVE, np.zeros(101))
    assert simulations.compare(walkers(1.2, WAVE, WAVE, np.zeros(101), cadence=1.2), people) == []
    ill = replace(natural, table=natural.table.assign(pathology="crouch"))
    with pytest.raises(InputError, match="no healthy adult"):
        simulations.healthy_adults(ill)
    assert len(simulations.healthy_adults(Trials.concatenate([natural, ill]))) == 1


def table_of_adults(step_slope: float = 0.3, cadence_slope: float = 50.0) -> pd.DataFrame:
    """Two people of one leg length at three speeds, on lines."""
    rows = [
        (name, v, 0.9 * (0.3 + lift + step_slope * v), 50.0 + cadence_slope * v)
        for name, lift in (("a", 0.0), ("b", 0.1))
        for v in (0.8, 1.2, 1.6)
    ]
    return pd.DataFrame(rows, columns=["subject_id", "walking_speed_mps", "step_length_m", "cadence_spm"]).assign(leg_length_m=0.9)


def made_up(slope: float) -> tuple[Trials, list[Cycle]]:
    """Walkers and real people whose peaks are straight lines over speed; the faster people have lower ones."""
    force = person("a", 0.0).curves["ground_reaction_y"]
    ours, theirs = [], []
    for name, speeds, own in (("a", (0.8, 1.0), 0.1), ("b", (1.3, 1.5), -0.2)):
        for v in speeds:
            peak = 1.0 + slope * v + own
            trial = walkers(v, WAVE + peak - WAVE.max(), WAVE, peak * force)
            ours.append(replace(trial, table=trial.table.assign(subject_id=name, step_width_m=0.1 + 0.01 * v)))
            curves = {"knee_flexion": WAVE + 2 * slope * v + own, "ground_reaction_y": force * (1.0 + 0.5 * slope * v + own)}
            numbers = {"step_width_m": 0.1 - 0.02 * v, "step_length_per_leg": 0.4 + 0.3 * v, "push_off_w_per_kg": 3.0 * v + own}
            theirs.append(Cycle(name, f"{name}_{v}", "r", v, 60.0 / (40.0 * v + 20.0), curves, {}, numbers))
    return Trials.concatenate(ours), theirs


@pytest.fixture
def easy_push_off(monkeypatch) -> None:
    """Push-off needs a body; tests/physics has its own test of it."""
    monkeypatch.setattr(speed_effects, "push_off_w_per_kg", lambda strides: 4.0 * strides.table["walking_speed_mps"].to_numpy(float))


def test_a_known_slope_over_speed_is_told_for_each_person_by_himself(easy_push_off) -> None:
    ours, theirs = made_up(0.2)
    rows = {row["quantity"]: row for row in speed_effects.relations(ours, theirs, table_of_adults())}
    assert list(rows) == list(speed_effects.RELATIONS)
    knee, force, width = rows["peak_knee_flexion_rad"], rows["peak_vertical_force_bw"], rows["step_width_m"]
    assert knee["slope_simulated"] == pytest.approx(0.2, abs=1e-5) and knee["slope_real"] == pytest.approx(0.4)
    assert force["slope_simulated"] == pytest.approx(0.2, abs=1e-5) and force["slope_real"] == pytest.approx(0.1)
    assert width["slope_simulated"] == pytest.approx(0.01) and width["slope_real"] == pytest.approx(-0.02)
    # all speeds lie evenly about 1.15 m/s and the people's own heights about -0.05
    assert knee["at_1_2_mps_simulated"] == pytest.approx(1.0 + 0.2 * 1.2 - 0.05, abs=1e-5)
    push = rows["push_off_power_w_per_kg"]
    assert push["slope_simulated"] == pytest.approx(4.0) and push["slope_real"] == pytest.approx(3.0)
    assert rows["cadence_spm"]["slope_real"] == pytest.approx(80.0) and rows["cadence_spm"]["slope_published"] == pytest.approx(50.0)
    assert rows["step_length_per_leg"]["slope_real"] == pytest.approx(0.3) == rows["step_length_per_leg"]["slope_published"]
    assert (knee["n_simulated"], knee["n_cycles"], knee["n_people"]) == (4, 4, 2)
    down = {row["quantity"]: row for row in speed_effects.relations(*made_up(-0.2), table_of_adults())}
    assert down["peak_knee_flexion_rad"]["slope_simulated"] < 0 > down["peak_vertical_force_bw"]["slope_real"]


def test_what_is_published_is_as_the_sources_say() -> None:
    told = speed_effects.published(table_of_adults())
    # 0.146, 0.140 and 0.139 leg lengths at 1.069, 1.545 and 2.495 of them a second
    assert told["step_width_m"][0] == pytest.approx(-0.00436, abs=1e-5)
    # 54.0, 59.6 and 59.2 degrees at 0.6, 1.2 and 1.39 m/s: the line is flatter than the curve's first half
    assert np.rad2deg(told["peak_knee_flexion_rad"][1]) == pytest.approx(59.4, abs=0.05)
    assert np.rad2deg(told["peak_knee_flexion_rad"][0]) == pytest.approx(6.6, abs=0.05)
    assert told["peak_vertical_force_bw"][:2] == (pytest.approx(1.3 / 4.5), None)
    assert told["push_off_power_w_per_kg"] == (None, None, "none found")


def test_relations_say_so_where_nothing_is_known(easy_push_off) -> None:
    ours, theirs = made_up(0.2)
    curves = simulations.compare(
        walkers(1.2, WAVE, WAVE, WAVE), [person(name, shift) for name, shift in (("a", -0.1), ("b", 0.0), ("c", 0.1))]
    )
    relations = speed_effects.relations(ours, [replace(c, numbers={}) for c in theirs], table_of_adults())
    json.dumps(relations, allow_nan=False)
    push = next(row for row in relations if row["quantity"] == "push_off_power_w_per_kg")
    assert push["slope_real"] is None and push["slope_published"] is None and push["n_cycles"] == 0
    text = simulations.as_text({"curves": curves, "speed_relations": relations})
    assert "push_off_power_w_per_kg: none found" in text and "nan" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("peak_knee_flexion  "))
    assert line.split()[1:4] == ["deg", f"{np.rad2deg(0.2):.3f}", f"{np.rad2deg(0.4):.3f}"]


def test_people_who_walked_at_one_speed_each_share_a_line() -> None:
    speed = np.array([0.8, 1.2, 1.6, 2.5])
    line = speed_effects._line(speed, 2.0 + 3.0 * speed, np.array(["a", "b", "c", "d"]))
    assert line == (pytest.approx(3.0), pytest.approx(5.6), 3, 3)
    assert speed_effects._line(speed[:2], speed[:2], np.array(["a", "b"])).slope is None


def test_one_person_at_normal_speed_makes_no_band() -> None:
    assert simulations.compare(walkers(1.2, WAVE, WAVE, WAVE), [person("a", 0.0)]) == []


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
    numbers = pd.DataFrame([c.numbers for c in found])
    assert 0.03 < numbers["step_width_m"].mean() < 0.15 and 2.5 < numbers["push_off_w_per_kg"].mean() < 5.0


def standing_still(rate: float = 100.0) -> dict[str, np.ndarray]:
    """A right leg whose foot turns toes down at 1 rad/s about an ankle at 0.1 m over the floor, one second."""
    t = np.arange(101) / rate
    still = {"FLE": (0.0, 0.5, 0.05), "FME": (0.0, 0.5, -0.05), "FAL": (0.0, 0.1, 0.04), "TAM": (0.0, 0.1, -0.04)}
    markers = {f"R_{name}": np.tile(place, (len(t), 1)) for name, place in still.items()}
    for name, ahead, across in (("FCC", -0.05, 0.0), ("FM1", 0.15, -0.04), ("FM5", 0.15, 0.04)):
        markers[f"R_{name}"] = np.column_stack([ahead * np.cos(t), 0.1 - ahead * np.sin(t), np.full(len(t), across)])
    return markers


def test_ankle_power_is_moment_times_speed() -> None:
    walk = schreiber._Walk(None, "a", 100.0, standing_still(), {"Left": [0.1, 1.1], "Right": [0.6]}, {}, 0.0)
    force, centre = np.tile([0.0, 1.0, 0.0], (1001, 1)), np.tile([0.12, 0.0, 0.0], (1001, 1))
    power = schreiber_cycles._ankle_power(walk, "r", (1000.0, force, centre), np.array([0.3, 0.5, 0.7]))
    # the body's weight 0.12 m ahead of the ankle, against a foot that pushes at 1 rad/s
    assert power == pytest.approx(0.12 * GRAVITY_MPS2, rel=1e-3)
    force[:, 1] = 0.01
    assert schreiber_cycles._ankle_power(walk, "r", (1000.0, force, centre), np.array([0.5])) == 0.0


def test_step_width_is_from_heel_to_heel() -> None:
    heels = {"L_FCC": np.tile([0.0, 0.0, -0.04], (150, 1)), "R_FCC": np.tile([0.0, 0.0, 0.05], (150, 1))}
    walk = schreiber._Walk(None, "a", 100.0, heels, {"Left": [0.1, 1.1], "Right": [0.6]}, {}, 0.0)
    assert schreiber_cycles._step_width(walk) == pytest.approx(0.09)
    assert schreiber_cycles._step_width(walk._replace(strikes={"Left": [0.1, 1.1], "Right": []})) is None
