"""What age does to healthy people: growth and ageing.

In: the tables of ``simulations/ages/*.yaml``, an age and a sex. Out: a number: a height, a body mass index, a share
of mass, a factor on muscles. Between the ages of a line its values are interpolated linearly, outside they are
constant. Lines of one quantity multiply, those of a change add up, over all tables.
"""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthgait.bundled import folder, one_sentence, read_yaml
from synthgait.conventions import SEXES
from synthgait.errors import InputError

Quantity = Literal[
    "height_m",
    "height_change_m",
    "body_mass_index_kgpm2",
    "trunk_mass_share_change",
    "strength_factor",
    "contraction_velocity_factor",
    "deactivation_time_factor",
    "passive_strain_factor",
]
#: Quantities that are added up; all others multiply.
CHANGES = ("height_change_m", "trunk_mass_share_change")
#: What there has to be one line of: without it a person has no size, and two would be multiplied.
SIZES = ("height_m", "body_mass_index_kgpm2")
#: Between what the values of a line lie; factors are positive, and no change takes all mass or height.
_LIMITS: dict[str, tuple[float, float]] = {
    "height_m": (0.5, 2.5),
    "height_change_m": (-0.3, 0.3),
    "body_mass_index_kgpm2": (8.0, 60.0),
    "trunk_mass_share_change": (-0.2, 0.2),
}
_FACTOR_LIMITS = (0.05, 10.0)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Line(_Strict):
    """One line of a table: a quantity (its unit in its name, shares and factors without) at rising ages, the same
    for both sexes (``values``) or not (``female`` and ``male``), and where it comes from.
    """

    quantity: Quantity
    ages_years: tuple[float, ...] = Field(min_length=2)
    values: tuple[float, ...] | None = None
    female: tuple[float, ...] | None = None
    male: tuple[float, ...] | None = None
    source: str = Field(min_length=10)

    @model_validator(mode="after")
    def _whole(self) -> Line:
        given = {name: getattr(self, name) for name in ("values", *SEXES) if getattr(self, name) is not None}
        if set(given) not in ({"values"}, set(SEXES)):
            raise ValueError(f"{self.quantity} needs either values, or both female and male")
        if self.quantity == "trunk_mass_share_change" and self.values is None:
            raise ValueError("trunk_mass_share_change is the same for both sexes; give values")
        if any(late <= early for early, late in zip(self.ages_years, self.ages_years[1:], strict=False)):
            raise ValueError(f"ages_years of {self.quantity} should rise; put them in order, each once")
        low, high = _LIMITS.get(self.quantity, _FACTOR_LIMITS)
        for name, values in given.items():
            if len(values) != len(self.ages_years):
                raise ValueError(f"{self.quantity} has {len(self.ages_years)} ages_years and {len(values)} {name}; give as many")
            for value in values:
                if not low <= value <= high:
                    raise ValueError(f"{self.quantity} cannot be {value:g} ({name}); write {low:g} to {high:g}")
        return self

    def of(self, sex: str) -> tuple[float, ...]:
        """The values of one sex."""
        return self.values or getattr(self, sex)


class Table(_Strict):
    """One table of ``simulations/ages``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    description: str
    lines: tuple[Line, ...] = Field(min_length=1)


def load(path: str | Path) -> Table:
    """Read one table. Raises InputError naming the file, the key and what is wrong with it."""
    try:
        return Table.model_validate(read_yaml(Path(path)))
    except ValidationError as error:
        raise InputError(f"{path}: {one_sentence(error)}") from error


@cache
def tables() -> dict[str, Table]:
    """All tables by name. Raises InputError for one that is wrong, or where a size has not one line."""
    place = folder("simulations") / "ages"
    found = [load(path) for path in sorted(place.glob("*.yaml"))]
    for size in SIZES:
        if (n := sum(line.quantity == size for table in found for line in table.lines)) != 1:
            raise InputError(f"{place} has {n} lines of {size}; write one")
    return {table.name: table for table in found}


@cache
def _curves(quantity: Quantity, sex: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    if sex not in SEXES:
        raise InputError(f"sex is {sex!r}; write one of {', '.join(SEXES)}")
    lines = (line for table in tables().values() for line in table.lines if line.quantity == quantity)
    return tuple((np.array(line.ages_years), np.array(line.of(sex))) for line in lines)


def at(quantity: Quantity, age_years: Any, sex: str = SEXES[0]) -> Any:
    """What a healthy person of this age has of a quantity, in the unit that its name says; a share or a factor has
    none. Without a line a factor is 1 and a change 0. The numbers and their sources are in ``simulations/ages``.

    Args:
        quantity: one of ``Quantity``.
        age_years: one age or an array of them.
        sex: ``female`` or ``male``; the share of mass in the trunk is the same for both.

    Returns:
        A float for one age, an array for an array.

    Raises:
        InputError: a table is wrong, or there is no such sex.
    """
    parts = [np.interp(age_years, *curve) for curve in _curves(quantity, sex)]
    total = sum(parts) if quantity in CHANGES else prod(parts)
    return total if isinstance(total, np.ndarray) else float(total)
