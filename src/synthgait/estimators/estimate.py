"""The verb ``estimate``: a CSV of one walk, or a folder of recordings, and what they tell of the walkers.

In: a CSV in the plain format (``time_s`` and channels of the conventions) or a folder that ``recordings.load``
reads, and a fitted estimator, by default the bundled one of gait parameters. Out: plain dictionaries for JSON, a
text, and a small picture.

Every recording is judged before its numbers are believed: no walking, hardly any strides, strides that do not
repeat, or a walker unlike any that the estimator was fitted on are said in one
sentence. A picture taken from the front or behind tells the timing of steps, but no lengths; those are left out, and the sentence
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from synthgait import bundled, recordings
from synthgait.conventions import EMG_GROUPS, SIDE_NAMES, SIDES
from synthgait.errors import InputError
from synthgait.estimators import shipped, tasks
from synthgait.estimators.base import GaitEstimator
from synthgait.estimators.features.windows import NoWalking, too_slow
from synthgait.estimators.predict import PREFERENCE
from synthgait.estimators.together import parts
from synthgait.recordings import plain
from synthgait.recordings.base import Recording
from synthgait.report.gaits import ACTIVATION_ROWS
from synthgait.report.style import BLUE, GREY, INK, SIDE_COLOURS, SKY, cycle_axis, drawing, png

#: What is told of a walk, with its unit; each has an interval.
TOLD = {
    "walking_speed_mps": "m/s",
    "step_length_m": "m",
    "step_time_s": "s",
    "stride_length_m": "m",
    "stride_time_s": "s",
    "cadence_spm": "/min",
    "step_length_r_m": "m",
    "step_length_l_m": "m",
    "step_time_r_s": "s",
    "step_time_l_s": "s",
    "stance_time_r_s": "s",
    "stance_time_l_s": "s",
    "double_support_time_s": "s",
}
#: What is told of muscles: name -> curve of 100 samples from the initial contact of its own side.
CURVES = ("activation", "activation_sd", "emg", "vertical_force")
#: Fewer strides than this from a worn sensor are no sample of a walk: a stride-time CV of 2 to 5 % would show in the mean.
#: Laboratories see one or two strides of a pose or of joint angles, but well.
_FEW_STRIDES = 3
#: Half of a stride's shape does not come back in the next: not steady walking.
_LEAST_REPETITION = 0.5
#: Standard deviations by which a trunk, or anything else, may move unlike the walkers that taught (``predict``); of a thousand of
#: those one trunk reaches 4. Who rocks or sways in a chair repeats as well as a walker does, but hardly rises; real feet and
#: shanks that shuffle after stroke reach 5.
_UNLIKE_TRUNK_SD, _UNLIKE_SD = 4.0, 6.0
#: How far beyond what it was fitted on an estimator may be believed.
_BEYOND = 0.1
#: Half-width of the speed's interval over the speed, beyond which the number says nothing.
_WIDEST_INTERVAL = 0.35
#: What a pose that does not travel leaves open.
_ROOT_RELATIVE = (
    " Nothing in it travels: how far a single camera's pose compresses the depth is a guess, by which slow walkers seem faster and "
    "fast ones slower than they are."
)
#: Share of the time that a sensor's range may cut off without a word: a sample of a stride of 100.
_CUT_OFF = 0.01
#: Angle of a picture to a side view from which on lengths are less certain than from there (twice the standard deviation of the
#: side views that estimators are fitted on, ``sense``), and beyond which more than half of every step is hidden.
_OBLIQUE_DEG, _LARGEST_OBLIQUITY_DEG = 20.0, 60.0
#: What a picture taken along the walk does not tell.
_LENGTHS = tuple(name for name, unit in TOLD.items() if unit in ("m", "m/s"))


def told(
    path: Path,
    estimator: Path | None,
    sensor: str | None,
    *,
    height_m: float | None = None,
    leg_length_m: float | None = None,
    focal_px: float | None = None,
    out: Path | None = None,
) -> tuple[Any, str]:
    """Result and text of one CSV, with a picture beside the JSON file ``out`` ("-" is none); or results and lines of a folder.

    Raises InputError as ``estimate`` and ``estimate_folder`` do, and where ``out`` cannot be written or no sensor is named for a CSV.
    """
    plot = None if out is None or str(out) == "-" else _beside(out)
    known = {"height_m": height_m, "leg_length_m": leg_length_m, "focal_px": focal_px}
    if path.is_dir():
        results = estimate_folder(path, estimator, sensor, **known)
        return results, folder_text(results)
    result = estimate(path, estimator, sensor, **known, plot=plot)
    return result, as_text(result)


def _beside(out: Path) -> Path:
    """The picture's path. Raises InputError, before anything is computed, where the JSON file cannot be written."""
    if out.is_dir():
        raise InputError(f"{out} is a folder; name the JSON file to write")
    if out.suffix == ".png":
        raise InputError(f"{out} would be overwritten by the picture; name a JSON file, and the picture comes beside it")
    nearest = next(parent for parent in out.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file, so {out} cannot be written; name a folder that is there or a new one")
    return out.with_suffix(".png")


def estimate(
    walk: str | Path | Recording,
    estimator: GaitEstimator | str | Path | None = None,
    sensor: str | None = None,
    *,
    height_m: float | None = None,
    leg_length_m: float | None = None,
    focal_px: float | None = None,
    plot: str | Path | None = None,
) -> dict[str, Any]:
    """Estimate one walk.

    Args:
        walk: CSV with ``time_s`` and the sensor's channels, e.g. ``lower_back_acc_x`` (m/s^2 with gravity), or a
            ``Recording``. Joint angles over one cycle need no ``time_s`` where muscle activation is estimated.
        estimator: the folder it was saved to, or the name of a bundled one; None takes the bundled one of gait parameters.
        sensor: one of ``estimators.SENSORS`` that it was fitted for, or several worn ones that were recorded: "foot+lower_back".
            None takes of a ``Recording`` the most telling one.
        height_m, leg_length_m: of the walker, where known; either makes lengths and speed more certain.
        focal_px: of the camera of ``keypoints_2d``, where known: its focal length in pixels of the picture. It must have stood, but
            may have turned. Then speed and lengths are told from any side; without it not from the front or behind.
        plot: where to write a small PNG; None writes none.

    Returns:
        Dictionary of ``can_judge``, ``sentence``, ``sensor``, ``n_strides`` and, by an estimator of gait parameters, the
        names of ``TOLD`` (None where it cannot judge, lengths and speed also where a picture hides them), ``intervals``
        name -> [low, high] (90 %), ``all_strides``, the same names with starting, stopping and turning counted, ``strides``
        (``time_s`` from the first sample, ``steady`` and the same names per stride; none of the three with what is hidden),
        ``events`` (landings and lift-offs, see ``contacts.gait_events``) and of several sensors ``by_sensor``, what each of
        them says alone, and ``left_out``, which are not used and why;
        by one of muscle activation, ``CURVES``: ``activation`` and ``activation_sd`` (0 to 1) of every muscle and ``emg``
        of every group that electrodes see, name -> 100 samples from the initial contact of the own side, and
        ``vertical_force`` side -> the same in body weights (empty where it cannot judge).

    Raises:
        InputError: no such file, a missing column, a wrong unit, a clock that runs back or has gaps, a
            sensor that the estimator was not fitted for.
    """
    if sensor is None and not isinstance(walk, Recording):
        if Path(walk).is_dir():
            raise InputError(f"{walk} is a folder; read its recordings with estimate_folder")
        if not Path(walk).is_file():
            raise InputError(f"{walk} is not there; name a CSV of one walk or a folder of recordings")
        names = ", ".join(tasks.READABLE)
        raise InputError(f"a CSV does not say what recorded it; give --sensor, one of {names}, or several as foot+shank")
    fitted = _loaded(estimator)
    kinds = [] if sensor is None else _fitted_for(sensor, fitted)
    if isinstance(walk, Recording):
        recording = _sized(walk, height_m, leg_length_m, focal_px)
    else:
        read = _read(Path(walk), kinds, cycle=fitted.task == "muscle_activation")
        recording = _sized(read, height_m, leg_length_m, focal_px)
    result = _judged(recording, fitted, sensor or _sensor_of(recording, fitted))
    if plot is not None:
        _draw(result, Path(plot))
    return result


def estimate_folder(
    folder: str | Path,
    estimator: GaitEstimator | str | Path | None = None,
    sensor: str | None = None,
    *,
    height_m: float | None = None,
    leg_length_m: float | None = None,
    focal_px: float | None = None,
) -> list[dict[str, Any]]:
    """Estimate every recording of a folder: the plain format (truth is not needed), or any that ``recordings.load`` reads.

    Args:
        estimator: as of ``estimate``.
        sensor: None takes of each recording the most telling one that it has and the estimator reads.
        height_m, leg_length_m: of walkers of whom the folder tells neither. focal_px: of cameras of which it tells none.

    Returns:
        One dictionary per recording, as of ``estimate``, with ``dataset, recording_id, subject_id, variant, kind`` before
        it. A recording that cannot be read is one too, and its sentence says why; those refused by ``recordings.load`` come
        last, without ``subject_id`` and ``kind``, and where it is a whole dataset, ``*`` stands for its recordings.

    Raises:
        InputError: no dataset there, one of which nothing can be read, or a sensor that the estimator was not fitted for.
    """
    fitted = _loaded(estimator)
    if sensor is not None:
        _fitted_for(sensor, fitted)
    results = []
    found, refused = recordings.read_all(folder, truth=False)
    for recording in tqdm(found, desc="estimate"):
        names = {name: getattr(recording, name) for name in ("dataset", "recording_id", "subject_id", "variant", "kind")}
        recording = _sized(recording, height_m, leg_length_m, focal_px)
        try:
            chosen = sensor or _sensor_of(recording, fitted)
            results.append(names | _judged(recording, fitted, chosen))
        except InputError as error:
            results.append(names | _not_judged(fitted, sensor, error))
    for one in refused:
        unknown = {"subject_id": "", "variant": "main", "kind": ""}
        names = {"dataset": one.dataset, "recording_id": one.recording_id} | unknown
        results.append(names | _not_judged(fitted, sensor, InputError(one.message)))
    return results


def as_text(result: Mapping[str, Any]) -> str:
    """The sentence, and beneath it every quantity of the recording with its 90 % interval, or when muscles are most active."""
    lines = [result["sentence"]]
    for name, unit in TOLD.items():
        if result.get(name) is not None:
            low, high = result["intervals"][name]
            lines.append(f"  {_title(name):19} {result[name]:8.3f} {unit:5} ({low:.3f} to {high:.3f})")
    if result.get("emg"):
        lines.append("  EMG is largest at, % of the own leg's gait cycle:")
        for group in EMG_GROUPS:
            at = (f"{SIDE_NAMES[side]} {np.argmax(result['emg'][f'{group}_{side}']):3d}" for side in SIDES)
            lines.append(f"  {group.replace('_', ' '):23} {'   '.join(at)}")
    return "\n".join(lines)


def folder_text(results: Sequence[Mapping[str, Any]]) -> str:
    """A line for every recording: its name, the sensor, the sentence."""
    names = [f"{r['dataset']}/{r['recording_id']}" + ("" if r["variant"] == "main" else f" ({r['variant']})") for r in results]
    width = max(len(name) for name in names)
    lines = [f"{name:{width}}  {r['sensor'] or r['kind']:12}  {r['sentence']}" for name, r in zip(names, results, strict=True)]
    return "\n".join([*lines, f"{sum(r['can_judge'] for r in results)} of {len(results)} recordings can be judged."])


def _title(name: str) -> str:
    """ "step length right" of ``step_length_r_m``."""
    what = name.rpartition("_")[0].replace("_", " ")
    return f"{what[:-1]}{SIDE_NAMES[what[-1]]}" if what.endswith((" r", " l")) else what


def _loaded(estimator: GaitEstimator | str | Path | None) -> GaitEstimator:
    if isinstance(estimator, GaitEstimator):
        return estimator
    if estimator is None:
        return shipped.load()
    return GaitEstimator.load(bundled.estimators().get(str(estimator), Path(estimator)))


def _fitted_for(sensor: str, fitted: GaitEstimator) -> list[tasks.Sensor]:
    names = parts(sensor)
    for name in names:
        if name not in fitted.sensors:
            raise InputError(f"this estimator was not fitted for {name!r}; it reads {', '.join(fitted.sensors)}")
    return [tasks.sensor_named(name) for name in names]


def _read(path: Path, kinds: Sequence[tasks.Sensor], *, cycle: bool) -> Recording:
    """One CSV with one sensor or several worn ones; with ``cycle`` joint angles may be of one cycle without a clock."""
    recording_kind = "imu" if kinds[0].worn else kinds[0].name
    signals, rate = plain.read_signals(path, recording_kind)
    if rate is None and not cycle:
        raise InputError(f"{path} has no column time_s; every signal needs its clock")
    if rate is not None and too_slow(rate):
        raise InputError(f"time_s of {path} steps by {1.0 / rate:g}; give seconds, at least 15 samples in each")
    if recording_kind == "imu":
        signals = {name: values for name, values in signals.items() if name.startswith(tuple(f"{kind.name}_" for kind in kinds))}
        for kind in kinds:
            if not any(name.startswith(f"{kind.name}_") for name in signals):
                raise InputError(f"{path} has no column like {_example(kind)}; name the columns as in the plain format")
    return Recording(
        dataset=path.parent.name,
        recording_id=path.stem,
        subject_id="",
        kind=recording_kind,
        signals=signals,
        sampling_rate_hz=rate,
        pixels=recording_kind == "keypoints_2d",
    )


def _sized(recording: Recording, height_m: float | None, leg_length_m: float | None, focal_px: float | None) -> Recording:
    """The recording, with the given size and focal length where it tells none of its own."""
    if recording.focal_px is None:
        recording = replace(recording, focal_px=focal_px)
    if recording.height_m is not None or recording.leg_length_m is not None:
        return recording
    return replace(recording, height_m=height_m, leg_length_m=leg_length_m)


def _example(kind: tasks.Sensor) -> str:
    return f"{kind.name}_r_acc_x" if kind.channels[0].endswith(("_r", "_l")) else f"{kind.name}_acc_x"


def _sensor_of(recording: Recording, fitted: GaitEstimator) -> str:
    """The most telling sensor that a recording has and an estimator reads. Raises InputError where there is none."""
    for name in PREFERENCE:
        has = any(channel.startswith(f"{name}_") for channel in recording.signals) if recording.kind == "imu" else recording.kind == name
        if has and name in fitted.sensors:
            return name
    raise InputError(f"it is of kind {recording.kind} and shows no sensor that this estimator reads ({', '.join(fitted.sensors)})")


def _judged(recording: Recording, fitted: GaitEstimator, sensor: str) -> dict[str, Any]:
    """The result of one recording. Raises InputError where it cannot be read."""
    try:
        found = fitted.predict(recording, sensor=sensor)
    except NoWalking as error:
        return _not_judged(fitted, sensor, error)
    any_view = fitted.task == "gait_parameters" and tasks.OBLIQUE in fitted.networks
    hidden = _hidden_lengths(found, recording) if any_view else ""
    doubts = _doubts(found, fitted.config, recording, lengths=not hidden)
    if not any_view and (angle := found.get("obliquity_deg", 0.0)) > _OBLIQUE_DEG:
        doubts.append(f"its picture seems taken {angle:.0f} degrees off a side view, and only side views can be read; film from the side")
    result: dict[str, Any] = {"sensor": found["sensor"], "n_strides": found["n_strides"], "can_judge": not doubts}
    if fitted.task == "muscle_activation":
        result |= {name: {key: curve.tolist() for key, curve in found[name].items()} for name in CURVES}
    else:
        result |= {name: found[name] for name in TOLD} | {"events": found["events"]}
        result |= {"intervals": {name: list(found["intervals"][name]) for name in TOLD}}
        result |= {"all_strides": {name: found["all_strides"][name] for name in TOLD}}
        result |= {"strides": {name: found["strides"][name] for name in ("time_s", "steady", *TOLD)}}
        result |= {name: found[name] for name in ("by_sensor", "left_out") if name in found}
    if hidden:
        result |= dict.fromkeys(_LENGTHS)
        parts = ("intervals", "all_strides", "strides")
        result |= {part: {name: of for name, of in result[part].items() if name not in _LENGTHS} for part in parts}
    left_out = "".join(f" Of the {name} nothing is used: {why}." for name, why in found.get("left_out", {}).items())
    if recording.variant == "root_relative" and recording.kind == "keypoints_3d" and fitted.task == "gait_parameters":
        left_out += _ROOT_RELATIVE
    view = "" if doubts else hidden or _of_an_oblique_view(found, recording)
    return result | {"sentence": _sentence(result, doubts) + view + left_out + _cut_off(recording, found["sensor"])}


def _not_judged(fitted: GaitEstimator, sensor: str | None, why: InputError) -> dict[str, Any]:
    result: dict[str, Any] = {"sensor": sensor, "n_strides": 0, "can_judge": False, "sentence": f"This recording cannot be judged: {why}."}
    if fitted.task == "muscle_activation":
        return result | {name: {} for name in CURVES}
    return result | dict.fromkeys(TOLD) | {"intervals": {}, "all_strides": {}, "strides": {}, "events": {}}


def _doubts(found: Mapping[str, Any], config: Mapping[str, Any], recording: Recording, *, lengths: bool = True) -> list[str]:
    """Reasons not to believe the numbers, without ``lengths`` those of timing, each the end of a sentence."""
    doubts = []
    if found["n_strides"] < _FEW_STRIDES and recording.kind == "imu":
        doubts.append(f"it shows {_strides(found['n_strides'])} where at least {_FEW_STRIDES} are needed")
    if found["repetition"] < _LEAST_REPETITION:
        doubts.append("its strides hardly repeat, as in anything but steady walking")
    unlike = found.get("unlike_sd_of", {found["sensor"]: found.get("unlike_sd", 0.0)})
    if any(sd > (_UNLIKE_TRUNK_SD if name in tasks.TRUNK else _UNLIKE_SD) for name, sd in unlike.items()):
        doubts.append("it moves unlike a walker, as in rocking, swaying or stepping on the spot")
    if found.get("mirrored"):
        doubts.append("its right hip is on the left, so that the sides are exchanged or an axis points the other way")
    if "intervals" in found and lengths:
        low, high = found["intervals"]["walking_speed_mps"]
        if high - low > 2 * _WIDEST_INTERVAL * found["walking_speed_mps"]:
            size_known = recording.height_m is not None or recording.leg_length_m is not None
            doubts.append("its speed is uncertain by more than a third" + ("" if size_known else "; give the height"))
    for name, (least, most) in config.get("fitted_on", {}).items():
        if name in found and (lengths or name not in _LENGTHS) and not (1.0 - _BEYOND) * least <= found[name] <= (1.0 + _BEYOND) * most:
            what = f"{name.rpartition('_')[0].replace('_', ' ')} of {found[name]:.2f} {TOLD[name]}"
            doubts.append(f"its {what} is outside {least:.2f} to {most:.2f}, which is all that the estimator was fitted on")
    return doubts


def _hidden_lengths(found: Mapping[str, Any], recording: Recording) -> str:
    """Why a picture tells no lengths and no speed, as a sentence; empty where it does, and for other sensors."""
    angle = found.get("obliquity_deg", 0.0)
    if angle <= _LARGEST_OBLIQUITY_DEG or found["depth_known"]:
        return ""
    why = f" Its picture seems taken {angle:.0f} degrees off a side view, from where speed and lengths are not told"
    if recording.focal_px is None:
        return f"{why}; film from the side, or give the camera's focal length."
    return f"{why} of a walker who comes no nearer and goes no farther; film from the side."


def _of_an_oblique_view(found: Mapping[str, Any], recording: Recording) -> str:
    """What an oblique view leaves open, as a sentence; empty where it is from the side, and for other sensors."""
    angle = found.get("obliquity_deg", 0.0)
    if angle <= _OBLIQUE_DEG or found["depth_known"]:
        return ""
    return f" Its picture seems taken {angle:.0f} degrees off a side view, so that speed and lengths are less certain than from the side."


def _cut_off(recording: Recording, sensor: str) -> str:
    """What a worn sensor's range cuts off, as a sentence: the largest or smallest value of a channel, three times on end and more."""
    if recording.kind != "imu":
        return ""
    said = ""
    worn = {name: of for name, of in recording.section().signals.items() if name.startswith(tuple(sensor.split("+")))}
    for part, what, unit in (("_acc_", "acceleration", "m/s²"), ("_gyr_", "angular velocity", "rad/s")):
        share, limit = 0.0, 0.0
        for values in (of for name, of in worn.items() if part in name and np.ptp(of) > 0):
            for end in (values.max(), values.min()):
                at = values == end
                share, limit = max((share, limit), (float(np.mean(at[2:] & at[1:-1] & at[:-2])), abs(float(end))))
        if share > _CUT_OFF:
            said += (
                f" Its {what} is cut off at {limit:.3g} {unit} for {100 * share:.0f} % of the time, so that lengths and speed "
                "are less certain than that; set the sensor to a wider range."
            )
    return said


def _strides(count: int) -> str:
    return f"{count} stride{'s' if count != 1 else ''}"


def _sentence(result: Mapping[str, Any], doubts: list[str]) -> str:
    if doubts:
        return f"This recording cannot be judged with confidence: {'; '.join(doubts)}."
    strides = f"from {_strides(result['n_strides'])}"
    if "activation" in result:
        error = np.mean(list(result["activation_sd"].values()))
        return f"Activation (0 to 1) of {len(result['activation'])} muscles, give or take {error:.2f}, {strides}."
    if result["walking_speed_mps"] is None:
        return f"Walking with steps every {result['step_time_s']:.2f} s ({result['cadence_spm']:.0f} a minute), {strides}."
    low, high = result["intervals"]["walking_speed_mps"]
    return (
        f"Walking at {result['walking_speed_mps']:.2f} m/s ({low:.2f} to {high:.2f}) with steps of {result['step_length_m']:.2f} m "
        f"every {result['step_time_s']:.2f} s, {strides}."
    )


def _draw(result: Mapping[str, Any], path: Path) -> None:
    with drawing(4.0 if "intervals" in result else 6.0) as figure:
        (_draw_strides if "intervals" in result else _draw_muscles)(result, figure)
        figure.suptitle(result["sentence"], fontsize=7, wrap=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(png(figure))
        partial.replace(path)


def _draw_strides(result: Mapping[str, Any], figure: Figure) -> None:
    """Speed, step length and step time of every stride (grey: starting or stopping) with the recording's value and 90 % interval."""
    names = [name for name in list(TOLD)[:3] if not result["n_strides"] or name in result["intervals"]]
    for name, axes in zip(names, figure.subplots(len(names), 1, sharex=True, squeeze=False).flat, strict=True):
        axes.set_ylabel(f"{_title(name)}, {TOLD[name]}")
        if result["n_strides"]:
            low, high = result["intervals"][name]
            axes.axhspan(low, high, color=SKY, alpha=0.3, linewidth=0)
            axes.axhline(result[name], color=BLUE, linewidth=1)
            time, each, steady = (np.asarray(result["strides"][key]) for key in ("time_s", name, "steady"))
            axes.plot(time[steady], each[steady], ".", color=INK, markersize=4)
            axes.plot(time[~steady], each[~steady], ".", color=GREY, markersize=4)
            values = np.array([low, high, *each])
            axes.set_ylim(values.min() - 0.05 * np.abs(values.mean()), values.max() + 0.05 * np.abs(values.mean()))
    axes.set_xlabel("time, s")


def _draw_muscles(result: Mapping[str, Any], figure: Figure) -> None:
    """Activation of muscle groups over each leg's own gait cycle, with its standard deviation, and dashed what electrodes see."""
    for i, (group, axes) in enumerate(zip(ACTIVATION_ROWS, figure.subplots(5, 2, sharey=True).flat, strict=True)):
        for side in SIDES if result["n_strides"] else ():
            muscles = [f"{muscle}_{side}" for muscle in EMG_GROUPS[group]]
            mean, sd = (np.mean([result[of][muscle] for muscle in muscles], axis=0) for of in ("activation", "activation_sd"))
            percent = np.arange(len(mean)) * 100 / len(mean)
            axes.fill_between(percent, mean - sd, mean + sd, color=SIDE_COLOURS[side], alpha=0.2, linewidth=0)
            # left over right and narrower, so that both show where the legs do the same
            width, leg = 2.4 if side == "r" else 1.1, SIDE_NAMES[side]
            axes.plot(percent, mean, color=SIDE_COLOURS[side], linewidth=width, label=f"{leg}, activation")
            axes.plot(percent, result["emg"][f"{group}_{side}"], "--", color=SIDE_COLOURS[side], linewidth=0.8, label=f"{leg}, EMG")
        axes.set_title(group.replace("_", " "))
        cycle_axis(axes, label=i >= 8)
    axes.set_ylim(bottom=0.0)  # of all, which share it
    if result["n_strides"]:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
