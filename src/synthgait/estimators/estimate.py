"""The verb ``estimate``: one CSV of one walk, and what it tells of the walker.

In: a CSV in the plain format (``time_s`` and channels of the conventions) and a fitted estimator, by
default the bundled one. Out: a plain dictionary for JSON, a text, and a small picture.

The recording is judged before its numbers are believed: no walking, hardly any strides, strides that
do not repeat, or a walker unlike any that the estimator was fitted on are said in one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from synthgait.errors import InputError
from synthgait.estimators import shipped, tasks
from synthgait.estimators.base import GaitEstimator
from synthgait.estimators.features.windows import NoWalking
from synthgait.recordings import plain
from synthgait.recordings.base import Recording

#: What is told of a walk, with its unit; each has an interval.
TOLD = {
    "walking_speed_mps": "m/s",
    "step_length_m": "m",
    "step_time_s": "s",
    "stride_length_m": "m",
    "stride_time_s": "s",
    "cadence_spm": "/min",
}
#: Fewer strides than this are no sample of a walk: a stride-time CV of 2 to 5 % would show in the median.
_FEW_STRIDES = 3
#: Half of a stride's shape does not come back in the next: not steady walking.
_LEAST_REPETITION = 0.5
#: How far beyond what it was fitted on an estimator may be believed.
_BEYOND = 0.1
#: Half-width of the speed's interval over the speed, beyond which the number says nothing.
_WIDEST_INTERVAL = 0.35


def estimate(
    path: str | Path,
    estimator: GaitEstimator | str | Path | None,
    sensor: str,
    *,
    height_m: float | None = None,
    leg_length_m: float | None = None,
    plot: str | Path | None = None,
) -> dict[str, Any]:
    """Estimate one walk.

    Args:
        path: CSV with ``time_s`` and the sensor's channels, e.g. ``lower_back_acc_x`` (m/s^2 with gravity).
        estimator: of gait parameters, or the folder it was saved to; None takes the one that comes with synthgait.
        sensor: one of ``estimators.SENSORS`` that it was fitted for.
        height_m, leg_length_m: of the walker, where known; either makes lengths and speed more certain.
        plot: where to write a small PNG; None writes none.

    Returns:
        Dictionary of ``walking_speed_mps, step_length_m, step_time_s, stride_length_m, stride_time_s,
        cadence_spm`` (None where it cannot judge), ``intervals`` name -> [low, high] (90 %), ``n_strides``,
        ``strides`` (``time_s``, ``steady`` and the same names per stride), ``events`` (landings and lift-offs, see
        ``contacts.gait_events``), ``can_judge``, ``sentence``, ``sensor``.

    Raises:
        InputError: no such file, a missing column, a wrong unit, a clock that runs back or has gaps, a
            sensor that the estimator was not fitted for.
    """
    given = shipped.load() if estimator is None else estimator
    fitted = given if isinstance(given, GaitEstimator) else GaitEstimator.load(given)
    if fitted.task != "gait_parameters":
        raise InputError(f"this estimator is of {fitted.task}; give one of gait_parameters")
    kind = tasks.sensor_named(sensor)
    if sensor not in fitted.sensors:
        raise InputError(f"this estimator was not fitted for {sensor!r}; it reads {', '.join(fitted.sensors)}")
    recording = _read(Path(path), kind, height_m, leg_length_m)
    try:
        found = fitted.predict(recording, sensor=sensor)
    except NoWalking as error:
        result: dict[str, Any] = dict.fromkeys(TOLD) | {"intervals": {}, "n_strides": 0, "strides": {}, "can_judge": False}
        result |= {"events": {}, "sentence": f"This recording cannot be judged: {error}.", "sensor": sensor}
    else:
        doubts = _doubts(found, fitted.config, height_m is not None or leg_length_m is not None)
        result = {name: found[name] for name in TOLD}
        result |= {"intervals": {name: list(found["intervals"][name]) for name in TOLD}, "n_strides": found["n_strides"]}
        result |= {"strides": {name: found["strides"][name] for name in ("time_s", "steady", *TOLD)}, "can_judge": not doubts}
        result |= {"events": found["events"], "sentence": _sentence(result, doubts), "sensor": sensor}
    if plot is not None:
        _draw(result, Path(plot))
    return result


def as_text(result: Mapping[str, Any]) -> str:
    """The sentence, and beneath it every quantity of the recording with its 90 % interval."""
    lines = [result["sentence"]]
    for name, unit in TOLD.items():
        if result[name] is not None:
            low, high = result["intervals"][name]
            lines.append(f"  {name.rpartition('_')[0].replace('_', ' '):15} {result[name]:8.3f} {unit:5} ({low:.3f} to {high:.3f})")
    return "\n".join(lines)


def _read(path: Path, kind: tasks.Sensor, height_m: float | None, leg_length_m: float | None) -> Recording:
    recording_kind = "imu" if kind.worn else kind.name
    signals, rate = plain.read_signals(path, recording_kind)
    if rate is None:
        raise InputError(f"{path} has no column time_s; every signal needs its clock")
    if rate < 15.0:
        raise InputError(f"time_s of {path} steps by {1.0 / rate:g}; give seconds, at least 15 samples in each")
    if recording_kind == "imu":
        signals = {name: values for name, values in signals.items() if name.startswith(f"{kind.name}_")}
        if not signals:
            raise InputError(f"{path} has no column like {_example(kind)}; name the columns as in the plain format")
    return Recording(
        dataset=path.parent.name,
        recording_id=path.stem,
        subject_id="",
        kind=recording_kind,
        signals=signals,
        sampling_rate_hz=rate,
        height_m=height_m,
        leg_length_m=leg_length_m,
        pixels=recording_kind == "keypoints_2d",
    )


def _example(kind: tasks.Sensor) -> str:
    return f"{kind.name}_r_acc_x" if kind.channels[0].endswith(("_r", "_l")) else f"{kind.name}_acc_x"


def _doubts(found: Mapping[str, Any], config: Mapping[str, Any], size_known: bool) -> list[str]:
    """Reasons not to believe the numbers, each the end of a sentence."""
    doubts = []
    if found["n_strides"] < _FEW_STRIDES:
        doubts.append(f"it shows {found['n_strides']} strides where at least {_FEW_STRIDES} are needed")
    if found["repetition"] < _LEAST_REPETITION:
        doubts.append("its strides hardly repeat, as in anything but steady walking")
    low, high = found["intervals"]["walking_speed_mps"]
    if high - low > 2 * _WIDEST_INTERVAL * found["walking_speed_mps"]:
        doubts.append("its speed is uncertain by more than a third" + ("" if size_known else "; give the height"))
    for name, (least, most) in config.get("fitted_on", {}).items():
        if not (1.0 - _BEYOND) * least <= found[name] <= (1.0 + _BEYOND) * most:
            what = f"{name.rpartition('_')[0].replace('_', ' ')} of {found[name]:.2f} {TOLD[name]}"
            doubts.append(f"its {what} is outside {least:.2f} to {most:.2f}, which is all that the estimator was fitted on")
    return doubts


def _sentence(result: Mapping[str, Any], doubts: list[str]) -> str:
    if doubts:
        return f"This recording cannot be judged with confidence: {'; '.join(doubts)}."
    low, high = result["intervals"]["walking_speed_mps"]
    return (
        f"Walking at {result['walking_speed_mps']:.2f} m/s ({low:.2f} to {high:.2f}) with steps of {result['step_length_m']:.2f} m "
        f"every {result['step_time_s']:.2f} s, from {result['n_strides']} strides."
    )


def _draw(result: Mapping[str, Any], path: Path) -> None:
    """Speed, step length and step time of every stride (grey: starting or stopping) with the recording's value and 90 % interval."""
    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    names = list(TOLD)[:3]
    for name, axes in zip(names, figure.subplots(len(names), 1, sharex=True), strict=True):
        axes.set_ylabel(f"{name.rpartition('_')[0].replace('_', ' ')}, {TOLD[name]}", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        if result["n_strides"]:
            low, high = result["intervals"][name]
            axes.axhspan(low, high, color="#56B4E9", alpha=0.3, linewidth=0)
            axes.axhline(result[name], color="#0072B2", linewidth=1)
            time, each, steady = (np.asarray(result["strides"][key]) for key in ("time_s", name, "steady"))
            axes.plot(time[steady], each[steady], ".", color="#222222", markersize=4)
            axes.plot(time[~steady], each[~steady], ".", color="#999999", markersize=4)
            values = np.array([low, high, *each])
            axes.set_ylim(values.min() - 0.05 * np.abs(values.mean()), values.max() + 0.05 * np.abs(values.mean()))
    axes.set_xlabel("time, s", fontsize=7)
    figure.suptitle(result["sentence"], fontsize=7, wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, format="png", dpi=150, metadata={"Software": None})
    partial.replace(path)
