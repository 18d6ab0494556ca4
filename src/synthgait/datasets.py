"""Datasets by path, several as one, or what comes along: the seed, and strides of the bundled generator.

In: paths. Out: ``Trials``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgait import bundled, storage
from synthgait.errors import InputError
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


def files(path: str | Path) -> list[Path]:
    """The dataset files of a path: itself, or where it is a folder the shards in it. Raises InputError where there are none."""
    path = Path(path)
    found = sorted(path.glob("*.h5")) if path.is_dir() else [path]
    if not found:
        raise InputError(f"{path} holds no .h5 files; give a dataset or a folder of its shards")
    return found


def teaching() -> Trials:
    """What the bundled estimators learn from: strides of the bundled generator, always the same. They scatter more than
    the simulated ones that it learned from, and teach better.

    Raises InputError where this installation has no generator.
    """
    from synthgait.generators import StrideGenerator

    return StrideGenerator.load(bundled.generator()).sample(TEACHING)
