"""What every recording of a real person looks like in memory, and the checks at the border.

In: arrays as an adapter read and converted them. Out: ``Recording``; nothing after the adapters
knows a dataset's own units, axes or file names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from synthgait.conventions import AFFECTED_SIDES, COORDINATES, GRAVITY_MPS2, IMU_CHANNELS, IMU_PLACEMENTS, KEYPOINTS, SEXES
from synthgait.errors import InputError
from synthgait.recordings import gaps

KINDS = ("imu", "keypoints_3d", "keypoints_2d", "joint_angles", "markers")
#: Kinds that show points, and the axes of each point.
_AXES = {"keypoints_3d": "xyz", "keypoints_2d": "xy", "markers": "xyz"}
#: Kind -> its channels; markers have names of their own.
_CHANNELS = {
    "imu": frozenset(f"{placement}_{channel}" for placement in IMU_PLACEMENTS for channel in IMU_CHANNELS),
    **{kind: frozenset(f"{joint}_{a}" for joint in KEYPOINTS for a in axes) for kind, axes in _AXES.items() if kind != "markers"},
    "joint_angles": frozenset(COORDINATES),
}
#: What a walk cannot be read without: the points, and the angles, of the legs.
_LEGS = {
    "joint_angles": frozenset(f"{angle}_{side}" for angle in ("hip_flexion", "knee_flexion", "ankle_dorsiflexion") for side in "lr"),
    **dict.fromkeys(_AXES, frozenset(f"{joint}_{side}" for joint in ("hip", "knee", "ankle") for side in "lr")),
}
#: The truth a recording may carry; everything is a mean over strides of the walking section (``truth_strides``).
TRUTH = (
    "walking_speed_mps",
    "step_length_m",
    "stride_length_m",
    "step_time_s",
    "stride_time_s",
    "cadence_spm",
    "step_length_l_m",
    "step_length_r_m",
    "step_time_l_s",
    "step_time_r_s",
)
#: Strides that a truth may be the mean of.
TRUTH_STRIDES = ("steady", "all")
#: Muscles an EMG table may name, each with ``_l`` or ``_r`` appended.
EMG_MUSCLES = (
    "tibialis_anterior",
    "soleus",
    "gastrocnemius_medialis",
    "gastrocnemius_lateralis",
    "gastrocnemius",
    "vastus_medialis",
    "vastus_lateralis",
    "rectus_femoris",
    "semitendinosus",
    "medial_hamstrings",
    "biceps_femoris",
    "gluteus_maximus",
    "gluteus_medius",
    "peroneus",
)


def _placement(channel: str) -> str:
    return channel.rsplit("_", 2)[0]


#: Kind -> the sensor, point or angle that a channel belongs to, which is whole or left out.
_PARTS: dict[str, Callable[[str], str]] = {"imu": _placement, "joint_angles": str, **dict.fromkeys(_AXES, lambda channel: channel[:-2])}
_LOG = logging.getLogger(__name__)


@dataclass
class Recording:
    """One recording of one person walking.

    Attributes:
        dataset, recording_id, subject_id: names; ``(dataset, recording_id, variant)`` is unique.
        kind: one of ``KINDS``.
        signals: channel name -> (T,) float64. IMU: m/s^2 with gravity and rad/s in the sensor's own
            axes; key points and markers: m (px where ``pixels``), Y up; joint angles: rad. Channels that the
            kind does not have are left out. Within the walking section nothing is missing: gaps (NaN) of up to
            0.3 s are bridged, sensors, points and angles with longer ones are left out (``gaps.whole``), and so are
            sensors in a wrong unit. Outside of it samples may be NaN.
        sampling_rate_hz: None when the T samples are phases of one cycle without absolute time.
        variant: "main", or which reading of the same walk this is ("camera_scale", "root_relative").
        walk_id: the same for all recordings of one walk; empty means the recording_id.
        start_s, end_s: the walking section that the truth describes, from the first sample; None: all. It is cut
            to where hips, knees and ankles are seen, and does not hold what only fills a file up (one sample repeated).
        age_years, sex, height_m, mass_kg, leg_length_m, pathology, affected_side: None when unknown.
        focal_px: focal length, in pixels, of the standing camera whose picture shows key points; None when unknown.
        truth: any of ``TRUTH``; reference_source says where it comes from.
        truth_strides: the strides of the section that the truth is the mean of, one of ``TRUTH_STRIDES``: "steady", or "all",
            those of starting and stopping included.
        emg: None or a table with ``percent`` and ``<muscle>_<l|r>`` envelopes; emg_side the side whose
            initial contact is 0 percent.
        licence, citation: of the dataset. other: what else its row says, unused.

    Raises:
        InputError: wrong kind, channels of several lengths, nothing that is seen for a second, a wrong unit.
    """

    dataset: str
    recording_id: str
    subject_id: str
    kind: str
    signals: dict[str, np.ndarray]
    sampling_rate_hz: float | None
    variant: str = "main"
    walk_id: str = ""
    start_s: float | None = None
    end_s: float | None = None
    age_years: float | None = None
    sex: str | None = None
    height_m: float | None = None
    mass_kg: float | None = None
    leg_length_m: float | None = None
    focal_px: float | None = None
    pathology: str | None = None
    affected_side: str | None = None
    truth: dict[str, float] = field(default_factory=dict)
    reference_source: str = ""
    truth_strides: str = "steady"
    emg: pd.DataFrame | None = None
    emg_side: str | None = None
    pixels: bool = False
    licence: str = ""
    citation: str = ""
    other: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.walk_id = self.walk_id or self.recording_id
        self.signals = {channel: self.signals[channel] for channel in channels_of(self.kind, self.signals)}
        _check_form(self)
        self._make_whole()
        if self.kind == "imu":
            self.signals = _worn(self)
        self.truth = {name: float(value) for name, value in self.truth.items() if value is not None and np.isfinite(value)}
        check(self)

    def _make_whole(self) -> None:
        rate, (first, last) = self.sampling_rate_hz, self._bounds()
        made = gaps.whole(self.name, self.signals, _PARTS[self.kind], _LEGS.get(self.kind, ()), rate, first, last, blank=self.kind in _AXES)
        self.signals = made.signals
        if rate is not None and (made.first, made.last) != (first, last):
            self.start_s, self.end_s = made.first / rate, (made.last - 1) / rate
        for sentence in made.said:
            _LOG.warning(sentence)

    @property
    def name(self) -> str:
        """Dataset, where there is one, and recording, for sentences."""
        return f"{self.dataset}/{self.recording_id}" if self.dataset else self.recording_id

    @property
    def group(self) -> str:
        """ "healthy" or "impaired"; "unknown" where nothing is said of a pathology."""
        if self.pathology is None:
            return "unknown"
        return "healthy" if self.pathology == "none" else "impaired"

    @property
    def samples(self) -> int:
        """T."""
        return len(next(iter(self.signals.values())))

    @property
    def placements(self) -> tuple[str, ...]:
        """IMU placements that are complete (six channels), in the order of the conventions."""
        return tuple(p for p in IMU_PLACEMENTS if all(f"{p}_{c}" in self.signals for c in IMU_CHANNELS))

    @property
    def joints(self) -> tuple[str, ...]:
        """Key points present, in the order of the conventions."""
        return tuple(k for k in KEYPOINTS if f"{k}_x" in self.signals)

    def imu(self, placement: str) -> tuple[np.ndarray, np.ndarray]:
        """Acceleration (T, 3) in m/s^2 and angular velocity (T, 3) in rad/s of one sensor.

        Raises InputError when the recording does not have it.
        """
        if placement not in self.placements:
            raise InputError(f"recording {self.name} has no IMU at {placement!r}; it has {', '.join(self.placements) or 'none'}")
        stacked = np.column_stack([self.signals[f"{placement}_{c}"] for c in IMU_CHANNELS])
        return stacked[:, :3], stacked[:, 3:]

    def points(self) -> dict[str, np.ndarray]:
        """Key points: joint name -> (T, 3), or (T, 2) for keypoints_2d."""
        return {j: np.column_stack([self.signals[f"{j}_{a}"] for a in _AXES[self.kind]]) for j in self.joints}

    @property
    def way_is_truth(self) -> bool:
        """The true speed is that of the very markers that were recorded: who looks at how far they travel shows nothing."""
        return self.reference_source.startswith("markers")

    def on_the_spot(self) -> Recording:
        """The same key points in space as on a treadmill at the hips' mean velocity; themselves where there are no hips."""
        if self.kind != "keypoints_3d" or not {"hip_l", "hip_r"} <= set(self.joints):
            return self
        away = {axis: _straight(0.5 * (self.signals[f"hip_l_{axis}"] + self.signals[f"hip_r_{axis}"])) for axis in "xyz"}
        return replace(self, signals={channel: values - away[channel[-1]] for channel, values in self.signals.items()})

    def _bounds(self) -> tuple[int, int]:
        """The first sample of the walking section and the one after its last."""
        if self.sampling_rate_hz is None:
            return 0, self.samples
        first = max(0, round((self.start_s or 0.0) * self.sampling_rate_hz))
        return first, self.samples if self.end_s is None else min(self.samples, round(self.end_s * self.sampling_rate_hz) + 1)

    def section(self) -> Recording:
        """The recording cut to its walking section (the same object when it has none)."""
        if self.sampling_rate_hz is None or (self.start_s is None and self.end_s is None):
            return self
        first, last = self._bounds()
        return replace(self, signals={c: v[first:last] for c, v in self.signals.items()}, start_s=None, end_s=None)


def _straight(values: np.ndarray) -> np.ndarray:
    """The straight line (T,) nearest to values (T,) of which some may be unknown (NaN)."""
    time = np.arange(len(values), dtype=float)
    known = np.isfinite(values)
    return np.polyval(np.polyfit(time[known], values[known], 1), time) if known.sum() > 1 else np.zeros(len(values))


def channels_of(kind: str, names: Iterable[str]) -> list[str]:
    """Those names that are channels of a kind of recording (all of an unknown kind)."""
    if kind == "markers":
        return [name for name in names if name.endswith(("_x", "_y", "_z"))]
    return [name for name in names if kind not in _CHANNELS or name in _CHANNELS[kind]]


def _check_form(recording: Recording) -> None:
    """Kind, lengths and clock: what has to hold before samples are looked at."""
    name = recording.name
    if recording.kind not in KINDS:
        raise InputError(f"recording {name} is of kind {recording.kind!r}; write one of {', '.join(KINDS)}")
    if not recording.signals:
        raise InputError(no_channel(f"recording {name}", recording.kind))
    lengths = {len(v) for v in recording.signals.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise InputError(f"the channels of recording {name} have lengths {sorted(lengths)}; give one common length above 0")
    if recording.sampling_rate_hz is not None and not (1.0 <= recording.sampling_rate_hz <= 5000.0):
        raise InputError(
            f"recording {name} has a sampling rate of {recording.sampling_rate_hz:g} Hz; 1 to 5000 is expected, with a clock in seconds"
        )
    if recording.sampling_rate_hz is None and recording.kind != "joint_angles":
        raise InputError(f"recording {name} has no sampling_rate_hz; give it in recordings.csv or a time_s column")
    if recording.sampling_rate_hz is not None:
        _check_section(recording)


def check(recording: Recording) -> None:
    """Raise InputError, in one sentence, where a recording cannot be what it says."""
    name = recording.name
    for known, value, allowed in (
        ("sex", recording.sex, SEXES),
        ("affected_side", recording.affected_side, AFFECTED_SIDES),
        ("truth_strides", recording.truth_strides, TRUTH_STRIDES),
    ):
        if value is not None and value not in allowed:
            raise InputError(f"{known} of recording {name} is {value!r}; write one of {', '.join(allowed)}")
    _check_plausible(recording)
    if recording.kind == "joint_angles":
        _check_angles(recording)
    for point in dict.fromkeys(channel[:-2] for channel in recording.signals if recording.kind in _AXES):
        for axis in _AXES[recording.kind]:
            if f"{point}_{axis}" not in recording.signals:
                raise InputError(
                    f"recording {name} lacks the column {point}_{axis}; a point of {recording.kind} needs {_AXES[recording.kind]}"
                )
    if recording.kind in ("keypoints_3d", "markers") and not recording.pixels:
        _check_metres(recording)


def no_channel(what: str, kind: str) -> str:
    """The sentence for a file or recording that has no channel of its kind."""
    examples = {
        "imu": f"lower_back_acc_x (the placement one of {', '.join(IMU_PLACEMENTS)})",
        "joint_angles": "knee_flexion_r",
    }
    example = examples.get(kind) or f"{', '.join(f'knee_l_{axis}' for axis in _AXES[kind])} with values"
    return f"{what} has no channel of its kind {kind}; name the columns as in the plain format, such as {example}"


def _check_section(recording: Recording) -> None:
    assert recording.sampling_rate_hz is not None
    length = recording.samples / recording.sampling_rate_hz
    start = recording.start_s if recording.start_s is not None else 0.0
    end = recording.end_s if recording.end_s is not None else length
    if not (-1e-6 <= start < min(end, length) and end <= length + 1.0):
        raise InputError(f"recording {recording.name} lasts {length:.2f} s, so its section {start:g} to {end:g} s cannot be")


#: Sizes of people and cameras: the least, the most and the unit.
PLAUSIBLE = {
    "age_years": (1.0, 115.0, "years"),
    "height_m": (0.6, 2.5, "metres"),
    "mass_kg": (5.0, 350.0, "kilograms"),
    "leg_length_m": (0.25, 1.35, "metres"),
    "focal_px": (50.0, 20000.0, "pixels"),
}
_PLAUSIBLE_TRUTH = {
    "walking_speed_mps": (0.0, 4.0),
    "step_length_m": (0.0, 1.6),
    "stride_length_m": (0.0, 3.2),
    "step_time_s": (0.15, 5.0),
    "stride_time_s": (0.3, 10.0),
    "cadence_spm": (10.0, 300.0),
}


def _check_plausible(recording: Recording) -> None:
    for column, (low, high, unit) in PLAUSIBLE.items():
        value = getattr(recording, column)
        if value is not None and not low <= value <= high:
            raise InputError(f"{column} of recording {recording.name} is {value:g}; {low:g} to {high:g} {unit} is expected")
    for column, value in recording.truth.items():
        if column not in TRUTH:
            raise InputError(f"recording {recording.name} has an unknown truth {column!r}; known are {', '.join(TRUTH)}")
        low, high = _PLAUSIBLE_TRUTH[column.replace("_l_", "_").replace("_r_", "_")]
        if not (low <= value <= high and value > 0):
            raise InputError(
                f"{column} of recording {recording.name} is {value:g}; {low or 'more than 0'} to {high:g} is expected, so its unit is wrong"
            )


#: Where a sensor stands still on a standing foot.
_STANDING = ("foot", "shank", "ankle")
_TRUNK = ("lower_back", "sternum", "head")
#: More than worn sensors measure, who end at 200 g and 4,000 deg/s: a mark for what is missing, as -9999, or a fault.
_MOST_MPS2, _MOST_RADPS = 2500.0, 100.0


def _worn(recording: Recording) -> dict[str, np.ndarray]:
    """The channels without those of sensors that cannot be used, which are said. Raises InputError where none can be."""
    placements = sorted({_placement(channel) for channel in recording.signals})
    faults = {placement: fault for placement in placements if (fault := _imu_fault(recording, placement))}
    if len(faults) == len(placements):
        raise InputError(next(iter(faults.values())))
    for placement, fault in faults.items():
        _LOG.warning("%s is left out of the recording: %s", placement, fault)
    return {channel: values for channel, values in recording.signals.items() if _placement(channel) not in faults}


def _imu_fault(recording: Recording, placement: str) -> str:
    """Why a sensor cannot be used, by what gravity and walking must look like; empty where it can.

    The acceleration's norm is gravity's 9.8 m/s^2 within a quarter or a third: the median of a trunk; the lower quartile of a
    foot or shank, which stands for longer than that in every stride, however loosely its sensor is worn (8.0 to 12.6 m/s^2
    over 2,400 simulated sensors of all ages, gaits and mountings, 9.2 to 11.3 over the real ones). A thigh or an arm never
    stands, and turns least where it is accelerated most: its median may reach 1.5 times gravity (9.2 to 14.9 over 1,200
    simulated thighs). In g all are 1, and without gravity nearly all too low. Angular velocity of a walking trunk stays below
    20 rad/s and of a limb below 30 for 99 percent of the time; in deg/s every walk exceeds that.
    """
    missing = [f"{placement}_{c}" for c in IMU_CHANNELS if f"{placement}_{c}" not in recording.signals]
    if missing:
        return f"recording {recording.name} lacks the column {missing[0]}; an IMU needs acc and gyr in x, y and z"
    acceleration, rotation = (values[slice(*recording._bounds())] for values in recording.imu(placement))
    trunk, stands = placement in _TRUNK, placement.startswith(_STANDING)
    typical = float(np.percentile(np.linalg.norm(acceleration, axis=1), 25 if stands else 50))
    if not 0.75 * GRAVITY_MPS2 <= typical <= (1.33 if trunk or stands else 1.5) * GRAVITY_MPS2:
        unit = "in g or without gravity" if typical < 0.5 * GRAVITY_MPS2 else "in another unit"
        return (
            f"the acceleration of {placement} in recording {recording.name} reads {typical:.3g} in the "
            f"{'lower quartile' if stands else 'median'}, where 9.8 m/s^2 with gravity is expected; it seems to be {unit}, so convert it"
        )
    fast = float(np.percentile(np.linalg.norm(rotation, axis=1), 99))
    limit = 20.0 if trunk else 30.0
    if fast > limit:
        return (
            f"the angular velocity of {placement} in recording {recording.name} reaches {fast:.3g} where at most {limit:g} rad/s "
            "is expected; it seems to be in deg/s, so convert it"
        )
    for what, values, most in (("acceleration", acceleration, _MOST_MPS2), ("angular velocity", rotation, _MOST_RADPS)):
        if (largest := float(np.max(np.abs(values)))) > most:
            return (
                f"the {what} of {placement} in recording {recording.name} reaches {largest:.3g}, which no worn sensor measures; "
                "leave blank what was not measured"
            )
    return ""


def _check_angles(recording: Recording) -> None:
    for channel, values in recording.signals.items():
        largest = float(np.max(np.abs(values[slice(*recording._bounds())])))
        if not channel.startswith("pelvis_t") and largest > 2 * np.pi:
            raise InputError(
                f"channel {channel} of recording {recording.name} reaches {largest:.3g} where radians are expected; "
                "it seems to be in degrees, so convert it"
            )


def _check_metres(recording: Recording) -> None:
    heights = [v[slice(*recording._bounds())] for c, v in recording.signals.items() if c.endswith("_y")]
    extent = float(np.median(np.max(heights, axis=0) - np.min(heights, axis=0)))
    if not 0.02 <= extent <= 3.0:
        raise InputError(
            f"the points of recording {recording.name} span {extent:.3g} vertically where a body in metres spans at most 3; "
            "convert them to metres"
        )


def signal_table(signals: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Channels as contiguous float64 arrays."""
    return {name: np.ascontiguousarray(values, float) for name, values in signals.items()}


def merge_sides(truth: dict[str, float]) -> dict[str, float]:
    """Fill the means of left and right, steps from strides and strides from steps, and the speed, where they are not given.

    A step on one side alone tells no mean.
    """
    truth = dict(truth)
    for quantity in ("step_length", "step_time"):
        unit = "m" if quantity == "step_length" else "s"
        sides = [truth[f"{quantity}_{s}_{unit}"] for s in ("l", "r") if f"{quantity}_{s}_{unit}" in truth]
        if len(sides) == 2:
            truth.setdefault(f"{quantity}_{unit}", sum(sides) / 2)
    if "step_time_s" in truth:
        truth.setdefault("stride_time_s", 2 * truth["step_time_s"])
    if truth.get("cadence_spm", 0.0) > 0:
        truth.setdefault("stride_time_s", 120.0 / truth["cadence_spm"])
    if truth.get("stride_time_s", 0.0) > 0:
        truth.setdefault("step_time_s", truth["stride_time_s"] / 2)
        truth.setdefault("cadence_spm", 120.0 / truth["stride_time_s"])
    if "step_length_m" in truth:
        truth.setdefault("stride_length_m", 2 * truth["step_length_m"])
    if "stride_length_m" in truth:
        truth.setdefault("step_length_m", truth["stride_length_m"] / 2)
    if "stride_length_m" in truth and truth.get("stride_time_s", 0.0) > 0:
        truth.setdefault("walking_speed_mps", truth["stride_length_m"] / truth["stride_time_s"])
    return truth
