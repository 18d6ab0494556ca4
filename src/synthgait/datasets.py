"""Datasets by path, several as one, or the one that comes along.

In: paths. Out: ``Trials``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgait import bundled, storage
from synthgait.trials import Trials


def load(paths: Sequence[str | Path] | None = None) -> Trials:
    """The given datasets as one, with the signal groups that all have; without any, the bundled seed.

    Raises:
        InputError: a file that is broken or no dataset.
    """
    chosen = list(paths or [bundled.seed_dataset()])
    common = set.intersection(*(set(storage.describe(path)["groups"]) for path in chosen))
    return Trials.concatenate([storage.read(path, groups=sorted(common)) for path in chosen])
