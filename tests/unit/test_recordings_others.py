"""Folders as other people write them: sides, words, blanks, gaps, markers, and rows that cannot be read."""

import numpy as np
import pandas as pd
import pytest

from synthgait import recordings
from synthgait.errors import InputError
from synthgait.recordings import Recording, write_plain
from synthgait.recordings.base import merge_sides
from synthgait.validate import run
from synthgait.validate.floors import CadenceHeight

RATE = 50.0
LEGS = [f"{joint}_{side}" for joint in ("hip", "knee", "ankle") for side in "lr"]


def walker(kind="keypoints_3d", name="a", joints=(*LEGS, "neck"), **changes):
    """Somebody who sways; only hips, knees, ankles and a neck are seen."""
    time = np.arange(400) / RATE
    axes = "xy" if kind == "keypoints_2d" else "xyz"
    signals = {f"{j}_{a}": i / 10 + 0.1 * np.sin(2 * np.pi * time + k) for i, j in enumerate(joints) for k, a in enumerate(axes)}
    values = {"dataset": "theirs", "recording_id": name, "subject_id": name, "kind": kind, "signals": signals, "sampling_rate_hz": RATE}
    return Recording(**(values | {"height_m": 1.7, "truth": {"walking_speed_mps": 1.2}} | changes))


@pytest.fixture
def folder(tmp_path):
    return write_plain([walker(name=name) for name in "abc"], tmp_path / "theirs")


def rewrite(folder, row=0, **cells):
    index = pd.read_csv(folder / "recordings.csv", dtype=str, keep_default_na=False)
    for column, value in cells.items():
        if column not in index:
            index[column] = ""
        index.loc[row, column] = value
    index.to_csv(folder / "recordings.csv", index=False)


def resignal(folder, change, name="a"):
    path = next((folder / "signals").glob(f"{name}_*.csv"))
    change(pd.read_csv(path)).to_csv(path, index=False)


def rest_of(folder, caplog):
    """What is read where row a cannot be, and the warning about it."""
    read = recordings.load(folder)
    assert [r.recording_id for r in read] == ["b", "c"]
    assert caplog.messages[-1].endswith("left out: 1")
    assert not any("\n" in message for message in caplog.messages)
    return caplog.messages[0]


def test_truth_follows_from_sides_and_from_strides(folder):
    blank = {"walking_speed_mps": ""}
    sides = {"step_length_l_m": "0.5", "step_length_r_m": "0.7", "step_time_l_s": "0.6", "step_time_r_s": "0.4"}
    rewrite(folder, 0, **blank, **sides)
    rewrite(folder, 1, **blank, step_time_s="0.5")
    rewrite(folder, 2, **blank, cadence_spm="120", step_length_m="0.6")
    a, b, c = recordings.load(folder)
    whole = {"walking_speed_mps": 1.2, "step_length_m": 0.6, "stride_length_m": 1.2, "step_time_s": 0.5, "stride_time_s": 1.0}
    whole |= {"cadence_spm": 120.0}
    assert a.truth == pytest.approx(whole | {name: float(value) for name, value in sides.items()})
    assert b.truth == pytest.approx({"step_time_s": 0.5, "stride_time_s": 1.0, "cadence_spm": 120.0})
    assert c.truth == pytest.approx(whole)
    assert CadenceHeight().reads(b, "keypoints_3d")
    # what is given stays, and one side is no mean
    assert merge_sides({"stride_length_m": 1.0, "stride_time_s": 1.0, "walking_speed_mps": 1.1})["walking_speed_mps"] == 1.1
    assert merge_sides({"step_length_l_m": 0.6, "step_time_l_s": 0.5}) == {"step_length_l_m": 0.6, "step_time_l_s": 0.5}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"pathology": "Healthy"}, {"group": "healthy"}),
        ({"pathology": "None"}, {"group": "healthy"}),
        ({"pathology": "Able-bodied", "affected_side": "No"}, {"pathology": "none", "affected_side": "none"}),
        ({"pathology": "unknown", "affected_side": "NA"}, {"group": "unknown", "affected_side": None}),
        ({"pathology": "Parkinson", "affected_side": "L"}, {"pathology": "Parkinson", "affected_side": "left"}),
        ({"affected_side": "Bilateral", "sex": "W"}, {"affected_side": "both", "sex": "female"}),
        ({"sex": "Unknown", "subject_id": "NA"}, {"sex": None, "subject_id": "NA"}),
        ({"height_m": "nan", "mass_kg": "-", "age_years": "unknown"}, {"height_m": None, "mass_kg": None, "age_years": None}),
        ({"truth_strides": "Every"}, {"truth_strides": "all"}),
        ({"truth_strides": "some"}, {"truth_strides": "steady"}),
        ({"kind": "Keypoints_3D"}, {"kind": "keypoints_3d"}),
        ({"shoe": "red"}, {"other": {"shoe": "red"}}),
    ],
)
def test_words_and_blanks(folder, cells, expected):
    rewrite(folder, **cells)
    read = recordings.load(folder)[0]
    assert {name: getattr(read, name) for name in expected} == expected


def test_other_columns_are_kept_when_a_folder_is_written_again(folder, tmp_path):
    rewrite(folder, shoe="red")
    (again, *_) = recordings.load(write_plain(recordings.load(folder), tmp_path / "again"))
    assert again.other == {"shoe": "red"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("height_m", "1,75"),
        ("walking_speed_mps", "1.2 m/s"),
        ("walking_speed_mps", "inf"),
        ("walking_speed_mps", "0"),
        ("file", "gone.csv"),
        ("kind", "video"),
    ],
)
def test_a_bad_row_is_named_and_counted_and_the_others_are_read(folder, caplog, column, value):
    rewrite(folder, **{column: value})
    said = rest_of(folder, caplog)
    assert value in said and (column in said or column == "file")
    if column in ("height_m", "walking_speed_mps"):
        assert "line 2 of" in said and "write" in said
    rewrite(folder, 1, **{column: value})
    rewrite(folder, 2, **{column: value})
    with pytest.raises(InputError, match="none of the 3 rows"):
        recordings.load(folder)


def test_a_row_without_a_name_or_with_anothers_is_left_out(folder, caplog):
    rewrite(folder, subject_id="")
    assert "no subject_id" in rest_of(folder, caplog)
    rewrite(folder, 0, recording_id="b", subject_id="a")
    read, refused = recordings.read_all(folder)
    assert [(r.recording_id, r.subject_id) for r in read] == [("b", "a"), ("c", "c")]
    assert [one.recording_id for one in refused] == ["b"] and "twice" in refused[0].message


def test_an_index_without_a_column_ends_the_run(folder):
    pd.read_csv(folder / "recordings.csv").drop(columns="subject_id").to_csv(folder / "recordings.csv", index=False)
    with pytest.raises(InputError, match="no column 'subject_id'"):
        recordings.load(folder)


@pytest.mark.parametrize(
    ("column", "value"), [("age_years", "65+"), ("age_years", "90+"), ("sex", "diverse"), ("affected_side", "paretic left")]
)
def test_what_no_estimate_hangs_on_is_unknown_with_a_warning(folder, caplog, column, value):
    rewrite(folder, **{column: value})
    read = recordings.load(folder)
    assert len(read) == 3 and getattr(read[0], column) is None
    (said,) = caplog.messages
    assert column in said and value in said and "unknown" in said


def emptied(*columns, first, last):
    def change(table):
        table.loc[first:last, list(columns)] = np.nan
        return table

    return change


def test_short_gaps_of_points_are_bridged_and_joints_never_seen_are_left_out(folder):
    resignal(folder, lambda t: emptied("neck_x", first=0, last=400)(emptied("ankle_l_x", "knee_r_y", first=100, last=114)(t)))
    read, whole, _ = recordings.load(folder)
    assert read.joints == tuple(j for j in whole.joints if j != "neck")
    straight = np.linspace(whole.signals["ankle_l_x"][99], whole.signals["ankle_l_x"][115], 17)
    np.testing.assert_allclose(read.signals["ankle_l_x"][99:116], straight, atol=1e-7)
    np.testing.assert_allclose(read.signals["knee_r_y"][:100], whole.signals["knee_r_y"][:100], atol=1e-7)


def test_a_point_with_a_longer_gap_is_left_out(folder, caplog):
    resignal(folder, emptied("neck_y", first=100, last=115))
    read, whole, _ = recordings.load(folder)
    assert read.joints == tuple(j for j in whole.joints if j != "neck") and (read.start_s, read.end_s) == (None, None)
    (said,) = caplog.messages
    assert said.startswith("neck of recording theirs/a is left out") and "0.32 s" in said


@pytest.mark.parametrize(("first", "last", "span"), [(0, 59, (1.2, 7.98)), (350, 399, (0.0, 6.98)), (100, 115, (2.32, 7.98))])
def test_a_recording_is_cut_to_the_longest_span_in_which_the_legs_are_seen(folder, caplog, first, last, span):
    # the neck is lost for a little longer, which the cut section can bridge
    resignal(
        folder, lambda t: emptied("neck_x", first=first - 5, last=last + 5)(emptied("ankle_l_x", "knee_r_y", first=first, last=last)(t))
    )
    read, whole, _ = recordings.load(folder)
    assert (read.start_s, read.end_s) == pytest.approx(span) and read.joints == whole.joints and "is cut to" in caplog.messages[0]
    assert all(np.all(np.isfinite(values)) for values in read.section().signals.values())
    np.testing.assert_allclose(read.section().signals["hip_l_x"][0], whole.signals["hip_l_x"][round(span[0] * RATE)], atol=1e-7)


def test_outside_the_section_nothing_has_to_be_seen(folder, caplog):
    resignal(folder, emptied(*(f"{joint}_x" for joint in LEGS), first=0, last=59))
    rewrite(folder, start_s="1.2", end_s="7")
    read = recordings.load(folder)[0]
    assert (read.start_s, read.end_s) == (1.2, 7.0) and not caplog.messages


def test_legs_that_are_never_seen_for_a_second_are_one_sentence(folder, caplog):
    resignal(folder, lambda t: t.assign(ankle_l_x=t["ankle_l_x"].where(t.index % 50 < 30)))
    said = rest_of(folder, caplog)
    assert "ankle_l" in said and "0.40 s" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="ankle_l_z"), "ankle_l_z"),
        (lambda t: t.rename(columns=str.upper).rename(columns={"TIME_S": "time_s"}), "knee_l_x"),
        (lambda t: t.assign(time_s="noon"), "time_s"),
    ],
)
def test_broken_points_are_one_sentence(folder, caplog, change, words):
    resignal(folder, change)
    assert words in rest_of(folder, caplog)


def test_a_file_that_is_no_table_is_one_line(folder, caplog):
    next((folder / "signals").glob("a_*.csv")).write_text("a\nb\nc,d\n")
    assert "cannot be read as a table" in rest_of(folder, caplog)


def test_columns_of_no_kind_are_ignored(folder):
    resignal(folder, lambda t: t.reset_index(names="Unnamed: 0").assign(label="x", ankle_l_confidence=0.9, nose_x=0.0))
    read, whole, _ = recordings.load(folder)
    assert list(read.signals) == list(whole.signals)
    angles = {"knee_flexion_r": np.linspace(0, 1, 100), "ground_reaction_y_r": np.full(100, 700.0)}
    assert list(walker("joint_angles", signals=angles).signals) == ["knee_flexion_r"]


def test_markers_with_legs_are_key_points_where_there_are_no_others(folder, tmp_path, caplog):
    marked = [walker("markers", "d", joints=(*LEGS, "LASI")), walker("markers", "e", joints=("LASI", "RASI"))]
    both = [walker(name="f", walk_id="w"), walker("markers", "g", walk_id="w")]
    found = {r.recording_id: r for r in recordings.load(write_plain([*marked, *both], tmp_path / "marked"))}
    legs, bare, pose, same = (found[name] for name in "defg")
    assert [r.kind for r in (legs, bare, pose, same)] == ["keypoints_3d", "markers", "keypoints_3d", "markers"]
    assert [label for label, _, _ in run.sensor_views(legs)] == ["keypoints_3d"] and "LASI_x" not in legs.signals
    assert caplog.messages[-1].startswith("no method reads the markers of e in ")


def test_markers_stand_in_for_poses_that_do_not_move_or_cannot_be_read(tmp_path, caplog):
    still = [walker("markers", "a", walk_id="u"), walker(name="b", walk_id="u", variant="root_relative")]
    lost = [walker("markers", "c", walk_id="v"), walker(name="d", walk_id="v")]
    folder = write_plain([*still, *lost], tmp_path / "twins")
    for path in (folder / "signals").glob("d_*.csv"):
        path.write_text("time_s,hip_l_x\nnoon,1\n")
    found = {r.recording_id: r.kind for r in recordings.load(folder)}
    assert found == {"a": "keypoints_3d", "b": "keypoints_3d", "c": "keypoints_3d"} and "noon" not in found
    assert any("d_" in message for message in caplog.messages)


def test_blanks_after_commas_empty_rows_and_paths_of_windows_are_understood(tmp_path):
    folder = write_plain([walker(name="a", pathology="TD"), walker(name="b")], tmp_path / "windows")
    index = folder / "recordings.csv"
    lines = index.read_text().splitlines()
    columns = lines[0].split(",")
    file = columns.index("file")
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[file] = "signals\\" + row[file]
    index.write_text("\n".join(", ".join(row) for row in [columns, *rows, [""] * len(columns)]) + "\n")
    read, refused = recordings.read_all(folder)
    assert [r.recording_id for r in read] == ["a", "b"] and not refused and read[0].group == "healthy"


def test_commas_and_blanks_that_say_nothing_change_nothing(folder, caplog):
    """Rows that end with a comma, blanks before commas, and rows of commas alone, as spreadsheets write them."""
    whole = recordings.load(folder)
    for path in (folder / "recordings.csv", *(folder / "signals").glob("*.csv")):
        heading, *rows = path.read_text().splitlines()
        blank = "," * (heading.count(",") + 1)
        path.write_text("\n".join([heading.replace(",", " ,"), *(f"{row}," for row in rows), blank]) + "\n")
    read = recordings.load(folder)
    assert [(r.recording_id, r.height_m, r.truth) for r in read] == [(r.recording_id, r.height_m, r.truth) for r in whole]
    np.testing.assert_array_equal(read[0].signals["hip_l_x"], whole[0].signals["hip_l_x"])
    assert not caplog.messages
    # a decimal comma in every row makes rows longer than the heading too, and is no such comma
    heading, *rows = (folder / "recordings.csv").read_text().splitlines()
    (folder / "recordings.csv").write_text("\n".join([heading, *(row.replace("1.7,", "1,7,") for row in rows[:3])]) + "\n")
    with pytest.raises(InputError, match="more cells than its heading"):
        recordings.load(folder)


def test_a_table_that_is_not_in_utf_8_says_how_to_save_it(folder):
    index = folder / "recordings.csv"
    index.write_bytes(index.read_text().replace("a,a,", "\u00e9,a,").encode("latin-1"))
    with pytest.raises(InputError, match=r"not in UTF-8 .* save it so"):
        recordings.load(folder)


def test_sensors_where_no_method_reads_are_said_once(caplog):
    still = {f"wrist_l_{c}": np.full(100, 9.8 if c == "acc_x" else 0.1) for c in ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")}
    worn = walker("imu", "only_a_wrist", signals=still | {"temperature": np.full(100, 25.0)})
    assert list(worn.signals) == list(still)
    for _ in range(2):
        assert not list(run.sensor_views(worn))
    assert caplog.messages == ["no method reads theirs/only_a_wrist, whose sensors are at wrist_l"]


def with_emg(folder, table, side="Right"):
    table.to_csv(folder / "signals" / "emg.csv", index=False)
    rewrite(folder, emg_file="emg.csv", emg_side=side)


def without_emg(folder, caplog):
    """The one warning about the EMG of row a, whose walk is read."""
    caplog.clear()
    read = recordings.load(folder)
    assert len(read) == 3 and read[0].emg is None and read[0].emg_side is None
    (said,) = caplog.messages
    return said


def test_emg_is_checked(folder, caplog):
    good = pd.DataFrame({"percent": np.arange(101.0), "soleus_r": np.linspace(0, 1, 101)})
    with_emg(folder, good)
    assert recordings.load(folder)[0].emg_side == "r"
    for bad, words in (
        (good.assign(percent=good["percent"] / 100), "0 to 100"),
        (good.assign(percent=[np.nan, *good["percent"][1:]]), "percent"),
        (good.assign(percent="x"), "percent"),
        (good.assign(soleus_r=["x", *good["soleus_r"][1:]]), "soleus_r"),
    ):
        with_emg(folder, bad)
        assert words in without_emg(folder, caplog)
    with_emg(folder, good, side="both")
    assert "emg_side" in without_emg(folder, caplog)
    with_emg(folder, good, side="")
    assert "emg_side" in without_emg(folder, caplog)
    rewrite(folder, emg_file="gone.csv", emg_side="l")
    assert "gone.csv" in without_emg(folder, caplog)


@pytest.mark.parametrize("about", ["name: q\nlicence: é\n".encode("latin1"), b"name: q\nunits: cm\n"])
def test_a_broken_dataset_yaml_is_one_sentence(folder, about):
    (folder / "dataset.yaml").write_bytes(about)
    with pytest.raises(InputError, match=r"dataset\.yaml"):
        recordings.load(folder)


def test_a_truth_that_cannot_be_costs_nothing_where_none_is_asked_for(folder):
    index = folder / "recordings.csv"
    table = pd.read_csv(index)
    table.assign(walking_speed_mps=4.5e3).to_csv(index, index=False)
    assert len(recordings.read_all(folder, truth=False)[0]) == len(table)
    with pytest.raises(InputError, match="walking_speed_mps"):
        recordings.read_all(folder)
