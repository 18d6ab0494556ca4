"""Clocks of signals: how often they were sampled, and the same samples on an even clock.

In: times as a file or a table has them, rounded, jittering, with samples dropped. Out: the sampling rate, and values on an
even clock.
"""

from __future__ import annotations

import numpy as np

from synthgait.errors import InputError
from synthgait.recordings.tables import fill_gaps

#: Samples that a clock lacks for longer are missing, not late.
_LONGEST_STOP_S = 0.5


def check(time: np.ndarray, where: object) -> None:
    """Raise InputError where times (T,) do not increase, are blank or are fewer than two."""
    if not np.all(np.isfinite(time)):
        raise InputError(f"time_s of {where} is blank at row {int(np.argmin(np.isfinite(time))) + 1}; write when the sample was taken")
    if np.any(np.diff(time) <= 0):
        row = int(np.argmax(np.diff(time) <= 0)) + 1
        raise InputError(f"time_s of {where} does not increase at row {row + 1}; sort the samples and remove repeated ones")
    if len(time) < 2:
        raise InputError(f"{where} has {len(time)} samples; a recording needs more")


def stops(time: np.ndarray, rate: float) -> np.ndarray:
    """The samples after which a clock stands."""
    return np.flatnonzero(np.diff(time) > max(_LONGEST_STOP_S, 1.5 / rate))


def stands(where: object, time: np.ndarray) -> InputError:
    """What is said of a clock that stands for too long."""
    return InputError(f"time_s of {where} has a gap of {np.max(np.diff(time)):.2f} s; split the recording there")


def sampling_rate_hz(time: np.ndarray, rate: float | None, where: object) -> float:
    """The given rate where times (T,) agree with it, or the rate that they have.

    A step is the median of all, or where times are rounded (8, 8 and 9 ms at 120 Hz) the mean of those without a dropped
    sample; either is within 2 % of the given rate. Raises InputError where neither is.
    """
    steps = np.diff(time)
    usual = float(np.median(steps))
    mean = float(np.mean(steps[steps < 1.5 * usual]))
    if rate is None:
        return 1.0 / mean
    if min(abs(rate - 1.0 / usual), abs(rate - 1.0 / mean)) > 0.02 * rate:
        raise InputError(f"sampling_rate_hz is {rate:g} but time_s of {where} steps at {1.0 / mean:.4g} Hz; correct one of them")
    return rate


def even(time: np.ndarray, values: np.ndarray, rate: float, where: object) -> np.ndarray:
    """Values (T, C) on an even clock from the first time on: dropped and jittering samples are filled linearly, and where the
    clock stands all is missing (NaN). Raises InputError where hardly anything is left.
    """
    if time[-1] - time[0] > 2 * len(time) / rate + _LONGEST_STOP_S:
        raise stands(where, time)
    grid = np.arange(round((time[-1] - time[0]) * rate) + 1) / rate + time[0]
    if len(grid) == len(time) and np.max(np.abs(grid - time)) <= 0.1 / rate:
        return values
    filled = fill_gaps(time, values, grid)
    for before in stops(time, rate):
        filled[(grid > time[before]) & (grid < time[before + 1])] = np.nan
    return filled
