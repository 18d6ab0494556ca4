"""One contract for every generator: fit, sample, save, load; and what training promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from synthgait import bundled
from synthgait.errors import InputError
from synthgait.gait import spatiotemporal, typical_cadence_spm
from synthgait.generators import GENERATORS, DiffusionGenerator, StrideGenerator, SynthGaitPipeline, load, read_recipe, train
from synthgait.generators.base import BLOCK
from synthgait.generators.conditions import ConditionSpace, condition_table
from synthgait.generators.diffusion import denoise
from synthgait.generators.prior import ConditionalGaussian
from synthgait.generators.train import Recipe, parse_recipe, split_by_subject
from synthgait.generators.yardsticks import GaussianGenerator
from synthgait.subjects import MASS_RANGE_KG
from synthgait.trials import Trials
from varied_walkers import varied_walkers

NETWORKS = {"diffusion": {"width": 32, "depth": 1, "sampling_steps": 6}, "gan": {"width": 32, "depth": 1, "critic_updates": 1}}


def tiny(method: str, steps: int = 12, **training: object) -> Recipe:
    network = method in NETWORKS
    return parse_recipe(
        {
            "method": method,
            "settings": NETWORKS.get(method, {}),
            "representation": {"max_components": 24},
            "training": {"steps": steps, "batch_size": 32, "validate_every": 4, "checkpoint_every": 5, "warmup_steps": 2, **training}
            if network
            else {},
        }
    )


@pytest.fixture(scope="module")
def seeds() -> Trials:
    return varied_walkers(60, seed=1)


@pytest.fixture(scope="module", params=sorted(GENERATORS))
def trained(request: pytest.FixtureRequest, seeds: Trials, tmp_path_factory: pytest.TempPathFactory) -> tuple[StrideGenerator, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    return train(tiny(request.param), seeds, folder, progress=False), folder


def same(a: Trials, b: Trials) -> bool:
    return (
        a.table.equals(b.table) and a.events.equals(b.events) and all(a.signals[g].tobytes() == b.signals[g].tobytes() for g in a.signals)
    )


def test_sample_save_load(trained: tuple[StrideGenerator, Path]) -> None:
    model, folder = trained
    strides = model.sample(40, seed=3, age_years=(60, 80), pathology="foot_drop")
    assert strides.kind == "synthetic" and len(strides) == 40 and strides.signals["joint_angles"].shape == (40, 100, 13)
    assert strides.table["condition_age_years"].between(60, 80).all() and (strides.table["pathology"] == "foot_drop").all()
    assert set(strides.table["affected_side"]) <= {"left", "right"}
    assert same(strides, load(folder).sample(40, seed=3, age_years=(60, 80), pathology="foot_drop"))
    assert not same(strides, model.sample(40, seed=4, age_years=(60, 80), pathology="foot_drop"))


def test_a_part_is_the_part_of_the_whole(trained: tuple[StrideGenerator, Path]) -> None:
    model, _ = trained
    whole = model.sample(BLOCK + 30, seed=2)
    assert same(model.sample(50, seed=2, first=BLOCK - 20), whole.select(np.arange(BLOCK - 20, BLOCK + 30)))


def test_realised_is_measured_and_kept_apart(trained: tuple[StrideGenerator, Path]) -> None:
    model, _ = trained
    strides = model.sample(30, seed=5, walking_speed_mps=1.1)
    table = strides.table
    assert (table["condition_walking_speed_mps"] == 1.1).all() and table["walking_speed_mps"].nunique() > 10
    assert np.allclose(table["walking_speed_mps"], 1.1, atol=2e-3) and np.allclose(table["stride_time_s"], table["condition_stride_time_s"])
    again = spatiotemporal(strides)  # from the file's own signals and bodies built one by one
    for column in ("walking_speed_mps", "step_length_l_m", "step_width_m", "stance_time_r_s"):
        assert np.allclose(again[column], table[column], atol=1e-3), column
    contacts = strides.events.groupby("trial_index").size()
    assert (contacts[strides.table["status"].to_numpy() == "ok"] == 4).all()


def test_implausible_strides_are_kept_and_named(trained: tuple[StrideGenerator, Path]) -> None:
    model, _ = trained
    strides = model.sample(20, seed=1, attempts=2, max_residual=1e-6)
    assert (strides.table["status"] == "implausible").all() and (strides.table["attempts"] == 2).all()
    messages = strides.table["status_message"]
    # sole and joint limits are named before those of the dynamics
    assert messages.str.contains("residual|skates|floor|joint").all() and messages.str.contains("residual").sum() > 10


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"age": 70}, "unknown condition 'age'"),
        ({"age_years": 700}, "age_years is 700"),
        ({"age_years": (80, 60)}, "age_years is"),
        ({"pathology": "stroke"}, "pathology is 'stroke'"),
        ({"pathology": "stiff_knee", "affected_side": "left"}, "together"),
        ({"height_m": "tall"}, "give a number"),
    ],
)
def test_bad_requests_are_one_sentence(trained: tuple[StrideGenerator, Path], request_: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trained[0].sample(5, **request_)


@pytest.mark.parametrize(("sampler", "steps", "tolerance"), [("angle", 4, 0.03), ("dpm", 20, 0.03), ("ddim", 200, 0.05)])
def test_samplers_find_the_distribution(sampler: str, steps: int, tolerance: float) -> None:
    """Of data that are a Gaussian of deviation s the velocity is known, and so is what must come out: s times the noise."""
    deviation = 1.2

    class Known:
        def modulation(self, codes: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
            return codes

        def denoise(self, sample: torch.Tensor, time: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
            signal = alphas[time].sqrt()
            noise = (1 - alphas[time]).sqrt()
            return signal * noise * (1 - deviation**2) * sample / (signal**2 * deviation**2 + noise**2)

    alphas = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    noise = torch.randn((50, 8), generator=torch.Generator().manual_seed(0))
    scheduler = DiffusionGenerator(sampler=sampler).scheduler()
    made = denoise(Known(), scheduler, noise, torch.zeros(50, 1), torch.ones(50, 1), steps)  # type: ignore[arg-type]
    assert torch.allclose(made, deviation * noise, rtol=tolerance)


def test_other_versions_and_damage_are_told(trained: tuple[StrideGenerator, Path], tmp_path: Path) -> None:
    model, _ = trained
    with pytest.raises(InputError, match="not a generator"):
        load(tmp_path)
    model.save(tmp_path)
    file = tmp_path / "generator.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description | {"format_version": "99"}))
    with pytest.raises(InputError, match="format 99"):
        load(tmp_path)
    file.write_text(json.dumps(description))
    weights = tmp_path / "representation.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path)


def test_pipeline(seeds: Trials, tmp_path: Path) -> None:
    model = train(tiny("diffusion"), seeds, tmp_path / "a", progress=False)
    pipeline = SynthGaitPipeline.from_pretrained(tmp_path / "a")
    assert same(pipeline(n=8, age_years=70, seed=1), model.sample(8, age_years=70, seed=1))
    pipeline.save_pretrained(tmp_path / "b")
    assert same(SynthGaitPipeline.from_pretrained(tmp_path / "b")(n=8, seed=1), model.sample(8, seed=1))
    assert json.loads((tmp_path / "b" / "model_index.json").read_text())["_class_name"] == "SynthGaitPipeline"
    # another scheduler of diffusers samples by itself, as many steps as are asked for
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    other = pipeline(n=8, seed=1, num_inference_steps=4)
    assert not same(other, model.sample(8, seed=1)) and same(other, pipeline(n=8, seed=1, num_inference_steps=4))
    with pytest.raises(InputError, match="num_inference_steps is 0"):
        pipeline(n=1, num_inference_steps=0)
    with pytest.raises(InputError, match="float32"):
        pipeline.to(torch.float16)
    with pytest.raises(InputError, match="'torch_dtype' is no setting"):
        SynthGaitPipeline.from_pretrained(tmp_path / "a", torch_dtype=torch.float16)
    assert not same(model.sample(8, seed=1, guidance_scale=2.0), model.sample(8, seed=1))


@pytest.mark.parametrize("method", sorted(NETWORKS))
def test_stopping_and_going_on_is_never_stopping(method: str, seeds: Trials, tmp_path: Path) -> None:
    straight = train(tiny(method), seeds, tmp_path / "straight", progress=False)
    for stop in (3, 7, None):
        broken = train(tiny(method), seeds, tmp_path / "broken", progress=False, stop_after=stop)
    assert (tmp_path / "straight/history.csv").read_bytes() == (tmp_path / "broken/history.csv").read_bytes()
    assert same(straight.sample(20, seed=1), broken.sample(20, seed=1))
    assert (tmp_path / "broken/loss.png").stat().st_size > 1000 and not (tmp_path / "broken/checkpoint.pt").exists()


def test_a_checkpoint_of_another_version_or_recipe(seeds: Trials, tmp_path: Path) -> None:
    train(tiny("diffusion"), seeds, tmp_path, progress=False, stop_after=3)
    with pytest.raises(InputError, match="another recipe"):
        train(tiny("diffusion", steps=13), seeds, tmp_path, progress=False)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(content | {"version": 0}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="version 0"):
        train(tiny("diffusion"), seeds, tmp_path, progress=False)


def test_recipes() -> None:
    for name in GENERATORS:
        assert read_recipe(bundled.find(f"generators/{name}")).method == name
    with pytest.raises(InputError, match=r"training\.step is not a key"):
        parse_recipe({"method": "diffusion", "training": {"step": 3}})
    with pytest.raises(InputError, match="method"):
        parse_recipe({"method": "magic"})


def test_an_unknown_setting_is_told(seeds: Trials) -> None:
    with pytest.raises(InputError, match="depht"):
        train(parse_recipe({"method": "diffusion", "settings": {"depht": 3}}), seeds, progress=False)


# -- the parts ----------------------------------------------------------------------------------------------


def test_no_subject_in_both_parts() -> None:
    subjects = np.repeat([f"p{i}" for i in range(30)], 3)
    training, validation = split_by_subject(subjects, 0.2, 0)
    assert len(validation) == 18 and not set(subjects[training]) & set(subjects[validation])


def test_conditional_gaussian_finds_a_known_law() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((400, 3))
    people = np.repeat(np.arange(200), 2).astype(str)
    noise = rng.standard_normal((400, 2)) * np.array([0.0, 0.5])
    latents = np.stack([1 + codes[:, 0] * codes[:, 1], codes[:, 2]], 1) + noise
    gaussian, white = ConditionalGaussian.fit(latents, codes, 3, people)
    assert np.abs(gaussian.latents(codes, np.zeros((400, 2)))[:, 0] - latents[:, 0]).max() < 0.02
    assert gaussian.root[1, 1] == pytest.approx(0.5, rel=0.1) and abs(gaussian.root[0, 0]) < 0.02
    assert white[:, 1].std() == pytest.approx(1, rel=0.1)


def test_conditional_gaussian_learns_each_impaired_side_on_its_own() -> None:
    rng = np.random.default_rng(1)
    severity = rng.uniform(-1, 1, (600, 2))
    kind, side = np.eye(3)[rng.integers(0, 3, 600)], np.eye(2)[rng.integers(0, 2, 600)]
    slope = np.array([[0.0, 0.0], [2.0, -2.0], [0.5, 1.0]])[kind.argmax(1), side.argmax(1)]
    codes = np.concatenate([severity, kind, side], 1)
    latents = (slope * severity[:, 0])[:, None] + 0.05 * rng.standard_normal((600, 1))
    people = np.arange(600).astype(str)
    together, _ = ConditionalGaussian.fit(latents, codes, 2, people)
    apart, _ = ConditionalGaussian.fit(latents, codes, 2, people, (3, 2))
    assert np.abs(together.mean(codes) - latents).mean() > 0.3
    assert np.abs(apart.mean(codes) - latents).mean() < 0.05
    slopes = apart.slopes(codes)
    assert slopes[0] == pytest.approx(np.sqrt((slope**2).mean()), rel=0.05) and slopes[1] < 0.05
    again = ConditionalGaussian.from_arrays(apart.arrays())
    assert np.array_equal(again.mean(codes), apart.mean(codes))


def test_open_conditions_come_from_the_population(seeds: Trials) -> None:
    space = ConditionSpace(condition_table(seeds.table))
    rngs = [np.random.default_rng(i) for i in range(600)]
    drawn = space.draw({}, rngs)
    assert set(drawn["pathology"]) == {"none", "stiff_knee", "foot_drop"}
    assert drawn["age_years"].mean() == pytest.approx(seeds.table["age_years"].mean(), abs=3)
    assert np.corrcoef(drawn["height_m"], drawn["leg_length_m"])[0, 1] > 0.95
    assert ((drawn["severity"] > 0) == (drawn["pathology"] != "none")).all()
    children = space.draw({"age_years": (8, 10)}, [np.random.default_rng(i) for i in range(100)])
    assert children["height_m"].between(1.0, 1.6).all() and children["mass_kg"].between(14, 55).all()
    alone = space.draw({}, [np.random.default_rng(17)])
    pd.testing.assert_frame_equal(alone, drawn.iloc[[17]].reset_index(drop=True))


def test_shufflers_are_rare_unless_asked_for() -> None:
    person = {"age_years": 70.0, "height_m": 1.7, "mass_kg": 70.0, "leg_length_m": 0.9, "severity": 0.0, "slope": 0.0}
    person |= {"knee_varus_rad": 0.0, "sex": "female", "pathology": "none", "affected_side": "none", "walking_speed_mps": 0.6}
    usual_s = 120.0 / typical_cadence_spm(0.6, 1.7)
    space = ConditionSpace(pd.DataFrame([person | {"stride_time_s": usual_s}, person | {"stride_time_s": usual_s / 1.8}]))
    rngs = [np.random.default_rng(i) for i in range(200)]
    for request in ({}, {"walking_speed_mps": 0.6}):
        quick = space.draw(request, rngs)["stride_time_s"] < usual_s / 1.4
        assert 0.02 < quick.mean() < 0.3
    assert np.all(space.draw({"stride_time_s": usual_s / 1.8}, rngs)["stride_time_s"] == usual_s / 1.8)


def test_nobody_is_smaller_than_a_person() -> None:
    child = {"age_years": 5.0, "height_m": 0.97, "mass_kg": 10.3, "leg_length_m": 0.45, "severity": 0.0, "slope": 0.0}
    child |= {"knee_varus_rad": 0.0, "sex": "female", "pathology": "none", "affected_side": "none", "walking_speed_mps": 0.6}
    space = ConditionSpace(pd.DataFrame([child | {"stride_time_s": 0.9}] * 2))
    drawn = space.draw({}, [np.random.default_rng(i) for i in range(200)])
    assert drawn["mass_kg"].min() == MASS_RANGE_KG[0] < drawn["mass_kg"].max()


def test_a_fit_takes_one_thread_and_gives_the_others_back(seeds: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(GaussianGenerator, "_learn", lambda *given, **training: seen.append(torch.get_num_threads()))
    try:
        GaussianGenerator().fit(seeds)
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
