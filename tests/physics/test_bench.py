"""The bench of both engines: ours solves the planar problem, and Moco is ended in time."""

from __future__ import annotations

from synthgait import bench


def test_moco_is_stopped_at_the_limit() -> None:
    told = bench.bench_planar(8.0, cold=False)
    ours, moco = told["warm_casadi"], told["warm_moco"]
    assert ours["status"] == "ok" and 0.1 < ours["cost"] < 0.2 and ours["iterations"] < 500
    assert moco["status"] == "stopped at the limit" and moco["cost"] is None
    assert moco["wall_s"] < 30 and moco["cpu_s"] > ours["cpu_s"]
