"""The plain format: round trip, and one sentence for every way a folder can be wrong."""

import numpy as np
import pandas as pd
import pytest

from synthgait import recordings
from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.recordings import Recording, write_plain

RATE = 100.0


def imu_signals(placements=("lower_back",), seconds=10.0):
    time = np.arange(round(seconds * RATE)) / RATE
    signals = {}
    for placement in placements:
        signals[f"{placement}_acc_x"] = 9.80665 + np.sin(2 * np.pi * 2 * time)
        for i, channel in enumerate(IMU_CHANNELS[1:], start=1):
            signals[f"{placement}_{channel}"] = 0.3 * np.sin(2 * np.pi * time + i)
    return signals


def recording(**changes):
    values = {
        "dataset": "mine",
        "recording_id": "a_1",
        "subject_id": "a",
        "kind": "imu",
        "signals": imu_signals(),
        "sampling_rate_hz": RATE,
        "start_s": 1.0,
        "end_s": 9.0,
        "age_years": 40.0,
        "sex": "female",
        "height_m": 1.7,
        "pathology": "none",
        "affected_side": "none",
        "truth": {"walking_speed_mps": 1.2, "step_time_l_s": 0.55},
        "reference_source": "stopwatch",
    }
    return Recording(**(values | changes))


def test_round_trip_keeps_signals_truth_and_person(tmp_path):
    emg = pd.DataFrame({"percent": np.arange(101.0), "soleus_r": np.linspace(0, 1, 101)})
    pose = {f"{j}_{a}": np.linspace(0, 1 + i, 300) for i, j in enumerate(("ankle_l", "ankle_r")) for a in "xyz"}
    given = [
        recording(emg=emg, emg_side="r"),
        recording(recording_id="b_1", subject_id="b", pathology=None, affected_side=None, truth={}),
        recording(
            recording_id="b_2",
            subject_id="b",
            kind="keypoints_3d",
            variant="camera_scale",
            signals=pose,
            walk_id="w",
            start_s=None,
            end_s=None,
        ),
        recording(
            recording_id="b_3",
            kind="joint_angles",
            signals={"knee_flexion_l": np.linspace(0, 1, 100)},
            sampling_rate_hz=None,
            start_s=None,
            end_s=None,
        ),
    ]
    read = recordings.load(write_plain(given, tmp_path / "mine"))
    assert len(read) == len(given)
    for before, after in zip(given, read, strict=True):
        for name in (
            "dataset",
            "recording_id",
            "subject_id",
            "kind",
            "variant",
            "walk_id",
            "start_s",
            "end_s",
            "age_years",
            "sex",
            "height_m",
        ):
            assert getattr(before, name) == getattr(after, name), name
        assert before.truth == pytest.approx(after.truth) and before.group == after.group
        assert before.sampling_rate_hz == after.sampling_rate_hz
        assert list(before.signals) == list(after.signals)
        for channel in before.signals:
            np.testing.assert_allclose(after.signals[channel], before.signals[channel], atol=1e-7)
    pd.testing.assert_frame_equal(read[0].emg, emg)


def test_a_folder_of_datasets_and_the_order_of_places(tmp_path, monkeypatch):
    write_plain([recording()], tmp_path / "all" / "mine")
    write_plain([recording(dataset="yours")], tmp_path / "all" / "yours")
    assert {r.dataset for r in recordings.load(tmp_path / "all")} == {"mine", "yours"}
    monkeypatch.setenv("SYNTHGAIT_RECORDINGS", str(tmp_path / "all"))
    assert recordings.find() == tmp_path / "all"
    assert recordings.find(tmp_path) == tmp_path
    monkeypatch.delenv("SYNTHGAIT_RECORDINGS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert recordings.find() is None
    (tmp_path / "data" / "synthgait" / "recordings").mkdir(parents=True)
    assert recordings.find() == tmp_path / "data" / "synthgait" / "recordings"
    with pytest.raises(InputError, match="no folder"):
        recordings.find(tmp_path / "nowhere")


def test_sections_are_cut_and_are_on_the_files_clock(tmp_path):
    folder = write_plain([recording()], tmp_path / "mine")
    path = next((folder / "signals").glob("*.csv"))
    table = pd.read_csv(path)
    table["time_s"] += 100.0
    table.to_csv(path, index=False)
    index = pd.read_csv(folder / "recordings.csv")
    index[["start_s", "end_s"]] += 100.0
    index.to_csv(folder / "recordings.csv", index=False)
    read = recordings.load(folder)[0]
    assert (read.start_s, read.end_s) == pytest.approx((1.0, 9.0))
    assert read.section().samples == 801


def test_dropped_samples_are_put_on_an_even_clock(tmp_path):
    folder = write_plain([recording()], tmp_path / "mine")
    path = next((folder / "signals").glob("*.csv"))
    table = pd.read_csv(path)
    table.drop(index=[200, 201, 500]).to_csv(path, index=False)
    read = recordings.load(folder)[0]
    assert read.samples == 1000
    np.testing.assert_allclose(read.signals["lower_back_acc_x"], table["lower_back_acc_x"], atol=0.05)


def _edit(folder, change):
    path = next((folder / "signals").glob("*.csv"))
    change(pd.read_csv(path)).to_csv(path, index=False)


BROKEN = {
    "acceleration in g": (lambda t: t.assign(**{c: t[c] / 9.80665 for c in t if "_acc_" in c}), "in g"),
    "without gravity": (lambda t: t.assign(lower_back_acc_x=t["lower_back_acc_x"] - 9.80665), "without gravity"),
    "degrees per second": (lambda t: t.assign(**{c: 180 / np.pi * t[c] for c in t if "_gyr_" in c}), "deg/s"),
    "a missing channel": (lambda t: t.drop(columns="lower_back_gyr_z"), "lower_back_gyr_z"),
    "no clock": (lambda t: t.drop(columns="time_s"), "time_s"),
    "a clock that runs back": (lambda t: t.assign(time_s=np.r_[t["time_s"][:50], t["time_s"][40:-10]]), "does not increase"),
    "another rate": (lambda t: t.assign(time_s=2 * t["time_s"]), "sampling_rate_hz"),
    "a long gap": (lambda t: t.drop(index=range(100, 300)), "gap"),
    "text for a number": (lambda t: t.assign(lower_back_acc_y="x"), "no number"),
    "missing samples": (lambda t: t.assign(lower_back_acc_y=[np.nan, *t["lower_back_acc_y"][1:]]), "missing"),
    "an unknown placement": (lambda t: t.rename(columns=lambda c: c.replace("lower_back", "tail")), "placement"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_signals_are_one_clear_sentence(tmp_path, name):
    folder = write_plain([recording()], tmp_path / "mine")
    change, words = BROKEN[name]
    _edit(folder, change)
    with pytest.raises(InputError, match=words) as caught:
        recordings.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("height_m", 170, "height_m"),
        ("walking_speed_mps", 120, "unit"),
        ("step_time_l_s", 550, "unit"),
        ("kind", "video", "kind"),
        ("sex", "x", "sex"),
        ("file", "gone.csv", "gone.csv"),
        ("subject_id", "", "subject_id"),
        ("end_s", 500, "section"),
    ],
)
def test_broken_rows_are_one_clear_sentence(tmp_path, column, value, words):
    folder = write_plain([recording()], tmp_path / "mine")
    index = pd.read_csv(folder / "recordings.csv")
    index[column] = value
    index.to_csv(folder / "recordings.csv", index=False)
    with pytest.raises(InputError, match=words):
        recordings.load(folder)


def test_a_missing_file_a_broken_yaml_and_an_empty_folder(tmp_path):
    folder = write_plain([recording()], tmp_path / "mine")
    (folder / "dataset.yaml").write_text("name: [")
    with pytest.raises(InputError, match="YAML"):
        recordings.load(folder)
    (folder / "dataset.yaml").unlink()
    with pytest.raises(InputError, match=r"dataset\.yaml"):
        recordings.load(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no dataset"):
        recordings.load(tmp_path / "empty")


def test_angles_in_degrees_and_points_in_millimetres_are_refused():
    with pytest.raises(InputError, match="degrees"):
        recording(kind="joint_angles", signals={"knee_flexion_r": np.linspace(0, 60, 100)}, start_s=None, end_s=None)
    points = {f"{j}_{a}": np.full(300, v) for j, v in (("ankle_l", 50.0), ("neck", 1500.0)) for a in "xyz"}
    with pytest.raises(InputError, match="metres"):
        recording(kind="keypoints_3d", signals=points, start_s=None, end_s=None)


def test_unknown_columns_are_ignored_and_blank_means_unknown(tmp_path):
    folder = write_plain([recording(height_m=None)], tmp_path / "mine")
    index = pd.read_csv(folder / "recordings.csv").assign(shoe="red")
    index.to_csv(folder / "recordings.csv", index=False)
    read = recordings.load(folder)[0]
    assert read.height_m is None and read.mass_kg is None


def test_write_plain_writes_over_nothing(tmp_path):
    folder = write_plain([recording()], tmp_path / "mine")
    with pytest.raises(InputError, match="not empty"):
        write_plain([recording()], folder)
    with pytest.raises(InputError, match="one dataset"):
        write_plain([recording(), recording(dataset="yours")], tmp_path / "both")
