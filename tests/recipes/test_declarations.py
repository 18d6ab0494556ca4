"""Every declaration of the tree is loaded by what reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthgait import bundled, inspection, pathologies
from synthgait.studies import Study

ROOT = Path(__file__).parents[2]
ALL = sorted(p for kind in bundled.KINDS for p in (ROOT / kind).rglob("*.y*ml"))
STUDIES = [p for p in ALL if p.parent == ROOT / "simulations"]
TABLES = [p for p in ALL if p.parent == ROOT / "simulations" / "pathologies"]


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_it_is_what_its_place_says(path: Path) -> None:
    told = inspection.inspect(path)
    assert told["kind"] != "broken", told.get("problem")
    expected = "study" if path in STUDIES else "pathology" if path in TABLES else "declaration"
    assert told["kind"] == expected
    if expected != "declaration":
        assert told["name"] == path.stem


def test_there_are_no_others() -> None:
    assert STUDIES and TABLES
    assert {p.stem for p in TABLES} == set(pathologies.tables())
    readme = (ROOT / "simulations" / "README.md").read_text()
    assert all(f"({path.relative_to(ROOT / 'simulations')})" in readme for path in STUDIES + TABLES)
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
    plan = Study.load("seed_v1").plan()
    assert len(plan) >= 1800 and len({t.subject.subject_id for t in plan}) >= 500
    counts = {name: sum(t.subject.pathology == name for t in plan) for name in pathologies.tables()}
    assert min(counts.values()) >= 90
    speeds, ages = [t.task.walking_speed_mps for t in plan], [t.subject.age_years for t in plan]
    assert min(speeds) < 0.35 and max(speeds) > 1.8 and min(ages) < 6 and max(ages) > 89
