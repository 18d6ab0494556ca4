"""Datasets by path, several as one, or what comes along: the seed, and strides of the bundled generator.

In: paths. Out: ``Trials``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgait import bundled, storage
from synthgait.trials import Trials

#: Strides that the bundled estimators learn from. More teach no more (README, "What synthetic data is worth").
TEACHING = 10_240


def load(paths: Sequence[str | Path] | None = None) -> Trials:
    """The given datasets as one, with the signal groups that all have; without any, the bundled seed.

    Raises:
        InputError: a file that is broken or no dataset.
    """
    chosen = list(paths or [bundled.seed_dataset()])
    common = set.intersection(*(set(storage.describe(path)["groups"]) for path in chosen))
    return Trials.concatenate([storage.read(path, groups=sorted(common)) for path in chosen])


def teaching() -> Trials:
    """What the bundled estimators learn from: strides of the bundled generator, always the same. They scatter more than
    the simulated ones that it learned from, and teach better.

    Raises InputError where this installation has no generator.
    """
    from synthgait.generators import StrideGenerator

    return StrideGenerator.load(bundled.generator()).sample(TEACHING)
