"""Augmentation: relatives keep the person, change what was asked, and say where they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthgait import augment
from synthgait.errors import InputError
from synthgait.generators import GaussianGenerator, StrideGenerator
from synthgait.trials import Trials
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


def test_dataset_feeds_a_loader(seeds: Trials) -> None:
    data = augment.StrideDataset(seeds, ["knee_flexion_r", "ground_reaction_y_r"], ["walking_speed_mps", "cadence_spm"])
    signals, targets = next(iter(torch.utils.data.DataLoader(data, batch_size=16)))  # type: ignore[attr-defined]
    assert signals.shape == (16, 2, 100) and targets.shape == (16, 2) and signals.dtype == torch.float32
    assert targets[3, 0].item() == pytest.approx(seeds.table["walking_speed_mps"][3], rel=1e-6)


def test_bad_input_is_named(model: StrideGenerator, seeds: Trials) -> None:
    with pytest.raises(InputError, match="'cadence_spm' is no condition"):
        augment.relatives(model, seeds.select([0]), cadence_spm=100)
    with pytest.raises(InputError, match="not positive"):
        augment.at_speeds(model, seeds.select([0]), [-1.0])
    with pytest.raises(InputError, match="centre of pressure"):
        augment.StrideDataset(seeds, ["centre_of_pressure_x_r"])
    with pytest.raises(InputError, match="no channel 'nothing'"):
        augment.StrideDataset(seeds, ["nothing"])
    with pytest.raises(InputError, match="no column 'iq'"):
        augment.StrideDataset(seeds, ["knee_flexion_r"], ["iq"])
    bare = Trials(seeds.table, {"joint_angles": seeds.signals["joint_angles"]})
    with pytest.raises(InputError, match="lack signal group"):
        augment.relatives(model, bare)
