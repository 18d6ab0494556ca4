"""From what networks say of windows to gait terms.

In: values and their standard deviations of each window, with what a recording's own world tells beside them (the hips' way,
footholds). Out: gait terms per stride, and of the recording with 90 % intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgait.conventions import SIDES
from synthgait.estimators import tasks
from synthgait.estimators.features.windows import WORKING_RATE_HZ, Windows
from synthgait.estimators.together import Z90

#: How well the way of the hips in leg lengths is known: legs of one height differ by 3 % (standard deviation, Pheasant,
#: Bodyspace, 1986), and a pose network's hips and ankles by as much again and more from those of anatomy.
_WAY_LOG_SD = 0.05
#: The same in metres of motion capture, where feet rest.
_MEASURED_LOG_SD = 0.01
#: The same of a walker's way in depth: a focal length from a phone's data errs by 5 % more (modelling choice), because videos
#: are cut out of what the lens sees.
_DEPTH_LOG_SD = 0.07
#: How the steps of one stride differ (standard deviation of a share, modelling choice: by 2 to 3 cm), which simulated healthy
#: people's hardly do and networks do not look for; and how well footholds tell it where feet rest perfectly, as an ankle stands
#: a centimetre farther forward over one heel than over the other.
_UNEVEN_SD, _FOOTHOLD_SD = 0.02, 0.01
#: A stride time is read off a parabola through samples of the working rate: half of one (standard deviation) is uncertain
#: however many strides there are.
_TIMING_SD_S = 0.5 / WORKING_RATE_HZ
#: A time between two landings, none of which a signal or a force plate tells to better than a sample or so.
_LANDINGS_SD_S = 1.0 / WORKING_RATE_HZ


def per_stride(
    values: np.ndarray, sd: np.ndarray, windows: Windows, sensor: tasks.Sensor
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Windows]:
    """Gait terms of each window and the standard deviations of those that the network estimates."""
    column = {name: index for index, name in enumerate(tasks.VALUES)}
    time = windows.stride_time_s
    relative = np.exp(windows.base + tasks.believed(values[:, column["log_stride_ratio"]], sensor))
    relative, relative_sd = _with_way(relative, sd[:, column["log_stride_ratio"]], windows.travelled, _way_log_sd(windows))
    stride = windows.body.length_m * relative
    stride_sd = stride * relative_sd
    share, share_sd = values[:, column["step_length_share_r"]], sd[:, column["step_length_share_r"]]
    share, share_sd = _with_footholds(share, share_sd, windows.footholds)
    step, step_sd = values[:, column["step_time_share_r"]], sd[:, column["step_time_share_r"]]
    terms = {
        "walking_speed_mps": stride / time,
        "stride_length_m": stride,
        "step_length_m": 0.5 * stride,
        "stride_time_s": time,
        "step_time_s": 0.5 * time,
        "cadence_spm": 120.0 / time,
        "step_length_r_m": share * stride,
        "step_length_l_m": (1.0 - share) * stride,
        "step_time_r_s": step * time,
        "step_time_l_s": (1.0 - step) * time,
        "stance_time_r_s": values[:, column["stance_share_r"]] * time,
        "stance_time_l_s": values[:, column["stance_share_l"]] * time,
        "double_support_time_s": values[:, column["double_support_share"]] * time,
    }
    spread = {
        "walking_speed_mps": stride_sd / time,
        "stride_length_m": stride_sd,
        "step_length_m": 0.5 * stride_sd,
        **{f"step_length_{side}_m": np.hypot(0.5 * stride_sd, share_sd * stride) for side in SIDES},
        **{f"step_time_{side}_s": step_sd * time for side in SIDES},
        **{f"stance_time_{side}_s": sd[:, column[f"stance_share_{side}"]] * time for side in SIDES},
        "double_support_time_s": sd[:, column["double_support_share"]] * time,
    }
    return terms, spread, windows


def _way_log_sd(windows: Windows) -> np.ndarray | float:
    """How well ``windows.travelled`` is known, (N,) or one for all."""
    if windows.in_picture is not None:
        return _DEPTH_LOG_SD
    if windows.footholds is None or windows.in_metres is None:
        return _WAY_LOG_SD
    return np.where(windows.in_metres, np.hypot(_MEASURED_LOG_SD, windows.footholds[:, 1]), _WAY_LOG_SD)


def _with_way(
    stride: np.ndarray, log_sd: np.ndarray, travelled: np.ndarray | None, way_sd: np.ndarray | float = _WAY_LOG_SD
) -> tuple[np.ndarray, np.ndarray]:
    """Stride over leg length (N,) and the standard deviation of its log, of the network's estimate and the way of the hips
    where that is known (to ``way_sd``), each weighed by its precision: what the one has wrong, the other does not know of.
    """
    if travelled is None:
        return stride, log_sd
    known = np.isfinite(travelled)
    share = np.where(known, log_sd**2 / (log_sd**2 + way_sd**2), 0.0)
    apart = np.where(known, travelled - np.log(stride), 0.0)
    widened = np.maximum(np.abs(apart) / np.hypot(log_sd, way_sd), 1.0)
    return stride * np.exp(share * apart), np.where(known, np.sqrt(share) * way_sd * widened, log_sd)


def _with_footholds(share: np.ndarray, sd: np.ndarray, footholds: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The right step's share of the stride (N,) and its standard deviation, of the network's estimate and of where the feet
    rested, each weighed by its precision.
    """
    if footholds is None:
        return share, sd
    known = np.isfinite(footholds).all(axis=1)
    measured, slid = np.where(known[:, None], footholds, 0.0).T
    told_sd, measured_sd = np.hypot(sd, _UNEVEN_SD), np.hypot(_FOOTHOLD_SD, slid)
    weight = told_sd**2 / (told_sd**2 + measured_sd**2)
    return np.where(known, share + weight * (measured - share), share), np.where(known, np.sqrt(weight) * measured_sd, sd)


def _steady(windows: Windows) -> np.ndarray:
    """Which windows (N,) are of steady walking: all but up to two, at most a quarter, at either end of every bout.

    Even frail old people reach their own speed within 1.4 m, nine in ten of them within 2.5 (Lindemann et al., Gait Posture
    2008;27:91): two or three steps, of which a window sees as many. That stops and turns take as long is a modelling choice.
    """
    keep = np.zeros(len(windows), bool)
    apart = np.diff(windows.centre_s) > 1.5 * windows.stride_time_s[1:]
    for bout in np.split(np.arange(len(windows)), np.flatnonzero(apart) + 1):
        edge = min(2, len(bout) // 4)
        keep[bout[edge : len(bout) - edge]] = True
    return keep


def mean_terms(terms: dict[str, np.ndarray], kept: np.ndarray | slice = slice(None)) -> dict[str, float]:
    """Means over the strides that are ``kept``; the speed is the way over the time, as instruments tell it."""
    mean = {name: float(np.mean(values[kept])) for name, values in terms.items()}
    of_mean = {"walking_speed_mps": mean["stride_length_m"] / mean["stride_time_s"], "cadence_spm": 120.0 / mean["stride_time_s"]}
    return mean | of_mean


def summarise(terms: dict[str, np.ndarray], spread: dict[str, np.ndarray], windows: Windows) -> dict[str, Any]:
    """Means over the steady strides, and over all of them. Intervals are of the first and hold the error common to all strides
    of a walker, which does not average out.
    """
    steady = _steady(windows)
    result = mean_terms(terms, steady)
    # how much of itself a time is unsure by: strides repeat between a first landing and a last one
    of_strides = float(np.hypot(_TIMING_SD_S, _LANDINGS_SD_S / steady.sum()))
    relative = dict.fromkeys(("stride_time_s", "step_time_s", "cadence_spm"), of_strides / result["stride_time_s"])
    absolute = dict.fromkeys(("step_time_r_s", "step_time_l_s"), _LANDINGS_SD_S)
    intervals = {}
    for name, values in terms.items():
        error = float(values[steady].std()) / np.sqrt(steady.sum())
        error = float(np.linalg.norm([error, relative.get(name, 0.0) * result[name], absolute.get(name, 0.0)]))
        if name in spread:
            error = float(np.hypot(error, np.mean(spread[name][steady])))
        intervals[name] = (result[name] - Z90 * error, result[name] + Z90 * error)
    strides = {"time_s": windows.centre_s.tolist(), "steady": steady.tolist()} | {name: values.tolist() for name, values in terms.items()}
    return result | {"all_strides": mean_terms(terms), "intervals": intervals, "strides": strides}
