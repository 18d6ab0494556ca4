"""Estimate against truth: scatter and Bland-Altman plots.

In: pairs of truth and estimate as ``validate.run.pairs`` gives them. Out: one figure per dataset and
sensor. Only numbers per recording are drawn: no signal of a person and no identifier.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthgait.report.style import BLUE, GREY, INK, ORANGE, PALE, PURPLE, drawing

#: Quantity -> what it is, unit; those that a figure shows, at most one of length and one of time.
QUANTITIES = {
    "walking_speed_mps": ("walking speed", "m/s"),
    "step_length_m": ("step length", "m"),
    "stride_length_m": ("stride length", "m"),
    "step_time_s": ("step time", "s"),
    "stride_time_s": ("stride time", "s"),
    "cadence_spm": ("cadence", "steps/min"),
}
_DRAWN = (("walking_speed_mps",), ("step_length_m", "stride_length_m"), ("step_time_s", "stride_time_s"))
#: Recordings in one point of an aggregate figure.
_POOLED = 6
_GROUPS = {"healthy": (BLUE, "o"), "impaired": (ORANGE, "^"), "unknown": (PURPLE, "s")}


def scatter_and_difference(pairs: pd.DataFrame, *, aggregate: bool = False) -> Figure | None:
    """Estimate over truth, and estimate minus truth over their mean, of one method, dataset and sensor.

    The right panels have the bias and Bland and Altman's 95 % limits (Lancet 1986;1:307). With
    ``aggregate`` a point is the mean of about ``_POOLED`` recordings of neighbouring truth, its bar their
    standard deviation, and no single recording is drawn. None where no estimate is finite.
    """
    finite = pairs[np.isfinite(pairs["estimate"].astype(float)) & np.isfinite(pairs["truth"].astype(float))]
    have = set(finite["quantity"])
    drawn = [next(q for q in choice if q in have) for choice in _DRAWN if have.intersection(choice)]
    if not drawn:
        return None
    with drawing(0.35 + 1.75 * len(drawn)) as figure:
        grid = figure.subplots(len(drawn), 2, squeeze=False)
        for (left, right), quantity in zip(grid, drawn, strict=True):
            part = finite[finite["quantity"] == quantity]
            title, unit = QUANTITIES[quantity]
            _scatter(left, part, aggregate)
            _difference(right, part, aggregate)
            left.set(title=f"{title}, {unit}", xlabel=f"truth, {unit}", ylabel=f"estimate, {unit}")
            right.set(title="estimate − truth", xlabel=f"mean of both, {unit}", ylabel=unit)
        groups = [g for g in _GROUPS if (finite["group"] == g).any()]
        handles = [grid[0, 0].plot([], [], _GROUPS[g][1], color=_GROUPS[g][0], markersize=4)[0] for g in groups]
        handles += [grid[0, 0].plot([], [], color=GREY, linewidth=0.8)[0]]
        figure.legend(handles, [*groups, "equal"], loc="outside upper left", ncols=len(handles))
    return figure


def _points(axes: Axes, part: pd.DataFrame, x: np.ndarray, y: np.ndarray, aggregate: bool) -> None:
    for group, (colour, marker) in _GROUPS.items():
        chosen = np.flatnonzero((part["group"] == group).to_numpy())
        if not aggregate:
            axes.plot(x[chosen], y[chosen], marker, color=colour, markersize=3.2, alpha=0.7, markeredgewidth=0)
        elif len(chosen) >= _POOLED:
            by_truth = chosen[np.argsort(part["truth"].to_numpy(float)[chosen], kind="stable")]
            pools = np.array_split(by_truth, len(chosen) // _POOLED)
            across, up = ([float(np.mean(v[pool])) for pool in pools] for v in (x, y))
            spread = [float(np.std(y[pool])) for pool in pools]
            axes.errorbar(across, up, yerr=spread, fmt=marker, color=colour, markersize=4, elinewidth=0.8)


def _scatter(axes: Axes, part: pd.DataFrame, aggregate: bool) -> None:
    truth, estimate = part["truth"].to_numpy(float), part["estimate"].to_numpy(float)
    low, high = min(truth.min(), estimate.min()), max(truth.max(), estimate.max())
    margin = 0.06 * max(high - low, 1e-3)
    axes.plot([low - margin, high + margin], [low - margin, high + margin], color=GREY, linewidth=0.8, zorder=0)
    _points(axes, part, truth, estimate, aggregate)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), box_aspect=1)


def _difference(axes: Axes, part: pd.DataFrame, aggregate: bool) -> None:
    truth, estimate = part["truth"].to_numpy(float), part["estimate"].to_numpy(float)
    difference = estimate - truth
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    axes.axhspan(bias - spread, bias + spread, color=PALE, alpha=0.5, linewidth=0, zorder=0)
    axes.axhline(bias, color=INK, linewidth=0.9, zorder=1)
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    _points(axes, part, 0.5 * (truth + estimate), difference, aggregate)
    widest = 1.15 * max(float(np.abs(difference).max()), abs(bias) + spread, 1e-3)
    axes.set(ylim=(-widest, widest), box_aspect=1)
