"""synthgait: synthetic gait data from physics.

The front door, opened on first use so that importing it is quick and loads neither torch, casadi nor
opensim (the last two cannot share a process)::

    rng = numpy.random.default_rng(0)
    seed = synthgait.simulate("quick", out="runs/quick")          # OpenSim people walk
    model = synthgait.train("diffusion", seed)                    # a generator learns from them
    gaits = model.sample(1000, age_years=(65, 85), seed=1)        # new strides, on demand
    walks = synthgait.walk(gaits, 20.0, rng)                      # continuous walking
    imu = synthgait.sensors.IMU("lower_back").record(walks, rng)  # what a sensor would record
    estimator = synthgait.fit("gait_parameters", gaits)           # trained on nobody
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_DOOR = {
    "GaitEstimator": "estimators",
    "InputError": "errors",
    "Subject": "subjects",
    "Trials": "trials",
    "fit": "estimators",
    "load_generator": "generators",
    "load_recordings": "recordings",
    "read": "storage",
    "sensors": "",
    "simulate": "",
    "train": "generators",
    "validate": "",
    "walk": "walks",
    "write": "storage",
}
_OTHER_NAME = {"load_generator": "load", "load_recordings": "load"}
__all__ = [
    "GaitEstimator",
    "InputError",
    "Subject",
    "Trials",
    "fit",
    "load_generator",
    "load_recordings",
    "read",
    "sensors",
    "simulate",
    "train",
    "validate",
    "walk",
    "write",
]

if TYPE_CHECKING:
    from synthgait import sensors, simulate, validate
    from synthgait.errors import InputError
    from synthgait.estimators import GaitEstimator
    from synthgait.estimators import fit as fit  # type: ignore[no-redef]
    from synthgait.generators import load as load_generator
    from synthgait.generators import train as train  # type: ignore[no-redef]
    from synthgait.recordings import load as load_recordings
    from synthgait.storage import read, write
    from synthgait.subjects import Subject
    from synthgait.trials import Trials
    from synthgait.walks import walk


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'synthgait' has no attribute {name!r}")
    if not _DOOR[name]:
        return import_module(f"synthgait.{name}")
    return getattr(import_module(f"synthgait.{_DOOR[name]}"), _OTHER_NAME.get(name, name))
