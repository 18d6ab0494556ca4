"""Stand-ins for real recordings: analytic walkers through a lower-back sensor, as if somebody had recorded them.

In: how many people. Out: ``Recording`` objects with exact truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analytic_walker import analytic_population
from synthgait.recordings import Recording
from synthgait.sensors import IMU
from synthgait.walks import walk


def standin_people(count: int, dataset: str = "standin") -> list[Recording]:
    """Analytic walkers as if somebody had recorded them, two recordings each."""
    out = []
    for take in range(2):
        walks = walk(analytic_population(count, seed=41), 8.0, np.random.default_rng(take))
        readings = IMU("lower_back").record(walks, np.random.default_rng(take + 7))
        for i, row in enumerate(walks.table.to_dict("records")):
            signals = {
                c: readings.signals["imu_lower_back"][i, :, k].astype(float) for k, c in enumerate(readings.channels["imu_lower_back"])
            }
            truth = {name: float(row[name]) for name in ("walking_speed_mps", "stride_length_m", "stride_time_s")}
            common: dict[str, Any] = {"kind": "imu", "sampling_rate_hz": 100.0, "height_m": float(row["height_m"]), "pathology": "none"}
            out.append(Recording(dataset, f"{i}-{take}", f"person-{i}", signals=signals, truth=truth, **common))
    return out
