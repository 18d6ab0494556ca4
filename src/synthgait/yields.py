"""What came of trials: how many were tried and certified, of how many people, and how far OpenSim disagrees at most.

In: the table of a dataset or of a run. Out: plain values for ``--json``, and their lines for people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from synthgait.conventions import CERTIFICATE_PREFIX

ALL = "all"


def of(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Pathology -> ``tried`` and ``certified`` trials and the ``people`` who have certified ones; ``all`` comes last.

    Args:
        table: columns pathology, status and subject_id.
    """
    found = {}
    for name, part in [*table.groupby("pathology"), (ALL, table)]:
        good = part[part["status"] == "ok"]
        found[str(name)] = {"tried": len(part), "certified": len(good), "people": int(good["subject_id"].nunique())}
    return found


def percent(row: dict[str, int]) -> str:
    """Certified of tried trials, as "97 %"."""
    return f"{100 * row['certified'] / row['tried']:.0f} %" if row["tried"] else "-"


def certificate(table: pd.DataFrame) -> dict[str, float]:
    """The largest value of each ``certificate_*`` column over the certified trials, in the column's unit."""
    good = table[table["status"] == "ok"]
    worst = {str(name): float(good[name].max()) for name in table.columns if str(name).startswith(CERTIFICATE_PREFIX)}
    return {name: value for name, value in worst.items() if np.isfinite(value)}


def told(table: pd.DataFrame) -> dict[str, Any]:
    """Both, as ``yield`` and ``certificate``."""
    return {"yield": of(table), "certificate": certificate(table)}


def text(told: dict[str, Any]) -> str:
    """The same as lines; an empty text where neither is told."""
    lines = []
    if told.get("yield"):
        lines.append(f"{'pathology':<28} {'tried':>7} {'certified':>10} {'yield':>7} {'people':>7}")
        for name, row in told["yield"].items():
            lines.append(f"{name:<28} {row['tried']:>7} {row['certified']:>10} {percent(row):>7} {row['people']:>7}")
    if told.get("certificate"):
        lines += ["", "largest difference between OpenSim and a certified trial"] if lines else []
        lines += [f"{name:<44} {value:.1e}" for name, value in told["certificate"].items()]
    return "\n".join(lines)
