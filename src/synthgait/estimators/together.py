"""Several sensors of one walker read together: "foot+lower_back".

In: the estimate of each sensor, with its interval. Out: one estimate, each sensor weighed by its precision. A sensor
that is missing or shows no walking has no say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from synthgait.errors import InputError
from synthgait.estimators import tasks

#: Half-width of a 90 % interval of the normal distribution, in standard deviations.
Z90 = 1.6449


def parts(sensor: str) -> tuple[str, ...]:
    """The sensors of "foot+lower_back", or the one that is named.

    Raises:
        InputError: one that does not exist, one named twice, or several of which one is not worn on the body.
    """
    names = tuple(sensor.split("+"))
    kinds = [tasks.sensor_named(name) for name in names]
    if len(set(names)) < len(names):
        raise InputError(f"{sensor!r} names a sensor twice; name each once")
    if len(names) > 1 and not all(kind.worn for kind in kinds):
        other = next(kind.name for kind in kinds if not kind.worn)
        raise InputError(f"{sensor!r} joins {other} to others; only sensors worn on the body are recorded together")
    return names


def together(sensor: str, of_one: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Estimates of several sensors as one.

    Every quantity is the mean of the sensors' weighed by the inverse squares of their standard deviations. What the
    sensors have in common (the walker, the size that was given) does not average out, so the interval is never narrower
    than the narrowest of theirs; where they disagree by more than theirs allow it widens by Birge's ratio (Phys Rev
    1932;40:207). Strides, means over all of them, events and repetition are those of the sensor that is surest of the speed.

    Args:
        sensor: names joined by "+". of_one: ``predict`` of one of them, of gait parameters.

    Returns:
        As of one sensor, with ``sensor`` the names of those that had a say, ``by_sensor``: name -> estimates, and
        ``left_out``: name -> why.

    Raises:
        InputError: none of the sensors can be read; the reason of the first.
    """
    found: dict[str, dict[str, Any]] = {}
    reasons: dict[str, InputError] = {}
    for name in parts(sensor):
        try:
            found[name] = of_one(name)
        except InputError as error:
            reasons[name] = error
    if not found:
        raise next(iter(reasons.values()))
    surest = min(found.values(), key=lambda one: _half_width(one, "walking_speed_mps") / one["walking_speed_mps"])
    result = dict(surest) | {"sensor": "+".join(found), "intervals": {}}
    for name in surest["intervals"]:
        values = np.array([one[name] for one in found.values()])
        halves = np.array([_half_width(one, name) for one in found.values()])
        weights = halves**-2.0
        mean = float(np.average(values, weights=weights))
        # half-widths are as many standard deviations as each other: chi squared wants one
        apart = float(weights @ (values - mean) ** 2) * Z90**2 / max(len(values) - 1, 1)
        half = float(max(halves.min(), np.sqrt(apart / weights.sum())))
        result[name] = mean
        result["intervals"][name] = (mean - half, mean + half)
    result["by_sensor"] = {name: {key: one[key] for key in surest["intervals"]} for name, one in found.items()}
    result["unlike_sd_of"] = {name: one.get("unlike_sd", 0.0) for name, one in found.items()}
    result["left_out"] = {name: str(error) for name, error in reasons.items()}
    return result


def _half_width(estimate: Mapping[str, Any], name: str) -> float:
    low, high = estimate["intervals"][name]
    return max(0.5 * (high - low), 1e-6)
