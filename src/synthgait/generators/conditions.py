"""What a stride is conditioned on: reading it from a table, drawing it where it was left open.

In: a seed dataset's trial table and a user's request (``age_years=(65, 85), pathology="parkinson"``).
Out: one row of conditions per stride to generate, and the numbers a network sees of it.

A request may fix any subset. What is left open is drawn from the seed population's joint distribution
given what was fixed: a seed person near the request is drawn and varied by a kernel, keeping
dynamic similarity (a body scaled in length and mass keeps its dimensionless speed and stride time),
so that bodies and speeds stay ones that belong together. Where the stride time is open, people of usual cadence
are drawn more often than the seed has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from synthgait import pathologies
from synthgait.conventions import AFFECTED_SIDES, CONDITION_PREFIX, GRAVITY_MPS2, SEXES
from synthgait.errors import InputError
from synthgait.gait import cadence_chance, dimensionless_speed
from synthgait.subjects import AGE_RANGE_YEARS, HEIGHT_RANGE_M, MASS_RANGE_KG, typical_height_m, typical_mass_kg

#: Conditions in SI units, as users give them and tables hold them.
NUMERIC = ("age_years", "height_m", "mass_kg", "leg_length_m", "severity", "walking_speed_mps", "stride_time_s", "slope", "knee_varus_rad")
CATEGORICAL = ("sex", "pathology", "affected_side")
COLUMNS = NUMERIC + CATEGORICAL
_ASSUMED_ZERO = ("slope", "knee_varus_rad")
#: What may be asked for: who a subject can be (``subjects``), otherwise what the bundled seed covers with room around it (legs
#: of 0.53 to 1.03 m, 0.16 to 1.9 m/s, strides of 0.65 to 3.1 s, slopes within 0.1, knees within 0.12 rad).
LIMITS: dict[str, tuple[float, float]] = {
    "age_years": AGE_RANGE_YEARS,
    "height_m": HEIGHT_RANGE_M,
    "mass_kg": MASS_RANGE_KG,
    "leg_length_m": (0.35, 1.3),
    "severity": (0.0, 1.0),
    "walking_speed_mps": (0.05, 3.0),
    "stride_time_s": (0.4, 4.0),
    "slope": (-0.2, 0.2),
    "knee_varus_rad": (-0.3, 0.3),
}
#: Width of the kernel by which a drawn seed person is varied: years, and shares of the dimensionless
#: value; widths at which two people count as alike in the draw are three times these.
_KERNEL = {"age_years": 2.0, "severity": 0.04, "size": 0.03, "build": 0.05, "speed": 0.03, "stride_time": 0.015, "slope": 0.005}
_ALIKE = {
    "age_years": 6.0,
    "height_m": 0.08,
    "mass_kg": 8.0,
    "leg_length_m": 0.04,
    "severity": 0.12,
    "walking_speed_mps": 0.1,
    "stride_time_s": 0.06,
    "slope": 0.015,
    "knee_varus_rad": 0.02,
}
#: How far outside the ages of a pathology's table one may ask: as far as the kernel moves seed people.
_AGE_MARGIN_YEARS = 5.0
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"

Value = float | int | str | tuple[float, float] | Sequence[str] | None


def from_words(words: Mapping[str, str | None], settings: Sequence[str] = ()) -> dict[str, Any]:
    """A request as it is typed: condition -> "70", "65-85" or "none,parkinson" (None: open), and "NAME=VALUE" settings.

    Raises InputError for an unknown name, one that is given twice, or a number that is none.
    """
    typed = {name: text for name, text in words.items() if text is not None}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in COLUMNS:
            raise InputError(f"{setting!r} sets no condition; write NAME=VALUE with one of {', '.join(COLUMNS)}")
        if name in typed:
            raise InputError(f"{name} is given twice; give it once")
        typed[name] = text
    return {name: tuple(text.split(",")) if name in CATEGORICAL else _number_or_range(name, text) for name, text in typed.items()}


def _number_or_range(name: str, text: str) -> float | tuple[float, float]:
    found = re.fullmatch(rf"({_NUMBER})(?:-({_NUMBER}))?", text.strip(), re.IGNORECASE)
    if found is None:
        raise InputError(f"{name} is {text!r}; write a number or a range like 65-85")
    return float(found[1]) if found[2] is None else (float(found[1]), float(found[2]))


def condition_table(table: pd.DataFrame) -> pd.DataFrame:
    """The condition columns of a trial table; slope and knee alignment are 0 where the table has none.

    Raises InputError naming a column that is missing.
    """
    out = {}
    for column in COLUMNS:
        if column in _ASSUMED_ZERO:
            source = table.get(column, table.get(CONDITION_PREFIX + column))
            values = np.zeros(len(table)) if source is None else np.nan_to_num(np.asarray(source, float))
        elif column not in table:
            raise InputError(
                f"the trial table has no column {column}; a generator needs {', '.join(c for c in COLUMNS if c not in _ASSUMED_ZERO)}"
            )
        else:
            values = np.asarray(table[column], float if column in NUMERIC else str)
        out[column] = values
    return pd.DataFrame(out)


def dimensionless(conditions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Size-free numbers of a condition table: speed / sqrt(g L), stride time sqrt(g / L) (Hof 1996),
    leg share of height and body mass index.
    """
    leg, height = (np.asarray(conditions[c], float) for c in ("leg_length_m", "height_m"))
    return {
        "age": np.asarray(conditions["age_years"], float),
        "height": height,
        "leg_share": leg / height,
        "mass_index": np.asarray(conditions["mass_kg"], float) / height**2,
        "severity": np.asarray(conditions["severity"], float),
        "speed": dimensionless_speed(np.asarray(conditions["walking_speed_mps"], float), leg),
        "stride_time": np.asarray(conditions["stride_time_s"], float) / np.sqrt(leg / GRAVITY_MPS2),
        "slope": np.asarray(conditions["slope"], float),
        "knee_varus": np.asarray(conditions["knee_varus_rad"], float),
    }


class ConditionSpace:
    """The conditions of a seed dataset.

    Args:
        population: one row per seed stride, the columns of ``COLUMNS``; what open conditions are drawn from.
    """

    def __init__(self, population: pd.DataFrame) -> None:
        self.population = population.reset_index(drop=True).astype(dict.fromkeys(NUMERIC, float))
        self.pathologies = tuple(sorted(set(self.population["pathology"])))
        values = dimensionless(self.population)
        self._names = tuple(values)
        stacked = np.stack([values[name] for name in self._names], 1)
        self._mean = stacked.mean(0)
        spread = stacked.std(0)
        self._chance = cadence_chance(self.population)
        # a condition that does not vary in the seed carries nothing: keep its unit
        self._spread = np.where(spread > 1e-6, spread, 1.0)

    @property
    def fields(self) -> tuple[str, ...]:
        """The conditions that can be dropped one by one."""
        return (*self._names, *CATEGORICAL)

    @property
    def numeric(self) -> int:
        """How many of the codes, at the front, are numbers."""
        return len(self._names)

    @property
    def crossed(self) -> tuple[int, int]:
        """Lengths of the codes, at the end, that say which impairment and which side."""
        return len(self.pathologies), len(AFFECTED_SIDES)

    @property
    def widths(self) -> tuple[int, ...]:
        """Length of each field's code."""
        return (1,) * len(self._names) + (len(SEXES), len(self.pathologies), len(AFFECTED_SIDES))

    def encode(self, conditions: pd.DataFrame) -> np.ndarray:
        """(n, sum(widths)) float32: standardised numbers and one-hot categories, in the order of ``fields``."""
        values = dimensionless(conditions)
        numbers = (np.stack([values[name] for name in self._names], 1) - self._mean) / self._spread
        # beyond the seed's range a network only extrapolates: hold the code at its border
        parts = [np.clip(numbers, -4.0, 4.0)]
        for column, known in zip(CATEGORICAL, (SEXES, self.pathologies, AFFECTED_SIDES), strict=True):
            parts.append((np.asarray(conditions[column])[:, None] == np.asarray(known)[None, :]).astype(float))
        return np.concatenate(parts, 1).astype(np.float32)

    # -- drawing -----------------------------------------------------------------------------------

    def check_request(self, request: Mapping[str, Value]) -> dict[str, Value]:
        """The request without its open conditions (None).

        Raises InputError for an unknown condition, a value outside its limits, a pathology that the
        generator never saw, or a severity or an age that does not go with the pathology.
        """
        checked: dict[str, Value] = {}
        known: dict[str, Sequence[str]] = {"sex": SEXES, "pathology": self.pathologies, "affected_side": AFFECTED_SIDES}
        for name, value in request.items():
            if name not in COLUMNS:
                raise InputError(f"unknown condition {name!r}; this generator knows {', '.join(COLUMNS)}")
            if value is None:
                continue
            if name in CATEGORICAL:
                chosen = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
                for item in chosen:
                    if item not in known[name]:
                        raise InputError(f"{name} is {item!r}; this generator knows {', '.join(known[name])}")
                checked[name] = chosen  # type: ignore[assignment]
                continue
            low, high = _as_range(name, value)
            limits = LIMITS[name]
            if not limits[0] <= low <= high <= limits[1]:
                raise InputError(f"{name} is {value!r}; give a value or an ordered (low, high) within {limits[0]:g} to {limits[1]:g}")
            checked[name] = (low, high)
        _check_impairment(checked)
        return checked

    def check_categories(self, conditions: pd.DataFrame) -> None:
        """Raises InputError where rows of conditions have a sex, pathology or side that cannot be asked for."""
        for name in CATEGORICAL:
            self.check_request({name: tuple(sorted(set(conditions[name])))})

    def draw(self, request: Mapping[str, Value], rngs: Sequence[np.random.Generator]) -> pd.DataFrame:
        """One row of ``COLUMNS`` per random generator; a row depends on its own generator only.

        Raises InputError as ``check_request``, or when no seed person has the categories asked for together.
        """
        fixed = self.check_request(request)
        rows = self._matching(fixed)
        uniform = np.stack([rng.random(len(NUMERIC) + 1) for rng in rngs])
        normal = np.clip(np.stack([rng.standard_normal(7) for rng in rngs]), -2.5, 2.5)
        wanted = {
            name: fixed[name][0] + uniform[:, i] * (fixed[name][1] - fixed[name][0])  # type: ignore[index,operator]
            for i, name in enumerate(NUMERIC)
            if name in fixed
        }
        pick = rows[self._pick(rows, wanted, uniform[:, -1])]
        drawn = self._vary(self.population.iloc[pick].reset_index(drop=True), normal, wanted.get("age_years"))
        out = _impose(drawn, wanted)
        out.loc[out["pathology"] == "none", "severity"] = 0.0  # of a range from 0 on, where the pathology is open
        return out

    def _matching(self, fixed: Mapping[str, Value]) -> np.ndarray:
        mask = np.ones(len(self.population), bool)
        for name in CATEGORICAL:
            if name in fixed:
                mask &= self.population[name].isin(list(fixed[name])).to_numpy()  # type: ignore[arg-type]
        span: Any = fixed.get("severity", (0.0, 1.0))
        low, high = span
        if low > 0 or high == 0:
            mask &= (self.population["severity"] > 0).to_numpy() == (low > 0)
        if not mask.any():
            asked = ", ".join(f"{name}={'/'.join(map(str, fixed[name]))}" for name in (*CATEGORICAL, "severity") if name in fixed)  # type: ignore[arg-type]
            raise InputError(f"no seed gait has {asked} together; leave one of them open")
        return np.flatnonzero(mask)

    def _pick(self, rows: np.ndarray, wanted: Mapping[str, np.ndarray], uniform: np.ndarray) -> np.ndarray:
        """Positions in ``rows``: drawn with weights that fall with the distance from what is wanted, and with how
        unusual the cadence is where it is open.
        """
        if not wanted:
            total = np.cumsum(self._chance[rows])
            return np.minimum(np.searchsorted(total, uniform * total[-1]), len(rows) - 1)
        distance = np.zeros((len(uniform), len(rows)))
        for name, values in wanted.items():
            near = np.asarray(self.population[name], float)[rows]
            distance += ((values[:, None] - near) / _ALIKE[name]) ** 2
        # relative to the nearest, so that a request far from every seed person still finds the nearest ones
        weight = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)))
        if "stride_time_s" not in wanted:
            weight = weight * self._chance[rows]
        total = np.cumsum(weight, 1)
        return np.minimum((total < uniform[:, None] * total[:, -1:]).sum(1), len(rows) - 1)

    def _vary(self, drawn: pd.DataFrame, normal: np.ndarray, age_years: np.ndarray | None) -> pd.DataFrame:
        """Drawn seed people moved by the kernel, and grown or shrunk to the age that was asked for."""
        out = drawn.copy()
        nearby = np.clip(drawn["age_years"] + _KERNEL["age_years"] * normal[:, 1], *AGE_RANGE_YEARS)
        out["age_years"] = nearby if age_years is None else age_years
        height, build = (_typical(out) / _typical(drawn)).T
        size = (1 + _KERNEL["size"] * normal[:, 0]) * height
        for name in ("height_m", "leg_length_m"):
            out[name] = drawn[name] * size
        out["mass_kg"] = drawn["mass_kg"] * size**2 * build * (1 + _KERNEL["build"] * normal[:, 2])
        ill = drawn["severity"] > 0
        out["severity"] = np.where(ill, np.clip(drawn["severity"] + _KERNEL["severity"] * normal[:, 3], 0.01, 1.0), 0.0)
        out["walking_speed_mps"] = drawn["walking_speed_mps"] * np.sqrt(size) * (1 + _KERNEL["speed"] * normal[:, 4])
        out["stride_time_s"] = drawn["stride_time_s"] * np.sqrt(size) * (1 + _KERNEL["stride_time"] * normal[:, 5])
        if np.ptp(self.population["slope"]) > 0:
            out["slope"] = drawn["slope"] + _KERNEL["slope"] * normal[:, 6]
        return out


_AGE_GRID_YEARS = np.arange(AGE_RANGE_YEARS[0], AGE_RANGE_YEARS[1] + 0.25, 0.25)


@cache
def _growth(sex: str) -> tuple[np.ndarray, np.ndarray]:
    """Typical height and body mass index on the age grid (a table, for thousands of people at once)."""
    return tuple(
        np.array([value(age) for age in _AGE_GRID_YEARS])
        for value in (  # type: ignore[return-value]
            lambda age: typical_height_m(age, sex),
            lambda age: typical_mass_kg(age, sex, 1.0),
        )
    )


def _typical(people: pd.DataFrame) -> np.ndarray:
    """(n, 2) height and body mass index that growth charts have for each person's age and sex."""
    age, sex = np.asarray(people["age_years"], float), np.asarray(people["sex"])
    out = np.empty((len(age), 2))
    for name in SEXES:
        rows = sex == name
        for i, column in enumerate(_growth(name)):
            out[rows, i] = np.interp(age[rows], _AGE_GRID_YEARS, column)
    return out


def _check_impairment(fixed: Mapping[str, Any]) -> None:
    """Whether severity and age go with the pathologies asked for. Raises InputError."""
    names = fixed.get("pathology", ())
    if not names:
        return
    low, high = fixed.get("severity", (0.0, 1.0))
    if set(names) == {"none"} and "severity" in fixed and high > 0:
        raise InputError("a severity above 0 is asked for without a pathology; leave severity out or name the pathology")
    if "none" not in names and high == 0:
        raise InputError(f"severity is 0 with {', '.join(names)}; give more than 0, or the pathology none")
    # a pathology of somebody's own seed has no table and may be of any age
    known = [pathologies.age_years(name) for name in names if set(name.split("+")) <= set(pathologies.tables())]
    if "age_years" in fixed and len(known) == len(names):
        low, high = fixed["age_years"]
        youngest, oldest = min(ages[0] for ages in known), max(ages[1] for ages in known)
        if low < youngest - _AGE_MARGIN_YEARS or high > oldest + _AGE_MARGIN_YEARS:
            asked = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            raise InputError(f"age_years is {asked}, but people with {', '.join(names)} are {youngest:g} to {oldest:g}; ask for such ages")


def _as_range(name: str, value: Value) -> tuple[float, float]:
    try:
        if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
            return float(value), float(value)
        low, high = value  # type: ignore[misc]
        return float(low), float(high)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; give a number or (low, high)") from None


def _impose(drawn: pd.DataFrame, wanted: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Set what was asked for; what hangs on it and was left open follows by dynamic similarity, within ``LIMITS``."""
    out = drawn.copy()
    sizes = [name for name in ("height_m", "leg_length_m") if name in wanted]
    if sizes:
        factor = wanted[sizes[0]] / np.asarray(out[sizes[0]], float)
        out["height_m"] = out["height_m"] * factor
        out["leg_length_m"] = out["leg_length_m"] * factor
        out["mass_kg"] = out["mass_kg"] * factor**2
        out["walking_speed_mps"] = out["walking_speed_mps"] * np.sqrt(factor)
        out["stride_time_s"] = out["stride_time_s"] * np.sqrt(factor)
    if "walking_speed_mps" in wanted and "stride_time_s" not in wanted:
        # keep the drawn walker's walk ratio (step length over cadence is a person's own: Sekiya &
        # Nagasaki, Gait Posture 1998;7:225), so that stride time goes with 1 / sqrt(speed)
        ratio = wanted["walking_speed_mps"] / np.asarray(out["walking_speed_mps"], float)
        out["stride_time_s"] = out["stride_time_s"] / np.sqrt(np.clip(ratio, 0.5, 2.0))
    # among others a small child, varied once more, would weigh less than anybody may
    for name, limits in LIMITS.items():
        out[name] = wanted[name] if name in wanted else np.clip(out[name].to_numpy(float), *limits)
    return out


def distances(asked: np.ndarray, known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n, N) squared distances of condition codes (n, C) to known ones (N, C), each code weighted (C,), less what does not
    tell the known ones apart.
    """
    weight = weight.astype(known.dtype)
    asked, known = asked.astype(known.dtype) * weight, known * weight
    return (known**2).sum(1) - 2 * asked @ known.T


def with_stride_length(conditions: pd.DataFrame) -> pd.DataFrame:
    """Conditions and the stride length in m that speed and stride time make."""
    return conditions.assign(stride_length_m=conditions["walking_speed_mps"] * conditions["stride_time_s"])


def requested_columns(drawn: pd.DataFrame) -> pd.DataFrame:
    """condition_<name> columns: what the network was told of every stride (asked for, or drawn)."""
    return drawn[list(COLUMNS)].add_prefix(CONDITION_PREFIX)
