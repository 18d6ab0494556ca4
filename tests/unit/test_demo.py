"""The demo's memory of finished stages, and what it says without recordings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from synthgait.demo import _Stages, held_out_rows


def test_a_finished_stage_is_done_once(tmp_path: Path) -> None:
    stages, product, calls = _Stages(tmp_path), tmp_path / "product", []

    def make() -> None:
        calls.append(1)
        product.write_text("made")

    first = stages.once("stage", {"speed": 1.2}, [product], make)
    assert _Stages(tmp_path).once("stage", {"speed": 1.2}, [product], make) == first
    assert len(calls) == 1
    product.unlink()
    stages.once("stage", {"speed": 1.2}, [product], make)
    assert len(calls) == 2


def test_an_interrupted_or_changed_stage_is_done_again(tmp_path: Path) -> None:
    stages, product = _Stages(tmp_path), tmp_path / "product"

    def interrupted() -> None:
        product.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.once("stage", 1, [product], interrupted)
    stages.once("stage", 1, [product], lambda: product.write_text("whole") and None)
    assert product.read_text() == "whole"
    stages.once("stage", 2, [product], lambda: product.write_text("other") and None)
    assert product.read_text() == "other"


def test_without_recordings_the_rows_say_whose_errors_they_are() -> None:
    estimator = SimpleNamespace(config={"held_out_errors": {"lower_back": {"walking_speed_mps": 0.05}}})
    (row,) = held_out_rows({"gait_parameters": estimator})
    assert row["dataset"] == "synthetic_held_out" and row["mae"] == 0.05 and row["r"] is None
