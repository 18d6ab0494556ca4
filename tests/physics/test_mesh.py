"""The mesh study on the planar body, which is cheap; ``synthgait bench mesh`` measures the three-dimensional gait.

The project's limits are 2 degrees and 3 % of body weight. The angles keep theirs at every instant; the ground reaction
over the cycle, but not in the hundredth of it where a foot leaves the floor, whose instant the mesh moves.
"""

from __future__ import annotations

import pytest

from synthgait import bench
from synthgait.anthropometry import build_model
from synthgait.planar import planar
from synthgait.simulate.task import WalkingTask
from synthgait.subjects import Subject


def test_a_three_times_finer_mesh_changes_the_curves_little() -> None:
    told = bench.bench_mesh(planar(build_model(Subject("adult"))), WalkingTask(1.2))
    assert [(row["intervals"], row["status"]) for row in told["meshes"]] == [(30, "ok"), (90, "ok")]
    # the planar body misses the goals of 2 degrees and 3 % (3.2 and rms 4.6 at toe-off and landing): a guard, not a proof
    assert 0.0 < told["worst_angle_deg"] < 4.0 and told["rms_angle_deg"] < 1.5 and 0.0 < told["rms_force_percent_bw"] < 6.0
    assert told["meshes"][0]["stride_time_s"] == pytest.approx(told["meshes"][1]["stride_time_s"], rel=0.02)
    text = bench.mesh_text(told)
    assert f"at most {told['worst_force_percent_bw']:.2f} % of body weight (rms {told['rms_force_percent_bw']:.2f})" in text
    vertical = {row["quantity"]: row for row in told["curves"]}["ground_reaction_y_r"]
    assert vertical["rms"] < vertical["worst"] and 0 <= vertical["at_percent"] < 100
