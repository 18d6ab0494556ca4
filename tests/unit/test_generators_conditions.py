"""Requests to a generator: as they are typed, and which people there cannot be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthgait import cli
from synthgait.errors import InputError
from synthgait.generators.conditions import COLUMNS, LIMITS, NUMERIC, ConditionSpace, from_words

ADULT = {"age_years": 60.0, "height_m": 1.7, "mass_kg": 70.0, "leg_length_m": 0.9, "walking_speed_mps": 1.0, "stride_time_s": 1.1}
ADULT |= {"slope": 0.0, "knee_varus_rad": 0.0, "sex": "female"}


@pytest.fixture(scope="module")
def space() -> ConditionSpace:
    people = [ADULT | {"pathology": "none", "affected_side": "none", "severity": 0.0}]
    people += [ADULT | {"pathology": name, "affected_side": "both", "severity": 0.5} for name in ("parkinson", "crouch+equinus", "own")]
    return ConditionSpace(pd.DataFrame(people))


def test_words_become_a_request() -> None:
    told = from_words(
        {"age_years": "65-85", "severity": None}, ["slope=-0.05", "knee_varus_rad=-.1--5e-2", "sex=female,male", "mass_kg=70"]
    )
    assert told == {"age_years": (65, 85), "slope": -0.05, "knee_varus_rad": (-0.1, -0.05), "sex": ("female", "male"), "mass_kg": 70}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["height=1.7"], "'height=1.7' sets no condition; write NAME=VALUE with one of age_years, height_m"),
        (["seed=3"], "sets no condition"),
        (["height_m"], "sets no condition"),
        (["height_m=tall"], "height_m is 'tall'; write a number or a range"),
        (["height_m=nan"], "height_m is 'nan'"),
        (["height_m=1-2-3"], "height_m is '1-2-3'"),
        (["height_m=1.7", "height_m=1.8"], "height_m is given twice"),
        (["age_years=5"], "age_years is given twice"),
    ],
)
def test_words_that_say_nothing(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_words({"age_years": "60"}, settings)


def test_help_names_every_condition() -> None:
    assert all(name in cli._CONDITIONS for name in COLUMNS)


@pytest.mark.parametrize("name", NUMERIC)
def test_numbers_have_limits(space: ConditionSpace, name: str) -> None:
    low, high = LIMITS[name]
    assert space.check_request({name: (low, high)})[name] == (low, high)
    for value in (low - 0.01, high + 0.01, np.nan, np.inf, (high, low)):
        with pytest.raises(InputError, match=name):
            space.check_request({name: value})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"pathology": "none", "severity": 0.8}, "without a pathology"),
        ({"pathology": "parkinson", "severity": 0}, "severity is 0 with parkinson"),
        ({"pathology": "parkinson", "age_years": (5, 8)}, "age_years is 5 to 8, but people with parkinson are 50 to 88"),
        ({"pathology": ("crouch+equinus", "parkinson"), "age_years": 100}, "are 7 to 88"),
    ],
)
def test_impairments_that_cannot_be(space: ConditionSpace, asked: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        space.check_request(asked)


def test_impairments_that_can_be(space: ConditionSpace) -> None:
    asked = [{"pathology": "none", "severity": 0}, {"pathology": "parkinson", "severity": (0, 1), "age_years": (46, 92)}]
    asked += [{"pathology": "own", "age_years": 5}, {"pathology": ("none", "parkinson"), "age_years": 5}]
    for request in asked:
        assert set(space.check_request(request)) == set(request)


def test_a_severity_is_of_the_ill(space: ConditionSpace) -> None:
    rngs = [np.random.default_rng(i) for i in range(200)]
    assert "none" not in set(space.draw({"severity": 0.02}, rngs)["pathology"])
    assert set(space.draw({"severity": 0}, rngs)["pathology"]) == {"none"}
    mixed = space.draw({"severity": (0, 0.6)}, rngs)
    assert ((mixed["severity"] > 0) == (mixed["pathology"] != "none")).all() and (mixed["pathology"] == "none").any()
