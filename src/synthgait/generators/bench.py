"""How fast strides are generated and written, beside the usual way to do it.

In: a generator's folder. Out: strides per second, including HDF5, of ``generate`` on so many
processes; of a plain ``diffusers`` ``UNet1DModel`` with 50 DDIM steps on the raw channels, as
GaitDynamics-like systems generate (Tan et al., 2025), writing the same file; and peak memory
of all processes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthgait import bundled, storage
from synthgait.conventions import SAMPLES_PER_STRIDE
from synthgait.generators.base import BLOCK, StrideGenerator
from synthgait.generators.generate import generate

BASELINE_STEPS = 50
_WIDTHS = (64, 128, 256)
#: Seconds between two looks at the processes' memory; of a worker that ends, this much of its end is not seen.
_LOOK_S = 0.2


def bench_generate(model: str | Path | None = None, n: int = 20_480, *, workers: int | None = None, baseline_n: int = 16) -> dict[str, Any]:
    """Time both.

    Args:
        model: a generator's folder; None is the one that comes with synthgait.
        n: strides that the generator makes; the workers share them evenly.
        workers: processes; None is one per core.
        baseline_n: strides that the baseline makes (its cost per stride does not depend on it).

    Returns ``strides_per_second, baseline_strides_per_second, ratio, peak_memory_mib, n_strides,
    workers, start_seconds`` (loading models in the workers, included in none of the rates).
    """
    model = bundled.generator() if model is None else model
    workers = workers or os.cpu_count() or 1
    per_worker = max(2 * BLOCK, -(-n // workers // BLOCK) * BLOCK)
    folder = Path(tempfile.mkdtemp(prefix="synthgait-bench-"))
    try:
        with _PeakMemory() as memory:
            # the same run with almost nothing to do: what starting the processes costs
            few = BLOCK * workers
            start = _timed(lambda: generate(model, few, folder / "start", workers=workers, shard_strides=BLOCK, progress=False))
            whole = _timed(
                lambda: generate(model, per_worker * workers, folder / "run", workers=workers, shard_strides=per_worker, progress=False)
            )
        baseline = _baseline_seconds(StrideGenerator.load(model), baseline_n, folder / "baseline.h5")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rate = (per_worker * workers - few) / max(whole - start, 1e-9)
    return {
        "strides_per_second": rate,
        "baseline_strides_per_second": baseline_n / baseline,
        "ratio": rate * baseline / baseline_n,
        "peak_memory_mib": memory.peak_mib,
        "n_strides": per_worker * workers,
        "workers": workers,
        "start_seconds": start,
    }


def table_text(figures: dict[str, Any]) -> str:
    """The figures for people."""
    return "\n".join(
        (
            f"{'':<34}{'strides/s':>12}",
            f"{'synthgait, ' + str(figures['workers']) + ' processes, with HDF5':<34}{figures['strides_per_second']:>12.1f}",
            f"{'UNet1DModel, 50 DDIM steps, HDF5':<34}{figures['baseline_strides_per_second']:>12.2f}",
            f"{'ratio':<34}{figures['ratio']:>12.0f}",
            f"peak memory {figures['peak_memory_mib']:.0f} MiB for {figures['n_strides']} strides",
            f"models load in {figures['start_seconds']:.1f} s",
        )
    )


def _timed(action: Any) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _baseline_seconds(generator: StrideGenerator, n: int, path: Path) -> float:
    """Sample raw channels with a U-Net and write them; the network is untrained, which costs the same."""
    from diffusers.models.unets.unet_1d import UNet1DModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    template = generator.sample(n, attempts=1)
    channels = sum(len(names) for names in template.channels.values())
    padded = -(-SAMPLES_PER_STRIDE // 8) * 8  # three halvings of the time axis
    network = UNet1DModel(
        sample_size=padded,
        in_channels=channels,
        out_channels=channels,
        extra_in_channels=2 * _WIDTHS[0],  # its first block takes the time's Fourier features as channels
        block_out_channels=_WIDTHS,
    ).eval()
    scheduler = DDIMScheduler(num_train_timesteps=1000)
    begin = time.perf_counter()
    with torch.inference_mode():
        sample = torch.randn(n, channels, padded)
        scheduler.set_timesteps(BASELINE_STEPS)
        for step in scheduler.timesteps:
            sample = scheduler.step(network(sample, step).sample, step, sample).prev_sample
    values = sample[:, :, :SAMPLES_PER_STRIDE].transpose(1, 2).numpy()
    start = 0
    for group, names in template.channels.items():
        template.signals[group] = np.ascontiguousarray(values[:, :, start : start + len(names)])
        start += len(names)
    storage.write(template, path)
    return time.perf_counter() - begin


class _PeakMemory:
    """Largest memory of this process and its children together, from /proc; 0 where there is none."""

    peak_mib = 0.0

    def __enter__(self) -> _PeakMemory:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        # The kernel keeps every process's own high-water mark (VmHWM), so that no peak between two looks is missed, and tells
        # it without holding the process up, as adding up its pages would (smaps). The marks need not be of one moment, so
        # their sum is an upper bound. Library files that all of them map are in every mark and count once, as the largest.
        marks = [mark for mark in map(_marks, _descendants(os.getpid())) if mark is not None]
        files = [mapped for _, mapped in marks]
        self.peak_mib = max(self.peak_mib, sum(high for high, _ in marks) - sum(files) + max(files, default=0.0))


def _marks(pid: int) -> tuple[float, float] | None:
    """High-water mark of a process and what it maps of files now, MiB; None where it has ended or nothing tells."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        high, mapped = (int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "RssFile"))
    except (OSError, KeyError, ValueError):
        return None
    return high, mapped


def _descendants(pid: int) -> list[int]:
    """A process and all that it started, which are running."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        try:
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return found
