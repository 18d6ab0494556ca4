"""Classical baselines against walkers whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rolling_shank import rolling_shank
from row_keys import ROW_KEYS
from standin_recordings import standin_people
from synthgait import signal_events
from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.estimators.features import limbs
from synthgait.estimators.features.windows import Body
from synthgait.inertial import foot_strides
from synthgait.recordings import Recording
from synthgait.validate import floors, peers
from synthgait.validate import run as verb

RATE = 100.0


def make(signals, kind="imu", **changes):
    values = {
        "dataset": "d",
        "recording_id": "r",
        "subject_id": "s",
        "kind": kind,
        "signals": signals,
        "sampling_rate_hz": RATE,
        "height_m": 1.75,
    }
    return Recording(**(values | changes))


def foot_imu(stride_length_m, stride_time_s, strides=20, mounted=None, delay_s=0.0):
    """A foot that rests 45 % of the stride, then swings forward (minimum jerk), lifts and pitches by 60 deg."""
    n = round(strides * stride_time_s * RATE)
    time = np.arange(n) / RATE + 1e-9 - delay_s
    phase = np.mod(time / stride_time_s, 1.0)
    s = np.clip((phase - 0.45) / 0.55, 0.0, 1.0)
    smooth = s**3 * (10 - 15 * s + 6 * s**2)
    lift = 64 * s**3 * (1 - s) ** 3
    x = stride_length_m * (np.floor(time / stride_time_s) + smooth)
    position = np.column_stack([x, 0.12 * lift, np.zeros(n)])
    pitch = -1.05 * lift * np.sin(2 * np.pi * s)
    attitude = Rotation.from_rotvec(np.column_stack([np.zeros(n), np.zeros(n), pitch]))
    acceleration = np.gradient(np.gradient(position, axis=0), axis=0) * RATE**2 + (0, GRAVITY_MPS2, 0)
    rotation = np.column_stack([np.zeros(n), np.zeros(n), np.gradient(pitch) * RATE])
    mounted = mounted or Rotation.identity()
    # differences are one-sided at the ends: leave those out, and end in a stance
    kept = slice(5, n - round(0.7 * stride_time_s * RATE))
    return mounted.apply(attitude.inv().apply(acceleration))[kept], mounted.apply(rotation)[kept]


def test_a_truth_of_all_strides_is_compared_with_all_of_them() -> None:
    signals = dict(zip([f"lower_back_{c}" for c in IMU_CHANNELS], np.full((6, 300), GRAVITY_MPS2 / np.sqrt(3.0)), strict=True))

    def told(**truth: str) -> float:
        view = make(signals, truth={"walking_speed_mps": 1.0}, **truth)
        found = {"walking_speed_mps": 1.1, "all_strides": {"walking_speed_mps": 1.02}}
        return verb.compared(view, "lower_back", verb.OURS, lambda: found)[0]["estimate"]

    assert told() == 1.1 and told(truth_strides="all") == 1.02
    with pytest.raises(InputError, match=r"truth_strides .* 'some'; write one of steady, all"):
        told(truth_strides="some")


@pytest.mark.parametrize(("length", "duration"), [(0.45, 2.0), (0.9, 1.3), (1.4, 1.05), (1.7, 0.9)])
@pytest.mark.parametrize("mounted", [None, Rotation.from_euler("xyz", [1.0, -2.0, 0.5])])
def test_zero_velocity_integration_gives_the_stride_length(length, duration, mounted):
    strides = foot_strides(*foot_imu(length, duration, mounted=mounted), RATE)
    assert 17 <= len(strides.length_m) <= 20
    assert strides.length_m.mean() == pytest.approx(length, abs=0.01)
    assert (strides.end_s - strides.start_s).mean() == pytest.approx(duration, abs=0.01)
    assert np.abs(strides.heading_rad).max() < 0.02


@pytest.mark.parametrize("stands_s", [1.0, 1.6])
def test_a_foot_that_stands_between_strides_walks_no_slower(stands_s):
    signals = {}
    for placement, delay in (("foot_r", 0.0), ("foot_l", 0.6)):
        strides = [np.hstack(foot_imu(1.2, 1.2, 5, delay_s=delay)) for _ in range(5)]
        bouts = [np.concatenate([np.tile(bout[-1], (round(stands_s * RATE), 1)), bout]) for bout in strides]
        signals |= {f"{placement}_{c}": v for c, v in zip(IMU_CHANNELS, np.concatenate(bouts).T, strict=True)}
    found = limbs.featurise(signals, RATE, Body(leg_length_m=1.0), "foot")
    speed = np.exp(found.base) / found.stride_time_s
    assert len(speed) > 8 and np.median(speed) == pytest.approx(1.0, rel=0.03)


def test_the_shank_floor_integrates():
    walk = make(rolling_shank(1.2, 1.2, 0.21), truth={"walking_speed_mps": 1.0})
    floor = floors.ShankIntegration()
    assert floor.reads(walk, "shanks") and not floor.reads(walk, "feet")
    estimate = floor.predict(walk)
    assert estimate["walking_speed_mps"] == pytest.approx(1.0, rel=0.04) and estimate["stride_time_s"] == pytest.approx(1.2, abs=0.005)


def test_zero_velocity_floor_and_its_events():
    signals = {}
    for placement, delay in (("foot_l", 0.0), ("foot_r", 0.6)):
        values = np.hstack(foot_imu(1.2, 1.2, delay_s=delay))
        signals |= {f"{placement}_{c}": v for c, v in zip(IMU_CHANNELS, values.T, strict=True)}
    walk = make(signals, truth={"walking_speed_mps": 1.0})
    floor = floors.ZeroVelocity()
    assert floor.reads(walk, "feet") and not floor.reads(walk, "lower_back")
    estimate = floor.predict(walk)
    assert estimate["walking_speed_mps"] == pytest.approx(1.0, abs=0.015)
    assert estimate["step_time_s"] == pytest.approx(0.6, abs=0.005)
    assert not floor.reads(make(signals, reference_source="zero-velocity integration of both feet"), "feet")
    contacts = signal_events.foot_initial_contacts(*walk.imu("foot_l"), RATE)
    assert np.diff(contacts)[1:-1] == pytest.approx(1.2, abs=0.03) and len(contacts) >= 17


def lower_back(step_time_s, excursion_m, seconds=30.0, mounted=None):
    time = np.arange(round(seconds * RATE)) / RATE
    omega = 2 * np.pi / step_time_s
    upward = -0.5 * excursion_m * omega**2 * np.cos(omega * time)
    forward = 0.4 * np.sin(omega * time)
    yaw = 0.35 * np.cos(0.5 * omega * time)
    acceleration = np.column_stack([forward, GRAVITY_MPS2 + upward, 0.3 * np.sin(0.5 * omega * time)])
    rotation = np.column_stack([np.zeros_like(time), yaw, np.zeros_like(time)])
    mounted = mounted or Rotation.identity()
    values = np.hstack([mounted.apply(acceleration), mounted.apply(rotation)])
    return {f"lower_back_{c}": v for c, v in zip(IMU_CHANNELS, values.T, strict=True)}


@pytest.mark.parametrize("mounted", [None, Rotation.from_euler("xyz", [0.3, 0.2, 1.5])])
@pytest.mark.parametrize("step_time", [0.45, 0.6, 0.9])
def test_inverted_pendulum_gives_zijlstras_step_length(step_time, mounted):
    leg, excursion = 0.9, 0.04
    walk = make(lower_back(step_time, excursion, mounted=mounted), leg_length_m=leg)
    estimate = floors.InvertedPendulum().predict(walk)
    expected = 1.25 * 2 * np.sqrt(2 * leg * excursion - excursion**2)
    assert estimate["step_time_s"] == pytest.approx(step_time, abs=0.003)
    assert estimate["step_length_m"] == pytest.approx(expected, rel=0.03)
    assert estimate["walking_speed_mps"] == pytest.approx(expected / step_time, rel=0.03)


def test_lower_back_contacts_alternate_and_name_the_side():
    walk = make(lower_back(0.5, 0.04))
    contacts = signal_events.lower_back_contacts(*walk.imu("lower_back"), RATE)
    assert set(zip(contacts.side[:-1], contacts.side[1:], strict=True)) == {("l", "r"), ("r", "l")}
    duration, _ = signal_events.step_times_s(contacts)
    assert duration[2:-2] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mounted", [None, Rotation.from_euler("xyz", [2.0, 0.4, -1.1])])
def test_the_side_is_that_to_which_the_trunk_moves_whichever_way_the_pelvis_turns(mounted):
    quick, time = lower_back(0.6, 0.04), np.arange(3000) / RATE
    # rolling to either side by 0.1 rad lets in a multiple of what is felt of the sway
    roll = 0.1 * np.sin(np.pi * time / 0.6)
    quick["lower_back_acc_z"] = quick["lower_back_acc_z"] - GRAVITY_MPS2 * roll
    quick["lower_back_gyr_x"] = np.gradient(roll) * RATE
    slow = quick | {"lower_back_gyr_y": -quick["lower_back_gyr_y"]}
    for signals in (quick, slow):
        acceleration, rotation = make(signals).imu("lower_back")
        if mounted is not None:
            acceleration, rotation = mounted.apply(acceleration), mounted.apply(rotation)
        contacts = signal_events.lower_back_contacts(acceleration, rotation, RATE)
        # the velocity is minus a cosine; filters bend what is near an end
        assert (contacts.side == np.where(np.cos(np.pi * contacts.time_s / 0.6) > 0, "l", "r"))[2:-2].all()


def test_a_limp_that_repeats_only_once_a_stride_hides_no_landing():
    signals, time = lower_back(0.6, 0.04), np.arange(3000) / RATE
    signals["lower_back_acc_y"] = signals["lower_back_acc_y"] + 3.0 * np.cos(np.pi * time / 0.6 + 0.5)
    walk = make(signals)
    assert len(signal_events.lower_back_contacts(*walk.imu("lower_back"), RATE).time_s) < 30
    contacts = signal_events.lower_back_contacts(*walk.imu("lower_back"), RATE, 1.2)
    assert len(contacts.time_s) >= 48 and np.diff(contacts.time_s).mean() == pytest.approx(0.6, abs=0.02)


def test_who_stops_may_go_on_with_either_foot():
    quick, time = lower_back(0.6, 0.04), np.arange(3000) / RATE
    stands = {c: np.full(210, GRAVITY_MPS2 if c.endswith("acc_y") else 0.0) for c in quick}
    # bouts of 14 and of 13 steps: without a stop between them, every other one would be of the wrong side
    cuts = [(0, 840), (840, 1620), (1620, 2460)]
    signals = {c: np.concatenate([np.concatenate([v[a:b], stands[c]]) for a, b in cuts]) for c, v in quick.items()}
    of = np.concatenate([np.concatenate([time[a:b], np.full(210, np.nan)]) for a, b in cuts])
    contacts = signal_events.lower_back_contacts(*make(signals).imu("lower_back"), RATE)
    at = of[np.minimum(np.round(contacts.time_s * RATE).astype(int), len(of) - 1)]
    told, walks = np.where(np.cos(np.pi * at / 0.6) > 0, "l", "r"), np.isfinite(at)
    assert walks.sum() >= 36 and np.mean(contacts.side[walks] == told[walks]) > 0.9


def test_standing_still_is_an_input_error():
    rng = np.random.default_rng(0)
    still = {f"lower_back_{c}": 1e-3 * rng.standard_normal(1000) + (9.80665 if c == "acc_y" else 0.0) for c in IMU_CHANNELS}
    acceleration, _ = make(still).imu("lower_back")
    assert signal_events.walking_sections(acceleration, RATE) == []
    with pytest.raises(InputError, match="no strides"):
        floors.ZeroVelocity().predict(
            make({c.replace("lower_back", "foot_l"): 0 * v + (9.8 if "acc_y" in c else 0) for c, v in still.items()})
        )


def test_walking_sections_and_turns_are_found():
    walk = make(lower_back(0.5, 0.04, seconds=20.0))
    acceleration, rotation = walk.imu("lower_back")
    quiet = np.tile([0.0, GRAVITY_MPS2, 0.0], (500, 1))
    sections = signal_events.walking_sections(np.vstack([quiet, acceleration, quiet]), RATE)
    assert len(sections) == 1 and sections[0] == pytest.approx((5.0, 25.0), abs=0.6)
    rotation = rotation.copy()
    rotation[800:1000, 1] += np.pi / 2.0
    found = signal_events.turns(acceleration, rotation, RATE)
    assert len(found) == 1 and found[0][0] == pytest.approx(8.0, abs=0.8) and found[0][1] == pytest.approx(10.0, abs=0.8)


def pose(step_length, step_time, moving=True, heading=0.0, seconds=12.0):
    time = np.arange(round(seconds * RATE)) / RATE
    swing = 0.5 * step_length * np.cos(np.pi * time / step_time)
    x = step_length / step_time * time * moving
    joints = {"pelvis": (x, 0.95), "ankle_r": (x + swing, 0.1), "ankle_l": (x - swing, 0.1)}
    for side, sign in (("r", 1), ("l", -1)):
        joints[f"hip_{side}"], joints[f"knee_{side}"] = (x, 0.9), (x + 0.5 * sign * swing + 0.05, 0.5)
    turn = Rotation.from_euler("y", heading)
    signals = {}
    for joint, (along, up) in joints.items():
        xyz = turn.apply(np.column_stack([along, np.full_like(time, up), np.zeros_like(time)]))
        signals |= {f"{joint}_{a}": xyz[:, i] for i, a in enumerate("xyz")}
    return make(signals, kind="keypoints_3d", variant="camera_scale" if moving else "root_relative")


@pytest.mark.parametrize("heading", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("moving", [True, False])
def test_key_point_floors(moving, heading):
    walk = pose(0.6, 0.5, moving, heading)
    estimate = floors.AnkleDistance().predict(walk)
    assert estimate["step_length_m"] == pytest.approx(0.6, rel=0.02)
    assert estimate["step_time_s"] == pytest.approx(0.5, abs=0.005)
    contacts = signal_events.keypoint_contacts(walk.points(), RATE)
    # the right ankle leads at 0, 1, 2, ... s
    assert all((side == "r") == (round(t / 0.5) % 2 == 0) for t, side in zip(contacts.time_s, contacts.side, strict=True))
    floor = floors.PelvisDisplacement()
    assert floor.reads(walk, "keypoints_3d") == moving
    if moving:
        assert floor.predict(walk)["walking_speed_mps"] == pytest.approx(1.2, rel=0.01)


@pytest.mark.parametrize("way", ["to and fro", "borne back", "round a bend"])
def test_sides_of_landings_are_right_whichever_way_a_pose_faces(way):
    points = pose(0.6, 0.5).points()
    time = np.arange(1200) / RATE
    for side, width in (("r", 0.1), ("l", -0.1)):
        for joint in ("hip", "knee", "ankle"):
            points[f"{joint}_{side}"] = points[f"{joint}_{side}"] + (0.0, 0.0, width)
    place = points["pelvis"] * (1.0, 0.0, 1.0)
    heading = {"to and fro": np.pi * (time > 6.0), "borne back": 0.0 * time, "round a bend": 0.5 * time}[way]
    step = (1.2 if way != "borne back" else -0.1) / RATE
    path = np.cumsum(step * np.column_stack([np.cos(heading), 0.0 * time, -np.sin(heading)]), axis=0)
    turn = Rotation.from_rotvec(np.outer(heading, (0.0, 1.0, 0.0)))
    moved = {joint: turn.apply(xyz - place) + path for joint, xyz in points.items()}
    contacts = signal_events.keypoint_contacts(moved, RATE)
    right = (contacts.side == "r") == (np.round(contacts.time_s / 0.5) % 2 == 0)
    assert len(right) >= 22 and right[np.abs(contacts.time_s - 6.0) > 0.6].all()


def test_poses_whose_truth_is_their_own_way_are_taken_on_the_spot():
    walk = pose(0.6, 0.5)
    ((_, _, shown),) = verb.sensor_views(walk)
    assert shown.signals["hip_r_x"] is walk.signals["hip_r_x"]
    own = replace(walk, reference_source="markers and force-plate events")
    ((_, _, shown),) = verb.sensor_views(own)
    assert np.ptp(0.5 * (shown.signals["hip_r_x"] + shown.signals["hip_l_x"])) < 1e-9
    apart = walk.signals["ankle_r_x"] - walk.signals["hip_r_x"]
    np.testing.assert_allclose(shown.signals["ankle_r_x"] - shown.signals["hip_r_x"], apart, atol=1e-12)
    assert not floors.PelvisDisplacement().reads(own, "keypoints_3d")


def people(speeds, cadence=lambda v: 60 + 45 * v):
    walks = []
    for i, speed in enumerate(speeds):
        stride = 120.0 / cadence(speed)
        walks.append(
            make(
                lower_back(stride / 2, 0.03, 5.0),
                subject_id=f"p{i}",
                recording_id=f"p{i}",
                truth={"walking_speed_mps": speed, "stride_time_s": stride},
            )
        )
    return walks


def test_fitted_floors_never_see_the_person():
    walks = people([0.8, 1.0, 1.2, 1.6])
    table = verb.pairs(walks, progress=False)
    mean = table[(table["method"] == "floor:mean") & (table["quantity"] == "walking_speed_mps")].set_index("subject_id")["estimate"]
    assert mean["p0"] == pytest.approx((1.0 + 1.2 + 1.6) / 3) and mean["p3"] == pytest.approx(1.0)
    line = table[(table["method"] == "floor:cadence_height") & (table["quantity"] == "walking_speed_mps")]
    # a straight law is found exactly from the others
    assert line["estimate"].to_numpy() == pytest.approx(line["truth"].to_numpy(), abs=1e-9)


def test_what_a_floor_cannot_read_counts_and_a_floor_that_reads_nothing_is_none():
    still = {f"lower_back_{c}": np.full(1000, GRAVITY_MPS2 if c == "acc_y" else 0.0) for c in IMU_CHANNELS}
    truth = {"walking_speed_mps": 1.1, "stride_time_s": 1.1}
    resting = make(still, subject_id="still", recording_id="still", truth=truth)
    table = verb.pairs([*people([0.8, 1.0]), resting], progress=False)
    pendulum = table[(table["method"] == "floor:inverted_pendulum") & (table["quantity"] == "walking_speed_mps")]
    assert pendulum.set_index("subject_id")["estimate"].isna().to_dict() == {"p0": False, "p1": False, "still": True}
    assert not any(verb.pairs([resting], progress=False)["method"] == "floor:inverted_pendulum")


def test_a_person_counts_once_in_the_mean():
    floor = floors.Mean().fit(
        [*people([1.0]), *[make(lower_back(0.5, 0.04, 5.0), subject_id="b", truth={"walking_speed_mps": 2.0}) for _ in range(9)]]
    )
    assert floor.predict(people([1.0])[0])["walking_speed_mps"] == pytest.approx(1.5)


class _Estimator:
    sensors = ("lower_back",)

    def predict(self, recording, *, sensor=None):
        assert set(recording.placements) == {"lower_back"} and sensor == "lower_back"
        if recording.subject_id == "p3":
            raise InputError("too short")
        return {"walking_speed_mps": recording.truth["walking_speed_mps"] + 0.1, "strides": [1, 2]}


def test_the_rows_have_the_keys_of_the_issue_and_count_failures(tmp_path):
    result = verb.run(people([0.8, 1.0, 1.2, 1.6]), _Estimator(), progress=False)
    assert all(set(row) >= ROW_KEYS for row in result)
    row = next(r for r in result if r["method"] == "zero_shot" and r["quantity"] == "walking_speed_mps")
    assert row["bias"] == pytest.approx(0.1) and row["n_people"] == 3 and row["n_failed"] == 1
    others = [r for r in result if r["method"] != "zero_shot" and r["quantity"] == "walking_speed_mps" and r["n_recordings"]]
    assert others and all(r["n_shared"] == 3 and r["mae_ours_shared"] == pytest.approx(0.1) for r in others)
    # of a floor that reads all four only the three that ours reads are compared
    mean = next(r for r in others if r["method"] == "floor:mean")
    assert mean["n_recordings"] == 4 and mean["mae"] != pytest.approx(mean["mae_shared"])
    assert "(on the 3 that both read " in verb.as_text(result)
    verb.write_json(result, tmp_path / "rows.json")
    assert "zero_shot" in verb.as_text(result) and (tmp_path / "rows.json").read_text().startswith("[")
    with pytest.raises(InputError, match="truth"):
        verb.run([make(lower_back(0.5, 0.04, 5.0))], progress=False)


def test_toes_tell_which_way_a_treadmill_walker_faces():
    walk = pose(0.6, 0.5, moving=False)
    points = {j: xyz for j, xyz in walk.points().items() if not j.startswith(("hip", "knee"))}
    points |= {f"toe_{s}": points[f"ankle_{s}"] + (-0.15, -0.05, 0.0) for s in "lr"}
    assert signal_events.forward_axis(points)[0] < -0.99


def test_a_peer_that_breaks_costs_its_own_row() -> None:
    class Broken:
        name = "broken"

        def reads(self, recording: Recording, sensor: str) -> bool:
            return True

        def predict(self, recording: Recording) -> dict[str, float]:
            raise ValueError("buffer source array is read-only\nand more")

    table = verb.pairs(standin_people(3), peers=[Broken()], progress=False)
    theirs, others = table[table["method"] == "peer:broken"], table[table["method"] != "peer:broken"]
    assert len(theirs) and theirs["estimate"].isna().all() and others["estimate"].notna().any()
    assert theirs["reason"].str.contains(r"broken fails on recording .* \(ValueError: buffer source array is read-only\)").all()


def test_gaitmaps_tables_give_arrays_that_may_be_written_to():
    table = peers._Writable(np.zeros((4, 3)), columns=list("abc"))
    for part in (table, table[["a", "b"]], table.iloc[1:3], table.copy()):
        assert part.to_numpy().flags.writeable
