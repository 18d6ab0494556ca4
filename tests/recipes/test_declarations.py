"""Every declaration of the tree is loaded by what reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthgait import ages, bundled, inspection, pathologies
from synthgait.studies import Study

ROOT = Path(__file__).parents[2]
ALL = sorted(p for kind in bundled.KINDS for p in (ROOT / kind).rglob("*.y*ml"))
STUDIES = [p for p in ALL if p.parent == ROOT / "simulations"]
TABLES = [p for p in ALL if p.parent == ROOT / "simulations" / "pathologies"]
AGES = [p for p in ALL if p.parent == ROOT / "simulations" / "ages"]


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_it_is_what_its_place_says(path: Path) -> None:
    told = inspection.inspect(path)
    assert told["kind"] != "broken", told.get("problem")
    expected = "study" if path in STUDIES else "pathology" if path in TABLES else "ages" if path in AGES else "declaration"
    assert told["kind"] == expected
    if expected != "declaration":
        assert told["name"] == path.stem


def test_there_are_no_others() -> None:
    assert STUDIES and TABLES and AGES
    assert {p.stem for p in TABLES} == set(pathologies.tables())
    assert {p.stem for p in AGES} == set(ages.tables())
    readme = (ROOT / "simulations" / "README.md").read_text()
    assert all(f"({path.relative_to(ROOT / 'simulations')})" in readme for path in STUDIES + TABLES + AGES)
    for path in STUDIES:
        study = Study.load(path)
        assert f"| {len(study.plan())} | {len({t.subject.subject_id for t in study.plan()})} |" in readme


def test_the_quick_study_is_what_the_demo_promises() -> None:
    plan = Study.load("quick").plan()
    ages = [t.subject.age_years for t in plan]
    speeds = [t.task.walking_speed_mps for t in plan]
    assert len(plan) >= 16 and min(ages) < 9 and max(ages) > 78 and min(speeds) < 0.7 and max(speeds) > 1.5
    ill = {(t.subject.pathology, t.subject.severity) for t in plan if t.subject.pathology != "none"}
    assert len(ill) == 4 and len({name for name, _ in ill}) == 2
    assert any(t.subject.affected_side in ("left", "right") for t in plan)


def test_the_seed_study_covers_what_it_should() -> None:
    """The release needs 1,500 certified gaits of 500 people and 60 of each pathology; failures come off these."""
    plan = Study.load("seed_v1").plan()
    assert len(plan) >= 1550 and len({t.subject.subject_id for t in plan}) >= 600
    for name, table in pathologies.tables().items():
        of = [t for t in plan if t.subject.pathology == name]
        assert len(of) >= 65, name
        assert {t.subject.severity for t in of} == {0.2, 0.4, 0.6, 0.8, 1.0}
        low, high = table.age_years
        ages = [t.subject.age_years for t in of]
        assert low <= min(ages) < low + 0.1 * (high - low) and high - 0.1 * (high - low) < max(ages) <= high
    speeds, ages = [t.task.walking_speed_mps for t in plan], [t.subject.age_years for t in plan]
    assert min(speeds) < 0.35 and max(speeds) > 1.8 and min(ages) < 6 and max(ages) > 89
    slopes = [t.task.slope for t in plan if t.task.slope != 0.0]
    assert len(slopes) >= 60 and min(slopes) < -0.09 and max(slopes) > 0.09
    factors = [t.cadence_factor for t in plan if t.cadence_factor is not None]
    assert min(factors) < 0.8 and max(factors) > 1.2
