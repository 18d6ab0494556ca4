"""What ``validate`` draws where it is asked to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from standin_recordings import standin_people
from synthgait import cli, verdicts
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator
from synthgait.recordings import write_plain
from synthgait.report import page
from synthgait.report.agreement import of_each_sensor
from synthgait.validate import run


class _Exact:
    """An estimator that knows the truth."""

    sensors = ("lower_back",)
    task = "gait_parameters"

    def predict(self, recording: Any, **how: Any) -> dict[str, float]:
        return {name: 1.02 * value for name, value in recording.truth.items()}


def test_recordings_get_a_figure_for_every_dataset_and_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "no licence"):
        write_plain(standin_people(4, name), tmp_path / "all" / name)
    monkeypatch.setattr(GaitEstimator, "load", lambda folder: _Exact())
    monkeypatch.setattr(page, "AGGREGATE_ONLY", frozenset({"no licence"}))
    _, text = verdicts.of("recordings", tmp_path / "all", [tmp_path], pictures=tmp_path / "new" / "figures")
    drawn = sorted((tmp_path / "new" / "figures").iterdir())
    assert [path.name for path in drawn] == ["mine_lower_back.png", "no_licence_lower_back.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn) and "2 figures are in" in text
    assert "figures are in" not in verdicts.of("recordings", tmp_path / "all", [tmp_path])[1]


def test_figures_that_cannot_be_drawn_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthgait", "validate", "simulations", "--figures", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and "leave --figures out" in capsys.readouterr().err and not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        verdicts.of("coverage", pictures=tmp_path / "file")
    with pytest.raises(InputError, match="cannot be a folder of figures"):
        verdicts.of("coverage", data=[tmp_path / "none.h5"], pictures=tmp_path / "file" / "x")


@pytest.mark.parametrize("limit", [0.0, -5.0, float("nan"), float("inf")])
def test_a_limit_that_is_no_time_is_refused(limit: float) -> None:
    with pytest.raises(InputError, match="limit of a Moco solve"):
        verdicts.bench("simulate", moco_limit_s=limit)


def test_what_could_not_be_read_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_plain(standin_people(2), tmp_path / "mine")
    lost = sorted((folder / "signals").glob("*.csv"))[0]
    lost.write_text("time_s,lower_back_acc_x\nnoon,1\n")
    table = verdicts.pairs([_Exact()], folder)  # type: ignore[list-item]
    rows = run.rows(table)
    (unread,) = [row for row in rows if row["sensor"] == run.UNREAD]
    assert unread["n_recordings"] == 0 and unread["n_failed"] >= 1 and unread["mae"] is None
    assert not [row for row in rows if row["group"] == "all"] and lost.name in capsys.readouterr().err
    assert "unreadable)" in run.as_text(rows) and list(of_each_sensor(table)) == ["standin_lower_back"]
