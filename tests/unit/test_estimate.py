"""``estimate``: a CSV or a folder in, numbers with intervals and one sentence out, and one sentence for bad files."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analytic_walker import analytic_population
from standin_recordings import standin_people
from synthgait import bundled, cli, datasets
from synthgait.conventions import EMG_GROUPS, MUSCLES
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator, fit, shipped, tasks
from synthgait.estimators.estimate import CURVES, TOLD, as_text, estimate, estimate_folder, folder_text
from synthgait.recordings import Recording, write_plain
from synthgait.sensors import IMU, Camera, Markers
from synthgait.walks import Walks, walk


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
    assert told["step_length_r_m"] + told["step_length_l_m"] == pytest.approx(told["stride_length_m"], rel=0.02)
    assert "step length right" in as_text(told) and "double support time" in as_text(told)
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


def test_two_strides_of_a_laboratory_are_judged_and_what_does_not_travel_says_so() -> None:
    strides = datasets.load().certified()
    healthy = strides.select((strides.table["pathology"] == "none").to_numpy()).select([5])
    walks = walk(healthy, 4.0, np.random.default_rng(1))
    piece = round(2.3 * walks.table["stride_time_s"].iloc[0] * 100)
    for relative in (False, True):
        readings = Markers("joints", root_relative=relative).record(walks)
        signals = {
            name: readings.signals["keypoints_3d"][0, :piece, i].astype(float) for i, name in enumerate(readings.channels["keypoints_3d"])
        }
        variant = "root_relative" if relative else "main"
        given = Recording("d", "r", "p", "keypoints_3d", signals, 100.0, variant=variant, height_m=walks.table["height_m"].iloc[0])
        told = estimate(given)
        assert told["can_judge"] and told["n_strides"] < 3, told["sentence"]
        assert told["walking_speed_mps"] == pytest.approx(walks.table["walking_speed_mps"].iloc[0], rel=0.05)
        assert ("Nothing in it travels" in told["sentence"]) == relative
        low, high = told["intervals"]["step_time_l_s"]
        assert high - low > 0.03


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


@pytest.mark.parametrize("axis", ["rock", "sway"])
@pytest.mark.parametrize("rate_hz", [0.6, 1.2])
def test_who_rocks_or_sways_in_a_chair_is_no_walker(axis: str, rate_hz: float, tmp_path: Path) -> None:
    """A sensor 0.5 m above the seat tilts by 8 degrees, now a little faster, now slower."""
    time, rng = np.arange(0.0, 20.0, 0.01), np.random.default_rng(0)
    phase = 2 * np.pi * rate_hz * time + 0.5 * np.cumsum(rng.standard_normal(len(time))) / np.sqrt(len(time))
    tilt = 0.14 * np.sin(phase)
    turning, spinning = np.gradient(tilt, time), np.gradient(np.gradient(tilt, time), time)
    # across the lever gravity and the tangent, along it gravity and the centripetal force
    across, along = 9.81 * np.sin(tilt) + 0.5 * spinning, 9.81 * np.cos(tilt) - 0.5 * turning**2
    level = {"x": np.zeros_like(time), "y": along, "z": across} if axis == "rock" else {"x": across, "y": along, "z": np.zeros_like(time)}
    turned = {name: turning if name == ("x" if axis == "rock" else "z") else np.zeros_like(time) for name in "xyz"}
    columns = {f"lower_back_acc_{name}": values + 0.05 * rng.standard_normal(len(time)) for name, values in level.items()}
    columns |= {f"lower_back_gyr_{name}": values + 0.01 * rng.standard_normal(len(time)) for name, values in turned.items()}
    pd.DataFrame({"time_s": time, **columns}).to_csv(tmp_path / "chair.csv", index=False)
    told = estimate(tmp_path / "chair.csv", sensor="lower_back", height_m=1.75)
    assert not told["can_judge"] and "unlike a walker" in told["sentence"]


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


@pytest.mark.parametrize(
    ("out", "message"),
    [("", "is a folder; name the JSON file"), ("walk.png", "the picture"), ("walk.csv/new/out.json", "is a file")],
)
def test_a_result_that_cannot_be_written_is_told_before_the_work(
    recorded: tuple[pd.DataFrame, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    message: str,
) -> None:
    path = tmp_path / "walk.csv"
    recorded[0].to_csv(path, index=False)
    monkeypatch.setattr(sys, "argv", ["synthgait", "estimate", str(path), "--sensor", "lower_back", "-o", str(tmp_path / out)])
    monkeypatch.setattr(GaitEstimator, "load", lambda folder: pytest.fail("it was loaded"))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_every_row_of_a_folder_is_judged_and_a_bad_one_ends_none(
    estimator: GaitEstimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, short, still, wrist = (replace(recording, truth={}) for recording in standin_people(4)[:4])
    short = replace(short, start_s=2.0, end_s=4.0)
    noise = np.random.default_rng(0)
    standing = {name: v.mean() + 0.02 * noise.standard_normal(len(v)) for name, v in still.signals.items()}
    elsewhere = {name.replace("lower_back", "wrist_l"): values for name, values in wrist.signals.items()}
    rows = [good, short, replace(still, signals=standing), replace(wrist, signals=elsewhere)]
    folder, out = write_plain(rows, tmp_path / "mine"), tmp_path / "new" / "result.json"
    estimator.save(tmp_path / "fitted")
    monkeypatch.setattr(sys, "argv", ["synthgait", "estimate", str(folder), "--estimator", str(tmp_path / "fitted"), "-o", str(out)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    told, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert [row["recording_id"] for row in told] == [r.recording_id for r in rows] and "1 of 4 recordings can be judged" in shown
    assert all(row["sentence"] in shown for row in told) and [row["can_judge"] for row in told] == [True, False, False, False]
    for row, why in zip(told[1:], ("at least 3", "no walking", "no sensor"), strict=True):
        assert why in row["sentence"]
    # height and section are the row's own
    alone = estimate(folder / "signals" / f"{good.recording_id}_imu_main.csv", estimator, "lower_back", height_m=good.height_m)
    assert {name: told[0][name] for name in TOLD} == {name: pytest.approx(alone[name]) for name in TOLD}
    named = estimate_folder(folder, estimator, "lower_back")
    with pytest.raises(InputError, match="nose"):
        estimate_folder(folder, estimator, "nose")
    assert "wrist" not in folder_text(named[:1]) and "lower_back" in named[3]["sentence"]


def test_what_could_not_be_loaded_is_in_the_result_of_a_folder(estimator: GaitEstimator, tmp_path: Path) -> None:
    good, bad = (replace(recording, truth={}) for recording in standin_people(2)[:2])
    write_plain([good, bad], tmp_path / "mine")
    write_plain([replace(good, dataset="yours")], tmp_path / "yours")
    index = pd.read_csv(tmp_path / "mine" / "recordings.csv")
    index["height_m"] = [index["height_m"][0], 175.0]
    index.to_csv(tmp_path / "mine" / "recordings.csv", index=False)
    (tmp_path / "yours" / "dataset.yaml").write_text("licence: none\n")
    told = estimate_folder(tmp_path, estimator)
    assert [(row["dataset"], row["recording_id"], row["can_judge"]) for row in told] == [
        (good.dataset, good.recording_id, True),
        (bad.dataset, bad.recording_id, False),
        ("yours", "*", False),
    ]
    assert "height_m" in told[1]["sentence"] and "no name" in told[2]["sentence"] and told[0].keys() == told[1].keys()
    json.dumps(told, allow_nan=False)
    assert folder_text(told).endswith("1 of 3 recordings can be judged.")


@pytest.fixture(scope="module")
def flat() -> GaitEstimator:
    recipe = {"sensors": ["keypoints_2d"], "members": 1, "walks": 40, "strides_per_walk": 1, "steps": 60, "batch": 48}
    return fit(recipe, analytic_population(60, seed=3))


@pytest.fixture(scope="module")
def filmed() -> Walks:
    return walk(analytic_population(3, seed=78), 8.0, np.random.default_rng(5))


def _film(
    walks: Walks, view: float, panning: bool, folder: Path, keep: str = "", distance_m: float = 9.0, noise: str = "home_video"
) -> list[Path]:
    """CSVs of every walk through a video, seen from ``view`` degrees off straight ahead."""
    camera = Camera(np.deg2rad(view), "body_25", noise, frame_rate_hz=30, panning=panning, distance_m=distance_m)
    readings = camera.record(walks, np.random.default_rng(6))
    paths = []
    for i, pixels in enumerate(readings.signals["keypoints_2d"]):
        table = pd.DataFrame(pixels.astype(float), columns=list(readings.channels["keypoints_2d"]))
        table = table[[c for c in table if not keep or c.startswith(tuple(keep.split()))]].interpolate(limit_direction="both")
        table.insert(0, "time_s", np.arange(len(table)) / 30.0)
        paths.append(folder / f"{i}.csv")
        table.dropna(axis=1).to_csv(paths[-1], index=False)
    return paths


_LEGS_ONLY = "hip knee ankle"


@pytest.mark.parametrize(
    ("view", "panning", "keep"),
    [(90, True, ""), (90, False, ""), (-90, True, ""), (80, True, ""), (-98, False, ""), (90, True, _LEGS_ONLY), (90, False, _LEGS_ONLY)],
)
def test_a_side_view_is_taken_as_one(flat: GaitEstimator, filmed: Walks, tmp_path: Path, view: float, panning: bool, keep: str) -> None:
    for path in _film(filmed, view, panning, tmp_path, keep):
        assert "side view" not in estimate(path, flat, "keypoints_2d")["sentence"]


@pytest.mark.parametrize(
    ("view", "panning", "keep"),
    [(0, False, ""), (180, False, ""), (45, True, ""), (-45, False, ""), (135, True, ""), (45, True, _LEGS_ONLY)],
)
def test_any_other_view_is_not_judged(flat: GaitEstimator, filmed: Walks, tmp_path: Path, view: float, panning: bool, keep: str) -> None:
    for path in _film(filmed, view, panning, tmp_path, keep):
        told = estimate(path, flat, "keypoints_2d")
        assert not told["can_judge"] and "film from the side" in told["sentence"]


def test_a_camera_that_turns_far_with_the_walker_is_no_side_view(flat: GaitEstimator, filmed: Walks, tmp_path: Path) -> None:
    """Before and behind it, strides look shorter than they are; what the camera saw of either end must not cancel."""
    for path in _film(filmed, 90.0, True, tmp_path, distance_m=2.5):
        assert "film from the side" in estimate(path, flat, "keypoints_2d")["sentence"]


def test_somebody_who_comes_and_goes_is_no_side_view_either(flat: GaitEstimator, filmed: Walks, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    coming, going = _film(filmed, 0.0, False, tmp_path), _film(filmed, 180.0, False, tmp_path / "there")
    for path, back in zip(coming, going, strict=True):
        both = pd.concat([pd.read_csv(path), pd.read_csv(back)], ignore_index=True).dropna(axis=1)
        both.assign(time_s=np.arange(len(both)) / 30.0).to_csv(path, index=False)
        assert "film from the side" in estimate(path, flat, "keypoints_2d")["sentence"]


@pytest.fixture(scope="module")
def any_view() -> GaitEstimator:
    recipe = {
        "sensors": ["keypoints_2d", "keypoints_2d_oblique"],
        "members": 1,
        "walks": 300,
        "strides_per_walk": 1,
        "steps": 150,
        "batch": 64,
    }
    return fit(recipe, analytic_population(60, seed=3))


_TIMING = {"step_time_s", "stride_time_s", "cadence_spm", "step_time_r_s", "step_time_l_s"}


@pytest.mark.parametrize("view", [0, 180])
def test_the_front_and_the_back_tell_when_steps_fall_and_not_how_long_they_are(
    any_view: GaitEstimator, filmed: Walks, tmp_path: Path, view: float
) -> None:
    for path, cadence in zip(_film(filmed, view, False, tmp_path, noise="good_video"), filmed.table["cadence_spm"], strict=True):
        told = estimate(path, any_view, "keypoints_2d", height_m=1.75, plot=tmp_path / "picture.png")
        assert told["can_judge"] and "speed and lengths are not told" in told["sentence"] and "focal length" in told["sentence"]
        assert told["cadence_spm"] == pytest.approx(cadence, rel=0.02) and f"{told['cadence_spm']:.0f} a minute" in told["sentence"]
        assert told["walking_speed_mps"] is None and told["step_length_r_m"] is None
        assert set(told["intervals"]) >= _TIMING and not set(told["intervals"]) & {"walking_speed_mps", "step_length_m"}
        assert "walking_speed_mps" not in told["strides"] and (tmp_path / "picture.png").stat().st_size > 1000
        assert "speed" not in as_text(told).split("\n", 1)[1]
        json.dumps(told, allow_nan=False)


def test_with_the_focal_length_the_front_tells_the_speed(any_view: GaitEstimator, filmed: Walks, tmp_path: Path) -> None:
    truth = filmed.table
    for i, path in enumerate(_film(filmed, 0.0, True, tmp_path, noise="good_video")):
        told = estimate(path, any_view, "keypoints_2d", leg_length_m=float(truth["leg_length_m"][i]), focal_px=1400.0)
        assert told["can_judge"] and "not told" not in told["sentence"]
        assert told["walking_speed_mps"] == pytest.approx(truth["walking_speed_mps"][i], rel=0.15)


def test_an_oblique_view_is_told_with_a_word_of_caution(any_view: GaitEstimator, filmed: Walks, tmp_path: Path) -> None:
    for path in _film(filmed, 45.0, True, tmp_path, noise="good_video"):
        told = estimate(path, any_view, "keypoints_2d", height_m=1.75)
        assert told["can_judge"] and told["walking_speed_mps"] > 0 and "less certain than from the side" in told["sentence"]


def test_who_walks_in_place_before_a_known_camera_tells_no_speed(any_view: GaitEstimator, filmed: Walks, tmp_path: Path) -> None:
    path = _film(filmed, 0.0, False, tmp_path, noise="good_video")[0]
    table = pd.read_csv(path)
    tall = (table["shoulder_r_y"] - table["ankle_r_y"]).rolling(30, center=True, min_periods=1).mean()
    points = [name for name in table if name != "time_s"]
    hips = {axis: 0.5 * (table[f"hip_r_{axis}"] + table[f"hip_l_{axis}"]) for axis in "xy"}
    for name in points:
        table[name] = 500.0 + (table[name] - hips[name[-1]]) / tall * 300.0
    table.to_csv(path, index=False)
    told = estimate(path, any_view, "keypoints_2d", height_m=1.75, focal_px=1400.0)
    assert told["walking_speed_mps"] is None and "comes no nearer" in told["sentence"]


@pytest.fixture(scope="module")
def muscles() -> GaitEstimator:
    recipe = {"task": "muscle_activation", "sensors": ["joint_angles"], "members": 1, "walks": 40, "strides_per_walk": 1, "steps": 20}
    return fit({**recipe, "batch": 32}, analytic_population(40, seed=3))


def test_muscles_are_told_from_the_side_only(filmed: Walks, tmp_path: Path) -> None:
    recipe = {"task": "muscle_activation", "sensors": ["keypoints_2d"], "members": 1, "walks": 40, "strides_per_walk": 1, "steps": 20}
    fitted = fit({**recipe, "batch": 32}, analytic_population(40, seed=3))
    for path in _film(filmed, 45.0, True, tmp_path):
        assert "film from the side" in estimate(path, fitted, "keypoints_2d")["sentence"]


def test_an_estimator_of_muscles_tells_curves_with_a_picture(muscles: GaitEstimator, tmp_path: Path) -> None:
    stride = analytic_population(1, seed=79)
    angles = {name: stride.channel(name)[0].astype(float) for name in ("hip_flexion_r", "knee_flexion_r", "ankle_dorsiflexion_r")}
    cycle, path, picture = pd.DataFrame(angles), tmp_path / "angles.csv", tmp_path / "angles.png"
    walked = pd.concat([cycle] * 8, ignore_index=True)
    walked.insert(0, "time_s", np.arange(len(walked)) * float(stride.table["stride_time_s"].iloc[0]) / len(cycle))
    for table, strides in ((walked, 4), (cycle, 1)):
        table.to_csv(path, index=False)
        told = estimate(path, muscles, "joint_angles", plot=picture)
        json.dumps(told, allow_nan=False)
        assert told["can_judge"] and told["n_strides"] >= strides and "48 muscles" in told["sentence"], told["sentence"]
        assert set(told["activation"]) == set(told["activation_sd"]) == set(MUSCLES)
        assert {name[:-2] for name in told["emg"]} == set(EMG_GROUPS) and all(len(curve) == 100 for curve in told["emg"].values())
        assert "tibialis anterior" in as_text(told) and picture.read_bytes().startswith(b"\x89PNG")
        picture.unlink()
    still = walked.assign(**{name: 0.1 for name in angles})
    still.to_csv(path, index=False)
    told = estimate(path, muscles, "joint_angles", plot=picture)
    assert not told["can_judge"] and all(told[name] == {} for name in CURVES) and picture.exists()
    of_folder = estimate_folder(write_plain([Recording("d", "one", "p", "joint_angles", angles, None)], tmp_path / "mine"), muscles)
    assert of_folder[0]["can_judge"] and of_folder[0]["sensor"] == "joint_angles"
