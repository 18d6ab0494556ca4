"""Strides to disk: the same bytes whatever stopped the run; benches and quality run end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthgait import storage
from synthgait.errors import InputError
from synthgait.generators import train
from synthgait.generators.base import BLOCK
from synthgait.generators.generate import generate
from synthgait.generators.quality import evaluate
from synthgait.generators.train import parse_recipe
from synthgait.trials import Trials
from synthgait.validate import generator as judge
from varied_walkers import varied_walkers


@pytest.fixture(scope="module")
def seeds() -> Trials:
    return varied_walkers(75, seed=2)


@pytest.fixture(scope="module")
def model(seeds: Trials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gaussian")
    train(parse_recipe({"method": "gaussian", "representation": {"max_components": 16}}), seeds, folder, progress=False)
    return folder


def test_a_killed_run_goes_on_to_the_same_bytes(model: Path, tmp_path: Path) -> None:
    n = 2 * BLOCK + 100
    told = generate(model, n, tmp_path / "whole", seed=1, shard_strides=BLOCK, progress=False, age_years=(20, 70))
    assert told["n_strides"] == n and len(told["files"]) == 3
    generate(model, n, tmp_path / "cut", seed=1, shard_strides=BLOCK, progress=False, age_years=(20, 70))
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    (tmp_path / "cut" / names[-2]).unlink()
    damaged = tmp_path / "cut" / names[-1]
    damaged.write_bytes(damaged.read_bytes()[:5000])
    generate(model, n, tmp_path / "cut", seed=1, shard_strides=BLOCK, progress=False, age_years=(20, 70))
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    with pytest.raises(InputError, match="another request"):
        generate(model, n, tmp_path / "cut", seed=2, shard_strides=BLOCK, progress=False)


def test_one_file(model: Path, tmp_path: Path) -> None:
    told = generate(model, 300, tmp_path / "a.h5", seed=1, progress=False, groups=("joint_angles",))
    table = storage.read(tmp_path / "a.h5").table
    assert told["n_ok"] == (table["status"] == "ok").sum() and table["trial_id"].is_unique and len(table) == 300
    assert list(storage.describe(tmp_path / "a.h5")["groups"]) == ["joint_angles"] and not (tmp_path / "a.h5.parts").exists()
    with pytest.raises(InputError, match="exists"):
        generate(model, 300, tmp_path / "a.h5", seed=1, progress=False)


def test_quality_tells_copies_from_new_strides(seeds: Trials) -> None:
    recipes = {name: f"generators/{name}.yaml" for name in ("gaussian", "nearest_seed")}
    root = Path(__file__).parents[2]
    rows, synthetic = evaluate(seeds, {k: root / v for k, v in recipes.items()}, held_out_fraction=0.3, progress=False)
    assert set(rows) == {"seed", "gaussian", "nearest_seed"} and set(rows["gaussian"]) == set(judge.KEYS)
    assert rows["nearest_seed"]["nearest_training_ratio"] < 0.5 < rows["gaussian"]["nearest_training_ratio"]
    assert rows["gaussian"]["duplicates"] == 0 and rows["gaussian"]["speed_error_median_mps"] < 0.02
    assert "c2st_accuracy" in judge.table_text(rows) and len(synthetic["gaussian"]) > 20


def test_two_sample_test_knows_both_ends() -> None:
    rng = np.random.default_rng(0)
    people = np.array([f"p{i}" for i in range(300)])
    a, b = rng.standard_normal((300, 5)), rng.standard_normal((300, 5))
    assert judge.two_sample_accuracy(a, b, people, people) == pytest.approx(0.5, abs=0.08)
    assert judge.two_sample_accuracy(a, b + 3, people, people) > 0.95
    assert judge.precision_recall(a, b)[0] > 0.85 and judge.precision_recall(a, b + 10) == (0.0, 0.0)
    precision, recall = judge.precision_recall(a, 0.05 * b)
    assert precision > 0.95 and recall < 0.3
