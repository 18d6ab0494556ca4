"""One strip per pathology: what a physiotherapist would look at first.

In: strides as ``Trials``, or the bundled seed. Out: for health and for every pathology its most severe gait, and the figure.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from synthgait import bundled, storage
from synthgait.report.gaits import describe_person, stick_figures
from synthgait.trials import Trials

#: Speed in m/s of the healthy gait beside them.
_COMFORTABLE_MPS = 1.2


def shown(certified: Trials) -> dict[str, int]:
    """Row of the gait that stands for health (an adult's nearest to 1.2 m/s) and for each pathology (the most
    severe, of those the one of median speed), under "healthy" and the pathology's name; only what the dataset has. Who walks up
    or down a slope shows the slope, so the level is preferred.
    """
    table = certified.table
    slope = table.get("condition_slope", pd.Series(0.0, table.index)).fillna(0.0)
    level = (slope == 0.0) | (slope != 0.0).groupby(table["pathology"]).transform("all")
    adults = np.flatnonzero((table["pathology"] == "none") & table["age_years"].between(18, 65) & level)
    rows = {}
    if len(adults):
        rows["healthy"] = int(adults[np.abs(table["walking_speed_mps"].to_numpy(float)[adults] - _COMFORTABLE_MPS).argmin()])
    ill = table[(table["pathology"] != "none") & level].sort_values("walking_speed_mps")
    worst = ill[ill["severity"] == ill.groupby("pathology")["severity"].transform("max")]
    return rows | {str(name): int(of.index[len(of) // 2]) for name, of in worst.groupby("pathology")}


def of_bundled_seed() -> Trials:
    """The gaits of the bundled seed dataset that ``shown`` chooses, in its order. Raises InputError where it is missing."""
    path = bundled.seed_dataset()
    table = storage.read(path, groups=[])
    certified = np.flatnonzero(table.table["status"] == "ok")
    return storage.read(path, rows=certified[list(shown(table.certified()).values())])


def of_each_pathology(trials: Trials) -> dict[str, Figure]:
    """``strip_<name>`` -> stick figures from the side and from the front, for each name of ``shown``."""
    good = trials.certified()
    figures = {}
    for name, row in shown(good).items():
        figure = stick_figures(good, row)
        figure.suptitle(describe_person(good, row).replace("; ", "\n"), fontsize=6.5)
        figures[f"strip_{name}"] = figure
    return figures
