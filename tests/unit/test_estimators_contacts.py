"""Landings and lift-offs of synthetic walkers, through sensors, against the walk's own events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from synthgait import bundled, storage
from synthgait.conventions import IMU_CHANNELS, SIDES
from synthgait.estimators.contacts import gait_events
from synthgait.sensors import IMU, Markers
from synthgait.walks import Walks, walk


@pytest.fixture(scope="module")
def walks() -> Walks:
    seed = storage.read(bundled.seed_dataset()).certified()
    usual = seed.table["walking_speed_mps"].between(0.9, 1.4) & (seed.table["pathology"] == "none") & (seed.table["age_years"] > 18)
    return walk(seed.select(np.flatnonzero(usual)[:5]), 12.0, np.random.default_rng(0))


def signals_of(walks: Walks, sensor: str, i: int) -> dict[str, np.ndarray]:
    if sensor == "keypoints_3d":
        read = Markers("joints", root_relative=True).record(walks)
        return {name: read.signals[sensor][i, :, k].astype(float) for k, name in enumerate(read.channels[sensor])}
    places = [sensor] if sensor == "lower_back" else [f"{sensor}_{side}" for side in SIDES]
    rng = np.random.default_rng(1)
    read = {place: IMU(place, "research").record(walks, rng).signals[f"imu_{place}"][i] for place in places}
    return {f"{place}_{channel}": values[:, k].astype(float) for place, values in read.items() for k, channel in enumerate(IMU_CHANNELS)}


def told(walks: Walks, i: int) -> dict[str, Any]:
    """What a perfect estimate of the strides would say."""
    row = walks.table.iloc[i]
    stance = {f"stance_time_{side}_s": float(row[f"stance_time_{side}_s"]) for side in SIDES}
    return {"stride_time_s": float(row["stride_time_s"]), "strides": {"time_s": list(np.arange(0.5, 12.0, 0.5))}} | stance


# One of the five walkers lands so softly that four in ten of its feet are taken to land when they are flat.
@pytest.mark.parametrize(
    ("sensor", "limit_s", "right_side"),
    [("lower_back", 0.06, 0.8), ("foot", 0.05, 0.88), ("shank", 0.09, 1.0), ("keypoints_3d", 0.08, 1.0)],
)
def test_events_are_where_the_feet_land_and_leave(walks: Walks, sensor: str, limit_s: float, right_side: float) -> None:
    for kind in ("initial_contact", "final_contact"):
        errors, sides = [], []
        for i in range(len(walks)):
            found = gait_events(signals_of(walks, sensor, i), 100.0, sensor, told(walks, i))
            assert found["time_s"] == sorted(found["time_s"]) and len(found["time_s"]) == len(found["side"]) == len(found["event"])
            own = walks.events[(walks.events["trial_index"] == i) & (walks.events["event"] == kind)]
            times, of = own["time_s"].to_numpy(), own["side"].to_numpy()
            for at, side, what in zip(*(found[name] for name in ("time_s", "side", "event")), strict=True):
                if what == kind and times[0] < at < times[-1]:
                    nearest = int(np.abs(times - at).argmin())
                    errors.append(at - times[nearest])
                    sides.append(side == of[nearest])
        assert len(errors) > 0.7 * 2 * 5 * 9
        assert np.median(np.abs(errors)) < limit_s, kind
        assert np.mean(sides) >= right_side - 0.02, kind


@pytest.mark.parametrize("rate_hz", [20.0, 25.0, 50.0])
@pytest.mark.parametrize("sensor", ["foot", "shank"])
def test_few_samples_a_second_hide_no_landing(sensor: str, rate_hz: float) -> None:
    seed = storage.read(bundled.seed_dataset()).certified()
    # one who shuffles, and turns the foot for a moment only when it lands, and one who walks fast
    walks = walk(
        seed.select(np.flatnonzero(seed.table["trial_id"].isin(["seed_v1_people_00237", "seed_v1_00282"]))), 20.0, np.random.default_rng(1)
    )
    seen, often = 0, 0
    for i in range(len(walks)):
        signals = signals_of(walks, sensor, i)
        few = {name: resample_poly(values, int(rate_hz), 100, padtype="line") for name, values in signals.items()}
        both = (gait_events(signals, 100.0, sensor, told(walks, i)), gait_events(few, rate_hz, sensor, told(walks, i)))
        all_of, found = (np.array([t for t, e in zip(x["time_s"], x["event"], strict=True) if e == "initial_contact"]) for x in both)
        often += len(all_of)
        seen += int(sum(np.abs(found - at).min(initial=np.inf) < 0.05 for at in all_of))
    assert often > 30 and seen > 0.9 * often


def test_only_what_was_judged_and_what_shows_landings(walks: Walks) -> None:
    signals = signals_of(walks, "foot", 0)
    few = told(walks, 0) | {"strides": {"time_s": [6.0]}}
    at = np.array(gait_events(signals, 100.0, "foot", few)["time_s"])
    assert len(at) and np.abs(at - 6.0).max() < 2.0 * few["stride_time_s"]
    nothing = {"time_s": [], "side": [], "event": []}
    assert gait_events(signals, 100.0, "thigh", told(walks, 0)) == nothing
    assert gait_events(signals, 100.0, "foot", told(walks, 0) | {"strides": {"time_s": []}}) == nothing
