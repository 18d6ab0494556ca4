"""Strides to disk: the same bytes whatever stopped the run and whoever shares it; quality runs end to end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from synthgait import bundled, cli, storage
from synthgait.errors import InputError
from synthgait.generators import SynthGaitPipeline, train
from synthgait.generators.base import BLOCK
from synthgait.generators.bench import _descendants, _marks
from synthgait.generators.generate import generate
from synthgait.generators.plausibility import Limits, broken_limits, reason
from synthgait.generators.quality import evaluate, split_people
from synthgait.generators.train import parse_recipe
from synthgait.report.generated import failures, worse_leg, write_figures
from synthgait.trials import Trials
from synthgait.validate import generator as judge
from varied_walkers import varied_walkers

generate_module = sys.modules["synthgait.generators.generate"]


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


def test_workers_share_shards_and_change_no_byte(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, asked = 6 * BLOCK + 100, {"seed": 1, "progress": False, "shard_strides": 5 * BLOCK}
    before = torch.get_num_threads()
    generate(model, n, tmp_path / "alone", **asked)
    assert torch.get_num_threads() == before

    def stopped(bar: object, done: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(generate_module.tqdm, "update", stopped)
        generate(model, n, tmp_path / "shared", **asked, workers=2)  # a shard each
    names = ("request.json", "strides-000000.h5", "strides-000001.h5")
    assert (tmp_path / "shared" / names[2]).is_file()
    (tmp_path / "shared" / names[1]).unlink(missing_ok=True)
    generate(model, n, tmp_path / "shared", **asked, workers=2)  # both have blocks of the one that is missing
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == list(names)
    for name in names:
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes(), name


def test_every_rejected_draw_is_counted_with_its_reason(model: Path, tmp_path: Path) -> None:
    n = BLOCK + 50
    told = generate(model, n, tmp_path / "a.h5", seed=1, attempts=3, max_residual_moment=0.02, progress=False)
    table = storage.read(tmp_path / "a.h5", groups=[]).table
    assert told["n_rejected_draws"] == (table["attempts"] - (table["status"] == "ok")).sum() == sum(told["rejections"].values()) > n
    assert told["rejections"]["moment residual is … N m/kg"] > n // 2
    for message, attempts, status in zip(table["rejected_message"], table["attempts"], table["status"], strict=True):
        assert sum(int(part.split(" x ")[0]) for part in message.split("; ") if part) == attempts - (status == "ok")
    assert (table["residual_moment_nmkg"][table["status"] == "ok"] <= 0.02).all()
    # the longest that can be: each of the limits
    measures = dict.fromkeys(("joint_excess_rad", "penetration_m", "foot_skate_mps", "residual_force_bw", "residual_moment_nmkg"), 1.0)
    measures |= {"repaired_force_bw": 1.0, "mean_vertical_bw": 2.0, "step_time_l_s": np.nan, "step_length_l_m": np.nan}
    loose = dict.fromkeys(("joint_margin_rad", "mean_vertical_bw", "penetration_m", "foot_skate_mps"), 9.0)
    loose |= dict.fromkeys(("residual_force_bw", "repaired_force_bw", "residual_moment_nmkg"), 9.0)
    found = []
    for name in (*loose, "none"):
        limits = Limits(**{key: value for key, value in loose.items() if key != name})
        found.append(broken_limits(pd.DataFrame([measures]), limits).to_numpy())
    reasons = "; ".join(f"100 x {reason(text)}" for (text,) in found)
    assert len({text for (text,) in found}) == 8 and len(reasons.encode()) < 512


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"max_residual": float("nan")}, "max_residual is nan"),
        ({"max_residual": -0.1}, "max_residual is -0.1"),
        ({"max_residual_moment": 0.0}, "max_residual_moment is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"seed": -1}, "seed is -1"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"pathology": "stiff_knee", "affected_side": "left"}, "together"),
    ],
)
def test_bad_requests_leave_nothing_behind(model: Path, tmp_path: Path, asked: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(model, 10, tmp_path / "out", progress=False, **asked)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out, message in (("file", "is a file"), ("file/x.h5", "cannot be made"), ("file/a/b", "cannot be made"), ("file.h5", "exists")):
        (tmp_path / "file.h5").write_text("mine")
        with pytest.raises(InputError, match=message):
            generate(model, 10, tmp_path / out, progress=False)
    assert {p.read_text() for p in tmp_path.iterdir()} == {"mine"}


def test_another_version_does_not_go_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(model, 10, tmp_path / "out", progress=False)
    generate(model, 10, tmp_path / "out", progress=False)
    monkeypatch.setattr(generate_module, "__version__", "99")
    with pytest.raises(InputError, match="version of synthgait"):
        generate(model, 10, tmp_path / "out", progress=False)


def test_the_command_sets_every_condition(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--pathology", "none", "--pathology", "foot_drop", "--set", "height_m=1.6-1.8", "--set", "slope=-0.05", "--set", "sex=male"]
    start = ["synthgait", "generate", str(model), "-n", "40", "-o", str(tmp_path / "a.h5")]
    for more, code in ((["--set", "seed=3"], 2), (["--set", "age_years=30", "--age", "30"], 2), (["--max-residual-moment", "0.3"], 0)):
        monkeypatch.setattr(sys, "argv", [*start, *words, *more])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        assert (end.value.code or 0) == code and ("Traceback" not in told.err) and (told.err.startswith("synthgait: ") == (code == 2))
    assert "n_rejected_draws" in told.out and "rejections" in told.out
    table = storage.read(tmp_path / "a.h5", groups=[]).table
    assert table["height_m"].between(1.6, 1.8).all() and (table["condition_slope"] == -0.05).all() and set(table["sex"]) == {"male"}
    assert (
        set(table["pathology"]) == {"none", "foot_drop"}
        and '"max_residual_moment": 0.3' in storage.read(tmp_path / "a.h5").provenance["config"]
    )


def test_one_file(model: Path, tmp_path: Path) -> None:
    told = generate(model, 300, tmp_path / "a.h5", seed=1, progress=False, groups=("joint_angles",))
    table = storage.read(tmp_path / "a.h5").table
    assert told["n_ok"] == (table["status"] == "ok").sum() and table["trial_id"].is_unique and len(table) == 300
    assert list(storage.describe(tmp_path / "a.h5")["groups"]) == ["joint_angles"] and not (tmp_path / "a.h5.parts").exists()
    with pytest.raises(InputError, match="exists"):
        generate(model, 300, tmp_path / "a.h5", seed=1, progress=False)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's package folder with its declarations, as yet without anything else that is bundled."""
    original = bundled.resources.files
    (tmp_path / "site" / "declarations").mkdir(parents=True)
    (tmp_path / "site" / "declarations" / "simulations").symlink_to(bundled.folder("simulations"))
    monkeypatch.setattr(bundled.resources, "files", lambda name: tmp_path / "site" if name == "synthgait" else original(name))
    return tmp_path / "site"


def test_without_a_model_the_bundled_one_generates(
    seeds: Trials, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installed / "data" / "generator"
    words = ["generate", "-n", "20", "--age", "65-75", "--pathology", "foot_drop", "-o", str(tmp_path / "out.h5")]
    monkeypatch.setattr(sys, "argv", ["synthgait", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capsys.readouterr().err
    assert end.value.code == 2 and told.startswith("synthgait: no generator comes with") and told.count("\n") == 1
    recipe = {"method": "diffusion", "settings": {"width": 16, "depth": 1, "sampling_steps": 3}, "training": {"steps": 4, "batch_size": 16}}
    SynthGaitPipeline.of(train(parse_recipe(recipe), seeds, progress=False)).save_pretrained(folder)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    table = storage.read(tmp_path / "out.h5").table
    assert len(table) == 20 and set(table["pathology"]) == {"foot_drop"} and table["condition_age_years"].between(65, 75).all()
    drawn = SynthGaitPipeline.from_pretrained()(n=20, age_years=(65, 75), pathology="foot_drop")
    assert list(drawn.table["walking_speed_mps"]) == list(table["walking_speed_mps"])
    for file in folder.rglob("*.safetensors"):
        assert all(a.dtype in (np.float32, np.int64) for a in load_file(file).values()), file


def test_what_is_bundled_stays_small() -> None:
    def mib(folder: Path) -> float:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20

    estimators = sum(mib(folder) for folder in bundled.estimators().values())
    assert mib(bundled.generator()) + estimators <= 20 and estimators <= 15


def test_quality_tells_copies_from_new_strides(seeds: Trials, tmp_path: Path) -> None:
    recipes = {name: f"generators/{name}.yaml" for name in ("gaussian", "nearest_seed")}
    root = Path(__file__).parents[2]
    rows, synthetic, held_out = evaluate(
        seeds, {k: root / v for k, v in recipes.items()}, held_out_fraction=0.3, duplicates_among=1500, progress=False
    )
    assert set(rows) == {"seed", "gaussian", "nearest_seed"} and set(rows["gaussian"]) == set(judge.KEYS)
    # over splits, copies on other bodies lie at 0.57 to 0.73 and new strides from 1.04 on
    assert rows["nearest_seed"]["nearest_training_ratio"] < 0.85 < rows["gaussian"]["nearest_training_ratio"]
    assert rows["gaussian"]["duplicates"] == 0 < 100 < rows["nearest_seed"]["duplicates"]
    assert rows["gaussian"]["speed_error_median_mps"] < 0.02
    assert "c2st_accuracy" in judge.table_text(rows) and len(synthetic["gaussian"]) > 20
    wanted = {"c2st_accuracy", "precision", "recall", "speed_error_median_mps", "step_length_error_median_m", "tstr_ratio", "duplicates"}
    wanted |= {"residual_force_p95_bw", "residual_moment_p95_nmkg", "foot_skate_p99_mps", "penetration_p99_m"}
    assert wanted <= set(rows["gaussian"]) and all(np.isfinite(rows["gaussian"][key]) for key in wanted)
    files = write_figures(held_out, synthetic["gaussian"], tmp_path)
    assert {f"curves_{p}.png" for p in set(held_out.table["pathology"])} <= {f.name for f in files}
    assert all(f.stat().st_size > 100 for f in files)


def test_failures_are_listed_worst_first(seeds: Trials) -> None:
    rng = np.random.default_rng(0)
    table = seeds.table.assign(foot_skate_mps=rng.uniform(0, 1, len(seeds)), status="ok", status_message="")
    table.loc[:9, ["status", "status_message"]] = ["implausible", "skates"]
    listed = failures(Trials(table, seeds.signals, dict(seeds.channels)), worst=3)
    assert set(listed["measure"]) == {"foot_skate_mps"} and list(listed["verdict"]) == ["accepted"] * 3 + ["rejected"] * 3
    assert list(listed["value"][3:]) == sorted(table["foot_skate_mps"][:10], reverse=True)[:3]
    assert list(listed["value"][:3]) == sorted(table["foot_skate_mps"][10:], reverse=True)[:3]
    assert (table["foot_skate_mps"].iloc[listed["row"]].to_numpy() == listed["value"].to_numpy()).all()


def test_curves_are_of_the_affected_leg(seeds: Trials) -> None:
    row = int(np.flatnonzero(seeds.table["affected_side"] == "left")[0])
    one, curves = seeds.select([row]), worse_leg(seeds.select([row]))
    shift = round(100 * float(one.table["step_time_l_s"].iloc[0] / one.table["stride_time_s"].iloc[0]))
    turned = np.roll(one.channel("knee_flexion_l")[0], -shift)
    assert np.abs(curves.channel("knee_flexion_r")[0] - turned).max() < 0.05 < np.abs(one.channel("knee_flexion_r")[0] - turned).max()
    assert not np.array_equal(curves.channel("knee_flexion_r")[0], one.channel("knee_flexion_r")[0])


def test_people_and_pathologies_are_split_apart(seeds: Trials) -> None:
    few = seeds.select(np.flatnonzero((seeds.table["pathology"] != "foot_drop") | (np.arange(len(seeds)) < 6)))
    training, held_out = split_people(few, 0.3, 0)
    assert not set(training.table["subject_id"]) & set(held_out.table["subject_id"])
    assert set(held_out.table["pathology"]) <= set(training.table["pathology"]) == set(few.table["pathology"])
    assert len(held_out) == pytest.approx(0.3 * len(few), abs=4)


def test_two_sample_test_knows_both_ends() -> None:
    rng = np.random.default_rng(0)
    people = np.array([f"p{i}" for i in range(300)])
    a, b = rng.standard_normal((300, 5)), rng.standard_normal((300, 5))
    assert judge.two_sample_accuracy(a, b, people, people) == pytest.approx(0.5, abs=0.08)
    assert judge.two_sample_accuracy(a, b + 3, people, people) > 0.95
    assert judge.precision_recall(a, b)[0] > 0.85 and judge.precision_recall(a, b + 10) == (0.0, 0.0)
    precision, recall = judge.precision_recall(a, 0.05 * b)
    assert precision > 0.95 and recall < 0.3


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "synthgait.cli", "generate", "-n", "300000", "--workers", "2", "-o", str(tmp_path / "out")]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        children: list[int] = []
        for _ in range(600):
            children = [pid for pid in _descendants(running.pid) if pid != running.pid]
            if any((tmp_path / "out").glob("*.partial")) and len(children) >= 2:
                break
            time.sleep(0.1)
        assert len(children) >= 2
        with pytest.raises(InputError, match="another process is writing"):
            generate(None, 300_000, tmp_path / "out", workers=1, progress=False)
    finally:
        running.kill()
        running.wait()
    for _ in range(100):
        if not any(_marks(pid) for pid in children):
            return
        time.sleep(0.1)
    raise AssertionError("workers outlive the process that started them")
