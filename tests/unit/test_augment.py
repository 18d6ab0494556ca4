"""Augmentation: relatives keep the person, change what was asked, and say where they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthgait import augment, datasets
from synthgait.errors import InputError
from synthgait.generators import GaussianGenerator, StrideGenerator, train
from synthgait.generators.conditions import condition_table
from synthgait.generators.train import parse_recipe
from synthgait.sensors import EMG, IMU
from synthgait.trials import Trials
from synthgait.walks import walk
from varied_walkers import varied_walkers


@pytest.fixture(scope="module")
def seeds() -> Trials:
    return varied_walkers(60, seed=4)


@pytest.fixture(scope="module")
def model(seeds: Trials) -> StrideGenerator:
    return GaussianGenerator().fit(seeds, representation={"max_components": 40})


def test_strides_are_plausible_and_repeatable(model: StrideGenerator) -> None:
    drawn = augment.strides(model, 30, 5, age_years=(60, 75))
    again = augment.strides(model, 30, 5, age_years=(60, 75))
    assert len(drawn) == 30 and (drawn.table["status"] == "ok").all() and drawn.table["trial_id"].is_unique
    assert drawn.table["age_years"].between(60, 75).all()
    assert drawn.table.equals(again.table) and drawn.signals["joint_angles"].tobytes() == again.signals["joint_angles"].tobytes()


def test_nothing_changed_gives_the_stride_back(model: StrideGenerator, seeds: Trials) -> None:
    source = seeds.select(np.arange(12))
    back = augment.relatives(model, source)
    code_error = model.representation.reconstruction_error(source)["joint_angles"]
    difference = back.signals["joint_angles"] - source.signals["joint_angles"]
    assert np.sqrt(np.mean(difference**2)) == pytest.approx(code_error, rel=1e-3)
    assert list(back.table["source_trial_id"]) == list(source.table["trial_id"])
    alone = augment.relatives(model, seeds.select([0]))
    assert np.allclose(alone.signals["joint_angles"][0], back.signals["joint_angles"][0], atol=1e-5)


def test_other_speeds_keep_the_person(model: StrideGenerator, seeds: Trials) -> None:
    source = seeds.select(np.flatnonzero((seeds.table["pathology"] == "none") & seeds.table["age_years"].between(20, 70))[:8])
    speeds = (0.9, 1.2, 1.5)
    made = augment.at_speeds(model, source, speeds)
    assert len(made) == 3 * len(source)
    asked = np.tile(speeds, len(source))
    assert np.allclose(made.table["walking_speed_mps"], asked, atol=0.03)
    for column in ("height_m", "mass_kg", "age_years", "sex", "subject_id"):
        assert list(made.table[column]) == list(np.repeat(source.table[column].to_numpy(), 3))
    assert np.all(np.diff(made.table["cadence_spm"].to_numpy().reshape(-1, 3), axis=1) > 0)
    # a relative is nearer to its own source than to other people
    angles = made.signals["joint_angles"][1::3].reshape(len(source), -1)
    sources = source.signals["joint_angles"].reshape(len(source), -1)
    nearest = np.linalg.norm(angles[:, None] - sources[None], axis=2).argmin(1)
    assert np.mean(nearest == np.arange(len(source))) > 0.7


def test_another_body_at_the_same_dimensionless_gait(model: StrideGenerator, seeds: Trials) -> None:
    source = seeds.select(np.flatnonzero(seeds.table["age_years"] > 20)[:5])
    made = augment.on_body(model, source, height_m=1.7, mass_kg=66.0)
    froude = made.table["walking_speed_mps"] ** 2 / made.table["leg_length_m"]
    assert np.allclose(froude, source.table["walking_speed_mps"] ** 2 / source.table["leg_length_m"], rtol=0.06)
    assert (made.table["height_m"] == 1.7).all() and (made.table["mass_kg"] == 66.0).all()


@pytest.fixture(scope="module")
def strangers() -> Trials:
    return varied_walkers(24, seed=77)


@pytest.fixture(scope="module")
def diffusion() -> StrideGenerator:
    recipe = {"method": "diffusion", "settings": {"width": 32, "depth": 1}, "training": {"steps": 20, "batch_size": 64, "warmup_steps": 2}}
    return train(parse_recipe(recipe | {"representation": {"max_components": 96}}), varied_walkers(200, seed=4), progress=False)


def misses(made: Trials, truth: Trials, name: str, draws: int) -> float:
    """Root mean square of the mean draw against the truth."""
    mean = made.channel(name).reshape(len(truth), draws, -1).mean(1)
    wrong = mean - truth.channel(name)
    return float(np.sqrt((wrong**2).mean()))


@pytest.mark.parametrize("method", ["gaussian", "diffusion"])
def test_hidden_channels_of_strangers_are_found(
    method: str, diffusion: StrideGenerator, strangers: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = diffusion
    monkeypatch.setattr(StrideGenerator, "holds_feet", False)  # these walkers' feet slide, as no real ones do
    if method == "gaussian":
        model = GaussianGenerator().fit(varied_walkers(200, seed=4), representation={"max_components": 96})
    known = [*strangers.channels["joint_angles"], "pelvis_tilt", "pelvis_list", "pelvis_rotation"]
    hidden = strangers.select(np.arange(len(strangers)))
    for group in ("ground_reaction", "centre_of_pressure", "muscle_activation"):
        del hidden.signals[group], hidden.channels[group]
    hidden.signals["pelvis"] = hidden.signals["pelvis"].copy()
    hidden.signals["pelvis"][:, 7, 3:] = np.nan
    draws = 6
    made = augment.fill(model, hidden, 3, draws=draws)
    again = augment.fill(model, strangers, 3, known=known, draws=draws)
    blank = model.sample_under(condition_table(strangers.table.loc[strangers.table.index.repeat(draws)]), seed=3)
    assert made.signals["pelvis"].tobytes() == again.signals["pelvis"].tobytes()
    for name in known:  # what was known stays, bit by bit
        assert made.channel(name).tobytes() == np.repeat(strangers.channel(name), draws, 0).tobytes()
    for name in ("pelvis_ty", "ground_reaction_y_r", "ground_reaction_x_l"):
        typical = np.sqrt(((strangers.channel(name) - strangers.channel(name).mean(0)) ** 2).mean())
        wrong = misses(made, strangers, name, draws)
        # better than the mean gait, and than what the conditions alone say
        assert wrong < 0.7 * typical and wrong < 0.9 * misses(blank, strangers, name, draws), name
        # as sure as it should be: the draws scatter about as much as they miss
        scatter = made.channel(name).reshape(len(strangers), draws, -1).std(1, ddof=1).mean()
        assert 0.3 < wrong / scatter < 3.0, name
    assert list(made.table["source_trial_id"]) == list(np.repeat(strangers.table["trial_id"].to_numpy(), draws))
    assert made.table["trial_id"].is_unique and np.isfinite(made.table["residual_force_bw"]).all()


def test_each_stride_may_lack_something_else(diffusion: StrideGenerator, strangers: Trials) -> None:
    some = strangers.select(np.arange(4))
    lacking = some.select(np.arange(4))
    lacking.signals["joint_angles"][1, :, 3] = np.nan
    lacking.signals["joint_angles"][3, 50, 3] = np.nan
    lacking.signals["ground_reaction"][2] = np.nan
    made = augment.fill(diffusion, lacking, 1)
    for row, group in ((0, "ground_reaction"), (0, "pelvis"), (2, "joint_angles"), (1, "ground_reaction")):
        assert made.signals[group][row].tobytes() == some.signals[group][row].tobytes()
    name = some.channels["joint_angles"][3]
    assert np.isfinite(made.signals["joint_angles"]).all() and np.isfinite(made.signals["ground_reaction"]).all()
    assert not np.array_equal(made.channel(name)[1], some.channel(name)[1])
    alone = augment.fill(diffusion, lacking.select([0]), 1)
    assert np.allclose(alone.signals["muscle_activation"], made.signals["muscle_activation"][:1], atol=1e-4)
    nothing = lacking.select([0])
    nothing.signals = {"joint_angles": np.full_like(nothing.signals["joint_angles"], np.nan)}
    with pytest.raises(InputError, match="no channel that is known"):
        augment.fill(diffusion, nothing, 1)
    with pytest.raises(InputError, match="'brain_wave' is no channel"):
        augment.fill(diffusion, some, 1, known=["brain_wave"])


def test_dataset_feeds_a_loader(seeds: Trials) -> None:
    data = augment.StrideDataset(seeds, ["knee_flexion_r", "ground_reaction_y_r"], ["walking_speed_mps", "cadence_spm"])
    signals, targets = next(iter(torch.utils.data.DataLoader(data, batch_size=16)))  # type: ignore[attr-defined]
    assert signals.shape == (16, 2, 100) and targets.shape == (16, 2) and signals.dtype == torch.float32
    assert targets[3, 0].item() == pytest.approx(seeds.table["walking_speed_mps"][3], rel=1e-6)


def test_strides_come_for_as_long_as_a_training_lasts(model: StrideGenerator) -> None:
    def some(workers: int) -> list[torch.Tensor]:
        data = augment.EndlessStrides(model, 3, ["knee_flexion_r"], ["walking_speed_mps"], age_years=(60, 70))
        loader = iter(torch.utils.data.DataLoader(data, batch_size=600, num_workers=workers))  # type: ignore[attr-defined]
        return [next(loader)[0] for _ in range(3)]

    alone, again, shared = some(0), some(0), some(2)
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))
    assert torch.equal(shared[0], alone[0])
    assert len(torch.unique(torch.cat(shared)[:, 0], dim=0)) == 1800  # two workers give no stride twice


def test_relatives_and_filled_strides_stand_on_their_feet() -> None:
    model, seeds = StrideGenerator.load(), datasets.load().certified()
    some = seeds.select(np.random.default_rng(4).permutation(len(seeds))[:40])
    speeds, times = (some.table[name].to_numpy() for name in ("walking_speed_mps", "stride_time_s"))
    angles = Trials(some.table, {"joint_angles": some.signals["joint_angles"]})

    def plausible(made: Trials) -> float:
        return float((made.table["status"] == "ok").mean())

    assert plausible(augment.relatives(model, some)) >= 0.9
    assert plausible(augment.relatives(model, some, walking_speed_mps=1.1 * speeds, stride_time_s=times / 1.05)) >= 0.75
    # where nothing is known of the pelvis, it must go with the angles to millimetres
    filled = augment.fill(model, angles, 1, draws=4)
    assert plausible(filled) >= 0.3
    for name in ("pelvis_ty", "ground_reaction_y_r", "ground_reaction_x_l"):
        scatter = filled.channel(name).reshape(len(some), 4, -1).std(1, ddof=1).mean()
        assert 0.3 < misses(filled, some, name, 4) / scatter < 3.0, name
    one_leg = [name for name in angles.channels["joint_angles"] if name.startswith(("hip_flexion_r", "knee_flexion_r", "ankle"))]
    assert plausible(augment.fill(model, angles, 1, known=one_leg)) >= 0.4


def test_bad_input_is_named(model: StrideGenerator, seeds: Trials) -> None:
    with pytest.raises(InputError, match="'cadence_spm' is no condition"):
        augment.relatives(model, seeds.select([0]), cadence_spm=100)
    with pytest.raises(InputError, match="not positive"):
        augment.at_speeds(model, seeds.select([0]), [-1.0])
    with pytest.raises(InputError, match="no walking speed"):
        augment.at_speeds(model, seeds.select([0]), [])
    with pytest.raises(InputError, match=r"walking_speed_mps is \(50"):
        augment.at_speeds(model, seeds.select([0]), [50.0])
    with pytest.raises(InputError, match="one for each of the 3 strides"):
        augment.relatives(model, seeds.select([0, 1, 2]), age_years=[50.0, 60.0])
    with pytest.raises(InputError, match="age_years is not known"):
        augment.relatives(model, seeds.select([0]), age_years=np.nan)
    with pytest.raises(InputError, match="0 strides"):
        augment.strides(model, 0, 1)
    with pytest.raises(InputError, match="is no number"):
        augment.StrideDataset(seeds, ["knee_flexion_r"], ["pathology"])
    with pytest.raises(InputError, match="centre of pressure"):
        augment.StrideDataset(seeds, ["centre_of_pressure_x_r"])
    with pytest.raises(InputError, match="no channel 'nothing'"):
        augment.StrideDataset(seeds, ["nothing"])
    with pytest.raises(InputError, match="no column 'iq'"):
        augment.StrideDataset(seeds, ["knee_flexion_r"], ["iq"])
    bare = Trials(seeds.table, {"joint_angles": seeds.signals["joint_angles"]})
    with pytest.raises(InputError, match="lack signal group"):
        augment.relatives(model, bare)


def test_trials_that_failed_are_named(model: StrideGenerator) -> None:
    everyone = datasets.load()
    ok = (everyone.table["status"] == "ok").to_numpy()
    mixed = everyone.select(np.r_[np.flatnonzero(ok)[:5], np.flatnonzero(~ok)[:2]])
    first = mixed.table.iloc[5]
    said = rf"2 of 7 trials hold no gait \({first['trial_id']}: {first['status']}\); .* trials\.certified\(\)"
    for use in (
        lambda: walk(mixed, 8.0, np.random.default_rng(0)),
        lambda: augment.StrideDataset(mixed, ["knee_flexion_r"]),
        lambda: augment.at_speeds(model, mixed, [1.0]),
        lambda: augment.fill(model, mixed, 1),
        lambda: IMU("lower_back").record(mixed),
        lambda: EMG().record(mixed, np.random.default_rng(0)),
    ):
        with pytest.raises(InputError, match=said):
            use()
    assert len(augment.StrideDataset(mixed.certified(), ["knee_flexion_r"])) == 5
