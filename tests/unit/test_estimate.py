"""``estimate``: one CSV in, numbers with intervals and one sentence out, and one sentence for bad files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analytic_walker import analytic_population
from synthgait import bundled, cli
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator, fit, shipped, tasks
from synthgait.estimators.estimate import TOLD, estimate
from synthgait.sensors import IMU
from synthgait.walks import walk


@pytest.fixture(scope="module")
def estimator() -> GaitEstimator:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = {"sensors": ["lower_back"], "members": 1, "walks": 60, "strides_per_walk": 4, "steps": 80, "batch": 48}
    fitted = fit(recipe, analytic_population(60, seed=3))
    torch.set_num_threads(before)
    return fitted


@pytest.fixture(scope="module")
def recorded() -> tuple[pd.DataFrame, dict[str, Any]]:
    walks = walk(analytic_population(1, seed=77), 10.0, np.random.default_rng(5))
    readings = IMU("lower_back").record(walks, np.random.default_rng(6))
    table = pd.DataFrame(readings.signals["imu_lower_back"][0], columns=list(readings.channels["imu_lower_back"]))
    table.insert(0, "time_s", np.arange(len(table)) / 100.0)
    return table, walks.table.iloc[0].to_dict()


def test_a_walk_is_told_with_intervals_and_a_picture(
    estimator: GaitEstimator, recorded: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    table, truth = recorded
    path, picture = tmp_path / "walk.csv", tmp_path / "walk.png"
    table.to_csv(path, index=False)
    estimator.save(tmp_path / "fitted")
    told = estimate(path, tmp_path / "fitted", "lower_back", height_m=truth["height_m"], plot=picture)
    json.dumps(told, allow_nan=False)
    assert told["step_time_s"] == pytest.approx(0.5 * truth["stride_time_s"], abs=0.01)
    assert told["walking_speed_mps"] == pytest.approx(truth["walking_speed_mps"], rel=0.3)
    for name in TOLD:
        low, high = told["intervals"][name]
        assert low <= told[name] <= high and len(told["strides"][name]) == told["n_strides"] > 3
    assert told["can_judge"], told["sentence"]
    assert f"{told['walking_speed_mps']:.2f} m/s" in told["sentence"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_needs_no_estimator_where_one_is_bundled(
    estimator: GaitEstimator,
    recorded: tuple[pd.DataFrame, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    walk_file, out = tmp_path / "walk.csv", tmp_path / "new" / "result.json"
    recorded[0].to_csv(walk_file, index=False)
    arguments = ["synthgait", "estimate", str(walk_file), "--sensor", "lower_back", "--height", "1.75", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(bundled, "estimators", dict)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and "synthgait fit gait_parameters" in capsys.readouterr().err and not out.exists()
    estimator.save(tmp_path / "fitted")
    monkeypatch.setattr(bundled, "estimators", lambda: {"gait_parameters": tmp_path / "fitted"})
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    told = json.loads(out.read_text())
    assert told == json.loads(json.dumps(estimate(walk_file, tmp_path / "fitted", "lower_back", height_m=1.75)))
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert told["sentence"] in shown and "step length" in shown


def test_what_is_bundled_is_small_and_reads_every_sensor_it_promises() -> None:
    found = bundled.estimators()
    if not found:
        pytest.skip("this clone has no bundled estimators: synthgait fit all -o src/synthgait/data/estimators")
    assert sum(file.stat().st_size for folder in found.values() for file in folder.iterdir()) <= 15e6
    gait = shipped.load()
    assert {"lower_back", "foot", "shank", "thigh", "keypoints_3d", "joint_angles"} <= set(gait.sensors)
    assert {GaitEstimator.load(folder).task for folder in found.values()} == set(tasks.TASKS)


def test_all_recipes_are_made_into_folders_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    small = "sensors: [joint_angles]\nwalks: 10\nsteps: 2\nmembers: 1\nstrides_per_walk: 1\n"
    for task in tasks.TASKS:
        (recipes / f"{task}.yaml").write_text(f"task: {task}\n{small}")
    monkeypatch.setattr(shipped, "RECIPES", recipes)
    monkeypatch.setattr(sys.modules["synthgait.estimators.fit"], "RECIPES", recipes)
    made = shipped.make("all", analytic_population(12, seed=1), tmp_path / "out")
    assert {folder.name: GaitEstimator.load(folder).task for folder in made} == {task: task for task in tasks.TASKS}
    assert shipped.told(made).count("MB") == 2


def test_a_recording_that_cannot_be_judged_says_why(
    estimator: GaitEstimator, recorded: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    table, _ = recorded
    noise = np.random.default_rng(0).normal(0.0, 0.02, (len(table), 6))
    still = pd.DataFrame(noise + np.array([0.0, 9.80665, 0.0, 0.0, 0.0, 0.0]), columns=table.columns[1:])
    still.insert(0, "time_s", table["time_s"])
    path = tmp_path / "standing.csv"
    still.to_csv(path, index=False)
    told = estimate(path, estimator, "lower_back", plot=tmp_path / "standing.png")
    assert not told["can_judge"] and "cannot be judged" in told["sentence"]
    table.iloc[:200].to_csv(path, index=False)
    few = estimate(path, estimator, "lower_back")
    assert few["n_strides"] < 3 and not few["can_judge"] and "at least 3" in few["sentence"]
    estimator.config["fitted_on"] = {"walking_speed_mps": [3.0, 4.0]}
    table.to_csv(path, index=False)
    assert "outside 3.00 to 4.00" in estimate(path, estimator, "lower_back")["sentence"]
    estimator.config.pop("fitted_on")


def _scaled(prefix: str, factor: float) -> Any:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{name: table[name] * factor for name in table if name.startswith(prefix)})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_scaled("lower_back_acc", 1 / 9.80665), "in g"),
        (_scaled("lower_back_gyr", 57.3), "deg/s"),
        (lambda t: t.drop(columns="lower_back_gyr_y"), "lower_back_gyr_y"),
        (lambda t: t.drop(columns="time_s"), "time_s"),
        (lambda t: t.rename(columns=lambda name: name.replace("lower_back", "wrist_l")), "lower_back_acc_x"),
        (lambda t: t.assign(time_s=t["time_s"] * 1000.0), "seconds"),
        (lambda t: t.assign(time_s=t["time_s"] + (t["time_s"] > 5) * 2.0), "gap of 2.01 s"),
        (lambda t: t.assign(time_s=t["time_s"].to_numpy()[::-1]), "does not increase"),
        (lambda t: t.assign(lower_back_acc_x="high"), "no number"),
    ],
)
def test_bad_files_are_named(
    estimator: GaitEstimator, recorded: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path, change: Any, message: str
) -> None:
    path = tmp_path / "bad.csv"
    change(recorded[0]).to_csv(path, index=False)
    with pytest.raises(InputError, match=message):
        estimate(path, estimator, "lower_back")


def test_bad_arguments_are_named(estimator: GaitEstimator, recorded: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    recorded[0].to_csv(path, index=False)
    for arguments, message in (
        ({"sensor": "nose"}, "nose"),
        ({"sensor": "foot"}, "not fitted"),
        ({"sensor": "lower_back", "height_m": 175.0}, "metres"),
    ):
        with pytest.raises(InputError, match=message):
            estimate(path, estimator, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not there"):
        estimate(tmp_path / "nothing.csv", estimator, "lower_back")
