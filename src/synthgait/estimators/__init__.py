"""Estimators: one contract (fit, predict, save, load), trained on synthetic people only."""

from __future__ import annotations

from synthgait.estimators.base import GaitEstimator
from synthgait.estimators.fit import fit, read_recipe
from synthgait.estimators.tasks import SENSORS, TASKS

__all__ = ["SENSORS", "TASKS", "GaitEstimator", "fit", "read_recipe"]
