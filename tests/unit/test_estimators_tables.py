"""``predict`` of tables as people have them: clocks, gaps, other columns, sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytic_walker import analytic_population
from synthgait.conventions import IMU_CHANNELS
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator
from synthgait.estimators.base import build_network
from synthgait.estimators.estimate import estimate
from synthgait.recordings import Recording
from synthgait.sensors import IMU, Markers
from synthgait.walks import Walks, walk

RATES = (15.0, 30.0, 60.0, 120.0, 128.0, 204.8)


@pytest.fixture(scope="module")
def estimator() -> GaitEstimator:
    """Untrained: stride times and events come from the signal, and sizes from the body."""
    network = {"backbone": "cnn", "width": 8, "widths": {}, "depth": 1}
    sensors = ("lower_back", "keypoints_3d")
    return GaitEstimator("gait_parameters", {name: [build_network("gait_parameters", name, network)] for name in sensors}, {})


@pytest.fixture(scope="module")
def walks() -> Walks:
    return walk(analytic_population(1, seed=7), 14.0, np.random.default_rng(5), sampling_rate_hz=1024.0)


def table_of(walks: Walks, rate_hz: float) -> pd.DataFrame:
    values = IMU("lower_back").record(walks).signals["imu_lower_back"][0].astype(float)
    time = np.arange(0.0, len(values) / 1024.0 - 0.1, 1.0 / rate_hz)
    signals = {f"lower_back_{c}": np.interp(time, np.arange(len(values)) / 1024.0, values[:, k]) for k, c in enumerate(IMU_CHANNELS)}
    return pd.DataFrame({"time_s": time, **signals})


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("told", [False, True])
def test_a_clock_in_whole_milliseconds_is_the_clock(estimator: GaitEstimator, walks: Walks, rate_hz: float, told: bool) -> None:
    table = table_of(walks, rate_hz)
    table["time_s"] = np.round(1.7e9 + table["time_s"], 3)
    found = estimator.predict(table, sensor="lower_back", sampling_rate_hz=rate_hz if told else None)
    assert found["stride_time_s"] == pytest.approx(walks.table["stride_time_s"][0], rel=0.01)


def test_dropped_samples_cost_no_time(estimator: GaitEstimator, walks: Walks) -> None:
    table = table_of(walks, 100.0)
    torn = table.sample(frac=0.85, random_state=0).sort_index()
    whole, found = (estimator.predict(t, sensor="lower_back") for t in (table, torn))
    assert found["stride_time_s"] == pytest.approx(whole["stride_time_s"], rel=2e-3)


def test_gaps_other_columns_and_events(estimator: GaitEstimator, walks: Walks) -> None:
    table = table_of(walks, 100.0)
    torn = table.assign(activity="walking", note=None)
    torn.loc[300:305, [c for c in table if c != "time_s"]] = np.nan
    whole, found = (estimator.predict(t, sensor="lower_back") for t in (table, torn))
    assert found["stride_time_s"] == pytest.approx(whole["stride_time_s"], rel=2e-3)
    assert len(found["events"]["time_s"]) == len(whole["events"]["time_s"]) > 10
    read = Markers("joints").record(walks)
    points = {name: read.signals["keypoints_3d"][0, ::16, k].astype(float) for k, name in enumerate(read.channels["keypoints_3d"])}
    for values in points.values():
        values[200:205] = np.nan
    seen = estimator.predict(points, sensor="keypoints_3d", sampling_rate_hz=64.0, height_m=1.75)
    assert len(seen["events"]["time_s"]) > 10


def test_of_what_was_not_recorded_nothing_is_told(estimator: GaitEstimator, walks: Walks, caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(walks, 100.0)
    table.loc[200:420, [c for c in table if c != "time_s"]] = np.nan
    found = estimator.predict(table, sensor="lower_back")
    assert "missing for 2.21 s" in caplog.text and "cut to 4.21 to" in caplog.text
    assert min(found["strides"]["time_s"]) > 4.2 and min(found["events"]["time_s"]) > 4.2
    array = table.drop(columns="time_s").to_numpy()
    assert estimator.predict(array, sensor="lower_back", sampling_rate_hz=100.0)["strides"] == found["strides"]


def test_a_section_is_told_on_the_clock_of_the_whole(estimator: GaitEstimator, walks: Walks) -> None:
    table = table_of(walks, 100.0)
    signals = {name: np.concatenate([np.full(317, np.nan), table[name]]) for name in table if name != "time_s"}
    # nothing was seen for the first 3.17 s, so the section begins there
    late = Recording("d", "r", "s", "imu", signals, 100.0)
    plain, found = (estimator.predict(of, sensor="lower_back") for of in (table, late))
    for part in ("strides", "events"):
        assert found[part]["time_s"] == pytest.approx([3.17 + at for at in plain[part]["time_s"]], abs=1e-6)


def test_what_a_sensors_range_cuts_off_is_said(estimator: GaitEstimator, walks: Walks) -> None:
    signals = {name: values.to_numpy() for name, values in table_of(walks, 100.0).items() if name != "time_s"}
    limit = 0.7 * max(np.abs(values).max() for name, values in signals.items() if "_gyr_" in name)
    cut = {name: np.clip(values, -limit, limit) if "_gyr_" in name else values for name, values in signals.items()}
    whole, found = (estimate(Recording("d", "r", "s", "imu", of, 100.0), estimator)["sentence"] for of in (signals, cut))
    assert "cut off" not in whole
    assert f"angular velocity is cut off at {limit:.3g} rad/s" in found and "acceleration is cut off" not in found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {c: v[: len(v) - 3 * (c == "lower_back_gyr_z")] for c, v in t.items()}, "lengths"),
        (lambda t: {c: v[:0] for c, v in t.items()}, "length above 0"),
        (lambda t: t.assign(lower_back_acc_x="?"), "lower_back_acc_x holds something that is no number"),
        (lambda t: t.assign(time_s=t["time_s"].to_numpy()[::-1]), "does not increase"),
        (lambda t: t.assign(time_s=1000 * t["time_s"]), "sampling_rate_hz is 100"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(estimator: GaitEstimator, walks: Walks, change: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        estimator.predict(change(table_of(walks, 100.0)), sensor="lower_back", sampling_rate_hz=100.0)  # type: ignore[operator]


def test_sizes_are_those_of_people_and_may_be_unknown(estimator: GaitEstimator, walks: Walks) -> None:
    table = table_of(walks, 100.0)
    unknown = estimator.predict(table, sensor="lower_back")
    assert estimator.predict(table, sensor="lower_back", height_m=float("nan"))["walking_speed_mps"] == unknown["walking_speed_mps"]
    for size in ({"height_m": 175.0}, {"height_m": 0.0}, {"leg_length_m": 90.0}):
        with pytest.raises(InputError, match=f"{next(iter(size))} is"):
            estimator.predict(table, sensor="lower_back", **size)
