"""Coverage of a seed dataset: known tables with known cells, and the command that prints them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analytic_walker import analytic_walker
from synthgait import storage
from synthgait.cli import app
from synthgait.errors import InputError
from synthgait.gait import typical_cadence_spm
from synthgait.report import coverage, strips
from synthgait.report.style import png
from synthgait.subjects import Subject


def table(rows: list[dict]) -> pd.DataFrame:
    """Gaits of a man of 1.75 m; cadence as a factor of the self-chosen one."""
    healthy = {"age_years": 30.0, "height_m": 1.75, "mass_kg": 72.0, "leg_length_m": 0.92, "strength": 1.0, "severity": 0.0}
    found = []
    for i, row in enumerate(rows):
        row = {"trial_id": f"t{i}", "subject_id": f"s{i}", "status": "ok", "pathology": "none"} | healthy | row
        speed, factor = row.get("walking_speed_mps", 1.2), row.pop("factor", 1.0)
        cadence = factor * typical_cadence_spm(speed, 1.75)
        step = 60 * speed / cadence
        found.append({"walking_speed_mps": speed, "cadence_spm": cadence, "stride_length_m": 2 * step} | row)
        found[-1] |= {"step_length_r_m": step, "step_length_l_m": row.get("left", 1.0) * step}
    return pd.DataFrame(found)


def space(told: dict, name: str) -> dict:
    return next(row for row in told["spaces"] if row["space"] == name)


def test_cells_are_counted_once_and_failures_never() -> None:
    gaits = table(
        [
            {"walking_speed_mps": 0.4, "factor": 0.8},
            {"walking_speed_mps": 0.45, "factor": 0.81},  # the same cell
            {"walking_speed_mps": 1.0, "factor": 1.2},
            {"walking_speed_mps": 1.0, "factor": 1.6},  # nobody asks for that
            {"walking_speed_mps": 1.6, "factor": 1.0, "status": "not_converged"},
        ]
    )
    told = coverage.coverage(gaits)
    found = space(told, "speed_cadence")
    assert (told["n_gaits"], found["cells"], found["occupied"], found["gaits_inside"]) == (4, 40, 2, 3)
    assert found["occupied_share"] == pytest.approx(2 / 40) and "real_walks" not in found
    assert found["median_gaits_per_occupied_cell"] == 1.5


def test_a_full_grid_is_full_and_real_walks_are_found_in_it() -> None:
    full = table([{"walking_speed_mps": v, "factor": f} for v in np.arange(0.4, 1.9, 0.2) for f in np.arange(0.8, 1.25, 0.1)])
    assert space(coverage.coverage(full), "speed_cadence")["occupied_share"] == 1.0
    half = full[full["walking_speed_mps"] < 1.05]
    real = full.drop(columns=["stride_length_m"]).assign(step_length_m=full["stride_length_m"] / 2)
    told = coverage.coverage(half, real)
    assert space(told, "speed_cadence")["real_covered_share"] == pytest.approx(0.5)
    assert space(told, "speed_cadence")["real_walks"] == 40
    step = {row["who"]: row for row in told["quantiles"] if row["quantity"] == "step_length_per_leg"}
    assert step["real"]["q100"] == pytest.approx(full["stride_length_m"].max() / 2 / 0.92)
    assert step["ours"]["q50"] < step["real"]["q50"]


def test_asymmetry_and_the_impaired_have_their_cells() -> None:
    ill = [{"pathology": "hemiparesis", "severity": s, "left": 1.25, "strength": 0.9} for s in (0.2, 0.6, 1.0)]
    told = coverage.coverage(table([{}, *ill]))
    asymmetry = next(row for row in told["quantiles"] if row["quantity"] == "step_length_asymmetry")
    assert asymmetry["q0"] == 0.0 and asymmetry["q100"] == pytest.approx(0.25 / 1.125)
    assert space(told, "step_length_asymmetry")["occupied"] == 2
    strength = space(told, "strength_severity")
    assert (strength["occupied"], strength["gaits_inside"]) == (3, 3), "the healthy gait has no severity"


def test_counts_by_pathology_severity_and_age() -> None:
    people = [
        {"pathology": "crouch", "severity": s, "age_years": a, "subject_id": i}
        for s, a, i in ((0.2, 8, "a"), (0.2, 8, "a"), (0.9, 13, "b"))
    ]
    told = coverage.coverage(table([{"age_years": 80.0}, *people]))
    assert told["counts"] == [
        {"pathology": "crouch", "severity": "mild", "age_band": "5-12", "gaits": 2, "people": 1},
        {"pathology": "crouch", "severity": "severe", "age_band": "13-17", "gaits": 1, "people": 1},
        {"pathology": "none", "severity": "none", "age_band": "80+", "gaits": 1, "people": 1},
    ]
    text = coverage.as_text(told)
    assert text.index("none ") < text.index("crouch, mild") < text.index("crouch, severe")


def test_nothing_certified_is_said() -> None:
    with pytest.raises(InputError, match="no certified gait"):
        coverage.coverage(table([{"status": "error"}]))


def test_the_command_writes_numbers_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHGAIT_RECORDINGS", raising=False)
    monkeypatch.chdir(tmp_path)
    ill = {"pathology": "crouch", "affected_side": "both"}
    people = [Subject("a"), Subject("mild", age_years=12, severity=0.2, **ill), Subject("severe", age_years=12, severity=0.9, **ill)]
    trials = analytic_walker(people, np.array([1.2, 1.0, 0.8]))
    trials.table["status"] = "ok"
    assert strips.shown(trials) == {"healthy": 0, "crouch": 2}
    storage.write(trials, tmp_path / "some.h5")
    asked = ["validate", "coverage", "--data", "some.h5", "--figures", "pictures", "--json", "told.json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "told.json").read_text())["n_gaits"] == 3 and "3 certified gaits of 3 people" in result.output
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"coverage.png", "strip_healthy.png", "strip_crouch.png"}
    assert (tmp_path / "pictures" / "coverage.png").read_bytes() == png(coverage.picture(trials.table))
