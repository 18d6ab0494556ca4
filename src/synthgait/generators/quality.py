"""Train, sample and judge generators side by side on people they have never seen.

In: a seed dataset and recipes. Out: the figures of ``validate.generator`` per method.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgait import bundled
from synthgait.errors import InputError
from synthgait.generators.base import StrideGenerator, usable
from synthgait.generators.conditions import condition_table
from synthgait.generators.plausibility import Limits, measure
from synthgait.generators.train import read_recipe, train
from synthgait.trials import Trials
from synthgait.validate import generator as judge

METHODS = ("diffusion", "gan", "gaussian", "nearest_seed")


def evaluate(
    seed_dataset: Trials,
    recipes: Mapping[str, str | Path] | None = None,
    *,
    held_out_fraction: float = 0.2,
    strides_per_condition: int = 2,
    duplicates_among: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = True,
) -> tuple[dict[str, dict[str, Any]], dict[str, Trials]]:
    """Train every recipe on some people and judge it on the others.

    Args:
        recipes: name -> YAML; None is the four bundled ones.
        held_out_fraction: share of the people kept out of training.
        strides_per_condition: synthetic strides asked for under each held-out stride's conditions.
        duplicates_among: so many more unconditioned strides are searched for duplicates (0: none).
        out: folder that keeps the trained generators.

    Returns the rows of ``validate.generator.compare`` and the synthetic strides per method.
    Raises InputError: too few people, or a bad recipe.
    """
    recipes = recipes or {name: bundled.find(f"generators/{name}") for name in METHODS}
    strides = usable(seed_dataset)
    training, held_out = split_people(strides, held_out_fraction, seed)
    limits = Limits.around(training)
    training, held_out = (part_with_measures(part, limits) for part in (training, held_out))
    synthetic: dict[str, Trials] = {}
    extra: dict[str, int] = {}
    for name, recipe in recipes.items():
        model = train(read_recipe(recipe), training, None if out is None else Path(out) / name, progress=progress)
        synthetic[name] = under_conditions(model, held_out, strides_per_condition, seed)
        if duplicates_among:
            extra[name] = judge.duplicates(model.sample(duplicates_among, seed=seed + 1, attempts=1))
    rows = judge.compare(training, held_out, synthetic, seed)
    for name, count in extra.items():
        rows[name]["duplicates"] = count
    return rows, synthetic


def split_people(strides: Trials, fraction: float, seed: int) -> tuple[Trials, Trials]:
    """Training and held-out strides without a person in both."""
    people = np.unique(np.asarray(strides.table["subject_id"]).astype(str))
    held = np.random.default_rng([seed, 2]).permutation(people)[: round(fraction * len(people))]
    mask = strides.table["subject_id"].astype(str).isin(held).to_numpy()
    if not mask.any() or mask.all():
        raise InputError(f"{len(people)} people cannot be split; give a seed dataset of more people")
    return strides.select(~mask), strides.select(mask)


def part_with_measures(strides: Trials, limits: Limits) -> Trials:
    """Simulated strides with the plausibility columns beside their own."""
    measures = measure(strides, limits)
    columns = ["foot_skate_mps", "penetration_m", "residual_force_bw", "residual_moment_nmkg"]
    table = strides.table.drop(columns=[c for c in columns if c in strides.table]).reset_index(drop=True)
    if "status" not in table:
        table["status"] = "ok"
    return Trials(pd.concat([table, measures[columns]], axis=1), strides.signals, dict(strides.channels), strides.events, strides.kind)


def under_conditions(model: StrideGenerator, strides: Trials, times: int, seed: int) -> Trials:
    """Synthetic strides under exactly the conditions of some strides, each ``times`` times."""
    table = condition_table(strides.table)
    return model.sample_under(pd.concat([table] * times, ignore_index=True), seed=seed)
