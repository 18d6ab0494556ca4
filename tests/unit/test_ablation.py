"""The ablation: every arm is there, learns from what its name says, and the plot shows all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from analytic_walker import analytic_population
from row_keys import ROW_KEYS
from standin_recordings import standin_people
from synthgait import cli, recordings, storage
from synthgait.errors import InputError
from synthgait.estimators import read_recipe
from synthgait.estimators.fit import learning, train
from synthgait.report.agreement import ablation as draw
from synthgait.trials import Trials
from synthgait.validate import ablation
from varied_walkers import varied_walkers

RECIPE = {
    "walks": 20,
    "strides_per_walk": 3,
    "steps": 25,
    "batch": 32,
    "members": 1,
    "network": {"backbone": "cnn", "width": 12, "depth": 1},
}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    made = varied_walkers(60, seed=5)
    made.kind = "synthetic"
    folder = tmp_path_factory.mktemp("generated")
    paths = [folder / f"shard_{i}.h5" for i in range(2)]
    for path, rows in zip(paths, (slice(0, 35), slice(35, 60)), strict=True):
        storage.write(made.select(np.arange(60)[rows]), path)
    return paths


def test_every_arm_teaches_from_what_it_says(generated: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ablation.Ablation(("lower_back",), (20, 40), (1, 2), RECIPE)
    taught: list[tuple[Trials, bool]] = []
    own = ablation.fitted
    monkeypatch.setattr(ablation, "fitted", lambda t, *, ideal, **how: taught.append((t, ideal)) or own(t, ideal=ideal, **how))
    seed_dataset = analytic_population(25, seed=3)
    rows = ablation.ablate(settings, standin_people(4), seed_dataset, generated, progress=False)
    assert all(set(row) >= ROW_KEYS | {"arm", "n_strides", "n_real_people"} for row in rows)
    found = {(row["arm"], row["method"], row["n_strides"], row["n_real_people"]) for row in rows}
    zero_shot = {("generated", 40), ("generated", 20), ("without_pathology", 20), ("without_sensor_randomisation", 40), ("seed", 25)}
    real = {(arm, n, k) for arm, n in (("real_only", 0), ("pretrained", 40), ("pretrained_masked", 40)) for k in (1, 2)}
    assert found == {(a, "zero_shot", n, 0) for a, n in zero_shot} | {(a, "real_trained", n, k) for a, n, k in real}
    healthy = [t for t, _ in taught if set(t.table["pathology"]) == {"none"} and t.kind == "synthetic"]
    assert len(healthy) == 1 and [ideal for _, ideal in taught].count(True) == 1
    mixed = [t for t, _ in taught if set(t.table["pathology"]) != {"none"}]
    small, large = (next(t for t in mixed if len(t) == n) for n in (20, 40))
    assert set(small.table["trial_id"]) <= set(large.table["trial_id"])
    everybody = {row["n_people"] for row in rows if row["quantity"] == "walking_speed_mps"}
    assert everybody == {4}
    text = ablation.as_text(rows)
    assert "without_sensor_randomisation" in text and "walking_speed_mps" in text
    figure = draw(rows)
    assert figure is not None and len(figure.axes) == 2
    assert draw([row for row in rows if row["quantity"] == "nothing"]) is None


def test_more_strides_than_memory_holds_pass_by_in_parts(generated: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "_TOGETHER", 20)
    parts: list[Trials] = []
    own = ablation.sense
    monkeypatch.setattr(ablation, "sense", lambda t, *a, **how: parts.append(t) or own(t, *a, **how))
    settings = ablation.Ablation(("lower_back",), (20, 50, 70), (), RECIPE)
    rows = ablation.ablate(settings, standin_people(2), analytic_population(20, seed=3), generated, progress=False)
    # 70 are more than there are
    told = {row["n_strides"] for row in rows if row["arm"] == "generated"}
    assert told >= {20, 50} and 70 not in told
    passed = [part.table["trial_id"].tolist() for part in parts[-2:]]
    assert [len(names) for names in passed] == [20, 30] and len({name for names in passed for name in names}) == 50
    speeds = [row["mae"] for row in rows if row["quantity"] == "walking_speed_mps" and row["n_strides"] == 50]
    assert speeds and all(np.isfinite(speed) for speed in speeds)


def test_examples_that_pass_by_teach_as_if_they_had_been_there(generated: list[Path]) -> None:
    """A course that is sent the same examples again and again is the training on them."""
    recipe = {**read_recipe(RECIPE), "steps": 4}
    strides = storage.read(generated[0])
    examples = ablation.sense(strides, "lower_back", np.random.default_rng(0), task="gait_parameters", walks=20, strides=3)
    course = learning(examples, recipe, 1)
    next(course)
    for _ in range(3):
        network = course.send(examples)
    whole = train(examples, recipe, 1)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), whole.state_dict().values(), strict=True))
    with pytest.raises(StopIteration):
        next(course)


@pytest.mark.parametrize("sensor", ["lower_back", "shank", "keypoints_3d", "keypoints_3d_captured", "keypoints_2d", "joint_angles"])
def test_ideal_sensors_add_nothing(sensor: str) -> None:
    people = analytic_population(6, seed=3)
    one, two = (ablation.exact(people, sensor, np.random.default_rng(4), walks=6, strides=3) for _ in range(2))
    assert np.array_equal(one.cycles, two.cycles) and len(one.windows) >= 5
    batch = one.batch(np.random.default_rng(0), 8)
    windows = {row.tobytes() for row in one.cycles}
    assert all(row.tobytes() in windows for row in batch.cycles.numpy())


def test_the_command_writes_table_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], generated: list[Path]
) -> None:
    import yaml

    (tmp_path / "small.yaml").write_text(yaml.safe_dump(RECIPE | {"steps": 2}))
    storage.write(analytic_population(22, seed=3), tmp_path / "seed.h5")
    recordings.write_plain(standin_people(2), tmp_path / "recordings")
    plot, out = tmp_path / "plots" / "ablation.png", tmp_path / "ablation.json"
    options = ["--recordings", tmp_path / "recordings", "--data", tmp_path / "seed.h5", "--generated", generated[0].parent]
    options += ["--strides", 20, "--people", 0, "--recipe", tmp_path / "small.yaml", "--plot", plot, "--json", out]
    monkeypatch.setattr(sys, "argv", ["synthgait", "ablate", *map(str, options)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0, capsys.readouterr().err
    assert {row["method"] for row in json.loads(out.read_text())} == {"zero_shot"}
    assert plot.read_bytes().startswith(b"\x89PNG") and "walking_speed_mps" in capsys.readouterr().out


def test_bad_settings_are_named() -> None:
    for given, message in ((("nose",), "nose"), (("foot",), "foot")):
        with pytest.raises(InputError, match=message):
            settings = ablation.Ablation(given, (20,), (), RECIPE)
            ablation.ablate(settings, standin_people(2), analytic_population(20, seed=3), progress=False)
    with pytest.raises(InputError, match="at least 20"):
        ablation.Ablation(strides=(3,))
    with pytest.raises(InputError, match="muscle_activation"):
        ablation.Ablation(recipe="muscle_activation")
