"""Sensor datasets: what a set of instruments records of every gait of a dataset.

In: strides, names of instruments, a seed. Out: one dataset of kind ``walks`` per instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from synthgait import sensors, storage
from synthgait.conventions import IMU_PLACEMENTS
from synthgait.errors import InputError
from synthgait.trials import Trials
from synthgait.walks import walk

#: What `synthgait sense` can place besides an IMU at every placement of the conventions.
OTHERS: dict[str, Callable[[], object]] = {
    "camera_right": lambda: sensors.Camera("right", noise="home_video"),
    "camera_front": lambda: sensors.Camera("front", noise="home_video"),
    "keypoints_3d": lambda: sensors.Markers("joints"),
    "emg": lambda: sensors.EMG(sensor="laboratory"),
    "force_plate": sensors.ForcePlate,
    "insole": sensors.Insole,
}


def instrument(name: str, imu_class: str = "consumer") -> object:
    """The instrument of a name: an IMU placement of the conventions or one of ``OTHERS``. Raises InputError."""
    if name in IMU_PLACEMENTS:
        return sensors.IMU(name, sensor=imu_class)
    if name not in OTHERS:
        raise InputError(f"no sensor is called {name!r}; there are {', '.join((*IMU_PLACEMENTS, *OTHERS))}")
    return OTHERS[name]()


def sense(
    strides: Trials, names: Sequence[str], out: str | Path, *, duration_s: float = 10.0, imu_class: str = "consumer", seed: int = 0
) -> list[Path]:
    """Walk every stride on and record it with every instrument.

    Args:
        strides: seed or synthetic strides; those that are not ok are left out.
        names: see ``instrument``.
        out: folder that gets ``<name>.h5`` each; files that are there and whole are kept.
        duration_s: of every walk.

    Returns the files. The same seed gives the same bytes.

    Raises:
        InputError: an unknown instrument, or trials that are not strides.
    """
    made = {name: instrument(name, imu_class) for name in names}
    walks = walk(strides.certified(), duration_s, np.random.default_rng(seed))
    files = []
    for name, tool in made.items():
        # One child seed per instrument's name: adding one changes no other.
        rng = np.random.default_rng(np.random.SeedSequence([seed, *name.encode()]))
        recorded: Trials = tool.record(walks, rng)  # type: ignore[attr-defined]
        recorded.attributes |= {"name": name, "license": strides.attributes.get("license", "CC-BY-4.0")}
        files.append(Path(out) / f"{name}.h5")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        storage.write(recorded, files[-1])
    return files
