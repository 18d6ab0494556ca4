"""Virtual people: what is known of one, and how a population of them is drawn.

In: ages, sexes, sizes (or ranges of them) and a random generator. Out: ``Subject``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from synthgait import ages
from synthgait.conventions import AFFECTED_SIDES, SEXES
from synthgait.errors import InputError

AGE_RANGE_YEARS = (4.0, 100.0)
HEIGHT_RANGE_M = (0.85, 2.20)
MASS_RANGE_KG = (10.0, 200.0)
STRENGTH_RANGE = (0.05, 3.0)
KNEE_VARUS_RANGE_RAD = (-0.3, 0.3)


@dataclass(frozen=True)
class Subject:
    """One virtual person.

    Args:
        subject_id: unique name.
        age_years, sex, height_m, mass_kg: anthropometry.
        leg_length_m: hip joint centre to floor when standing; None means in proportion to height.
        strength: factor on every muscle's maximum isometric force, 1 for a healthy person of this
            age, sex and mass.
        knee_varus_rad: frontal alignment of both knees, varus positive.
        pathology, severity, affected_side: a name of ``simulations/pathologies`` (or "none"), 0 to 1,
            and the side it is on ("none" only without a pathology).

    Raises:
        InputError: a value outside what a person can be, in one sentence.
    """

    subject_id: str
    age_years: float = 30.0
    sex: str = "male"
    height_m: float = 1.75
    mass_kg: float = 72.0
    leg_length_m: float | None = None
    strength: float = 1.0
    knee_varus_rad: float = 0.0
    pathology: str = "none"
    severity: float = 0.0
    affected_side: str = "none"
    extra: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _within("age_years", self.age_years, AGE_RANGE_YEARS)
        _within("height_m", self.height_m, HEIGHT_RANGE_M)
        _within("mass_kg", self.mass_kg, MASS_RANGE_KG)
        _within("strength", self.strength, STRENGTH_RANGE)
        _within("severity", self.severity, (0.0, 1.0))
        _within("knee_varus_rad", self.knee_varus_rad, KNEE_VARUS_RANGE_RAD)
        if self.leg_length_m is not None:
            _within("leg_length_m", self.leg_length_m, (0.40 * self.height_m, 0.62 * self.height_m))
        if self.sex not in SEXES:
            raise InputError(f"sex is {self.sex!r}; write one of {', '.join(SEXES)}")
        if self.affected_side not in AFFECTED_SIDES:
            raise InputError(f"affected_side is {self.affected_side!r}; write one of {', '.join(AFFECTED_SIDES)}")
        if (self.pathology == "none") != (self.affected_side == "none"):
            raise InputError(f"pathology {self.pathology!r} and affected_side {self.affected_side!r} disagree: give both or neither")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files and hashes."""
        return asdict(self) | {"extra": dict(self.extra)}


def _within(name: str, value: float, limits: tuple[float, float]) -> None:
    if not (np.isfinite(value) and limits[0] <= value <= limits[1]):
        raise InputError(f"{name} is {value:g}; a person has {limits[0]:g} to {limits[1]:g}")


def typical_height_m(age_years: float, sex: str) -> float:
    """Median height of healthy people, m. The numbers and their sources are in ``simulations/ages`` (CDC growth
    charts 2000; loss of height in old age after Sorkin et al. 1999).
    """
    return ages.at("height_m", age_years, sex) + ages.at("height_change_m", age_years, sex)


def typical_mass_kg(age_years: float, sex: str, height_m: float) -> float:
    """Mass at the median body mass index of the age, kg. The numbers and their sources are in
    ``simulations/ages/growth.yaml`` (CDC growth charts 2000).
    """
    return ages.at("body_mass_index_kgpm2", age_years, sex) * height_m**2


def draw_subject(
    rng: np.random.Generator, subject_id: str, *, age_years: tuple[float, float], sex: str | None = None, **fixed: Any
) -> Subject:
    """Draw one person: age uniform in the range, height with a coefficient of variation of 4 %, body
    mass index with 12 %, leg length 0.5235 of height with 2 %, strength with 12 %, knee alignment
    1 deg varus with 2.5 deg (Cooke et al. 1997). Keyword arguments fix a value instead; mass and leg
    length go with a height that is fixed.
    """
    age = float(rng.uniform(*age_years))
    drawn_sex = SEXES[int(rng.integers(2))]
    sex = sex or drawn_sex
    height = typical_height_m(age, sex) * float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1))
    height = float(fixed.get("height_m", height))
    mass = typical_mass_kg(age, sex, height) * float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.5))
    leg = 0.5235 * float(np.clip(rng.normal(1.0, 0.02), 0.95, 1.05)) * height
    strength = float(np.clip(rng.normal(1.0, 0.12), 0.7, 1.3))
    varus = float(np.clip(rng.normal(np.deg2rad(1.0), np.deg2rad(2.5)), -0.12, 0.12))
    values: dict[str, Any] = {
        "age_years": age,
        "sex": sex,
        "height_m": height,
        "mass_kg": mass,
        "leg_length_m": leg,
        "strength": strength,
        "knee_varus_rad": varus,
    }
    values.update(fixed)
    return Subject(subject_id, **values)
