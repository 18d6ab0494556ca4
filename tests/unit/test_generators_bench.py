"""``bench generate``: the promised keys, plausible rates, and memory that no look misses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthgait.generators import bench, train
from synthgait.generators.base import BLOCK
from synthgait.generators.train import parse_recipe
from varied_walkers import varied_walkers

HAS_MARKS = Path("/proc/self/status").is_file()


def test_the_figures_are_there(tmp_path: Path) -> None:
    recipe = parse_recipe({"method": "gaussian", "representation": {"max_components": 8}})
    train(recipe, varied_walkers(30, seed=3), tmp_path, progress=False)
    told = bench.bench_generate(tmp_path, n=BLOCK, workers=1, baseline_n=1)
    assert told["n_strides"] == 2 * BLOCK and told["workers"] == 1
    assert told["strides_per_second"] > told["baseline_strides_per_second"] > 0
    assert told["ratio"] == pytest.approx(told["strides_per_second"] / told["baseline_strides_per_second"])
    assert told["peak_memory_mib"] > 100 or not HAS_MARKS
    assert "peak memory" in bench.table_text(told)


@pytest.mark.skipif(not HAS_MARKS, reason="no /proc here")
def test_a_peak_between_two_looks_counts() -> None:
    code = "import time; block = b'x' * 300_000_000; del block; print(flush=True); time.sleep(60)"
    with bench._PeakMemory() as before:  # of this process, and of what other tests have left running
        pass
    with bench._PeakMemory() as memory:
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None and child.pid in bench._descendants(os.getpid())
            child.stdout.readline()
            time.sleep(2 * bench._LOOK_S)
        finally:
            child.kill()
            child.wait()
    assert before.peak_mib + 270 < memory.peak_mib < before.peak_mib + 400
