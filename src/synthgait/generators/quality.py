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
from synthgait.generators.base import StrideGenerator
from synthgait.generators.conditions import CATEGORICAL, condition_table, distances
from synthgait.generators.opensim_check import opensim_residuals
from synthgait.generators.plausibility import Limits, measure
from synthgait.generators.train import read_recipe, train
from synthgait.trials import Trials
from synthgait.validate import generator as judge

#: Strides that a method teaches with, per simulated stride that it learned from.
_TEACHING = 16
#: Held-out conditions under which strides are compared with each other, and so many of each.
_CONDITIONS, _ALIKE = 24, 32
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
) -> tuple[dict[str, dict[str, Any]], dict[str, Trials], Trials]:
    """Train every recipe on some people and judge it on the others.

    Args:
        recipes: name -> YAML; None is the four bundled ones.
        held_out_fraction: share of the people kept out of training.
        strides_per_condition: synthetic strides asked for under each held-out stride's conditions.
        duplicates_among: so many more unconditioned strides are searched for duplicates (0: none).
        out: folder that keeps the trained generators.

    Returns the rows of ``validate.generator.compare``, the synthetic strides per method and the held-out ones.
    Raises InputError: too few people, or a bad recipe.
    """
    recipes = recipes or {name: bundled.find(f"generators/{name}") for name in METHODS}
    strides = seed_dataset.certified()
    training, held_out = split_people(strides, held_out_fraction, seed)
    limits = Limits.around(training)
    training, held_out = (part_with_measures(part, limits) for part in (training, held_out))
    synthetic: dict[str, Trials] = {}
    teachers: dict[str, Trials] = {}
    alike: dict[str, float] = {"seed": 1.0}
    extra: dict[str, int] = {}
    for name, recipe in recipes.items():
        model = train(read_recipe(recipe), training, None if out is None else Path(out) / name, progress=progress)
        synthetic[name] = part_with_measures(under_conditions(model, held_out, strides_per_condition, seed), limits)
        alike[name] = nearest_alike_ratio(model, training, held_out, seed)
        teachers[name] = under_conditions(model, training, _TEACHING, seed + 2).certified()
        if duplicates_among:
            extra[name] = judge.duplicates(model.sample_blocks(0, duplicates_among, seed=seed + 1, attempts=1))
    rows = judge.compare(training, held_out, synthetic, teachers, seed)
    for name, strides in ({"seed": training} | synthetic).items():
        rows[name] |= _opensim(strides.certified()) | {"nearest_alike_ratio": alike[name]}
    for name, count in extra.items():
        rows[name]["duplicates"] = count
    return rows, synthetic, held_out


def nearest_alike_ratio(model: StrideGenerator, training: Trials, held_out: Trials, seed: int) -> float:
    """How different strides are that are asked for under one condition (``validate.generator``), over held-out conditions."""
    rows = np.random.default_rng([seed, 3]).permutation(len(held_out))[:_CONDITIONS]
    space, asked = judge.FeatureSpace(training), condition_table(held_out.table).iloc[rows]
    codes, known = model.space.encode(asked), model.space.encode(condition_table(training.table))
    near = np.argsort(distances(codes, known, np.ones(known.shape[1], np.float32)), axis=1)[:, :_ALIKE]
    drawn = model.sample_under(asked.loc[asked.index.repeat(_ALIKE)].reset_index(drop=True), seed=seed + 3)
    made, real = space(drawn).reshape(len(rows), _ALIKE, -1), space(training)[near]
    return float(np.median(judge.nearest_alike(made) / judge.nearest_alike(real)))


def _opensim(strides: Trials) -> dict[str, float]:
    """OpenSim's residuals of a sample, NaN where the strides have no centre of pressure."""
    if "centre_of_pressure" not in strides.signals or not len(strides):
        return {"opensim_force_p95_bw": float("nan"), "opensim_moment_p95_nmkg": float("nan")}
    found = opensim_residuals(strides)
    return {
        "opensim_force_p95_bw": float(found["opensim_force_bw"].quantile(0.95)),
        "opensim_moment_p95_nmkg": float(found["opensim_moment_nmkg"].quantile(0.95)),
    }


def split_people(strides: Trials, fraction: float, seed: int) -> tuple[Trials, Trials]:
    """Training and held-out strides without a person in both, the same share of every pathology held out
    (none of one that only few have); held-out strides are of pathologies and sides that training has too.
    """
    table = strides.table.assign(subject_id=strides.table["subject_id"].astype(str))
    rng, held = np.random.default_rng([seed, 2]), []
    for _, people in table.drop_duplicates("subject_id").sort_values("subject_id").groupby("pathology")["subject_id"]:
        held += list(rng.permutation(people.to_numpy())[: round(fraction * len(people))])
    out = table["subject_id"].isin(held).to_numpy()
    known = np.logical_and.reduce([table[column].isin(table.loc[~out, column]) for column in CATEGORICAL])
    if not (out & known).any() or out.all():
        raise InputError(f"{table['subject_id'].nunique()} people cannot be split; give a seed dataset of more people")
    return strides.select(~out), strides.select(out & known)


def part_with_measures(strides: Trials, limits: Limits) -> Trials:
    """Strides with the plausibility columns, of all their phases, beside their own."""
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
