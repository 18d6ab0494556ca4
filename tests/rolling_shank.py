"""A shank whose stride length is known."""

from __future__ import annotations

import numpy as np

from synthgait.conventions import GRAVITY_MPS2, IMU_CHANNELS

_FINE_HZ, _RATE_HZ = 1000, 100


def rolling_shank(stride_m: float, stride_time_s: float, above_ankle_m: float, duration_s: float = 15.0) -> dict[str, np.ndarray]:
    """A shank over an ankle that rests for 60 % of the stride: sensor axes along it, across it (forward) and to the left."""
    t = np.arange(int(duration_s * _FINE_HZ)) / _FINE_HZ
    phase, count = (t / stride_time_s) % 1.0, np.floor(t / stride_time_s)
    swing = np.clip((phase - 0.6) / 0.4, 0.0, 1.0)
    ankle = np.stack([stride_m * (count + swing - np.sin(2 * np.pi * swing) / (2 * np.pi)), 0.1 * np.sin(np.pi * swing) ** 3])
    lean = 0.1 - 0.45 * np.sin(2 * np.pi * (phase - 0.05)) - 0.1 * np.cos(4 * np.pi * phase)
    along, across = np.stack([-np.sin(lean), np.cos(lean)]), np.stack([np.cos(lean), np.sin(lean)])
    sensor = ankle + above_ankle_m * along
    force = np.gradient(np.gradient(sensor, 1 / _FINE_HZ, axis=1), 1 / _FINE_HZ, axis=1) + np.array([[0.0], [GRAVITY_MPS2]])
    none = np.zeros_like(t)
    values = [(force * along).sum(0), (force * across).sum(0), none, none, none, -np.gradient(lean, 1 / _FINE_HZ)]
    return {f"shank_r_{channel}": value[50 : -50 : _FINE_HZ // _RATE_HZ] for channel, value in zip(IMU_CHANNELS, values, strict=True)}
