"""Poses in one camera's picture: how far a view is off the side, and how the walker grows in it.

In: key points in the picture. Out: what the view does to them, or takes it away.

A picture shows of every length along the walk the cosine of the angle between the walk and the picture's plane, here the
obliquity: 0 from the side, 90 degrees from the front or behind. How far the right hip and shoulder lie ahead of the left
ones tells its sine, because pelvis and trunk turn as far to the right as to the left. Who comes or goes grows or shrinks:
the size in the picture is focal length over distance, so its inverse runs evenly where the walker does.

What a picture cannot tell: a walker twice as tall, twice as far and twice as fast makes the same one, and so, but for how
much nearer points are enlarged, does a focal length twice as long seen from twice as far. Size and its growth tell distances in
focal lengths only; without that length they are no speed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthgait.estimators.features import windows as w

#: Distance between both hips and both shoulders over the leg as ``poses.leg_of`` measures it: means of the people of
#: the bundled seed, who differ by 4 % (standard deviation).
WIDTH_LEGS = {"hip": 0.194, "shoulder": 0.426}
#: Stride length in leg lengths times dimensionless stride time: steps are 6.4 mm long per step a minute in health (walk ratio,
#: Sekiya & Nagasaki, Gait Posture 1998;7:225), with legs of 0.9 m.
_USUAL_STRIDE = 2 * 0.0064 * 120 / np.sqrt(0.9 / 9.80665) / 0.9
#: Feet whose lines are a hand and a half apart (modelling choice: 0.13 legs), seen obliquely, lengthen one side's steps and
#: shorten the other's.
_STEP_WIDTH_LEGS = 0.13
#: Way of the hips through a picture, in legs, from which on the camera stood still: less than that is a treadmill or a camera
#: that turns or moves with the walker.
_CROSSING_LEGS = 1.5
#: Up to where a size is smoothed before strides are known.
_SMOOTH_S = 2.0
#: As far from a window's centre, in strides, as ``windows.fourier`` looks, at either end of the recording.
_REACH = 2.6
#: Harmonics of the stride that a size has beside its growth: of every step, and of every stride where there are two.
_STEP_HARMONICS, _ALL_HARMONICS = (2, 4), (1, 2, 3, 4)


def size(points: np.ndarray, place: Mapping[str, int]) -> np.ndarray:
    """How tall (T,) a walker is in each frame, from the ankles to the shoulders (or the hips), from points (T, P, D)."""
    top = "shoulder" if {"shoulder_r", "shoulder_l"} <= set(place) else "hip"
    high, low = (0.5 * (points[:, place[f"{joint}_r"], 1] + points[:, place[f"{joint}_l"], 1]) for joint in (top, "ankle"))
    return np.maximum(high - low, 0.1 * max(float(np.median(high - low)), 1e-9))


def evened(points: np.ndarray, tall: np.ndarray) -> np.ndarray:
    """Points (T, P, D) of a walker who stays about as tall as ``tall`` (T,) is in the median, to find strides in."""
    kernel = np.ones(min(int(_SMOOTH_S * w.WORKING_RATE_HZ), len(tall)))
    smooth = np.convolve(tall, kernel, "same") / np.convolve(np.ones(len(tall)), kernel, "same")
    return points * (np.median(tall) / smooth)[:, None, None]


def growth(tall: np.ndarray, centre_s: np.ndarray, stride_time_s: np.ndarray) -> np.ndarray:
    """Inverse size at each window's centre and its change per second (N, 2), from sizes (T,)."""
    out, n, rate = np.zeros((len(centre_s), 2)), len(tall), w.WORKING_RATE_HZ
    for row, (centre, period) in enumerate(zip(centre_s, stride_time_s, strict=True)):
        half = 0.5 * min(2.5 * period, n / rate)
        middle = float(np.clip(centre, half, n / rate - half))
        index = np.arange(max(int((middle - half) * rate), 0), min(int((middle + half) * rate) + 1, n))
        time = index / rate - centre
        orders = _ALL_HARMONICS if len(index) >= 2.0 * period * rate else _STEP_HARMONICS
        phase = 2 * np.pi * np.outer(time / period, orders)
        design = np.concatenate([np.ones((len(time), 1)), time[:, None], np.cos(phase), np.sin(phase)], axis=1)
        out[row] = np.linalg.lstsq(design, 1.0 / tall[index], rcond=None)[0][:2]
    return out


def fourier(points: np.ndarray, inverse: np.ndarray, centre_s: np.ndarray, stride_time_s: np.ndarray) -> np.ndarray:
    """``windows.fourier`` of points (T, C) of a walker who is as tall in every window as in the median one and does not grow."""
    out, rate = [], w.WORKING_RATE_HZ
    usual = float(np.median(inverse[:, 0]))
    for (at, change), centre, period in zip(inverse, centre_s, stride_time_s, strict=True):
        first = int(np.clip((centre - _REACH * period) * rate, 0, max(len(points) - 2 * _REACH * period * rate, 0)))
        part = points[first : first + int(2 * _REACH * period * rate) + 2]
        time = (np.arange(len(part)) + first) / rate - centre
        scale = np.clip((at + change * time) / usual, 0.2, 5.0)
        out.append(w.fourier(part * scale[:, None], np.array([centre - first / rate]), np.array([period])))
    return np.concatenate(out)


def crosses(way: np.ndarray, leg: float) -> bool:
    """Whether a walker goes through the picture of a camera that stands still, from the hips' place along it (T,)."""
    return bool(np.ptp(way) > _CROSSING_LEGS * leg)


def sine(whole: np.ndarray, place: Mapping[str, int]) -> np.ndarray:
    """How far (N,) the right hip and shoulder are ahead of the left ones, over how far they are apart: the sine of the
    obliquity, from cycles (N, S, P, 3) in legs, turned forward.
    """
    joints = [joint for joint in WIDTH_LEGS if {f"{joint}_r", f"{joint}_l"} <= set(place)]
    ahead = sum((whole[:, :, place[f"{joint}_r"], 0] - whole[:, :, place[f"{joint}_l"], 0]).mean(axis=1) for joint in joints)
    return np.asarray(ahead) / sum(WIDTH_LEGS[joint] for joint in joints)


def mean_sine(sines: np.ndarray) -> float:
    """Sine of the mean obliquity from those of windows (N,), taken as axes: from the front or behind, where knees bend towards or
    away from the camera, which way is ahead is a matter of chance.
    """
    sines = np.clip(sines, -1.0, 1.0)
    return float(np.sin(0.5 * np.angle(np.mean((np.sqrt(1.0 - sines**2) + 1j * sines) ** 2))))


def stride_seen(travel: np.ndarray, obliquity_sine: np.ndarray, dimensionless_time: np.ndarray) -> np.ndarray:
    """Stride over leg length (N,): what of it lies in the picture (N,), and across that as much of the usual stride of such a
    time as the obliquity says.
    """
    hidden = np.clip(np.abs(obliquity_sine), 0.0, 1.0) * _USUAL_STRIDE / dimensionless_time
    return np.hypot(travel, hidden)


def unsure_footholds(shares: np.ndarray, obliquity_sine: np.ndarray, stride: np.ndarray, grown: np.ndarray) -> np.ndarray:
    """``footholds.shares`` (N, 2), as unsure as feet side by side and a growing picture make them look unequal."""
    cosine = np.sqrt(np.clip(1.0 - obliquity_sine**2, 0.01, 1.0))
    apart = _STEP_WIDTH_LEGS * np.abs(obliquity_sine) / (cosine * stride)
    return np.stack([shares[:, 0], np.linalg.norm([shares[:, 1], apart, grown], axis=0)], axis=1)
