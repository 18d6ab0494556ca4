"""Fitted estimators by name: those that come with synthgait, and how they are made.

In: a recipe (or all of them) and synthetic strides. Out: one folder per recipe, as ``GaitEstimator.save``
writes it; or the bundled estimator of a task.
"""

from __future__ import annotations

from pathlib import Path

from synthgait import bundled
from synthgait.errors import InputError
from synthgait.estimators.base import GaitEstimator
from synthgait.estimators.fit import RECIPES, Progress, fit
from synthgait.trials import Trials

#: Instead of a recipe's name: every shipped recipe.
ALL = "all"


def make(recipe: str, data: Trials, out: Path | None = None, *, seed: int | None = None, progress: Progress | None = None) -> list[Path]:
    """Fit a recipe into ``out`` (by default ``runs/<recipe>``), or with ``all`` every shipped recipe into a
    folder of its name inside ``out`` (by default ``runs``). Returns the folders. Raises InputError.
    """
    if recipe == ALL:
        folders = {path.stem: (out or Path("runs")) / path.stem for path in sorted(RECIPES.glob("*.yaml"))}
    else:
        folders = {recipe: out or Path("runs") / Path(recipe).stem}
    for folder in folders.values():
        nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise InputError(f"{nearest} is a file; name a folder for the estimator")
    for name, folder in folders.items():
        fit(name, data, seed=seed, progress=progress).save(folder)
    return list(folders.values())


def told(folders: list[Path]) -> str:
    """Where estimators were saved and how large they are, for people."""
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) / 1e6 for folder in folders]
    lines = [f"The estimator is in {folder} ({size:.1f} MB)." for folder, size in zip(folders, sizes, strict=True)]
    return "\n".join(lines)


def load(name: str = "gait_parameters") -> GaitEstimator:
    """The bundled estimator of a recipe's name. Raises InputError where this installation has none."""
    found = bundled.estimators()
    if name not in found:
        raise InputError(f"no fitted {name} comes with this installation; fit one (`synthgait fit {name}`) and give --estimator FOLDER")
    return GaitEstimator.load(found[name])
