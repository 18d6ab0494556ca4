"""What the sensors share: the recording they give, their declarations, their places on the body.

In: walks or strides, names of placements, names of ``simulations/sensors`` declarations. Out: motion,
``Trials`` that hold sensor channels, checked parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from synthgait.bundled import folder, one_sentence, read_yaml
from synthgait.conventions import IMU_PLACEMENTS
from synthgait.errors import InputError
from synthgait.kinematics import Skeleton
from synthgait.trials import Trials

_Specification = TypeVar("_Specification")

#: Trials whose motion is held in memory at once.
BLOCK = 64

#: Placements that are no landmark of the model: body, and a point between two of the body's joints
#: (share from the first to the second) plus an outward offset, all in shares of the shank's length:
#: a distal shank sensor sits two fingers above the malleoli on the outside.
_DISTAL_SHANK_SHARE, _DISTAL_SHANK_OUTWARD = 0.85, 0.10


def placement_point(skeleton: Skeleton, placement: str) -> tuple[str, np.ndarray]:
    """Body and point of an IMU placement of ``conventions.IMU_PLACEMENTS`` (or of any landmark).

    Raises InputError for a place that the model does not have.
    """
    if placement in ("ankle_r", "ankle_l"):  # the landmark of that name is the joint's centre
        side = placement[-1]
        knee = next(np.asarray(j.child_translation_m, float) for j in skeleton.joints if j.child == f"tibia_{side}")
        ankle = next(np.asarray(j.parent_translation_m, float) for j in skeleton.joints if j.child == f"foot_{side}")
        outward = np.array([0.0, 0.0, 1.0 if side == "r" else -1.0])
        length = np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
        return f"tibia_{side}", knee + _DISTAL_SHANK_SHARE * (ankle - knee) + _DISTAL_SHANK_OUTWARD * length * outward
    if placement not in skeleton.landmarks:
        raise InputError(
            f"no sensor can be placed at {placement!r}; placements are {', '.join(IMU_PLACEMENTS)}, or any landmark of the model"
        )
    return skeleton.landmark(placement)


def recording(
    source: Trials, signals: Mapping[str, np.ndarray], channels: Mapping[str, tuple[str, ...]], sampling_rate_hz: float | None
) -> Trials:
    """``Trials`` of sensor channels with the table and events of the walks they were recorded from.

    Raises InputError where some of them are trials that failed.
    """
    source.refuse_failed()
    return Trials(
        source.table.copy(),
        {group: np.ascontiguousarray(array, np.float32) for group, array in signals.items()},
        dict(channels),
        source.events.copy(),
        source.kind if source.sampling_rate_hz is None else "walks",
        sampling_rate_hz,
        dict(source.attributes),
        dict(source.provenance),
    )


def merge(parts: list[Trials]) -> Trials:
    """Recordings of the same walks by several sensors as one, when all have the same sampling rate.

    Raises InputError otherwise.
    """
    first = parts[0]
    rates = {p.sampling_rate_hz for p in parts}
    if len(rates) > 1 or len({tuple(p.table.get("trial_id", ())) for p in parts}) > 1:
        raise InputError("the recordings are of different walks or sampling rates; record the same walks at one rate to merge them")
    signals = {group: array for part in parts for group, array in part.signals.items()}
    channels = {group: names for part in parts for group, names in part.channels.items()}
    return Trials(first.table, signals, channels, first.events, first.kind, first.sampling_rate_hz, first.attributes, first.provenance)


@cache
def _classes(path: Path, changed_ns: int) -> dict[str, Any]:
    """A file of declarations, read once as it is: trainings ask for it with every few walks."""
    return read_yaml(path)


def declared(kind: type[_Specification], file: str, name: str) -> _Specification:
    """A specification by its name in ``simulations/sensors/<file>.yaml``.

    Raises InputError for a name or key that is not there, or a value that cannot be.
    """
    path = folder("simulations") / "sensors" / f"{file}.yaml"
    known = _classes(path, path.stat().st_mtime_ns if path.is_file() else 0)
    if name not in known:
        raise InputError(f"no {file} is called {name!r}; simulations/sensors/{file}.yaml has {', '.join(known)}")
    return specification(kind, known[name] | {"name": name}, f"{file} {name!r}")


def chosen(kind: type[_Specification], file: str, given: _Specification | str | None) -> _Specification:
    """A specification: itself, by its name in ``declared``'s file, or the default where there is none."""
    return declared(kind, file, given) if isinstance(given, str) else given or kind()


def specification(kind: type[_Specification], values: Mapping[str, Any], where: str) -> _Specification:
    """Plain values as a specification; ``source`` is a citation and stays behind."""
    allowed = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key != "source"}
    unknown = sorted(set(given) - allowed)
    if unknown:
        raise InputError(f"{where} has the unknown key {unknown[0]!r}; keys are {', '.join(sorted(allowed))}")
    try:
        checked: _Specification = _adapter(kind).validate_python(given)  # type: ignore[arg-type]
        return checked
    except ValidationError as error:
        raise InputError(f"{where}: {one_sentence(error)}") from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def needs_rng(rng: np.random.Generator | None, sensor: str) -> np.random.Generator:
    """The generator, or one clear sentence when a noisy sensor was given none."""
    if rng is None:
        raise InputError(f"{sensor} has noise; give record() a random generator: record(walks, np.random.default_rng(1))")
    return rng
