"""Several sensors of one walker: weighed by precision, never surer than the surest, and the missing have no say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analytic_walker import analytic_population
from synthgait.errors import InputError
from synthgait.estimators import shipped
from synthgait.estimators.estimate import TOLD, estimate
from synthgait.estimators.together import parts, together
from synthgait.recordings import Recording
from synthgait.sensors import IMU
from synthgait.validate import run
from synthgait.walks import walk


def told(speed: float, half_width: float) -> dict[str, Any]:
    intervals = {"walking_speed_mps": (speed - half_width, speed + half_width)}
    return {"walking_speed_mps": speed, "intervals": intervals, "n_strides": 9, "repetition": 0.9, "strides": {}, "events": {}}


def test_the_surer_sensor_has_the_greater_say() -> None:
    found = together("foot+lower_back", {"foot": told(1.00, 0.02), "lower_back": told(1.02, 0.04)}.__getitem__)
    assert found["walking_speed_mps"] == pytest.approx(1.004)
    low, high = found["intervals"]["walking_speed_mps"]
    assert 0.5 * (high - low) == pytest.approx(0.02)  # as of the foot alone: what both have wrong does not average out
    assert found["by_sensor"]["lower_back"]["walking_speed_mps"] == 1.02 and found["sensor"] == "foot+lower_back"


def test_sensors_that_disagree_make_the_interval_wider() -> None:
    found = together("foot+shank", {"foot": told(1.0, 0.02), "shank": told(1.4, 0.02)}.__getitem__)
    low, high = found["intervals"]["walking_speed_mps"]
    # two values 0.4 apart: the standard error of their mean is 0.2
    assert found["walking_speed_mps"] == pytest.approx(1.2) and 0.5 * (high - low) == pytest.approx(0.2 * 1.6449)


def test_a_sensor_that_cannot_be_read_has_no_say() -> None:
    def of_one(name: str) -> dict[str, Any]:
        if name != "shank":
            raise InputError(f"no {name}")
        return told(1.1, 0.05)

    found = together("foot+shank", of_one)
    assert found["sensor"] == "shank" and found["left_out"] == {"foot": "no foot"}
    with pytest.raises(InputError, match="no foot"):
        together("foot+lower_back", of_one)


@pytest.mark.parametrize(
    ("sensor", "message"), [("foot+foot", "twice"), ("foot+nose", "nose"), ("foot+keypoints_3d", "only sensors worn on the body")]
)
def test_what_cannot_be_read_together_is_named(sensor: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parts(sensor)


@pytest.fixture(scope="module")
def worn() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A walk with sensors at the lower back and both shanks, and who walked."""
    walks = walk(analytic_population(1, seed=77), 12.0, np.random.default_rng(5))
    tables = [pd.DataFrame({"time_s": np.arange(walks.signals["joint_angles"].shape[1]) / 100.0})]
    for place in ("lower_back", "shank_r", "shank_l"):
        readings = IMU(place).record(walks, np.random.default_rng(6))
        tables.append(pd.DataFrame(readings.signals[f"imu_{place}"][0], columns=list(readings.channels[f"imu_{place}"])))
    return pd.concat(tables, axis=1), walks.table.iloc[0].to_dict()


@pytest.mark.usefixtures("one_torch_thread")
def test_a_walk_with_several_sensors_is_estimated_from_all(worn: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    table, walker = worn
    path = tmp_path / "walk.csv"
    table.to_csv(path, index=False)
    found = estimate(path, None, "shank+lower_back", height_m=walker["height_m"])
    json.dumps(found, allow_nan=False)
    assert found["sensor"] == "shank+lower_back" and set(found["by_sensor"]) == {"shank", "lower_back"}
    for name in TOLD:
        alone = [one[name] for one in found["by_sensor"].values()]
        assert min(alone) <= found[name] <= max(alone)
    lying = {name: 9.81 if name.endswith("acc_y") else 0.0 for name in table if name.startswith("shank")}
    table.assign(**lying).to_csv(path, index=False)
    without = estimate(path, None, "shank+lower_back", height_m=walker["height_m"])
    assert without["sensor"] == "lower_back" and "Of the shank nothing is used" in without["sentence"]
    with pytest.raises(InputError, match="no column like foot_r_acc_x"):
        estimate(path, None, "shank+foot", height_m=walker["height_m"])
    with pytest.raises(InputError, match="not fitted for 'shank'"):
        estimate(path, "muscle_activation", "shank+thigh", height_m=walker["height_m"])


@pytest.mark.usefixtures("one_torch_thread")
def test_validation_reads_what_was_worn_together(worn: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    table, walker = worn
    signals = {name: table[name].to_numpy() for name in table.columns if name != "time_s"}
    truth = {"walking_speed_mps": walker["walking_speed_mps"]}
    one = Recording("d", "r", "s", "imu", signals, sampling_rate_hz=100.0, height_m=walker["height_m"], truth=truth)
    assert {label: name for label, name, _ in run.sensor_views(one)}[run.TOGETHER] == "lower_back+shank"
    judged = estimate(one, None, None)
    assert judged["sensor"] == "shank" and judged["walking_speed_mps"] == estimate(one, None, "shank")["walking_speed_mps"]
    pairs = run.pairs([one], shipped.load(), floors=(), progress=False)
    estimates = pairs.set_index("sensor")["estimate"]
    assert set(estimates.index) == {"lower_back", "shanks", "shank", run.TOGETHER}
    low, high = sorted((estimates["lower_back"], estimates["shanks"]))
    assert low <= estimates[run.TOGETHER] <= high


def test_every_sensor_is_asked_whether_it_moves_as_a_walkers() -> None:
    of = {"foot": told(1.2, 0.01) | {"unlike_sd": 0.4}, "lower_back": told(0.3, 0.10) | {"unlike_sd": 4.6}}
    assert together("foot+lower_back", of.__getitem__)["unlike_sd_of"] == {"foot": 0.4, "lower_back": 4.6}
