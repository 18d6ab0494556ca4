"""Relatives of simulated strides, and the spread that conditions tell: on made-up numbers with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthgait.errors import InputError
from synthgait.generators.diffusion import DiffusionGenerator
from synthgait.generators.prior import ConditionalGaussian
from synthgait.generators.relatives import Relatives
from synthgait.generators.schedule import AngleScheduler


def rngs(n: int) -> list[np.random.Generator]:
    return [np.random.default_rng([1, i]) for i in range(n)]


def test_a_relative_is_near_and_of_the_same_category_the_nearer_the_likelier() -> None:
    speed = np.linspace(-2, 2, 40)
    kind = np.tile([0.0, 1.0], 20)
    codes = np.stack([speed, kind, 1 - kind], 1)
    relatives = Relatives.of(codes, np.arange(40.0)[:, None], np.ones(1))
    asked = np.repeat([[0.0, 1.0, 0.0]], 4000, 0)
    drawn = relatives.draw(asked, 0.2, rngs(4000))[:, 0].astype(int)
    assert set(drawn % 2) == {1}  # of that kind
    share = np.bincount(drawn, minlength=40) / 4000
    expected = np.where(kind == 1, np.exp(-(speed**2) / (2 * 0.2**2)), 0.0)
    assert np.abs(share - expected / expected.sum()).max() < 0.03
    assert np.array_equal(drawn, relatives.draw(asked, 0.2, rngs(4000))[:, 0])
    assert set(relatives.draw(asked, 1e-3, rngs(4000))[:, 0]) == {19.0}
    # few strides, and a reach beyond all of them
    assert set(Relatives.of(codes[:3], np.ones((3, 2)), np.ones(1)).draw(codes[:2], 100.0, rngs(2)).ravel()) == {1.0}


def test_what_strides_move_with_tells_who_is_near() -> None:
    codes = np.array([[0.0, 3.0], [1.0, 0.0]])
    asked = np.zeros((50, 2))
    for slopes, nearest in (([1.0, 1.0], 1.0), ([4.0, 1.0], 0.0)):
        relatives = Relatives.of(codes, np.arange(2.0)[:, None], np.array(slopes))
        assert set(relatives.draw(asked, 0.1, rngs(50)).ravel()) == {nearest}


def test_relatives_read_back_are_the_same() -> None:
    values = np.random.default_rng(0).standard_normal((20, 7))
    first = Relatives.of(values[:, :3], values, np.array([1.0, 3.0]))
    second = Relatives.from_arrays(first.arrays())
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("codes", "white", "weight"))


def test_sampling_starts_where_it_is_told() -> None:
    scheduler = AngleScheduler()
    signal = scheduler.start_at(0.45)
    scheduler.set_timesteps(2)
    assert signal == pytest.approx(math.cos(0.45), abs=2e-3)
    assert len(scheduler.timesteps) == 2 and scheduler._grid[0] == pytest.approx(math.acos(signal)) and scheduler._grid[-1] == 0.0


@pytest.mark.parametrize("settings", [{"noise_angle_rad": 0.0}, {"noise_angle_rad": 2.0}, {"noise_angle_rad": 0.5, "sampler": "dpm"}])
def test_a_start_that_cannot_be_is_refused(settings: dict) -> None:
    with pytest.raises(InputError, match="noise_angle_rad"):
        DiffusionGenerator(**settings)
    with pytest.raises(InputError, match="reach"):
        DiffusionGenerator(reach=0)


def test_the_gaussian_learns_that_some_conditions_scatter_more() -> None:
    rng = np.random.default_rng(3)
    people, latents_each = 400, 2
    codes = np.repeat(np.stack([rng.uniform(-1, 1, people), rng.integers(0, 2, people)], 1), latents_each, 0)
    spread = np.exp(0.6 * codes[:, 0] + 0.5 * codes[:, 1])
    white = rng.standard_normal((len(codes), 12))
    latents = 2 * codes[:, :1] + spread[:, None] * white @ np.diag(np.linspace(0.2, 2, 12))
    prior, learned = ConditionalGaussian.fit(latents, codes, 1, np.repeat(np.arange(people), latents_each))
    assert np.corrcoef(np.log(prior.scale(codes)), np.log(spread))[0, 1] > 0.97
    assert prior.scale(codes).min() < 0.5 < 2.0 < prior.scale(codes).max() / prior.scale(codes).min()
    assert np.std(np.linalg.norm(learned, axis=1)) < 0.25 * np.sqrt(12)  # of a white vector itself: 0.2
    back = prior.latents(codes, learned)
    assert np.abs(back - latents).mean() < 0.1 * np.abs(latents).mean()
    again = ConditionalGaussian.from_arrays(prior.arrays())
    assert np.array_equal(again.scale(codes), prior.scale(codes))
