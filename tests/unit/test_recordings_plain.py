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
            truth_strides="all",
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
            "truth_strides",
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
    known = tmp_path / "gaitmap_example"  # a link is known by its own name, as in a folder of links
    known.symlink_to(tmp_path / "all" / "mine" / "signals")
    with pytest.raises(InputError, match=r"imu_sample\.csv is not there"):
        recordings.load(known)
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


@pytest.mark.parametrize("rate_hz", [60.0, 120.0, 128.0])
def test_a_rate_agrees_with_times_in_whole_milliseconds(tmp_path, rate_hz):
    folder = write_plain([recording(sampling_rate_hz=rate_hz, start_s=None, end_s=None)], tmp_path / "mine")
    path = next((folder / "signals").glob("*.csv"))
    table = pd.read_csv(path)
    table.assign(time_s=table["time_s"].round(3)).to_csv(path, index=False)
    index = pd.read_csv(folder / "recordings.csv")
    assert recordings.load(folder)[0].sampling_rate_hz == rate_hz
    index.drop(columns="sampling_rate_hz").to_csv(folder / "recordings.csv", index=False)
    assert recordings.load(folder)[0].sampling_rate_hz == pytest.approx(rate_hz, rel=1e-3)


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
    "a clock with a blank": (lambda t: t.assign(time_s=t["time_s"].where(t.index != 40)), "blank at row 41"),
    "milliseconds": (lambda t: t.assign(time_s=1000 * t["time_s"]), "sampling_rate_hz"),
    "a mark for what is missing": (lambda t: t.assign(lower_back_acc_y=t["lower_back_acc_y"].where(t.index != 500, -9999)), "leave blank"),
    "a number beyond any sensor": (lambda t: t.assign(lower_back_gyr_y=t["lower_back_gyr_y"].where(t.index != 500, 1e30)), "leave blank"),
    "another rate": (lambda t: t.assign(time_s=2 * t["time_s"]), "sampling_rate_hz"),
    "a clock that jumps": (lambda t: t.assign(time_s=t["time_s"] + 1e6 * (t.index > 500)), "gap"),
    "text for a number": (lambda t: t.assign(lower_back_acc_y="x"), "no number"),
    "missing samples": (lambda t: t.assign(lower_back_acc_y=t["lower_back_acc_y"].where(t.index % 100 < 50)), "0.50 s"),
    "no samples": (lambda t: t.assign(lower_back_acc_y=np.nan), "no samples"),
    "semicolons": (lambda t: pd.DataFrame({";".join(t): [";".join(map(str, row)) for row in t.to_numpy()]}), "must be a comma"),
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


def _two_sets(tmp_path):
    """A folder of two datasets of two recordings each."""
    for name in ("good", "odd"):
        write_plain([recording(dataset=name), recording(dataset=name, recording_id="a_2")], tmp_path / "all" / name)
    return tmp_path / "all", tmp_path / "all" / "odd"


def _of_all(folder, value, column):
    index = pd.read_csv(folder / "recordings.csv").assign(**{column: value})
    index.to_csv(folder / "recordings.csv", index=False)


@pytest.mark.parametrize(
    ("breaks", "refused"),
    [
        (lambda odd: _of_all(odd, 170, "height_m"), ["a_1", "a_2"]),
        (lambda odd: (odd / "dataset.yaml").write_text("licence: x\n"), ["*"]),
        (lambda odd: (odd / "recordings.csv").unlink(), ["*"]),
        (lambda odd: (odd / "dataset.yaml").write_text("name: good\n"), ["a_1", "a_2"]),
    ],
)
def test_a_bad_dataset_ends_no_other(tmp_path, caplog, breaks, refused):
    folder, odd = _two_sets(tmp_path)
    breaks(odd)
    assert [r.name for r in recordings.load(folder)] == ["good/a_1", "good/a_2"]
    assert [one.recording_id for one in recordings.read_all(folder)[1]] == refused
    assert caplog.messages[-1].endswith(f"left out: {len(refused)}") and not any("\n" in said for said in caplog.messages)


def test_datasets_of_which_none_can_be_read_are_an_error(tmp_path):
    folder, odd = _two_sets(tmp_path)
    for path in (odd, folder / "good"):
        _of_all(path, 170, "height_m")
    with pytest.raises(InputError, match="none of the 4 rows"):
        recordings.load(folder)


def test_a_sensor_in_a_wrong_unit_takes_no_other_with_it(tmp_path, caplog):
    folder = write_plain([recording(signals=imu_signals(("lower_back", "sternum")))], tmp_path / "mine")
    _edit(folder, lambda t: t.assign(**{c: t[c] / 9.80665 for c in t if c.startswith("sternum_acc")}))
    (read,) = recordings.load(folder)
    assert read.placements == ("lower_back",) and list(read.signals) == [f"lower_back_{c}" for c in IMU_CHANNELS]
    (said,) = caplog.messages
    assert said.startswith("sternum is left out") and "in g" in said
    _edit(folder, lambda t: t.drop(columns="lower_back_gyr_x"))
    with pytest.raises(InputError, match="lower_back_gyr_x"):
        recordings.load(folder)


def _turning(placement, heaviest, share):
    """A limb's sensor that feels most, so many m/s^2 for a share of its strides, just where it turns least."""
    phase = np.arange(1000) / RATE % 1.0
    heavy = phase < share
    signals = {f"{placement}_{c}": np.zeros(1000) for c in IMU_CHANNELS}
    signals[f"{placement}_acc_y"] = np.where(heavy, heaviest, 9.8)
    signals[f"{placement}_gyr_z"] = np.where(heavy, 0.1, 1.0 + phase)
    return signals


@pytest.mark.parametrize(("placement", "heaviest", "share"), [("thigh_r", 16.5, 0.3), ("thigh_r", 14.5, 0.7), ("foot_r", 32.5, 0.15)])
def test_limbs_may_feel_more_than_gravity_where_they_turn_least(placement, heaviest, share):
    good = _turning(placement, heaviest, share)
    assert recording(signals=good).placements == (placement,)
    for factor, channels, words in ((1 / 9.80665, "_acc_", "in g"), (9.80665, "_acc_", "unit"), (180 / np.pi, "_gyr_", "deg/s")):
        with pytest.raises(InputError, match=words):
            recording(signals={name: values * (factor if channels in name else 1) for name, values in good.items()})


def test_a_sensor_is_bridged_cut_or_left_out_and_what_is_beside_the_section_is_not_looked_at(tmp_path, caplog):
    folder = write_plain([recording(signals=imu_signals(("lower_back", "sternum")), start_s=2.0, end_s=9.0)], tmp_path / "mine")
    path = next((folder / "signals").glob("*.csv"))
    table = pd.read_csv(path)
    back, chest = (f"{place}_gyr_x" for place in ("lower_back", "sternum"))

    def read_with(*gaps):
        broken = table.copy()
        for column, first, last in gaps:
            broken.loc[first:last, column] = np.nan
        broken.to_csv(path, index=False)
        caplog.clear()
        return recordings.load(folder)[0]

    read = read_with((back, 0, 150), (back, 500, 529))
    assert read.placements == ("lower_back", "sternum") and (read.start_s, read.end_s) == (2.0, 9.0) and not caplog.messages
    assert np.isnan(read.signals[back][0]) and np.all(np.isfinite(read.section().signals[back]))
    np.testing.assert_allclose(read.signals[back][500:530], np.linspace(*table[back][[499, 530]], 32)[1:-1], atol=1e-7)
    read = read_with((back, 500, 530))
    assert read.placements == ("sternum",) and "0.31 s" in caplog.messages[0] and (read.start_s, read.end_s) == (2.0, 9.0)
    read = read_with((back, 0, 280), (chest, 0, 250))
    assert read.placements == ("lower_back", "sternum") and (read.start_s, read.end_s) == (2.81, 9.0) and "is cut to" in caplog.messages[0]
    # rows that a file lacks are samples that are missing
    table.drop(index=range(300, 400)).to_csv(path, index=False)
    assert recordings.load(folder)[0].start_s == 4.0


@pytest.mark.parametrize(
    ("before_s", "after_s", "start_s", "end_s"), [(3.0, 0.0, 3.0, 12.99), (0.0, 1.0, 0.0, 9.99), (0.3, 0.3, 0.0, 10.59)]
)
def test_what_only_fills_a_file_up_is_no_part_of_the_walk(caplog, before_s, after_s, start_s, end_s):
    def filled(values):
        return np.concatenate([np.full(round(before_s * RATE), values[0]), values, np.zeros(round(after_s * RATE))])

    padded = recording(signals={name: filled(values) for name, values in imu_signals().items()}, start_s=None, end_s=None)
    found = padded.section()
    assert (0.0 if padded.start_s is None else padded.start_s) == pytest.approx(start_s, abs=0.02)
    assert found.samples == pytest.approx((end_s - start_s) * RATE + 1, abs=2)
    assert ("repeats one sample at its ends" in caplog.text) == (max(before_s, after_s) > 0.5)


def test_joint_angles_are_bridged_or_left_out(caplog):
    time = np.arange(400) / RATE
    angles = {name: 0.3 * np.sin(time) for name in ("hip_flexion_r", "knee_flexion_r", "pelvis_list")}
    angles["pelvis_list"] = np.where(np.arange(400) % 100 < 40, np.nan, angles["pelvis_list"])
    angles["knee_flexion_r"] = np.where(np.arange(400) > 396, np.nan, angles["knee_flexion_r"])
    read = recording(kind="joint_angles", signals=angles, start_s=None, end_s=None)
    assert list(read.signals) == ["hip_flexion_r", "knee_flexion_r"] and caplog.messages[0].startswith("pelvis_list of recording")
    assert read.signals["knee_flexion_r"][-1] == angles["knee_flexion_r"][396]


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
