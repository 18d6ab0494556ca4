"""``bench estimate``: the promised keys, each a plausible time."""

from __future__ import annotations

import json
import sys

import pytest

from analytic_walker import analytic_population
from synthgait import cli, datasets
from synthgait.estimators import bench

SMALL = {"sensors": ["lower_back", "foot"], "walks": 12, "strides_per_walk": 3, "steps": 2, "members": 1, "batch": 8}


def test_the_figures_are_there_and_scale() -> None:
    told = bench.bench_estimate(lambda: analytic_population(12, seed=1), [SMALL], recording_s=20.0)
    assert set(told["estimate_seconds_by_sensor"]) == {"lower_back", "foot"}
    assert 0.01 < told["estimate_seconds_per_10_min"] < 600.0
    assert 0.0 < told["training_minutes_by_part"]["strides"] < told["training_minutes"] < 5.0
    assert told["sensing_times_real_time_per_core"] > 10.0
    assert "times real time per core" in bench.as_text(told)


def test_the_command_writes_the_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    own = bench.bench_estimate
    monkeypatch.setattr(bench, "bench_estimate", lambda teach, progress: own(teach, [SMALL], recording_s=10.0, progress=progress))
    monkeypatch.setattr(datasets, "teaching", lambda: analytic_population(12, seed=1))
    monkeypatch.setattr(sys, "argv", ["synthgait", "bench", "estimate", "--json", "-"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= {"training_minutes", "estimate_seconds_per_10_min", "sensing_times_real_time_per_core"}
