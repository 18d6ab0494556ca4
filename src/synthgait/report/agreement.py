"""Estimate against truth: scatter and Bland-Altman plots, and what synthetic data is worth.

In: pairs of truth and estimate as ``validate.run.pairs`` gives them; rows of ``validate.ablation``. Out: one
figure per dataset and sensor, and one of an ablation. Only numbers per recording are drawn: no signal of a person and no identifier.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthgait.report.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, YELLOW, drawing

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


def of_each_sensor(pairs: pd.DataFrame, aggregate_only: Collection[str] = (), method: str = "zero_shot") -> dict[str, Figure]:
    """``scatter_and_difference`` of one method on every dataset and sensor where it estimates anything, by a name for its file.

    Args:
        aggregate_only: datasets of which no single recording is drawn.
    """
    figures = {}
    for (dataset, sensor), part in pairs[pairs["method"] == method].groupby(["dataset", "sensor"], sort=True):
        figure = scatter_and_difference(part, aggregate=dataset in aggregate_only)
        if figure is not None:
            pooled = "\na point is the mean of several recordings, the bar their SD" if dataset in aggregate_only else ""
            # above the legend, which a title of the figure would lie on
            figure.legends[0].set(title=f"{dataset}, {sensor}{pooled}".replace("_", " "), alignment="left")
            figures[re.sub(r"[^\w.-]+", "_", f"{dataset}_{sensor}")] = figure
    return figures


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


#: Arms of an ablation -> colour, marker.
_ARMS = {
    "seed": (INK, "s"),
    "generated": (GREEN, "o"),
    "without_pathology": (PURPLE, "v"),
    "without_sensor_randomisation": (YELLOW, "D"),
    "real_only": (ORANGE, "^"),
    "pretrained": (BLUE, "o"),
    "pretrained_masked": (BLUE, "x"),
}


def ablation(rows: Sequence[Mapping[str, Any]], quantity: str = "walking_speed_mps") -> Figure | None:
    """Mean absolute error (95 % interval over people) over the number of synthetic strides, trained on nobody (left),
    and over the number of real people trained on (right); one row of panels per dataset and sensor, of everybody in
    it. None where no row is of the quantity.
    """
    told = [row for row in rows if row["quantity"] == quantity and row["mae"] is not None]
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in told:
        panels.setdefault((row["dataset"], row["sensor"]), []).append(row)
    if not panels:
        return None
    title, unit = QUANTITIES[quantity]
    with drawing(0.6 + 1.7 * len(panels)) as figure:
        grid = figure.subplots(len(panels), 2, squeeze=False)
        for (left, right), ((dataset, sensor), found) in zip(grid, sorted(panels.items()), strict=True):
            whole = [row for row in found if row["group"] == "all"] or found
            nobody = [row for row in whole if row["method"] == "zero_shot"]
            _errors(left, nobody, "n_strides")
            # where fine-tuning began, or the best fed where nobody was trained on
            began = {row["n_strides"] for row in whole if row["arm"] == "pretrained"} or {row["n_strides"] for row in nobody}
            most = max(began, default=0)
            start = [{**row, "arm": "pretrained"} for row in nobody if row["arm"] in ("generated", "seed") and row["n_strides"] == most]
            _errors(right, start[:1] + [row for row in whole if row["method"] == "real_trained"], "n_real_people")
            left.set(title=f"{dataset.replace('_', ' ')}, {sensor.replace('_', ' ')}", xscale="log", xlabel="synthetic strides")
            left.set_ylabel(f"error of {title}, {unit}")
            right.set(xlabel="real people trained on")
            right.set_xlim(-0.2, max([1, *(row["n_real_people"] for row in whole)]) + 0.2)
            right.xaxis.set_major_locator(MaxNLocator(integer=True))
            top = 1.1 * max([row["mae"] for row in whole])
            left.set_ylim(0, top)
            right.set_ylim(0, top)
        arms = [arm for arm in _ARMS if any(row["arm"] == arm for row in told)]
        handles = [grid[0, 0].plot([], [], _ARMS[arm][1] + "-", color=_ARMS[arm][0], markersize=4)[0] for arm in arms]
        figure.legend(handles, [arm.replace("_", " ") for arm in arms], loc="outside upper left", ncols=2)
    return figure


def _errors(axes: Axes, rows: Sequence[Mapping[str, Any]], across: str) -> None:
    for arm, (colour, marker) in _ARMS.items():
        points = sorted(((row[across], row) for row in rows if row["arm"] == arm), key=lambda point: point[0])
        x, y = [point for point, _ in points], [row["mae"] for _, row in points]
        axes.plot(x, y, f"{marker}-", color=colour, markersize=4)
        for place, row in points:
            if row.get("mae_ci_low") is not None:
                axes.plot([place, place], [row["mae_ci_low"], row["mae_ci_high"]], color=colour, linewidth=0.6, alpha=0.6)
