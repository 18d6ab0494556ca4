"""Force plates and insoles: ideal ones show the forces, noisy ones as asked."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from analytic_walker import analytic_population
from synthgait.bundled import folder as declarations
from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.sensors import ForcePlate, Insole, InsoleSpecification, PlateSpecification
from synthgait.trials import Trials
from synthgait.walks import walk


@pytest.fixture(scope="module")
def walks():
    return walk(analytic_population(3, seed=1), 8.0, np.random.default_rng(0))


def test_the_plates_carry_the_weight(walks):
    record = ForcePlate().record(walks)
    vertical = record.channel("ground_reaction_y_r") + record.channel("ground_reaction_y_l")
    np.testing.assert_allclose(vertical.mean(axis=1), walks.table["mass_kg"] * GRAVITY_MPS2, rtol=0.03)
    np.testing.assert_allclose(record.channel("ground_reaction_x_l"), walks.channel("ground_reaction_x_l"), atol=10.0)
    off = record.channel("ground_reaction_y_r") == 0
    assert 0.25 < off.mean() < 0.5
    assert np.isnan(record.channel("centre_of_pressure_x_r")[off]).all()


def test_noise_is_what_was_asked(walks):
    noisy, plain = ForcePlate(PlateSpecification(noise_n=3.0)).record(walks, np.random.default_rng(0)), ForcePlate().record(walks)
    loaded = plain.channel("ground_reaction_y_r") > 100
    assert (noisy.channel("ground_reaction_y_r") - plain.channel("ground_reaction_y_r"))[loaded].std() == pytest.approx(3.0, rel=0.1)


def test_pressure_rolls_from_heel_to_toe(walks):
    record = Insole().record(walks)
    place, force = record.channel("insole_pressure_r")[0], record.channel("insole_force_r")[0]
    loaded = np.flatnonzero(force > 0.1 * force.max())
    stance = np.split(loaded, np.flatnonzero(np.diff(loaded) > 1) + 1)[1]
    assert place[stance[2]] < 0.3 < 0.7 < place[stance[-3]]
    assert np.all(np.diff(place[stance[1:-1]]) > -0.05)
    gained = Insole(InsoleSpecification(gain_sd=0.1)).record(walks, np.random.default_rng(0)).channel("insole_force_r")
    ratio = gained[0, stance] / force[stance]
    assert ratio.std() < 1e-3
    assert abs(ratio.mean() - 1) > 1e-3


@pytest.mark.parametrize(("kind", "file"), [(ForcePlate, "force_plate"), (Insole, "insole")])
def test_declared_ones_err_as_declared(walks, kind, file):
    names = list(yaml.safe_load((declarations("simulations") / "sensors" / f"{file}.yaml").read_text()))
    exact, column = kind().record(walks).signals[file], kind is ForcePlate  # the vertical force is the second, or the first
    loaded = exact[..., column : column + 1] > 0.8 * 9.81 * walks.table["mass_kg"].to_numpy(float)[:, None, None]
    errors = []
    for name in names:
        read = kind(name).record(walks, np.random.default_rng(1)).signals[file]
        errors.append(np.abs(read - exact)[..., column : column + 1][loaded].mean())
        assert 0.5 < errors[-1] < 120.0
    assert errors == sorted(errors) and len(set(errors)) == len(names) >= 2


def test_wrong_input_is_named(walks):
    bare = Trials(walks.table, {"pelvis": walks.signals["pelvis"]}, kind="walks", sampling_rate_hz=100.0)
    with pytest.raises(InputError, match="no ground_reaction"):
        ForcePlate().record(bare)
    with pytest.raises(InputError, match="random generator"):
        ForcePlate(PlateSpecification(noise_n=1.0)).record(walks)
