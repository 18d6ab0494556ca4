"""Each side's share of a stride, measured where a pose's feet rest on the floor.

In: the ankles' way through the recording's world, and per window when each foot lands. Out: per window the right
step's share of the stride's length, and how far it can be trusted.

Between loading and heel rise an ankle stands still over the floor, or goes with a treadmill's belt or with the hips
that a pose is relative to, at one speed for both feet. What is left of its motion then tells markers (a hundredth of a
stride) from a single camera's poses (a tenth), whose sides mean little.
"""

from __future__ import annotations

import numpy as np

from synthgait.estimators.features import windows as w

#: A foot is flat on the floor in these shares of its stride, counted from its landing: after the loading response and before
#: the heel rises (Perry & Burnfield, Gait Analysis, 2010).
_FLAT = (0.10, 0.30)
_FEWEST_SAMPLES = 5
#: Landings of each side that are looked for: one stride before and after those next to the window's centre.
_AROUND = (-1, 0, 1)
#: What resting feet move by, in shares of a stride, is less than that in motion capture and more in the poses of one camera.
AT_REST = 0.03
#: A share outside is no step of a stride; steps that end behind the other foot are.
_POSSIBLE = (-0.2, 1.2)


def shares(ankles: np.ndarray, apart: np.ndarray, forward: np.ndarray, centre_s: np.ndarray, stride_time_s: np.ndarray) -> np.ndarray:
    """The right step's share of stride length, and the share of a stride that resting feet moved by (N, 2); NaN where a
    window has not both steps.

    Args:
        ankles: right and left (T, 2, 3) at the working rate, in any unit. apart: how far (N, samples) the right ankle is ahead over
            the stride that begins at the window's centre. forward: horizontal unit vectors (N, 3).
    """
    out = np.full((len(centre_s), 2), np.nan)
    samples = apart.shape[1]
    landing = [np.array([_vertex(sign * curve) for curve in apart]) / samples for sign in (1.0, -1.0)]
    for n, (centre, period) in enumerate(zip(centre_s, stride_time_s, strict=True)):
        way = ankles @ forward[n]
        rests = []
        for side in (0, 1):
            nearest = (landing[side][n] + 0.5) % 1.0 - 0.5
            rests += [(centre + (nearest + around) * period, side) for around in _AROUND]
        out[n] = _of_rests([_rest(way[:, side], time, period) for time, side in sorted(rests)], [side for _, side in sorted(rests)])
    return out


def _vertex(curve: np.ndarray) -> float:
    """Where a periodic curve (samples,) is highest, to a fraction of a sample."""
    peak = int(np.argmax(curve))
    before, at, after = curve[peak - 1], curve[peak], curve[(peak + 1) % len(curve)]
    bend = before - 2 * at + after
    return peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def _rest(way: np.ndarray, landed_s: float, period: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and places of a foot (T,) while it is flat, None where the recording does not show it."""
    first, last = (int((landed_s + share * period) * w.WORKING_RATE_HZ) for share in _FLAT)
    index = np.arange(max(first, 0), min(last, len(way)))
    return (index / w.WORKING_RATE_HZ, way[index]) if len(index) >= _FEWEST_SAMPLES else None


def _of_rests(rests: list[tuple[np.ndarray, np.ndarray] | None], sides: list[int]) -> tuple[float, float]:
    """``shares`` of one window, from the rests of its landings in the order of time."""
    seen = [rest for rest in rests if rest is not None]
    if len(seen) < 3:
        return np.nan, np.nan
    drift = float(np.mean([np.polyfit(time - time[0], place, 1)[0] for time, place in seen]))
    steps: tuple[list[float], list[float]] = ([], [])
    for before, after, side, other in zip(rests, rests[1:], sides[1:], sides, strict=False):
        if before is not None and after is not None and side != other:
            here, there = (float(np.mean(place - drift * time)) for time, place in (after, before))
            steps[side].append(here - there)
    if not steps[0] or not steps[1]:
        return np.nan, np.nan
    right, left = (float(np.mean(of_side)) for of_side in steps)
    stride = right + left
    slid = float(np.median([np.ptp(place - drift * time) for time, place in seen]))
    if not stride > 0 or not _POSSIBLE[0] < right / stride < _POSSIBLE[1]:
        return np.nan, np.nan
    return right / stride, slid / stride
