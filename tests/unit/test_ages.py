"""Growth and ageing: what the cited tables say is what people and bodies get; bad tables are told in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from synthgait import ages, anthropometry, bundled, inspection
from synthgait.conventions import SEXES
from synthgait.errors import InputError
from synthgait.subjects import AGE_RANGE_YEARS, typical_height_m, typical_mass_kg

GOOD = {"quantity": "strength_factor", "ages_years": [5, 16], "values": [0.8, 1.0], "source": "somebody who measured it"}
TABLE = {"name": "mine", "title": "Mine", "description": "For a test."}


def written(tmp_path: Path, **line: object) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TABLE | {"lines": [{k: v for k, v in (GOOD | line).items() if v is not None}]}))
    return path


def test_sizes_are_those_of_the_growth_charts() -> None:
    """CDC 2000: medians of boys of 10 and of women; 1 cm less a decade after 50 years (Sorkin et al. 1999)."""
    assert typical_height_m(10.0, "male") == 1.39 and typical_height_m(30.0, "female") == 1.63
    assert typical_height_m(10.5, "male") == pytest.approx((1.39 + 1.43) / 2)
    assert typical_height_m(80.0, "male") == pytest.approx(1.77 - 0.03)
    assert typical_mass_kg(8.0, "female", 1.28) == pytest.approx(15.8 * 1.28**2)
    assert typical_mass_kg(70.0, "male", 1.75) == pytest.approx(24.0 * 1.75**2)


def test_old_muscles_are_those_of_thelen_2003() -> None:
    """Strength -30 %, velocity -20 %, deactivation +20 %, passive strain -17 % at 75 years; none of it up to 40."""
    old, young = anthropometry.muscle_age(75.0, "male"), anthropometry.muscle_age(40.0, "male")
    assert [old.strength, old.velocity, old.deactivation, old.passive_strain] == pytest.approx([0.7, 0.8, 1.2, 0.83])
    assert [young.strength, young.velocity, young.deactivation, young.passive_strain] == [1.0] * 4
    assert anthropometry.muscle_age(57.5, "male").strength == pytest.approx(0.85)
    assert anthropometry.muscle_age(89.0, "male") == anthropometry.muscle_age(100.0, "male")


def test_factors_of_all_tables_multiply() -> None:
    """Women 0.85 of men (Janssen et al. 2000), children 0.8 at 5 years (Malina et al. 2004), old age on top."""
    assert anthropometry.muscle_age(30.0, "female").strength == pytest.approx(0.85)
    assert anthropometry.muscle_age(75.0, "female").strength == pytest.approx(0.85 * 0.7)
    assert [anthropometry.muscle_age(5.0, sex).strength for sex in SEXES] == pytest.approx([0.8, 0.8])
    assert anthropometry.muscle_age(14.0, "female").strength == pytest.approx((0.8 + 0.2 * 9 / 11) * (1 - 0.15 / 2))


def test_children_carry_more_in_the_trunk() -> None:
    """Jensen (1986): 0.6 of 1.14 % of body mass a year up to 15; one person or many, the whole mass stays the same."""
    assert ages.at("trunk_mass_share_change", 5.0) == pytest.approx(10 * 0.6 * 0.0114)
    assert isinstance(ages.at("trunk_mass_share_change", 5.0), float)
    years = np.array([4.0, 10.0, 15.0, 60.0])
    many = anthropometry.batch_scales(np.full(4, 1.4), np.full(4, 40.0), np.full(4, 0.7), years)
    for i, age in enumerate(years):
        one = anthropometry.batch_scales(1.4, 40.0, 0.7, age)
        assert (many.trunk_mass[i], many.leg_mass[i]) == (one.trunk_mass, one.leg_mass)
    assert many.trunk_mass[0] > many.trunk_mass[1] > many.trunk_mass[2] == pytest.approx(many.leg_mass[2])


@pytest.mark.parametrize("sex", SEXES)
def test_nobody_has_a_factor_or_a_size_that_cannot_be(sex: str) -> None:
    years = np.linspace(*AGE_RANGE_YEARS, 961)
    for quantity in ages.Quantity.__args__:  # type: ignore[attr-defined]
        if quantity not in ages.CHANGES:
            assert np.all(ages.at(quantity, years, sex) > 0.3), quantity
    heights = ages.at("height_m", years, sex) + ages.at("height_change_m", years, sex)
    assert heights.min() > 1.0 and heights.max() < 1.8
    assert heights.tolist() == [typical_height_m(float(age), sex) for age in years]


def test_a_good_table_loads(tmp_path: Path) -> None:
    assert ages.load(written(tmp_path)).lines[0].of("female") == (0.8, 1.0)
    assert ages.load(written(tmp_path, values=None, female=[1.0, 0.8], male=[1.0, 0.9])).lines[0].of("male") == (1.0, 0.9)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"ages_years": [16, 5]}, "ages_years of strength_factor should rise; put them in order"),
        ({"ages_years": [5, 5]}, "should rise"),
        ({"ages_years": [5, 10, 16]}, "3 ages_years and 2 values; give as many"),
        ({"values": None, "female": [1.0, 0.8], "male": [1.0]}, "2 ages_years and 1 male; give as many"),
        ({"values": None, "female": [1.0, 0.8]}, "either values, or both female and male"),
        ({"female": [1.0, 0.8], "male": [1.0, 0.8]}, "either values, or both female and male"),
        ({"quantity": "hair_factor"}, "lines.0.quantity: Input should be 'height_m'"),
        ({"values": [-0.1, 1.0]}, "strength_factor cannot be -0.1 (values); write 0.05 to 10"),
        ({"values": [float("nan"), 1.0]}, "lines.0.values.0: Input should be a finite number"),
        ({"quantity": "trunk_mass_share_change", "values": None, "female": [0.1, 0.0], "male": [0.1, 0.0]}, "the same for both sexes"),
        ({"source": "me"}, "lines.0.source"),
        ({"source": None}, "the key 'lines.0.source' is missing"),
        ({"unit": "m"}, "unknown key 'lines.0.unit'"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path: Path, line: dict[str, object], told: str) -> None:
    path = written(tmp_path, **line)
    with pytest.raises(InputError) as error:
        ages.load(path)
    assert str(error.value).startswith(f"{path}: ") and told in str(error.value) and "\n" not in str(error.value)


def test_a_size_needs_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ages").mkdir()
    written(tmp_path / "ages")
    monkeypatch.setattr(ages, "folder", lambda kind: tmp_path)
    with pytest.raises(InputError, match="has 0 lines of height_m; write one"):
        ages.tables.__wrapped__()


def test_the_tables_come_with_the_package_and_are_told(tmp_path: Path) -> None:
    listed = dict(bundled.listing())
    for name, table in ages.tables().items():
        assert listed[f"simulations/ages/{name}"] == table.description
        told = inspection.inspect(bundled.copy(name, tmp_path))
        assert (told["kind"], told["name"], told["n_lines"]) == ("ages", name, len(table.lines))
    told = inspection.inspect(written(tmp_path, ages_years=[16, 5]))
    assert told["kind"] == "broken" and "should rise" in told["problem"]


def test_there_is_no_other_sex() -> None:
    with pytest.raises(InputError, match="write one of female, male"):
        ages.at("strength_factor", 30.0, "m")
