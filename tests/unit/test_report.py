"""The report: one self-contained file, the same bytes every time, whose numbers are those of the data."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analytic_walker import analytic_walker
from synthgait import pathologies, report
from synthgait.report import findings, gaits, strips
from synthgait.report.page import AGGREGATE_ONLY, chosen_gaits
from synthgait.report.style import png
from synthgait.subjects import Subject
from synthgait.trials import Trials
from synthgait.validate import run


@pytest.fixture(scope="module")
def seed() -> Trials:
    people = [
        Subject("adult", age_years=30, sex="female", height_m=1.70, mass_kg=65),
        Subject("child", age_years=9, sex="male", height_m=1.35, mass_kg=30),
        Subject("stroke", age_years=60, sex="male", height_m=1.80, mass_kg=80, pathology="hemiparesis", severity=0.6, affected_side="left"),
        Subject("failed", age_years=40, sex="male", height_m=1.75, mass_kg=75),
    ]
    trials = analytic_walker(people, np.array([1.25, 1.0, 0.8, 1.3]))
    trials.table["status"] = ["ok", "ok", "ok", "not_converged"]
    trials.table["status_message"] = ["", "", "", "stopped after <500> iterations"]
    trials.table["certificate_acceleration_error"] = [1e-9, 3e-9, 2e-9, np.nan]
    return trials


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for dataset in ("open_walks", "gaitvalidation_video_pose"):
        for method, spread in (("zero_shot", 0.05), ("floor:mean", 0.2)):
            for quantity, typical in (("walking_speed_mps", 1.2), ("step_time_s", 0.55)):
                for person in range(14):
                    truth = typical * rng.uniform(0.8, 1.2)
                    row = {"dataset": dataset, "sensor": "lower_back", "group": "healthy", "quantity": quantity, "method": method}
                    ids = {"recording_id": f"rec-{person}", "subject_id": f"secret-person-{person}"}
                    rows.append(row | ids | {"truth": truth, "estimate": truth + spread * rng.standard_normal(), "reason": ""})
    return pd.DataFrame(rows)


class _Page(HTMLParser):
    """Collects tags, image sources and text; complains of tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.images += [str(found["src"])] if tag == "img" else []
        self.links += [str(found["href"])] if "href" in found else []
        self.ids += [str(found["id"])] if "id" in found else []
        self.open += [tag] if tag not in ("img", "meta", "br") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _written(out: Path, seed: Trials, pairs: pd.DataFrame) -> str:
    path = report.write(out, seed=seed, synthetic=seed, rows=run.rows(pairs), pairs=pairs, notes=["A note & more."], examples=seed)
    return path.read_text(encoding="utf-8")


def test_one_self_contained_page(tmp_path: Path, seed: Trials, pairs: pd.DataFrame) -> None:
    text = _written(tmp_path / "new" / "report.html", seed, pairs)
    page = _Page(text)
    assert not page.open
    assert all(source.startswith("data:image/png;base64,") for source in page.images)
    assert all(base64.b64decode(source.split(",")[1])[:4] == b"\x89PNG" for source in page.images)
    # three figures of three gaits, a healthy and a paretic strip, two of generated strides, one of each dataset
    assert len(page.images) == 3 * 3 + 2 + 2 + 2
    assert not re.search(r"https?://|<script|@import", text) and 'name="viewport"' in text
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "A note & more." in page.text
    assert "stopped after <500> iterations" in page.text
    assert "secret-person" not in text and "rec-3" not in text
    assert str(tmp_path) not in text


def test_same_bytes_without_synthetic_and_rows(tmp_path: Path, seed: Trials) -> None:
    one = seed.select([0, 3])
    text = report.write(tmp_path / "report.html", seed=one, examples=seed).read_text()
    assert text == report.write(tmp_path / "again.html", seed=one, examples=seed).read_text()
    assert _Page(text).ids == ["simulated", "certificate", "pathologies"]
    nothing = seed.select([3])
    assert "none is drawn" in _Page(report.write(tmp_path / "none.html", seed=nothing, examples=nothing).read_text()).text


def test_each_pathology_of_the_bundled_seed_is_drawn_in_plain_words(tmp_path: Path, seed: Trials) -> None:
    page = _Page(report.write(tmp_path / "report.html", seed=seed.select([3])).read_text())
    assert len(page.images) == len(strips.of_bundled_seed()) >= 12
    for table in pathologies.tables().values():
        assert table.title in page.text and table.description in page.text


def test_a_strip_is_of_the_level_and_of_median_speed(seed: Trials) -> None:
    several = seed.select([0, 0, 2, 2, 2, 2])
    slope, severity, speed = [0.05, 0.0, 0.0, 0.0, 0.0, 0.1], [0, 0, 1, 1, 1, 1], [1.2, 1.4, 0.5, 0.9, 0.7, 0.6]
    several.table = several.table.assign(condition_slope=slope, severity=severity, walking_speed_mps=speed)
    assert strips.shown(several) == {"healthy": 1, "hemiparesis": 4}
    several.table["condition_slope"] = 0.1  # nobody walks on the level
    assert strips.shown(several)["healthy"] == 0


def test_yield_and_certificate(seed: Trials) -> None:
    table = findings.yield_table(seed).set_index("gait")
    assert table.loc["all", "trials"] == 4 and table.loc["all", "certified"] == 3 and table.loc["all", "yield, %"] == "75"
    assert table.loc["hemiparesis", "severity"] == "0.6"
    certificate = findings.certificate_table(seed)
    assert certificate["worst, healthy"][0] == "3.0e-09" and certificate["worst, hemiparesis"][0] == "2.0e-09"
    assert findings.failures(seed)["trials"].tolist() == [1]
    assert findings.about_simulated(seed)[0].good is False


def test_numbers_read_off_a_gait(seed: Trials) -> None:
    walking = findings.walking_table(seed).set_index("trial")
    assert len(walking) == 3
    adult = walking.iloc[0]
    assert adult["knee in swing, °"] == pytest.approx(np.rad2deg(seed.channel("knee_flexion_r")[0].max()), abs=0.01)
    assert adult["step length asymmetry, %"] == pytest.approx(0, abs=0.1)
    lame = seed.select([2])
    lame.table["step_length_r_m"] *= 1.1
    assert findings.walking_table(lame)["step length asymmetry, %"][0] == pytest.approx(9.5, abs=0.1)
    said = {s.text.split(":")[0]: s.good for s in findings.about_simulated(seed)}
    assert said["One-sided impairments"] is False


def test_left_curves_begin_at_left_contact(seed: Trials) -> None:
    # the analytic walker's left leg does what the right does half a cycle before
    right, left = seed.channel("knee_flexion_r")[0], seed.channel("knee_flexion_l")[0]
    assert np.allclose(gaits.from_own_contact(seed, 0, left, "l"), right, atol=0.02)
    force_r, force_l = (gaits.ground_reaction_bw(seed, 0, side) for side in "rl")
    assert np.allclose(force_r, force_l, atol=0.1)


def test_gaits_that_are_drawn(seed: Trials) -> None:
    good = seed.select([0, 1, 2])
    assert sorted(chosen_gaits(good)) == [0, 1, 2]
    assert gaits.describe_person(good, 2) == (
        "Man, 60 years, 1.80 m, 80 kg, hemiparesis, severity 0.6, left side; walks 0.80 m/s with "
        f"{good.table['cadence_spm'][2]:.0f} steps/min"
    )
    assert gaits.describe_person(good, 1).startswith("Boy, 9 years")


def test_ours_beside_the_best_floor(pairs: pd.DataFrame) -> None:
    rows: list[dict[str, Any]] = run.rows(pairs)
    summary = findings.summary_table(rows).set_index(["dataset", "quantity"])
    ours = summary.loc[("open_walks", "walking_speed_mps")]
    assert ours["ours"] < ours["floor"] and ours["floor_name"] == "mean" and np.isnan(ours["peer"]) and ours["people"] == 14
    assert all(sentence.good for sentence in findings.about_estimated(rows))
    worse = [row | {"mae" if row["method"] == "zero_shot" else "mae_ours_shared": 9.0} for row in rows]
    assert "furthest behind" in findings.about_estimated(worse)[0].text and findings.about_estimated(worse)[0].good is False


def test_no_single_recording_of_an_unlicensed_dataset_is_drawn(pairs: pd.DataFrame) -> None:
    assert "gaitvalidation_video_pose" in AGGREGATE_ONLY
    part = pairs[(pairs["dataset"] == "gaitvalidation_video_pose") & (pairs["method"] == "zero_shot")]
    figure = report.scatter_and_difference(part, aggregate=True)
    assert figure is not None and png(figure)[:4] == b"\x89PNG"
    drawn = [len(line.get_xdata()) for axes in figure.axes for line in axes.lines if line.get_marker() in ("o", "^", "s")]
    assert max(drawn) == 2  # 14 recordings in pools of 6 and more
    single = report.scatter_and_difference(part)
    assert single is not None and max(len(line.get_xdata()) for line in single.axes[0].lines) == 14
    assert report.scatter_and_difference(part.assign(estimate=np.nan)) is None


def test_rows_of_held_out_synthetic_people(tmp_path: Path, seed: Trials) -> None:
    empty = dict.fromkeys(("mape", "bias", "loa_low", "loa_high", "r", "icc"))
    row = {"dataset": "synthetic_held_out", "sensor": "foot", "group": "all", "quantity": "walking_speed_mps", "method": "zero_shot"}
    rows = [row | {"n_recordings": 0, "n_people": 0, "mae": 0.031} | empty]
    page = _Page(report.write(tmp_path / "report.html", seed=seed.select([3]), rows=rows).read_text())
    assert "0.031" in page.text and "synthetic held out" in page.text
