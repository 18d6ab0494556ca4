"""Strides to vectors and back: exactness, mirroring, dynamic similarity."""

from __future__ import annotations

import numpy as np
import pytest

from analytic_walker import analytic_population
from synthgait.errors import InputError
from synthgait.gait import dimensionless_speed, mirror
from synthgait.generators.representation import (
    DEFAULT_HARMONICS,
    StrideRepresentation,
    Walker,
    derivative_matrix,
    fourier_basis,
    left_contact_phase,
    mirror_features,
    stride_features,
)
from synthgait.trials import Trials
from varied_walkers import varied_walkers


@pytest.fixture(scope="module")
def walkers() -> Trials:
    return varied_walkers(60, seed=3)


@pytest.fixture(scope="module")
def representation(walkers: Trials) -> StrideRepresentation:
    return StrideRepresentation.fit(walkers, max_components=200, error=1e-3)


def test_the_basis_is_orthonormal_and_differentiates_exactly() -> None:
    basis = fourier_basis(20)
    assert np.allclose(basis.T @ basis / 100, np.eye(41), atol=1e-12)
    phase = np.arange(100) / 100
    wave = np.sin(2 * np.pi * 3 * phase)
    assert np.allclose(derivative_matrix(1, 20) @ wave, 6 * np.pi * np.cos(6 * np.pi * phase), atol=1e-9)
    assert np.allclose(derivative_matrix(2, 20) @ wave, -((6 * np.pi) ** 2) * wave, atol=1e-7)


def test_round_trip(walkers: Trials, representation: StrideRepresentation) -> None:
    error = representation.reconstruction_error(walkers)
    # the walker's angles end at the 8th harmonic; its forces and loaded feet have edges
    assert error["joint_angles"] < 1e-5 and error["pelvis"] < 1e-5
    assert error["ground_reaction"] < 5 and error["centre_of_pressure"] < 0.01 and error["muscle_activation"] < 1e-3
    back = representation.decode(representation.encode(walkers), Walker.of(walkers.table))
    assert np.abs(back["pelvis"][:, :, 3] - walkers.channel("pelvis_tx") + walkers.channel("pelvis_tx")[:, :1]).max() < 1e-4


def test_latents_of_the_seed_and_its_mirror_image_are_white(walkers: Trials, representation: StrideRepresentation) -> None:
    both = np.concatenate([representation.encode(walkers), representation.encode(walkers, mirrored=True)])
    assert np.abs(both.mean(0)).max() < 1e-4  # of a deviation of 1: the mean is kept in float32
    assert np.allclose(np.cov(both.T), np.eye(representation.size), atol=1e-5)


def test_mirroring_twice_is_identity(walkers: Trials) -> None:
    channels = {group: names for group, names in walkers.channels.items() if group in DEFAULT_HARMONICS}
    features = stride_features(walkers, channels, DEFAULT_HARMONICS)
    phase = left_contact_phase(walkers)
    once = mirror_features(features, phase, channels, DEFAULT_HARMONICS)
    assert np.abs(once - features).max() > 0.01
    assert np.allclose(mirror_features(once, 1 - phase, channels, DEFAULT_HARMONICS), features, atol=1e-12)


def test_mirroring_agrees_with_the_samples(walkers: Trials, representation: StrideRepresentation) -> None:
    # the analytic walker's left contact lies on a sample, so gait.mirror, which rolls samples, is exact
    expected = representation.encode(mirror(walkers))
    assert np.allclose(representation.encode(walkers, mirrored=True), expected, atol=2e-3)


def test_dynamically_similar_people_walk_the_same_vector(walkers: Trials, representation: StrideRepresentation) -> None:
    scale, mass = 1.2, 1.5
    table = walkers.table.copy()
    for column in ("height_m", "leg_length_m", "stride_length_m"):
        table[column] *= scale
    table["mass_kg"] *= mass
    for column in ("stride_time_s", "step_time_l_s"):
        table[column] *= np.sqrt(scale)
    signals = {group: array.copy() for group, array in walkers.signals.items()}
    signals["pelvis"][:, :, 3:] *= scale
    signals["ground_reaction"] *= mass
    signals["centre_of_pressure"] *= scale
    bigger = Trials(table, signals, dict(walkers.channels))
    assert np.allclose(representation.encode(bigger), representation.encode(walkers), atol=1e-3)
    froude = dimensionless_speed(table["stride_length_m"] / table["stride_time_s"], table["leg_length_m"])
    plain = dimensionless_speed(walkers.table["stride_length_m"] / walkers.table["stride_time_s"], walkers.table["leg_length_m"])
    assert np.allclose(froude, plain)


def test_bad_data_is_told() -> None:
    walkers = analytic_population(6)
    with pytest.raises(InputError, match="too few"):
        StrideRepresentation.fit(walkers.select([0, 1, 2]))
    broken = walkers.select(np.arange(6))
    broken.signals["joint_angles"][2, 5, 1] = np.nan
    with pytest.raises(InputError, match=r"stride-000002.*missing values"):
        StrideRepresentation.fit(broken)
    del broken.signals["ground_reaction"]
    broken.channels.pop("ground_reaction")
    with pytest.raises(InputError, match="ground_reaction"):
        StrideRepresentation.fit(broken)
