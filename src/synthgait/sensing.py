"""Sensor datasets: what a set of instruments records of every gait of a dataset.

In: strides, names of instruments, how they are set, a seed. Out: one dataset of kind ``walks`` per instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from synthgait import sensors, storage
from synthgait.conventions import IMU_PLACEMENTS
from synthgait.errors import InputError
from synthgait.sensors.camera import VIEWS_RAD
from synthgait.trials import Trials
from synthgait.walks import walk

#: What `synthgait sense` can place besides an IMU at every placement of the conventions: the file of
#: ``simulations/sensors`` that has its errors, and whose they are unless said otherwise (None: no errors).
OTHERS: dict[str, tuple[str, str | None]] = {
    "camera": ("camera", "home_video"),
    **{f"camera_{view}": ("camera", "home_video") for view in VIEWS_RAD},
    "keypoints_3d": ("markers", None),
    "emg": ("emg", "laboratory"),
    "force_plate": ("force_plate", None),
    "insole": ("insole", None),
}
EMG_KINDS = ("envelope", "raw")
_RAW_RATE_HZ = 1000.0  # the least that holds raw EMG


@dataclass(frozen=True)
class Settings:
    """How instruments are set; each setting is for those that have it.

    Args:
        imu_class, mounting, impact: of IMUs, names of imu.yaml, mounting.yaml and impact.yaml in
            ``simulations/sensors``; no mounting is exact and rigid, no impact a footfall that shakes nothing.
        view: of the instrument ``camera``, a name of ``sensors.camera.VIEWS_RAD``; None is from the right.
        panning: cameras turn with the walker.
        keypoints: of cameras and ``keypoints_3d``, a name of ``sensors.KEYPOINT_SETS``; None is coco_17 in the
            picture and joints in space.
        emg: envelope, or raw at 1000 Hz.
        errors: file of ``simulations/sensors`` (camera, emg, markers, force_plate, insole) -> name in it.
    """

    imu_class: str = "consumer"
    mounting: str | None = None
    impact: str | None = None
    view: str | None = None
    panning: bool = False
    keypoints: str | None = None
    emg: str = "envelope"
    errors: Mapping[str, str] = field(default_factory=dict)


def _set_by(name: str) -> set[str]:
    """The settings that an instrument has; an error's is called after its file."""
    if name in IMU_PLACEMENTS:
        return {"imu_class", "mounting", "impact"}
    file = OTHERS[name][0]
    more = {"camera": {"panning", "keypoints"}, "markers": {"keypoints"}}.get(file, set())
    return {file} | more | ({"view"} if name == "camera" else set())


def instrument(name: str, settings: Settings | None = None) -> object:
    """The instrument of a name: an IMU placement of the conventions or one of ``OTHERS``. Raises InputError."""
    s = settings or Settings()
    if name in IMU_PLACEMENTS:
        return sensors.IMU(name, s.imu_class, s.mounting, s.impact)
    if name not in OTHERS:
        raise InputError(f"no sensor is called {name!r}; there are {', '.join((*IMU_PLACEMENTS, *OTHERS))}")
    file, usual = OTHERS[name]
    errors = s.errors.get(file, usual)
    if file == "camera":
        view = s.view or "right" if name == "camera" else name.removeprefix("camera_")
        return sensors.Camera(view, s.keypoints or "coco_17", errors, panning=s.panning)
    if file == "markers":
        return sensors.Markers(s.keypoints or "joints", errors)
    if file == "emg":
        if s.emg not in EMG_KINDS:
            raise InputError(f"no kind of EMG is called {s.emg!r}; there are {', '.join(EMG_KINDS)}")
        return sensors.EMG(sensor=errors, raw_rate_hz=_RAW_RATE_HZ if s.emg == "raw" else None)
    return sensors.ForcePlate(errors) if file == "force_plate" else sensors.Insole(errors)


def error_classes(words: Sequence[str]) -> dict[str, str]:
    """``FILE=NAME`` of the command line as ``Settings.errors``. Raises InputError."""
    files = dict.fromkeys(file for file, _ in OTHERS.values())
    told = {}
    for word in words:
        file, _, name = word.partition("=")
        if not name or file not in files:
            raise InputError(f"{word!r} names no errors; give one of {', '.join(files)} and a class of it, as camera=good_video")
        told[file] = name
    return told


def sense(
    strides: Trials,
    names: Sequence[str],
    out: str | Path,
    *,
    duration_s: float = 10.0,
    settings: Settings | None = None,
    seed: int = 0,
) -> list[Path]:
    """Walk every stride on and record it with every instrument.

    Args:
        strides: seed or synthetic strides; those that are not ok are left out.
        names: see ``instrument``.
        out: folder that gets ``<name>.h5`` each, in place of what is there.
        duration_s: of every walk.
        settings: of the instruments.

    Returns the files. The same seed gives the same bytes.

    Raises:
        InputError: an unknown instrument or setting, a setting that none of the instruments has, or trials that
            are not strides.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; give a whole number from 0 on")
    settings = settings or Settings()
    made = {name: instrument(name, settings) for name in names}
    changed = [f.name for f in fields(settings) if f.name != "errors" and getattr(settings, f.name) != f.default]
    had = set().union(*map(_set_by, names))
    for setting in (*changed, *settings.errors):
        if setting not in had:
            raise InputError(f"none of the sensors {', '.join(names)} has the setting {setting}; leave it out or add a sensor that has it")
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
