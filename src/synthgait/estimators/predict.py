"""From one recording to gait parameters or muscle activation.

In: a trained ``GaitEstimator`` and a recording in any of the shapes people have. Out: a plain
dictionary: per recording (means over strides, each with a 90 % interval) and per stride.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synthgait.conventions import ELECTROMECHANICAL_DELAY_S, IMU_CHANNELS, SAMPLES_PER_STRIDE, SIDES
from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.base import ensemble
from synthgait.estimators.contacts import gait_events
from synthgait.estimators.features import pictures, poses
from synthgait.estimators.features.windows import Body, Windows, bridged
from synthgait.estimators.terms import per_stride, summarise
from synthgait.estimators.together import together
from synthgait.gait import later
from synthgait.recordings import clocks
from synthgait.recordings.base import KINDS, PLAUSIBLE, Recording, channels_of
from synthgait.sensors.emg import seen_by_electrodes
from synthgait.textbook import usual_emg

if TYPE_CHECKING:
    from synthgait.estimators.base import GaitEstimator
    from synthgait.estimators.networks import StrideNetwork

#: Sensors in the order of how much they know of the walk, for recordings that have several.
PREFERENCE = ("foot", "keypoints_3d", "joint_angles", "keypoints_2d", "shank", "thigh", "lower_back", "sternum", "head")
#: Share of a stride that must lead away from or towards the camera (the sine of 20 degrees), before its measure is better than
#: what networks know of side views.
_LEAST_DEPTH = 0.34
#: Sines of 20 and 35 degrees off a side view: between them networks taught from the side give way to those taught from anywhere
#: (chosen on simulated walkers).
_SIDE_VIEW_SINES = (0.342, 0.574)
#: Up to the first a pose is taken for motion capture, from the second on for one that a single camera may have seen (chosen on
#: simulated walkers): what resting feet move by in shares of a stride (simulated markers, whose soles creep, 0.008 in the median,
#: poses of one camera 0.03), and by how much, of a logarithm, networks for motion capture tell another stride than those for both.
_CAPTURED_SLIDES, _CAPTURED_DIFFERS = (0.01, 0.02), (0.1, 0.2)
#: A stride time for curves over one cycle without absolute time (a typical adult's).
_TYPICAL_STRIDE_TIME_S = 1.1


def predict(
    estimator: GaitEstimator,
    recording: Any,
    *,
    sensor: str | None = None,
    sampling_rate_hz: float | None = None,
    body: Body | None = None,
    stride_time_s: float | None = None,
    reference_side: str = "own",
    focal_px: float | None = None,
) -> dict[str, Any]:
    """Estimate one recording.

    Args:
        recording: a ``recordings.Recording``; a mapping or table of channels named as in the plain
            format ((T,) each, optionally ``time_s`` in s, which may jitter and lack samples); or (T, 6) acc_x..gyr_z of one
            trunk IMU. Other columns are ignored; gaps (NaN) are bridged, cut or left out as in a ``Recording``, with a warning.
        sensor: which of the estimator's sensors to read, or several worn ones as "foot+lower_back" (gait parameters, see
            ``together``); None takes the most telling one present.
        sampling_rate_hz: needed unless the recording knows it or has ``time_s``.
        body: height and leg length where known (NaN is unknown); a Recording's own are used otherwise.
        stride_time_s: of a cycle without absolute time (muscle_activation only); it tells the delay and the speed of ``emg``.
        focal_px: focal length of the camera of ``keypoints_2d``, which stood and may have turned; a Recording's own is used otherwise.
        reference_side: muscle curves start at the initial contact of the muscle's "own" side, or of "r" or "l".

    Returns:
        gait_parameters: walking_speed_mps, step_length_m, stride_length_m, step_time_s, stride_time_s,
        cadence_spm, step_length_{r,l}_m, step_time_{r,l}_s, stance_time_{r,l}_s,
        double_support_time_s, means over the steady strides; ``intervals`` name -> (low, high), 90 %;
        ``all_strides``, the same names as means over all strides, as references of whole bouts are;
        ``strides`` name -> list per stride, with ``time_s`` (from the recording's first sample, as of events)
        and ``steady`` (False where walking starts, stops or turns); ``events``, see
        ``contacts.gait_events``; ``unlike_sd``, how far the walk is unlike those that
        taught (standard deviations); ``mirrored``, whether a pose's right hip is on its left; ``sensor``, ``n_strides``,
        ``repetition`` (0 to 1), and of keypoints_2d ``obliquity_deg``, how far the view is off the side (0 to 90), and
        ``depth_known``, whether the way towards or away from the camera was measured.
        muscle_activation: ``activation`` and ``activation_sd`` muscle -> (100,), ``emg`` group_side ->
        (100,), as an electrode would show it (see ``muscle_curves``), ``vertical_force`` side -> (100,) in body weights.

    Raises:
        InputError: no such sensor, channels missing, wrong units or sizes, a clock that runs back, no walking in the recording.
    """
    if sensor is not None and "+" in sensor:
        if estimator.task != "gait_parameters" or isinstance(recording, np.ndarray):
            raise InputError(f"{sensor!r} are several sensors; they are read together for gait parameters, from channels by name")
        how: dict[str, Any] = {"sampling_rate_hz": sampling_rate_hz, "body": body}
        return together(sensor, lambda name: predict(estimator, recording, sensor=name, **how))
    recording, name = _as_recording(estimator, recording, sensor, sampling_rate_hz)
    cut = recording.section()
    signals, rate = cut.signals, sampling_rate_hz or cut.sampling_rate_hz
    body = given if body is not None and (given := _sized(body)).known else Body(cut.height_m, cut.leg_length_m)
    if rate is None:
        if estimator.task != "muscle_activation" or name != "joint_angles":
            raise InputError("the recording has no absolute time: give sampling_rate_hz")
        windows = _one_cycle(signals, stride_time_s or _TYPICAL_STRIDE_TIME_S, body)
    else:
        windows = tasks.sensor_named(name).featurise(signals, rate, body)
        windows = _with_depth(windows, recording.focal_px if focal_px is None else focal_px)
    out = ensemble(estimator.networks[name], windows.cycles, windows.present, windows.scalars)
    if estimator.task == "gait_parameters":
        told = out[0], out[1]
        if name == "keypoints_2d" and tasks.OBLIQUE in estimator.networks:
            any_view = tasks.sensor_named(tasks.OBLIQUE).featurise(signals, float(rate or 0.0), body)
            told = _of_both_views(*told, windows, any_view, estimator.networks[tasks.OBLIQUE])
        if name == "keypoints_3d" and tasks.CAPTURED in estimator.networks:
            told = _of_motion_capture(*told, windows, estimator.networks[tasks.CAPTURED])
        result = summarise(*per_stride(*told, windows, tasks.sensor_named(name)))
        result["events"] = gait_events(signals, float(rate or 0.0), name, result)
        # a section is read alone, and told on the clock of the whole
        before = round((recording.start_s or 0.0) * float(rate or 0.0)) / float(rate or 1.0)
        for times in (result["strides"], result["events"]):
            times["time_s"] = [at + before for at in times["time_s"]]
        result["unlike_sd"] = _unlike_sd(estimator.networks[name], windows, tasks.sensor_named(name))
        result["mirrored"] = windows.mirrored
        if windows.in_picture is not None:
            result["obliquity_deg"] = _obliquity_deg(windows, np.asarray(result["strides"]["stride_length_m"]) / windows.body.length_m)
            result["depth_known"] = windows.travelled is not None and bool(np.isfinite(windows.travelled).mean() > 0.5)
    else:
        result = muscle_curves(out[2], out[3], windows, reference_side)
        if windows.in_picture is not None:
            result["obliquity_deg"] = float(np.degrees(np.mean(np.arcsin(windows.in_picture[:, 2]))))
    return result | {"sensor": name, "n_strides": len(windows), "repetition": float(np.median(windows.score))}


def _as_recording(estimator: GaitEstimator, given: Any, sensor: str | None, sampling_rate_hz: float | None) -> tuple[Recording, str]:
    """What was given as a Recording, whose rules on gaps and units then hold for it, and the sensor to read."""
    if isinstance(given, Recording):
        return given, _choose(estimator, given.signals, sensor)
    if isinstance(given, np.ndarray):
        if given.ndim != 2 or given.shape[1] != 6:
            raise InputError(f"an array recording has shape {given.shape}; give (samples, 6): acc_x acc_y acc_z gyr_x gyr_y gyr_z")
        name, shape = _choose(estimator, {}, sensor), "array"
        columns = {f"{name}_{channel}": given[:, column] for column, channel in enumerate(IMU_CHANNELS)}
    elif isinstance(given, (Mapping, pd.DataFrame)):
        columns, sampling_rate_hz = _of_table(given, sampling_rate_hz)
        name, shape = _choose(estimator, columns, sensor), "table"
    else:
        raise InputError(f"a recording of type {type(given).__name__} cannot be read; give a Recording, a table or channels by name")
    return Recording("", f"({shape})", "", name if name in KINDS else "imu", columns, sampling_rate_hz), name


def _of_table(table: Mapping[str, Any] | pd.DataFrame, sampling_rate_hz: float | None) -> tuple[dict[str, np.ndarray], float | None]:
    """The channels of the conventions, on an even clock where there is one, and their sampling rate."""
    given = {str(name): column for name, column in table.items()}
    known = {name for kind in KINDS for name in channels_of(kind, given)} | {"time_s"}
    columns = {}
    for name in (name for name in given if name in known):
        try:
            columns[name] = np.asarray(given[name], float)
        except (TypeError, ValueError):
            raise InputError(f"the channel {name} holds something that is no number; mend or remove it") from None
    time, lengths = columns.pop("time_s", None), {len(values) for values in columns.values()}
    if columns and (len(lengths) != 1 or lengths == {0} or (time is not None and len(time) not in lengths)):
        raise InputError(f"the channels have lengths {sorted(lengths)}; give one common length above 0, and of time_s too")
    if columns and time is not None:
        clocks.check(time, "the recording")
        sampling_rate_hz = clocks.sampling_rate_hz(time, sampling_rate_hz, "the recording")
        values = clocks.even(time, np.stack(list(columns.values()), axis=1), sampling_rate_hz, "the recording")
        columns = dict(zip(columns, values.T, strict=True))
    if sampling_rate_hz is None:  # a cycle, which has no time for how long a gap is
        columns = {name: bridged(values, name, period=len(values)) for name, values in columns.items()}
    return columns, sampling_rate_hz


def _sized(body: Body) -> Body:
    """A size of which not a number is unknown, as in a table. Raises InputError where nobody is so tall."""
    size = {name: value for name in ("height_m", "leg_length_m") if (value := getattr(body, name)) is not None and not np.isnan(value)}
    for name, value in size.items():
        low, high, unit = PLAUSIBLE[name]
        if not low <= value <= high:
            raise InputError(f"{name} is {value:g}; {low:g} to {high:g} {unit} is expected")
    return Body(**size)


def _choose(estimator: GaitEstimator, signals: Mapping[str, np.ndarray], sensor: str | None) -> str:
    if sensor is not None:
        tasks.sensor_named(sensor)
        if sensor not in estimator.sensors:
            raise InputError(f"this estimator was not fitted for {sensor!r}; it reads {', '.join(estimator.sensors)}")
        return sensor
    if not signals and len(estimator.sensors) == 1:
        return estimator.sensors[0]
    marks = {
        "foot": "foot_", "shank": "shank_", "thigh": "thigh_", "keypoints_3d": "ankle_r_z", "keypoints_2d": "ankle_r_x",
        "joint_angles": "hip_flexion_", "lower_back": "lower_back_", "sternum": "sternum_", "head": "head_acc",
    }  # fmt: skip
    for name in PREFERENCE:
        if name in estimator.networks and any(channel.startswith(marks[name]) for channel in signals):
            return name
    raise InputError(f"the recording has none of the sensors this estimator reads ({', '.join(estimator.sensors)}); say which one it is")


def _one_cycle(signals: Mapping[str, np.ndarray], stride_time_s: float, body: Body) -> Windows:
    """Joint angles over exactly one cycle, whatever its number of samples."""
    names = [name for name in poses.ANGLE_CHANNELS if name in signals]
    if not any(name.startswith("hip_flexion") for name in names) or not any(name.startswith("knee_flexion") for name in names):
        raise InputError("the recording has no hip_flexion and knee_flexion of one side; give joint angles in rad")
    values = np.stack([signals[name] for name in names], axis=1)
    return poses.one_cycle(names, values, stride_time_s, body)


def _unlike_sd(networks: Sequence[StrideNetwork], windows: Windows, sensor: tasks.Sensor) -> float:
    """How far the physical estimate of stride length, and on a trunk the share of its rise that comes once a step, lie from
    those of the walkers that taught the networks, in their standard deviations; 0 of a picture, which shortens strides.
    """
    if windows.in_picture is not None:
        return 0.0
    columns = [sensor.scalars.index(name) for name in ("base", "harmonic_ratio") if name in sensor.scalars]
    mean, sd = (np.mean([getattr(network, name).numpy() for network in networks], axis=0) for name in ("scalar_mean", "scalar_sd"))
    return float(np.abs((np.median(windows.scalars, axis=0) - mean) / sd)[columns].max())


def _of_both_views(
    values: np.ndarray, sd: np.ndarray, windows: Windows, any_view: Windows, members: list[StrideNetwork]
) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, V) and their standard deviations of a picture: the given ones of networks taught from the side, those of
    ``members`` taught from anywhere, and in between a mixture, by how far hips and shoulders are apart along the walk.
    """
    assert windows.in_picture is not None
    others, other_sd, _, _ = ensemble(members, any_view.cycles, any_view.present, any_view.scalars)
    others[:, tasks.VALUES.index("log_stride_ratio")] += any_view.base - windows.base
    return _mixed(values, sd, others, other_sd, 1.0 - _faded(windows.in_picture[:, 2:], _SIDE_VIEW_SINES))


def _of_motion_capture(values: np.ndarray, sd: np.ndarray, windows: Windows, members: list[StrideNetwork]) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, V) and their standard deviations of a pose: the given ones of networks for motion capture and single cameras,
    those of ``members`` for motion capture alone where it can be nothing else, and in between a mixture.
    """
    if windows.footholds is None or not np.isfinite(slid := windows.footholds[:, 1]).any():
        return values, sd
    at_rest = _faded(np.nanmedian(slid), _CAPTURED_SLIDES)
    if not at_rest:
        return values, sd
    others, other_sd, _, _ = ensemble(members, windows.cycles, windows.present, windows.scalars)
    column = tasks.VALUES.index("log_stride_ratio")
    differs = np.abs(np.median(others[:, column] - values[:, column]))
    return _mixed(values, sd, others, other_sd, at_rest * _faded(differs, _CAPTURED_DIFFERS))


def _faded(values: np.ndarray | np.floating, between: tuple[float, float]) -> np.ndarray:
    """1 up to the first limit, 0 from the second on."""
    return np.clip((between[1] - values) / (between[1] - between[0]), 0.0, 1.0)


def _mixed(
    values: np.ndarray, sd: np.ndarray, others: np.ndarray, other_sd: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a mixture with that share of the others."""
    variance = (1.0 - share) * sd**2 + share * other_sd**2 + share * (1.0 - share) * (others - values) ** 2
    return values + share * (others - values), np.sqrt(variance)


def _with_depth(windows: Windows, focal_px: float | None) -> Windows:
    """Windows of a picture whose focal length is known, with the walker's way through the world where much of it is depth."""
    if windows.in_picture is None or focal_px is None:
        return windows
    across, away, sine = windows.in_picture[:, 0], focal_px * windows.in_picture[:, 1], windows.in_picture[:, 2]
    stride = np.hypot(across, away)
    seen = pictures.stride_seen(across, sine, windows.body.dimensionless_time(windows.stride_time_s))
    travelled = poses.through_the_world(stride, np.log(seen))
    return replace(windows, travelled=np.where(away > _LEAST_DEPTH * stride, travelled, np.nan))


def _obliquity_deg(windows: Windows, stride: np.ndarray) -> float:
    """How far a view is off the side, 0 to 90 degrees: its sine is how far hips and shoulders are apart along the walk, its
    cosine how much of the strides over leg length (N,) lies in the picture.
    """
    assert windows.in_picture is not None
    sine, cosine = windows.in_picture[:, 2], windows.in_picture[:, 0] / stride
    return float(np.degrees(np.mean(np.arctan2(sine, cosine))))


def _resampled(curves: np.ndarray, start: float) -> np.ndarray:
    """Periodic curves (..., S) at 100 samples from phase ``start`` on."""
    spectrum = np.fft.rfft(curves, axis=-1)[..., : curves.shape[-1] // 2] / curves.shape[-1]
    order = np.arange(spectrum.shape[-1])
    phase = start + np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    basis = np.exp(2j * np.pi * np.outer(order, phase)) * np.where(order == 0, 1.0, 2.0)[:, None]
    return (spectrum @ basis).real


def contact_phase(force: np.ndarray) -> float:
    """Phase (0 to 1) at which a periodic vertical force in body weights (S,) begins: the rise through 0.1
    that starts its longest loaded part.
    """
    fine = _resampled(force, 0.0)
    loaded = fine > 0.1
    if loaded.all() or not loaded.any():
        return float(np.argmax(np.gradient(fine))) / SAMPLES_PER_STRIDE
    rises = np.flatnonzero(loaded & ~np.roll(loaded, 1))
    lengths = [int(np.argmin(np.roll(loaded, -rise))) for rise in rises]
    rise = int(rises[int(np.argmax(lengths))])
    before, after = fine[rise - 1], fine[rise]
    return float((rise - 1 + (0.1 - before) / max(after - before, 1e-9)) / SAMPLES_PER_STRIDE) % 1.0


def muscle_curves(curves: np.ndarray, sd: np.ndarray, windows: Windows, reference_side: str) -> dict[str, Any]:
    """Average curves over windows (N, Q, S), each turned so that it starts at the initial contact.

    What an electrode sees (``emg``) is the mean of two estimates that err apart: the activation read off the motion,
    which makes force at once, earlier by the electromechanical delay; and the envelope of EMG that textbooks give for
    the speed that the windows' physical estimate tells. The first knows this walker's joints, the second what healthy
    muscles do beyond what those need.
    """
    if reference_side not in ("own", *SIDES):
        raise InputError(f"reference_side is {reference_side!r}; write own, r or l")
    landings = {
        side: np.array([contact_phase(window[tasks.CURVES.index(f"ground_reaction_y_{side}")]) for window in curves]) for side in SIDES
    }
    starts = landings if reference_side == "own" else dict.fromkeys(SIDES, landings[reference_side])
    mean: dict[str, np.ndarray] = {}
    spread: dict[str, np.ndarray] = {}
    for index, name in enumerate(tasks.CURVES):
        start = starts[name[-1]]
        mean[name] = np.mean([_resampled(c[index], s) for c, s in zip(curves, start, strict=True)], axis=0)
        spread[name] = np.mean([_resampled(c[index], s) for c, s in zip(sd, start, strict=True)], axis=0).clip(0)
    force = {side: mean.pop(f"ground_reaction_y_{side}") for side in SIDES}
    activation = {name: np.clip(curve, 0.0, 1.0) for name, curve in mean.items()}
    stride_time_s = float(np.median(windows.stride_time_s))
    speed = float(np.exp(np.median(windows.base)) / windows.body.dimensionless_time(stride_time_s))
    landing = {side: float(np.angle(np.exp(2j * np.pi * (landings[side] - starts[side])).mean()) / (2 * np.pi)) for side in SIDES}
    electric = {name: later(curve, -ELECTROMECHANICAL_DELAY_S / stride_time_s) for name, curve in activation.items()}
    electric |= {name: 0.5 * (electric[name] + curve) for name, curve in usual_emg(speed, landing).items()}
    emg = seen_by_electrodes(electric)
    return {"activation": activation, "activation_sd": {name: spread[name] for name in activation}, "emg": emg, "vertical_force": force}
