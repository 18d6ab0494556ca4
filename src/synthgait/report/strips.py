"""One strip per pathology: what a physiotherapist would look at first.

In: strides as ``Trials``. Out: for health and for every pathology the figure of its most severe gait.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from synthgait.report.gaits import describe_person, stick_figures
from synthgait.trials import Trials

#: Speed in m/s of the healthy gait beside them.
_COMFORTABLE_MPS = 1.2


def shown(certified: Trials) -> dict[str, int]:
    """Row of the gait that stands for health (an adult's nearest to 1.2 m/s) and for each pathology (the most
    severe, of those the fastest), under "healthy" and the pathology's name; only what the dataset has.
    """
    table = certified.table
    adults = np.flatnonzero((table["pathology"] == "none") & table["age_years"].between(18, 65))
    rows = {}
    if len(adults):
        rows["healthy"] = int(adults[np.abs(table["walking_speed_mps"].to_numpy(float)[adults] - _COMFORTABLE_MPS).argmin()])
    ill = table[table["pathology"] != "none"].sort_values(["severity", "walking_speed_mps"])
    return rows | {str(name): int(of.index[-1]) for name, of in ill.groupby("pathology")}


def of_each_pathology(trials: Trials) -> dict[str, Figure]:
    """``strip_<name>`` -> stick figures from the side and from the front, for each name of ``shown``."""
    good = trials.certified()
    figures = {}
    for name, row in shown(good).items():
        figure = stick_figures(good, row)
        figure.suptitle(describe_person(good, row).replace("; ", "\n"), fontsize=6.5)
        figures[f"strip_{name}"] = figure
    return figures
