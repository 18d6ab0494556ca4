"""How well a seed dataset covers what a study must vary: numbers, a table for people, and one figure.

In: the trial table of a dataset and, where it is given, that of real walking. Out: shares of occupied cells of
the spaces of ``SPACES``, quantiles, counts of pathology by severity and age, a figure.

A model that learns from gaits knows the cells that are occupied, and guesses in the others. The limits of each
space are what the project asks of a study, not what the dataset has, so that a narrow dataset shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthgait.conventions import CONDITION_PREFIX
from synthgait.errors import InputError
from synthgait.gait import dimensionless_speed, typical_cadence_spm
from synthgait.report.style import GREEN, INK, ORANGE, PALE, drawing

#: Upper limits in years of the age bands, and what they are called.
AGE_BANDS = {13.0: "5-12", 18.0: "13-17", 40.0: "18-39", 65.0: "40-64", 80.0: "65-79", np.inf: "80+"}
#: Upper limits of the severity bands.
SEVERITY_BANDS = {0.3: "mild", 0.7: "moderate", np.inf: "severe"}
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Space:
    """Two quantities of ``quantities`` and the grid whose cells are counted.

    ``x`` and ``y`` are (quantity, low, high, cells); ``impaired`` counts only people with a pathology.
    """

    name: str
    x: tuple[str, float, float, int]
    y: tuple[str, float, float, int]
    impaired: bool = False

    def cells(self, values: pd.DataFrame) -> np.ndarray:
        """Gaits in each cell, (x cells, y cells); those outside the limits are in none."""
        axes = [np.linspace(low, high, n + 1) for _, low, high, n in (self.x, self.y)]
        kept = values[values["severity"] > 0] if self.impaired else values
        pair = [kept[name].to_numpy(float) for name, *_ in (self.x, self.y)]
        known = np.isfinite(pair[0]) & np.isfinite(pair[1])
        return np.histogram2d(pair[0][known], pair[1][known], bins=axes)[0]


#: What a study must vary (0.3 to 1.9 m/s, cadence at 0.75 to 1.25 of the self-chosen, one-sidedness, strength and
#: severity), in cells of 0.2 m/s, a tenth of the cadence, and so on.
SPACES = (
    Space("speed_cadence", ("walking_speed_mps", 0.3, 1.9, 8), ("cadence_factor", 0.75, 1.25, 5)),
    Space("step_length_asymmetry", ("step_length_per_leg", 0.3, 1.1, 8), ("step_length_asymmetry", 0.0, 0.4, 4)),
    Space("strength_severity", ("strength", 0.7, 1.3, 6), ("severity", 0.0, 1.0, 4), impaired=True),
)
TITLES = {
    "walking_speed_mps": "walking speed, m/s",
    "cadence_spm": "cadence, steps/min",
    "cadence_factor": "cadence, of the self-chosen",
    "step_length_per_leg": "step length, leg lengths",
    "step_length_asymmetry": "step length asymmetry",
    "strength": "strength, of a peer's",
    "severity": "severity",
}


def quantities(table: pd.DataFrame) -> pd.DataFrame:
    """What is told of each gait, one row each; a column is NaN where the table does not say.

    ``cadence_factor`` is realised cadence over what people of that height choose at that speed
    (``gait.typical_cadence_spm``); asymmetries are |right - left| over the mean of both.
    """

    def column(name: str) -> pd.Series:
        return table[name].astype(float) if name in table else pd.Series(np.nan, table.index)

    def asymmetry(name: str, unit: str) -> pd.Series:
        right, left = column(f"{name}_r_{unit}"), column(f"{name}_l_{unit}")
        return (right - left).abs() / (0.5 * (right + left))

    speed, cadence = column("walking_speed_mps"), column("cadence_spm")
    typical = typical_cadence_spm(speed.to_numpy(float), column("height_m").to_numpy(float))
    step = column("stride_length_m").fillna(2.0 * column("step_length_m")) / 2.0
    own = ("age_years", "height_m", "mass_kg", "strength", "knee_varus_rad", "severity")
    asked = ("slope", "tracking_weight", "trunk_lean_rad", "contact_stiffness_factor")
    return pd.DataFrame(
        {
            "walking_speed_mps": speed,
            "froude_speed": dimensionless_speed(speed.to_numpy(float), column("leg_length_m").to_numpy(float)),
            "cadence_spm": cadence,
            "cadence_factor": cadence / typical,
            "step_length_per_leg": step / column("leg_length_m"),
            "step_width_m": column("step_width_m"),
            "step_length_asymmetry": asymmetry("step_length", "m"),
            "stance_time_asymmetry": asymmetry("stance_time", "s"),
            **{name: column(name) for name in own},
            **{name: column(CONDITION_PREFIX + name) for name in asked},
        }
    )


def coverage(table: pd.DataFrame, real: pd.DataFrame | None = None) -> dict[str, Any]:
    """The numbers.

    Args:
        table: trials of every status; those that are ok count.
        real: real walking with ``walking_speed_mps, cadence_spm, step_length_m, leg_length_m, height_m``, as
            ``recordings.reference_table`` gives it.

    Returns:
        ``n_gaits, n_people``; ``spaces``: rows ``space, cells, occupied, occupied_share, gaits_inside,
        median_gaits_per_occupied_cell`` and, of speed and cadence, ``real_walks`` within its limits and
        ``real_covered_share`` of them in an occupied cell; ``quantiles``: rows ``quantity, who`` and a key for
        each of ``QUANTILES``; ``counts``: rows ``pathology, severity, age_band, gaits, people``.

    Raises:
        InputError: the table has no gait that is ok.
    """
    good = _good(table)
    ours, theirs = quantities(good), None if real is None else quantities(real)
    spaces = []
    for space in SPACES:
        cells = space.cells(ours)
        occupied = cells > 0
        row: dict[str, Any] = {"space": space.name, "cells": cells.size, "occupied": int(occupied.sum())}
        row |= {"occupied_share": float(occupied.mean()), "gaits_inside": int(cells.sum())}
        row["median_gaits_per_occupied_cell"] = float(np.median(cells[occupied])) if occupied.any() else 0.0
        if theirs is not None and theirs[[space.x[0], space.y[0]]].notna().all(axis=None):
            walks = space.cells(theirs)
            row |= {"real_walks": int(walks.sum()), "real_covered_share": float(walks[occupied].sum() / max(walks.sum(), 1.0))}
        spaces.append(row)
    told = [(name, who, values[name].dropna()) for name in ours for who, values in (("ours", ours), ("real", theirs)) if values is not None]
    rows = [
        {"quantity": name, "who": who} | {f"q{100 * q:.0f}": float(values.quantile(q)) for q in QUANTILES}
        for name, who, values in told
        if len(values)
    ]
    return {
        "n_gaits": len(good),
        "n_people": int(good["subject_id"].nunique()),
        "spaces": spaces,
        "quantiles": rows,
        "counts": _counts(good),
    }


def _good(table: pd.DataFrame) -> pd.DataFrame:
    good = table[table["status"] == "ok"].reset_index(drop=True)
    if good.empty:
        raise InputError("the dataset has no certified gait; there is nothing that it covers")
    return good


def _band(values: pd.Series, bands: dict[float, str]) -> list[str]:
    """Name of the band of every value; an upper limit belongs to the next band."""
    return [list(bands.values())[int(np.searchsorted(list(bands), value, side="right"))] for value in values]


def _counts(good: pd.DataFrame) -> list[dict[str, Any]]:
    healthy = good["pathology"] == "none"
    severity = np.where(healthy, "none", _band(good["severity"].clip(upper=1.0), SEVERITY_BANDS))
    keyed = good.assign(severity=severity, age_band=_band(good["age_years"], AGE_BANDS))
    grouped = keyed.groupby(["pathology", "severity", "age_band"], sort=True)["subject_id"]
    return [{"pathology": p, "severity": s, "age_band": a, "gaits": len(ids), "people": int(ids.nunique())} for (p, s, a), ids in grouped]


def as_text(told: dict[str, Any]) -> str:
    """The same as tables for people."""
    lines = [f"{told['n_gaits']} certified gaits of {told['n_people']} people", ""]
    lines.append(f"{'space':24}{'cells':>7}{'occupied':>10}{'gaits':>8}{'per cell':>10}  real walks in occupied cells")
    for row in told["spaces"]:
        real = f"{row['real_covered_share']:.0%} of {row['real_walks']}" if "real_walks" in row else "–"
        lines.append(
            f"{row['space']:24}{row['cells']:7d}{row['occupied_share']:10.0%}{row['gaits_inside']:8d}"
            f"{row['median_gaits_per_occupied_cell']:10.0f}  {real}"
        )
    lines += ["", f"{'quantity':26}{'who':6}" + "".join(f"{100 * q:>8.0f}%" for q in QUANTILES)]
    for row in told["quantiles"]:
        lines.append(f"{row['quantity']:26}{row['who']:6}" + "".join(f"{row[f'q{100 * q:.0f}']:9.3f}" for q in QUANTILES))
    bands = list(AGE_BANDS.values())
    lines += ["", f"{'gaits by age':38}" + "".join(f"{band:>8}" for band in bands) + f"{'all':>8}"]
    for (pathology, severity), ages in _by_age(told).items():
        name = pathology if severity == "none" else f"{pathology}, {severity}"
        lines.append(f"{name:38}" + "".join(f"{ages.get(band, 0):8d}" for band in bands) + f"{sum(ages.values()):8d}")
    return "\n".join(lines)


def _by_age(told: dict[str, Any]) -> dict[tuple[str, str], dict[str, int]]:
    """(pathology, severity) -> age band -> gaits; health first, then by name, mild to severe."""
    order = ["none", *SEVERITY_BANDS.values()]
    rows = sorted(told["counts"], key=lambda row: (row["pathology"] != "none", row["pathology"], order.index(row["severity"])))
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        found.setdefault((row["pathology"], row["severity"]), {})[row["age_band"]] = row["gaits"]
    return found


def picture(table: pd.DataFrame, real: pd.DataFrame | None = None) -> Figure:
    """The three spaces with every gait as a dot (healthy dark, impaired orange; real walks as green crosses), empty
    cells grey; and how many gaits each pathology, severity and age band has.

    Raises:
        InputError: the table has no gait that is ok.
    """
    good = _good(table)
    ours, theirs = quantities(good), None if real is None else quantities(real)
    told = _by_age({"counts": _counts(good)})
    with drawing(6.4 + 0.13 * len(told)) as figure:
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.6, 0.9 + 0.13 * len(told)))
        dots, counts = parts
        grid = dots.subplots(2, 2)
        _cadence(grid[0, 0], ours, theirs)
        for axes, space in zip(grid.flat[1:], SPACES, strict=True):
            _space(axes, space, ours, theirs)
        _map(counts.subplots(), told)
    return figure


def _dots(axes: Axes, ours: pd.DataFrame, theirs: pd.DataFrame | None, x: str, y: str) -> None:
    healthy = (ours["severity"] == 0).to_numpy()
    for chosen, colour, label in ((healthy, INK, "healthy"), (~healthy, ORANGE, "impaired")):
        axes.plot(ours.loc[chosen, x], ours.loc[chosen, y], ".", color=colour, markersize=2.2, markeredgewidth=0, alpha=0.7, label=label)
    if theirs is not None:
        axes.plot(theirs[x], theirs[y], "+", color=GREEN, markersize=3.2, markeredgewidth=0.6, label="real adults")
    axes.set(xlabel=TITLES[x], ylabel=TITLES[y])


def _cadence(axes: Axes, ours: pd.DataFrame, theirs: pd.DataFrame | None) -> None:
    _dots(axes, ours, theirs, "walking_speed_mps", "cadence_spm")
    axes.legend(loc="upper left", handletextpad=0.1, markerscale=2, borderpad=0)


def _space(axes: Axes, space: Space, ours: pd.DataFrame, theirs: pd.DataFrame | None) -> None:
    (x, *x_grid), (y, *y_grid) = space.x, space.y
    cells = space.cells(ours)
    extent = (x_grid[0], x_grid[1], y_grid[0], y_grid[1])
    axes.imshow(np.where(cells.T == 0, 0.18, 0.0), origin="lower", extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1, zorder=0)
    kept = ours[ours["severity"] > 0] if space.impaired else ours
    real = theirs if theirs is not None and theirs[[x, y]].notna().all(axis=None) else None
    _dots(axes, kept, real, x, y)
    for edge in np.linspace(x_grid[0], x_grid[1], int(x_grid[2]) + 1):
        axes.axvline(edge, color=PALE, linewidth=0.4, zorder=0)
    for edge in np.linspace(y_grid[0], y_grid[1], int(y_grid[2]) + 1):
        axes.axhline(edge, color=PALE, linewidth=0.4, zorder=0)
    axes.set_title(f"{int((cells > 0).sum())} of {cells.size} cells")


def _map(axes: Axes, told: dict[tuple[str, str], dict[str, int]]) -> None:
    bands = list(AGE_BANDS.values())
    counts = np.array([[ages.get(band, 0) for band in bands] for ages in told.values()])
    axes.imshow(np.log1p(counts), aspect="auto", cmap="Blues", vmin=0, vmax=np.log1p(counts.max()) * 1.6)
    for row, column in np.ndindex(counts.shape):
        axes.text(column, row, str(counts[row, column]) if counts[row, column] else "·", ha="center", va="center", fontsize=5.5, color=INK)
    names = ["healthy" if p == "none" else f"{p.replace('_', ' ')}, {s}" for p, s in told]
    axes.set_yticks(range(len(names)), names, fontsize=5.5)
    axes.set_xticks(range(len(bands)), bands)
    axes.tick_params(length=0)
    axes.set_title("gaits by age in years")
    axes.spines[:].set_visible(False)
