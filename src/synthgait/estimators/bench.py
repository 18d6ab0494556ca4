"""How fast estimating is: training, one long recording, and sensing what is trained on.

In: what gives strides, and recipes. Out: one dictionary of figures and a text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from synthgait.conventions import SIDES
from synthgait.estimators.base import GaitEstimator
from synthgait.estimators.fit import Progress, fit
from synthgait.sensors import IMU
from synthgait.trials import Trials
from synthgait.walks import Walks, walk

RECORDING_S = 600.0
#: What is sensed: as many walks of this length at once as a training senses.
_WALKS, _WALK_S = 32, 30.0
_REPEATS = 3


def bench_estimate(
    teach: Callable[[], Trials],
    recipes: Sequence[str | Mapping[str, Any]] = ("gait_parameters", "muscle_activation"),
    *,
    recording_s: float = RECORDING_S,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time training, estimating and sensing on this machine.

    Args:
        teach: gives the strides that are learnt from. recipes: all are trained, one after the other; the first
            is of gait parameters and estimates.
        recording_s: length of the recording that is estimated; its time is scaled to ten minutes.

    Returns:
        ``training_minutes`` (wall clock, all recipes, what ``teach`` does, sensing and calibration included),
        ``estimate_seconds_per_10_min`` (wall clock of ``predict`` on a lower-back recording or one of both
        feet, whichever takes longer; median of three), ``sensing_times_real_time_per_core`` (seconds of
        walking that a lower-back IMU with all its errors records in a second of CPU), and
        ``training_minutes_by_part``, ``estimate_seconds_by_sensor``, ``walking_times_real_time_per_core``
        (making continuous walks from strides, before they are sensed).

    Raises:
        InputError: as ``fit`` does.
    """
    minutes: dict[str, float] = {}
    started = time.perf_counter()
    usable = teach().certified()
    minutes["strides"] = (time.perf_counter() - started) / 60.0
    fitted: list[GaitEstimator] = []
    for recipe in recipes:
        started = time.perf_counter()
        fitted.append(fit(recipe, usable, progress=progress))
        minutes[fitted[-1].task] = (time.perf_counter() - started) / 60.0
    seconds = _estimating(fitted[0], usable, recording_s)
    return {
        "training_minutes": sum(minutes.values()),
        "training_minutes_by_part": minutes,
        "estimate_seconds_per_10_min": max(seconds.values()),
        "estimate_seconds_by_sensor": seconds,
    } | _sensing(usable)


def _estimating(estimator: GaitEstimator, strides: Trials, recording_s: float) -> dict[str, float]:
    """Sensor -> wall-clock seconds per ten minutes of recording; the first call, which loads things, is not counted."""
    long = walk(strides.select([0]), recording_s, np.random.default_rng(0))
    told: dict[str, float] = {}
    for sensor in (name for name in ("lower_back", "foot") if name in estimator.sensors):
        channels: dict[str, np.ndarray] = {}
        for placement in [f"foot_{side}" for side in SIDES] if sensor == "foot" else [sensor]:
            read = IMU(placement, "consumer", "strapped").record(long, np.random.default_rng(1))
            channels |= {name: read.channel(name)[0].astype(float) for name in read.channels[f"imu_{placement}"]}
        times = []
        for _ in range(1 + _REPEATS):
            started = time.perf_counter()
            estimator.predict(channels, sensor=sensor, sampling_rate_hz=float(long.sampling_rate_hz or 0.0), height_m=1.75)
            times.append(time.perf_counter() - started)
        told[sensor] = float(np.median(times[1:])) * RECORDING_S / recording_s
    return told


def _sensing(strides: Trials) -> dict[str, float]:
    rows = np.arange(_WALKS) % len(strides)
    started = time.process_time()
    walks: Walks = walk(strides.select(rows), _WALK_S, np.random.default_rng(0))
    walked = time.process_time()
    IMU("lower_back", "consumer", "strapped", "any").record(walks, np.random.default_rng(1))
    sensed = time.process_time()
    real = _WALKS * _WALK_S
    return {
        "sensing_times_real_time_per_core": real / (sensed - walked),
        "walking_times_real_time_per_core": real / (walked - started),
    }


def as_text(told: Mapping[str, Any]) -> str:
    """The figures for people."""
    by_part = ", ".join(f"{name} {value:.1f}" for name, value in told["training_minutes_by_part"].items())
    by_sensor = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in told["estimate_seconds_by_sensor"].items())
    return "\n".join(
        (
            f"training: {told['training_minutes']:.1f} minutes ({by_part})",
            f"estimating ten minutes of walking: {told['estimate_seconds_per_10_min']:.2f} s ({by_sensor})",
            f"sensing: {told['sensing_times_real_time_per_core']:.0f} times real time per core",
            f"making walks from strides: {told['walking_times_real_time_per_core']:.0f} times real time per core",
        )
    )
