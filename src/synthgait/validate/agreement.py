"""How well estimates agree with truth, with people (not recordings) as the unit of uncertainty.

In: paired truth and estimate of one quantity and whose recording each pair is. Out: ``Agreement``.

Everything is computed from sums per person, so that the bootstrap over people (2,000 resamples of
whole persons, percentile intervals; Efron & Tibshirani 1993, ch. 13) is one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from synthgait.errors import InputError

RESAMPLES = 2000
STATISTICS = ("mae", "mape", "bias", "loa_low", "loa_high", "r", "icc")


@dataclass(frozen=True)
class Agreement:
    """Agreement of one method with truth; None where it is not defined.

    Attributes:
        n_recordings, n_people: pairs and persons.
        mae, bias, loa_low, loa_high: mean absolute error, mean of estimate minus truth, and Bland and
            Altman's 95 % limits bias +- 1.96 SD of the differences, in the quantity's unit.
        mape: mean absolute error over truth, percent.
        r: Pearson's correlation.
        icc: ICC(2,1), two-way random effects, absolute agreement, single measurement (Shrout & Fleiss,
            Psychol Bull 1979;86:420).
        intervals: statistic -> (low, high), 95 %, resampling persons; empty for a single person.
    """

    n_recordings: int
    n_people: int
    mae: float | None
    mape: float | None
    bias: float | None
    loa_low: float | None
    loa_high: float | None
    r: float | None
    icc: float | None
    intervals: dict[str, tuple[float, float]]

    def as_row(self) -> dict[str, float | int | None]:
        """Flat: every statistic, then ``<statistic>_ci_low`` and ``<statistic>_ci_high``."""
        row = asdict(self)
        intervals = row.pop("intervals")
        for name in STATISTICS:
            low, high = intervals.get(name, (None, None))
            row[f"{name}_ci_low"], row[f"{name}_ci_high"] = low, high
        return row


def agree(truth: Sequence[float], estimate: Sequence[float], subject_id: Sequence[str], seed: int = 0) -> Agreement:
    """Agreement of N estimates with N truths of the persons ``subject_id``.

    Raises:
        InputError: lengths differ, nothing to compare, or a value that is not finite.
    """
    t, e, people = np.asarray(truth, float), np.asarray(estimate, float), np.asarray(subject_id).astype(str)
    if not (t.ndim == 1 and t.shape == e.shape == people.shape):
        raise InputError(
            f"truth, estimate and subject_id have lengths {t.shape}, {e.shape} and {people.shape}; give one of each per recording"
        )
    if len(t) == 0:
        raise InputError("there is no pair of truth and estimate to compare; give at least one")
    if not (np.all(np.isfinite(t)) and np.all(np.isfinite(e))):
        raise InputError("truth or estimate is not finite; leave such recordings out")
    names, person = np.unique(people, return_inverse=True)
    centre = t.mean()
    relative = np.abs(e - t) / np.where(t > 0, t, np.nan)
    x, y = t - centre, e - centre
    terms = np.column_stack([np.ones_like(t), x, y, x * x, y * y, x * y, np.abs(e - t), relative])
    sums = np.zeros((len(names), terms.shape[1]))
    np.add.at(sums, person, terms)
    point = _statistics(sums.sum(0)[None])
    intervals = {}
    if len(names) > 1:
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
        resampled = _statistics(weights @ sums)
        for name in STATISTICS:
            defined = resampled[name][np.isfinite(resampled[name])]
            # a resample of one person twice may leave a correlation undefined; most must be defined
            if len(defined) > 0.9 * RESAMPLES and np.isfinite(point[name][0]):
                low, high = np.percentile(defined, (2.5, 97.5))
                intervals[name] = (float(low), float(high))
    values = {name: _plain(point[name][0]) for name in STATISTICS}
    return Agreement(len(t), len(names), **values, intervals=intervals)


def _statistics(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of B samples from their sums (B, 8): n, x, y, xx, yy, xy, |d|, |d|/t."""
    n, x, y, xx, yy, xy, absolute, relative = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        sxx, syy, sxy = xx - x * x / n, yy - y * y / n, xy - x * y / n
        bias = (y - x) / n
        deviation = np.sqrt(np.maximum(sxx + syy - 2 * sxy, 0.0) / (n - 1))
        tiny = 1e-12 * np.maximum(n, 1.0)
        r = np.where((sxx > tiny) & (syy > tiny), sxy / np.sqrt(sxx * syy), np.nan)
        # two-way analysis of variance with k = 2 columns (truth, estimate) and n rows
        between_rows = 0.5 * (sxx + syy + 2 * sxy) / (n - 1)
        between_columns = 0.5 * n * bias**2
        residual = 0.5 * np.maximum(sxx + syy - 2 * sxy, 0.0) / (n - 1)
        denominator = between_rows + residual + 2.0 * (between_columns - residual) / n
        icc = np.where((n > 1) & (sxx > tiny), (between_rows - residual) / denominator, np.nan)
    return {
        "mae": absolute / n,
        "mape": 100.0 * relative / n,
        "bias": bias,
        "loa_low": bias - 1.96 * deviation,
        "loa_high": bias + 1.96 * deviation,
        "r": np.clip(r, -1.0, 1.0),
        "icc": icc,
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
