"""Adapters against folders written here in each dataset's public layout, with people of other names."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from test_floors import foot_imu, lower_back

from synthgait import recordings
from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.recordings import schreiber

RATE = 100.0


def lower(seconds):
    signals = lower_back(0.6, 0.03, seconds)
    return np.column_stack([signals[f"lower_back_{c}"] for c in IMU_CHANNELS])


@pytest.fixture
def stroke(tmp_path):
    folder = tmp_path / "movingreality_stroke_imu"
    folder.mkdir()
    left, right = (np.hstack(foot_imu(1.2, 1.2, strides=120, delay_s=d)) for d in (0.0, 0.6))
    n = min(len(left), len(right))
    data = np.stack([left[:n], right[:n], left[:n], right[:n], lower(200.0)[:n]]).astype(np.float32)
    sensors = np.array(["leftfoot", "rightfoot", "leftshank", "rightshank", "lumbar"])
    np.savez(folder / "x_ppNEW_FB.npz", data=data, sensors=sensors, channels=np.array(["a"]), fs=100)
    row = {"file": "x_ppNEW_FB.npz", "subject": "x_ppNEW", "trial": "FB", "fixed_treadmill_speed": True, "speed_mps": 1.0}
    pd.DataFrame([row | {"age": 60, "height_cm": 170, "mass_kg": 70, "stride_T_L": 0.6}]).to_csv(folder / "meta.csv", index=False)
    return folder


def test_movingreality_takes_the_last_two_minutes_and_the_feets_own_rhythm(stroke):
    (read,) = recordings.load(stroke)
    assert read.placements == ("lower_back", "shank_l", "shank_r", "foot_l", "foot_r") and read.group == "impaired"
    assert read.end_s - read.start_s == pytest.approx(120.0)
    assert read.truth["stride_time_s"] == pytest.approx(1.2, abs=0.01)
    assert read.truth["stride_length_m"] == pytest.approx(1.2, abs=0.01)
    assert read.height_m == pytest.approx(1.7)


def test_movingreality_without_its_file_or_column(stroke):
    (stroke / "x_ppNEW_FB.npz").rename(stroke / "elsewhere.npz")
    with pytest.raises(InputError, match="x_ppNEW_FB"):
        recordings.load(stroke)
    pd.DataFrame({"file": ["a"]}).to_csv(stroke / "meta.csv", index=False)
    with pytest.raises(InputError, match="subject"):
        recordings.load(stroke)


def test_a_file_that_cannot_be_read_does_not_end_the_others(stroke, caplog):
    meta = pd.read_csv(stroke / "meta.csv")
    pd.concat([meta.assign(file="broken.npz"), meta, meta.assign(file="gone.npz")]).to_csv(stroke / "meta.csv", index=False)
    (stroke / "broken.npz").write_bytes(b"no archive")
    assert [r.subject_id for r in recordings.load(stroke)] == ["x_ppNEW"]
    assert "broken.npz" in caplog.messages[0] and "gone.npz" in caplog.messages[1] and caplog.messages[2].endswith("left out: 2")


def altered(stroke, change):
    """The trial's file with other arrays."""
    path = stroke / "x_ppNEW_FB.npz"
    with np.load(path) as stored:
        np.savez(path, **(dict(stored) | change(stored["data"], stored["sensors"])))


@pytest.mark.parametrize("how", ["without the sensor", "without its samples"])
def test_movingreality_without_a_foot_keeps_the_belts_speed(stroke, caplog, how):
    def left_foot_lost(data, sensors):
        if how == "without the sensor":
            return {"data": data[1:], "sensors": sensors[1:]}
        return {"data": np.concatenate([data[:1] * np.nan, data[1:]])}

    altered(stroke, left_foot_lost)
    (read,) = recordings.load(stroke)
    assert read.placements == ("lower_back", "shank_l", "shank_r", "foot_r") and read.truth == {"walking_speed_mps": 1.0}
    assert read.reference_source == "treadmill speed" and "stride time" in caplog.messages[-1]
    assert how == "without the sensor" or caplog.messages[0].startswith("foot_l of recording")


def test_movingreality_with_fewer_rows_than_sensors_names_the_file(stroke):
    altered(stroke, lambda data, sensors: {"data": data[:2]})
    with pytest.raises(InputError, match=r"x_ppNEW_FB\.npz has shape \(2, .* 5 sensors"):
        recordings.load(stroke)


def test_movingreality_bridges_a_few_samples_of_a_foot(stroke):
    (before,) = recordings.load(stroke)

    def flickered(data, sensors):
        data[0, -3000:-2997] = np.nan
        return {"data": data}

    altered(stroke, flickered)
    (after,) = recordings.load(stroke)
    assert after.truth["stride_time_s"] == pytest.approx(before.truth["stride_time_s"], abs=1e-3)
    assert np.all(np.isfinite(after.signals["foot_l_acc_x"]))


def write_trial(folder, name="99-1"):
    """One trial of voisard: 22 s, the way out with 16 steps, and a turn; gives the sensors' samples."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "lb": lower(30.0)[:2300],
        "lf": np.hstack(foot_imu(1.2, 1.2, 21))[:2300],
        "rf": np.hstack(foot_imu(1.2, 1.2, 21, delay_s=0.6))[:2300],
    }
    for suffix, values in tables.items():
        table = pd.DataFrame(values, columns=["Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z"])
        table.insert(0, "PacketCounter", np.arange(len(table), dtype=float))
        lost = np.arange(150, 160) if suffix == "lb" else []
        text = table.drop(index=lost).to_csv(sep="\t", index=False)
        (folder / f"{name}_{suffix}.txt").write_text("Acquisition frequency: 100 Hz\n" + text)
    contacts = np.arange(120, 1080, 60)
    events = [[[int(c) - 40, int(c)] for c in contacts[i::2]] + [[5000, 5040]] for i in (0, 1)]
    meta = {
        "Subject": 99,
        "Age": 30,
        "Gender": "F",
        "Height": 170.0,
        "Weight": None,
        "TrialBoundaries": [100, 2200],
        "UTurnBoundaries": [1100, 1200],
    }
    (folder / f"{name}.json").write_text(json.dumps(meta | {"LeftFootEvents": events[0], "RightFootEvents": events[1]}))
    return tables


def test_voisard_counts_packets_not_rows(tmp_path, caplog):
    folder = tmp_path / "voisard_healthy_imu" / "GaitData"
    tables = write_trial(folder)
    (out,) = recordings.load(folder.parent)
    assert out.recording_id == "99-1_out" and out.samples == 2300 and out.sex == "female" and out.mass_kg is None
    np.testing.assert_allclose(out.signals["lower_back_acc_x"][200:], tables["lb"][200:, 0], atol=1e-6)
    assert out.truth["step_time_s"] == pytest.approx(0.6) and out.truth["walking_speed_mps"] == pytest.approx(1.0, abs=0.02)
    # a sensor that was not worn takes neither the others nor the checked contacts with it
    (folder / "99-1_rf.txt").unlink()
    (out,) = recordings.load(folder.parent)
    assert out.placements == ("lower_back", "foot_l") and "99-1_rf.txt is not there" in caplog.messages[0]
    assert out.truth["step_time_s"] == pytest.approx(0.6) and "walking_speed_mps" not in out.truth
    for suffix in ("lb", "lf"):
        (folder / f"99-1_{suffix}.txt").unlink()
    with pytest.raises(InputError, match="no sensor beside it"):
        recordings.load(folder.parent)


def rewritten(key, value):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rewritten("UTurnBoundaries", []), "pairs of samples"),
        (rewritten("LeftFootEvents", [[100]]), "pairs of samples"),
        (rewritten("TrialBoundaries", "all"), "pairs of samples"),
        (rewritten("Height", {"cm": 170}), "Height"),
        (lambda path: path.write_text("[]"), "pairs of samples"),
        (lambda path: path.write_bytes(b"\xe9"), "pairs of samples"),
    ],
)
def test_an_odd_annotation_is_one_sentence_and_ends_no_other(tmp_path, caplog, change, words):
    folder = tmp_path / "voisard_healthy_imu"
    for name in ("99-1", "99-2"):
        write_trial(folder, name)
    change(folder / "99-1.json")
    read, refused = recordings.read_all(folder)
    assert [r.recording_id for r in read] == ["99-2_out"] and [one.recording_id for one in refused] == ["99-1"]
    assert words in refused[0].message and "99-1.json" in refused[0].message and "\n" not in refused[0].message
    assert recordings.load(folder) and refused[0].message in caplog.messages[0]


def test_a_sensors_file_cut_in_half_loses_the_way_that_it_lacks(tmp_path):
    folder = tmp_path / "voisard_healthy_imu"
    write_trial(folder)
    path = folder / "99-1_rf.txt"
    path.write_bytes(path.read_bytes()[: int(0.55 * path.stat().st_size)])
    (out,), (back,) = recordings.read_all(folder)
    assert out.recording_id == "99-1_out" and out.truth["walking_speed_mps"] == pytest.approx(1.0, abs=0.02)
    assert back.recording_id == "99-1_back" and "99-1_rf.txt ends at" in back.message


@pytest.mark.parametrize("away", [1.0, -1.0])
def test_gaitvalidation_turns_the_camera_into_the_world(tmp_path, away):
    folder = tmp_path / "gaitvalidation_video_pose"
    (folder / "keypoints_any").mkdir(parents=True)
    (folder / "sensor_report_noraxon").mkdir()
    frames = 300
    pose = np.zeros((frames, 17, 3))
    pose[..., 2] = 5000 + away * 20.0 * np.arange(frames)[:, None] * 1.0
    pose[:, 0, 1], pose[:, 10, 1] = -700.0, 900.0
    pose[:, 10, 0] = away * 100.0  # the right ankle is on the camera's right when the person walks away
    np.save(folder / "keypoints_any" / "New_001_T1.npy", pose)
    pd.DataFrame([{"trial name": "New_001_T1.csv", "ID": "New_001", "Age": 50, "Gender": "F", "Group": "VAL"}]).to_csv(
        folder / "sensor_all_df.csv", index=False
    )
    report = {"Height [cm]": 1.6, "Velocity [km/h]": 4.32, "Step Length left [cm]": 60, "Step Length right [cm]": 62}
    report |= {"Step Time left [ms]": 500, "Step Time right [ms]": 520, "Stride Time [ms]": 1020}
    pd.DataFrame([report]).to_csv(folder / "sensor_report_noraxon" / "New_001_T1.csv", index=False, encoding="utf-8-sig")
    scale, rooted = recordings.load(folder)
    assert (scale.variant, rooted.variant) == ("camera_scale", "root_relative") and scale.walk_id == rooted.walk_id
    assert (
        scale.height_m == 1.6
        and scale.truth["walking_speed_mps"] == pytest.approx(1.2)
        and scale.truth["step_length_r_m"] == pytest.approx(0.62)
    )
    points = scale.points()
    assert points["pelvis"][-1, 0] > points["pelvis"][0, 0]
    assert points["head_top"][0, 1] > points["ankle_r"][0, 1]
    assert points["ankle_r"][0, 2] - points["ankle_l"][0, 2] == pytest.approx(0.1)
    assert np.ptp(rooted.points()["pelvis"]) == 0.0
    # who enters the picture late is read from there on, and nobody at all is one sentence
    late = np.where(np.arange(frames)[:, None, None] < 60, np.nan, pose)
    np.save(folder / "keypoints_any" / "New_001_T1.npy", late)
    scale, _ = recordings.load(folder)
    assert scale.start_s == 1.0 and np.ptp(scale.section().points()["pelvis"][:, 0]) > 0
    for nobody in (pose[:0], pose * np.nan):
        np.save(folder / "keypoints_any" / "New_001_T1.npy", nobody)
        with pytest.raises(InputError, match=r"New_001_T1\.npy shows the pelvis in none of its"):
            recordings.load(folder)


def test_mobgap_prefers_optical_bouts_and_converts_units(tmp_path):
    person = tmp_path / "mobgap_example" / "data" / "lab" / "PD" / "007"
    person.mkdir(parents=True)
    values = lower(20.0)
    bout = {"Start": 2.0, "End": 12.0, "WalkingSpeed": 1.1, "AverageStrideLength": 1.3}
    bout |= {"Step_Duration": [0.6, 0.6], "Stride_Duration": [1.2, 1.2]}
    sensor = {"Acc": values[:, :3] / 9.80665, "Gyr": np.rad2deg(values[:, 3:]), "Fs": {"Acc": 100, "Gyr": 100}}
    standards = {"INDIP": {"MicroWB": bout | {"WalkingSpeed": 0.9}}, "Stereophoto": {"MicroWB": bout}}
    trial = {"SU": {"LowerBack": sensor}, "Standards": standards}
    savemat(person / "data.mat", {"data": {"TimeMeasure1": {"Test5": {"Trial1": trial}}}})
    savemat(person / "infoForAlgo.mat", {"infoForAlgo": {"TimeMeasure1": {"Height": 180, "Weight": 80}}})
    (tmp_path / "mobgap_example" / "participant_metadata.json").write_text("[]")
    (read,) = recordings.load(tmp_path / "mobgap_example")
    # one odd trial or bout ends no other, and an empty number is unknown
    odd = [bout | {"Start": -1.0}, bout | {"WalkingSpeed": []}, bout | {"AverageStrideLength": []}]
    bouts = np.zeros(3, dtype=[(name, object) for name in bout])
    for row, one in zip(bouts, odd, strict=True):
        for name, value in one.items():
            row[name] = value
    trials = {"Trial1": trial | {"SU": {"LowerBack": sensor | {"Acc": []}}}, "Trial2": trial | {"Standards": {"INDIP": {"MicroWB": bouts}}}}
    savemat(person / "data.mat", {"data": {"TimeMeasure1": {"Test5": trials, "Test11": {"Trial1": trial}}}})
    (empty, straight), refused = recordings.read_all(tmp_path / "mobgap_example")
    assert [one.recording_id for one in refused] == ["PD_007_Test5_Trial1", "PD_007_Test5_Trial2_bout1"]
    assert "lacks the sampling rate, Acc or Gyr" in refused[0].message and "section -1 to 12 s" in refused[1].message
    assert empty.recording_id.endswith("Trial2_bout2") and set(empty.truth) >= {"walking_speed_mps", "step_time_s"}
    assert "step_length_m" not in empty.truth and straight.recording_id == "PD_007_Test11_Trial1_bout1"
    np.testing.assert_allclose(np.column_stack(read.imu("lower_back")), values, atol=1e-9)
    assert read.pathology == "parkinson" and read.height_m == 1.8 and read.truth["walking_speed_mps"] == 1.1
    assert (read.start_s, read.end_s) == (2.0, 12.0) and read.truth_strides == "all"


def test_gaitmaps_feet_are_read_whatever_is_missing_of_the_other_person(tmp_path):
    folder = tmp_path / "gaitmap_example"
    folder.mkdir()
    feet = np.hstack(foot_imu(1.2, 1.2, 8)) * [1, 1, 1, *[180 / np.pi] * 3]
    pd.DataFrame(feet, columns=["acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"]).to_csv(folder / "imu_sample_ms_right.csv")
    (folder / "imu_sample_ms_left.csv").write_text("nothing\n")
    (foot,), refused = recordings.read_all(folder)
    assert foot.recording_id == "ms_foot_r" and foot.placements == ("foot_r",) and foot.group == "impaired"
    assert [one.recording_id for one in refused] == ["healthy", "ms_foot_l"]


def test_winner_files_are_radians_and_named_by_side(tmp_path):
    folder = tmp_path / "winner_gait_signatures"
    folder.mkdir()
    curves = np.zeros((2, 6, 100))
    curves[:, 1] = 60.0
    savemat(folder / "GaitSignatures_PhaseAveraged_ExperimentalKinematics.mat", {"PhaseAvgPCs_shift_LHS_KINs": curves})
    savemat(folder / "SpeedLabels.mat", {"SpeedTrainTrials": np.array([[90], [40]], object)})
    (folder / "Subjectlabels.csv").write_text("AB99\nST77\n")
    healthy, stroke_ = recordings.load(folder)
    assert healthy.signals["knee_flexion_l"][0] == pytest.approx(np.pi / 3) and healthy.truth == {"walking_speed_mps": 0.9}
    assert stroke_.group == "impaired" and stroke_.affected_side == "left" and stroke_.sampling_rate_hz is None


def test_falisse_finds_the_stride_time_from_angles_and_velocities(tmp_path):
    folder = tmp_path / "falisse2019_healthy"
    folder.mkdir()
    phase, period = np.linspace(0, 1, 100), 1.13
    names = np.array(["pelvis_tilt", "pelvis_tx", "hip_flexion", "knee_angle", "ankle_angle"], object)
    q = 30 * np.sin(2 * np.pi * phase)[:, None, None] * np.ones((1, 5, 2))
    qd = 30 * 2 * np.pi / period * np.cos(2 * np.pi * phase)[:, None, None] * np.ones((1, 5, 2))
    emg = {"all": np.ones((100, 1, 2)) * [[[0.5, np.nan]]], "colheaders": np.array(["Soleus", "x"], object)[:1]}
    data = {"Q": {"p9": {"Qs": {"all": q, "colheaders": names}, "Qdots": {"all": qd, "colheaders": names}}}}
    savemat(folder / "ExperimentalData.mat", {"ExperimentalData": data | {"StrideLength": {"p9": {"all": [1.3, 1.4]}}, "EMG": {"p9": emg}}})
    first, _ = recordings.load(folder)
    assert first.truth["stride_time_s"] == pytest.approx(period, rel=2e-3) and first.truth["stride_length_m"] == 1.3
    # these models flex the knee negatively
    assert first.signals["knee_flexion_r"].min() == pytest.approx(-np.deg2rad(30), rel=1e-2)


def test_a_folder_with_a_known_name_and_nothing_in_it_says_so(tmp_path):
    for name in recordings.ADAPTERS:
        (tmp_path / name).mkdir()
        with pytest.raises(InputError):
            recordings.load(tmp_path / name)


def test_a_broken_standing_trial_and_table_cost_sizes_only(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "schreiber_moissenet_2019"
    folder.mkdir()
    for name in ("9_ST", "9_C4_01"):
        (folder / f"{name}.c3d").write_bytes(b"garbage" * 100)
    time = np.arange(200) / RATE
    places = {"L_IAS": (0.2, 0.9, -0.1), "R_IAS": (0.2, 0.9, 0.1), "L_IPS": (0.0, 0.9, -0.1), "R_IPS": (0.0, 0.9, 0.1)}
    places |= dict.fromkeys(schreiber._NEEDED[4:], (0.1, 0.1, 0.0))
    markers = {name: np.column_stack([x + time, y + 0 * time, z + 0 * time]) for name, (x, y, z) in places.items()}
    walk = schreiber._Walk(folder / "9_C4_01.c3d", "9", RATE, markers, {"Left": [], "Right": []}, {}, 0.0)
    monkeypatch.setattr(schreiber, "_walk", lambda path: walk)
    (folder / "anthropometrics.csv").write_text("subjectID;age;height\n9;30;1,7\n")
    read = recordings.load(folder)
    assert [(r.kind, r.leg_length_m, r.height_m) for r in read] == [("markers", None, None), ("keypoints_3d", None, None)]
    table, standing = caplog.messages
    assert "anthropometrics.csv are separated by semicolons" in table
    assert standing.startswith("a leg length is taken as unknown") and "9_ST.c3d" in standing


def test_a_step_is_measured_where_each_heel_landed():
    """0.6 m and 0.5 s a step; a heel moves on by 3 cm before the other lands, as real ones do when they rise."""
    rate, n = 100.0, 200
    time = np.arange(n) / rate
    markers = {name: np.column_stack([1.2 * time, 0 * time, 0 * time]) for name in ("L_IAS", "R_IAS", "L_IPS", "R_IPS")}
    for side, first in (("L", 0.2), ("R", 0.7)):
        since = np.mod(time - first, 1.0)
        swung = np.interp(since, (0.0, 0.3, 0.5, 1.0), (0.0, 0.0, 0.03, 1.2))
        markers[f"{side}_FCC"] = np.column_stack([1.2 * (np.floor(time - first) + first) + swung, 0 * time, 0 * time])
    strikes = {"Left": [0.2, 1.2], "Right": [0.7, 1.7]}
    walk = schreiber._Walk(Path("x"), "x", rate, markers, strikes, {}, 0.0)
    truth = schreiber._truth(walk)
    assert truth["walking_speed_mps"] == pytest.approx(1.2)
    assert truth["step_time_s"] == pytest.approx(0.5)
    assert truth["step_length_l_m"] == pytest.approx(0.6, abs=0.005) and truth["step_length_r_m"] == pytest.approx(0.6, abs=0.005)
    # where the file ends before a landing, its step has a time and no length
    cut = walk._replace(markers={name: xyz[:115] for name, xyz in markers.items()})
    truth = schreiber._truth(cut)
    assert truth["step_length_r_m"] == pytest.approx(0.6, abs=0.005) and "step_length_l_m" not in truth
    assert truth["step_time_l_s"] == pytest.approx(0.5)
